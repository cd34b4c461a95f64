//! Messages on their way out: the fast way for what was sent by this wire to where it now is, and
//! the slow one for what comes from elsewhere.

use std::borrow::Cow;

use broker::event::Delivery;
use broker::id::MessageRef as Name;
use broker::pass::{Mode, Outcome, Positions};
use broker::record::{Death, DeathReason, Record};
use broker::strand::InStrand;
use openwire::primitive::{PrimitiveLimits, Value, decode_map, encode_map};
use openwire::{
    Command, Destination, JavaString, Message, MessageDispatch, MessageIdRef, ProducerIdRef, Stamp,
    Unencodable, decode_canonical,
};

use super::OpenwireDoor;
use super::connection::Connection;
use super::consumer::{Dispatched, DispatchedId, Source};
use super::names::{TOPICS, dead_letter};
use crate::convert;
use crate::door::Context;
use crate::language;

/// The word for a death that no consumer has worded.
const EXPIRED: &str = "java.lang.Throwable: Message Expired. Expiration:";

impl OpenwireDoor {
    pub(super) fn deliver(
        &mut self,
        conn: &mut Connection,
        delivery: &Delivery,
        cx: &mut Context<'_>,
    ) {
        if self.recovered(conn, delivery, cx) {
            return;
        }
        let key = conn.attached.get(&delivery.consumer).copied();
        let Some(key) = key.filter(|key| conn.consumers.contains_key(key)) else {
            // Its consumer was closed while the message was on its way.
            refuse(conn, delivery, Outcome::ReleaseUntouched, cx);
            return;
        };
        let sequence = self.next_sequence();
        match self.write(conn, key, delivery, sequence, cx) {
            Ok(id) => {
                let Some(consumer) = conn.consumers.get_mut(&key) else {
                    return;
                };
                let lease = consumer.part(delivery.consumer).is_some_and(|part| {
                    part.credit = part.credit.saturating_sub(1);
                    part.next = delivery.position.next();
                    part.mode == Mode::Lease
                });
                let held = lease.then_some((delivery.queue, delivery.position));
                let in_group = delivery.in_strand != InStrand::No;
                consumer.given(Dispatched {
                    id,
                    sequence,
                    held,
                    in_group,
                    is_committing: false,
                });
                if !lease {
                    self.note_slow(conn, key, cx);
                }
                let Some(consumer) = conn.consumers.get(&key) else {
                    return;
                };
                // With a shared window every queue gives only what was fetched.
                if consumer.shares {
                    self.touch(conn, key);
                }
            }
            Err(error) => {
                // No client could ever take it, and every retry would meet the same wall.
                let cause = Some(format!("java.io.IOException: {error}").into());
                let outcome = Outcome::Reject {
                    fallback: Some(dead_letter()),
                    cause,
                };
                refuse(conn, delivery, outcome, cx);
                self.touch(conn, key);
            }
        }
    }

    fn write(
        &mut self,
        conn: &mut Connection,
        key: super::consumer::ConsumerKey,
        delivery: &Delivery,
        sequence: i64,
        cx: &mut Context<'_>,
    ) -> Result<DispatchedId, Unencodable> {
        let missing = || Unencodable::Record(openwire::Malformed::Truncated);
        let record = cx.record(delivery.message).ok_or_else(missing)?;
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return Err(missing());
        };
        // Ids are needed to correlate acknowledgements; subscriptions that only count do without.
        let keeps_list = consumer.keeps_list;
        let like = consumer.dispatched.back().map(|one| one.id.clone());
        let id = consumer.id.clone();
        let Some(part) = consumer.part(delivery.consumer) else {
            return Err(missing());
        };
        // Topics have no groups.
        let is_queue = matches!(part.source, Source::Queue(_));
        conn.spoke = cx.now;
        // JMS has one word for both facts: a message that was handed out has been delivered once.
        let handed_out = i32::from(delivery.redelivered);
        let stamp = Stamp {
            redelivery_counter: i32::try_from(delivery.attempts)
                .unwrap_or(i32::MAX)
                .max(handed_out),
            broker_sequence_id: Some(sequence),
            arrival: None,
            broker_in_time: Some(record.envelope.received.0.cast_signed()),
            broker_out_time: Some(cx.now.0.cast_signed()),
            group_first_for_consumer: (delivery.in_strand == InStrand::First && is_queue)
                .then_some(true),
        };
        let out = cx.links.out(delivery.session);
        if record.envelope.language == language::OPENWIRE {
            let opened = conn.encoder.open(record.native)?;
            let addressed = opened.destination();
            let native_topic = addressed.filter(|to| to.kind.is_topic());
            let destination = part
                .source
                .destination(native_topic)
                .unwrap_or_else(|| of_key(&record));
            let is_there = addressed.is_some_and(|to| is_same(&to, &destination));
            let name = match opened.message_id().filter(|_| keeps_list) {
                Some(id) => DispatchedId::of(id, like.as_ref()),
                None => DispatchedId::default(),
            };
            if is_there && record.envelope.deaths.is_empty() {
                conn.encoder
                    .encode_opened(&id, &destination, opened, &stamp, out)?;
                return Ok(name);
            }
            let mut message = decode_canonical(record.native).map_err(Unencodable::Record)?;
            readdress(&mut message, &destination);
            mourn(&mut message, &record.envelope.deaths);
            stamp.apply(&mut message);
            dispatch(conn, id, destination, message, &stamp, out)?;
            return Ok(name);
        }
        let portable = convert::portable(&record);
        let destination = match &part.source {
            Source::Queue(destination) => destination.clone(),
            Source::Topic { .. } => of_key(&record),
        };
        let mut message =
            convert::to_openwire::message(&portable, &record.envelope, delivery.message);
        message.destination = Some(destination.clone());
        mourn(&mut message, &record.envelope.deaths);
        stamp.apply(&mut message);
        let name = foreign_id(delivery.message, like.as_ref());
        dispatch(conn, id, destination, message, &stamp, out)?;
        Ok(name)
    }

    /// Ends a browse, or a pull that found nothing.
    pub(super) fn dispatch_nothing(
        &mut self,
        conn: &mut Connection,
        key: super::consumer::ConsumerKey,
        cx: &mut Context<'_>,
    ) {
        if let Some(consumer) = conn.consumers.get(&key) {
            let nothing = MessageDispatch::empty(consumer.id.clone());
            conn.send(&Command::MessageDispatch(nothing), cx);
        }
    }
}

