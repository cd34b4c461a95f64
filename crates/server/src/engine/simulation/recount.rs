//! After a death: what is there is looked at as a whole and compared with what may be.

use std::collections::{BTreeMap, BTreeSet};

use broker::event::Event;
use broker::id::QueueId;
use broker::pass::{Command, ConsumerOptions, Credit, Mode, Sharing};

use super::deliveries::number_in;
use super::partitions::Listing;
use super::queues::{Place, QUEUES, Queue};
use super::story::{Ask, Copy, Key, OWN, Stage, Story};
use super::world::{Stop, Verdict, ensure};

/// The numbers in each queue that is there.
type Found = BTreeMap<Queue, BTreeSet<u64>>;

impl Story {
    /// What lived with the process goes with it.
    pub fn forget_life(&mut self) {
        self.recounting = true;
        self.receivers.clear();
        self.held_back.clear();
        self.freshest.clear();
        for ((root, _), copy) in &mut self.copies {
            copy.held = None;
            copy.settling = false;
            copy.returning = false;
            copy.seen_now = false;
            copy.marked |= copy.seen;
            copy.may_be_marked = true;
            copy.attempts.0 = copy.attempts.2.min(copy.attempts.0);
            if copy.stage == Stage::Gone {
                continue;
            }
            match copy.place {
                Place::Root if !Story::is_durable(*root) => copy.stage = Stage::Gone,
                // It may be back in its first queue.
                Place::Sink if !copy.anchored => copy.place = Place::Either,
                Place::Root | Place::Sink | Place::Either => {}
            }
        }
        self.forget_positions();
        // What is volatile gets its numbers anew in each life.
        if let Some(id) = self.ids.id(Queue::Fleeting) {
            self.positions.remove(&id);
            self.attended.remove(&id);
        }
        self.ids.set(Queue::Fleeting, None);
    }

    /// A message that need not survive takes its position with it, and another may get that.
    fn forget_positions(&mut self) {
        for (id, positions) in &mut self.positions {
            let Some(queue) = self.ids.queue(*id) else {
                continue;
            };
            let (root, place) = queue.root();
            positions.retain(|_, number| {
                let copy = self.copies.get(&(root, *number));
                copy.is_some_and(|copy| {
                    copy.promised && copy.place == place && (place == Place::Root || copy.anchored)
                })
            });
        }
    }

    /// The stop was an orderly one: what was stored is there, whoever was promised it.
    pub fn keep_all(&mut self) {
        for ((root, _), copy) in &mut self.copies {
            let stays = copy.stage == Stage::Stays && copy.place == Place::Root;
            copy.promised |= stays && copy.told && !copy.doubtful && Story::is_durable(*root);
        }
    }

    /// Looks at everything, and takes it for what is from now on.
    pub fn recount(&mut self) -> Verdict {
        // What begins of itself comes to its end first; nobody is told of anything.
        self.world.rest()?;
        self.world.seen.clear();
        let mut found = Found::new();
        for queue in QUEUES {
            let topology = self.world.engine().topology();
            let id = topology.queue(queue.name()).map(|queue| queue.id);
            let known = self.ids.id(queue);
            let may_differ = match queue {
                Queue::Fleeting => id.is_none(),
                // Its deletion, or its declaration, was not answered.
                Queue::Passing => id.is_none() && self.deleting || known.is_none(),
                _ => known.is_none(),
            };
            ensure(id == known || may_differ, || {
                format!("{queue:?} was {known:?} and is {id:?}")
            })?;
            if let Some(id) = id {
                let numbers = self.browse(queue, id)?;
                found.insert(queue, numbers);
            } else {
                self.lose(queue);
                self.ids.set(queue, None);
            }
        }
        let listings = self.list_partitions()?;
        self.world.pass.push(OWN, Command::End { token: None });
        self.world.rest()?;
        self.world.seen.clear();

        self.judge_prefix(&found, &listings)?;
        self.judge_transactions(&found)?;
        self.resolve(&found)?;
        self.partitions.resolve(listings)?;
        self.deleting = false;
        self.asks.clear();
        self.found()?;
        self.judge_cursors()?;
        self.recounting = false;
        self.send_again();
        Ok(())
    }

