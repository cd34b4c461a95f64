//! Which of the messages that were found stood on which page, and where.
//!
//! The messages of an owner stand in it in the order in which they were placed, without gaps. So
//! where frame follows frame as they were written, all messages that they placed are a line of
//! which one position tells every other: that of a message on a page that is sound, the first
//! position, the next one. Where none is known, the page itself may tell: between which frames its
//! messages lie, and how many bytes they have. A page is made as it was only if no other answer is
//! possible.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::frames::Frames;
use super::{DECISION_FRAMES, Found, GAP_MAX, Name, Owned, Place, Rebuilt, Stage};
use crate::entry::Entry;
use crate::id::{Index, Millis, Position};
use crate::ledger::Pages;

/// What is known of the log.
pub(super) struct Known<'a> {
    /// Frames that are there as they were written.
    pub whole: &'a Frames,
    /// Frames with messages of which nobody knows whether they were stored.
    pub doubtful: &'a BTreeSet<Index>,
    pub applied: Index,
}

/// The damaged pages of one owner, and what was found for them.
pub(super) struct Puzzle<'a> {
    pages: &'a mut Pages,
    owned: Owned,
    known: &'a Known<'a>,
    /// Pages that are not made yet.
    open: BTreeSet<Position>,
}

/// Adjacent pages.
type Run = Vec<Position>;

