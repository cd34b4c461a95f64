//! A message of this language seen as named values: its properties, and its header fields under
//! the names that selectors give them.

use std::cell::OnceCell;

use broker::properties::{Properties, Value};
use broker::record::Record;
use openwire::primitive::{PrimitiveLimits, ValueRef};
use openwire::{DestinationRef, JavaStr, MessageRef};

use crate::convert::from_openwire::message_id_text;

/// The connection that sent a message; no identifier of a selector can be spelled like it.
pub const SENDER: &str = "@connection";

/// Shows a record of this language.
pub fn with_properties(record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
    look(&View::new(record.native));
}

/// Reads the message when it is first asked something: most routes ask nothing.
pub(crate) struct View<'a> {
    native: &'a [u8],
    message: OnceCell<Option<MessageRef<'a>>>,
    made: Made,
}

/// Texts that are not in the message as they are shown: the few of one evaluation.
#[derive(Default)]
struct Made([OnceCell<Box<str>>; Made::TEXTS_MAX]);

impl Made {
    const TEXTS_MAX: usize = 8;

    fn keep(&self, text: String) -> Value<'_> {
        let mut text: Box<str> = text.into();
        for place in &self.0 {
            match place.set(text) {
                Ok(()) => return place.get().map_or(Value::Other, |text| Value::Text(text)),
                Err(back) => text = back,
            }
        }
        Value::Other
    }
}

impl<'a> View<'a> {
    pub fn new(native: &'a [u8]) -> View<'a> {
        View {
            native,
            message: OnceCell::new(),
            made: Made::default(),
        }
    }

    fn text(&self, text: JavaStr<'a>) -> Value<'_> {
        match text.as_str() {
            Some(text) => Value::Text(text),
            None => self.made.keep(text.to_str().into_owned()),
        }
    }

    fn optional(&self, text: Option<JavaStr<'a>>) -> Option<Value<'_>> {
        text.map(|text| self.text(text))
    }

    fn qualified(&self, destination: Option<DestinationRef<'a>>) -> Option<Value<'_>> {
        destination.map(|named| self.made.keep(named.to_owned().to_string()))
    }

    fn header(&self, message: &MessageRef<'a>, name: &str) -> Option<Value<'_>> {
        let int = |value: i32| Some(Value::Int(i64::from(value)));
        match name {
            "JMSDestination" => {
                self.qualified(message.original_destination.or(message.destination))
            }
            "JMSReplyTo" => self.qualified(message.reply_to),
            "JMSDeliveryMode" => Some(Value::Text(if message.persistent {
                "PERSISTENT"
            } else {
                "NON_PERSISTENT"
            })),
            "JMSPriority" => int(i32::from(message.priority)),
            "JMSXGroupSeq" => int(message.group_sequence),
            "JMSXDeliveryCount" => int(message.redelivery_counter.saturating_add(1)),
            "JMSTimestamp" => Some(Value::Long(message.timestamp)),
            "JMSExpiration" => Some(Value::Long(message.expiration)),
            "JMSActiveMQBrokerInTime" => Some(Value::Long(message.broker_in_time)),
            "JMSActiveMQBrokerOutTime" => Some(Value::Long(message.broker_out_time)),
            "JMSMessageID" => message
                .message_id
                .map(|id| self.made.keep(message_id_text(&id))),
            "JMSCorrelationID" => self.optional(message.correlation_id),
            "JMSType" => self.optional(message.message_type),
            "JMSXGroupID" => self.optional(message.group_id),
            "JMSXUserID" => self.optional(message.user_id),
            "JMSRedelivered" => Some(Value::Bool(message.redelivery_counter > 0)),
            SENDER => self.optional(message.producer_id.map(|id| id.connection_id)),
            _ => None,
        }
    }
}

impl Properties for View<'_> {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        let message = self
            .message
            .get_or_init(|| MessageRef::parse(self.native).ok())
            .as_ref()?;
        if let Some(value) = self.header(message, name) {
            return Some(value);
        }
        let properties = message.properties(PrimitiveLimits::default()).ok()?;
        Some(match properties.lookup(name).ok()?? {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(value) => Value::Bool(value),
            ValueRef::Byte(value) => Value::Short(i64::from(value)),
            ValueRef::Short(value) => Value::Short(i64::from(value)),
            ValueRef::Int(value) => Value::Int(i64::from(value)),
            ValueRef::Long(value) => Value::Long(value),
            ValueRef::Float(value) => Value::Float(f64::from(value)),
            ValueRef::Double(value) => Value::Double(value),
            ValueRef::String(text) => self.text(text),
            ValueRef::Bytes(bytes) => Value::Bytes(bytes),
            ValueRef::Char(_) | ValueRef::Map(_) | ValueRef::List(_) => Value::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use openwire::primitive::{Value as Written, encode_map};
    use openwire::{Destination, Message, MessageId, MessageKind, ProducerId, encode_canonical};

    use super::*;

    #[test]
    fn headers_and_properties_are_shown_by_name() {
        let mut properties = Vec::new();
        encode_map(
            &[
                ("b".into(), Written::Byte(3)),
                ("s".into(), Written::String("a😀".into())),
                ("JMSType".into(), Written::String("no header".into())),
                ("m".into(), Written::Map(vec![])),
            ],
            &mut properties,
        );
        let producer = ProducerId {
            connection_id: "ID:c".into(),
            value: 2,
            session_id: 1,
        };
        let message = Message {
            kind: MessageKind::Text,
            destination: Some(Destination::queue("q")),
            original_destination: Some(Destination::topic("t")),
            message_id: Some(MessageId {
                producer_id: Some(producer.clone()),
                producer_sequence_id: 9,
                ..MessageId::default()
            }),
            producer_id: Some(producer),
            message_type: Some("news".into()),
            priority: 7,
            marshalled_properties: Some(properties.into()),
            ..Message::default()
        };
        let mut native = Vec::new();
        encode_canonical(&message, &mut native).unwrap();
        let view = View::new(&native);
        for (name, value) in [
            ("JMSDestination", Some(Value::Text("topic://t"))),
            ("JMSMessageID", Some(Value::Text("ID:c:1:2:9"))),
            ("JMSDeliveryMode", Some(Value::Text("NON_PERSISTENT"))),
            ("JMSType", Some(Value::Text("news"))),
            ("JMSPriority", Some(Value::Int(7))),
            ("JMSXDeliveryCount", Some(Value::Int(1))),
            ("JMSRedelivered", Some(Value::Bool(false))),
            ("JMSReplyTo", None),
            ("JMSCorrelationID", None),
            (SENDER, Some(Value::Text("ID:c"))),
            ("b", Some(Value::Short(3))),
            ("s", Some(Value::Text("a😀"))),
            ("m", Some(Value::Other)),
            ("missing", None),
        ] {
            assert_eq!(view.property(name), value, "{name}");
        }
        assert_eq!(View::new(b"broken").property("b"), None);
    }
}