    /// What is in a queue.
    fn browse(&mut self, queue: Queue, id: QueueId) -> Verdict<BTreeSet<u64>> {
        let consumer = self.consumer();
        let token = self.world.token();
        let options = ConsumerOptions {
            mode: Mode::Browse,
            sharing: Sharing::Shared,
            priority: 0,
            filter: None,
            credit: Credit::Unlimited,
        };
        let attach = Command::Attach {
            token,
            consumer,
            queue: id,
            options,
        };
        self.world.pass.push(OWN, attach);
        self.world.rest()?;
        let (mut numbers, mut ended) = (BTreeSet::new(), false);
        for seen in std::mem::take(&mut self.world.seen) {
            match seen.event {
                Event::Deliver(delivery) if delivery.consumer == consumer => {
                    let (number, _) = number_in(&seen.records[0])?;
                    self.stands(queue, id, delivery.position, number)?;
                    ensure(numbers.insert(number), || {
                        format!("{number} is twice in {queue:?}")
                    })?;
                }
                Event::BrowseEnded { consumer: of, .. } => ended |= of == consumer,
                Event::Done { token: of, .. } if of == token => {}
                Event::Changed(_) => {}
                other => return Err(Stop::Breach(format!("nobody asked for {other:?}"))),
            }
        }
        ensure(ended, || format!("browsing {queue:?} does not end"))?;
        Ok(numbers)
    }

    /// What nobody was promised survives up to one moment, and nothing of what came later.
    fn judge_prefix(&self, found: &Found, listings: &[Listing]) -> Verdict {
        let mut survived: Vec<(u64, bool)> = Vec::new();
        for ((root, number), copy) in &self.copies {
            let plain = copy.in_order
                && copy.place == Place::Root
                && copy.stage == Stage::Stays
                && copy.due.is_none()
                && copy.expires.is_none();
            if plain && let Some(numbers) = found.get(root) {
                survived.push((*number, numbers.contains(number)));
            }
        }
        survived.extend(self.partitions.survived(listings));
        survived.sort_by_key(|(number, there)| (*number, !there));
        let lost = survived.iter().find(|(_, there)| !there);
        let last = survived.iter().rev().find(|(_, there)| *there);
        match (lost, last) {
            (Some((lost, _)), Some((last, _))) => ensure(last < lost, || {
                let told = |number| {
                    let copies = self.copies.iter().filter(|((_, n), _)| *n == number);
                    format!("{:?}", copies.collect::<Vec<_>>())
                };
                let (lost_copies, last_copies) = (told(*lost), told(*last));
                format!(
                    "{lost} is lost, and {last}, which came later, is there: {lost_copies} and {last_copies}"
                )
            }),
            _ => Ok(()),
        }
    }

    /// A transaction that was not answered happened as a whole, or did not happen.
    fn judge_transactions(&mut self, found: &Found) -> Verdict {
        let mut kept = 0;
        let mut lost = 0;
        for ask in self.asks.values() {
            let Ask::Commit { copies, settled } = ask else {
                continue;
            };
            let is_there = |key: &Key| found.get(&key.0).is_some_and(|all| all.contains(&key.1));
            let durable: Vec<_> = copies
                .iter()
                .filter(|(root, _)| [Queue::Plain, Queue::Strict].contains(root))
                .collect();
            let there = durable.iter().filter(|key| is_there(key)).count();
            ensure(there == 0 || there == durable.len(), || {
                format!(
                    "{there} messages of a transaction of {} are there",
                    durable.len()
                )
            })?;
            let happened = there > 0;
            *(if happened { &mut kept } else { &mut lost }) += 1;
            for (key, _) in settled {
                let copy = &self.copies[key];
                let promised = copy.promised && !self.has_expired(copy);
                if !durable.is_empty() && Story::is_durable(key.0) {
                    // Its queue may have been deleted by a command before the transaction.
                    let has_lost_its_queue = copy.stage == Stage::Gone;
                    let right = match happened {
                        true => !is_there(key) || copy.place != Place::Root,
                        false => {
                            is_there(key)
                                || !promised
                                || copy.place != Place::Root
                                || has_lost_its_queue
                        }
                    };
                    ensure(right, || {
                        format!("a transaction happened: {happened}, and {key:?} is {copy:?}")
                    })?;
                }
            }
        }
        for _ in 0..kept {
            self.counts.note("transaction kept");
        }
        for _ in 0..lost {
            self.counts.note("transaction lost");
        }
        Ok(())
    }

