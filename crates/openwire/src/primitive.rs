//! Primitive maps and lists: message properties, map and stream bodies, WireFormatInfo.
//!
//! ```text
//! map    i32 count (−1 null), count × (u16 length, key, value)
//! list   i32 count, count × value
//! value  u8 tag, data by tag
//! ```
//!
//! [`Properties`] and [`Items`] read in place; [`Value`] owns. Text is modified UTF-8 throughout.

use crate::Malformed;
use crate::input::Input;
use crate::reader::check_limit;
use crate::text::{JavaStr, JavaString, to_modified};

/// Bytes that the smallest map entry takes: an empty key and a null.
const ENTRY_BYTES_MIN: usize = 3;

/// Strings of this many UTF-16 units and more are written with a 32-bit length.
const BIG_STRING_UNITS: usize = 8191;

mod tag {
    pub const NULL: u8 = 0;
    pub const BOOL: u8 = 1;
    pub const BYTE: u8 = 2;
    pub const CHAR: u8 = 3;
    pub const SHORT: u8 = 4;
    pub const INT: u8 = 5;
    pub const LONG: u8 = 6;
    pub const DOUBLE: u8 = 7;
    pub const FLOAT: u8 = 8;
    pub const STRING: u8 = 9;
    pub const BYTES: u8 = 10;
    pub const MAP: u8 = 11;
    pub const LIST: u8 = 12;
    pub const BIG_STRING: u8 = 13;
}

/// Ceilings for one map, list or stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimitiveLimits {
    /// Entries of one map or list.
    pub entries_max: usize,
    /// Maps and lists inside the outermost one.
    pub nesting_max: usize,
    /// Bytes of one string or byte array.
    pub value_bytes_max: usize,
}

impl Default for PrimitiveLimits {
    fn default() -> Self {
        Self {
            entries_max: 65_536,
            nesting_max: 16,
            value_bytes_max: i32::MAX as usize,
        }
    }
}

impl PrimitiveLimits {
    fn inner(self) -> Result<Self, Malformed> {
        let nesting_max = self
            .nesting_max
            .checked_sub(1)
            .ok_or(Malformed::PrimitiveNotAllowed)?;
        Ok(Self {
            nesting_max,
            ..self
        })
    }
}

/// A value in place.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Byte(i8),
    /// A UTF-16 unit.
    Char(u16),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    Float(f32),
    String(JavaStr<'a>),
    Bytes(&'a [u8]),
    Map(Properties<'a>),
    List(Items<'a>),
}

/// A value of its own. Floats keep their bits, so `==` follows IEEE.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Byte(i8),
    /// A UTF-16 unit.
    Char(u16),
    Short(i16),
    Int(i32),
    Long(i64),
    Double(f64),
    Float(f32),
    String(JavaString),
    Bytes(Vec<u8>),
    Map(Vec<(JavaString, Value)>),
    List(Vec<Value>),
}

impl ValueRef<'_> {
    pub fn to_value(&self) -> Result<Value, Malformed> {
        Ok(match *self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Byte(value) => Value::Byte(value),
            Self::Char(value) => Value::Char(value),
            Self::Short(value) => Value::Short(value),
            Self::Int(value) => Value::Int(value),
            Self::Long(value) => Value::Long(value),
            Self::Double(value) => Value::Double(value),
            Self::Float(value) => Value::Float(value),
            Self::String(value) => Value::String(value.to_owned()),
            Self::Bytes(value) => Value::Bytes(value.to_vec()),
            Self::Map(entries) => Value::Map(entries.to_values()?),
            Self::List(items) => Value::List(items.to_values()?),
        })
    }
}

/// The entries of a map, read as they are iterated.
#[derive(Clone, Copy, Debug)]
pub struct Properties<'a> {
    input: Input<'a>,
    left: usize,
    limits: PrimitiveLimits,
}

impl<'a> Properties<'a> {
    pub fn empty(limits: PrimitiveLimits) -> Self {
        Self {
            input: Input::new(&[]),
            left: 0,
            limits,
        }
    }

