//! Reading fields: everything the loose and the tight encoding agree on.

use std::borrow::Cow;
use std::sync::Arc;

use crate::cache::UnmarshalCache;
use crate::input::Input;
use crate::intern::Interner;
use crate::schema::{BaseCommand, Cacheable, MAGIC, Magic, Structure, Tail};
use crate::text::{JavaStr, JavaString};
use crate::throwable::{StackFrame, Throwable};
use crate::{Limits, Malformed};

/// What outlives a frame on the reading side.
#[derive(Clone, Debug)]
pub(crate) struct ReadState {
    pub(crate) version: i32,
    pub(crate) stack_traces: bool,
    pub(crate) cache: Option<UnmarshalCache>,
    pub(crate) names: Interner,
    pub(crate) limits: Limits,
    depth: usize,
    causes: usize,
}

impl ReadState {
    pub(crate) fn new(version: i32, limits: Limits) -> Self {
        Self {
            version,
            stack_traces: false,
            cache: None,
            names: Interner::default(),
            limits,
            depth: 0,
            causes: 0,
        }
    }

    /// Forgets the depth at which an earlier frame broke off.
    pub(crate) fn begin_frame(&mut self) {
        self.depth = 0;
        self.causes = 0;
    }

    fn enter(&mut self) -> Result<(), Malformed> {
        self.depth += 1;
        check_limit("nesting", self.depth, self.limits.nesting_max)
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }
}

pub(crate) fn check_limit(what: &'static str, size: usize, limit: usize) -> Result<(), Malformed> {
    if size > limit {
        Err(Malformed::LimitExceeded { what, size, limit })
    } else {
        Ok(())
    }
}

/// One encoding, seen from the receiving end. The methods without a body are where loose and
/// tight differ; the others are the kinds of [`crate::schema`].
pub(crate) trait Reader<'a>: Sized {
    fn state(&mut self) -> &mut ReadState;
    fn input(&mut self) -> &mut Input<'a>;
    fn bool(&mut self) -> Result<bool, Malformed>;
    fn long(&mut self) -> Result<i64, Malformed>;
    /// The string after its null flag.
    fn text(&mut self) -> Result<JavaStr<'a>, Malformed>;
    /// The flag between the type code of a nested object and its fields, where there is one.
    fn marshal_aware(&mut self, code: u8) -> Result<(), Malformed>;

    fn version(&mut self) -> i32 {
        self.state().version
    }

    fn byte(&mut self) -> Result<i8, Malformed> {
        Ok(self.input().u8()?.cast_signed())
    }

    fn int(&mut self) -> Result<i32, Malformed> {
        self.input().i32()
    }

    fn base(&mut self) -> Result<BaseCommand, Malformed> {
        Ok(BaseCommand {
            command_id: self.int()?,
            response_required: self.bool()?,
        })
    }

    fn magic(&mut self) -> Result<Magic, Malformed> {
        if self.input().take(MAGIC.len())? == MAGIC {
            Ok(Magic)
        } else {
            Err(Malformed::Magic)
        }
    }

    fn str(&mut self) -> Result<Option<JavaString>, Malformed> {
        if !self.bool()? {
            return Ok(None);
        }
        let text = self.bounded_text()?;
        Ok(Some(text.to_owned()))
    }

    /// A string that names something and is likely to come again.
    fn name(&mut self) -> Result<JavaString, Malformed> {
        if !self.bool()? {
            return Err(Malformed::NullValue);
        }
        let text = self.bounded_text()?;
        Ok(self.state().names.intern(text))
    }

    fn bounded_text(&mut self) -> Result<JavaStr<'a>, Malformed> {
        let text = self.text()?;
        check_limit(
            "string",
            text.as_bytes().len(),
            self.state().limits.string_bytes_max,
        )?;
        Ok(text)
    }

    fn bytes(&mut self) -> Result<Option<Arc<[u8]>>, Malformed> {
        if !self.bool()? {
            return Ok(None);
        }
        Ok(Some(Arc::from(self.input().sized_bytes()?)))
    }

    fn bulk(&mut self) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        if !self.bool()? {
            return Ok(None);
        }
        Ok(Some(Cow::Borrowed(self.input().sized_bytes()?)))
    }

    fn nested<T: Structure<'a>>(&mut self) -> Result<Option<T>, Malformed> {
        if !self.bool()? {
            return Ok(None);
        }
        let code = self.input().u8()?;
        if !T::accepts(code) {
            return Err(Malformed::UnexpectedType { code });
        }
        self.marshal_aware(code)?;
        self.state().enter()?;
        let structure = T::read(code, self)?;
        self.state().leave();
        Ok(Some(structure))
    }

    fn boxed<T: Structure<'a>>(&mut self) -> Result<Option<Box<T>>, Malformed> {
        Ok(self.nested()?.map(Box::new))
    }

    fn array<T: Structure<'a>>(&mut self) -> Result<Option<Vec<T>>, Malformed> {
        if !self.bool()? {
            return Ok(None);
        }
        let limit = self.state().limits.array_elements_max;
        let count = self.count("array", limit)?;
        // Grown as elements arrive: a count alone must not reserve memory.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.nested()?.ok_or(Malformed::NullValue)?);
        }
        Ok(Some(elements))
    }

    /// A non-negative `i16` count of items that take at least one byte each.
    fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, Malformed> {
        let length = self.input().i16()?;
        let count = usize::try_from(length).map_err(|_| Malformed::NegativeLength {
            length: length.into(),
        })?;
        check_limit(what, count, limit)?;
        if count > self.input().remaining() {
            return Err(Malformed::Truncated);
        }
        Ok(count)
    }

    fn cached<T: Cacheable>(&mut self) -> Result<Option<T>, Malformed> {
        if self.state().cache.is_none() {
            return self.nested();
        }
        let is_new = self.bool()?;
        let index = self.input().i16()?;
        if is_new {
            let value = self.nested::<T>()?;
            let identity = value.as_ref().map(T::to_identity);
            if let Some(cache) = &mut self.state().cache {
                cache.store(index, identity)?;
            }
            return Ok(value);
        }
        let Some(cache) = self.state().cache.as_ref() else {
            return Err(Malformed::CacheIndex { index });
        };
        match cache.held(index)? {
            None => Ok(None),
            Some(identity) => T::from_identity(identity)
                .map(Some)
                .ok_or(Malformed::CacheType { index }),
        }
    }

    fn throwable(&mut self) -> Result<Option<Box<Throwable>>, Malformed> {
        if !self.bool()? {
            return Ok(None);
        }
        let mut throwable = Throwable {
            class: self.str()?,
            message: self.str()?,
            ..Throwable::default()
        };
        if self.state().stack_traces {
            let limit = self.state().limits.stack_frames_max;
            for _ in 0..self.count("stack trace", limit)? {
                throwable.frames.push(StackFrame {
                    class: self.str()?,
                    method: self.str()?,
                    file: self.str()?,
                    line: self.int()?,
                });
            }
            let state = self.state();
            state.causes += 1;
            check_limit("causes", state.causes, state.limits.causes_max)?;
            throwable.cause = self.throwable()?;
            self.state().causes -= 1;
        }
        Ok(Some(Box::new(throwable)))
    }

    fn tail<T: Tail>(&mut self, code: u8) -> Result<T, Malformed> {
        T::read(code, self)
    }
}
