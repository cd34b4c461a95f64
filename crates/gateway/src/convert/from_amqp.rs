//! AMQP's stored message, read into a [`Portable`].
//!
//! | AMQP | portable |
//! |---|---|
//! | body with a `text/*`, JSON or XML content type, in UTF-8 | text |
//! | any other body | bytes |
//! | message-id, correlation-id, type, user-id | message id, correlation id, kind, user |
//! | reply-to `amq.topic/key` | topic |
//! | any other reply-to | queue |
//! | delivery-mode, expiration | from the envelope |
//! | priority, timestamp, content-type, content-encoding | the same, if given |
//! | headers `JMSXGroupID`, `JMSXGroupSeq`, `KEYS` | group, group sequence, keys |
//! | app-id | property `JMSXAppID` |
//! | other headers | properties, integers by width, long strings as text if they are UTF-8 |
//!
//! Lost: cluster-id, the difference between byte arrays and long strings that are no UTF-8, the
//! sign of types that the other side does not have (an unsigned integer becomes the next wider
//! one), decimals (a double).

use std::borrow::Cow;

use amqp::properties::PropertiesRef;
use amqp::{BasicProperties, TableRef, ValueRef};
use broker::id::Millis;
use broker::record::Record;

use super::{Body, Portable, Reply, Scalar};

pub(super) const GROUP: &str = "JMSXGroupID";
pub(super) const GROUP_SEQUENCE: &str = "JMSXGroupSeq";
pub(super) const KEYS: &str = "KEYS";
pub(super) const APPLICATION: &str = "JMSXAppID";
/// A reply wanted on the topic address is written as its name, this, and the key.
pub(super) const TOPIC_PREFIX: &str = "amq.topic/";

/// Reads a record whose native bytes are AMQP's.
pub fn portable<'a>(record: &Record<'a>) -> Portable<'a> {
    let envelope = &record.envelope;
    let start = envelope.body.start as usize;
    let raw = record.native.get(..start).unwrap_or_default();
    let native = PropertiesRef::trusted(raw).to_properties();
    let mut portable = Portable {
        body: body(record.body(), &native),
        persistent: envelope.persistent,
        priority: native.priority,
        message_id: native.message_id.map(text),
        correlation_id: native.correlation_id.map(text),
        reply_to: native.reply_to.filter(|to| !to.is_empty()).map(reply),
        kind: native.kind.map(text),
        timestamp: native
            .timestamp
            .map(|seconds| Millis(seconds.saturating_mul(1000))),
        expires: envelope.expires,
        user: native.user_id.map(text),
        content_type: native.content_type.map(text),
        content_encoding: native.content_encoding.map(text),
        ..Portable::default()
    };
    if let Some(application) = native.app_id {
        portable
            .properties
            .push((APPLICATION.into(), Scalar::Text(text(application))));
    }
    for (name, value) in native.headers.unwrap_or_default().entries() {
        header(&mut portable, name, value);
    }
    portable
}

fn header<'a>(portable: &mut Portable<'a>, name: &'a [u8], value: ValueRef<'a>) {
    let name = text(name);
    match (&*name, value) {
        (GROUP, ValueRef::LongString(octets)) => portable.group = Some(text(octets)),
        (KEYS, ValueRef::LongString(octets)) => portable.keys = Some(text(octets)),
        (GROUP_SEQUENCE, value) if value.as_int().is_some_and(|n| i32::try_from(n).is_ok()) => {
            portable.group_sequence = value.as_int().map(|number| number as i32);
        }
        (_, value) => portable.properties.push((name, scalar(value))),
    }
}

fn text(octets: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(octets)
}

fn reply(to: &[u8]) -> Reply<'_> {
    match text(to) {
        Cow::Borrowed(to) => match to.strip_prefix(TOPIC_PREFIX) {
            Some(key) => Reply::Topic(key.into()),
            None => Reply::Queue(to.into()),
        },
        Cow::Owned(to) => Reply::Queue(to.into()),
    }
}

fn body<'a>(octets: &'a [u8], properties: &BasicProperties<'_>) -> Body<'a> {
    let content_type = properties.content_type.unwrap_or_default();
    let plain = match properties.content_encoding {
        None => true,
        Some(encoding) => [&b""[..], b"utf-8", b"utf8", b"identity"]
            .iter()
            .any(|known| encoding.eq_ignore_ascii_case(known)),
    };
    match str::from_utf8(octets) {
        Ok(text) if plain && is_text(content_type) => Body::Text(text.into()),
        Ok(_) | Err(_) => Body::Bytes(octets.into()),
    }
}

fn is_text(content_type: &[u8]) -> bool {
    let end = content_type
        .iter()
        .position(|octet| *octet == b';')
        .unwrap_or(content_type.len());
    let kind = content_type
        .get(..end)
        .unwrap_or_default()
        .trim_ascii()
        .to_ascii_lowercase();
    kind.starts_with(b"text/")
        || [&b"application/json"[..], b"application/xml"].contains(&kind.as_slice())
        || kind.ends_with(b"+json")
        || kind.ends_with(b"+xml")
}

fn scalar(value: ValueRef<'_>) -> Scalar<'_> {
    match value {
        ValueRef::Bool(value) => Scalar::Bool(value),
        ValueRef::I8(value) => Scalar::Byte(value),
        ValueRef::U8(value) => Scalar::Short(value.into()),
        ValueRef::I16(value) => Scalar::Short(value),
        ValueRef::U16(value) => Scalar::Int(value.into()),
        ValueRef::I32(value) => Scalar::Int(value),
        ValueRef::U32(value) => Scalar::Long(value.into()),
        ValueRef::I64(value) => Scalar::Long(value),
        ValueRef::F32(value) => Scalar::Float(value),
        ValueRef::F64(value) => Scalar::Double(value),
        ValueRef::Decimal { scale, value } => {
            Scalar::Double(f64::from(value) / 10_f64.powi(scale.into()))
        }
        ValueRef::LongString(octets) => match str::from_utf8(octets) {
            Ok(text) => Scalar::Text(text.into()),
            Err(_) => Scalar::Bytes(octets.into()),
        },
        ValueRef::Bytes(octets) => Scalar::Bytes(octets.into()),
        ValueRef::Timestamp(seconds) => Scalar::Timestamp(Millis(seconds.saturating_mul(1000))),
        ValueRef::Table(table) => Scalar::Map(entries(table)),
        ValueRef::Array(array) => Scalar::List(array.values().map(scalar).collect()),
        ValueRef::Void => Scalar::Null,
    }
}

fn entries<'a>(table: TableRef<'a>) -> Vec<(Cow<'a, str>, Scalar<'a>)> {
    table
        .entries()
        .map(|(name, value)| (text(name), scalar(value)))
        .collect()
}
