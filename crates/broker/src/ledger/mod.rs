//! The ledger of a shard: the facts about its messages, and nothing else. It changes only by
//! applying frames in order; it has no clock and asks nobody. A replayed ledger equals the live
//! one, which [`Ledger::encode`] lets tests compare byte by byte.
//!
//! Caveat: messages kept for later stand in one ordered map in memory, about 64 bytes each; a
//! checkpoint writes all of them. Pages for them matter from some hundred thousand on.

mod checkpoint;
mod fact;
mod pages;
mod producers;

pub use fact::{Decision, Fact, Reason};
pub use pages::{Lookup, PAGE_ENTRIES, Pages, entries_from};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::entry::{Entry, EntryFlags};
use crate::event::PageSlot;
use crate::id::{GroupId, Index, MessageRef, Millis, PartitionId, Position, QueueId, ShardId};
use crate::map::IdMap;
use crate::pass::{Destination, Head};
use crate::topology::TopologyFact;
use producers::Producers;

/// The ledger of one shard.
pub struct Ledger {
    shard: ShardId,
    queues: IdMap<QueueId, QueueLedger>,
    partitions: BTreeMap<PartitionId, PartitionLedger>,
    cursors: BTreeMap<(PartitionId, GroupId), Position>,
    kept: BTreeMap<Kept, Entry>,
    producers: Producers,
    /// Messages of open transactions, by the frame they came in.
    prepared: BTreeMap<u64, Vec<(Index, u16, Head)>>,
    applied: Index,
    /// Never goes back.
    time: Millis,
    /// Pages of which nothing is live any more, since the last checkpoint.
    freed: Vec<PageSlot>,
    /// Whose page lies in a slot of the page file, and where it begins.
    spilled: BTreeMap<PageSlot, (PageOwner, Position)>,
    /// Queues in which something may expire.
    expiring: BTreeSet<QueueId>,
}

/// What is known about one queue.
#[derive(Default)]
pub struct QueueLedger {
    pub pages: Pages,
    /// Counted releases of the live positions that have any.
    attempts: BTreeMap<Position, u32>,
    /// Everything below may have been handed out.
    offered: Position,
    ttl_ms: Option<u64>,
    /// What an earlier life of this process may have handed out. Not part of the state.
    redelivered_below: Position,
}

#[derive(Default)]
struct PartitionLedger {
    pages: Pages,
    first: Position,
}

/// A message kept for later, in the order of coming due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Kept {
    pub due: Millis,
    pub index: Index,
    pub slot: u16,
}

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
    pub range: std::ops::Range<Position>,
    pub reason: Reason,
    pub count: u64,
}

impl Ledger {
    pub fn new(shard: ShardId) -> Ledger {
        Ledger {
            shard,
            queues: IdMap::default(),
            partitions: BTreeMap::new(),
            cursors: BTreeMap::new(),
            kept: BTreeMap::new(),
            producers: Producers::default(),
            prepared: BTreeMap::new(),
            applied: Index(0),
            time: Millis(0),
            freed: Vec::new(),
            spilled: BTreeMap::new(),
            expiring: BTreeSet::new(),
        }
    }

    /// Replay is over: what is unsettled below the offered mark may have been handed out before.
    /// What is stored from now on was not, even if it comes to stand below the mark.
    pub fn recovered(&mut self) {
        for queue in self.queues.values_mut() {
            queue.redelivered_below = queue.offered.min(queue.pages.next());
        }
    }

