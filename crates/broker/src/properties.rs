//! A message seen as named values, whatever language it is written in. Filters and the header
//! router look at messages only through this view; the gateway implements it per language.

/// A value of a property. Text and bytes borrow from the record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value<'a> {
    /// The property exists and holds nothing.
    Null,
    Bool(bool),
    /// An 8- or 16-bit integer: one dialect tells these from wider ones in comparisons.
    Short(i64),
    Int(i64),
    Long(i64),
    Float(f64),
    Double(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// A table, list or timestamp: present, and equal to nothing.
    Other,
}

/// The named values of one message.
pub trait Properties {
    /// The value of a property or of a field that its dialect names like one; `None` if absent.
    fn property(&self, name: &str) -> Option<Value<'_>>;
}

/// A message without properties.
impl Properties for () {
    fn property(&self, _name: &str) -> Option<Value<'_>> {
        None
    }
}
