//! Field tables as owned values, for tables that are built or changed here.

use std::fmt;

use crate::error::{SHORT_STRING_MAX, TooLong};
use crate::field::write_long;
use crate::table::ValueRef;

/// Up to 255 octets; UTF-8 by custom in table keys, unchecked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShortString(Box<[u8]>);

impl ShortString {
    /// Refuses more than 255 octets.
    pub fn new(octets: impl AsRef<[u8]>) -> Result<ShortString, TooLong> {
        let octets = octets.as_ref();
        if octets.len() > SHORT_STRING_MAX {
            return Err(TooLong {
                what: "short string",
                octets: octets.len(),
            });
        }
        Ok(ShortString(octets.into()))
    }

    /// A name written in our own source.
    ///
    /// # Panics
    ///
    /// If it is longer than 255 octets.
    #[must_use]
    pub fn literal(text: &'static str) -> ShortString {
        assert!(
            text.len() <= SHORT_STRING_MAX,
            "literal {text:?} is no short string"
        );
        ShortString(text.as_bytes().into())
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ShortString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// An owned field table, in order, with the keys as they came, equal ones included.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table(pub Vec<(ShortString, Value)>);

/// One owned value; the variants are those of [`ValueRef`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    Decimal { scale: u8, value: u32 },
    LongString(Vec<u8>),
    Bytes(Vec<u8>),
    Timestamp(u64),
    Table(Table),
    Array(Vec<Value>),
    Void,
}

impl Table {
    #[must_use]
    pub const fn new() -> Table {
        Table(Vec::new())
    }

    /// Appends an entry under a name of our own; for tables written out in source.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Table {
        self.0.push((ShortString::literal(key), value.into()));
        self
    }

    /// Appends an entry, whether or not the key is there already.
    pub fn push(&mut self, key: ShortString, value: Value) {
        self.0.push((key, value));
    }

    /// Replaces the first value under `key` where it stands, or appends one.
    pub fn set(&mut self, key: ShortString, value: Value) {
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Removes every entry under `key`; tells whether there was one.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> bool {
        let (key, before) = (key.as_ref(), self.0.len());
        self.0.retain(|(name, _)| name.as_bytes() != key);
        self.0.len() != before
    }

    /// The first value under `key`.
    #[must_use]
    pub fn find(&self, key: impl AsRef<[u8]>) -> Option<&Value> {
        let key = key.as_ref();
        self.0
            .iter()
            .find(|(name, _)| name.as_bytes() == key)
            .map(|(_, value)| value)
    }

    /// How deep tables and arrays nest, this one counting as 1.
    #[must_use]
    pub fn depth(&self) -> usize {
        1 + self
            .0
            .iter()
            .map(|(_, value)| value.depth())
            .max()
            .unwrap_or(0)
    }

    /// Appends the body, without its length: what [`crate::TableRef::parse`] reads.
    ///
    /// Whoever builds tables from foreign values keeps [`Table::depth`] within
    /// [`crate::table::TABLE_DEPTH_MAX`]; no peer of ours would read a deeper one back.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            // A short string holds at most 255 octets, so the cast keeps its length.
            out.push(key.as_bytes().len() as u8);
            out.extend_from_slice(key.as_bytes());
            value.encode(out);
        }
    }

    /// The body, without its length.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

impl Value {
    fn depth(&self) -> usize {
        match self {
            Value::Table(table) => table.depth(),
            Value::Array(values) => 1 + values.iter().map(Value::depth).max().unwrap_or(0),
            Value::Bool(_)
            | Value::I8(_)
            | Value::U8(_)
            | Value::I16(_)
            | Value::U16(_)
            | Value::I32(_)
            | Value::U32(_)
            | Value::I64(_)
            | Value::F32(_)
            | Value::F64(_)
            | Value::Decimal { .. }
            | Value::LongString(_)
            | Value::Bytes(_)
            | Value::Timestamp(_)
            | Value::Void => 0,
        }
    }

    /// Appends tag and value. `I64` is written as `l`, whichever of `l` and `L` it was read from.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Bool(value) => out.extend_from_slice(&[b't', u8::from(*value)]),
            Value::I8(value) => tagged(out, b'b', &value.to_be_bytes()),
            Value::U8(value) => tagged(out, b'B', &value.to_be_bytes()),
            Value::I16(value) => tagged(out, b's', &value.to_be_bytes()),
            Value::U16(value) => tagged(out, b'u', &value.to_be_bytes()),
            Value::I32(value) => tagged(out, b'I', &value.to_be_bytes()),
            Value::U32(value) => tagged(out, b'i', &value.to_be_bytes()),
            Value::I64(value) => tagged(out, b'l', &value.to_be_bytes()),
            Value::F32(value) => tagged(out, b'f', &value.to_be_bytes()),
            Value::F64(value) => tagged(out, b'd', &value.to_be_bytes()),
            Value::Decimal { scale, value } => {
                tagged(out, b'D', &[*scale]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::LongString(octets) => {
                out.push(b'S');
                write_long(out, |out| out.extend_from_slice(octets));
            }
            Value::Bytes(octets) => {
                out.push(b'x');
                write_long(out, |out| out.extend_from_slice(octets));
            }
            Value::Timestamp(seconds) => tagged(out, b'T', &seconds.to_be_bytes()),
            Value::Table(table) => {
                out.push(b'F');
                write_long(out, |out| table.encode(out));
            }
            Value::Array(values) => {
                out.push(b'A');
                write_long(out, |out| values.iter().for_each(|value| value.encode(out)));
            }
            Value::Void => out.push(b'V'),
        }
    }
}

fn tagged(out: &mut Vec<u8>, tag: u8, octets: &[u8]) {
    out.push(tag);
    out.extend_from_slice(octets);
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Value {
        value.to_value()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::LongString(text.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::LongString(text.into_bytes())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Value {
        Value::I32(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::I64(value)
    }
}

impl From<Table> for Value {
    fn from(table: Table) -> Value {
        Value::Table(table)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Value {
        Value::Array(values)
    }
}
