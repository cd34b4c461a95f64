//! A [`Portable`] written as RocketMQ's stored message, for delivery.
//!
//! | portable | RocketMQ |
//! |---|---|
//! | text | UTF-8 bytes |
//! | bytes, object | bytes |
//! | map, list | JSON text; bytes in it as base64 |
//! | key of the message | `TAGS` |
//! | name of the message | `UNIQ_KEY`, made from it: the same at every delivery |
//! | keys | `KEYS` |
//! | group | `__SHARDINGKEY` |
//! | correlation id | `CORRELATION_ID` |
//! | timestamp, else when it was received | born timestamp |
//! | message id, kind, reply-to, user, content type and encoding | `TROIKA_MESSAGE_ID` … |
//! | properties | properties, as texts |
//!
//! The properties of a message are one text of at most 32,767 bytes. What does not fit is left
//! out, the sender's last property first, then the translated ones, and `TROIKA_DROPPED` tells
//! how many. A name that RocketMQ reserves gets the prefix `TROIKA_`, so that no foreign message
//! is taken for a delayed or transactional one. A body beyond [`BODY_BYTES_MAX`] cannot be framed:
//! it is replaced by nothing, and `TROIKA_BODY_BYTES` tells its size.

use std::borrow::Cow;
use std::net::SocketAddr;

use broker::id::MessageRef;
use broker::record::Envelope;
use remoting::message::properties::{self, name};
use remoting::message::{PROPERTIES_BYTES_MAX, Record as Stored, UniqueKey, body_crc};

use super::{Body, Portable, Reply, Scalar, from_remoting};

/// The largest body that a frame holds beside headers and properties.
pub const BODY_BYTES_MAX: usize = 15 << 20;

/// Room kept for the marker of what was dropped.
const MARKER_BYTES: usize = 48;

const DROPPED: &str = "TROIKA_DROPPED";
const BODY_BYTES: &str = "TROIKA_BODY_BYTES";
const MESSAGE_ID: &str = "TROIKA_MESSAGE_ID";
const KIND: &str = "TROIKA_TYPE";
const REPLY_TO: &str = "TROIKA_REPLY_TO";
const USER: &str = "TROIKA_USER";
const CONTENT_TYPE: &str = "TROIKA_CONTENT_TYPE";
const CONTENT_ENCODING: &str = "TROIKA_CONTENT_ENCODING";
const GROUP_SEQUENCE: &str = "TROIKA_GROUP_SEQUENCE";

/// Where a message is read from.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub topic: &'a str,
    pub queue_id: i32,
    pub queue_offset: i64,
    pub message: MessageRef,
    /// The address that clients dial to ask for the message.
    pub host: SocketAddr,
}

/// Appends the message.
pub fn write(
    portable: &Portable<'_>,
    envelope: &Envelope<'_>,
    place: &Place<'_>,
    out: &mut Vec<u8>,
) {
    let mut text = Text::default();
    let unique = unique_key(place.message, place.host).to_string();
    text.add(name::UNIQ_KEY, &unique);
    text.add(name::TAGS, envelope.key);
    let body = body_bytes(&portable.body);
    let body = if body.len() > BODY_BYTES_MAX {
        text.add(BODY_BYTES, &body.len().to_string());
        Cow::Borrowed(&[][..])
    } else {
        body
    };
    translated(portable, &mut text);
    for (key, value) in &portable.properties {
        // The tag is the key of the message, whatever a property says.
        if key == name::TAGS {
            continue;
        }
        let value = scalar_text(value);
        if from_remoting::is_reserved(key) {
            text.add(&format!("TROIKA_{key}"), &value);
        } else {
            text.add(key, &value);
        }
    }
    let stored = Stored {
        body_crc: body_crc(&body),
        queue_id: place.queue_id,
        flag: 0,
        queue_offset: place.queue_offset,
        physical_offset: place.message.as_u64() as i64,
        sys_flag: 0,
        born_timestamp: portable.timestamp.unwrap_or(envelope.received).0 as i64,
        born_host: place.host,
        store_timestamp: envelope.received.0 as i64,
        store_host: place.host,
        reconsume_times: i32::try_from(envelope.attempts).unwrap_or(i32::MAX),
        prepared_transaction_offset: 0,
        body: &body,
        topic: place.topic,
        properties: &text.finish(),
    };
    // The lengths were kept above; a topic's name has at most 255 bytes everywhere.
    let written = stored.encode(out);
    debug_assert!(written.is_ok(), "{written:?}");
}

/// The id that a client shows for a message that no RocketMQ producer has named.
pub fn unique_key(message: MessageRef, host: SocketAddr) -> UniqueKey {
    let raw = message.as_u64();
    UniqueKey {
        ip: host.ip(),
        process: host.port(),
        class_loader: (raw >> 32) as i32,
        month_ms: raw as i32,
        counter: 0,
    }
}

