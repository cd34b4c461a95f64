//! How a frame changes the ledger, and what it tells dispatch.

use std::ops::Range;

use super::{Decision, Fact, Ledger, Reason};
use crate::entry::Entry;
use crate::id::{Durability, Index, Millis, PartitionId, Position, QueueId, ShardId};
use crate::pass::{Destination, Head};
use crate::topology::TopologyFact;

/// Who has something new after a frame was applied; dispatch looks there.
#[derive(Debug, Default)]
pub struct Applied {
    pub queues: Vec<QueueId>,
    pub partitions: Vec<PartitionId>,
    /// Where each message of the frame stands in its first partition, by slot.
    pub placed: Vec<(u16, PartitionId, Position)>,
    /// Ranges that were settled.
    pub settled: Vec<Settled>,
    pub returned: Vec<(QueueId, Position)>,
    pub removed: Vec<QueueId>,
}

/// A range that was settled, and how many live positions that were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    pub queue: QueueId,
    pub range: Range<Position>,
    pub reason: Reason,
    pub count: u64,
}

impl Applied {
    fn touch(&mut self, queue: QueueId) {
        if self.queues.last() != Some(&queue) {
            self.queues.push(queue);
        }
    }

    fn grow(&mut self, slot: u16, partition: PartitionId, position: Position) {
        self.placed.push((slot, partition, position));
        if self.partitions.last() != Some(&partition) {
            self.partitions.push(partition);
        }
    }
}

impl Ledger {
    /// Applies one frame. Frames come in the order of their index, each once.
    pub fn apply(&mut self, index: Index, time: Millis, heads: &[Head], facts: &[Fact]) -> Applied {
        assert!(index > self.applied, "frame {index} after {}", self.applied);
        self.applied = index;
        self.time = self.time.max(time);
        let mut applied = Applied::default();
        // First what the messages of this frame rely on: a queue that is created with them, and
        // the earlier parts of their transaction.
        let mut prepared = None;
        let mut again = Vec::new();
        for fact in facts {
            match fact {
                Fact::Forwarded {
                    source,
                    target,
                    sequence,
                    slots,
                } => {
                    let again_until = self.forward((*source, *target), *sequence, slots.clone());
                    again.push(slots.start..again_until);
                }
                Fact::Topology(fact @ TopologyFact::QueueSet { .. }) => {
                    self.apply_topology(fact, &mut applied);
                }
                Fact::Decided {
                    transaction,
                    decision,
                } => {
                    self.decide(*transaction, *decision, &mut applied);
                }
                Fact::Prepared { transaction } => prepared = Some(*transaction),
                Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Fired { .. }
                | Fact::Rescheduled { .. }
                | Fact::Trimmed { .. }
                | Fact::Cursor { .. }
                | Fact::Producer { .. }
                | Fact::Finished { .. }
                | Fact::Topology(_) => {}
            }
        }
        let is_again = |slot: &u16| again.iter().any(|slots: &Range<u16>| slots.contains(slot));
        let fresh = (0..).zip(heads).filter(|(slot, _)| !is_again(slot));
        match prepared {
            Some(transaction) => {
                let held = self.prepared.entry(transaction).or_default();
                held.extend(fresh.map(|(slot, head)| (index, slot, head.clone())));
            }
            None => {
                for (slot, head) in fresh {
                    self.store(index, self.time, slot, head, &mut applied);
                }
            }
        }
        for fact in facts {
            self.apply_fact(fact, &mut applied);
        }
        self.timers.forget_emptied();
        applied
    }

    /// Notes the numbers of forwarded messages; tells up to which slot they came before.
    fn forward(&mut self, pair: (ShardId, ShardId), sequence: u64, slots: Range<u16>) -> u16 {
        let last = self.forwarded.entry(pair).or_insert(0);
        let count = u64::from(slots.end - slots.start);
        let again = last.saturating_add(1).saturating_sub(sequence).min(count);
        *last = (*last).max(sequence.saturating_add(count).saturating_sub(1));
        slots.start + again as u16
    }

    fn store(&mut self, index: Index, time: Millis, slot: u16, head: &Head, applied: &mut Applied) {
        let summary = head.summary;
        for destination in head.destinations.as_slice() {
            match *destination {
                Destination::Queue(id) => {
                    // Deleted since it was routed: the message is nobody's.
                    let Some(queue) = self.queues.get_mut(&id) else {
                        continue;
                    };
                    let ttl = queue.ttl_ms.map(|ttl| time.plus(ttl));
                    let expires = summary.expires.into_iter().chain(ttl).min();
                    let (flags, aux) = match expires {
                        Some(at) => Entry::expiring(summary.flags, at, time),
                        None => (summary.flags, 0),
                    };
                    let entry = Entry::new(index, slot, flags, head.size, aux);
                    queue.pages.push(entry, time);
                    if expires.is_some() {
                        self.expiring.insert(id);
                    }
                    applied.touch(id);
                }
                Destination::Partition(id) => {
                    let entry = Entry::new(index, slot, summary.flags, head.size, summary.tag_hash);
                    let partition = self.partitions.entry(id).or_default();
                    let position = partition.pages.push(entry, time);
                    applied.grow(slot, id, position);
                }
                Destination::Timer(due) => {
                    let entry = Entry::new(index, slot, summary.flags, head.size, 0);
                    self.timers.keep(due, entry, time);
                }
            }
        }
    }

