//! The ledger of a shard: the facts about its messages, and nothing else. It changes only by
//! applying frames in order; it has no clock and asks nobody. A replayed ledger equals the live
//! one, which [`Ledger::encode`] lets tests compare byte by byte.
//!
//! Caveat: messages kept for later stand in one ordered map in memory, about 64 bytes each; a
//! checkpoint writes all of them. Pages for them matter from some hundred thousand on.

mod apply;
mod checkpoint;
mod fact;
mod pages;
mod producers;
mod spilled;

pub use apply::{Applied, Settled};
pub use fact::{Decision, Fact, Reason};
pub use pages::{Lookup, PAGE_ENTRIES, Pages, entries_from};
pub use spilled::PageOwner;

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

    /// The kept messages that are due, in order.
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
