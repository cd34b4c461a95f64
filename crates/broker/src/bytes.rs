//! Hand-encoded bytes: LEB128 numbers and length-prefixed byte strings. Everything this crate
//! puts into a log or a checkpoint is written and read through this file.

/// Bytes that do not say what they should. They come from our own disk, behind a checksum, so
/// this names a bug or a newer version, never a peer's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undecodable(pub &'static str);

impl std::fmt::Display for Undecodable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "undecodable {}", self.0)
    }
}

impl std::error::Error for Undecodable {}

/// Appends values to a buffer.
pub trait Writer {
    fn put_u8(&mut self, value: u8);
    fn put_number(&mut self, value: u64);
    fn put_bytes(&mut self, value: &[u8]);

    fn put_flag(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    fn put_str(&mut self, value: &str) {
        self.put_bytes(value.as_bytes());
    }

    /// A signed number, zigzag, so that small negatives stay short.
    fn put_signed(&mut self, value: i64) {
        self.put_number(((value << 1) ^ (value >> 63)) as u64);
    }

    fn put_option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T))
    where
        Self: Sized,
    {
        match value {
            Some(inner) => {
                self.put_u8(1);
                put(self, inner);
            }
            None => self.put_u8(0),
        }
    }
}

impl Writer for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_number(value.len() as u64);
        self.extend_from_slice(value);
    }
}

/// Takes values from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn u8(&mut self) -> Result<u8, Undecodable> {
        let (first, rest) = self.rest.split_first().ok_or(Undecodable("end of bytes"))?;
        self.rest = rest;
        Ok(*first)
    }

    pub fn flag(&mut self) -> Result<bool, Undecodable> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Undecodable("flag")),
        }
    }

    pub fn number(&mut self) -> Result<u64, Undecodable> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Undecodable("number"))
    }

    pub fn u32(&mut self) -> Result<u32, Undecodable> {
        u32::try_from(self.number()?).map_err(|_| Undecodable("u32"))
    }

    pub fn signed(&mut self) -> Result<i64, Undecodable> {
        let raw = self.number()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Undecodable> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Undecodable("end of bytes"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Undecodable> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| Undecodable("length"))?)
    }

    pub fn str(&mut self) -> Result<&'a str, Undecodable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Undecodable("text"))
    }

    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Undecodable>,
    ) -> Result<Option<T>, Undecodable> {
        if self.flag()? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A count that is believed only as far as the remaining bytes can hold that many items.
    pub fn count(&mut self) -> Result<usize, Undecodable> {
        let count = usize::try_from(self.number()?).map_err(|_| Undecodable("count"))?;
        if count > self.rest.len() {
            Err(Undecodable("count"))
        } else {
            Ok(count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        for value in [0, 1, 127, 128, u64::from(u32::MAX), u64::MAX] {
            bytes.put_number(value);
        }
        for value in [0i64, -1, 1, i64::MIN, i64::MAX] {
            bytes.put_signed(value);
        }
        bytes.put_str("é");
        bytes.put_option(Some(7u64), |out, value| out.put_number(value));
        bytes.put_option(None::<u64>, |out, value| out.put_number(value));
        let mut reader = Reader::new(&bytes);
        for value in [0, 1, 127, 128, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(reader.number(), Ok(value));
        }
        for value in [0i64, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(reader.signed(), Ok(value));
        }
        assert_eq!(reader.str(), Ok("é"));
        assert_eq!(reader.option(|r| r.number()), Ok(Some(7)));
        assert_eq!(reader.option(|r| r.number()), Ok(None));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_cut_is_an_error_at_every_place() {
        let mut bytes = Vec::new();
        bytes.put_number(300);
        bytes.put_str("orders");
        for end in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..end]);
            assert!(reader.number().and_then(|_| reader.str()).is_err());
        }
    }
}
