//! Deciding about a pass: every command in its order, and the frames that come of it.

use super::Node;
use super::queues::no_queue;
use super::shard::Shard;
use super::work::{Lane, Transaction, Work};
use crate::event::{Answer, Effects, Event};
use crate::id::{Millis, PartitionId, Position, QueueId, SessionId, Token};
use crate::ledger::{Decision, Fact};
use crate::pass::{Command, Outcome, Pass, Positions};
use crate::refusal::Refusal;

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
        self.go_on(&mut work);
        self.take_facts(&mut work);
        let mut commands = commands.into_iter();
        while let Some((session, command)) = commands.next() {
            if self.disk_full && self.needs_disk(&command, commands.as_slice()) {
                self.refuse(session, command, &mut commands, &mut work);
                continue;
            }
            if matches!(command, Command::Begin) {
                self.settle_rest(session, &mut work);
            }
            let Some(command) = self.keep(session, command) else {
                continue;
            };
            self.carry_out(session, command, &mut work);
            self.take_facts(&mut work);
            if work.transaction.is_none() {
                self.go_on(&mut work);
            }
        }
        assert!(
            work.transaction.is_none(),
            "a transaction is closed in its pass"
        );
        work.log.flush(&mut self.log, now, work.effects);
        work.volatile.flush(&mut self.volatile, now, work.effects);
    }

    /// Moves what dispatch wants logged into the frames in the making.
    pub(super) fn take_facts(&mut self, work: &mut Work<'_>) {
        let (facts, must_sync) = self.log.dispatch.take_facts();
        work.log.assembly.must_sync |= must_sync;
        facts.for_each(|fact| work.fact(fact));
        let (facts, _) = self.volatile.dispatch.take_facts();
        facts.for_each(|fact| work.volatile.assembly.fact(fact));
    }

    pub(super) fn carry_out(&mut self, session: SessionId, command: Command, work: &mut Work<'_>) {
        match command {
            Command::Publish {
                token,
                durable,
                volatile,
                producer,
            } => {
                self.publish(session, token, durable, volatile, producer, work);
            }
            Command::Barrier { token } => self.wait(session, token, work),
            Command::Begin => work.transaction = Some(Transaction::default()),
            Command::Commit { token } => self.commit(session, token, work),
            Command::Change { token, change } => {
                let result = self.change(&change, work).map(Answer::Topology);
                work.answer_behind(session, token, result);
            }
            Command::DeleteQueue {
                token,
                name,
                condition,
            } => {
                let result = self.delete_queue(session, &name, condition, work);
                work.answer_behind(session, token, result);
            }
            Command::Purge { token, queue } => {
                let shard = self.shard(queue);
                let messages = shard.dispatch.purge(queue, &shard.ledger);
                self.take_facts(work);
                work.answer_behind(session, token, Ok(Answer::Purged { messages }));
                work.log.assembly.must_sync = true;
            }
            Command::Status { token, queue } => {
                self.watch_idle(queue, work.now);
                let shard = self.shard(queue);
                let status = shard.dispatch.status(queue, &shard.ledger);
                let result = status.map(Answer::Status).ok_or_else(no_queue);
                work.answer(session, token, result);
            }
            Command::Attach {
                token,
                consumer,
                queue,
                options,
            } => {
                let result = self.attach(session, consumer, queue, options);
                self.watch_idle(queue, work.now);
                work.answer(session, token, result);
            }
            Command::Detach { token, consumer } => {
                let idle = self
                    .shards()
                    .into_iter()
                    .find_map(|shard| shard.dispatch.detach(consumer, &shard.ledger));
                self.detached(idle, session, token, work);
            }
            Command::Credit { consumer, credit } => {
                for shard in self.shards() {
                    shard.dispatch.credit(consumer, credit, &shard.ledger);
                }
            }
            Command::Fetch { consumer, count } => {
                for shard in self.shards() {
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
            } => match positions {
                Positions::Many(positions)
                    if work.transaction.is_none() && self.is_much(&positions) =>
                {
                    self.settle_in_parts(session, queue, positions, outcome);
                }
                positions => self.settle(session, queue, positions.as_slice(), &outcome, work),
            },
            Command::Read { token, read } => self.log.dispatch.reads.read(session, token, read),
            Command::Find { token, message } => {
                let stored = message.index().0 > 0 && message.index() <= self.log.ledger.applied();
                if message.shard() == self.log.id && stored {
                    self.log.dispatch.reads.find(session, token, message);
                } else {
                    work.answer(session, token, Err(Refusal::NoMessage));
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
                work.answer(session, token, result);
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
                // In a transaction it holds only if that is committed.
                if work.transaction.is_none() {
                    self.log.stands(group, partition, offset);
                }
                work.fact(fact);
            }
            Command::Hold => {
                for shard in self.shards() {
                    shard.dispatch.hold(session);
                }
            }
            Command::Resume => {
                for shard in self.shards() {
                    shard.dispatch.resume(session, &shard.ledger);
                }
            }
            Command::End { token } => self.end(session, token),
        }
    }

    fn commit(&mut self, session: SessionId, token: Token, work: &mut Work<'_>) {
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
            // The only participant has the decision with this frame.
            assembly.fact(Fact::Finished { transaction });
        }
        assembly.must_sync = true;
        assembly.wants_frame |= !assembly.facts.is_empty();
        let waits = transaction.dooms && self.waits.must(session, token, &self.log, &self.volatile);
        if !waits {
            work.answer_behind(session, token, Ok(Answer::Done));
        }
    }

    pub(super) fn settle(
        &mut self,
        session: SessionId,
        queue: QueueId,
        positions: &[Position],
        outcome: &Outcome,
        work: &mut Work<'_>,
    ) {
        let shard = self.shard(queue);
        for position in positions {
            shard
                .dispatch
                .settle(session, queue, *position, outcome, &shard.ledger);
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

    /// Answers when everything that was asked before is decided and durable.
    pub(super) fn wait(&mut self, session: SessionId, token: Token, work: &mut Work<'_>) {
        if !self.waits.must(session, token, &self.log, &self.volatile) {
            self.barrier(session, token, work);
        }
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
        self.planned
            .address_by_id(partition.address)
            .and_then(|address| address.spec.partitions.as_ref())
            .is_some_and(|partitions| partition.number < partitions.read.max(partitions.write))
    }
}
