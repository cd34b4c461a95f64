//! A message of this language seen as named values, for filters and header bindings.

use amqp::properties::Property;
use amqp::{PropertiesRef, TableRef, ValueRef};
use broker::properties::{Properties, Value};
use broker::record::{Envelope, Record};

/// The headers by their names; where no header has it, the fields by the names that JMS selectors
/// give them, and the routing key as RocketMQ's `TAGS`.
pub(crate) struct View<'a> {
    properties: PropertiesRef<'a>,
    headers: TableRef<'a>,
    envelope: &'a Envelope<'a>,
}

impl<'a> View<'a> {
    pub fn new(properties: PropertiesRef<'a>, envelope: &'a Envelope<'a>) -> View<'a> {
        let headers = properties.headers().unwrap_or(TableRef::EMPTY);
        View {
            properties,
            headers,
            envelope,
        }
    }

    fn text(&self, property: Property) -> Option<Value<'_>> {
        self.properties.find(property).map(text_or_bytes)
    }

    fn field(&self, name: &str) -> Option<Value<'_>> {
        let millis = |at: broker::id::Millis| Value::Long(at.0 as i64);
        match name {
            "JMSMessageID" => self.text(Property::MessageId),
            "JMSCorrelationID" => self.text(Property::CorrelationId),
            "JMSType" => self.text(Property::Type),
            "JMSReplyTo" => self.text(Property::ReplyTo),
            "JMSXUserID" => self.text(Property::UserId),
            "JMSXAppID" => self.text(Property::AppId),
            "JMSPriority" => Some(Value::Int(i64::from(self.envelope.priority))),
            "JMSDeliveryMode" => Some(Value::Text(if self.envelope.persistent {
                "PERSISTENT"
            } else {
                "NON_PERSISTENT"
            })),
            "JMSTimestamp" => Some(match self.properties.timestamp() {
                Some(seconds) => Value::Long(seconds.saturating_mul(1000) as i64),
                None => millis(self.envelope.received),
            }),
            "JMSExpiration" => Some(self.envelope.expires.map_or(Value::Long(0), millis)),
            "TAGS" => Some(Value::Text(self.envelope.key)),
            _ => None,
        }
    }
}

impl Properties for View<'_> {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        match self.headers.find(name) {
            Some(value) => Some(value_of(value)),
            None => self.field(name),
        }
    }
}

/// Shows a stored record of this language.
pub(crate) fn with_properties(record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
    let start = record.envelope.body.start as usize;
    let raw = record.native.get(..start).unwrap_or_default();
    look(&View::new(PropertiesRef::trusted(raw), &record.envelope));
}

fn text_or_bytes(octets: &[u8]) -> Value<'_> {
    str::from_utf8(octets).map_or(Value::Bytes(octets), Value::Text)
}

fn value_of(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Bool(value) => Value::Bool(value),
        ValueRef::I8(value) => Value::Short(value.into()),
        ValueRef::U8(value) => Value::Short(value.into()),
        ValueRef::I16(value) => Value::Short(value.into()),
        ValueRef::U16(value) => Value::Int(value.into()),
        ValueRef::I32(value) => Value::Int(value.into()),
        ValueRef::U32(value) => Value::Long(value.into()),
        ValueRef::I64(value) => Value::Long(value),
        ValueRef::F32(value) => Value::Float(value.into()),
        ValueRef::F64(value) => Value::Double(value),
        ValueRef::LongString(octets) => text_or_bytes(octets),
        ValueRef::Bytes(octets) => Value::Bytes(octets),
        ValueRef::Void => Value::Null,
        ValueRef::Decimal { .. }
        | ValueRef::Timestamp(_)
        | ValueRef::Table(_)
        | ValueRef::Array(_) => Value::Other,
    }
}
