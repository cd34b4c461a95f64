//! Messages kept until they are due: a wheel of buckets, each of them pages.
//!
//! ```text
//! level      0      1       2       3        4
//! a bucket   64 ms  4.1 s   4.4 min 4.7 h    12.4 days
//! reaches    4.1 s  4.4 min 4.7 h   12.4 days for ever
//! ```
//!
//! A message goes into the bucket of the level that its distance asks for, and stands there at a
//! position like a message in a queue; the `aux` of its entry is how long after the start of the
//! bucket it is due. When time reaches a coarse bucket, its entries are carried into finer ones by
//! the fact `Rescheduled`, which brings them along, so that applying it reads no page. When time
//! reaches a finest bucket, its entries are fired one by one.
//!
//! # Invariants
//!
//! * A coarse bucket is given messages only before its start, and entries of coarse buckets only that
//!   begin before it. What is carried goes to a finer level: after four carries at most it fires.
//! * A bucket goes with its last entry, at the end of the frame that took it; positions are not
//!   used again while anybody can name them.
//!
//! # Caveats
//!
//! What is overdue when it is stored counts as due at the start of the current finest bucket. A
//! message that is due in more than two years has a bucket of the coarsest level nearly for itself,
//! some 300 bytes. Nothing takes a kept message back before it is due; a fact for that would name
//! bucket and position, as `Fired` does.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use super::Pages;
use crate::bytes::{Reader, Undecodable, Writer};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Millis, Position};

/// A span of time on one level of the wheel; ordered by level, then by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bucket {
    level: u8,
    number: u64,
}

impl Bucket {
    const LEVELS: u8 = 5;
    /// A bucket is this many bits wider than one of the level below, and the finest than 1 ms.
    const LEVEL_BITS: u32 = 6;

    fn shift(level: u8) -> u32 {
        Self::LEVEL_BITS * (u32::from(level) + 1)
    }

    fn at(level: u8, time: Millis) -> Bucket {
        Bucket {
            level,
            number: time.0 >> Self::shift(level),
        }
    }

    /// The finest bucket at a time.
    pub fn finest(time: Millis) -> Bucket {
        Bucket::at(0, time)
    }

    /// Where a message belongs that is due then; what is overdue, to the current finest bucket.
    pub fn of(due: Millis, time: Millis) -> Bucket {
        let ahead = due.since(time);
        let reaches = |level: &u8| ahead >> Self::shift(level + 1) == 0;
        let coarsest = Self::LEVELS - 1;
        let level = (0..coarsest).find(reaches).unwrap_or(coarsest);
        Bucket::at(level, due.max(time))
    }

    pub fn is_finest(self) -> bool {
        self.level == 0
    }

    /// The first millisecond that belongs to it.
    pub fn start(self) -> Millis {
        Millis(self.number << Self::shift(self.level))
    }

    /// The buckets that a message passes that is kept at a time, from the first one to the finest.
    pub(super) fn way(due: Millis, time: Millis) -> impl Iterator<Item = Bucket> {
        let first = Bucket::of(due, time);
        let levels = (0..=first.level).rev();
        levels.map(move |level| Bucket::at(level, due.max(time)))
    }

    /// Where an entry goes when this bucket is reached, and what it is there.
    pub(super) fn carried(self, entry: Entry) -> (Bucket, Entry) {
        let due = self.due(entry);
        Bucket::of(due, self.start()).taking(due, entry)
    }

    /// The entry of a message that comes into this bucket.
    fn taking(self, due: Millis, entry: Entry) -> (Bucket, Entry) {
        // A bucket of the coarsest level is 2³⁰ ms wide.
        let aux = due.since(self.start()) as u32;
        let (index, slot) = (entry.index(), entry.slot());
        (
            self,
            Entry::new(index, slot, entry.flags(), entry.size(), aux),
        )
    }

    /// When an entry of this bucket is due.
    pub fn due(self, entry: Entry) -> Millis {
        self.start().plus(u64::from(entry.aux()))
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.put_u8(self.level);
        out.put_number(self.number);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Bucket, Undecodable> {
        let level = reader.u8()?;
        let number = reader.number()?;
        if level >= Self::LEVELS || number > u64::MAX >> Self::shift(level) {
            return Err(Undecodable("bucket"));
        }
        Ok(Bucket { level, number })
    }
}

/// All buckets with something in them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timers {
    buckets: BTreeMap<Bucket, Pages>,
    /// Those that may have lost their last entry in this frame.
    emptied: Vec<Bucket>,
}

impl Timers {
    /// Keeps an entry until it is due; its `aux` is replaced.
    pub(super) fn keep(&mut self, due: Millis, entry: Entry, time: Millis) {
        let (bucket, entry) = Bucket::of(due, time).taking(due, entry);
        self.buckets.entry(bucket).or_default().push(entry, time);
    }

