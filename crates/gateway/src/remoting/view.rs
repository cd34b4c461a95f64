//! A stored message of RocketMQ seen as named values, for filters and header routers of any
//! dialect.
//!
//! Every property is a text, as on the wire. Under `JMSTimestamp`, `JMSCorrelationID`,
//! `JMSMessageID`, `JMSXGroupID` and `JMSDeliveryMode` a selector finds what a JMS consumer of the
//! message would.

use std::cell::OnceCell;

use broker::properties::{Properties, Value};
use broker::record::Record;
use remoting::message::Record as Stored;
use remoting::message::properties::{Properties as Pairs, name};

/// The view of one message, which is taken apart only if somebody looks.
#[derive(Debug)]
pub struct NativeView<'a> {
    native: &'a [u8],
    stored: OnceCell<Option<Stored<'a>>>,
}

impl<'a> NativeView<'a> {
    pub fn of(native: &'a [u8]) -> NativeView<'a> {
        NativeView {
            native,
            stored: OnceCell::new(),
        }
    }

    /// A message that cannot be read has no properties.
    fn stored(&self) -> Option<&Stored<'a>> {
        let decoded = || Stored::decode(self.native).ok().map(|(stored, _)| stored);
        self.stored.get_or_init(decoded).as_ref()
    }

    fn text(&self, key: &str) -> Option<Value<'a>> {
        Pairs::new(self.stored()?.properties)
            .get(key)
            .map(Value::Text)
    }
}

impl Properties for NativeView<'_> {
    fn property(&self, key: &str) -> Option<Value<'_>> {
        match key {
            "JMSTimestamp" => self
                .stored()
                .map(|stored| Value::Long(stored.born_timestamp)),
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