    /// What is there, is; what is not, is gone for good, if it may be.
    fn resolve(&mut self, found: &Found) -> Verdict {
        let now = self.world.now;
        for (queue, numbers) in found {
            let (root, _) = queue.root();
            for number in numbers {
                ensure(self.copies.contains_key(&(root, *number)), || {
                    format!("{number} is in {queue:?} and was never sent")
                })?;
            }
        }
        let sink_of = |root: Queue| {
            let mut sinks = QUEUES.into_iter().filter(|queue| *queue != root);
            sinks.find(|queue| queue.root().0 == root)
        };
        let mut expired = 0;
        for (key, copy) in &mut self.copies {
            let (root, number) = *key;
            let is_in = |queue: Queue| found.get(&queue).is_some_and(|all| all.contains(&number));
            let in_root = is_in(root);
            let in_sink = sink_of(root).is_some_and(is_in);
            let words = |what: &str| format!("{number} of {root:?} {what}: {copy:?}");
            let late = copy.expires.is_some_and(|at| now.0 + 16 >= at.0);
            let place = match (in_root, in_sink) {
                (true, true) => return Err(Stop::Breach(words("is there twice"))),
                (false, false) => {
                    if copy.stage == Stage::Gone {
                        continue;
                    }
                    // What has come is back in the timer only if that was not durable.
                    let came = copy.anchored || (copy.seen && copy.persistent);
                    let delayed = !came && copy.due.is_some_and(|due| now < due.plus(1_000));
                    // It is on its way, and will come where it is sent.
                    let waits = (late && copy.place != Place::Sink) || delayed;
                    if waits && copy.promised && copy.stage == Stage::Stays {
                        match delayed {
                            true => copy.comes_anew(),
                            false => copy.place = Place::Either,
                        }
                        continue;
                    }
                    let may_go = !copy.promised || copy.stage == Stage::Asked;
                    ensure(may_go || waits, || words("was confirmed and is lost"))?;
                    if waits {
                        // Perhaps it comes, perhaps it never was.
                        copy.stage = Stage::Stays;
                        copy.promised = false;
                        copy.doubtful = true;
                        if delayed {
                            copy.comes_anew();
                        }
                        continue;
                    }
                    copy.stage = Stage::Gone;
                    continue;
                }
                (true, false) => Place::Root,
                (false, true) => Place::Sink,
            };
            ensure(copy.stage != Stage::Gone, || {
                words("was gone for good and is there")
            })?;
            let allowed = match (copy.place, place) {
                (Place::Root, Place::Sink) => late,
                (Place::Sink, Place::Root) => false,
                (Place::Root, Place::Root)
                | (Place::Sink, Place::Sink)
                | (Place::Either, Place::Root | Place::Sink) => true,
                (_, Place::Either) => unreachable!("no queue is between two"),
            };
            ensure(allowed, || words("is where it should not be"))?;
            if copy.place != place {
                // How often it was handed out here is not known.
                copy.comes_anew();
                copy.attempts = (0, u32::MAX, 0);
                expired += u64::from(late && place == Place::Sink);
            }
            if copy.due.is_some() && !copy.anchored && !copy.persistent {
                // It may have been back in the timer and have come again.
                copy.comes_anew();
            }
            copy.place = place;
            copy.anchored = true;
            copy.told = true;
            copy.promised = true;
            copy.stage = Stage::Stays;
            copy.doubtful = false;
        }
        for _ in 0..expired {
            self.counts.note("expired");
        }
        Ok(())
    }

    /// A producer that was not told sends again, with the same numbers.
    fn send_again(&mut self) {
        for (sequence, number) in std::mem::take(&mut self.unconfirmed) {
            self.counts.note("resent");
            let copy = self.copies.get(&(Queue::Plain, number));
            // One that was stored is known by its number, even if it was settled since.
            if copy.is_none_or(|copy| copy.stage == Stage::Gone && !copy.told) {
                let mut copy = Copy::new(true);
                copy.in_order = false;
                self.copies.insert((Queue::Plain, number), copy);
            }
            self.send_numbered(sequence, number);
        }
    }
}
