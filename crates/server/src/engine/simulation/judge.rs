//! What the model makes of what it is told: whether something was lost, doubled, too early, too
//! late, or out of order.

use broker::event::{Answer, Delivery, Event};
use broker::id::{ConsumerId, Millis, Position, QueueId, Token};
use broker::pass::{Command, Mode};
use broker::record::{DeathReason, Record};
use broker::refusal::Refusal;

use super::message;
use super::queues::{Place, QUEUES, Queue};
use super::story::{Ask, Copy, Hope, Stage, Story};
use super::world::{Seen, Stop, Verdict, ensure};

/// Times of expiry are kept in units of 8 ms.
const EXPIRY_SLACK_MS: u64 = 16;

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
    pub fn note(&mut self, seen: Seen) -> Verdict {
        let Seen { event, records } = seen;
        match event {
            Event::Stored { token, at, .. } => {
                let at = at.map(|(partition, position)| (partition.number as usize, position.0));
                self.stored(token, at)
            }
            Event::Done { token, result, .. } => self.done(token, result),
            Event::Deliver(delivery) => self.delivered(delivery, &records[0]),
            Event::Got {
                token, delivery, ..
            } => {
                let Some(Ask::Get { session, mode }) = self.asks.remove(&token) else {
                    return Err(Stop::Breach(format!("{token:?} got what it did not ask")));
                };
                let Some(delivery) = delivery else {
                    return Ok(());
                };
                ensure(delivery.session == session, || format!("{delivery:?}"))?;
                self.counts.note("got");
                let parity = None;
                let record = &records[0];
                self.handed(&Handed {
                    delivery,
                    mode,
                    parity,
                    record,
                })
            }
            Event::Read { token, result, .. } => {
                let Some(Ask::Read {
                    partition,
                    offset,
                    tag,
                    ..
                }) = self.asks.remove(&token)
                else {
                    return Err(Stop::Breach(format!("{token:?} read what it did not ask")));
                };
                self.counts.note("read");
                self.partitions
                    .read(partition, offset, tag, &result, &records)
            }
            Event::Cancelled { consumer, .. } => {
                let known = self.receivers.remove(&consumer);
                ensure(known.is_some() && self.deleting, || {
                    format!("{consumer:?} is cancelled")
                })?;
                self.counts.note("cancelled");
                Ok(())
            }
            Event::Ready { consumer, .. } | Event::BrowseEnded { consumer, .. } => {
                let known = self.receivers.contains_key(&consumer);
                ensure(known, || format!("{consumer:?} is told and not there"))
            }
            Event::Changed(_) => Ok(()),
        }
    }

    fn stored(&mut self, token: Token, at: Option<(usize, u64)>) -> Verdict {
        match self.asks.remove(&token) {
            Some(Ask::Stored {
                copies,
                partition,
                number,
                sequence,
            }) => {
                self.counts.note("confirmed");
                for key in copies {
                    self.confirm(key.0, key.1);
                }
                if let Some(sequence) = sequence {
                    self.unconfirmed.remove(&sequence);
                }
                let Some(partition) = partition else {
                    return ensure(at.is_none(), || format!("{number} is in {at:?}"));
                };
                match at {
                    Some((of, offset)) if of == partition => {
                        self.partitions.stored(partition, offset, number)
                    }
                    _ => Err(Stop::Breach(format!(
                        "{number} of partition {partition} is in {at:?}"
                    ))),
                }
            }
            Some(Ask::Forward(key)) => {
                self.counts.note("forwarded");
                let copy = self.copies.get_mut(&key).expect("known");
                if copy.place == Place::Either {
                    copy.arrive();
                }
                Ok(())
            }
            other => Err(Stop::Breach(format!("{token:?} is stored: {other:?}"))),
        }
    }

    fn confirm(&mut self, root: Queue, number: u64) {
        if let Some(copy) = self.copies.get_mut(&(root, number)) {
            copy.told = true;
            copy.promised |= copy.persistent && Story::is_durable(root);
        }
    }

    fn done(&mut self, token: Token, result: Result<Answer, Refusal>) -> Verdict {
        let Some(ask) = self.asks.remove(&token) else {
            return Err(Stop::Breach(format!(
                "{token:?} is answered twice: {result:?}"
            )));
        };
        if result == Err(Refusal::DiskFull) {
            return self.refused(ask);
        }
        match (ask, result) {
            (Ask::Commit { copies, settled }, Ok(Answer::Done)) => {
                for (root, number) in copies {
                    self.confirm(root, number);
                    // What is answered is durable, whatever was said of its parts.
                    if let Some(copy) = self.copies.get_mut(&(root, number)) {
                        copy.promised |= Story::is_durable(root);
                    }
                }
                for (key, _) in settled {
                    let place = self.copies[&key].place;
                    self.hope(key, Hope::Ends(place));
                }
                Ok(())
            }
            (Ask::Barrier { hopes, cursors }, Ok(Answer::Done)) => {
                self.partitions.cursors_are_kept(cursors);
                for (key, hope) in hopes {
                    self.hope(key, hope);
                }
                Ok(())
            }
            (Ask::Purge { keys, is_exact }, Ok(Answer::Purged { messages })) => {
                self.counts.note("purged");
                ensure(!is_exact || messages == keys.len() as u64, || {
                    format!("{messages} messages were purged, not {}", keys.len())
                })?;
                for key in keys {
                    self.hope(key, Hope::Ends(Place::Root));
                }
                Ok(())
            }
            (Ask::Delete, Ok(Answer::Deleted { .. })) => {
                self.counts.note("deleted");
                self.deleting = false;
                self.ids.set(Queue::Passing, None);
                self.lose(Queue::Passing);
                Ok(())
            }
            (Ask::Delete, Err(Refusal::InUse { .. } | Refusal::NotEmpty { .. })) => {
                self.deleting = false;
                Ok(())
            }
            (Ask::Attach, Ok(Answer::Done)) | (Ask::Own, _) => Ok(()),
            (Ask::Detach(consumer), Ok(Answer::Done)) => {
                self.receivers.remove(&consumer);
                Ok(())
            }
            (Ask::Cursor(expected), Ok(Answer::Offset(found))) => {
                let found = found.map(|position| position.0);
                ensure(found == expected, || {
                    format!("the cursor is {found:?} and was set to {expected:?}")
                })
            }
            (ask, result) => Err(Stop::Breach(format!("{ask:?}: {result:?}"))),
        }
    }

    /// The disk is full: it is as if it had not been asked.
    fn refused(&mut self, ask: Ask) -> Verdict {
        self.counts.note("refused");
        match ask {
            Ask::Stored {
                copies,
                partition,
                number,
                sequence,
            } => {
                // One that was sent again may have been stored before.
                let again =
                    |ask: &Ask| matches!(ask, Ask::Stored { number: n, .. } if *n == number);
                let twice = sequence.is_some() && self.asks.values().any(again);
                if !twice {
                    copies.iter().for_each(|key| self.is_gone(*key));
                }
                if partition.is_some() {
                    self.partitions.refused(number);
                }
                if let Some(sequence) = sequence {
                    // It gives the number to the next one.
                    self.unconfirmed.remove(&sequence);
                }
                Ok(())
            }
            Ask::Commit { copies, settled } => {
                copies.iter().for_each(|key| self.is_gone(*key));
                for (key, holder) in settled {
                    let copy = self.copies.get_mut(&key).expect("known");
                    copy.settling = false;
                    copy.stage = Stage::Stays;
                    copy.held = Some(holder);
                }
                Ok(())
            }
            other => Err(Stop::Breach(format!("{other:?} is refused on a full disk"))),
        }
    }

    fn is_gone(&mut self, key: (Queue, u64)) {
        if let Some(copy) = self.copies.get_mut(&key).filter(|copy| !copy.told) {
            copy.stage = Stage::Gone;
        }
    }

    /// Everything in a queue goes with it.
    pub fn lose(&mut self, queue: Queue) {
        for ((root, _), copy) in &mut self.copies {
            if *root == queue && copy.place == Place::Root {
                copy.stage = Stage::Gone;
                copy.held = None;
            }
        }
    }

    fn hope(&mut self, key: (Queue, u64), hope: Hope) {
        let Some(copy) = self.copies.get_mut(&key) else {
            return;
        };
        match hope {
            Hope::Ends(place) => {
                if copy.stage == Stage::Asked && copy.place == place {
                    copy.stage = Stage::Gone;
                }
            }
            Hope::Moved => {
                if copy.place == Place::Either {
                    copy.arrive();
                }
                copy.anchored = true;
                copy.promised = true;
            }
            Hope::Kept => copy.promised = true,
            Hope::Counted(attempts) => copy.attempts.2 = copy.attempts.2.max(attempts),
        }
    }

    fn delivered(&mut self, delivery: Delivery, record: &[u8]) -> Verdict {
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

    fn handed(&mut self, handed: &Handed<'_>) -> Verdict {
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

    /// Takes everything that is left out of every queue.
    pub fn drain(&mut self) -> Verdict {
        for _ in 0..20 {
            for queue in QUEUES {
                if let Some(id) = self.ids.id(queue) {
                    self.attach_to(id, Mode::Lease, None, u64::MAX);
                }
            }
            self.world.rest()?;
            self.look()?;
            let held: Vec<_> = self
                .copies
                .iter()
                .filter(|(_, copy)| copy.held.is_some())
                .map(|(key, _)| *key)
                .collect();
            if held.is_empty() {
                break;
            }
            for key in held {
                self.accept(key);
            }
            self.barrier();
            self.world.rest()?;
            self.look()?;
            self.end_sessions();
        }
        Ok(())
    }

    /// Nothing is there any more.
    pub fn judge_end(&mut self) -> Verdict {
        for (key, copy) in &self.copies {
            ensure(copy.stage == Stage::Gone || copy.doubtful, || {
                format!("{key:?} never came: {copy:?}")
            })?;
        }
        for queue in QUEUES {
            let Some(id) = self.ids.id(queue) else {
                continue;
            };
            let answer = self.ask(|token| Command::Status { token, queue: id })?;
            let Ok(Answer::Status(status)) = answer else {
                return Err(Stop::Breach(format!("{queue:?}: {answer:?}")));
            };
            ensure((status.ready, status.unsettled) == (0, 0), || {
                format!("{queue:?} is empty and has {status:?}")
            })?;
        }
        let held = self.world.engine().held_bytes();
        ensure(held == 0, || format!("{held} bytes are held for nobody"))
    }

    pub fn has_expired(&self, copy: &Copy) -> bool {
        let Millis(now) = self.world.now;
        copy.expires.is_some_and(|at| now + EXPIRY_SLACK_MS >= at.0)
    }

    pub fn consumer(&mut self) -> ConsumerId {
        self.next_consumer += 1;
        ConsumerId(self.next_consumer)
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