fn translated(portable: &Portable<'_>, text: &mut Text) {
    let mut add = |key: &str, value: &Option<Cow<'_, str>>| {
        if let Some(value) = value {
            text.add(key, value);
        }
    };
    add(name::KEYS, &portable.keys);
    add(name::SHARDING_KEY, &portable.group);
    add(name::CORRELATION_ID, &portable.correlation_id);
    add(MESSAGE_ID, &portable.message_id);
    add(KIND, &portable.kind);
    add(USER, &portable.user);
    add(CONTENT_TYPE, &portable.content_type);
    add(CONTENT_ENCODING, &portable.content_encoding);
    if let Some(sequence) = portable.group_sequence {
        text.add(GROUP_SEQUENCE, &sequence.to_string());
    }
    match &portable.reply_to {
        None => {}
        Some(Reply::Queue(queue)) => text.add(REPLY_TO, &format!("queue://{queue}")),
        Some(Reply::Topic(topic)) => text.add(REPLY_TO, &format!("topic://{topic}")),
        Some(Reply::Address { address, key }) => {
            text.add(REPLY_TO, &format!("address://{address}/{key}"));
        }
    }
}

/// The properties text as it grows; what does not fit any more is counted.
#[derive(Default)]
struct Text {
    text: String,
    dropped: usize,
}

impl Text {
    fn add(&mut self, key: &str, value: &str) {
        // An empty pair does not exist on this wire, and none may contain its separators.
        let is_separator = |byte: u8| byte == 1 || byte == 2;
        if key.is_empty() || value.is_empty() {
            return;
        }
        let room = PROPERTIES_BYTES_MAX - MARKER_BYTES - self.text.len();
        if key.len() + value.len() + 2 > room
            || key.bytes().any(is_separator)
            || value.bytes().any(is_separator)
        {
            self.dropped += 1;
            return;
        }
        properties::append(&mut self.text, key, value);
    }

    fn finish(mut self) -> String {
        if self.dropped > 0 {
            properties::append(&mut self.text, DROPPED, &self.dropped.to_string());
        }
        self.text
    }
}

fn body_bytes<'b>(body: &'b Body<'_>) -> Cow<'b, [u8]> {
    match body {
        Body::None => Cow::Borrowed(&[]),
        Body::Text(text) => Cow::Borrowed(text.as_bytes()),
        Body::Bytes(bytes) | Body::Object(bytes) => Cow::Borrowed(bytes),
        Body::Map(members) => Cow::Owned(json_map(members).into_bytes()),
        Body::List(items) => Cow::Owned(json_list(items).into_bytes()),
    }
}

fn scalar_text<'s>(scalar: &'s Scalar<'_>) -> Cow<'s, str> {
    match scalar {
        Scalar::Null => Cow::Borrowed(""),
        Scalar::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Scalar::Byte(value) => value.to_string().into(),
        Scalar::Short(value) => value.to_string().into(),
        Scalar::Int(value) => value.to_string().into(),
        Scalar::Long(value) => value.to_string().into(),
        // By way of its text, so that 1.1 stays 1.1.
        Scalar::Float(value) => java_double(value.to_string().parse().unwrap_or(f64::NAN)).into(),
        Scalar::Double(value) => java_double(*value).into(),
        Scalar::Char(unit) => char::from_u32(u32::from(*unit))
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .to_string()
            .into(),
        Scalar::Text(text) => Cow::Borrowed(text),
        Scalar::Bytes(bytes) => base64(bytes).into(),
        Scalar::Map(members) => json_map(members).into(),
        Scalar::List(items) => json_list(items).into(),
        Scalar::Timestamp(at) => at.0.to_string().into(),
    }
}

fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let mut text = Vec::new();
    remoting::java::append_double(value, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

fn json_map(members: &[(Cow<'_, str>, Scalar<'_>)]) -> String {
    let mut out = String::from("{");
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json_text(key, &mut out);
        out.push(':');
        json_scalar(value, &mut out);
    }
    out.push('}');
    out
}

