//! A stored message of RocketMQ seen as named values, for filters and header routers of any
//! dialect.
//!
//! Every property is a text, as on the wire. Under `JMSTimestamp`, `JMSCorrelationID`,
//! `JMSMessageID`, `JMSXGroupID`, `JMSDeliveryMode` and `JMSRedelivered` a selector finds what a JMS
//! consumer of the message would.

use broker::properties::{Properties, Value};
use broker::record::Record;
use remoting::message::Record as Stored;
use remoting::message::properties::{Properties as Pairs, name};

/// The view of one message.
#[derive(Clone, Copy, Debug)]
pub struct NativeView<'a> {
    stored: Option<Stored<'a>>,
}

impl<'a> NativeView<'a> {
    /// A message that cannot be read has no properties. Taken apart only when a filter asks.
    pub fn of(native: &'a [u8]) -> NativeView<'a> {
        NativeView { stored: Stored::decode(native).ok().map(|(stored, _)| stored) }
    }

    fn text(&self, key: &str) -> Option<Value<'a>> {
        let stored = self.stored.as_ref()?;
        Pairs::new(stored.properties).get(key).map(Value::Text)
    }
}

impl Properties for NativeView<'_> {
    fn property(&self, key: &str) -> Option<Value<'_>> {
        match key {
            "JMSTimestamp" => self.stored.map(|stored| Value::Long(stored.born_timestamp)),
            "JMSCorrelationID" => self.text(name::CORRELATION_ID),
            "JMSMessageID" => self.text(name::UNIQ_KEY),
            "JMSXGroupID" => self.text(name::SHARDING_KEY),
            "JMSDeliveryMode" => Some(Value::Text("PERSISTENT")),
            other => self.text(other),
        }
    }
}

/// Shows a record whose native bytes are RocketMQ's.
pub fn with_properties(record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
    look(&NativeView::of(record.native));
}
