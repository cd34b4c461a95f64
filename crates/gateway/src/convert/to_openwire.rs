//! A [`Portable`] written as an OpenWire message, for delivery.
//!
//! | portable | OpenWire |
//! |---|---|
//! | text, none | text message, message without a body |
//! | bytes, object | bytes message |
//! | map | map message |
//! | list | stream message; maps and lists in it become maps and lists of the wire |
//! | message id | text of the MessageId; the rest of it names our record |
//! | correlation id, kind, user, group | JMSCorrelationID, JMSType, JMSXUserID, JMSXGroupID |
//! | reply to a queue, a topic | JMSReplyTo |
//! | reply to an address | property `TROIKA_REPLY_TO` |
//! | keys, content type and encoding | `KEYS`, `TROIKA_CONTENT_TYPE`, `TROIKA_CONTENT_ENCODING` |
//! | timestamp, else when it was received | JMSTimestamp |
//! | properties | properties, types kept; a timestamp is a long of milliseconds |
//!
//! A text that no string of this wire can hold is left out, and the property `TROIKA_DROPPED`
//! tells how many were.

use std::borrow::Cow;

use broker::id::MessageRef;
use broker::record::Envelope;
use openwire::primitive::{Value, encode_map, encode_stream};
use openwire::{
    BaseCommand, Destination, JavaString, Message, MessageId, MessageKind, ProducerId,
    TIGHT_STRING_BYTES_MAX,
};

use super::{Body, Portable, Reply, Scalar};

const DROPPED: &str = "TROIKA_DROPPED";
const REPLY_TO: &str = "TROIKA_REPLY_TO";
const CONTENT_TYPE: &str = "TROIKA_CONTENT_TYPE";
const CONTENT_ENCODING: &str = "TROIKA_CONTENT_ENCODING";
const KEYS: &str = "KEYS";

/// The producer of every message that no OpenWire producer has sent. With the message's own
/// number it is the same message at every delivery, which clients need to recognize copies.
pub const FOREIGN_PRODUCER: &str = "ID:troika-foreign";

/// The message, but for its destination and the fields of a delivery.
pub fn message<'a>(
    portable: &Portable<'a>,
    envelope: &Envelope<'_>,
    name: MessageRef,
) -> Message<'a> {
    let mut fields = Fields::default();
    let correlation_id = fields.text(&portable.correlation_id);
    let message_type = fields.text(&portable.kind);
    let user_id = fields.text(&portable.user);
    let group_id = fields.text(&portable.group);
    let text_view = fields.text(&portable.message_id);
    for (key, text) in [
        (KEYS, &portable.keys),
        (CONTENT_TYPE, &portable.content_type),
        (CONTENT_ENCODING, &portable.content_encoding),
    ] {
        if let Some(text) = text {
            fields.add(key, Value::String((&**text).into()));
        }
    }
    let reply_to = match &portable.reply_to {
        None => None,
        Some(Reply::Queue(queue)) => Some(Destination::queue(&**queue)),
        Some(Reply::Topic(topic)) => Some(Destination::topic(&**topic)),
        Some(Reply::Address { address, key }) if address.is_empty() => {
            Some(Destination::queue(&**key))
        }
        Some(Reply::Address { address, key }) => {
            fields.add(
                REPLY_TO,
                Value::String(format!("address://{address}/{key}").into()),
            );
            None
        }
    };
    for (key, scalar) in &portable.properties {
        fields.add(key, value(scalar));
    }
    let (kind, content) = content(&portable.body);
    let producer_id = ProducerId {
        connection_id: FOREIGN_PRODUCER.into(),
        value: 0,
        session_id: 0,
    };
    Message {
        base: BaseCommand::default(),
        kind,
        producer_id: Some(producer_id.clone()),
        message_id: Some(MessageId {
            text_view,
            producer_id: Some(producer_id),
            producer_sequence_id: name.as_u64().cast_signed(),
            broker_sequence_id: 0,
        }),
        group_id,
        group_sequence: portable.group_sequence.unwrap_or(0),
        correlation_id,
        persistent: portable.persistent,
        expiration: envelope.expires.map_or(0, |at| at.0.cast_signed()),
        priority: portable
            .priority
            .unwrap_or(envelope.priority)
            .min(9)
            .cast_signed(),
        reply_to,
        timestamp: portable
            .timestamp
            .unwrap_or(envelope.received)
            .0
            .cast_signed(),
        message_type,
        content,
        marshalled_properties: fields.finish(),
        user_id,
        ..Message::default()
    }
}

