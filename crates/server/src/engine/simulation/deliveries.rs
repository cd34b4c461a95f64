//! What the model makes of a message that is handed out: whether it may come, who may have it, how
//! it is marked, and where it stands.

use broker::event::Delivery;
use broker::id::{Position, QueueId};
use broker::pass::Mode;
use broker::record::{DeathReason, Record};

use super::message;
use super::queues::{Place, Queue};
use super::story::{Copy, Stage, Story};
use super::world::{Stop, Verdict, ensure};

/// Times of expiry are kept in units of 8 ms.
pub(super) const EXPIRY_SLACK_MS: u64 = 16;

/// A message as it was handed out.
pub(super) struct Handed<'a> {
    pub delivery: Delivery,
    pub mode: Mode,
    pub parity: Option<&'static str>,
    pub record: &'a [u8],
}

/// The number of a record that can be read and is what was sent.
pub(super) fn number_in(record: &[u8]) -> Verdict<(u64, Record<'_>)> {
    let decoded = Record::decode(record)
        .map_err(|reason| Stop::Breach(format!("what is told of cannot be read: {reason}")))?;
    match message::number_of(&decoded) {
        Some(number) => Ok((number, decoded)),
        None => Err(Stop::Breach("a message has other bytes".into())),
    }
}

impl Story {
    pub fn delivered(&mut self, delivery: Delivery, record: &[u8]) -> Verdict {
        let Delivery {
            consumer, session, ..
        } = delivery;
        let held_back = self.held_back.contains(&session);
        let Some(receiver) = self.receivers.get_mut(&consumer) else {
            return Err(Stop::Breach(format!("{delivery:?} to nobody")));
        };
        let right = receiver.session == session && receiver.queue == delivery.queue;
        ensure(right, || format!("{delivery:?} to {receiver:?}"))?;
        ensure(receiver.allowance > 0, || {
            format!("{delivery:?} without credit")
        })?;
        ensure(!held_back, || format!("{delivery:?} while it rests"))?;
        if receiver.allowance != u64::MAX {
            receiver.allowance -= 1;
        }
        let (mode, parity) = (receiver.mode, receiver.parity);
        self.counts.note("delivered");
        self.handed(&Handed {
            delivery,
            mode,
            parity,
            record,
        })
    }

    pub fn handed(&mut self, handed: &Handed<'_>) -> Verdict {
        let Handed {
            delivery,
            mode,
            parity,
            record,
        } = *handed;
        let (number, record) = number_in(record)?;
        let Some(queue) = self.ids.queue(delivery.queue) else {
            return Err(Stop::Breach(format!("{number} comes from no queue")));
        };
        ensure(parity.is_none_or(|p| p == message::parity(number)), || {
            format!("{number} is not wanted")
        })?;
        self.stands(queue, delivery.queue, delivery.position, number)?;
        let (root, place) = queue.root();
        let now = self.world.now;
        let life = self.attended.contains(&delivery.queue);
        let Some(copy) = self.copies.get_mut(&(root, number)) else {
            return Err(Stop::Breach(format!(
                "{number} in {queue:?} was never sent"
            )));
        };
        let words = |what: &str| {
            let copy = format!("{copy:?}");
            format!("{number} in {queue:?} {what} at {now:?} ({mode:?}): {delivery:?}, {copy}")
        };
        // A browser sees what is on its way out of a queue that is purged.
        let settled = copy.settling && mode != Mode::Browse;
        let expired = |slack: u64| {
            copy.expires
                .is_some_and(|at| now.0 + EXPIRY_SLACK_MS >= at.0 + slack)
        };
        ensure(copy.stage != Stage::Gone, || {
            words("is gone and came again")
        })?;
        ensure(copy.held.is_none() || mode == Mode::Browse, || {
            words("is held by another")
        })?;
        ensure(copy.due.is_none_or(|due| now >= due), || {
            words("comes too early")
        })?;
        ensure(copy.persistent == record.envelope.persistent, || {
            words("changed its mind")
        })?;
        match (copy.place, place) {
            (Place::Root, Place::Root) => {
                ensure(!expired(2 * EXPIRY_SLACK_MS), || words("has expired"))?;
                ensure(!settled, || words("was settled"))?;
            }
            (Place::Sink, Place::Sink) => ensure(!settled, || words("was settled"))?,
            (Place::Either, Place::Sink) => {}
            (Place::Root, Place::Sink) => {
                ensure(expired(0), || words("left its queue by itself"))?;
            }
            (Place::Either | Place::Sink, Place::Root) => {
                return Err(Stop::Breach(words("had left its queue")));
            }
            (_, Place::Either) => unreachable!("no queue is between two"),
        }
        let copy = self.copies.get_mut(&(root, number)).expect("just found");
        if copy.place != place {
            copy.arrive();
        }
        if mode == Mode::Browse {
            return Ok(());
        }
        if place == Place::Sink {
            judge_death(root, number, &record)?;
            if root != Queue::Plain {
                self.counts.note("dead letter");
            }
        }
        judge_marks(number, copy, delivery, life)?;
        let first = !std::mem::replace(&mut copy.seen_now, true);
        copy.seen = true;
        copy.doubtful = false;
        copy.marked |= delivery.redelivered;
        copy.attempts = (delivery.attempts, delivery.attempts, copy.attempts.2);
        copy.told = true;
        match mode {
            Mode::Lease => {
                copy.held = Some(super::story::Holder {
                    session: delivery.session,
                    queue: delivery.queue,
                    position: delivery.position,
                });
            }
            Mode::Settled => {
                copy.stage = Stage::Asked;
                copy.settling = true;
            }
            Mode::Browse => unreachable!("returned above"),
        }
        if delivery.redelivered {
            self.counts.note("redelivered");
        }
        if queue == Queue::Late {
            self.counts.note("fired");
        }
        if first {
            self.judge_order(delivery, parity, number)?;
        }
        Ok(())
    }

