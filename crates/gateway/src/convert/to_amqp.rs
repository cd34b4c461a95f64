//! A [`Portable`] written as AMQP's properties and body, for delivery.
//!
//! | portable | AMQP |
//! |---|---|
//! | text | UTF-8; content-type `text/plain`, content-encoding `utf-8`, if none is given |
//! | bytes | bytes |
//! | object | bytes; content-type `application/x-java-serialized-object` |
//! | map, list | JSON; content-type `application/json`; bytes in it as base64 |
//! | message id, correlation id, kind, user | message-id, correlation-id, type, user-id |
//! | reply to a queue; a topic; an address | reply-to: its name; `amq.topic/key`; `address/key` |
//! | persistent | delivery-mode 2, else 1 |
//! | expires | expiration: what was left when the broker took it, in ms |
//! | timestamp | timestamp, in whole seconds |
//! | group, group sequence, keys | headers `JMSXGroupID`, `JMSXGroupSeq`, `KEYS` |
//! | property `JMSXAppID` | app-id |
//! | properties | headers, types kept; a character as text, a timestamp in whole seconds |
//!
//! A field holds 255 bytes, the headers [`HEADERS_BYTES_MAX`], so that a content header fits the
//! smallest frame limit that clients negotiate in practice. What does not fit is left out, fields
//! first, then properties from the last on; the header `x-troika-dropped` names or counts it.

use std::borrow::Cow;

use amqp::error::SHORT_STRING_MAX;
use amqp::{BasicProperties, ShortString, Table, TableRef, Value};
use broker::id::Millis;
use broker::record::Envelope;

use super::from_amqp::{APPLICATION, GROUP, GROUP_SEQUENCE, KEYS, TOPIC_PREFIX};
use super::{Body, Portable, Reply, Scalar};

/// The most that headers may take.
pub const HEADERS_BYTES_MAX: usize = 64 << 10;
/// How deep maps and lists may nest within a header.
const DEPTH_MAX: usize = 32;

const DROPPED: &str = "x-troika-dropped";
const JSON: &str = "application/json";
const SERIALIZED: &str = "application/x-java-serialized-object";

/// A message in this language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written<'a> {
    /// Flag word and values.
    pub properties: Vec<u8>,
    pub body: Cow<'a, [u8]>,
}

/// Writes a message. Total: whatever it holds, something is written.
pub fn write<'p>(portable: &'p Portable<'_>, envelope: &Envelope<'_>) -> Written<'p> {
    let (body, default_type, default_encoding) = match &portable.body {
        Body::None => (Cow::Borrowed(&b""[..]), None, None),
        Body::Text(text) => (
            Cow::Borrowed(text.as_bytes()),
            Some("text/plain"),
            Some("utf-8"),
        ),
        Body::Bytes(bytes) => (Cow::Borrowed(&**bytes), None, None),
        Body::Object(bytes) => (Cow::Borrowed(&**bytes), Some(SERIALIZED), None),
        Body::Map(entries) => {
            let mut json = String::new();
            json_map(entries, &mut json);
            (Cow::Owned(json.into_bytes()), Some(JSON), Some("utf-8"))
        }
        Body::List(items) => {
            let mut json = String::new();
            json_list(items, &mut json);
            (Cow::Owned(json.into_bytes()), Some(JSON), Some("utf-8"))
        }
    };
    let mut dropped = Vec::new();
    let mut field = |name: &'static str, text: Option<Cow<'p, str>>| {
        let fits = text
            .as_ref()
            .is_none_or(|text| text.len() <= SHORT_STRING_MAX);
        if fits {
            return text;
        }
        dropped.push(name);
        None
    };
    let borrowed = |text: &'p Option<Cow<'_, str>>| text.as_deref().map(Cow::Borrowed);
    let content_type = field(
        "content-type",
        borrowed(&portable.content_type).or(default_type.map(Cow::Borrowed)),
    );
    let content_encoding = field(
        "content-encoding",
        borrowed(&portable.content_encoding).or(default_encoding.map(Cow::Borrowed)),
    );
    let correlation_id = field("correlation-id", borrowed(&portable.correlation_id));
    let reply_to = field("reply-to", portable.reply_to.as_ref().map(reply));
    let message_id = field("message-id", borrowed(&portable.message_id));
    let kind = field("type", borrowed(&portable.kind));
    let user_id = field("user-id", borrowed(&portable.user));
    let application = portable
        .properties
        .iter()
        .find_map(|(name, value)| match value {
            Scalar::Text(text) if name == APPLICATION => Some(Cow::Borrowed(&**text)),
            _ => None,
        });
    let app_id = field("app-id", application);
    let expiration = portable
        .expires
        .map(|at| at.since(envelope.received).to_string());
    let headers = headers(portable, &dropped).to_bytes();
    fn octets<'t>(text: &'t Option<Cow<'_, str>>) -> Option<&'t [u8]> {
        text.as_deref().map(str::as_bytes)
    }
    let properties = BasicProperties {
        content_type: octets(&content_type),
        content_encoding: octets(&content_encoding),
        headers: TableRef::parse(&headers)
            .ok()
            .filter(|table| !table.is_empty()),
        delivery_mode: Some(if portable.persistent { 2 } else { 1 }),
        priority: portable.priority,
        correlation_id: octets(&correlation_id),
        reply_to: octets(&reply_to),
        expiration: expiration.as_ref().map(String::as_bytes),
        message_id: octets(&message_id),
        timestamp: portable.timestamp.map(seconds),
        kind: octets(&kind),
        user_id: octets(&user_id),
        app_id: octets(&app_id),
        cluster_id: None,
    };
    // Every text was measured above, so this holds.
    let properties = properties.to_bytes().unwrap_or_else(|_| vec![0, 0]);
    Written { properties, body }
}