const NO_ID: MessageIdRef<'static> = MessageIdRef {
    text_view: None,
    producer_id: None,
    producer_sequence_id: 0,
    broker_sequence_id: 0,
};

fn refuse(conn: &Connection, delivery: &Delivery, outcome: Outcome, cx: &mut Context<'_>) {
    let (queue, positions) = (delivery.queue, Positions::One(delivery.position));
    cx.settle(conn.session, queue, positions, outcome);
}

/// The topic of a message that reached a subscription from elsewhere.
fn of_key(record: &Record<'_>) -> Destination {
    Destination::topic(record.envelope.key)
}

fn is_same(named: &openwire::DestinationRef<'_>, known: &Destination) -> bool {
    named.kind == known.kind && named.physical_name.as_bytes() == known.physical_name.as_bytes()
}

fn foreign_id(name: Name, like: Option<&DispatchedId>) -> DispatchedId {
    let id = MessageIdRef {
        producer_id: Some(ProducerIdRef {
            connection_id: openwire::JavaStr::from_modified(
                convert::to_openwire::FOREIGN_PRODUCER.as_bytes(),
            )
            .unwrap_or_default(),
            value: 0,
            session_id: 0,
        }),
        producer_sequence_id: name.as_u64().cast_signed(),
        ..NO_ID
    };
    DispatchedId::of(id, like)
}

fn dispatch(
    conn: &mut Connection,
    consumer_id: openwire::ConsumerId,
    destination: Destination,
    message: Message<'_>,
    stamp: &Stamp,
    out: &mut Vec<u8>,
) -> Result<(), Unencodable> {
    let dispatch = MessageDispatch {
        consumer_id: Some(consumer_id),
        destination: Some(destination),
        message: Some(message),
        redelivery_counter: stamp.redelivery_counter,
        ..MessageDispatch::default()
    };
    conn.encoder.encode_dispatch(&dispatch, out)
}

/// A message that lies where it was not sent to: a virtual topic's copy, a dead letter, the
/// target of a binding.
fn readdress(message: &mut Message<'_>, destination: &Destination) {
    if message.destination.as_ref() != Some(destination) {
        let before = message.destination.replace(destination.clone());
        message.original_destination = before;
    }
}

/// Shows where and why a message died, as the broker's dead-letter strategy does.
fn mourn(message: &mut Message<'_>, deaths: &[Death]) {
    let Some(death) = deaths.first() else { return };
    message.original_destination = Some(match (&*death.address, death.keys.first()) {
        (TOPICS, Some(topic)) => Destination::topic(&**topic),
        _ => Destination::queue(&*death.queue),
    });
    if let Some(id) = message.transaction_id.take() {
        message.original_transaction_id = Some(id);
    }
    message.expiration = 0;
    let limits = PrimitiveLimits::default();
    let mut properties = message
        .marshalled_properties
        .as_deref()
        .and_then(|bytes| decode_map(bytes, limits).ok())
        .unwrap_or_default();
    let mut set = |key: &str, value: Value| {
        if !properties.iter().any(|(name, _)| *name == *key) {
            properties.push((JavaString::from(key), value));
        }
    };
    let expires = death.expires.map_or(0, |expires| expires.0.cast_signed());
    set("originalExpiration", Value::Long(expires));
    let cause = match (&death.cause, death.reason) {
        (Some(cause), _) => Some(cause.to_string()),
        (None, DeathReason::Expired) => death
            .expires
            .map(|expires| format!("{EXPIRED}{}", expires.0)),
        (None, DeathReason::Rejected) => None,
        (None, DeathReason::Overflow) => Some("java.lang.Throwable: Queue is full".to_owned()),
        (None, DeathReason::AttemptsExhausted) => {
            Some("java.lang.Throwable: Delivery attempts are exhausted".to_owned())
        }
    };
    if let Some(cause) = cause {
        set("dlqDeliveryFailureCause", Value::String(cause.into()));
    }
    if !properties.is_empty() {
        let mut bytes = Vec::new();
        encode_map(&properties, &mut bytes);
        message.marshalled_properties = Some(Cow::Owned(bytes));
    }
}
