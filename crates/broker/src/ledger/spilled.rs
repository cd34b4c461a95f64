//! Pages of the ledger that lie in the page file.

use std::collections::BTreeSet;

use super::{Bucket, Ledger, Pages};
use crate::bytes::Undecodable;
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{PartitionId, Position, QueueId};

/// Entries in the tails of all queues before those with some are closed early: 2 MB.
const TAIL_ENTRIES_MAX: usize = 128 * 1024;
/// A page that is closed early has at least as many entries. A directory line takes about as much
/// memory as sixteen.
const EARLY_ENTRIES_MIN: usize = 64;

/// Whose page it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PageOwner {
    Queue(QueueId),
    Partition(PartitionId),
    Timer(Bucket),
}

impl Ledger {
    /// Takes in a page from the page file; tells whose it was, unless it went meanwhile.
    pub fn page_loaded(
        &mut self,
        slot: PageSlot,
        entries: Box<[Entry]>,
    ) -> Result<Option<(PageOwner, Position)>, Undecodable> {
        let Some((owner, first)) = self.spilled.get(&slot).copied() else {
            return Ok(None);
        };
        let Some(pages) = self.pages_mut(owner) else {
            return Ok(None);
        };
        pages.loaded(first, entries)?;
        Ok(Some((owner, first)))
    }

    pub fn evict(&mut self, of: PageOwner, first: Position) {
        if let Some(pages) = self.pages_mut(of) {
            pages.evict(first);
        }
    }

    pub(super) fn pages_mut(&mut self, of: PageOwner) -> Option<&mut Pages> {
        match of {
            PageOwner::Queue(id) => self.queues.get_mut(&id).map(|queue| &mut queue.pages),
            PageOwner::Partition(id) => self.partitions.get_mut(&id).map(|p| &mut p.pages),
            PageOwner::Timer(bucket) => self.timers.bucket_mut(bucket),
        }
    }

    /// Closes long tails of queues when all of them are too much together, so that they can be
    /// spilled: it is thousands of queues that this is for, not one that stays short.
    pub fn close_long_tails(&mut self) {
        let tails = self.queues.values().map(|queue| queue.pages.tail_length());
        if tails.sum::<usize>() <= TAIL_ENTRIES_MAX {
            return;
        }
        for queue in self.queues.values_mut() {
            queue.pages.close_tail_of(EARLY_ENTRIES_MIN);
        }
    }

    /// Spills every closed page; tells which, so that they can be evicted later.
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
        for (bucket, timed) in self.timers.all_mut() {
            let owner = PageOwner::Timer(bucket);
            let pages = timed.spill(write);
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

    /// Closed pages whose entries are in memory. Looks at every page: for a look from outside.
    pub fn resident_pages(&self) -> usize {
        let queues = self.queues.values().map(|queue| &queue.pages);
        let partitions = self.partitions.values().map(|partition| &partition.pages);
        let timers = self.timers.all().map(|(_, pages)| pages);
        let all = queues.chain(partitions).chain(timers);
        all.map(Pages::resident).sum()
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
        let freed: BTreeSet<_> = self.freed.iter().collect();
        self.spilled
            .keys()
            .filter(|slot| !freed.contains(slot))
            .copied()
            .collect()
    }
}