fn seconds(at: Millis) -> u64 {
    at.0 / 1000
}

fn reply<'p>(reply: &'p Reply<'_>) -> Cow<'p, str> {
    match reply {
        Reply::Queue(name) => Cow::Borrowed(name),
        Reply::Topic(key) => Cow::Owned(format!("{TOPIC_PREFIX}{key}")),
        Reply::Address { address, key } => Cow::Owned(format!("{address}/{key}")),
    }
}

fn headers(portable: &Portable<'_>, fields_dropped: &[&str]) -> Table {
    let mut table = Table::new();
    let mut bytes = 0;
    let mut properties_dropped = 0_usize;
    let mut push = |name: &str, value: Value| {
        let Ok(key) = ShortString::new(name) else {
            properties_dropped += 1;
            return;
        };
        let mut size = Vec::new();
        value.encode(&mut size);
        if bytes + size.len() + name.len() + 1 > HEADERS_BYTES_MAX {
            properties_dropped += 1;
            return;
        }
        bytes += size.len() + name.len() + 1;
        table.push(key, value);
    };
    if let Some(group) = &portable.group {
        push(GROUP, Value::from(&**group));
    }
    if let Some(number) = portable.group_sequence {
        push(GROUP_SEQUENCE, Value::I32(number));
    }
    if let Some(keys) = &portable.keys {
        push(KEYS, Value::from(&**keys));
    }
    for (name, property) in &portable.properties {
        let is_field = name == APPLICATION && matches!(property, Scalar::Text(_));
        if !is_field {
            push(name, value(property, 0));
        }
    }
    let mut words: Vec<_> = fields_dropped
        .iter()
        .map(|field| (*field).to_owned())
        .collect();
    if properties_dropped > 0 {
        words.push(format!("{properties_dropped} properties"));
    }
    if !words.is_empty() {
        table.push(ShortString::literal(DROPPED), words.join(", ").into());
    }
    table
}

fn value(scalar: &Scalar<'_>, depth: usize) -> Value {
    match scalar {
        Scalar::Null => Value::Void,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Byte(value) => Value::I8(*value),
        Scalar::Short(value) => Value::I16(*value),
        Scalar::Int(value) => Value::I32(*value),
        Scalar::Long(value) => Value::I64(*value),
        Scalar::Float(value) => Value::F32(*value),
        Scalar::Double(value) => Value::F64(*value),
        Scalar::Char(unit) => Value::from(character(*unit)),
        Scalar::Text(text) => Value::from(&**text),
        Scalar::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Scalar::Timestamp(at) => Value::Timestamp(seconds(*at)),
        Scalar::Map(_) | Scalar::List(_) if depth >= DEPTH_MAX => Value::Void,
        Scalar::Map(entries) => {
            let mut table = Table::new();
            for (name, entry) in entries {
                if let Ok(key) = ShortString::new(name.as_bytes()) {
                    table.push(key, value(entry, depth + 1));
                }
            }
            Value::Table(table)
        }
        Scalar::List(items) => {
            Value::Array(items.iter().map(|item| value(item, depth + 1)).collect())
        }
    }
}

fn character(unit: u16) -> String {
    char::from_u32(unit.into())
        .unwrap_or(char::REPLACEMENT_CHARACTER)
        .to_string()
}

fn json_map(entries: &[(Cow<'_, str>, Scalar<'_>)], out: &mut String) {
    out.push('{');
    for (at, (name, entry)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json_text(name, out);
        out.push(':');
        json(entry, out);
    }
    out.push('}');
}

fn json_list(items: &[Scalar<'_>], out: &mut String) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        json(item, out);
    }
    out.push(']');
}

