//! What making a damaged page anew needs.

use std::ops::RangeInclusive;

use super::bits::Bits;
use super::{PAGE_ENTRIES, Page, Pages};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Position};

impl Pages {
    /// Between which frames the messages of the page lie that begins there.
    pub(in crate::ledger) fn frames_of(&self, first: Position) -> Option<RangeInclusive<Index>> {
        let page = self.full.get(&first)?;
        Some(page.index_min..=page.index_max)
    }

    /// Whether there is a page, or the tail, that begins there.
    pub(in crate::ledger) fn is_known(&self, first: Position) -> bool {
        let is_tail = first == self.tail_first && !self.tail.is_empty();
        is_tail || self.full.contains_key(&first)
    }

    pub(in crate::ledger) fn live_on(&self, first: Position) -> u64 {
        self.full.get(&first).map_or(0, |page| u64::from(page.live))
    }

    /// Spilled pages with messages of some of these frames.
    pub(in crate::ledger) fn slots_between(&self, frames: &RangeInclusive<Index>) -> Vec<PageSlot> {
        let touches =
            |page: &&Page| page.index_min <= *frames.end() && page.index_max >= *frames.start();
        let pages = self.full.values().filter(touches);
        pages
            .filter(|page| page.entries.is_none())
            .filter_map(|page| page.slot)
            .collect()
    }

    /// Every entry that is in memory, settled ones too.
    pub(in crate::ledger) fn in_memory(&self) -> impl Iterator<Item = &Entry> + '_ {
        let full = self.full.values().filter_map(|page| page.entries.as_ref());
        full.flat_map(|entries| entries.iter()).chain(&self.tail)
    }

    /// Puts a page in its place as it was.
    ///
    /// # Panics
    /// If it is not full.
    pub(in crate::ledger) fn put(&mut self, first: Position, entries: Box<[Entry]>) {
        assert_eq!(entries.len(), PAGE_ENTRIES, "a page is full");
        if let Some(page) = self.full.get_mut(&first) {
            page.entries = Some(entries);
            page.slot = None;
        }
    }

    /// Puts these on a page, all of them live, and nothing else.
    pub(in crate::ledger) fn put_live(&mut self, first: Position, entries: &[Entry]) {
        let Some(mut page) = self.full.remove(&first) else {
            return;
        };
        self.live -= u64::from(page.live);
        self.full_bytes -= page.bytes;
        let Some(last) = entries.last() else {
            return;
        };
        let mut settled = Bits::default();
        (entries.len()..PAGE_ENTRIES).for_each(|at| {
            settled.set(at);
        });
        let mut filled = entries.to_vec();
        filled.resize(PAGE_ENTRIES, *last);
        page.live = entries.len() as u16;
        page.bytes = filled.iter().map(|entry| u64::from(entry.size())).sum();
        page.settled = (entries.len() < PAGE_ENTRIES).then(|| Box::new(settled));
        page.entries = Some(filled.into());
        page.slot = None;
        self.live += u64::from(page.live);
        self.full_bytes += page.bytes;
        self.full.insert(first, page);
    }

    /// Bytes of the records to which the pages point, settled ones too.
    pub fn bytes(&self) -> u64 {
        let tail = self.tail.iter().map(|entry| u64::from(entry.size()));
        self.full_bytes + tail.sum::<u64>()
    }
}
