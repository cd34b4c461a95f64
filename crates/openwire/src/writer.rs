//! Writing fields: everything the loose and the tight encoding agree on.

use std::borrow::Cow;
use std::sync::Arc;

use crate::Unencodable;
use crate::cache::MarshalCache;
use crate::limits::ARRAY_ELEMENTS_MAX;
use crate::schema::{BaseCommand, Cacheable, MAGIC, Magic, Structure, Tail};
use crate::text::{JavaStr, JavaString};
use crate::throwable::Throwable;

/// What outlives a frame on the writing side.
#[derive(Debug)]
pub(crate) struct WriteState {
    pub(crate) version: i32,
    pub(crate) stack_traces: bool,
    pub(crate) cache: Option<MarshalCache>,
}

impl WriteState {
    pub(crate) fn new(version: i32) -> Self {
        Self {
            version,
            stack_traces: false,
            cache: None,
        }
    }
}

/// One encoding, seen from the sending end; the mirror of [`crate::reader::Reader`].
pub(crate) trait Writer: Sized {
    /// Whether an object enters the cache after the objects inside it, as Java does when tight.
    const INNER_FIRST: bool;

    fn state(&mut self) -> &mut WriteState;
    fn out(&mut self) -> &mut Vec<u8>;
    fn flag(&mut self, value: bool);
    fn long(&mut self, value: &i64) -> Result<(), Unencodable>;
    /// The string after its null flag.
    fn text(&mut self, text: JavaStr<'_>) -> Result<(), Unencodable>;
    /// The flag between the type code of a nested object and its fields, where there is one.
    fn marshal_aware(&mut self, code: u8);

    fn version(&mut self) -> i32 {
        self.state().version
    }

    fn bool(&mut self, value: &bool) -> Result<(), Unencodable> {
        self.flag(*value);
        Ok(())
    }

    fn byte(&mut self, value: &i8) -> Result<(), Unencodable> {
        self.out().push(value.cast_unsigned());
        Ok(())
    }

    fn int(&mut self, value: &i32) -> Result<(), Unencodable> {
        self.out().extend(value.to_be_bytes());
        Ok(())
    }

    fn base(&mut self, base: &BaseCommand) -> Result<(), Unencodable> {
        self.int(&base.command_id)?;
        self.bool(&base.response_required)
    }

    fn magic(&mut self, _: &Magic) -> Result<(), Unencodable> {
        self.out().extend(MAGIC);
        Ok(())
    }

    fn str(&mut self, value: &Option<JavaString>) -> Result<(), Unencodable> {
        self.flag(value.is_some());
        match value {
            Some(text) => self.text(text.as_java_str()),
            None => Ok(()),
        }
    }

    fn name(&mut self, value: &JavaString) -> Result<(), Unencodable> {
        self.flag(true);
        self.text(value.as_java_str())
    }

    fn bytes(&mut self, value: &Option<Arc<[u8]>>) -> Result<(), Unencodable> {
        self.sized_bytes(value.as_deref())
    }

    fn bulk(&mut self, value: &Option<Cow<'_, [u8]>>) -> Result<(), Unencodable> {
        self.sized_bytes(value.as_deref())
    }

    fn sized_bytes(&mut self, value: Option<&[u8]>) -> Result<(), Unencodable> {
        self.flag(value.is_some());
        let Some(bytes) = value else { return Ok(()) };
        let length = i32::try_from(bytes.len()).map_err(|_| Unencodable::BytesTooLong {
            bytes: bytes.len(),
            limit: i32::MAX as usize,
        })?;
        self.out().extend(length.to_be_bytes());
        self.out().extend_from_slice(bytes);
        Ok(())
    }

    fn nested<'a, T: Structure<'a>>(&mut self, value: &Option<T>) -> Result<(), Unencodable> {
        self.nested_ref(value.as_ref())
    }

    fn boxed<'a, T: Structure<'a>>(&mut self, value: &Option<Box<T>>) -> Result<(), Unencodable> {
        self.nested_ref(value.as_deref())
    }

    fn nested_ref<'a, T: Structure<'a>>(&mut self, value: Option<&T>) -> Result<(), Unencodable> {
        self.flag(value.is_some());
        let Some(structure) = value else {
            return Ok(());
        };
        let code = structure.code();
        self.out().push(code);
        self.marshal_aware(code);
        structure.write(self)
    }

    fn array<'a, T: Structure<'a>>(&mut self, value: &Option<Vec<T>>) -> Result<(), Unencodable> {
        self.flag(value.is_some());
        let Some(elements) = value else { return Ok(()) };
        let count = i16::try_from(elements.len()).map_err(|_| Unencodable::ArrayTooLong {
            elements: elements.len(),
            limit: ARRAY_ELEMENTS_MAX,
        })?;
        self.out().extend(count.to_be_bytes());
        elements
            .iter()
            .try_for_each(|element| self.nested_ref(Some(element)))
    }

    fn cached<T: Cacheable>(&mut self, value: &Option<T>) -> Result<(), Unencodable> {
        let Some(cache) = &mut self.state().cache else {
            return self.nested(value);
        };
        let identity = value.as_ref().map(T::to_identity);
        if let Some(index) = cache.index_of(&identity) {
            self.flag(false);
            self.out().extend(index.to_be_bytes());
            return Ok(());
        }
        if !Self::INNER_FIRST {
            let index = cache.issue(identity);
            self.flag(true);
            self.out().extend(index.to_be_bytes());
            return self.nested(value);
        }
        self.flag(true);
        let at = self.out().len();
        self.out().extend([0; 2]);
        self.nested(value)?;
        if let Some(cache) = &mut self.state().cache {
            let index = cache.issue(identity);
            self.out()[at..at + 2].copy_from_slice(&index.to_be_bytes());
        }
        Ok(())
    }

    fn throwable(&mut self, value: &Option<Box<Throwable>>) -> Result<(), Unencodable> {
        self.flag(value.is_some());
        let Some(throwable) = value else {
            return Ok(());
        };
        self.str(&throwable.class)?;
        self.str(&throwable.message)?;
        if !self.state().stack_traces {
            return Ok(());
        }
        let frames = &throwable.frames;
        let count = i16::try_from(frames.len()).map_err(|_| Unencodable::ArrayTooLong {
            elements: frames.len(),
            limit: ARRAY_ELEMENTS_MAX,
        })?;
        self.out().extend(count.to_be_bytes());
        for frame in frames {
            self.str(&frame.class)?;
            self.str(&frame.method)?;
            self.str(&frame.file)?;
            self.int(&frame.line)?;
        }
        self.throwable(&throwable.cause)
    }

    fn tail<T: Tail>(&mut self, value: &T) -> Result<(), Unencodable> {
        value.write(self)
    }
}
