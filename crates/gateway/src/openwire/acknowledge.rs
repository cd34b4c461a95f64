//! Acknowledgements. They run in the order of dispatch, over what this consumer was given.
//!
//! | type | effect |
//! |---|---|
//! | STANDARD | everything from the first to the last is done with, now or at commit |
//! | INDIVIDUAL | the last one alone |
//! | DELIVERED | makes room for as much |
//! | REDELIVERED | none |
//! | POISON | to the dead letters |
//! | EXPIRED | as expired |

use std::ops::Range;

use broker::pass::{Outcome, Positions};
use openwire::{AckType, MessageAck, Throwable, TransactionId};

use super::connection::Connection;
use super::consumer::{Consumer, ConsumerKey, DispatchedId};
use super::failure::Failure;
use super::limits::TRANSACTION_STEPS_MAX;
use super::names::{DEAD_LETTERS, dead_letter};
use super::{OpenwireDoor, Step};
use crate::door::Context;

impl OpenwireDoor {
    pub(super) fn acknowledge(
        &mut self,
        conn: &mut Connection,
        ack: &MessageAck,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let kind = AckType::from_wire(ack.ack_type).ok_or_else(|| {
            Failure::jms(format!("Unknown acknowledgment type: {}", ack.ack_type))
        })?;
        let id = ack
            .consumer_id
            .as_ref()
            .ok_or_else(|| Failure::jms("Consumer ID is null"))?;
        let key = (id.session_id, id.value);
        // Left over from before a failover, or from a consumer that was closed.
        let Some(consumer) = conn.consumers.get_mut(&key).filter(|known| known.was_given) else {
            self.settle_then_respond(conn, ack.base, cx);
            return Ok(Step::Taken);
        };
        let count = u32::try_from(ack.message_count).unwrap_or(0);
        if !consumer.keeps_list {
            acknowledge_count(consumer, kind, count);
        } else {
            match kind {
                AckType::Delivered => consumer.window.extend(count),
                AckType::Redelivered | AckType::Unmatched => {}
                AckType::Individual => individual(conn, key, ack, cx)?,
                AckType::Standard => standard(conn, key, ack, cx)?,
                AckType::Poison => {
                    if ack.transaction_id.is_some() {
                        return Err(Failure::jms("Poison ack cannot be transacted"));
                    }
                    let fallback = Some(dead_letter());
                    let cause = ack.poison_cause.as_deref().map(cause);
                    bury(conn, key, ack, &Outcome::Reject { fallback, cause }, cx)?;
                }
                AckType::Expired => bury(conn, key, ack, &Outcome::Expired, cx)?,
            }
        }
        self.touch(conn, key);
        self.settle_then_respond(conn, ack.base, cx);
        Ok(Step::Taken)
    }
}

/// Subscriptions that are not durable, and browsers, keep counts only.
fn acknowledge_count(consumer: &mut Consumer, kind: AckType, count: u32) {
    match kind {
        AckType::Delivered => consumer.window.extend(count),
        AckType::Redelivered | AckType::Unmatched => {}
        AckType::Standard | AckType::Individual | AckType::Poison | AckType::Expired => {
            consumer.outstanding = consumer.outstanding.saturating_sub(count);
            consumer.window.contract(count);
        }
    }
}

fn standard(
    conn: &mut Connection,
    key: ConsumerKey,
    ack: &MessageAck,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let session = conn.session;
    let Some(consumer) = conn.consumers.get_mut(&key) else {
        return Ok(());
    };
    let range = range(consumer, ack)?;
    let Some(id) = &ack.transaction_id else {
        let found = range.len();
        if i64::from(ack.message_count) != found as i64 {
            return Err(Failure::jms(format!(
                "Unmatched acknowledge: {}; Expected message count ({}) differs from count in \
                 dispatched-list ({found})",
                shown(ack),
                ack.message_count,
            )));
        }
        settle(session, consumer, range, &Outcome::Accept, cx);
        return Ok(());
    };
    let sequences: Vec<i64> = consumer
        .dispatched
        .range(range)
        .map(|one| one.sequence)
        .collect();
    enlist(conn, key, id, &sequences)
}

fn individual(
    conn: &mut Connection,
    key: ConsumerKey,
    ack: &MessageAck,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let session = conn.session;
    let Some(consumer) = conn.consumers.get_mut(&key) else {
        return Ok(());
    };
    let Some(last) = &ack.last_message_id else {
        return Ok(());
    };
    // One that is unknown was acknowledged before.
    let Some(at) = consumer.find(&DispatchedId::from_wire(last)) else {
        return Ok(());
    };
    let Some(id) = &ack.transaction_id else {
        settle(session, consumer, at..at + 1, &Outcome::Accept, cx);
        return Ok(());
    };
    let sequence = consumer.dispatched[at].sequence;
    enlist(conn, key, id, &[sequence])?;
    if let Some(consumer) = conn.consumers.get_mut(&key) {
        consumer.window.extend(1);
    }
    Ok(())
}