    /// Reads the count; a null map has no entries.
    pub fn parse(bytes: &'a [u8], limits: PrimitiveLimits) -> Result<Self, Malformed> {
        let mut input = Input::new(bytes);
        let left = map_count(&mut input, limits)?;
        Ok(Self {
            input,
            left,
            limits,
        })
    }

    /// Entries not yet iterated.
    pub fn entries_left(&self) -> usize {
        self.left
    }

    /// The value of the first entry with this key.
    pub fn lookup(self, key: &str) -> Result<Option<ValueRef<'a>>, Malformed> {
        self.lookup_modified(&to_modified(key))
    }

    /// The value of the first entry with this key in modified UTF-8.
    pub fn lookup_modified(self, key: &[u8]) -> Result<Option<ValueRef<'a>>, Malformed> {
        for entry in self {
            let (name, value) = entry?;
            if name.as_bytes() == key {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// All entries, and nothing after them where this is the whole of a body.
    pub fn to_values(self) -> Result<Vec<(JavaString, Value)>, Malformed> {
        self.map(|entry| entry.and_then(|(key, value)| Ok((key.to_owned(), value.to_value()?))))
            .collect()
    }

    fn read_entry(&mut self) -> Result<(JavaStr<'a>, ValueRef<'a>), Malformed> {
        let length = usize::from(self.input.u16()?);
        check_limit("key", length, self.limits.value_bytes_max)?;
        let key = JavaStr::from_modified(self.input.take(length)?)?;
        Ok((key, read_value(&mut self.input, self.limits)?))
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Result<(JavaStr<'a>, ValueRef<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.read_entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

/// Tagged values back to back: a list, or the body of a stream message.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a> {
    input: Input<'a>,
    /// None for a stream, which ends with its bytes.
    left: Option<usize>,
    limits: PrimitiveLimits,
}

impl<'a> Items<'a> {
    /// The body of a stream message.
    pub fn stream(body: &'a [u8], limits: PrimitiveLimits) -> Self {
        Self {
            input: Input::new(body),
            left: None,
            limits,
        }
    }

    pub fn to_values(self) -> Result<Vec<Value>, Malformed> {
        self.map(|item| item.and_then(|value| value.to_value()))
            .collect()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<ValueRef<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.left {
            Some(left) => *left = left.checked_sub(1)?,
            None if self.input.remaining() == 0 => return None,
            None => {}
        }
        let item = read_value(&mut self.input, self.limits);
        if item.is_err() {
            self.left = Some(0);
        }
        Some(item)
    }
}

/// Decodes a whole map, which must fill `bytes`.
pub fn decode_map(
    bytes: &[u8],
    limits: PrimitiveLimits,
) -> Result<Vec<(JavaString, Value)>, Malformed> {
    let mut properties = Properties::parse(bytes, limits)?;
    let mut entries = Vec::new();
    for entry in properties.by_ref() {
        let (key, value) = entry?;
        entries.push((key.to_owned(), value.to_value()?));
    }
    match properties.input.remaining() {
        0 => Ok(entries),
        bytes => Err(Malformed::Trailing { bytes }),
    }
}

fn map_count(input: &mut Input<'_>, limits: PrimitiveLimits) -> Result<usize, Malformed> {
    let length = input.i32()?;
    if length == -1 {
        return Ok(0);
    }
    let count = usize::try_from(length).map_err(|_| Malformed::NegativeLength { length })?;
    check_limit("map entries", count, limits.entries_max)?;
    if count.saturating_mul(ENTRY_BYTES_MIN) > input.remaining() {
        return Err(Malformed::Truncated);
    }
    Ok(count)
}

/// Reads one value; nested maps and lists are walked once to find their end.
fn read_value<'a>(
    input: &mut Input<'a>,
    limits: PrimitiveLimits,
) -> Result<ValueRef<'a>, Malformed> {
    let bounded =
        |bytes: &'a [u8]| check_limit("value", bytes.len(), limits.value_bytes_max).map(|()| bytes);
    Ok(match input.u8()? {
        tag::NULL => ValueRef::Null,
        tag::BOOL => ValueRef::Bool(input.u8()? != 0),
        tag::BYTE => ValueRef::Byte(input.u8()?.cast_signed()),
        tag::CHAR => ValueRef::Char(input.u16()?),
        tag::SHORT => ValueRef::Short(input.i16()?),
        tag::INT => ValueRef::Int(input.i32()?),
        tag::LONG => ValueRef::Long(input.i64()?),
        tag::DOUBLE => ValueRef::Double(f64::from_bits(input.i64()?.cast_unsigned())),
        tag::FLOAT => ValueRef::Float(f32::from_bits(input.u32()?)),
        tag::STRING => {
            let length = usize::from(input.u16()?);
            let text = bounded(input.take(length)?)?;
            ValueRef::String(JavaStr::from_modified(text)?)
        }
        tag::BIG_STRING => {
            let text = bounded(input.sized_bytes()?)?;
            ValueRef::String(JavaStr::from_modified(text)?)
        }
        tag::BYTES => ValueRef::Bytes(bounded(input.sized_bytes()?)?),
        tag::MAP => {
            let limits = limits.inner()?;
            let left = map_count(input, limits)?;
            let entries = Properties {
                input: *input,
                left,
                limits,
            };
            let mut walk = entries;
            walk.try_for_each(|entry| entry.map(drop))?;
            *input = walk.input;
            ValueRef::Map(entries)
        }
        tag::LIST => {
            let limits = limits.inner()?;
            let left = input.length(1)?;
            check_limit("list items", left, limits.entries_max)?;
            let items = Items {
                input: *input,
                left: Some(left),
                limits,
            };
            let mut walk = items;
            walk.try_for_each(|item| item.map(drop))?;
            *input = walk.input;
            ValueRef::List(items)
        }
        tag => return Err(Malformed::PrimitiveTag { tag }),
    })
}

/// Appends a map.
pub fn encode_map(entries: &[(JavaString, Value)], out: &mut Vec<u8>) {
    out.extend((entries.len() as i32).to_be_bytes());
    for (key, value) in entries {
        put_short_text(key.as_java_str(), out);
        encode_value(value, out);
    }
}

/// Appends tagged values back to back, as the body of a stream message.
pub fn encode_stream(values: &[Value], out: &mut Vec<u8>) {
    for value in values {
        encode_value(value, out);
    }
}

fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(tag::NULL),
        Value::Bool(value) => out.extend([tag::BOOL, u8::from(*value)]),
        Value::Byte(value) => out.extend([tag::BYTE, value.cast_unsigned()]),
        Value::Char(value) => put(tag::CHAR, &value.to_be_bytes(), out),
        Value::Short(value) => put(tag::SHORT, &value.to_be_bytes(), out),
        Value::Int(value) => put(tag::INT, &value.to_be_bytes(), out),
        Value::Long(value) => put(tag::LONG, &value.to_be_bytes(), out),
        Value::Double(value) => put(tag::DOUBLE, &value.to_be_bytes(), out),
        Value::Float(value) => put(tag::FLOAT, &value.to_be_bytes(), out),
        Value::String(text) if text.as_java_str().utf16_length() < BIG_STRING_UNITS => {
            out.push(tag::STRING);
            put_short_text(text.as_java_str(), out);
        }
        Value::String(text) => {
            put(
                tag::BIG_STRING,
                &(text.as_bytes().len() as i32).to_be_bytes(),
                out,
            );
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            put(tag::BYTES, &(bytes.len() as i32).to_be_bytes(), out);
            out.extend_from_slice(bytes);
        }
        Value::Map(entries) => {
            out.push(tag::MAP);
            encode_map(entries, out);
        }
        Value::List(values) => {
            put(tag::LIST, &(values.len() as i32).to_be_bytes(), out);
            encode_stream(values, out);
        }
    }
}

fn put(tag: u8, data: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend_from_slice(data);
}

/// Text below [`BIG_STRING_UNITS`] always fits the length; keys longer than it are cut, since
/// no client can have sent one.
fn put_short_text(text: JavaStr<'_>, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut length = bytes.len().min(usize::from(u16::MAX));
    while length < bytes.len() && length > 0 && bytes[length] & 0xC0 == 0x80 {
        length -= 1;
    }
    out.extend((length as u16).to_be_bytes());
    out.extend_from_slice(bytes.split_at(length).0);
}
