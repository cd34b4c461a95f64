//! Entries in the order of their positions, in pages of 512: the index of a queue or partition.
//!
//! Only the last page, the tail, grows; closed ones are immutable and may lie in the page file, so
//! that what stays in memory of a long queue is one directory line per 512 messages. Settling sets
//! a bit, wherever the entry lies, and never reads a spilled page; a page without live entries goes.
//!
//! A tail can be closed before it is full, so that a thousand queues need not keep a tail each
//! ([`Pages::close_tail_of`]). Only those of queues are: in partitions and in buckets of the timer
//! index all pages but the tail are full.

mod bits;
mod encode;
mod live;
mod rebuild;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bytes::Undecodable;
use crate::entry::Entry;
use crate::event::{PageSlot, page_bytes};
use crate::id::{Index, Millis, Position};
use bits::Bits;
pub use encode::entries_from;
pub(super) use encode::entry;
pub(super) use live::Look;

/// Entries in a full page; none has more.
pub const PAGE_ENTRIES: usize = 512;
/// A tail grows by a quarter, and by at least as many entries.
const TAIL_GROWTH_MIN: usize = 4;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pages {
    /// Closed pages by the position of their first entry.
    closed: BTreeMap<Position, Page>,
    tail_first: Position,
    tail: Vec<Entry>,
    tail_settled: Bits,
    tail_live: u16,
    tail_time: Millis,
    live: u64,
    /// Of the records of all closed pages.
    closed_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Page {
    /// How many entries it has, from one to [`PAGE_ENTRIES`].
    length: u16,
    live: u16,
    /// Of the records of its entries, settled ones too.
    bytes: u64,
    /// `None` while everything in it is live.
    settled: Option<Box<Bits>>,
    /// `None` while it lies in the page file only.
    entries: Option<Box<[Entry]>>,
    slot: Option<PageSlot>,
    /// The oldest and the newest frame to which an entry points.
    index_min: Index,
    index_max: Index,
    /// When its first entry was stored.
    time: Millis,
    /// When the first of its entries expires that do.
    expires: Option<Millis>,
}

/// What stands at a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    Entry(Entry),
    /// Settled, trimmed, or never given out.
    Absent,
    /// The page must be loaded first.
    Spilled(PageSlot),
}

impl Page {
    /// The position behind its last entry, if its first stands there.
    fn end(&self, first: Position) -> Position {
        Position(first.0 + u64::from(self.length))
    }
}

impl Default for Pages {
    fn default() -> Pages {
        Pages {
            closed: BTreeMap::new(),
            tail_first: Position(0),
            tail: Vec::new(),
            tail_settled: Bits::default(),
            tail_live: 0,
            tail_time: Millis(0),
            live: 0,
            closed_bytes: 0,
        }
    }
}

impl Pages {
    /// The position that the next entry gets.
    pub fn next(&self) -> Position {
        Position(self.tail_first.0 + self.tail.len() as u64)
    }

    /// How many entries are not settled.
    pub fn live(&self) -> u64 {
        self.live
    }

    pub fn push(&mut self, entry: Entry, time: Millis) -> Position {
        if self.tail.len() == PAGE_ENTRIES {
            self.close_tail();
        }
        let position = self.next();
        if self.tail.is_empty() {
            self.tail_time = time;
        }
        if self.tail.len() == self.tail.capacity() {
            // Not twice what it has: thousands of tails would be half empty.
            let room = (self.tail.len() / 4).max(TAIL_GROWTH_MIN);
            self.tail
                .reserve_exact(room.min(PAGE_ENTRIES - self.tail.len()));
        }
        self.tail.push(entry);
        self.tail_live += 1;
        self.live += 1;
        position
    }

