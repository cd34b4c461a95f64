//! Deciding about a pass: every command in its order, and the frames that come of it.

use std::collections::BTreeMap;

use super::Node;
use super::full::needs_disk;
use super::shard::{Assembly, Shard, must_sync};
use crate::event::{Answer, Effects, Event};
use crate::id::{ConsumerId, Durability, Millis, PartitionId, Position, QueueId, SessionId, Token};
use crate::ledger::{Decision, Fact};
use crate::pass::{
    Batch, Command, ConsumerOptions, Credit, DeleteCondition, Destination, Destinations, Pass,
    Placed, Positions,
};
use crate::refusal::{Kind, Refusal};
use crate::topology::Change;

/// The frames of one pass in the making.
pub(super) struct Work<'a> {
    log: Lane,
    pub(super) volatile: Lane,
    transaction: Option<Transaction>,
    pub(super) effects: &'a mut Effects,
    now: Millis,
}

/// The frames for one shard in the making.
pub(super) struct Lane {
    batches: Vec<Batch>,
    /// The batch whose messages the assembly holds.
    current: Option<u32>,
    pub(super) assembly: Assembly,
    /// The last sequence of each producer with a message in the assembly.
    producers: BTreeMap<Box<str>, u64>,
}

impl Lane {
    fn new(batches: Vec<Batch>) -> Lane {
        let assembly = Assembly::default();
        Lane {
            batches,
            current: None,
            assembly,
            producers: BTreeMap::new(),
        }
    }

    /// Closes the frame.
    fn flush(&mut self, shard: &mut Shard, now: Millis, effects: &mut Effects) {
        let mut assembly = std::mem::take(&mut self.assembly);
        for (name, sequence) in std::mem::take(&mut self.producers) {
            assembly.facts.push(Fact::Producer { name, sequence });
        }
        shard.flush(assembly, now, effects);
    }
}

/// A transaction of the pass.
struct Transaction {
    /// Held back until the last frame of the transaction.
    facts: Vec<Fact>,
    /// Its producers' last sequences: they hold only if it is committed.
    producers: BTreeMap<Box<str>, u64>,
    /// Given when a part had to be prepared.
    prepared: Option<u64>,
    /// A message of it lies in the current batch.
    in_batch: bool,
    /// A message of it goes elsewhere, once its record has been read.
    dooms: bool,
}

impl Node {
    /// Decides about everything a pass asks; frames come out, to be appended at once and in
    /// order.
    pub fn handle(&mut self, pass: Pass, now: Millis, effects: &mut Effects) {
        self.flush_moves(now, effects);
        let Pass {
            commands,
            durable,
            volatile,
            ..
        } = pass;
        let mut work = Work {
            log: Lane::new(durable),
            volatile: Lane::new(volatile),
            transaction: None,
            effects,
            now,
        };
        while let Some((session, token)) = self.waits.pop(&self.log, &self.volatile) {
            self.barrier(session, token, &mut work);
        }
        self.take_facts(&mut work);
        let mut commands = commands.into_iter();
        while let Some((session, command)) = commands.next() {
            if self.disk_full && needs_disk(&command, commands.as_slice()) {
                self.refuse(session, command, &mut commands, &mut work);
                continue;
            }
            self.carry_out(session, command, &mut work);
            self.take_facts(&mut work);
        }
        assert!(
            work.transaction.is_none(),
            "a transaction is closed in its pass"
        );
        work.log.flush(&mut self.log, now, work.effects);
        work.volatile.flush(&mut self.volatile, now, work.effects);
    }

    /// Moves what dispatch wants logged into the frames in the making.
    fn take_facts(&mut self, work: &mut Work<'_>) {
        let (facts, must_sync) = self.log.dispatch.take_facts();
        work.log.assembly.must_sync |= must_sync;
        for fact in facts {
            match &mut work.transaction {
                Some(transaction) => transaction.facts.push(fact),
                None => work.log.assembly.fact(fact),
            }
        }
        let (facts, _) = self.volatile.dispatch.take_facts();
        facts
            .into_iter()
            .for_each(|fact| work.volatile.assembly.fact(fact));
    }

