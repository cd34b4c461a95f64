//! Retained messages: the last message of a topic that its sender marked so is given to each
//! retroactive consumer that comes later. It is what the original does without being configured;
//! other policies that recover older messages do not exist here.
//!
//! They are kept in memory only, there and here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use broker::topology::Pattern;
use openwire::primitive::{PrimitiveLimits, Value, decode_map, encode_map};
use openwire::{Destination, Message, MessageRef, Stamp, encode_canonical};

use super::OpenwireDoor;
use super::connection::Connection;
use super::consumer::{ConsumerKey, Dispatched, DispatchedId};
use super::destination::{Place, pattern, places};
use super::failure::Failure;
use super::limits::RETAINED_BYTES_MAX;
use super::view::View;
use crate::door::Context;

/// What a sender marks its message with, and what a message is marked with that is given again.
const RETAIN: &str = "ActiveMQ.Retain";
const RETAINED: &str = "ActiveMQ.Retained";

/// What a message does to its topic when it is sent.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Retain {
    Nothing,
    /// Kept as this record.
    Keep(Box<[u8]>),
    /// A message without a body takes back what was kept.
    Clear,
}

#[derive(Default)]
pub(super) struct Retained {
    records: BTreeMap<Box<str>, Box<[u8]>>,
    bytes: usize,
}

impl Retained {
    /// What a message asks for; its mark is taken off, since it is for the broker.
    pub fn asked(&self, message: &mut Message<'_>, place: &Place) -> Result<Retain, Failure> {
        let Some(mut properties) = marked(message, place) else {
            return Ok(Retain::Nothing);
        };
        let write = |properties: &[_]| {
            let mut bytes = Vec::new();
            encode_map(properties, &mut bytes);
            Some(Cow::Owned(bytes))
        };
        properties.retain(|(name, _)| *name != *RETAIN);
        let without_mark = write(&properties);
        if message.content.as_ref().is_none_or(|body| body.is_empty()) {
            message.marshalled_properties = without_mark;
            return Ok(Retain::Clear);
        }
        properties.push((RETAINED.into(), Value::Bool(true)));
        message.marshalled_properties = write(&properties);
        let mut record = Vec::new();
        encode_canonical(message, &mut record)
            .map_err(|error| Failure::jms(format!("The message cannot be stored: {error}")))?;
        message.marshalled_properties = without_mark;
        if self.bytes_with(&place.name, record.len()) > RETAINED_BYTES_MAX {
            return Err(Failure::limit(
                "openwire-retained-bytes",
                RETAINED_BYTES_MAX,
            ));
        }
        Ok(Retain::Keep(record.into()))
    }

    /// A message is sent. One whose room was taken since it was asked for is not kept.
    pub fn sent(&mut self, topic: &str, retain: &Retain) {
        let record = match retain {
            Retain::Nothing => return,
            Retain::Keep(record) => Some(record),
            Retain::Clear => None,
        };
        if let Some(before) = self.records.remove(topic) {
            self.bytes -= before.len();
        }
        if let Some(record) = record
            && self.bytes + record.len() <= RETAINED_BYTES_MAX
        {
            self.bytes += record.len();
            self.records.insert(topic.into(), record.clone());
        }
    }

    fn bytes_with(&self, topic: &str, size: usize) -> usize {
        let before = self.records.get(topic).map_or(0, |record| record.len());
        self.bytes - before + size
    }
}

/// The properties of a message for a topic that shall be retained.
fn marked(message: &Message<'_>, place: &Place) -> Option<Vec<(openwire::JavaString, Value)>> {
    let bytes = message.marshalled_properties.as_deref()?;
    // Most messages are told apart without being taken apart.
    let names = |bytes: &[u8]| bytes == RETAIN.as_bytes();
    if !place.kind.is_topic() || !bytes.windows(RETAIN.len()).any(names) {
        return None;
    }
    let properties = decode_map(bytes, PrimitiveLimits::default()).ok()?;
    let (_, value) = properties.iter().find(|(name, _)| *name == *RETAIN)?;
    let is_true = match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.to_str().eq_ignore_ascii_case("true"),
        _ => false,
    };
    is_true.then_some(properties)
}

impl OpenwireDoor {
    /// A retroactive consumer is open: it gets what is retained on its topics.
    pub(super) fn recover(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        cx: &mut Context<'_>,
    ) {
        let Some(consumer) = conn.consumers.get(&key) else {
            return;
        };
        let wanted = consumer.info.destination.as_ref();
        let wanted = wanted.filter(|_| consumer.info.retroactive && !consumer.info.browser);
        let places = wanted
            .and_then(|to| places(to).ok())
            .map(|(places, _)| places);
        let is_wanted = |topic: &str, record: &[u8]| {
            let on_topic = places.iter().flatten().any(|place| {
                place.kind.is_topic() && Pattern::new(pattern(&place.name)).matches(topic)
            });
            let filter = consumer.filter.as_deref();
            on_topic && filter.is_none_or(|filter| filter.matches(&View::new(record)))
        };
        if self.retained.records.is_empty() {
            return;
        }
        let found = self.retained.records.iter();
        let found: Vec<_> = found
            .filter(|(topic, record)| is_wanted(topic, record))
            .map(|(topic, record)| (Destination::topic(&**topic), record.clone()))
            .collect();
        for (destination, record) in found {
            self.give_retained(conn, key, &destination, &record, cx);
        }
    }

    fn give_retained(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        destination: &Destination,
        record: &[u8],
        cx: &mut Context<'_>,
    ) {
        let sequence = self.next_sequence();
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return;
        };
        let stamp = Stamp {
            redelivery_counter: 0,
            broker_sequence_id: Some(sequence),
            arrival: None,
            broker_in_time: None,
            broker_out_time: Some(cx.now.0.cast_signed()),
            group_first_for_consumer: None,
        };
        let name = MessageRef::parse(record)
            .ok()
            .and_then(|message| message.message_id);
        let out = cx.links.out(conn.session);
        if conn
            .encoder
            .encode_record(&consumer.id, destination, record, &stamp, out)
            .is_ok()
        {
            consumer.given(Dispatched {
                id: name.map_or_else(DispatchedId::default, |id| DispatchedId::of(id, None)),
                sequence,
                held: None,
                in_group: false,
                is_committing: false,
            });
            conn.spoke = cx.now;
        }
    }
}