/// The properties as they grow.
#[derive(Default)]
struct Fields {
    properties: Vec<(JavaString, Value)>,
    dropped: i32,
}

impl Fields {
    /// A field of the message itself.
    fn text(&mut self, text: &Option<Cow<'_, str>>) -> Option<JavaString> {
        let text = JavaString::from(&**text.as_ref()?);
        if text.as_bytes().len() > TIGHT_STRING_BYTES_MAX {
            self.dropped += 1;
            return None;
        }
        Some(text)
    }

    fn add(&mut self, key: &str, value: Value) {
        let key = JavaString::from(key);
        if key.is_empty() || key.as_bytes().len() > TIGHT_STRING_BYTES_MAX {
            self.dropped += 1;
        } else {
            self.properties.push((key, value));
        }
    }

    fn finish<'a>(mut self) -> Option<Cow<'a, [u8]>> {
        if self.dropped > 0 {
            self.properties
                .push((DROPPED.into(), Value::Int(self.dropped)));
        }
        if self.properties.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        encode_map(&self.properties, &mut bytes);
        Some(Cow::Owned(bytes))
    }
}

fn content<'a>(body: &Body<'a>) -> (MessageKind, Option<Cow<'a, [u8]>>) {
    match body {
        Body::None => (MessageKind::Plain, None),
        Body::Text(text) => (
            MessageKind::Text,
            Some(Cow::Owned(openwire::body::encode_text(text))),
        ),
        Body::Bytes(bytes) | Body::Object(bytes) => (MessageKind::Bytes, Some(bytes.clone())),
        Body::Map(members) => {
            let mut bytes = Vec::new();
            encode_map(&entries(members), &mut bytes);
            (MessageKind::Map, Some(Cow::Owned(bytes)))
        }
        Body::List(items) => {
            let mut bytes = Vec::new();
            encode_stream(&items.iter().map(value).collect::<Vec<_>>(), &mut bytes);
            (MessageKind::Stream, Some(Cow::Owned(bytes)))
        }
    }
}

/// Keys that no map of this wire can hold are left out.
fn entries(members: &[(Cow<'_, str>, Scalar<'_>)]) -> Vec<(JavaString, Value)> {
    members
        .iter()
        .map(|(key, scalar)| (JavaString::from(&**key), value(scalar)))
        .filter(|(key, _)| key.as_bytes().len() <= TIGHT_STRING_BYTES_MAX)
        .collect()
}