fn json(scalar: &Scalar<'_>, out: &mut String) {
    let number = |value: f64, text: String| {
        if value.is_finite() {
            text
        } else {
            "null".into()
        }
    };
    match scalar {
        Scalar::Null => out.push_str("null"),
        Scalar::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Scalar::Byte(value) => out.push_str(&value.to_string()),
        Scalar::Short(value) => out.push_str(&value.to_string()),
        Scalar::Int(value) => out.push_str(&value.to_string()),
        Scalar::Long(value) => out.push_str(&value.to_string()),
        Scalar::Float(value) => out.push_str(&number(f64::from(*value), format!("{value:?}"))),
        Scalar::Double(value) => out.push_str(&number(*value, format!("{value:?}"))),
        Scalar::Char(unit) => json_text(&character(*unit), out),
        Scalar::Text(text) => json_text(text, out),
        Scalar::Bytes(bytes) => json_text(&base64(bytes), out),
        Scalar::Map(entries) => json_map(entries, out),
        Scalar::List(items) => json_list(items, out),
        Scalar::Timestamp(at) => out.push_str(&at.to_string()),
    }
}

fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let octet = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for at in 0..4 {
            let shown = at <= chunk.len();
            let index = (bits >> (18 - 6 * at)) & 63;
            text.push(if shown {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use amqp::PropertiesRef;
    use broker::record::Record;

    use super::super::from_amqp;
    use super::*;
    use crate::language::AMQP;

    fn sample() -> Portable<'static> {
        Portable {
            body: Body::Text("grüße".into()),
            persistent: true,
            priority: Some(7),
            message_id: Some("id".into()),
            correlation_id: Some("corr".into()),
            reply_to: Some(Reply::Topic("a.b".into())),
            kind: Some("kind".into()),
            timestamp: Some(Millis(5_000)),
            expires: Some(Millis(61_000)),
            user: Some("guest".into()),
            group: Some("g".into()),
            group_sequence: Some(3),
            keys: Some("k1 k2".into()),
            content_type: Some("text/plain".into()),
            content_encoding: Some("utf-8".into()),
            properties: vec![
                ("JMSXAppID".into(), Scalar::Text("app".into())),
                ("bool".into(), Scalar::Bool(true)),
                ("byte".into(), Scalar::Byte(-1)),
                ("short".into(), Scalar::Short(-2)),
                ("int".into(), Scalar::Int(-3)),
                ("long".into(), Scalar::Long(-4)),
                ("float".into(), Scalar::Float(1.5)),
                ("double".into(), Scalar::Double(2.5)),
                ("text".into(), Scalar::Text("t".into())),
                ("bytes".into(), Scalar::Bytes(vec![0, 255].into())),
                ("null".into(), Scalar::Null),
                (
                    "list".into(),
                    Scalar::List(vec![Scalar::Int(1), Scalar::Text("x".into())]),
                ),
                (
                    "map".into(),
                    Scalar::Map(vec![("y".into(), Scalar::Bool(false))]),
                ),
            ],
        }
    }

    fn envelope(written: &Written<'_>) -> Envelope<'static> {
        let start = written.properties.len() as u32;
        Envelope {
            persistent: true,
            expires: Some(Millis(61_000)),
            body: start..start + written.body.len() as u32,
            ..Envelope::new(AMQP, "", "q", Millis(1_000))
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sample = sample();
        let written = write(&sample, &Envelope::new(AMQP, "", "q", Millis(1_000)));
        let properties = PropertiesRef::parse(&written.properties).unwrap();
        assert_eq!(properties.expiration(), Some(&b"60000"[..]));
        let native = [&written.properties[..], &written.body].concat();
        let record = Record {
            envelope: envelope(&written),
            native: &native,
        };
        assert_eq!(from_amqp::portable(&record), sample);
    }

    #[test]
    fn maps_and_lists_become_json() {
        let entries = vec![
            ("a\"\n".into(), Scalar::Int(1)),
            ("b".into(), Scalar::Bytes(vec![1, 2, 3, 4].into())),
            (
                "c".into(),
                Scalar::List(vec![Scalar::Double(f64::NAN), Scalar::Float(0.5)]),
            ),
            ("d".into(), Scalar::Char(0x61)),
        ];
        let portable = Portable {
            body: Body::Map(entries),
            ..Portable::default()
        };
        let written = write(&portable, &Envelope::new(AMQP, "", "q", Millis(0)));
        let json = str::from_utf8(&written.body).unwrap();
        assert_eq!(json, r#"{"a\"\n":1,"b":"AQIDBA==","c":[null,0.5],"d":"a"}"#);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let long = "x".repeat(256);
        let large = "y".repeat(HEADERS_BYTES_MAX);
        let portable = Portable {
            message_id: Some(long.as_str().into()),
            properties: vec![
                ("large".into(), Scalar::Text(large.as_str().into())),
                ("small".into(), Scalar::Int(1)),
                (long.as_str().into(), Scalar::Int(2)),
            ],
            ..Portable::default()
        };
        let written = write(&portable, &Envelope::new(AMQP, "", "q", Millis(0)));
        let properties = PropertiesRef::parse(&written.properties)
            .unwrap()
            .to_properties();
        let expected = Table::new()
            .with("small", 1)
            .with("x-troika-dropped", "message-id, 2 properties");
        assert_eq!(properties.headers.unwrap().to_table(), expected);
        assert_eq!(properties.message_id, None);
    }
}
