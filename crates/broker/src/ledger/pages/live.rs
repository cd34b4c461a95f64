//! Which records the live entries of some pages need.

use std::ops::RangeInclusive;

use super::{Page, Pages};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Position};

/// How a look at entries ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::ledger) enum Look {
    /// There are no more.
    End,
    /// Enough for one step; it goes on there.
    Pause(Position),
    /// The page that begins there must be read.
    Unread(Position, PageSlot),
}

impl Page {
    /// The page's records have these many bytes, as far as they are of live entries: by the mean.
    fn live_bytes(&self) -> u64 {
        self.bytes * u64::from(self.live) / u64::from(self.length)
    }

    fn is_live(&self, at: usize) -> bool {
        !self.settled.as_ref().is_some_and(|bits| bits.get(at))
    }
}

impl Pages {
    /// Tells from which frame to which the live entries of each page reach, and how many bytes their
    /// records have by the mean; looks at no more than `looks` pages and reads no entry of a closed
    /// one.
    pub(in crate::ledger) fn live_spans(
        &self,
        from: Position,
        looks: &mut u32,
        see: &mut dyn FnMut(Index, Index, u64),
    ) -> Look {
        for (first, page) in self.closed.range(from..) {
            if *looks == 0 {
                return Look::Pause(*first);
            }
            *looks -= 1;
            see(page.index_min, page.index_max, page.live_bytes());
        }
        *looks = looks.saturating_sub(1);
        for entry in self.tail_live() {
            see(entry.index(), entry.index(), u64::from(entry.size()));
        }
        Look::End
    }

    fn tail_live(&self) -> impl Iterator<Item = &Entry> + '_ {
        let tail = self.tail.iter().enumerate();
        tail.filter(|(at, _)| !self.tail_settled.get(*at))
            .map(|(_, entry)| entry)
    }

    /// The live entries that point to some frames, from the page of a position on; each page counts
    /// as one look.
    pub(in crate::ledger) fn live_between(
        &self,
        from: Position,
        frames: &RangeInclusive<Index>,
        looks: &mut u32,
        see: &mut dyn FnMut(Entry),
    ) -> Look {
        for (first, page) in self.closed.range(from..) {
            if *looks == 0 {
                return Look::Pause(*first);
            }
            *looks -= 1;
            if page.index_max < *frames.start() || page.index_min > *frames.end() {
                continue;
            }
            match (&page.entries, page.slot) {
                (Some(entries), _) => page.live_of(entries, frames, see),
                (None, Some(slot)) => return Look::Unread(*first, slot),
                (None, None) => unreachable!("a page lies in memory or in the page file"),
            }
        }
        *looks = looks.saturating_sub(1);
        let tail = self
            .tail_live()
            .filter(|entry| frames.contains(&entry.index()));
        tail.for_each(|entry| see(*entry));
        Look::End
    }

    /// The same of one page that was read; nothing if it went or was written elsewhere meanwhile.
    pub(in crate::ledger) fn live_in_page(
        &self,
        (first, slot): (Position, PageSlot),
        entries: &[Entry],
        frames: &RangeInclusive<Index>,
        see: &mut dyn FnMut(Entry),
    ) {
        let page = self
            .closed
            .get(&first)
            .filter(|page| page.slot == Some(slot));
        if let Some(page) = page {
            page.live_of(entries, frames, see);
        }
    }
}

impl Page {
    fn live_of(
        &self,
        entries: &[Entry],
        frames: &RangeInclusive<Index>,
        see: &mut dyn FnMut(Entry),
    ) {
        for (at, entry) in entries.iter().enumerate() {
            if self.is_live(at) && frames.contains(&entry.index()) {
                see(*entry);
            }
        }
    }
}
