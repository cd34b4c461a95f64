//! One message across languages. What a language says is read into a [`Portable`] and written
//! from it: one module per direction, so that each table stands in one place. The tables are
//! documented in `docs/interop.md`; conversion is total, it never fails at delivery.
//!
//! Each `from_<wire>` module offers `pub fn portable<'a>(record: &Record<'a>) -> Portable<'a>`;
//! each `to_<wire>` module writes one for delivery.

pub mod from_amqp;
pub mod from_openwire;
pub mod from_remoting;
pub mod to_amqp;
pub mod to_openwire;
pub mod to_remoting;

use std::borrow::Cow;

use broker::id::Millis;
use broker::record::Record;

use crate::language;

/// A message in no language. What a language cannot hold is dropped by its writer, in a fixed
/// order and with a marker.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Portable<'a> {
    pub body: Body<'a>,
    pub persistent: bool,
    pub priority: Option<u8>,
    pub message_id: Option<Cow<'a, str>>,
    pub correlation_id: Option<Cow<'a, str>>,
    pub reply_to: Option<Reply<'a>>,
    /// What the application calls the kind of message.
    pub kind: Option<Cow<'a, str>>,
    pub timestamp: Option<Millis>,
    pub expires: Option<Millis>,
    pub user: Option<Cow<'a, str>>,
    /// Messages of one group keep their order: a JMS group, a sharding key.
    pub group: Option<Cow<'a, str>>,
    pub group_sequence: Option<i32>,
    /// RocketMQ's search keys, separated by spaces.
    pub keys: Option<Cow<'a, str>>,
    pub content_type: Option<Cow<'a, str>>,
    pub content_encoding: Option<Cow<'a, str>>,
    /// In the order of the original.
    pub properties: Vec<(Cow<'a, str>, Scalar<'a>)>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub enum Body<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Map(Vec<(Cow<'a, str>, Scalar<'a>)>),
    List(Vec<Scalar<'a>>),
    /// A serialized object of some runtime: bytes with a warning.
    Object(Cow<'a, [u8]>),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    Byte(i8),
    Short(i16),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Char(u16),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Map(Vec<(Cow<'a, str>, Scalar<'a>)>),
    List(Vec<Scalar<'a>>),
    Timestamp(Millis),
}

/// Where a reply is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    Queue(Cow<'a, str>),
    /// A key on the topic address.
    Topic(Cow<'a, str>),
    /// An address and a key.
    Address {
        address: Cow<'a, str>,
        key: Cow<'a, str>,
    },
}

/// Reads a record, whatever its language; one of an unknown language, which only a newer version
/// could have stored, becomes its bare bytes.
pub fn portable<'a>(record: &Record<'a>) -> Portable<'a> {
    match record.envelope.language {
        language::AMQP => from_amqp::portable(record),
        language::OPENWIRE => from_openwire::portable(record),
        language::REMOTING => from_remoting::portable(record),
        _ => Portable {
            body: Body::Bytes(Cow::Borrowed(record.body())),
            persistent: record.envelope.persistent,
            timestamp: Some(record.envelope.received),
            ..Portable::default()
        },
    }
}