    fn close_tail(&mut self) {
        let next = self.next();
        let entries = std::mem::take(&mut self.tail).into_boxed_slice();
        let settled = std::mem::take(&mut self.tail_settled);
        let live = std::mem::take(&mut self.tail_live);
        if live > 0 {
            let index_min = entries.iter().map(|e| e.index()).min().unwrap_or_default();
            let index_max = entries.iter().map(|e| e.index()).max().unwrap_or_default();
            let bytes = entries.iter().map(|e| u64::from(e.size())).sum();
            let time = self.tail_time;
            let entries_expire = entries.iter().filter_map(|e| e.expires(time)).min();
            self.closed_bytes += bytes;
            let page = Page {
                length: entries.len() as u16,
                live,
                bytes,
                settled: (settled != Bits::default()).then(|| Box::new(settled)),
                entries: Some(entries),
                slot: None,
                index_min,
                index_max,
                time: self.tail_time,
                expires: entries_expire,
            };
            self.closed.insert(self.tail_first, page);
        }
        self.tail_first = next;
    }

    /// How many entries the tail has, settled ones too.
    pub(super) fn tail_length(&self) -> usize {
        self.tail.len()
    }

    /// Makes the tail a page of its own if it has at least so many entries.
    pub(super) fn close_tail_of(&mut self, entries_min: usize) {
        if self.tail.len() >= entries_min.max(1) {
            self.close_tail();
        }
    }

    /// The page that holds a position, unless that is the tail.
    fn page_of(&self, position: Position) -> Option<(Position, &Page)> {
        let (first, page) = self.closed.range(..=position).next_back()?;
        (position < page.end(*first)).then_some((*first, page))
    }

    pub fn get(&self, position: Position) -> Lookup {
        if position >= self.tail_first {
            let at = (position.0 - self.tail_first.0) as usize;
            return match self.tail.get(at) {
                Some(entry) if !self.tail_settled.get(at) => Lookup::Entry(*entry),
                _ => Lookup::Absent,
            };
        }
        let Some((first, page)) = self.page_of(position) else {
            return Lookup::Absent;
        };
        let at = (position.0 - first.0) as usize;
        if page.settled.as_ref().is_some_and(|bits| bits.get(at)) {
            return Lookup::Absent;
        }
        match (&page.entries, page.slot) {
            (Some(entries), _) => Lookup::Entry(entries[at]),
            (None, Some(slot)) => Lookup::Spilled(slot),
            (None, None) => unreachable!("a page lies in memory or in the page file"),
        }
    }

    pub fn is_live(&self, position: Position) -> bool {
        self.get(position) != Lookup::Absent
    }

    /// The first live position at or after `from`. Reads no entry.
    pub fn next_live(&self, from: Position) -> Option<Position> {
        if from < self.tail_first {
            let start = self.page_of(from).map_or(from, |(first, _)| first);
            for (first, page) in self.closed.range(start..) {
                let at = from.0.saturating_sub(first.0) as usize;
                let clear = match &page.settled {
                    Some(bits) => bits.first_clear(at),
                    None => at,
                };
                if clear < usize::from(page.length) {
                    return Some(Position(first.0 + clear as u64));
                }
            }
        }
        let at = from.0.saturating_sub(self.tail_first.0) as usize;
        let clear = if at < PAGE_ENTRIES {
            self.tail_settled.first_clear(at)
        } else {
            at
        };
        (clear < self.tail.len()).then(|| Position(self.tail_first.0 + clear as u64))
    }

    /// Settles one position; false if it was not live.
    pub fn settle(&mut self, position: Position, freed: &mut Vec<PageSlot>) -> bool {
        self.settle_range(position..position.next(), freed) == 1
    }

    /// Settles all live positions in a range and tells how many those were. Whole pages go
    /// without being looked at.
    pub fn settle_range(&mut self, range: Range<Position>, freed: &mut Vec<PageSlot>) -> u64 {
        let mut settled = 0;
        if range.is_empty() {
            return 0;
        }
        if range.start < self.tail_first {
            let start = self
                .page_of(range.start)
                .map_or(range.start, |(first, _)| first);
            let mut emptied = Vec::new();
            for (first, page) in self.closed.range_mut(start..range.end) {
                let from = range.start.0.saturating_sub(first.0) as usize;
                let to = (range.end.0 - first.0).min(u64::from(page.length)) as usize;
                if from == 0 && to == usize::from(page.length) {
                    settled += u64::from(std::mem::take(&mut page.live));
                } else {
                    let bits = page.settled.get_or_insert_default();
                    let count = (from..to).filter(|at| bits.set(*at)).count();
                    page.live -= count as u16;
                    settled += count as u64;
                }
                if page.live == 0 {
                    emptied.push(*first);
                }
            }
            for first in emptied {
                let page = self.closed.remove(&first).expect("found above");
                self.closed_bytes -= page.bytes;
                freed.extend(page.slot);
            }
        }
        if range.end > self.tail_first {
            let from = range.start.0.saturating_sub(self.tail_first.0) as usize;
            let to = ((range.end.0 - self.tail_first.0) as usize).min(self.tail.len());
            let count = (from..to).filter(|at| self.tail_settled.set(*at)).count();
            self.tail_live -= count as u16;
            settled += count as u64;
            if self.tail_live == 0 && !self.tail.is_empty() {
                self.tail_first = self.next();
                self.tail.clear();
                self.tail_settled = Bits::default();
            }
        }
        self.live -= settled;
        settled
    }

