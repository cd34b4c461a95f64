//! Pages of the shard without a log, as far as there are too many of them for the memory.
//!
//! They are spilled like those of the log, but by their own number instead of at a checkpoint, the newest first: the
//! head of a queue is read next. A message is let go by its name, which stands in its entry; so when something is
//! settled on a page that is not in memory, the page is read once more before it is freed.
//!
//! Caveats: how many pages there are is counted each time some were filled, which looks at all of them. The last page
//! of each queue stays in memory unless it is long and those of all queues are too much. Deleting a long queue reads
//! its pages back, a few at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::shard::Shard;
use super::{Node, PAGES_CACHED_MAX};
use crate::bytes::Undecodable;
use crate::entry::Entry;
use crate::event::{Effects, PageSlot};
use crate::id::{MessageRef, Millis, Position};
use crate::ledger::{PAGE_ENTRIES, PageOwner, Pages};

/// Pages that are read at a time because of what was settled on them.
const READS_MAX: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Spilling {
    /// Entries that came since the pages were last counted.
    grown: u64,
    /// Pages that could be forgotten, oldest first.
    cached: VecDeque<(PageOwner, Position)>,
    /// Settled on pages that are not in memory.
    unread: BTreeMap<PageSlot, Unread>,
    /// Pages of these that nothing else refers to.
    last_reads: BTreeSet<PageSlot>,
    /// Named by pages that were read since.
    named: Vec<MessageRef>,
    freed: Vec<PageSlot>,
}

/// What was settled on a page, and where that begins.
#[derive(Debug)]
struct Unread {
    first: Position,
    settled: Vec<Range<Position>>,
}

impl Spilling {
    pub fn grown(&mut self, entries: u32) {
        self.grown += u64::from(entries);
    }

    /// Notes what is live of a range on a page that must be read; tells where the page, or the range, ends.
    pub fn settle_unread(
        &mut self,
        slot: PageSlot,
        pages: &Pages,
        range: Range<Position>,
    ) -> Position {
        let first = pages
            .page_first(range.start)
            .expect("what is spilled lies on a full page");
        let end = pages.page_end(range.start).min(range.end);
        let unread = self.unread.entry(slot).or_insert_with(|| Unread {
            first,
            settled: Vec::new(),
        });
        if pages.is_whole(range.start) {
            unread.settled.push(range.start..end);
            return end;
        }
        let mut from = range.start;
        while let Some(position) = pages.next_live(from)
            && position < end
        {
            from = position.next();
            match unread.settled.last_mut() {
                Some(run) if run.end == position => run.end = from,
                Some(_) | None => unread.settled.push(position..from),
            }
        }
        end
    }
}

impl Shard {
    /// A page of the shard without a log was read.
    pub fn page_loaded(
        &mut self,
        slot: PageSlot,
        entries: Box<[Entry]>,
    ) -> Result<(), Undecodable> {
        if let Some(Unread { first, settled }) = self.spilling.unread.remove(&slot) {
            let at = |position: Position| (position.0 - first.0) as usize;
            let settled = settled.into_iter().map(|run| at(run.start)..at(run.end));
            let settled = settled.flat_map(|run| &entries[run]);
            let named = settled.map(|entry| self.ledger.message(*entry));
            self.spilling.named.extend(named);
        }
        if self.spilling.last_reads.remove(&slot) {
            self.spilling.freed.push(slot);
        }
        if let Some(owner) = self.ledger.page_loaded(slot, entries)? {
            self.spilling.cached.push_back(owner);
        }
        self.dispatch.page_loaded(slot, &self.ledger);
        // The page just loaded is kept: somebody waits for it.
        while self.spilling.cached.len() > PAGES_CACHED_MAX
            && let Some((owner, first)) = self.spilling.cached.pop_front()
        {
            self.ledger.evict(owner, first);
        }
        Ok(())
    }
}

impl Node {
    /// Gives pages of the shard without a log to `write` if more than `pages_max` are in memory. To be called after
    /// each step.
    pub fn spill(&mut self, pages_max: usize, write: &mut dyn FnMut(Vec<u8>) -> PageSlot) {
        let Shard {
            ledger, spilling, ..
        } = &mut self.volatile;
        if spilling.grown < (pages_max / 2 * PAGE_ENTRIES) as u64 {
            return;
        }
        spilling.grown = 0;
        ledger.close_long_tails();
        let resident = ledger.resident_pages();
        if resident <= pages_max {
            return;
        }
        let mut spilled = ledger.spill(write);
        let kept = spilled.len().saturating_sub(resident - pages_max / 2);
        for (owner, first) in spilled.drain(kept..) {
            ledger.evict(owner, first);
        }
        spilling.cached.extend(spilled);
    }

    /// A page of the shard without a log that was asked for is not there: it was freed meanwhile.
    pub fn page_gone(&mut self, slot: PageSlot) {
        self.asked.page_came(slot);
        self.volatile
            .dispatch
            .page_loaded(slot, &self.volatile.ledger);
    }

    /// Lets go what was found on pages since, asks for those that must be read, and frees the others.
    pub(super) fn let_go(&mut self, now: Millis, effects: &mut Effects) {
        let named = std::mem::take(&mut self.volatile.spilling.named);
        self.volatile.release(named, effects);
        let Shard {
            ledger, spilling, ..
        } = &mut self.volatile;
        for slot in ledger.take_freed() {
            if spilling.unread.contains_key(&slot) {
                spilling.last_reads.insert(slot);
            } else {
                spilling.freed.push(slot);
            }
        }
        effects.freed.append(&mut spilling.freed);
        for slot in spilling.unread.keys().take(READS_MAX) {
            self.asked.page(*slot, now, effects);
        }
    }
}