fn bury(
    conn: &mut Connection,
    key: ConsumerKey,
    ack: &MessageAck,
    outcome: &Outcome,
    cx: &mut Context<'_>,
) -> Result<(), Failure> {
    let session = conn.session;
    let Some(consumer) = conn.consumers.get_mut(&key) else {
        return Ok(());
    };
    let range = range(consumer, ack)?;
    settle(session, consumer, range, outcome, cx);
    Ok(())
}

/// Keeps acknowledgements until their transaction is committed.
fn enlist(
    conn: &mut Connection,
    key: ConsumerKey,
    id: &TransactionId,
    sequences: &[i64],
) -> Result<(), Failure> {
    let transaction = conn.transaction(id)?;
    for sequence in sequences {
        if !transaction.has_room() {
            return Err(Failure::limit(
                "openwire-transaction-steps",
                TRANSACTION_STEPS_MAX,
            ));
        }
        transaction.acknowledged.push((key, *sequence));
    }
    Ok(())
}

/// What an acknowledgement covers: from the first, or from the start, to the last.
fn range(consumer: &Consumer, ack: &MessageAck) -> Result<Range<usize>, Failure> {
    let find = |id: &Option<openwire::MessageId>| {
        id.as_ref()
            .map(|id| consumer.find(&DispatchedId::from_wire(id)))
    };
    let uncorrelated = || {
        Failure::jms(format!(
            "Could not correlate acknowledgment with dispatched message: {}",
            shown(ack)
        ))
    };
    let start = match find(&ack.first_message_id) {
        None => 0,
        Some(found) => found.ok_or_else(|| {
            let message = format!(
                "Unmatched acknowledge: {}; Could not find Message-ID {} in dispatched-list (start \
                 of ack)",
                shown(ack),
                named(&ack.first_message_id)
            );
            if ack.ack_type == AckType::Standard.to_wire() {
                Failure::jms(message)
            } else {
                uncorrelated()
            }
        })?,
    };
    let last = find(&ack.last_message_id)
        .flatten()
        .filter(|last| *last >= start);
    match last {
        Some(last) => Ok(start..last + 1),
        None if ack.ack_type == AckType::Standard.to_wire() => Err(Failure::jms(format!(
            "Unmatched acknowledge: {}; Could not find Message-ID {} in dispatched-list (end of \
             ack)",
            shown(ack),
            named(&ack.last_message_id)
        ))),
        None => Err(uncorrelated()),
    }
}

/// Takes a range out of the list and the window, and settles it, neighbours of one queue together.
fn settle(
    session: broker::id::SessionId,
    consumer: &mut Consumer,
    range: Range<usize>,
    outcome: &Outcome,
    cx: &mut Context<'_>,
) {
    consumer.window.contract(range.len() as u32);
    let dead_letters = match outcome {
        Outcome::Reject { .. } => cx.topology.queue(DEAD_LETTERS).map(|queue| queue.id),
        _ => None,
    };
    let mut taken = consumer
        .dispatched
        .drain(range)
        .filter(|one| !one.is_committing)
        .filter_map(|one| one.held)
        .peekable();
    while let Some((queue, position)) = taken.next() {
        let mut positions = Positions::One(position);
        while let Some((_, next)) = taken.next_if(|(other, _)| *other == queue) {
            positions = match positions {
                Positions::One(first) => Positions::Many(vec![first, next]),
                Positions::Many(mut many) => {
                    many.push(next);
                    Positions::Many(many)
                }
            };
        }
        let outcome = match outcome {
            // A dead letter that dies again where it lies is gone.
            Outcome::Reject { cause, .. } if dead_letters == Some(queue) => Outcome::Reject {
                fallback: None,
                cause: cause.clone(),
            },
            other => other.clone(),
        };
        cx.settle(session, queue, positions, outcome);
    }
}

/// The words of whoever gave a message up.
fn cause(throwable: &Throwable) -> Box<str> {
    let class = throwable.class.as_ref().map(|text| text.to_str());
    let class = class.unwrap_or("java.lang.Throwable".into());
    match throwable.message.as_ref().map(|text| text.to_str()) {
        Some(message) => format!("{class}: {message}").into(),
        None => class.into(),
    }
}

fn named(id: &Option<openwire::MessageId>) -> String {
    id.as_ref()
        .map_or_else(|| "null".to_owned(), ToString::to_string)
}

fn shown(ack: &MessageAck) -> String {
    let consumer = ack
        .consumer_id
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!(
        "MessageAck {{commandId = {}, ackType = {}, consumerId = {consumer}, firstMessageId = {}, \
         lastMessageId = {}, messageCount = {}}}",
        ack.base.command_id,
        ack.ack_type,
        named(&ack.first_message_id),
        named(&ack.last_message_id),
        ack.message_count
    )
}
