//! A cursor over foreign octets. Every read is checked; none can panic.

use crate::error::FieldFault;

/// The rest of an input that is being read from its front.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn finish(&self) -> Result<(), FieldFault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(FieldFault::Trailing)
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FieldFault> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(FieldFault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FieldFault> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(FieldFault::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FieldFault> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FieldFault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FieldFault> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FieldFault> {
        self.array().map(u64::from_be_bytes)
    }

    /// Octets behind a one-octet length: a short string.
    pub(crate) fn short(&mut self) -> Result<&'a [u8], FieldFault> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    /// Octets behind a four-octet length: a long string, a table, an array.
    pub(crate) fn long(&mut self) -> Result<&'a [u8], FieldFault> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| FieldFault::Truncated)?)
    }
}
