//! Index pages made anew from what the log still holds, when the page file is damaged.
//!
//! The checkpoint knows of each page whose it is, where it begins, which of its entries are live,
//! and between which frames its messages lie. If all of these frames are there, the page is made
//! as it was. If some were dropped because nothing in them lived, nobody can tell which of the
//! others live: then all of them do, so that what was settled may come again and nothing is lost.
//!
//! Caveat: what stands on a page that cannot be made as it was gets other positions.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::{Decision, Fact, Ledger, PAGE_ENTRIES, PageOwner};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Millis, Position};
use crate::pass::{Destination, Head};

/// Damaged pages, and what was found for them.
#[derive(Debug, Default)]
pub struct Rebuilding {
    pages: BTreeMap<(PageOwner, Position), Making>,
    /// Messages of transactions that are not decided yet, by the frame they came in.
    prepared: BTreeMap<u64, Vec<Prepared>>,
}

type Prepared = (Index, Millis, Vec<(u16, Head)>);

#[derive(Debug)]
struct Making {
    slot: PageSlot,
    frames: RangeInclusive<Index>,
    /// Stand on sound pages of the same owner.
    elsewhere: BTreeSet<(Index, u16)>,
    /// Frames that are as they were written.
    whole: BTreeSet<Index>,
    found: BTreeMap<(Index, u16), (Entry, Millis)>,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rebuilt {
    pub pages: u64,
    /// Pages that are as they were.
    pub exact: u64,
    /// Messages on the others, settled ones among them.
    pub again: u64,
    /// Messages that the log does not hold any more.
    pub lost: u64,
}

impl Making {
    /// Whether every frame is there as it was written.
    fn is_whole(&self) -> bool {
        let frames = self.frames.end().0 - self.frames.start().0 + 1;
        self.whole.len() as u64 == frames
    }
}

impl Rebuilding {
    /// Whether a frame matters.
    pub fn wants(&self, index: Index) -> bool {
        self.pages
            .values()
            .any(|making| making.frames.contains(&index))
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

impl Ledger {
    /// Begins; `read` gives the pages that are sound.
    pub fn rebuilding(
        &self,
        damaged: &BTreeSet<PageSlot>,
        read: &mut dyn FnMut(PageSlot) -> Option<Box<[Entry]>>,
    ) -> Rebuilding {
        let mut rebuilding = Rebuilding::default();
        for slot in damaged {
            let Some((owner, first)) = self.spilled.get(slot).copied() else {
                continue;
            };
            let Some(frames) = self.pages(owner).and_then(|pages| pages.frames_of(first)) else {
                continue;
            };
            let making = Making {
                slot: *slot,
                frames,
                elsewhere: BTreeSet::new(),
                whole: BTreeSet::new(),
                found: BTreeMap::new(),
            };
            rebuilding.pages.insert((owner, first), making);
        }
        for ((owner, _), making) in &mut rebuilding.pages {
            let Some(pages) = self.pages(*owner) else {
                continue;
            };
            for slot in pages.slots_between(&making.frames) {
                let entries = (!damaged.contains(&slot)).then(|| read(slot)).flatten();
                let names = entries.iter().flatten();
                making
                    .elsewhere
                    .extend(names.map(|e| (e.index(), e.slot())));
            }
            let names = pages.in_memory();
            making
                .elsewhere
                .extend(names.map(|e| (e.index(), e.slot())));
        }
        rebuilding
    }

    /// Notes a frame as it was written: its facts, and its messages, each with its slot.
    pub fn note_whole(
        &self,
        rebuilding: &mut Rebuilding,
        index: Index,
        time: Millis,
        heads: Vec<(u16, Head)>,
        facts: &[Fact],
    ) {
        for making in rebuilding.pages.values_mut() {
            if making.frames.contains(&index) {
                making.whole.insert(index);
            }
        }
        let mut prepared = None;
        for fact in facts {
            match fact {
                Fact::Prepared { transaction } => prepared = Some(*transaction),
                Fact::Decided {
                    transaction,
                    decision,
                } => {
                    let parts = rebuilding.prepared.remove(transaction).unwrap_or_default();
                    for (index, _, heads) in parts {
                        match decision {
                            Decision::Commit => self.note_some(rebuilding, index, time, &heads),
                            Decision::Abort => {}
                        }
                    }
                }
                Fact::Topology(_)
                | Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Fired { .. }
                | Fact::Rescheduled { .. }
                | Fact::Forwarded { .. }
                | Fact::Finished { .. }
                | Fact::Trimmed { .. }
                | Fact::Cursor { .. }
                | Fact::Producer { .. } => {}
            }
        }
        if !rebuilding.wants(index) {
            return;
        }
        match prepared {
            Some(transaction) => {
                let parts = rebuilding.prepared.entry(transaction).or_default();
                parts.push((index, time, heads));
            }
            None => self.note_some(rebuilding, index, time, &heads),
        }
    }

    /// What was prepared and not decided in any frame that is there: perhaps it was stored.
    fn note_undecided(&self, rebuilding: &mut Rebuilding) {
        for (index, time, heads) in std::mem::take(&mut rebuilding.prepared)
            .into_values()
            .flatten()
        {
            self.note_some(rebuilding, index, time, &heads);
            for making in rebuilding.pages.values_mut() {
                making.whole.remove(&index);
            }
        }
    }

    /// Notes the messages that are left of a frame.
    pub fn note_some(
        &self,
        rebuilding: &mut Rebuilding,
        index: Index,
        time: Millis,
        heads: &[(u16, Head)],
    ) {
        for ((owner, _), making) in &mut rebuilding.pages {
            if !making.frames.contains(&index) {
                continue;
            }
            for (slot, head) in heads {
                for destination in head.destinations.as_slice() {
                    let entry = self.entry_of(*owner, *destination, index, time, *slot, head);
                    let name = (index, *slot);
                    if let Some(entry) = entry
                        && !making.elsewhere.contains(&name)
                    {
                        making.found.entry(name).or_insert((entry, time));
                    }
                }
            }
        }
    }

    /// The entry of a message on the pages of an owner, if it was sent there.
    fn entry_of(
        &self,
        owner: PageOwner,
        destination: Destination,
        index: Index,
        time: Millis,
        slot: u16,
        head: &Head,
    ) -> Option<Entry> {
        let summary = head.summary;
        let (flags, aux) = match (owner, destination) {
            (PageOwner::Queue(id), Destination::Queue(to)) if to == id => {
                let ttl = self.queues.get(&id)?.ttl_ms.map(|ttl| time.plus(ttl));
                match summary.expires.into_iter().chain(ttl).min() {
                    Some(at) => Entry::expiring(summary.flags, at, time),
                    None => (summary.flags, 0),
                }
            }
            (PageOwner::Partition(id), Destination::Partition(to)) if to == id => {
                (summary.flags, summary.tag_hash)
            }
            (PageOwner::Timer(bucket), Destination::Timer(due)) if bucket.may_hold(due, time) => {
                (summary.flags, due.since(bucket.start()) as u32)
            }
            _ => return None,
        };
        Some(Entry::new(index, slot, flags, head.size, aux))
    }

    /// Puts the pages in their places.
    pub fn rebuild(&mut self, mut rebuilding: Rebuilding) -> Rebuilt {
        self.note_undecided(&mut rebuilding);
        let mut rebuilt = Rebuilt::default();
        let mut used: BTreeSet<(PageOwner, Index, u16)> = BTreeSet::new();
        for run in runs(rebuilding) {
            rebuilt.pages += run.pages.len() as u64;
            let owner = run.owner;
            self.spilled.retain(|slot, _| !run.slots.contains(slot));
            self.freed.extend(&run.slots);
            let Some(pages) = self.pages_mut(owner) else {
                continue;
            };
            let mut entries: Vec<_> = run
                .found
                .into_iter()
                .filter(|((index, slot), _)| !used.contains(&(owner, *index, *slot)))
                .map(|(_, found)| found)
                .collect();
            let room = run.pages.len() * PAGE_ENTRIES;
            let first = run.pages[0];
            let last = run.pages[run.pages.len() - 1];
            // Whatever stands before or behind is known, so that the rest is of these pages.
            let before = first.0.checked_sub(PAGE_ENTRIES as u64);
            let before = before.is_none_or(|at| pages.is_known(Position(at)));
            let behind = pages.is_known(Position(last.0 + PAGE_ENTRIES as u64));
            let spare = entries.len().saturating_sub(room);
            let is_exact = run.is_whole && entries.len() >= room;
            let is_exact = is_exact && (spare == 0 || before || behind);
            let more = if is_exact && !before && spare > 0 {
                entries.drain(..spare);
                Vec::new()
            } else {
                entries.split_off(room.min(entries.len()))
            };
            let names = entries.iter().map(|(entry, _)| entry);
            used.extend(names.map(|entry| (owner, entry.index(), entry.slot())));
            let entries: Vec<Entry> = entries.into_iter().map(|(entry, _)| entry).collect();
            if is_exact {
                rebuilt.exact += run.pages.len() as u64;
                for (first, entries) in run.pages.iter().zip(entries.chunks(PAGE_ENTRIES)) {
                    pages.put(*first, entries.into());
                }
                continue;
            }
            let found = (entries.len() + more.len()) as u64;
            let live: u64 = run.pages.iter().map(|first| pages.live_on(*first)).sum();
            rebuilt.again += found;
            rebuilt.lost += live.saturating_sub(found);
            let mut filled = entries.chunks(PAGE_ENTRIES);
            for first in &run.pages {
                pages.put_live(*first, filled.next().unwrap_or_default());
            }
            for (entry, time) in more {
                used.insert((owner, entry.index(), entry.slot()));
                pages.push(entry, time);
            }
        }
        rebuilt
    }
}

/// Damaged pages of one owner that follow each other.
struct Run {
    owner: PageOwner,
    pages: Vec<Position>,
    slots: Vec<PageSlot>,
    is_whole: bool,
    found: BTreeMap<(Index, u16), (Entry, Millis)>,
}

fn runs(rebuilding: Rebuilding) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for ((owner, first), making) in rebuilding.pages {
        let is_whole = making.is_whole();
        let follows = |run: &&mut Run| {
            let last = run.pages.last();
            run.owner == owner && last.is_some_and(|last| last.0 + PAGE_ENTRIES as u64 == first.0)
        };
        match runs.last_mut().filter(follows) {
            Some(run) => {
                run.pages.push(first);
                run.slots.push(making.slot);
                run.is_whole &= is_whole;
                run.found.extend(making.found);
            }
            None => runs.push(Run {
                owner,
                pages: vec![first],
                slots: vec![making.slot],
                is_whole,
                found: making.found,
            }),
        }
    }
    runs
}