    fn carry_out(&mut self, session: SessionId, command: Command, work: &mut Work<'_>) {
        match command {
            Command::Publish {
                token,
                durable,
                volatile,
                producer,
            } => {
                self.publish(session, token, durable, volatile, producer, work);
            }
            Command::Barrier { token } => {
                if !self.waits.must(session, token, &self.log, &self.volatile) {
                    self.barrier(session, token, work);
                }
            }
            Command::Begin => {
                work.transaction = Some(Transaction {
                    facts: Vec::new(),
                    producers: BTreeMap::new(),
                    prepared: None,
                    in_batch: false,
                    dooms: false,
                });
            }
            Command::Commit { token } => {
                let transaction = work.transaction.take().expect("a commit follows a begin");
                work.log.producers.extend(transaction.producers);
                let assembly = &mut work.log.assembly;
                for fact in transaction.facts {
                    if let Fact::Cursor {
                        group,
                        partition,
                        offset,
                    } = &fact
                    {
                        self.log.stands(*group, *partition, *offset);
                    }
                    assembly.fact(fact);
                }
                if let Some(transaction) = transaction.prepared {
                    assembly.fact(Fact::Decided {
                        transaction,
                        decision: Decision::Commit,
                    });
                }
                assembly.must_sync = true;
                assembly.wants_frame |= !assembly.facts.is_empty();
                let waits =
                    transaction.dooms && self.waits.must(session, token, &self.log, &self.volatile);
                if !waits {
                    assembly.done.push((session, token, Ok(Answer::Done)));
                }
            }
            Command::Change { token, change } => {
                let result = self.change(&change, work).map(Answer::Topology);
                self.reply(session, token, result, work);
            }
            Command::DeleteQueue {
                token,
                name,
                condition,
            } => {
                let result = self.delete_queue(session, &name, condition, work);
                self.reply(session, token, result, work);
            }
            Command::Purge { token, queue } => {
                let shard = self.shard(queue);
                let messages = shard.dispatch.purge(queue, &shard.ledger);
                self.take_facts(work);
                self.reply(session, token, Ok(Answer::Purged { messages }), work);
                work.log.assembly.must_sync = true;
            }
            Command::Status { token, queue } => {
                self.watch_idle(queue, work.now);
                let shard = self.shard(queue);
                let status = shard.dispatch.status(queue, &shard.ledger);
                let result = status.map(Answer::Status).ok_or_else(|| no_queue(""));
                work.effects.events.push(Event::Done {
                    session,
                    token,
                    result,
                });
            }
            Command::Attach {
                token,
                consumer,
                queue,
                options,
            } => {
                let result = self.attach(session, consumer, queue, options);
                self.watch_idle(queue, work.now);
                work.effects.events.push(Event::Done {
                    session,
                    token,
                    result,
                });
            }
            Command::Detach { token, consumer } => {
                let idle = [&mut self.log, &mut self.volatile]
                    .into_iter()
                    .find_map(|shard| shard.dispatch.detach(consumer, &shard.ledger));
                let deleted = idle.is_some_and(|queue| self.unused(queue, work));
                if deleted {
                    self.reply(session, token, Ok(Answer::Done), work);
                } else {
                    let result = Ok(Answer::Done);
                    work.effects.events.push(Event::Done {
                        session,
                        token,
                        result,
                    });
                }
            }
            Command::Credit { consumer, credit } => self.credit(consumer, credit),
            Command::Fetch { consumer, count } => {
                for shard in [&mut self.log, &mut self.volatile] {
                    shard.dispatch.fetch(consumer, count, &shard.ledger);
                }
            }
            Command::Get {
                token,
                queue,
                holder,
                mode,
            } => {
                self.watch_idle(queue, work.now);
                let shard = self.shard(queue);
                if !shard
                    .dispatch
                    .get(session, token, queue, holder, mode, &shard.ledger)
                {
                    let got = Event::Got {
                        session,
                        token,
                        delivery: None,
                        ready: 0,
                    };
                    work.effects.events.push(got);
                }
            }
            Command::Settle {
                queue,
                positions,
                outcome,
            } => {
                self.settle(session, queue, &positions, &outcome, work);
            }
            Command::Read { token, read } => self.log.dispatch.reads.read(session, token, read),
            Command::Find { token, message } => {
                let stored = message.index().0 > 0 && message.index() <= self.log.ledger.applied();
                if message.shard() == self.log.id && stored {
                    self.log.dispatch.reads.find(session, token, message);
                } else {
                    let result = Err(Refusal::NoMessage);
                    work.effects.events.push(Event::Done {
                        session,
                        token,
                        result,
                    });
                }
            }
            Command::Bounds { token, partition } => {
                self.log
                    .dispatch
                    .reads
                    .ask_bounds(session, token, partition);
            }
            Command::OffsetAt {
                token,
                partition,
                time,
                side,
            } => {
                let Shard {
                    ledger, dispatch, ..
                } = &mut self.log;
                dispatch
                    .reads
                    .offset_at(session, token, partition, time, side, ledger);
            }
            Command::Cursor {
                token,
                group,
                partition,
            } => {
                let result = Ok(Answer::Offset(self.log.cursor(group, partition)));
                work.effects.events.push(Event::Done {
                    session,
                    token,
                    result,
                });
            }
            Command::SetCursor {
                group,
                partition,
                offset,
            } => {
                if !self.has_partition(partition) {
                    return;
                }
                let fact = Fact::Cursor {
                    group,
                    partition,
                    offset,
                };
                match &mut work.transaction {
                    Some(transaction) => transaction.facts.push(fact),
                    None => {
                        self.log.stands(group, partition, offset);
                        work.log.assembly.fact(fact);
                    }
                }
            }
            Command::Hold => {
                self.log.dispatch.hold(session);
                self.volatile.dispatch.hold(session);
            }
            Command::Resume => {
                for shard in [&mut self.log, &mut self.volatile] {
                    shard.dispatch.resume(session, &shard.ledger);
                }
            }
            Command::End => {
                for durability in [Durability::Durable, Durability::Volatile] {
                    let shard = match durability {
                        Durability::Durable => &mut self.log,
                        Durability::Volatile => &mut self.volatile,
                    };
                    for queue in shard.dispatch.end(session, &shard.ledger) {
                        self.unused(queue, work);
                    }
                }
                // Ending owns nothing that could be refused.
                let _ = self.change(&Change::EndSession(session), work);
            }
        }
    }