    fn apply_fact(&mut self, fact: &Fact, applied: &mut Applied) {
        match fact {
            Fact::Settled {
                queue,
                range,
                reason,
            } => {
                let Some(ledger) = self.queues.get_mut(queue) else {
                    return;
                };
                let count = ledger.pages.settle_range(range.clone(), &mut self.freed);
                if ledger.pages.live() == 0 && !self.expiring.is_empty() {
                    self.expiring.remove(queue);
                }
                while let Some((position, _)) = ledger.attempts.range(range.clone()).next() {
                    let position = *position;
                    ledger.attempts.remove(&position);
                }
                let (queue, range, reason) = (*queue, range.clone(), *reason);
                applied.settled.push(Settled {
                    queue,
                    range,
                    reason,
                    count,
                });
            }
            Fact::Returned {
                queue,
                position,
                attempts,
            } => {
                let Some(ledger) = self.queues.get_mut(queue) else {
                    return;
                };
                if ledger.pages.is_live(*position) {
                    ledger.attempts.insert(*position, *attempts);
                    applied.returned.push((*queue, *position));
                }
            }
            Fact::Offered { queue, below } => {
                let Some(ledger) = self.queues.get_mut(queue) else {
                    return;
                };
                ledger.offered = ledger.offered.max(*below);
                applied.touch(*queue);
            }
            Fact::Fired { bucket, range } => {
                self.timers.fired(*bucket, range.clone(), &mut self.freed);
            }
            Fact::Rescheduled {
                bucket,
                first,
                entries,
            } => {
                self.timers
                    .reschedule(*bucket, *first, entries, &mut self.freed);
            }
            Fact::Finished { transaction } => {
                self.decided.remove(transaction);
            }
            Fact::Trimmed { partition, below } => {
                let Some(ledger) = self.partitions.get_mut(partition) else {
                    return;
                };
                let below = (*below).min(ledger.pages.next());
                ledger
                    .pages
                    .settle_range(ledger.first..below, &mut self.freed);
                ledger.first = ledger.first.max(below);
            }
            Fact::Cursor {
                group,
                partition,
                offset,
            } => {
                self.cursors.insert((*partition, *group), *offset);
            }
            Fact::Producer { name, sequence } => {
                self.producers.stored(name, *sequence, self.time);
            }
            // Done before the messages of the frame were stored.
            Fact::Prepared { .. }
            | Fact::Decided { .. }
            | Fact::Forwarded { .. }
            | Fact::Topology(TopologyFact::QueueSet { .. }) => {}
            Fact::Topology(fact) => self.apply_topology(fact, applied),
        }
    }

    /// Stores what was prepared, at the time of the decision, or forgets it.
    fn decide(&mut self, transaction: u64, decision: Decision, applied: &mut Applied) {
        self.decided.insert(transaction, decision);
        let held = self.prepared.remove(&transaction).unwrap_or_default();
        match decision {
            Decision::Commit => {
                let time = self.time;
                for (index, slot, head) in held {
                    self.store(index, time, slot, &head, applied);
                }
                // These stand in other frames: nobody asks for them by slot.
                applied.placed.clear();
            }
            Decision::Abort => {}
        }
    }

    /// Applies a change of the topology, as far as it is about queues and partitions in here.
    pub fn apply_topology(&mut self, fact: &TopologyFact, applied: &mut Applied) {
        match fact {
            TopologyFact::QueueSet { id, spec } => {
                if self.holds(*id) {
                    self.queues.entry(*id).or_default().ttl_ms = spec.options.message_ttl_ms;
                }
            }
            TopologyFact::QueueRemoved { id } => {
                if let Some(queue) = self.queues.remove(id) {
                    self.expiring.remove(id);
                    self.freed.extend(queue.pages.slots());
                    applied.removed.push(*id);
                }
            }
            TopologyFact::AddressRemoved { id, durability: _ } => {
                let first = PartitionId {
                    address: *id,
                    number: 0,
                };
                let last = PartitionId {
                    address: *id,
                    number: u32::MAX,
                };
                let gone: Vec<_> = self
                    .partitions
                    .range(first..=last)
                    .map(|(p, _)| *p)
                    .collect();
                for partition in gone {
                    let ledger = self.partitions.remove(&partition).expect("found above");
                    self.freed.extend(ledger.pages.slots());
                }
                self.cursors
                    .retain(|(partition, _), _| partition.address != *id);
            }
            TopologyFact::GroupRemoved { id } => {
                self.cursors.retain(|(_, group), _| group != id);
            }
            TopologyFact::AddressSet { .. }
            | TopologyFact::Bound { .. }
            | TopologyFact::Unbound { .. }
            | TopologyFact::GroupSet { .. }
            | TopologyFact::UserSet(_)
            | TopologyFact::UserRemoved { .. } => {}
        }
    }

    /// Whether a queue of this id belongs to this shard.
    fn holds(&self, queue: QueueId) -> bool {
        match queue.durability() {
            Durability::Durable => self.shard != ShardId::VOLATILE,
            Durability::Volatile => self.shard == ShardId::VOLATILE,
        }
    }
}