    /// Takes in a page that was loaded from the page file; not one of another length.
    pub fn loaded(&mut self, first: Position, entries: Box<[Entry]>) -> Result<(), Undecodable> {
        if let Some(page) = self.closed.get_mut(&first) {
            if entries.len() != usize::from(page.length) {
                return Err(Undecodable("page of another length"));
            }
            page.entries = Some(entries);
        }
        Ok(())
    }

    /// Where the page of a position begins.
    pub fn page_first(&self, position: Position) -> Option<Position> {
        self.page_of(position).map(|(first, _)| first)
    }

    /// Where the page of a position ends.
    pub fn page_end(&self, position: Position) -> Position {
        match self.page_of(position) {
            Some((first, page)) => page.end(first),
            None => self.next(),
        }
    }

    /// Whether every entry of a position's page is live; never of the tail.
    pub fn is_whole(&self, position: Position) -> bool {
        self.page_of(position)
            .is_some_and(|(_, page)| page.live == page.length)
    }

    /// Forgets the entries of a page that also lies in the page file.
    pub fn evict(&mut self, first: Position) {
        if let Some(page) = self.closed.get_mut(&first)
            && page.slot.is_some()
        {
            page.entries = None;
        }
    }

    /// Whether an entry on the page of this position may have expired. Reads no entry.
    pub fn may_have_expired(&self, position: Position, now: Millis) -> bool {
        match self.page_of(position) {
            Some((_, page)) => page.expires.is_some_and(|at| at <= now),
            None => true,
        }
    }

    /// Closed pages whose entries are in memory.
    pub fn resident(&self) -> usize {
        self.closed
            .values()
            .filter(|page| page.entries.is_some())
            .count()
    }

    /// The pages from one position on that must be loaded before they can be read.
    pub fn unread_from(&self, from: Position) -> impl Iterator<Item = PageSlot> + '_ {
        let start = self.page_of(from).map_or(from, |(first, _)| first);
        self.closed
            .range(start..)
            .filter(|(_, page)| page.entries.is_none())
            .filter_map(|(_, page)| page.slot)
    }

    /// Gives every closed page that lies only in memory to `write`; tells where each begins and
    /// lies.
    pub fn spill(
        &mut self,
        write: &mut dyn FnMut(Vec<u8>) -> PageSlot,
    ) -> Vec<(Position, PageSlot)> {
        let mut spilled = Vec::new();
        for (first, page) in &mut self.closed {
            if page.slot.is_none()
                && let Some(entries) = &page.entries
            {
                let slot = write(page_bytes(entries));
                page.slot = Some(slot);
                spilled.push((*first, slot));
            }
        }
        self.tail.shrink_to_fit();
        spilled
    }

    /// The pages that lie in the page file.
    pub fn slots(&self) -> impl Iterator<Item = PageSlot> + '_ {
        self.spilled().map(|(_, slot)| slot)
    }

    /// The same, with where each begins.
    pub fn spilled(&self) -> impl Iterator<Item = (Position, PageSlot)> + '_ {
        self.closed
            .iter()
            .filter_map(|(first, page)| Some((*first, page.slot?)))
    }

    /// The oldest frame to which a live entry may point.
    pub fn index_min(&self) -> Option<Index> {
        let closed = self.closed.values().map(|page| page.index_min);
        closed
            .chain(self.tail.iter().map(|entry| entry.index()))
            .min()
    }
}
