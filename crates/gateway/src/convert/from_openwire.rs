//! OpenWire's stored message, read into a [`Portable`].
//!
//! | OpenWire | portable |
//! |---|---|
//! | text | text |
//! | bytes | bytes |
//! | map | map |
//! | stream | list |
//! | object | object |
//! | message without a body, blob | none |
//! | JMSMessageID | message id |
//! | JMSCorrelationID, JMSType, JMSXUserID | correlation id, kind, user |
//! | JMSReplyTo a queue, a topic, a temporary topic | queue, topic, address |
//! | JMSXGroupID, JMSXGroupSeq | group, group sequence |
//! | JMSTimestamp, if not 0 | timestamp |
//! | delivery mode, priority, expiration | from the envelope |
//! | properties | properties, types kept |
//!
//! Caveat: a compressed body that is no zlib, or inflates to more than [`INFLATED_BYTES_MAX`], is
//! handed on as bytes, marked by the property `JMS_COMPRESSED`.

use std::borrow::Cow;

use broker::id::Millis;
use broker::record::Record;
use openwire::primitive::{Items, PrimitiveLimits, ValueRef};
use openwire::{DestinationKind, DestinationRef, JavaStr, MessageIdRef, MessageKind, MessageRef};

use super::{Body, Portable, Reply, Scalar};

/// The most that a compressed body may inflate to.
pub const INFLATED_BYTES_MAX: usize = 64 << 20;
/// Marks a body that is handed on compressed.
pub const COMPRESSED: &str = "JMS_COMPRESSED";

/// Reads a record whose native bytes are OpenWire's. One that cannot be read, which only a newer
/// version of ours could have written, becomes its bare bytes.
pub fn portable<'a>(record: &Record<'a>) -> Portable<'a> {
    let envelope = &record.envelope;
    let Ok(message) = MessageRef::parse(record.native) else {
        return Portable {
            body: Body::Bytes(Cow::Borrowed(record.body())),
            persistent: envelope.persistent,
            timestamp: Some(envelope.received),
            ..Portable::default()
        };
    };
    let mut properties = properties(&message);
    let body = body(&message, &mut properties);
    Portable {
        body,
        persistent: envelope.persistent,
        priority: Some(envelope.priority),
        message_id: message
            .message_id
            .map(|id| Cow::Owned(message_id_text(&id))),
        correlation_id: message.correlation_id.map(JavaStr::to_str),
        reply_to: message.reply_to.map(reply),
        kind: message.message_type.map(JavaStr::to_str),
        timestamp: u64::try_from(message.timestamp)
            .ok()
            .filter(|at| *at > 0)
            .map(Millis),
        expires: envelope.expires,
        user: message.user_id.map(JavaStr::to_str),
        group: message.group_id.map(JavaStr::to_str),
        group_sequence: message.group_id.map(|_| message.group_sequence),
        keys: None,
        content_type: None,
        content_encoding: None,
        properties,
    }
}

/// The JMSMessageID.
pub fn message_id_text(id: &MessageIdRef<'_>) -> String {
    MessageIdRef::to_owned(*id).to_string()
}

fn reply(destination: DestinationRef<'_>) -> Reply<'_> {
    let name = destination.physical_name.to_str();
    match destination.kind {
        DestinationKind::Queue | DestinationKind::TempQueue => Reply::Queue(name),
        DestinationKind::Topic => Reply::Topic(name),
        DestinationKind::TempTopic => Reply::Address {
            address: name,
            key: Cow::Borrowed(""),
        },
    }
}

type Members<'a> = Vec<(Cow<'a, str>, Scalar<'a>)>;

/// As many as can be read.
fn properties<'a>(message: &MessageRef<'a>) -> Members<'a> {
    let Ok(entries) = message.properties(PrimitiveLimits::default()) else {
        return Vec::new();
    };
    entries
        .map_while(Result::ok)
        .map(|(key, value)| (key.to_str(), scalar(value)))
        .collect()
}

fn body<'a>(message: &MessageRef<'a>, properties: &mut Members<'a>) -> Body<'a> {
    let plain = match message.plain_content(INFLATED_BYTES_MAX) {
        Ok(None) => return Body::None,
        Ok(Some(plain)) => plain,
        Err(_) => {
            properties.push((Cow::Borrowed(COMPRESSED), Scalar::Bool(true)));
            return Body::Bytes(Cow::Borrowed(message.content.unwrap_or_default()));
        }
    };
    let raw = match plain {
        Cow::Borrowed(plain) => return plain_body(message.kind, plain),
        Cow::Owned(inflated) => inflated,
    };
    // What was inflated belongs to nobody, so everything read from it is copied.
    owned_body(plain_body(message.kind, &raw))
}

