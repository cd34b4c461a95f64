//! Field tables as they lie on the wire: checked once, then walked without an allocation.
//!
//! A table body is a run of (short string key, tagged value). The order is the sender's and is
//! kept; of equal keys the first counts.

use std::fmt;

use crate::error::FieldFault;
use crate::reader::Reader;
use crate::value::{ShortString, Table, Value};

/// How deep tables and arrays may nest, the outermost counting as 1. RabbitMQ has no limit; its own
/// deepest table (`x-death`) needs 4.
pub const TABLE_DEPTH_MAX: usize = 64;

/// A well-formed field table: its body without the length in front.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct TableRef<'a> {
    body: &'a [u8],
}

/// A well-formed array of field values: its body without the length in front.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ArrayRef<'a> {
    body: &'a [u8],
}

/// One value of a table or an array. The variants are RabbitMQ's types, not the ones of the 0-9-1
/// text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// `t`; any octet but 0 is true.
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, and `L`, which RabbitMQ reads the same way.
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` with `scale` decimal places.
    Decimal { scale: u8, value: u32 },
    /// `S`: text by custom, any octets by right.
    LongString(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `F`
    Table(TableRef<'a>),
    /// `A`
    Array(ArrayRef<'a>),
    /// `V`
    Void,
}

impl<'a> TableRef<'a> {
    /// The table without entries.
    pub const EMPTY: TableRef<'static> = TableRef { body: &[] };

    /// Checks a table body (without its length) to its last octet.
    pub fn parse(body: &'a [u8]) -> Result<TableRef<'a>, FieldFault> {
        check_table(body, 1)?;
        Ok(TableRef { body })
    }

    /// The body, without its length.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.body
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// Keys and values in the sender's order.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        Entries {
            reader: Reader::new(self.body),
        }
    }

    /// The first value under `key`.
    #[must_use]
    pub fn find(&self, key: impl AsRef<[u8]>) -> Option<ValueRef<'a>> {
        let key = key.as_ref();
        self.entries()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// An owned copy.
    #[must_use]
    pub fn to_table(&self) -> Table {
        let own = |(key, value): (&[u8], ValueRef<'_>)| {
            // A key read from the wire has at most 255 octets.
            ShortString::new(key)
                .ok()
                .map(|key| (key, value.to_value()))
        };
        Table(self.entries().filter_map(own).collect())
    }

    pub(crate) fn assume_checked(body: &'a [u8]) -> TableRef<'a> {
        TableRef { body }
    }
}

impl fmt::Debug for TableRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readable = |(key, value)| (String::from_utf8_lossy(key), value);
        f.debug_map().entries(self.entries().map(readable)).finish()
    }
}

impl<'a> ArrayRef<'a> {
    /// The values in the sender's order.
    #[must_use]
    pub fn values(&self) -> Values<'a> {
        Values {
            reader: Reader::new(self.body),
        }
    }

    /// The body, without its length.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.body
    }
}

impl fmt::Debug for ArrayRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

impl<'a> ValueRef<'a> {
    /// The number, for every integer type of any width; `None` for all else, timestamps included.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            ValueRef::I8(value) => Some(value.into()),
            ValueRef::U8(value) => Some(value.into()),
            ValueRef::I16(value) => Some(value.into()),
            ValueRef::U16(value) => Some(value.into()),
            ValueRef::I32(value) => Some(value.into()),
            ValueRef::U32(value) => Some(value.into()),
            ValueRef::I64(value) => Some(value),
            ValueRef::Bool(_)
            | ValueRef::F32(_)
            | ValueRef::F64(_)
            | ValueRef::Decimal { .. }
            | ValueRef::LongString(_)
            | ValueRef::Bytes(_)
            | ValueRef::Timestamp(_)
            | ValueRef::Table(_)
            | ValueRef::Array(_)
            | ValueRef::Void => None,
        }
    }

    /// The octets of a long string (`S`), of nothing else.
    #[must_use]
    pub fn as_long_string(&self) -> Option<&'a [u8]> {
        if let ValueRef::LongString(octets) = *self {
            Some(octets)
        } else {
            None
        }
    }

    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let ValueRef::Bool(value) = *self {
            Some(value)
        } else {
            None
        }
    }

    #[must_use]
    pub fn as_table(&self) -> Option<TableRef<'a>> {
        if let ValueRef::Table(table) = *self {
            Some(table)
        } else {
            None
        }
    }

    #[must_use]
    pub fn as_array(&self) -> Option<ArrayRef<'a>> {
        if let ValueRef::Array(array) = *self {
            Some(array)
        } else {
            None
        }
    }

    /// RabbitMQ's word for the type, as its error texts use it.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            ValueRef::Bool(_) => "bool",
            ValueRef::I8(_) => "byte",
            ValueRef::U8(_) => "unsignedbyte",
            ValueRef::I16(_) => "short",
            ValueRef::U16(_) => "unsignedshort",
            ValueRef::I32(_) => "signedint",
            ValueRef::U32(_) => "unsignedint",
            ValueRef::I64(_) => "long",
            ValueRef::F32(_) => "float",
            ValueRef::F64(_) => "double",
            ValueRef::Decimal { .. } => "decimal",
            ValueRef::LongString(_) => "longstr",
            ValueRef::Bytes(_) => "binary",
            ValueRef::Timestamp(_) => "timestamp",
            ValueRef::Table(_) => "table",
            ValueRef::Array(_) => "array",
            ValueRef::Void => "void",
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match *self {
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::I8(value) => Value::I8(value),
            ValueRef::U8(value) => Value::U8(value),
            ValueRef::I16(value) => Value::I16(value),
            ValueRef::U16(value) => Value::U16(value),
            ValueRef::I32(value) => Value::I32(value),
            ValueRef::U32(value) => Value::U32(value),
            ValueRef::I64(value) => Value::I64(value),
            ValueRef::F32(value) => Value::F32(value),
            ValueRef::F64(value) => Value::F64(value),
            ValueRef::Decimal { scale, value } => Value::Decimal { scale, value },
            ValueRef::LongString(octets) => Value::LongString(octets.to_vec()),
            ValueRef::Bytes(octets) => Value::Bytes(octets.to_vec()),
            ValueRef::Timestamp(seconds) => Value::Timestamp(seconds),
            ValueRef::Table(table) => Value::Table(table.to_table()),
            ValueRef::Array(array) => {
                Value::Array(array.values().map(|value| value.to_value()).collect())
            }
            ValueRef::Void => Value::Void,
        }
    }
}

/// Walks a table. See [`TableRef::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.reader.short().ok()?;
        let value = read_value(&mut self.reader).ok()?;
        Some((key, value))
    }
}

