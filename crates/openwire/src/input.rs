//! A cursor over foreign bytes that can run out but never panic.

use crate::malformed::Malformed;

/// The unread rest of a frame, record or body. All integers are big-endian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.chunk()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.chunk()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.chunk()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.chunk()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.chunk()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.chunk()?))
    }

    /// A non-negative 32-bit length that the rest can satisfy, `unit` bytes at least per item.
    pub(crate) fn length(&mut self, unit: usize) -> Result<usize, Malformed> {
        let length = self.i32()?;
        let size = usize::try_from(length).map_err(|_| Malformed::NegativeLength { length })?;
        if size.saturating_mul(unit) > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        Ok(size)
    }

    /// `i32 length | bytes`.
    pub(crate) fn sized_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length(1)?;
        self.take(length)
    }
}