    /// Carries entries, the first of which stands at `first`, from a coarse bucket into finer ones.
    pub(super) fn reschedule(
        &mut self,
        bucket: Bucket,
        first: Position,
        entries: &[Entry],
        freed: &mut Vec<PageSlot>,
    ) {
        assert!(!bucket.is_finest(), "the finest bucket is fired");
        for (entry, number) in entries.iter().zip(first.0..) {
            let position = Position(number);
            let Some(pages) = self.buckets.get_mut(&bucket) else {
                return;
            };
            if pages.settle(position, freed) {
                // As if it were that time: so the order stays, however late this happens.
                self.keep(bucket.due(*entry), *entry, bucket.start());
            }
        }
        self.emptied.push(bucket);
    }

    /// These have gone where they should.
    pub(super) fn fired(
        &mut self,
        bucket: Bucket,
        range: Range<Position>,
        freed: &mut Vec<PageSlot>,
    ) {
        if let Some(pages) = self.buckets.get_mut(&bucket) {
            pages.settle_range(range, freed);
            self.emptied.push(bucket);
        }
    }

    /// The end of a frame: buckets without an entry go.
    pub(super) fn forget_emptied(&mut self) {
        for bucket in self.emptied.drain(..) {
            if self.buckets.get(&bucket).is_some_and(|p| p.live() == 0) {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// The next bucket on the way from the last to the first, so from coarse ones to fine ones.
    pub(super) fn before(&self, bucket: Option<Bucket>) -> Option<Bucket> {
        let last = bucket.map_or(Bound::Unbounded, Bound::Excluded);
        let mut before = self.buckets.range((Bound::Unbounded, last));
        before.next_back().map(|(bucket, _)| *bucket)
    }

    pub fn bucket(&self, bucket: Bucket) -> Option<&Pages> {
        self.buckets.get(&bucket)
    }

    pub(super) fn bucket_mut(&mut self, bucket: Bucket) -> Option<&mut Pages> {
        self.buckets.get_mut(&bucket)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Bucket, &Pages)> + '_ {
        self.buckets.iter().map(|(bucket, pages)| (*bucket, pages))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (Bucket, &mut Pages)> + '_ {
        self.buckets.iter_mut().map(|(bucket, p)| (*bucket, p))
    }

    /// How many messages are kept.
    pub fn live(&self) -> u64 {
        self.buckets.values().map(Pages::live).sum()
    }

    /// The finest buckets that time has reached, the earliest first.
    pub fn finest_reached(&self, time: Millis) -> impl Iterator<Item = (Bucket, &Pages)> + '_ {
        self.reached(0, time)
    }

    /// The coarse buckets that time has reached, level by level.
    pub fn coarse_reached(&self, time: Millis) -> impl Iterator<Item = (Bucket, &Pages)> + '_ {
        (1..Bucket::LEVELS).flat_map(move |level| self.reached(level, time))
    }