    fn publish(
        &mut self,
        session: SessionId,
        token: Option<Token>,
        durable: Option<Placed>,
        volatile: Option<Placed>,
        producer: Option<(Box<str>, u64)>,
        work: &mut Work<'_>,
    ) {
        let again = producer.as_ref().is_some_and(|(name, sequence)| {
            let last = self.log.last_sequence(name);
            last.is_some_and(|last| *sequence <= last)
        });
        for (placed, durability) in [
            (durable, Durability::Durable),
            (volatile, Durability::Volatile),
        ] {
            let Some(placed) = placed else { continue };
            self.enter_batch(placed.batch, durability, work);
            let lane = match durability {
                Durability::Durable => &mut work.log,
                Durability::Volatile => &mut work.volatile,
            };
            let head = &mut lane.assembly.batch.heads[usize::from(placed.slot)];
            if again {
                head.destinations = Destinations::Many(Box::new([]));
                continue;
            }
            // A partition is made by its first message: not by one that comes after the end.
            let gone = |destination: &Destination| match destination {
                Destination::Partition(id) => self.planned.address_by_id(id.address).is_none(),
                Destination::Queue(_) | Destination::Timer(_) => false,
            };
            let destinations = head.destinations.as_slice();
            if destinations.iter().any(gone) {
                let rest = destinations
                    .iter()
                    .copied()
                    .filter(|destination| !gone(destination));
                head.destinations = Destinations::Many(rest.collect());
            }
            lane.assembly.must_sync |= must_sync(head);
        }
        if let Some((name, sequence)) = producer.filter(|_| durable.is_some() && !again) {
            self.log.sent(&name, sequence);
            match &mut work.transaction {
                Some(transaction) => transaction.producers.insert(name, sequence),
                None => work.log.producers.insert(name, sequence),
            };
        }
        if durable.is_some()
            && let Some(transaction) = &mut work.transaction
        {
            transaction.in_batch = true;
        }
        if let Some(token) = token {
            match (durable, volatile) {
                (Some(placed), _) => {
                    work.log.assembly.stored.push((session, token, placed.slot));
                }
                (None, Some(placed)) => {
                    work.volatile
                        .assembly
                        .stored
                        .push((session, token, placed.slot));
                }
                (None, None) => unreachable!("a published message has a place"),
            }
        }
    }

    /// Makes a batch the current one; what was decided with the one before it is a frame then.
    pub(super) fn enter_batch(&mut self, number: u32, durability: Durability, work: &mut Work<'_>) {
        let (lane, shard) = match durability {
            Durability::Durable => (&mut work.log, &mut self.log),
            Durability::Volatile => (&mut work.volatile, &mut self.volatile),
        };
        if lane.current == Some(number) {
            return;
        }
        if lane.current.is_some() {
            if durability == Durability::Durable
                && let Some(transaction) = &mut work.transaction
                && std::mem::take(&mut transaction.in_batch)
            {
                let number = *transaction.prepared.get_or_insert_with(|| {
                    self.next_transaction += 1;
                    self.next_transaction
                });
                lane.assembly.fact(Fact::Prepared {
                    transaction: number,
                });
            }
            lane.flush(shard, work.now, work.effects);
        }
        lane.current = Some(number);
        lane.assembly.batch = std::mem::take(&mut lane.batches[number as usize]);
    }

    /// Decides a change of the topology.
    fn change(
        &mut self,
        change: &Change,
        work: &mut Work<'_>,
    ) -> Result<crate::topology::Answer, Refusal> {
        let plan = self.planned.plan(change)?;
        for fact in plan.facts {
            self.planned.apply(&fact);
            work.log.assembly.must_sync |= fact.durability() == Durability::Durable;
            work.log.assembly.fact(Fact::Topology(fact));
        }
        Ok(plan.answer)
    }