    /// What is handed out for the first time comes in the order of its queue.
    fn judge_order(&mut self, delivery: Delivery, parity: Option<&str>, number: u64) -> Verdict {
        let at = delivery.position;
        let after = |last: Option<Position>| last.is_none_or(|last| last < at);
        if let Some(receiver) = self.receivers.get_mut(&delivery.consumer) {
            let last = receiver.last.replace(at);
            ensure(after(last), || {
                format!("{number} at {at:?} comes behind {last:?} to {receiver:?}")
            })?;
        }
        if parity.is_none() {
            let last = self.freshest.insert(delivery.queue, at);
            ensure(after(last), || {
                format!("{number} at {at:?} comes behind {last:?}")
            })?;
        }
        Ok(())
    }

    /// A position belongs to one message for ever, and those that were sent straight to a queue
    /// stand in it as they were sent.
    pub fn stands(
        &mut self,
        queue: Queue,
        id: QueueId,
        position: Position,
        number: u64,
    ) -> Verdict {
        let positions = self.positions.entry(id).or_default();
        if let Some(other) = positions.insert(position, number) {
            return ensure(other == number, || {
                format!("{other} and {number} stand at {position:?} of {queue:?}")
            });
        }
        let in_order = |number: &u64| {
            self.copies
                .get(&(queue, *number))
                .is_some_and(|copy| copy.in_order)
        };
        if queue.root().1 == Place::Sink || queue == Queue::Late || !in_order(&number) {
            return Ok(());
        }
        let before = positions.range(..position).rev().map(|(_, n)| n);
        let behind = positions.range(position.next()..).map(|(_, n)| n);
        let before = before.copied().find(in_order);
        let behind = behind.copied().find(in_order);
        let sorted = before.is_none_or(|n| n < number) && behind.is_none_or(|n| n > number);
        ensure(sorted, || {
            format!("{number} stands between {before:?} and {behind:?} of {queue:?}")
        })
    }
}

fn judge_marks(number: u64, copy: &Copy, delivery: Delivery, attended: bool) -> Verdict {
    let words = |what: &str| format!("{number} {what}: {delivery:?}, {copy:?}");
    ensure(delivery.redelivered || !copy.marked, || {
        words("comes again without a mark")
    })?;
    ensure(
        !delivery.redelivered || copy.marked || (copy.may_be_marked && attended),
        || words("is marked and was never handed out"),
    )?;
    let (least, most, _) = copy.attempts;
    ensure((least..=most).contains(&delivery.attempts), || {
        words("was released otherwise")
    })
}

/// What was sent on because it died says where and why.
fn judge_death(root: Queue, number: u64, record: &Record<'_>) -> Verdict {
    let newest = record.envelope.deaths.first();
    if root == Queue::Plain {
        return ensure(newest.is_none(), || format!("{number} died: {newest:?}"));
    }
    let reasons = match root {
        Queue::Mortal => [DeathReason::Expired, DeathReason::Rejected],
        _ => [DeathReason::Rejected, DeathReason::Rejected],
    };
    let right = newest.is_some_and(|death| {
        *death.queue == *root.name() && reasons.contains(&death.reason) && death.count == 1
    });
    ensure(right, || format!("{number} died: {newest:?}"))
}
