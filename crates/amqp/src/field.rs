//! The field types of methods: how each is read and written. Consecutive bits share octets, lowest
//! bit first.

use crate::error::{FieldFault, SHORT_STRING_MAX};
use crate::reader::Reader;
use crate::table::TableRef;

/// Reads the fields of one method in order.
pub(crate) struct FieldReader<'a> {
    reader: Reader<'a>,
    bits: u8,
    bits_left: u8,
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> FieldReader<'a> {
        FieldReader {
            reader: Reader::new(bytes),
            bits: 0,
            bits_left: 0,
        }
    }

    pub(crate) fn finish(&self) -> Result<(), FieldFault> {
        self.reader.finish()
    }

    /// The reader behind the last octet of bits.
    fn octets(&mut self) -> &mut Reader<'a> {
        self.bits_left = 0;
        &mut self.reader
    }

    fn bit(&mut self) -> Result<bool, FieldFault> {
        if self.bits_left == 0 {
            self.bits = self.reader.u8()?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 == 1;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }
}

/// Writes the fields of one method in order.
pub(crate) struct FieldWriter<'o> {
    out: &'o mut Vec<u8>,
    bits_used: u8,
}

impl<'o> FieldWriter<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> FieldWriter<'o> {
        FieldWriter { out, bits_used: 0 }
    }

    fn octets(&mut self) -> &mut Vec<u8> {
        self.bits_used = 0;
        self.out
    }

    fn bit(&mut self, bit: bool) {
        if self.bits_used == 0 || self.bits_used == 8 {
            self.out.push(0);
            self.bits_used = 0;
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits_used;
        }
        self.bits_used += 1;
    }
}

/// A type that a method field can have.
pub(crate) trait Field<'a>: Sized {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault>;
    fn write(&self, writer: &mut FieldWriter<'_>);
}

/// A bit.
impl<'a> Field<'a> for bool {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.bit()
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        writer.bit(*self);
    }
}

impl<'a> Field<'a> for u8 {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().u8()
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        writer.octets().push(*self);
    }
}

impl<'a> Field<'a> for u16 {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().u16()
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        writer.octets().extend_from_slice(&self.to_be_bytes());
    }
}

impl<'a> Field<'a> for u32 {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().u32()
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        writer.octets().extend_from_slice(&self.to_be_bytes());
    }
}

impl<'a> Field<'a> for u64 {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().u64()
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        writer.octets().extend_from_slice(&self.to_be_bytes());
    }
}

/// A short string; in methods it must be UTF-8.
impl<'a> Field<'a> for &'a str {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        str::from_utf8(reader.octets().short()?).map_err(|_| FieldFault::NotUtf8)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        let cut = self.floor_char_boundary(SHORT_STRING_MAX);
        write_short(
            writer.octets(),
            self.as_bytes().get(..cut).unwrap_or_default(),
        );
    }
}

/// A long string.
impl<'a> Field<'a> for &'a [u8] {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().long()
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        write_long(writer.octets(), |out| out.extend_from_slice(self));
    }
}

impl<'a> Field<'a> for TableRef<'a> {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        TableRef::parse(reader.octets().long()?)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        write_long(writer.octets(), |out| {
            out.extend_from_slice(self.as_bytes())
        });
    }
}

/// A reserved short integer (once the access ticket): ignored when read, 0 when written.
#[derive(Default)]
pub(crate) struct ReservedShort;

impl<'a> Field<'a> for ReservedShort {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().u16()?;
        Ok(ReservedShort)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        0_u16.write(writer);
    }
}

/// A reserved short string: ignored when read, empty when written.
#[derive(Default)]
pub(crate) struct ReservedString;

impl<'a> Field<'a> for ReservedString {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().short()?;
        Ok(ReservedString)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        "".write(writer);
    }
}

/// A reserved long string: ignored when read, empty when written.
#[derive(Default)]
pub(crate) struct ReservedLongString;

impl<'a> Field<'a> for ReservedLongString {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.octets().long()?;
        Ok(ReservedLongString)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        0_u32.write(writer);
    }
}

/// A reserved bit: ignored when read, 0 when written.
#[derive(Default)]
pub(crate) struct ReservedBit;

impl<'a> Field<'a> for ReservedBit {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        reader.bit()?;
        Ok(ReservedBit)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        writer.bit(false);
    }
}

/// Appends a short string, cut at 255 octets so that a frame is well formed whatever the caller
/// passes.
pub(crate) fn write_short(out: &mut Vec<u8>, octets: &[u8]) {
    let kept = octets.get(..SHORT_STRING_MAX).unwrap_or(octets);
    out.push(kept.len() as u8);
    out.extend_from_slice(kept);
}

/// Appends a four-octet length and what `body` writes.
pub(crate) fn write_long(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = out.len() - at - 4;
    patch_u32(out, at, length);
}

/// Writes `length` over the four octets at `at`.
///
/// # Panics
///
/// If it exceeds 32 bits. Everything written here is bounded far below: bodies at 512 MiB, tables
/// by their frame.
pub(crate) fn patch_u32(out: &mut [u8], at: usize, length: usize) {
    assert!(
        length <= u32::MAX as usize,
        "{length} octets do not fit a length field"
    );
    let length = length as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}