    /// Queues in which something may expire, in order, from one on.
    pub fn expiring(&self, from: QueueId) -> impl Iterator<Item = QueueId> + '_ {
        self.expiring.range(from..).copied()
    }

    pub fn may_expire(&self, queue: QueueId) -> bool {
        self.expiring.contains(&queue)
    }

    /// Partitions with messages, in order, behind one; all if there is none.
    pub fn partitions_after(
        &self,
        last: Option<PartitionId>,
    ) -> impl Iterator<Item = (PartitionId, &Pages)> + '_ {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.partitions
            .range((from, Bound::Unbounded))
            .map(|(id, ledger)| (*id, &ledger.pages))
    }

    /// The last frame that was applied.
    pub fn applied(&self) -> Index {
        self.applied
    }

    pub fn time(&self) -> Millis {
        self.time
    }

    pub fn queue(&self, queue: QueueId) -> Option<&QueueLedger> {
        self.queues.get(&queue)
    }

    pub fn message(&self, entry: Entry) -> MessageRef {
        entry.message(self.shard)
    }

    /// The pages of a partition and its first offset; empty ones for one without messages.
    pub fn partition(&self, partition: PartitionId) -> Option<(&Pages, Position)> {
        self.partitions
            .get(&partition)
            .map(|ledger| (&ledger.pages, ledger.first))
    }

    pub fn cursor(&self, group: GroupId, partition: PartitionId) -> Option<Position> {
        self.cursors.get(&(partition, group)).copied()
    }

    pub fn last_sequence(&self, producer: &str) -> Option<u64> {
        self.producers.last(producer)
    }

    /// The first kept message, if it is due.
    pub fn due(&self, now: Millis) -> impl Iterator<Item = (Kept, Entry)> + '_ {
        self.kept
            .iter()
            .take_while(move |(kept, _)| kept.due <= now)
            .map(|(k, e)| (*k, *e))
    }

    /// When the first message comes due that is not due at a given time.
    pub fn next_due_after(&self, now: Millis) -> Option<Millis> {
        let from = Kept {
            due: now.plus(1),
            index: Index(0),
            slot: 0,
        };
        self.kept.range(from..).next().map(|(kept, _)| kept.due)
    }

    /// Applies one frame. Frames come in the order of their index, each once.
    pub fn apply(&mut self, index: Index, time: Millis, heads: &[Head], facts: &[Fact]) -> Applied {
        assert!(index > self.applied, "frame {index} after {}", self.applied);
        self.applied = index;
        self.time = self.time.max(time);
        let mut applied = Applied::default();
        // First what the messages of this frame rely on: a queue that is created with them, and
        // the earlier parts of their transaction.
        for fact in facts {
            match fact {
                Fact::Topology(fact @ TopologyFact::QueueSet { .. }) => {
                    self.apply_topology(fact, &mut applied);
                }
                Fact::Decided {
                    transaction,
                    decision,
                } => {
                    self.decide(*transaction, *decision, &mut applied);
                }
                Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Fired { .. }
                | Fact::Trimmed { .. }
                | Fact::Cursor { .. }
                | Fact::Producer { .. }
                | Fact::Prepared { .. }
                | Fact::Topology(_) => {}
            }
        }
        let prepared = facts.iter().find_map(|fact| match fact {
            Fact::Prepared { transaction } => Some(*transaction),
            Fact::Settled { .. }
            | Fact::Returned { .. }
            | Fact::Offered { .. }
            | Fact::Fired { .. }
            | Fact::Trimmed { .. }
            | Fact::Cursor { .. }
            | Fact::Producer { .. }
            | Fact::Decided { .. }
            | Fact::Topology(_) => None,
        });
        match prepared {
            Some(transaction) => {
                let held = self.prepared.entry(transaction).or_default();
                let slots = heads.iter().enumerate();
                held.extend(slots.map(|(slot, head)| (index, slot as u16, head.clone())));
            }
            None => {
                for (slot, head) in heads.iter().enumerate() {
                    self.store(index, self.time, slot as u16, head, &mut applied);
                }
            }
        }
        for fact in facts {
            self.apply_fact(fact, &mut applied);
        }
        applied.queues.dedup();
        applied.partitions.dedup();
        applied
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
                        Some(at) => (
                            summary.flags.with(EntryFlags::EXPIRES),
                            Entry::expiry_aux(at.max(Millis(1)), time),
                        ),
                        None => (summary.flags, 0),
                    };
                    queue
                        .pages
                        .push(Entry::new(index, slot, flags, head.size, aux), time);
                    if expires.is_some() {
                        self.expiring.insert(id);
                    }
                    applied.queues.push(id);
                }
                Destination::Partition(id) => {
                    let entry = Entry::new(index, slot, summary.flags, head.size, summary.tag_hash);
                    let partition = self.partitions.entry(id).or_default();
                    let position = partition.pages.push(entry, time);
                    applied.placed.push((slot, id, position));
                    applied.partitions.push(id);
                }
                Destination::Timer(due) => {
                    let entry = Entry::new(index, slot, summary.flags, head.size, summary.tag_hash);
                    self.kept.insert(Kept { due, index, slot }, entry);
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
                applied.queues.push(*queue);
            }
            Fact::Fired { due, index, slot } => {
                self.kept.remove(&Kept {
                    due: *due,
                    index: *index,
                    slot: *slot,
                });
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
            | Fact::Topology(TopologyFact::QueueSet { .. }) => {}
            Fact::Topology(fact) => self.apply_topology(fact, applied),
        }
    }

    /// Stores what was prepared, at the time of the decision, or forgets it.
    fn decide(&mut self, transaction: u64, decision: Decision, applied: &mut Applied) {
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
            crate::id::Durability::Durable => self.shard != ShardId::VOLATILE,
            crate::id::Durability::Volatile => self.shard == ShardId::VOLATILE,
        }
    }

    /// Transactions that no decision has reached: their messages are nobody's.
    pub fn undecided(&self) -> impl Iterator<Item = u64> + '_ {
        self.prepared.keys().copied()
    }

    /// Takes in a page from the page file; tells whose it was, unless it went meanwhile.
    pub fn page_loaded(
        &mut self,
        slot: PageSlot,
        entries: Box<[Entry]>,
    ) -> Option<(PageOwner, Position)> {
        let (owner, first) = *self.spilled.get(&slot)?;
        self.pages_mut(owner)?.loaded(first, entries);
        Some((owner, first))
    }

    pub fn evict(&mut self, of: PageOwner, first: Position) {
        if let Some(pages) = self.pages_mut(of) {
            pages.evict(first);
        }
    }

    fn pages_mut(&mut self, of: PageOwner) -> Option<&mut Pages> {
        match of {
            PageOwner::Queue(id) => self.queues.get_mut(&id).map(|queue| &mut queue.pages),
            PageOwner::Partition(id) => self.partitions.get_mut(&id).map(|p| &mut p.pages),
        }
    }

    /// Spills every full page; tells which, so that they can be evicted later.
    pub fn spill(
        &mut self,
        write: &mut dyn FnMut(Vec<u8>) -> PageSlot,
    ) -> Vec<(PageOwner, Position)> {
        let mut spilled: Vec<(PageOwner, Position, PageSlot)> = Vec::new();
        let mut ids: Vec<_> = self.queues.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let queue = self.queues.get_mut(&id).expect("a key of the map");
            let pages = queue.pages.spill(write);
            spilled.extend(
                pages
                    .into_iter()
                    .map(|(at, slot)| (PageOwner::Queue(id), at, slot)),
            );
        }
        for (id, partition) in &mut self.partitions {
            let owner = PageOwner::Partition(*id);
            let pages = partition.pages.spill(write);
            spilled.extend(pages.into_iter().map(|(at, slot)| (owner, at, slot)));
        }
        self.spilled.extend(
            spilled
                .iter()
                .map(|(owner, at, slot)| (*slot, (*owner, *at))),
        );
        spilled
            .into_iter()
            .map(|(owner, at, _)| (owner, at))
            .collect()
    }

    /// Pages that nothing here refers to any more, since this was last asked.
    pub fn take_freed(&mut self) -> Vec<PageSlot> {
        let freed = std::mem::take(&mut self.freed);
        for slot in &freed {
            self.spilled.remove(slot);
        }
        freed
    }

    /// The pages in the page file that this ledger refers to.
    pub fn slots(&self) -> Vec<PageSlot> {
        let freed: std::collections::BTreeSet<_> = self.freed.iter().collect();
        self.spilled
            .keys()
            .filter(|slot| !freed.contains(slot))
            .copied()
            .collect()
    }

    /// All queues, in the order of their ids.
    pub fn queue_ids(&self) -> Vec<QueueId> {
        let mut ids: Vec<_> = self.queues.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The oldest frame of which a message still lives.
    pub fn index_min(&self) -> Index {
        let queues = self
            .queues
            .values()
            .filter_map(|queue| queue.pages.index_min());
        let partitions = self.partitions.values().filter_map(|p| p.pages.index_min());
        let kept = self.kept.keys().map(|kept| kept.index);
        let prepared = self.prepared.values().flatten().map(|(index, ..)| *index);
        queues
            .chain(partitions)
            .chain(kept)
            .chain(prepared)
            .min()
            .unwrap_or(self.applied.next())
    }
}

impl QueueLedger {
    pub fn attempts(&self, position: Position) -> u32 {
        self.attempts.get(&position).copied().unwrap_or(0)
    }

    pub fn offered(&self) -> Position {
        self.offered
    }

    /// What is live below here was perhaps handed out by an earlier life of this process.
    pub fn redelivered_below(&self) -> Position {
        self.redelivered_below
    }
}

/// Whose page it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PageOwner {
    Queue(QueueId),
    Partition(PartitionId),
}
