//! Entries in the order of their positions, in pages of 512: the index of a queue or partition.
//!
//! Only the last page grows; full ones are immutable and may lie in the page file, so that what
//! stays in memory of a long queue is one directory line per 512 messages. Settling sets a bit,
//! wherever the entry lies, and never reads a spilled page; a page without live entries goes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bytes::{Reader, Undecodable, Writer};
use crate::entry::Entry;
use crate::event::{PageSlot, page_bytes};
use crate::id::{Index, Millis, Position};

/// Entries in a full page.
pub const PAGE_ENTRIES: usize = 512;
const WORDS: usize = PAGE_ENTRIES / 64;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pages {
    /// Full pages by the position of their first entry.
    full: BTreeMap<Position, Page>,
    tail_first: Position,
    tail: Vec<Entry>,
    tail_settled: Bits,
    tail_live: u16,
    tail_time: Millis,
    live: u64,
    /// Of the records of all full pages.
    full_bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Page {
    live: u16,
    /// Of the records of its entries, settled ones too.
    bytes: u64,
    /// `None` while everything in it is live.
    settled: Option<Box<Bits>>,
    /// `None` while it lies in the page file only.
    entries: Option<Box<[Entry]>>,
    slot: Option<PageSlot>,
    /// The oldest frame to which an entry points.
    index_min: Index,
    /// When its first entry was stored.
    time: Millis,
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

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Bits([u64; WORDS]);

impl Bits {
    fn get(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// Sets a bit; false if it was set.
    fn set(&mut self, at: usize) -> bool {
        let was = self.get(at);
        self.0[at / 64] |= 1 << (at % 64);
        !was
    }

    /// The first clear bit at or after `from`.
    fn first_clear(&self, from: usize) -> usize {
        let mut word = from / 64;
        let mut taken = if word < WORDS {
            self.0[word] | !(u64::MAX << (from % 64))
        } else {
            0
        };
        while word < WORDS {
            if taken != u64::MAX {
                return word * 64 + taken.trailing_ones() as usize;
            }
            word += 1;
            taken = if word < WORDS { self.0[word] } else { 0 };
        }
        PAGE_ENTRIES
    }
}

impl Default for Pages {
    fn default() -> Pages {
        Pages {
            full: BTreeMap::new(),
            tail_first: Position(0),
            tail: Vec::new(),
            tail_settled: Bits::default(),
            tail_live: 0,
            tail_time: Millis(0),
            live: 0,
            full_bytes: 0,
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
            let bytes = entries.iter().map(|e| u64::from(e.size())).sum();
            self.full_bytes += bytes;
            let page = Page {
                live,
                bytes,
                settled: (settled != Bits::default()).then(|| Box::new(settled)),
                entries: Some(entries),
                slot: None,
                index_min,
                time: self.tail_time,
            };
            self.full.insert(self.tail_first, page);
        }
        self.tail_first = next;
    }

    /// The page that holds a position, unless that is the tail.
    fn page_of(&self, position: Position) -> Option<(Position, &Page)> {
        let (first, page) = self.full.range(..=position).next_back()?;
        (position.0 - first.0 < PAGE_ENTRIES as u64).then_some((*first, page))
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
            for (first, page) in self.full.range(start..) {
                let at = from.0.saturating_sub(first.0) as usize;
                let clear = match &page.settled {
                    Some(bits) => bits.first_clear(at),
                    None => at,
                };
                if clear < PAGE_ENTRIES {
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
            for (first, page) in self.full.range_mut(start..range.end) {
                let from = range.start.0.saturating_sub(first.0) as usize;
                let to = (range.end.0 - first.0).min(PAGE_ENTRIES as u64) as usize;
                if from == 0 && to == PAGE_ENTRIES {
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
                let page = self.full.remove(&first).expect("found above");
                self.full_bytes -= page.bytes;
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

    /// Takes in a page that was loaded from the page file.
    pub fn loaded(&mut self, first: Position, entries: Box<[Entry]>) {
        if let Some(page) = self.full.get_mut(&first) {
            page.entries = Some(entries);
        }
    }

    /// Where the page of a position begins.
    pub fn page_first(&self, position: Position) -> Option<Position> {
        self.page_of(position).map(|(first, _)| first)
    }

    /// Where the page of a position ends.
    pub fn page_end(&self, position: Position) -> Position {
        match self.page_of(position) {
            Some((first, _)) => Position(first.0 + PAGE_ENTRIES as u64),
            None => self.next(),
        }
    }

    /// Forgets the entries of a page that also lies in the page file.
    pub fn evict(&mut self, first: Position) {
        if let Some(page) = self.full.get_mut(&first)
            && page.slot.is_some()
        {
            page.entries = None;
        }
    }

    /// Gives every full page that lies only in memory to `write`; tells where each begins and
    /// lies.
    pub fn spill(
        &mut self,
        write: &mut dyn FnMut(Vec<u8>) -> PageSlot,
    ) -> Vec<(Position, PageSlot)> {
        let mut spilled = Vec::new();
        for (first, page) in &mut self.full {
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
        self.full
            .iter()
            .filter_map(|(first, page)| Some((*first, page.slot?)))
    }

    /// The oldest frame to which a live entry may point.
    pub fn index_min(&self) -> Option<Index> {
        let full = self.full.values().map(|page| page.index_min);
        full.chain(self.tail.iter().map(|entry| entry.index()))
            .min()
    }

    /// Where the last page begins whose first entry was stored before `time`, else the first page:
    /// a search for the first entry at or after `time` need not look further back.
    pub fn page_before(&self, time: Millis) -> Position {
        if !self.tail.is_empty() && self.tail_time < time {
            return self.tail_first;
        }
        let Some((oldest, _)) = self.full.first_key_value() else {
            return self.tail_first;
        };
        // Pages of a partition are in the order of time and without gaps.
        let page = |number: u64| oldest.0 + number * PAGE_ENTRIES as u64;
        let (mut low, mut high) = (0, (self.tail_first.0 - oldest.0) / PAGE_ENTRIES as u64);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.page_of(Position(page(middle))) {
                Some((_, found)) if found.time < time => low = middle,
                Some(_) | None => high = middle,
            }
        }
        Position(page(low))
    }

    /// Where a retained log may begin now: pages go whole, the oldest first, those whose last
    /// entry was stored before `stored_after` and those that are too much for `bytes_max`. The
    /// page that grows stays. Looks at `pages_max` pages at most.
    pub fn retained_from(
        &self,
        stored_after: Millis,
        bytes_max: u64,
        pages_max: usize,
    ) -> Option<Position> {
        let mut bytes = self.full_bytes;
        let mut from = None;
        let mut pages = self.full.iter().peekable();
        for _ in 0..pages_max {
            let Some((first, page)) = pages.next() else {
                break;
            };
            // The last entry of a page is not younger than the first of the next one.
            let ended = match (pages.peek(), self.tail.is_empty()) {
                (Some((_, next)), _) => next.time,
                (None, false) => self.tail_time,
                (None, true) => Millis(u64::MAX),
            };
            if ended >= stored_after && bytes <= bytes_max {
                break;
            }
            bytes -= page.bytes;
            from = Some(Position(first.0 + PAGE_ENTRIES as u64));
        }
        from
    }

    /// All in memory and everything live: the pages of a checkpoint, without entries that lie in
    /// the page file. To be called after [`Pages::spill`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_number(self.full.len() as u64);
        for (first, page) in &self.full {
            out.put_number(first.0);
            out.put_number(u64::from(page.live));
            out.put_number(page.bytes);
            out.put_number(page.slot.expect("spilled before a checkpoint").0);
            out.put_number(page.index_min.0);
            out.put_number(page.time.0);
            out.put_option(page.settled.as_deref(), encode_bits);
        }
        out.put_number(self.tail_first.0);
        out.put_number(self.tail_time.0);
        out.put_number(self.tail.len() as u64);
        for entry in &self.tail {
            out.extend_from_slice(&entry.to_bytes());
        }
        encode_bits(out, &self.tail_settled);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Pages, Undecodable> {
        let mut pages = Pages::default();
        for _ in 0..reader.count()? {
            let first = Position(reader.number()?);
            let live = u16::try_from(reader.number()?).map_err(|_| Undecodable("page"))?;
            let bytes = reader.number()?;
            pages.full_bytes = pages.full_bytes.saturating_add(bytes);
            let slot = Some(PageSlot(reader.number()?));
            let index_min = Index(reader.number()?);
            let time = Millis(reader.number()?);
            let settled = reader.option(decode_bits)?.map(Box::new);
            pages.live += u64::from(live);
            let page = Page {
                live,
                bytes,
                settled,
                entries: None,
                slot,
                index_min,
                time,
            };
            pages.full.insert(first, page);
        }
        pages.tail_first = Position(reader.number()?);
        pages.tail_time = Millis(reader.number()?);
        let count = reader.count()?;
        if count > PAGE_ENTRIES {
            return Err(Undecodable("page tail"));
        }
        for _ in 0..count {
            let bytes = reader.take(Entry::BYTES)?;
            pages.tail.push(entry_from(bytes));
        }
        pages.tail_settled = decode_bits(reader)?;
        let live = (0..count).filter(|at| !pages.tail_settled.get(*at)).count();
        pages.tail_live = live as u16;
        pages.live += live as u64;
        Ok(pages)
    }
}

fn entry_from(bytes: &[u8]) -> Entry {
    Entry::from_bytes(bytes.try_into().expect("sixteen bytes were taken"))
}

/// The entries of a page as they came from the page file.
pub fn entries_from(bytes: &[u8]) -> Result<Box<[Entry]>, Undecodable> {
    if bytes.len() != PAGE_ENTRIES * Entry::BYTES {
        return Err(Undecodable("page"));
    }
    Ok(bytes.chunks_exact(Entry::BYTES).map(entry_from).collect())
}

fn encode_bits(out: &mut Vec<u8>, bits: &Bits) {
    for word in bits.0 {
        out.put_number(word);
    }
}

fn decode_bits(reader: &mut Reader<'_>) -> Result<Bits, Undecodable> {
    let mut bits = Bits::default();
    for word in &mut bits.0 {
        *word = reader.number()?;
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::entry::EntryFlags;

    fn entry(number: u64) -> Entry {
        Entry::new(Index(number), 0, EntryFlags::default(), 100, 0)
    }

    /// Random pushes, settlements and spills against a set of numbers.
    #[test]
    fn pages_agree_with_a_set() {
        let mut random = 12345u64;
        let mut next = |bound: u64| {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (random >> 33) % bound
        };
        let mut pages = Pages::default();
        let mut model = BTreeSet::new();
        let mut freed = Vec::new();
        let mut disk: BTreeMap<PageSlot, Vec<u8>> = BTreeMap::new();
        for step in 0..20_000u64 {
            match next(10) {
                0..5 => {
                    let position = pages.push(entry(pages.next().0), Millis(step));
                    assert!(model.insert(position));
                }
                5..9 => {
                    let position = Position(next(pages.next().0 + 2));
                    assert_eq!(pages.settle(position, &mut freed), model.remove(&position));
                }
                _ if next(100) == 0 => {
                    let start = next(pages.next().0 + 1);
                    let range = Position(start)..Position(start + next(2000));
                    let gone: Vec<_> = model.range(range.clone()).copied().collect();
                    assert_eq!(pages.settle_range(range, &mut freed), gone.len() as u64);
                    gone.iter()
                        .for_each(|position| assert!(model.remove(position)));
                }
                _ if next(50) == 0 => {
                    for (first, _) in pages.spill(&mut |bytes| {
                        let slot = PageSlot(disk.len() as u64);
                        disk.insert(slot, bytes);
                        slot
                    }) {
                        pages.evict(first);
                    }
                    let mut bytes = Vec::new();
                    pages.encode(&mut bytes);
                    let again = Pages::decode(&mut Reader::new(&bytes)).unwrap();
                    assert_eq!(again.live(), pages.live());
                    assert_eq!(again.next(), pages.next());
                    pages = again;
                }
                _ => {
                    let from = Position(next(pages.next().0 + 2));
                    assert_eq!(pages.next_live(from), model.range(from..).next().copied());
                    match pages.get(from) {
                        Lookup::Entry(found) => assert_eq!(found, entry(from.0)),
                        Lookup::Absent => assert!(!model.contains(&from)),
                        Lookup::Spilled(slot) => {
                            let first = pages.page_first(from).unwrap();
                            pages.loaded(first, entries_from(&disk[&slot]).unwrap());
                            assert_eq!(pages.get(from), Lookup::Entry(entry(from.0)));
                        }
                    }
                }
            }
            assert_eq!(pages.live(), model.len() as u64);
        }
        assert!(!freed.is_empty() && !disk.is_empty());
    }
}