/// Walks an array. See [`ArrayRef::values`].
#[derive(Clone, Debug)]
pub struct Values<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Values<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        read_value(&mut self.reader).ok()
    }
}

/// Reads one value; what is nested in it stays unread.
fn read_value<'a>(reader: &mut Reader<'a>) -> Result<ValueRef<'a>, FieldFault> {
    let value = match reader.u8()? {
        b't' => ValueRef::Bool(reader.u8()? != 0),
        b'b' => ValueRef::I8(reader.array().map(i8::from_be_bytes)?),
        b'B' => ValueRef::U8(reader.u8()?),
        b's' => ValueRef::I16(reader.array().map(i16::from_be_bytes)?),
        b'u' => ValueRef::U16(reader.u16()?),
        b'I' => ValueRef::I32(reader.array().map(i32::from_be_bytes)?),
        b'i' => ValueRef::U32(reader.u32()?),
        b'l' | b'L' => ValueRef::I64(reader.array().map(i64::from_be_bytes)?),
        b'f' => ValueRef::F32(reader.array().map(f32::from_be_bytes)?),
        b'd' => ValueRef::F64(reader.array().map(f64::from_be_bytes)?),
        b'D' => ValueRef::Decimal {
            scale: reader.u8()?,
            value: reader.u32()?,
        },
        b'S' => ValueRef::LongString(reader.long()?),
        b'x' => ValueRef::Bytes(reader.long()?),
        b'T' => ValueRef::Timestamp(reader.u64()?),
        b'F' => ValueRef::Table(TableRef {
            body: reader.long()?,
        }),
        b'A' => ValueRef::Array(ArrayRef {
            body: reader.long()?,
        }),
        b'V' => ValueRef::Void,
        tag => return Err(FieldFault::UnknownTag(tag)),
    };
    Ok(value)
}

fn check_table(body: &[u8], depth: usize) -> Result<(), FieldFault> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        reader.short()?;
        check_value(&mut reader, depth)?;
    }
    Ok(())
}

fn check_array(body: &[u8], depth: usize) -> Result<(), FieldFault> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        check_value(&mut reader, depth)?;
    }
    Ok(())
}

/// Checks one value that stands in a table or array at `depth`. The limit also bounds this
/// recursion.
fn check_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), FieldFault> {
    let value = read_value(reader)?;
    if let ValueRef::Table(table) = value {
        check_table(table.body, deeper(depth)?)?;
    } else if let ValueRef::Array(array) = value {
        check_array(array.body, deeper(depth)?)?;
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, FieldFault> {
    if depth < TABLE_DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(FieldFault::TooDeep)
    }
}
