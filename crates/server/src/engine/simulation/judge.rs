//! What the model makes of the answers that it is told: whether something was lost, doubled, or
//! promised and not kept.

use broker::event::{Answer, Event};
use broker::id::{ConsumerId, Millis, Token};
use broker::pass::{Command, Mode};
use broker::refusal::Refusal;

use super::deliveries::{EXPIRY_SLACK_MS, Handed};
use super::queues::{Place, QUEUES, Queue};
use super::story::{Ask, Copy, Hope, Stage, Story};
use super::world::{Seen, Stop, Verdict, ensure};

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
