//! The tight encoding: booleans and the widths of longs gathered in a stream of bits, then the
//! data of all fields.
//!
//! ```text
//! ┌──────┬──────────────────────────┬────────────┬────────────────┐
//! │ type │ n: 1, 2 or 3 bytes       │ n bytes    │ data           │
//! │  u8  │ n | C0 n | 80 i16        │ LSB first  │ field by field │
//! └──────┴──────────────────────────┴────────────┴────────────────┘
//! ```
//!
//! Java marshals in two passes; since bits and data keep their own order, one pass into two
//! buffers gives the same bytes.

use crate::input::Input;
use crate::limits::TIGHT_STRING_BYTES_MAX;
use crate::reader::{ReadState, Reader};
use crate::schema::is_marshal_aware;
use crate::text::JavaStr;
use crate::writer::{WriteState, Writer};
use crate::{Malformed, Unencodable};

/// Bytes of booleans that a signed 16-bit length can announce.
const BIT_BYTES_MAX: usize = 32_767;

/// The booleans of a received structure.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position of the next bit.
    next: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let first = input.u8()?;
        let length = match first & 0xC0 {
            0xC0 => usize::from(input.u8()?),
            0x80 => {
                let length = input.i16()?;
                usize::try_from(length).map_err(|_| Malformed::NegativeLength {
                    length: length.into(),
                })?
            }
            _ => usize::from(first),
        };
        Ok(Self {
            bytes: input.take(length)?,
            next: 0,
        })
    }

    fn bit(&mut self) -> Result<bool, Malformed> {
        let byte = self
            .bytes
            .get(self.next / 8)
            .ok_or(Malformed::BitsExhausted)?;
        let bit = byte >> (self.next % 8) & 1;
        self.next += 1;
        Ok(bit == 1)
    }

    /// Whole bytes that no field asked for.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.bytes.len() - self.next.div_ceil(8)
    }
}

pub(crate) struct TightReader<'a, 's> {
    pub(crate) bits: BitReader<'a>,
    pub(crate) input: Input<'a>,
    pub(crate) state: &'s mut ReadState,
}

impl<'a> Reader<'a> for TightReader<'a, '_> {
    fn state(&mut self) -> &mut ReadState {
        self.state
    }

    fn input(&mut self) -> &mut Input<'a> {
        &mut self.input
    }

    fn bool(&mut self) -> Result<bool, Malformed> {
        self.bits.bit()
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        Ok(match (self.bits.bit()?, self.bits.bit()?) {
            (false, false) => 0,
            (false, true) => self.input.u16()?.into(),
            (true, false) => self.input.u32()?.into(),
            (true, true) => self.input.i64()?,
        })
    }

    fn text(&mut self) -> Result<JavaStr<'a>, Malformed> {
        let is_ascii = self.bits.bit()?;
        let length = usize::from(self.input.u16()?);
        let bytes = self.input.take(length)?;
        if is_ascii && !bytes.is_ascii() {
            return Err(Malformed::Text);
        }
        JavaStr::from_modified(bytes)
    }

    fn marshal_aware(&mut self, code: u8) -> Result<(), Malformed> {
        if is_marshal_aware(code) && self.bits.bit()? {
            return Err(Malformed::PremarshalledForm);
        }
        Ok(())
    }
}

/// The booleans of a structure being written.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    next: usize,
}

impl BitWriter {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.next = 0;
    }

    fn bit(&mut self, value: bool) {
        let position = self.next % 8;
        if position == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(value) << position;
        }
        self.next += 1;
    }

    /// Length field and bits together.
    pub(crate) fn encoded_bytes(&self) -> Result<usize, Unencodable> {
        let length = self.bytes.len();
        match length {
            0..64 => Ok(1 + length),
            64..256 => Ok(2 + length),
            256..=BIT_BYTES_MAX => Ok(3 + length),
            bytes => Err(Unencodable::TooManyBooleans {
                bytes,
                limit: BIT_BYTES_MAX,
            }),
        }
    }

    /// Fills `gap`, which is [`Self::encoded_bytes`] long.
    pub(crate) fn write_into(&self, gap: &mut [u8]) {
        let (head, bits) = gap.split_at_mut(gap.len() - self.bytes.len());
        let length = (self.bytes.len() as u16).to_be_bytes();
        match head {
            [short] => *short = length[1],
            [mark, short] => (*mark, *short) = (0xC0, length[1]),
            [mark, long @ ..] => {
                *mark = 0x80;
                long.copy_from_slice(&length);
            }
            [] => {}
        }
        bits.copy_from_slice(&self.bytes);
    }
}

pub(crate) struct TightWriter<'o> {
    pub(crate) bits: &'o mut BitWriter,
    pub(crate) out: &'o mut Vec<u8>,
    pub(crate) state: &'o mut WriteState,
}

impl Writer for TightWriter<'_> {
    const INNER_FIRST: bool = true;

    fn state(&mut self) -> &mut WriteState {
        self.state
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn flag(&mut self, value: bool) {
        self.bits.bit(value);
    }

    fn long(&mut self, value: &i64) -> Result<(), Unencodable> {
        let value = *value;
        if value == 0 {
            self.bits.bit(false);
            self.bits.bit(false);
        } else if let Ok(short) = u16::try_from(value) {
            self.bits.bit(false);
            self.bits.bit(true);
            self.out.extend(short.to_be_bytes());
        } else if let Ok(int) = u32::try_from(value) {
            self.bits.bit(true);
            self.bits.bit(false);
            self.out.extend(int.to_be_bytes());
        } else {
            self.bits.bit(true);
            self.bits.bit(true);
            self.out.extend(value.to_be_bytes());
        }
        Ok(())
    }

    fn text(&mut self, text: JavaStr<'_>) -> Result<(), Unencodable> {
        let bytes = text.as_bytes();
        if bytes.len() > TIGHT_STRING_BYTES_MAX {
            let limit = TIGHT_STRING_BYTES_MAX;
            return Err(Unencodable::StringTooLong {
                bytes: bytes.len(),
                limit,
            });
        }
        self.bits.bit(text.is_tight_ascii());
        self.out.extend((bytes.len() as u16).to_be_bytes());
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn marshal_aware(&mut self, code: u8) {
        if is_marshal_aware(code) {
            self.bits.bit(false);
        }
    }
}