fn plain_body(kind: MessageKind, plain: &[u8]) -> Body<'_> {
    let limits = PrimitiveLimits::default();
    let read = match kind {
        MessageKind::Text => {
            openwire::body::decode_text(plain).map(|text| Body::Text(text.to_str()))
        }
        MessageKind::Bytes => Ok(Body::Bytes(Cow::Borrowed(plain))),
        MessageKind::Object => Ok(Body::Object(Cow::Borrowed(plain))),
        MessageKind::Map => openwire::primitive::Properties::parse(plain, limits).and_then(|map| {
            map.map(|entry| entry.map(|(key, value)| (key.to_str(), scalar(value))))
                .collect::<Result<_, _>>()
                .map(Body::Map)
        }),
        MessageKind::Stream => Items::stream(plain, limits)
            .map(|item| item.map(scalar))
            .collect::<Result<_, _>>()
            .map(Body::List),
        MessageKind::Plain | MessageKind::Blob => Ok(Body::None),
    };
    read.unwrap_or(Body::Bytes(Cow::Borrowed(plain)))
}

fn scalar(value: ValueRef<'_>) -> Scalar<'_> {
    match value {
        ValueRef::Null => Scalar::Null,
        ValueRef::Bool(value) => Scalar::Bool(value),
        ValueRef::Byte(value) => Scalar::Byte(value),
        ValueRef::Char(value) => Scalar::Char(value),
        ValueRef::Short(value) => Scalar::Short(value),
        ValueRef::Int(value) => Scalar::Int(value),
        ValueRef::Long(value) => Scalar::Long(value),
        ValueRef::Double(value) => Scalar::Double(value),
        ValueRef::Float(value) => Scalar::Float(value),
        ValueRef::String(value) => Scalar::Text(value.to_str()),
        ValueRef::Bytes(value) => Scalar::Bytes(Cow::Borrowed(value)),
        ValueRef::Map(entries) => Scalar::Map(
            entries
                .map_while(Result::ok)
                .map(|(key, value)| (key.to_str(), scalar(value)))
                .collect(),
        ),
        ValueRef::List(items) => Scalar::List(items.map_while(Result::ok).map(scalar).collect()),
    }
}

fn owned_body<'a>(body: Body<'_>) -> Body<'a> {
    match body {
        Body::None => Body::None,
        Body::Text(text) => Body::Text(Cow::Owned(text.into_owned())),
        Body::Bytes(bytes) => Body::Bytes(Cow::Owned(bytes.into_owned())),
        Body::Object(bytes) => Body::Object(Cow::Owned(bytes.into_owned())),
        Body::Map(members) => Body::Map(owned_members(members)),
        Body::List(items) => Body::List(items.into_iter().map(owned).collect()),
    }
}

fn owned_members<'a>(members: Members<'_>) -> Members<'a> {
    members
        .into_iter()
        .map(|(key, value)| (Cow::Owned(key.into_owned()), owned(value)))
        .collect()
}

fn owned<'a>(scalar: Scalar<'_>) -> Scalar<'a> {
    match scalar {
        Scalar::Null => Scalar::Null,
        Scalar::Bool(value) => Scalar::Bool(value),
        Scalar::Byte(value) => Scalar::Byte(value),
        Scalar::Short(value) => Scalar::Short(value),
        Scalar::Int(value) => Scalar::Int(value),
        Scalar::Long(value) => Scalar::Long(value),
        Scalar::Float(value) => Scalar::Float(value),
        Scalar::Double(value) => Scalar::Double(value),
        Scalar::Char(value) => Scalar::Char(value),
        Scalar::Text(text) => Scalar::Text(Cow::Owned(text.into_owned())),
        Scalar::Bytes(bytes) => Scalar::Bytes(Cow::Owned(bytes.into_owned())),
        Scalar::Map(members) => Scalar::Map(owned_members(members)),
        Scalar::List(items) => Scalar::List(items.into_iter().map(owned).collect()),
        Scalar::Timestamp(at) => Scalar::Timestamp(at),
    }
}