fn value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Byte(value) => Value::Byte(*value),
        Scalar::Short(value) => Value::Short(*value),
        Scalar::Int(value) => Value::Int(*value),
        Scalar::Long(value) => Value::Long(*value),
        Scalar::Float(value) => Value::Float(*value),
        Scalar::Double(value) => Value::Double(*value),
        Scalar::Char(value) => Value::Char(*value),
        Scalar::Text(text) => Value::String((&**text).into()),
        Scalar::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Scalar::Map(members) => Value::Map(entries(members)),
        Scalar::List(items) => Value::List(items.iter().map(value).collect()),
        Scalar::Timestamp(at) => Value::Long(at.0.cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use broker::id::{Index, Millis, ShardId};
    use broker::record::Record;

    use super::*;
    use crate::convert::from_openwire;
    use crate::language;

    fn name() -> MessageRef {
        MessageRef::new(ShardId::LOG, Index(9), 2)
    }

    /// What our own clients would read of a foreign message, in the common form again.
    fn there_and_back(portable: &Portable<'_>, look: impl FnOnce(&Portable<'_>)) {
        let mut envelope = Envelope::new(language::AMQP, "", "q", Millis(77));
        envelope.persistent = portable.persistent;
        envelope.expires = portable.expires;
        envelope.priority = portable.priority.unwrap_or(4);
        let message = message(portable, &envelope, name());
        let mut native = Vec::new();
        let body = openwire::encode_canonical(&message, &mut native).unwrap();
        envelope.body = body.start as u32..body.end as u32;
        look(&from_openwire::portable(&Record {
            envelope,
            native: &native,
        }));
    }

    #[test]
    fn what_both_languages_have_survives() {
        let scalars = vec![
            ("null".into(), Scalar::Null),
            ("bool".into(), Scalar::Bool(true)),
            ("byte".into(), Scalar::Byte(-1)),
            ("short".into(), Scalar::Short(-2)),
            ("int".into(), Scalar::Int(3)),
            ("long".into(), Scalar::Long(i64::MIN)),
            ("float".into(), Scalar::Float(1.5)),
            ("double".into(), Scalar::Double(-0.1)),
            ("char".into(), Scalar::Char(0xD83D)),
            ("text".into(), Scalar::Text("a\0é😀".into())),
            ("bytes".into(), Scalar::Bytes(Cow::Borrowed(b"\x00\xFF"))),
            (
                "list".into(),
                Scalar::List(vec![Scalar::Int(1), Scalar::Null]),
            ),
            (
                "map".into(),
                Scalar::Map(vec![("k".into(), Scalar::Bool(false))]),
            ),
        ];
        let items = scalars.iter().map(|(_, scalar)| scalar.clone()).collect();
        for body in [
            Body::None,
            Body::Text("a\0é😀".into()),
            Body::Bytes(Cow::Borrowed(b"\x00\x01")),
            Body::Map(scalars.clone()),
            Body::List(items),
        ] {
            let portable = Portable {
                body,
                persistent: true,
                priority: Some(7),
                message_id: Some("ID:m".into()),
                correlation_id: Some("c".into()),
                reply_to: Some(Reply::Queue("r".into())),
                kind: Some("news".into()),
                timestamp: Some(Millis(5)),
                expires: Some(Millis(99)),
                user: Some("u".into()),
                group: Some("g".into()),
                group_sequence: Some(3),
                properties: scalars.clone(),
                ..Portable::default()
            };
            there_and_back(&portable, |back| assert_eq!(*back, portable));
        }
    }

    #[test]
    fn what_has_no_place_is_shown_as_a_property_or_counted() {
        let long = "x".repeat(40_000);
        let portable = Portable {
            body: Body::Object(Cow::Borrowed(b"obj")),
            reply_to: Some(Reply::Address {
                address: "ex".into(),
                key: "k".into(),
            }),
            correlation_id: Some(long.as_str().into()),
            keys: Some("k1".into()),
            content_type: Some("text/x".into()),
            properties: vec![
                (long.as_str().into(), Scalar::Int(1)),
                ("when".into(), Scalar::Timestamp(Millis(8))),
            ],
            ..Portable::default()
        };
        there_and_back(&portable, |back| {
            assert_eq!(back.body, Body::Bytes(Cow::Borrowed(b"obj")));
            assert_eq!((&back.correlation_id, &back.reply_to), (&None, &None));
            assert_eq!(back.timestamp, Some(Millis(77)), "when it was received");
            assert_eq!(
                back.message_id.as_deref(),
                Some(&*format!("{FOREIGN_PRODUCER}:0:0:{}", name().as_u64())),
                "named after our record"
            );
            let shown: Vec<_> = back
                .properties
                .iter()
                .map(|(key, value)| (&**key, value.clone()))
                .collect();
            assert_eq!(
                shown,
                [
                    ("KEYS", Scalar::Text("k1".into())),
                    ("TROIKA_CONTENT_TYPE", Scalar::Text("text/x".into())),
                    ("TROIKA_REPLY_TO", Scalar::Text("address://ex/k".into())),
                    ("when", Scalar::Long(8)),
                    ("TROIKA_DROPPED", Scalar::Int(2)),
                ]
            );
        });
    }
}
