//! Consumers of topics that do not keep up.
//!
//! What is sent to a topic waits for each of its consumers in the consumer's own queue, in memory.
//! One that stops reading would let it grow for ever. So a consumer whose window is full, or whose
//! socket takes nothing, is looked at each second: beyond what fits its window the newest
//! [`PENDING_MAX`] messages stay and the older ones are dropped, as the original does with the
//! configuration that it comes with. In between only the broker's own limit of memory holds.

use broker::event::QueueStatus;
use broker::id::{ConsumerId as Attached, Position, Token};
use broker::pass::{Command as Ask, Mode, Outcome, Positions};

use super::OpenwireDoor;
use super::connection::{Awaited, Connection};
use super::consumer::{Consumer, ConsumerKey};
use super::limits::{DROPPED_AT_ONCE_MAX, PENDING_MAX, SLOW_CHECK_MS};
use crate::door::Context;

fn listens(consumer: &Consumer) -> bool {
    consumer.parts.iter().any(|part| part.mode == Mode::Settled)
}

impl OpenwireDoor {
    /// A consumer of topics was given a message: if it may be slow, it is looked at soon.
    pub(super) fn note_slow(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        cx: &mut Context<'_>,
    ) {
        let Some(consumer) = conn.consumers.get(&key) else {
            return;
        };
        if listens(consumer) && (consumer.room() == 0 || cx.links.unsent(conn.session) > 0) {
            self.check_at(conn, cx.now.plus(SLOW_CHECK_MS));
        }
    }

    /// Asks how much waits for each consumer of topics that may be slow.
    pub(super) fn look_for_slow(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        let is_blocked = cx.links.unsent(conn.session) > 0;
        let mut found = false;
        for consumer in conn.consumers.values() {
            if !is_blocked && consumer.room() > 0 {
                continue;
            }
            for part in consumer.parts.iter().filter(|p| p.mode == Mode::Settled) {
                found = true;
                ask(conn, part.attached, part.queue, cx);
            }
        }
        if found {
            self.check_at(conn, cx.now.plus(SLOW_CHECK_MS));
        }
    }

    /// So much waits for a consumer; what is too much goes.
    pub(super) fn waiting(
        &mut self,
        conn: &mut Connection,
        token: Token,
        status: QueueStatus,
        cx: &mut Context<'_>,
    ) {
        let attached = Attached(Awaited::of(token).1);
        let key = conn.attached.get(&attached).copied();
        let Some(consumer) = key.and_then(|key| conn.consumers.get_mut(&key)) else {
            return;
        };
        // A consumer may ask for less than the rest, not for more.
        let asked = u64::try_from(consumer.info.maximum_pending_message_limit).unwrap_or(0);
        let limit = match asked {
            0 => PENDING_MAX,
            asked => asked.min(PENDING_MAX),
        };
        let kept = limit + u64::from(consumer.room());
        let excess = status.ready.saturating_sub(kept);
        let Some(part) = consumer.part(attached).filter(|_| excess > 0) else {
            return;
        };
        let (queue, start) = (part.queue, part.next);
        // Positions are dense. One that is gone already, as expired, is a no-op, and the next look
        // makes up for it.
        let end = Position(start.0 + excess.min(DROPPED_AT_ONCE_MAX));
        part.next = end;
        let positions = Positions::Many((start.0..end.0).map(Position).collect());
        cx.settle(conn.session, queue, positions, Outcome::Accept);
        if excess > DROPPED_AT_ONCE_MAX {
            ask(conn, attached, queue, cx);
        }
    }
}

fn ask(conn: &Connection, attached: Attached, queue: broker::id::QueueId, cx: &mut Context<'_>) {
    let token = Awaited::Waiting.token(attached.0);
    cx.pass.push(conn.session, Ask::Status { token, queue });
}
