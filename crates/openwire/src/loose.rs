//! The loose encoding: every field in place, whole bytes only.

use std::borrow::Cow;
use std::ops::Range;

use crate::input::Input;
use crate::limits::LOOSE_STRING_BYTES_MAX;
use crate::reader::{ReadState, Reader};
use crate::text::JavaStr;
use crate::writer::{WriteState, Writer};
use crate::{Malformed, Unencodable};

pub(crate) struct LooseReader<'a, 's> {
    pub(crate) input: Input<'a>,
    pub(crate) state: &'s mut ReadState,
}

impl<'a> Reader<'a> for LooseReader<'a, '_> {
    fn state(&mut self) -> &mut ReadState {
        self.state
    }

    fn input(&mut self) -> &mut Input<'a> {
        &mut self.input
    }

    fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.input.u8()? != 0)
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        self.input.i64()
    }

    fn text(&mut self) -> Result<JavaStr<'a>, Malformed> {
        let length = usize::from(self.input.u16()?);
        JavaStr::from_modified(self.input.take(length)?)
    }

    fn marshal_aware(&mut self, _code: u8) -> Result<(), Malformed> {
        Ok(())
    }
}

pub(crate) struct LooseWriter<'o> {
    pub(crate) out: &'o mut Vec<u8>,
    state: &'o mut WriteState,
    /// Where the first `bulk` field lies in `out`, which is a message's content.
    pub(crate) first_bulk: Option<Range<usize>>,
}

impl<'o> LooseWriter<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>, state: &'o mut WriteState) -> Self {
        Self {
            out,
            state,
            first_bulk: None,
        }
    }
}

impl Writer for LooseWriter<'_> {
    const INNER_FIRST: bool = false;

    fn state(&mut self) -> &mut WriteState {
        self.state
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn flag(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    fn long(&mut self, value: &i64) -> Result<(), Unencodable> {
        self.out.extend(value.to_be_bytes());
        Ok(())
    }

    fn text(&mut self, text: JavaStr<'_>) -> Result<(), Unencodable> {
        let bytes = text.as_bytes();
        let length = u16::try_from(bytes.len()).map_err(|_| Unencodable::StringTooLong {
            bytes: bytes.len(),
            limit: LOOSE_STRING_BYTES_MAX,
        })?;
        self.out.extend(length.to_be_bytes());
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn bulk(&mut self, value: &Option<Cow<'_, [u8]>>) -> Result<(), Unencodable> {
        self.sized_bytes(value.as_deref())?;
        let end = self.out.len();
        let bytes = value.as_deref().map_or(0, <[u8]>::len);
        self.first_bulk.get_or_insert(end - bytes..end);
        Ok(())
    }

    fn marshal_aware(&mut self, _code: u8) {}
}