impl<'a> Puzzle<'a> {
    pub fn new(pages: &'a mut Pages, owned: Owned, known: &'a Known<'a>) -> Puzzle<'a> {
        let open = owned.damaged.keys().copied().collect();
        Puzzle {
            pages,
            owned,
            known,
            open,
        }
    }

    /// Makes every page.
    pub fn solve(mut self) -> Rebuilt {
        let pages = self.open.len() as u64;
        for frames in self.stretches() {
            let line = self.line(&frames);
            while self.align(&line, &frames) || self.find_one(&line, &frames) {}
        }
        for run in runs(self.pages, &self.open) {
            if let Some(entries) = self.all_of(&run) {
                for (first, entries) in dealt(self.pages, &run, &entries) {
                    self.put(first, entries.into());
                }
            }
        }
        let exact = pages - self.open.len() as u64;
        let (again, lost) = self.put_the_rest();
        Rebuilt {
            pages,
            exact,
            again,
            lost,
        }
    }

    fn put(&mut self, first: Position, entries: Box<[Entry]>) {
        for (entry, at) in entries.iter().zip(first.0..) {
            let name = (entry.index(), entry.slot());
            self.owned.standing.insert(name, Position(at));
        }
        self.open.remove(&first);
        self.pages.put(first, entries);
    }

    /// Rows of frames of which everything is known that they placed.
    fn stretches(&self) -> Vec<RangeInclusive<Index>> {
        if self.owned.obscured {
            return Vec::new();
        }
        let mut stretches = Vec::new();
        for frames in self.owned.frames.iter() {
            for whole in self.known.whole.within(&frames) {
                let mut from = *whole.start();
                for stray in self.owned.strays.range(whole.clone()) {
                    if from < *stray {
                        stretches.push(from..=Index(stray.0 - 1));
                    }
                    from = Index(stray.0 + 1);
                }
                if from <= *whole.end() {
                    stretches.push(from..=*whole.end());
                }
            }
        }
        stretches
    }

    /// What these frames placed, in its order.
    fn line(&self, frames: &RangeInclusive<Index>) -> Vec<Entry> {
        let placed = |found: &Found| Some((found.place?, found.entry));
        let line = self.owned.found.values().filter_map(placed);
        let mut line: Vec<(Place, Entry)> = line
            .filter(|(place, _)| frames.contains(&place.0))
            .collect();
        line.sort_unstable_by_key(|(place, _)| *place);
        line.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Makes the pages that lie on a line of which one position is known; tells whether there were any.
    fn align(&mut self, line: &[Entry], frames: &RangeInclusive<Index>) -> bool {
        let Some(start) = self.start(line, frames) else {
            return false;
        };
        let mut made = Vec::new();
        for first in &self.open {
            let from = first
                .0
                .checked_sub(start)
                .and_then(|at| usize::try_from(at).ok());
            let to = from.and_then(|from| from.checked_add(self.pages.length_of(*first)));
            let window = from.zip(to).and_then(|(from, to)| line.get(from..to));
            made.extend(window.filter(|w| self.fits(*first, w)).map(|w| (*first, w)));
        }
        for (first, window) in &made {
            self.put(*first, (*window).into());
        }
        !made.is_empty()
    }

    /// At which position a line starts, unless what is known contradicts itself.
    fn start(&self, line: &[Entry], frames: &RangeInclusive<Index>) -> Option<u64> {
        let standing = line.iter().zip(0..).filter_map(|(entry, at)| {
            let position = self.owned.standing.get(&(entry.index(), entry.slot()))?;
            Some((*position, at))
        });
        let front = Position(0);
        let is_first = |first: &Position| {
            let of = self.pages.frames_of(*first);
            of.is_some_and(|of| frames.contains(of.start()))
        };
        let front = self.open.get(&front).filter(|first| is_first(first));
        let front = front.map(|first| (*first, 0));
        let is_last = self.pages.tail_length() == 0 && frames.contains(&self.known.applied);
        let next = is_last.then(|| (self.pages.next(), line.len() as u64));
        let mut starts = standing
            .chain(front)
            .chain(next)
            .map(|(position, at)| position.0.checked_sub(at));
        let start = starts.next()??;
        starts.all(|other| other == Some(start)).then_some(start)
    }

    /// Makes a page that can be in one place of a line only; tells whether there was one.
    fn find_one(&mut self, line: &[Entry], frames: &RangeInclusive<Index>) -> bool {
        let found = self.open.iter().find_map(|first| {
            let of = self.pages.frames_of(*first)?;
            if !frames.contains(of.start()) || !frames.contains(of.end()) {
                return None;
            }
            let names = (*of.start(), 0)..=(*of.end(), u16::MAX);
            let mut found = self.owned.found.range(names.clone());
            // Something that may be of the page was placed elsewhere.
            let strayed = found.any(|(_, found)| {
                let place = found.place;
                place.is_none_or(|place| !frames.contains(&place.0))
            });
            if strayed || self.owned.perhaps.range(names).next().is_some() {
                return None;
            }
            let from = line.iter().position(|e| of.contains(&e.index()))?;
            let to = line.iter().rposition(|e| of.contains(&e.index()))?;
            let windows = line[from..=to].windows(self.pages.length_of(*first));
            let mut fitting = windows.filter(|window| self.fits(*first, window));
            let only = fitting.next()?;
            fitting.next().is_none().then_some((*first, only))
        });
        if let Some((first, window)) = found {
            self.put(first, window.into());
        }
        found.is_some()
    }

    /// Whether these may be the page: they look like it and stand nowhere else.
    fn fits(&self, first: Position, window: &[Entry]) -> bool {
        let name = |entry: &Entry| (entry.index(), entry.slot());
        let stands = |entry: &Entry| self.owned.standing.contains_key(&name(entry));
        self.pages.resembles(first, window) && !window.iter().any(stands)
    }

    /// Frames are missing, but both neighbours of the pages are known, everything on the pages lives,
    /// and as many messages were found as they have.
    fn all_of(&self, run: &Run) -> Option<Vec<Entry>> {
        let (front, last) = (run.first()?, run.last()?);
        let is_anchored = self.is_known_before(*front) && self.is_known_behind(*last);
        if !is_anchored || self.owned.obscured {
            return None;
        }
        let found = self.found_for(run);
        if found.len() != room(self.pages, run) {
            return None;
        }
        // Where everything lives, no order can make a message appear settled.
        let mut firsts = run.iter();
        let all_live = firsts.all(|first| self.pages.is_whole(*first));
        let is_plain = !found.iter().any(Found::has_moved)
            && self.owned.perhaps.is_empty()
            && self.known.doubtful.is_empty();
        let entries: Vec<Entry> = found.into_iter().map(|found| found.entry).collect();
        let mut pages = dealt(self.pages, run, &entries).into_iter();
        let fits = pages.all(|(first, entries)| self.pages.resembles(first, entries));
        (fits && all_live && is_plain).then_some(entries)
    }

    /// Whether what stands before the page, if anything did, is not among what was found.
    fn is_known_before(&self, first: Position) -> bool {
        match self.pages.before(first) {
            None => first.0 == 0,
            Some(before) => !self.open.contains(&before),
        }
    }

    /// The same of what stands behind it.
    fn is_known_behind(&self, first: Position) -> bool {
        let (next, _) = self.pages.follows(first);
        next == self.pages.page_end(first) && !self.open.contains(&next)
    }

    /// What was found in the frames of these pages, in its order.
    fn found_for(&self, run: &Run) -> Vec<Found> {
        let mut found = named(self.pages, run, &self.owned.found);
        found.retain(|name, _| !self.owned.standing.contains_key(name));
        let mut found: Vec<Found> = found.into_values().collect();
        found.sort_unstable_by_key(Found::order);
        found
    }

    /// Puts on the pages that are left whatever was found for them, all of it live; what has no room
    /// comes behind everything. Tells how many that are, and how many lived there beyond that.
    fn put_the_rest(self) -> (u64, u64) {
        let Puzzle {
            pages,
            mut owned,
            open,
            known: _,
        } = self;
        let runs = runs(pages, &open);
        let (mut again, mut lived) = (0, 0);
        let mut more = Vec::new();
        for run in &runs {
            let perhaps = named(pages, run, &owned.perhaps);
            let mut found = named(pages, run, &owned.found);
            for (name, (entry, time)) in perhaps {
                found.entry(name).or_insert(Found::unplaced(entry, time));
            }
            found.retain(|name, _| !owned.standing.contains_key(name));
            for name in found.keys() {
                owned.found.remove(name);
                owned.perhaps.remove(name);
            }
            let mut found: Vec<Found> = found.into_values().collect();
            found.sort_unstable_by_key(Found::order);
            again += found.len() as u64;
            let spare = found.split_off(found.len().min(room(pages, run)));
            more.extend(spare);
            let entries: Vec<Entry> = found.into_iter().map(|found| found.entry).collect();
            for (first, entries) in dealt(pages, run, &entries) {
                lived += pages.live_on(first);
                pages.put_live(first, entries);
            }
        }
        more.sort_unstable_by_key(Found::order);
        for found in more {
            pages.push(found.entry, found.time);
        }
        (again, lived.saturating_sub(again))
    }
}

/// The frames that tell what stood on a page: those of its messages, of those that stood between
/// it and what is kept behind it unless they are too many, and some in which transactions may have
/// been decided.
pub(super) fn reach(
    pages: &Pages,
    first: Position,
    applied: Index,
) -> Option<RangeInclusive<Index>> {
    let frames = pages.frames_of(first)?;
    let (next, frame) = pages.follows(first);
    let gap = next.0.saturating_sub(pages.page_end(first).0);
    let last = match gap <= GAP_MAX {
        true => frame.unwrap_or(applied).max(*frames.end()),
        false => *frames.end(),
    };
    Some(*frames.start()..=Index(last.0.saturating_add(DECISION_FRAMES).min(applied.0)))
}

/// What is named in the frames of some pages.
fn named<T: Clone>(pages: &Pages, run: &Run, of: &BTreeMap<Name, T>) -> BTreeMap<Name, T> {
    let mut named = BTreeMap::new();
    for frames in run.iter().filter_map(|first| pages.frames_of(*first)) {
        let names = (*frames.start(), 0)..=(*frames.end(), u16::MAX);
        named.extend(of.range(names).map(|(name, what)| (*name, what.clone())));
    }
    named
}

/// How many entries these pages have.
fn room(pages: &Pages, run: &Run) -> usize {
    run.iter().map(|first| pages.length_of(*first)).sum()
}

/// Entries as they come to stand on these pages, on each as many as it has room for.
fn dealt<'e>(pages: &Pages, run: &Run, entries: &'e [Entry]) -> Vec<(Position, &'e [Entry])> {
    let mut rest = entries;
    let deal = run.iter().map(|first| {
        let (page, behind) = rest.split_at(pages.length_of(*first).min(rest.len()));
        rest = behind;
        (*first, page)
    });
    deal.collect()
}

fn runs(pages: &Pages, open: &BTreeSet<Position>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for first in open {
        let follows = |last: &Position| pages.page_end(*last) == *first;
        match runs
            .last_mut()
            .filter(|run| run.last().is_some_and(follows))
        {
            Some(run) => run.push(*first),
            None => runs.push(vec![*first]),
        }
    }
    runs
}

impl Found {
    fn unplaced(entry: Entry, time: Millis) -> Found {
        Found {
            place: None,
            entry,
            time,
        }
    }

    /// Whether it came to its place later than its frame was written.
    fn has_moved(&self) -> bool {
        self.place
            .is_some_and(|(index, _, _)| index != self.entry.index())
    }

    /// By where it was placed, as far as that is known.
    fn order(&self) -> Place {
        let written = (
            self.entry.index(),
            Stage::Stored,
            u32::from(self.entry.slot()),
        );
        self.place.unwrap_or(written)
    }
}