    /// Answers behind the facts that were decided before.
    fn reply(
        &mut self,
        session: SessionId,
        token: Token,
        result: Result<Answer, Refusal>,
        work: &mut Work<'_>,
    ) {
        work.log.assembly.done.push((session, token, result));
    }

    fn delete_queue(
        &mut self,
        session: SessionId,
        name: &str,
        condition: DeleteCondition,
        work: &mut Work<'_>,
    ) -> Result<Answer, Refusal> {
        let Some(queue) = self.planned.queue(name).cloned() else {
            return Ok(Answer::Deleted { messages: 0 });
        };
        if queue.spec.owner.is_some_and(|owner| owner != session) {
            return Err(Refusal::Locked { name: name.into() });
        }
        let shard = self.shard(queue.id);
        let status = shard
            .dispatch
            .status(queue.id, &shard.ledger)
            .unwrap_or_default();
        if condition.if_unused && status.consumers > 0 {
            return Err(Refusal::InUse {
                kind: Kind::Queue,
                name: name.into(),
            });
        }
        if condition.if_empty && status.ready > 0 {
            return Err(Refusal::NotEmpty { name: name.into() });
        }
        self.change(
            &Change::DeleteQueue {
                name: queue.spec.name.clone(),
            },
            work,
        )?;
        Ok(Answer::Deleted {
            messages: status.ready,
        })
    }

    /// A queue has lost its last consumer. Tells whether it goes for that.
    fn unused(&mut self, id: QueueId, work: &mut Work<'_>) -> bool {
        let Some(queue) = self.planned.queue_by_id(id) else {
            return false;
        };
        if !queue.spec.auto_delete {
            self.watch_idle(id, work.now);
            return false;
        }
        let name = queue.spec.name.clone();
        self.change(&Change::DeleteQueue { name }, work).is_ok()
    }

    fn credit(&mut self, consumer: ConsumerId, credit: Credit) {
        for shard in [&mut self.log, &mut self.volatile] {
            shard.dispatch.credit(consumer, credit, &shard.ledger);
        }
    }

    fn settle(
        &mut self,
        session: SessionId,
        queue: QueueId,
        positions: &Positions,
        outcome: &crate::pass::Outcome,
        work: &mut Work<'_>,
    ) {
        let shard = self.shard(queue);
        for position in positions.as_slice() {
            let position: Position = *position;
            shard
                .dispatch
                .settle(session, queue, position, outcome, &shard.ledger);
        }
        // What goes nowhere is settled with everything else of this pass.
        for doomed in shard.dispatch.take_doomed() {
            if self.needs_record(&doomed) {
                if let Some(transaction) = &mut work.transaction {
                    transaction.dooms = true;
                }
                self.doomed.push_back(doomed);
                continue;
            }
            let shard = self.shard(queue);
            shard.dispatch.doom_decided(doomed.serial);
            shard.dispatch.settle_now(&doomed, doomed.fate.reason());
        }
    }

    fn attach(
        &mut self,
        session: SessionId,
        consumer: ConsumerId,
        id: QueueId,
        options: ConsumerOptions,
    ) -> Result<Answer, Refusal> {
        let queue = self.planned.queue_by_id(id).ok_or_else(|| no_queue(""))?;
        let name = queue.spec.name.clone();
        if queue.spec.owner.is_some_and(|owner| owner != session) {
            return Err(Refusal::Locked {
                name: name.as_ref().into(),
            });
        }
        // An id names one consumer, whichever shard it is attached to.
        if self.log.dispatch.has_consumer(consumer) || self.volatile.dispatch.has_consumer(consumer)
        {
            return Err(Refusal::ExclusiveUse {
                name: name.as_ref().into(),
            });
        }
        let shard = self.shard(id);
        shard
            .dispatch
            .attach(session, consumer, id, options, &name, &shard.ledger)?;
        Ok(Answer::Done)
    }

    /// Answers when everything that was decided before is durable.
    fn barrier(&mut self, session: SessionId, token: Token, work: &mut Work<'_>) {
        let assembly = &mut work.log.assembly;
        assembly.done.push((session, token, Ok(Answer::Done)));
        if !assembly.facts.is_empty() || self.log.is_behind() {
            assembly.must_sync = true;
            assembly.wants_frame = true;
        }
    }

    /// Whether an address with this partition exists.
    fn has_partition(&self, partition: PartitionId) -> bool {
        let partitions = self
            .planned
            .address_by_id(partition.address)
            .and_then(|address| address.spec.partitions.clone());
        partitions
            .is_some_and(|partitions| partition.number < partitions.read.max(partitions.write))
    }
}

fn no_queue(name: &str) -> Refusal {
    Refusal::NotFound {
        kind: Kind::Queue,
        name: name.into(),
    }
}
