//! The ledger of a shard: the facts about its messages, and nothing else. It changes only by
//! applying frames in order; it has no clock and asks nobody. A replayed ledger equals the live
//! one, which [`Ledger::encode`] lets tests compare byte by byte.
//!
//! Messages that another shard sends on are numbered per source and target, so that a frame which
//! comes twice stores them once. A decision is remembered until every participant has it.
//!
//! Caveat: with one log shard the source of a forward is that shard or the one without a log, and
//! the only participant of a transaction is the one that decides it.

mod apply;
mod checkpoint;
mod fact;
mod live;
mod pages;
mod producers;
mod rebuild;
mod spilled;
#[cfg(test)]
mod tests;
mod timers;

pub use apply::{Applied, Settled};
pub use fact::{Decision, Fact, Reason};
pub use live::{LiveStep, LiveWalk, SpanWalk};
pub use pages::{Lookup, PAGE_ENTRIES, Pages, entries_from};
pub use rebuild::{Rebuilding, Rebuilt};
pub use spilled::PageOwner;
pub use timers::{Bucket, Timers};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{GroupId, Index, MessageRef, Millis, PartitionId, Position, QueueId, ShardId};
use crate::map::IdMap;
use crate::pass::Head;
use producers::Producers;

/// The ledger of one shard.
pub struct Ledger {
    shard: ShardId,
    queues: IdMap<QueueId, QueueLedger>,
    partitions: BTreeMap<PartitionId, PartitionLedger>,
    cursors: BTreeMap<(PartitionId, GroupId), Position>,
    timers: Timers,
    /// The number of the last forward that is stored, by its source and its target.
    forwarded: BTreeMap<(ShardId, ShardId), u64>,
    producers: Producers,
    /// Messages of open transactions, by the frame they came in.
    prepared: BTreeMap<u64, Vec<(Index, u16, Head)>>,
    /// Decisions that not every participant has yet.
    decided: BTreeMap<u64, Decision>,
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

impl Ledger {
    pub fn new(shard: ShardId) -> Ledger {
        Ledger {
            shard,
            queues: IdMap::default(),
            partitions: BTreeMap::new(),
            cursors: BTreeMap::new(),
            timers: Timers::default(),
            forwarded: BTreeMap::new(),
            producers: Producers::default(),
            prepared: BTreeMap::new(),
            decided: BTreeMap::new(),
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

    /// The pages of a partition and its first offset, if it ever held a message.
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

    /// The messages that are kept until they are due.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// The number of the last forward from one shard to another that is stored; 0 if none is.
    pub fn forwarded(&self, source: ShardId, target: ShardId) -> u64 {
        self.forwarded.get(&(source, target)).copied().unwrap_or(0)
    }

    /// Transactions that are decided and not finished.
    pub fn unfinished(&self) -> impl Iterator<Item = (u64, Decision)> + '_ {
        self.decided
            .iter()
            .map(|(number, decision)| (*number, *decision))
    }

    /// Transactions that no decision has reached: their messages are nobody's.
    pub fn undecided(&self) -> impl Iterator<Item = u64> + '_ {
        self.prepared.keys().copied()
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
        let prepared = self.prepared.values().flatten().map(|(index, ..)| *index);
        queues
            .chain(partitions)
            .chain(self.timers.index_min())
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