fn json_list(items: &[Scalar<'_>]) -> String {
    let mut out = String::from("[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json_scalar(item, &mut out);
    }
    out.push(']');
    out
}

fn json_scalar(scalar: &Scalar<'_>, out: &mut String) {
    match scalar {
        Scalar::Null => out.push_str("null"),
        Scalar::Bool(_) | Scalar::Byte(_) | Scalar::Short(_) | Scalar::Int(_) | Scalar::Long(_) => {
            out.push_str(&scalar_text(scalar));
        }
        Scalar::Float(value) if !value.is_finite() => out.push_str("null"),
        Scalar::Double(value) if !value.is_finite() => out.push_str("null"),
        Scalar::Float(_) | Scalar::Double(_) | Scalar::Timestamp(_) => {
            out.push_str(&scalar_text(scalar));
        }
        Scalar::Char(_) | Scalar::Text(_) | Scalar::Bytes(_) => {
            json_text(&scalar_text(scalar), out);
        }
        Scalar::Map(members) => out.push_str(&json_map(members)),
        Scalar::List(items) => out.push_str(&json_list(items)),
    }
}

fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => {
                out.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use broker::id::{Index, Millis, ShardId};

    use super::*;
    use crate::language;

    fn place() -> Place<'static> {
        Place {
            topic: "T",
            queue_id: 3,
            queue_offset: 5,
            message: MessageRef::new(ShardId::LOG, Index(9), 2),
            host: "127.0.0.1:10911".parse().unwrap(),
        }
    }

    fn written(portable: &Portable<'_>) -> Vec<u8> {
        let envelope = Envelope::new(language::AMQP, "T", "TagA", Millis(77));
        let mut out = Vec::new();
        write(portable, &envelope, &place(), &mut out);
        out
    }

    #[test]
    fn a_foreign_message_reads_as_one_of_rocketmq() {
        let portable = Portable {
            body: Body::Map(vec![
                ("a".into(), Scalar::Int(1)),
                (
                    "b".into(),
                    Scalar::List(vec![Scalar::Text("q\"".into()), Scalar::Null]),
                ),
                ("c".into(), Scalar::Bytes(Cow::Borrowed(b"hi!!"))),
            ]),
            keys: Some("k1 k2".into()),
            group: Some("g".into()),
            message_id: Some("ID:1".into()),
            properties: vec![
                ("n".into(), Scalar::Double(1.5)),
                ("DELAY".into(), Scalar::Text("3".into())),
                ("bad".into(), Scalar::Text("\u{1}".into())),
            ],
            ..Portable::default()
        };
        let bytes = written(&portable);
        let (stored, size) = Stored::decode(&bytes).unwrap();
        assert_eq!(size, bytes.len());
        assert_eq!(stored.body, br#"{"a":1,"b":["q\"",null],"c":"aGkhIQ=="}"#);
        assert_eq!(
            (stored.topic, stored.queue_id, stored.queue_offset),
            ("T", 3, 5)
        );
        let properties = stored.properties();
        for (key, value) in [
            ("TAGS", "TagA"),
            ("KEYS", "k1 k2"),
            ("__SHARDINGKEY", "g"),
            ("TROIKA_MESSAGE_ID", "ID:1"),
            ("n", "1.5"),
            ("TROIKA_DELAY", "3"),
            ("TROIKA_DROPPED", "1"),
            ("UNIQ_KEY", "7F0000012A9F00000000000090020000"),
        ] {
            assert_eq!(properties.get(key), Some(value), "{key}");
        }
        assert_eq!(properties.get("DELAY"), None);
        assert_eq!(bytes, written(&portable), "the same at every delivery");
    }

    #[test]
    fn properties_that_do_not_fit_are_dropped_and_counted() {
        let properties = (0..40)
            .map(|n| {
                (
                    format!("p{n}").into(),
                    Scalar::Text("x".repeat(1000).into()),
                )
            })
            .collect();
        let bytes = written(&Portable {
            properties,
            ..Portable::default()
        });
        let (stored, _) = Stored::decode(&bytes).unwrap();
        assert!(stored.properties.len() <= PROPERTIES_BYTES_MAX);
        assert!(stored.properties().get("p0").is_some());
        assert_eq!(stored.properties().get("p39"), None);
        let dropped: usize = stored.properties().get(DROPPED).unwrap().parse().unwrap();
        assert_eq!(
            stored
                .properties()
                .iter()
                .filter(|(k, _)| k.starts_with('p'))
                .count(),
            40 - dropped
        );
    }

    #[test]
    fn what_goes_out_and_comes_back_keeps_its_meaning() {
        let portable = Portable {
            body: Body::Text("hello".into()),
            correlation_id: Some("c".into()),
            timestamp: Some(Millis(5)),
            properties: vec![("own".into(), Scalar::Text("kept".into()))],
            ..Portable::default()
        };
        let native = written(&portable);
        let envelope = Envelope::new(language::REMOTING, "T", "TagA", Millis(77));
        let record = broker::record::Record {
            envelope,
            native: &native,
        };
        let back = from_remoting::portable(&record);
        assert_eq!(back.body, Body::Bytes(Cow::Borrowed(b"hello")));
        assert_eq!(back.correlation_id, portable.correlation_id);
        assert_eq!(back.timestamp, portable.timestamp);
        assert!(
            back.properties
                .contains(&("own".into(), Scalar::Text("kept".into())))
        );
        assert!(
            back.properties
                .contains(&("TAGS".into(), Scalar::Text("TagA".into())))
        );
    }
}
