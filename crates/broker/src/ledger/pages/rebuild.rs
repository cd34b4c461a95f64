//! What making a damaged page anew needs.

use std::ops::RangeInclusive;

use super::bits::Bits;
use super::{Page, Pages};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Position};

impl Pages {
    /// Between which frames the messages of the page lie that begins there.
    pub(in crate::ledger) fn frames_of(&self, first: Position) -> Option<RangeInclusive<Index>> {
        let page = self.closed.get(&first)?;
        Some(page.index_min..=page.index_max)
    }

    /// Where the page begins that ends at a position.
    pub(in crate::ledger) fn before(&self, first: Position) -> Option<Position> {
        let (before, page) = self.closed.range(..first).next_back()?;
        (page.end(*before) == first).then_some(*before)
    }

    /// How many entries the page has that begins there.
    pub(in crate::ledger) fn length_of(&self, first: Position) -> usize {
        let page = self.closed.get(&first);
        page.map_or(0, |page| usize::from(page.length))
    }

    pub(in crate::ledger) fn live_on(&self, first: Position) -> u64 {
        self.closed
            .get(&first)
            .map_or(0, |page| u64::from(page.live))
    }

    /// Whether these may be the entries of the page that begins there.
    pub(in crate::ledger) fn resembles(&self, first: Position, entries: &[Entry]) -> bool {
        let Some(page) = self.closed.get(&first) else {
            return false;
        };
        let bytes: u64 = entries.iter().map(|e| u64::from(e.size())).sum();
        let indexes = || entries.iter().map(|e| e.index());
        entries.len() == usize::from(page.length)
            && bytes == page.bytes
            && indexes().min() == Some(page.index_min)
            && indexes().max() == Some(page.index_max)
    }

    /// Where the next thing begins behind the page that begins there: a page, the tail, or the next
    /// message; and the oldest frame of it.
    pub(in crate::ledger) fn follows(&self, first: Position) -> (Position, Option<Index>) {
        match self.closed.range(first.next()..).next() {
            Some((next, page)) => (*next, Some(page.index_min)),
            None if self.tail.is_empty() => (self.next(), None),
            None => (self.tail_first, self.tail.iter().map(|e| e.index()).min()),
        }
    }

    /// Spilled pages with messages of some of these frames.
    pub(in crate::ledger) fn slots_between(&self, frames: &RangeInclusive<Index>) -> Vec<PageSlot> {
        let touches =
            |page: &&Page| page.index_min <= *frames.end() && page.index_max >= *frames.start();
        let pages = self.closed.values().filter(touches);
        pages
            .filter(|page| page.entries.is_none())
            .filter_map(|page| page.slot)
            .collect()
    }

    /// Every entry that is in memory, settled ones too, with where it stands.
    pub(in crate::ledger) fn in_memory(&self) -> impl Iterator<Item = (Position, &Entry)> + '_ {
        let closed = self.closed.iter();
        let closed = closed.filter_map(|(first, page)| Some((*first, page.entries.as_deref()?)));
        let all = closed.chain([(self.tail_first, &self.tail[..])]);
        all.flat_map(|(first, entries)| (first.0..).map(Position).zip(entries))
    }

    /// Puts a page in its place as it was.
    ///
    /// # Panics
    /// If it has another length.
    pub(in crate::ledger) fn put(&mut self, first: Position, entries: Box<[Entry]>) {
        if let Some(page) = self.closed.get_mut(&first) {
            let length = usize::from(page.length);
            assert_eq!(entries.len(), length, "a page keeps its length");
            page.entries = Some(entries);
            page.slot = None;
        }
    }

    /// Puts these on a page, all of them live, and nothing else.
    pub(in crate::ledger) fn put_live(&mut self, first: Position, entries: &[Entry]) {
        let Some(mut page) = self.closed.remove(&first) else {
            return;
        };
        self.live -= u64::from(page.live);
        self.closed_bytes -= page.bytes;
        let Some(last) = entries.last() else {
            return;
        };
        let length = usize::from(page.length);
        let mut settled = Bits::default();
        (entries.len()..length).for_each(|at| {
            settled.set(at);
        });
        let mut filled = entries.to_vec();
        filled.resize(length, *last);
        page.live = entries.len() as u16;
        page.index_min = entries.iter().map(|e| e.index()).min().unwrap_or_default();
        page.index_max = entries.iter().map(|e| e.index()).max().unwrap_or_default();
        page.bytes = filled.iter().map(|entry| u64::from(entry.size())).sum();
        page.settled = (entries.len() < length).then(|| Box::new(settled));
        page.entries = Some(filled.into());
        page.slot = None;
        self.live += u64::from(page.live);
        self.closed_bytes += page.bytes;
        self.closed.insert(first, page);
    }

    /// Bytes of the records to which the pages point, settled ones too.
    pub fn bytes(&self) -> u64 {
        let tail = self.tail.iter().map(|entry| u64::from(entry.size()));
        self.closed_bytes + tail.sum::<u64>()
    }
}