    fn reached(&self, level: u8, time: Millis) -> impl Iterator<Item = (Bucket, &Pages)> + '_ {
        let first = Bucket { level, number: 0 };
        let reached = self.buckets.range(first..=Bucket::at(level, time));
        reached.map(|(bucket, pages)| (*bucket, pages))
    }

    /// When the next bucket is reached.
    pub fn next_start_after(&self, time: Millis) -> Option<Millis> {
        let next = |level| {
            let number = Bucket::at(level, time).number + 1;
            let mut later = self.buckets.range(Bucket { level, number }..);
            let (bucket, _) = later.next()?;
            (bucket.level == level).then(|| bucket.start())
        };
        (0..Bucket::LEVELS).filter_map(next).min()
    }

    /// The oldest frame of which a message is kept.
    pub(super) fn index_min(&self) -> Option<Index> {
        self.buckets.values().filter_map(Pages::index_min).min()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_number(self.buckets.len() as u64);
        for (bucket, pages) in &self.buckets {
            bucket.encode(out);
            pages.encode(out);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Timers, Undecodable> {
        let mut timers = Timers::default();
        for _ in 0..reader.count()? {
            let bucket = Bucket::decode(reader)?;
            timers.buckets.insert(bucket, Pages::decode(reader)?);
        }
        Ok(timers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::EntryFlags;
    use crate::ledger::Lookup;

    const NOW: Millis = Millis(1_800_000_000_123);
    const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

    fn entry(index: u64) -> Entry {
        Entry::new(Index(index), 3, EntryFlags::PERSISTENT, 100, 0)
    }

    fn entry_at(pages: &Pages, position: Position) -> Entry {
        match pages.get(position) {
            Lookup::Entry(entry) => entry,
            other => panic!("{other:?} at {position}"),
        }
    }

    /// Carries everything that is reached, and takes what is due; tells what that was.
    fn advance(timers: &mut Timers, time: Millis) -> Vec<(Millis, u64)> {
        let mut freed = Vec::new();
        loop {
            let first = timers.coarse_reached(time).next();
            let Some((bucket, pages)) = first.map(|(bucket, pages)| (bucket, pages.clone())) else {
                break;
            };
            let at = pages.next_live(Position(0)).expect("a bucket in use");
            timers.reschedule(bucket, at, &[entry_at(&pages, at)], &mut freed);
            timers.forget_emptied();
        }
        let mut fired = Vec::new();
        let reached: Vec<Bucket> = timers.finest_reached(time).map(|(b, _)| b).collect();
        for bucket in reached {
            let pages = timers.bucket(bucket).expect("reached").clone();
            let mut from = Position(0);
            while let Some(position) = pages.next_live(from) {
                let entry = entry_at(&pages, position);
                if bucket.due(entry) <= time {
                    fired.push((bucket.due(entry), entry.index().0));
                    timers.fired(bucket, position..position.next(), &mut freed);
                }
                from = position.next();
            }
        }
        timers.forget_emptied();
        fired.sort_unstable();
        fired
    }

    #[test]
    fn a_message_finds_its_level() {
        for (ahead, level) in [
            (0, 0),
            (4095, 0),
            (4096, 1),
            ((1 << 18) - 1, 1),
            (1 << 18, 2),
            (1 << 24, 3),
            (1 << 30, 4),
            (YEAR_MS * 40, 4),
            (u64::MAX - NOW.0, 4),
        ] {
            let due = NOW.plus(ahead);
            let bucket = Bucket::of(due, NOW);
            assert_eq!(bucket.level, level, "{ahead} ms ahead");
            assert!(bucket.start() <= due && due.since(bucket.start()) < 1 << 30);
            assert!(level == 0 || bucket.start() > NOW, "reached too early");
        }
        let overdue = Bucket::of(Millis(5), NOW);
        assert_eq!(overdue, Bucket::finest(NOW));
    }

    /// Against a sorted list: nothing early, nothing late, nothing lost, whatever the steps.
    #[test]
    fn everything_fires_when_it_is_due() {
        let mut seed = 7u64;
        let mut chance = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % bound
        };
        let mut timers = Timers::default();
        let mut kept: Vec<(Millis, u64)> = Vec::new();
        let mut time = NOW;
        for index in 1..=3000 {
            let reach = 1 << (1 + chance(31));
            let ahead = chance(reach);
            timers.keep(time.plus(ahead), entry(index), time);
            kept.push((time.plus(ahead), index));
            if chance(3) == 0 {
                let step = 1 << (1 + chance(24));
                time = time.plus(chance(step));
                kept.sort_unstable();
                let due = kept.partition_point(|(due, _)| *due <= time);
                let expected: Vec<_> = kept.drain(..due).collect();
                assert_eq!(advance(&mut timers, time), expected);
            }
            assert_eq!(timers.live(), kept.len() as u64);
            let earliest = kept.iter().min().map(|(due, _)| *due);
            if let (Some(at), Some(earliest)) = (timers.next_start_after(time), earliest) {
                assert!(at <= earliest || Bucket::finest(earliest) == Bucket::finest(time));
            }
        }
        kept.sort_unstable();
        assert_eq!(advance(&mut timers, time.plus(1 << 40)), kept);
        assert!(timers.buckets.is_empty(), "an empty bucket goes");
    }

    #[test]
    fn what_is_carried_twice_moves_once() {
        let mut timers = Timers::default();
        timers.keep(NOW.plus(10_000), entry(1), NOW);
        let (bucket, pages) = timers.all().next().expect("one bucket");
        let kept = entry_at(pages, Position(0));
        for _ in 0..2 {
            timers.reschedule(bucket, Position(0), &[kept], &mut Vec::new());
            timers.forget_emptied();
            assert_eq!(timers.live(), 1);
        }
        assert_eq!(advance(&mut timers, NOW.plus(9_999)), []);
        assert_eq!(
            advance(&mut timers, NOW.plus(10_000)),
            [(NOW.plus(10_000), 1)]
        );
    }

    #[test]
    fn a_bucket_of_no_level_is_undecodable() {
        for (level, number) in [(Bucket::LEVELS, 0), (0, u64::MAX), (4, 1 << 34)] {
            let mut bytes = Vec::new();
            Bucket { level, number }.encode(&mut bytes);
            assert!(Bucket::decode(&mut Reader::new(&bytes)).is_err());
        }
    }
}
