//! Index pages made anew from what the log still holds, when the page file is damaged.
//!
//! The checkpoint knows of each page whose it is, where it begins, which of its entries are live,
//! and between which frames its messages lie. If all of these frames are there, the page is made
//! as it was (see [`puzzle`]). If some were dropped because nothing in them lived, nobody can tell
//! which of the others live: then all of them do, so that what was settled may come again and
//! nothing is lost.
//!
//! Caveats: what stands on a page that cannot be made as it was gets other positions. Expiry is
//! worked out with the time to live that the queue has now.

mod frames;
mod puzzle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{Bucket, Decision, Fact, Ledger, PageOwner};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, Millis, Position, QueueId};
use crate::pass::{Destination, Head};
use frames::Frames;
use puzzle::{Known, Puzzle};

/// Messages that went are counted over so many positions between a page and its neighbour.
const GAP_MAX: u64 = 16 << 10;
/// So many frames behind a message the decision of its transaction is looked for.
const DECISION_FRAMES: u64 = 64;

/// Damaged pages, and what was found for them.
#[derive(Debug, Default)]
pub struct Rebuilding {
    owners: BTreeMap<PageOwner, Owned>,
    wanted: Frames,
    /// Frames that are as they were written.
    whole: Frames,
    /// Messages of transactions that are not decided yet, by the frame they came in.
    prepared: BTreeMap<u64, Vec<Prepared>>,
    /// Transactions with messages in frames that do not matter.
    missed: BTreeSet<u64>,
}

type Prepared = (Index, Millis, Vec<(u16, Head)>);
/// A message in the log.
type Name = (Index, u16);
/// When something was placed: by which frame, and as the how manieth of it.
type Place = (Index, Stage, u32);

/// The order in which a frame places messages: that of `Ledger::apply`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// Those of other frames, by the decision of their transaction.
    Decided,
    /// Its own.
    Stored,
    /// Those of other frames that wait until they are due.
    Carried,
}

/// What has to do with the damaged pages of one owner.
#[derive(Debug, Default)]
struct Owned {
    damaged: BTreeMap<Position, PageSlot>,
    frames: Frames,
    /// Where those stand that stand on pages that are sound.
    standing: BTreeMap<Name, Position>,
    /// What the log has, also of those.
    found: BTreeMap<Name, Found>,
    /// What may have been carried here from a coarser bucket, unless the fact is found that did.
    perhaps: BTreeMap<Name, (Entry, Millis)>,
    /// Frames that placed messages of frames that nobody wanted.
    strays: BTreeSet<Index>,
    /// A page that is called sound cannot be understood.
    obscured: bool,
}

/// A message that was found for some page.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// `None`: only what is left of its frame was seen.
    place: Option<Place>,
    entry: Entry,
    time: Millis,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rebuilt {
    pub pages: u64,
    /// Pages that are as they were.
    pub exact: u64,
    /// Messages on the others, settled ones among them.
    pub again: u64,
    /// Messages that the log does not hold any more: at least so many of each owner together.
    pub lost: u64,
}

impl Rebuilding {
    /// Whether a frame matters.
    pub fn wants(&self, index: Index) -> bool {
        self.wanted.contains(index)
    }

    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// This frame placed messages of frames that were not noted: what follows on what is not known.
    fn stray(&mut self, at: Index) {
        for owned in self.owners.values_mut() {
            if owned.frames.contains(at) {
                owned.strays.insert(at);
            }
        }
    }
}

impl Owned {
    /// Notes where entries stand; of those that stand twice, since a repair filled a page with them,
    /// the first.
    fn stand<'e>(&mut self, entries: impl Iterator<Item = (Position, &'e Entry)>) {
        for (position, entry) in entries {
            let name = (entry.index(), entry.slot());
            self.standing.entry(name).or_insert(position);
        }
    }

    fn note(&mut self, place: Option<Place>, entry: Entry, time: Millis) {
        let name = (entry.index(), entry.slot());
        let placed = place.is_some_and(|(index, _, _)| self.frames.contains(index));
        if !placed && !self.frames.contains(name.0) {
            return;
        }
        let known = self.found.get(&name);
        if known.is_none_or(|known| known.place.is_none()) {
            self.found.insert(name, Found { place, entry, time });
        }
        self.perhaps.remove(&name);
    }

    fn note_perhaps(&mut self, entry: Entry, time: Millis) {
        let name = (entry.index(), entry.slot());
        let is_known = self.found.contains_key(&name) || self.standing.contains_key(&name);
        if self.frames.contains(name.0) && !is_known {
            self.perhaps.insert(name, (entry, time));
        }
    }
}

impl Ledger {
    /// Whose page lies in a slot of the page file; `None` if nobody needs it any more.
    pub fn page_owner(&self, slot: PageSlot) -> Option<PageOwner> {
        let (owner, _) = self.spilled.get(&slot)?;
        (!self.freed.contains(&slot)).then_some(*owner)
    }

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
            let Some(pages) = self.pages(owner) else {
                continue;
            };
            let Some(frames) = pages.frames_of(first) else {
                continue;
            };
            let owned = rebuilding.owners.entry(owner).or_default();
            owned.damaged.insert(first, *slot);
            let frames = match owner {
                PageOwner::Queue(_) | PageOwner::Partition(_) => {
                    puzzle::reach(pages, first, self.applied).unwrap_or(frames)
                }
                // Messages come from coarser buckets until the last moment.
                PageOwner::Timer(_) => *frames.start()..=self.applied,
            };
            owned.frames.insert(&frames);
            rebuilding.wanted.insert(&frames);
        }
        for (owner, owned) in &mut rebuilding.owners {
            let Some(pages) = self.pages(*owner) else {
                continue;
            };
            let slots = owned.frames.iter();
            let slots = slots.flat_map(|frames| pages.slots_between(&frames));
            let slots: BTreeSet<PageSlot> = slots.collect();
            for slot in slots.difference(damaged).copied() {
                match read(slot) {
                    Some(entries) => {
                        let (_, first) = self.spilled[&slot];
                        owned.stand((first.0..).map(Position).zip(entries.iter()));
                    }
                    None => owned.obscured = true,
                }
            }
            owned.stand(pages.in_memory());
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
        rebuilding.whole.insert(&(index..=index));
        // In the order of `Ledger::apply`: what is decided, what is stored, what is carried.
        let places = |stage| (0..).map(move |rank| Some((index, stage, rank)));
        let mut decided = places(Stage::Decided);
        let mut by = places(Stage::Carried);
        let mut prepared = None;
        let mut carried = Vec::new();
        for fact in facts {
            match fact {
                Fact::Prepared { transaction } => prepared = Some(*transaction),
                Fact::Decided {
                    transaction,
                    decision,
                } => {
                    let parts = rebuilding.prepared.remove(transaction).unwrap_or_default();
                    // A transaction is named by its first frame.
                    let frames = Index(*transaction)..=index;
                    let is_missed = rebuilding.missed.remove(transaction);
                    match decision {
                        Decision::Commit => {
                            if is_missed || !rebuilding.whole.covers(&frames) {
                                rebuilding.stray(index);
                            }
                            for (index, _, heads) in parts {
                                self.note(rebuilding, &mut decided, (index, time), &heads);
                            }
                        }
                        Decision::Abort => {}
                    }
                }
                Fact::Rescheduled {
                    bucket, entries, ..
                } => carried.push((*bucket, entries)),
                Fact::Topology(_)
                | Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Fired { .. }
                | Fact::Forwarded { .. }
                | Fact::Finished { .. }
                | Fact::Trimmed { .. }
                | Fact::Cursor { .. }
                | Fact::Producer { .. } => {}
            }
        }
        match prepared {
            Some(transaction) if !rebuilding.wants(index) => {
                rebuilding.missed.insert(transaction);
            }
            Some(transaction) => {
                let parts = rebuilding.prepared.entry(transaction).or_default();
                parts.push((index, time, heads));
            }
            None => {
                let mut stored = places(Stage::Stored);
                self.note(rebuilding, &mut stored, (index, time), &heads);
            }
        }
        for (bucket, entries) in carried {
            for entry in entries.iter() {
                let (to, entry) = bucket.carried(*entry);
                let place = by.next().flatten();
                if let Some(owned) = rebuilding.owners.get_mut(&PageOwner::Timer(to)) {
                    owned.note(place, entry, bucket.start());
                }
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
        let mut nowhere = std::iter::repeat(None);
        self.note(rebuilding, &mut nowhere, (index, time), heads);
    }

    /// Notes messages of a frame that were stored at a time, each at its place.
    fn note(
        &self,
        rebuilding: &mut Rebuilding,
        places: &mut dyn Iterator<Item = Option<Place>>,
        (index, time): (Index, Millis),
        heads: &[(u16, Head)],
    ) {
        let owners = &mut rebuilding.owners;
        for (slot, head) in heads {
            let place = places.next().flatten();
            let summary = head.summary;
            let entry = |flags, aux| Entry::new(index, *slot, flags, head.size, aux);
            for destination in head.destinations.as_slice() {
                match *destination {
                    Destination::Queue(id) => {
                        if let Some(owned) = owners.get_mut(&PageOwner::Queue(id)) {
                            let ttl = self.ttl_ms(id).map(|ttl| time.plus(ttl));
                            let (flags, aux) = match summary.expires.into_iter().chain(ttl).min() {
                                Some(at) => Entry::expiring(summary.flags, at, time),
                                None => (summary.flags, 0),
                            };
                            owned.note(place, entry(flags, aux), time);
                        }
                    }
                    Destination::Partition(id) => {
                        if let Some(owned) = owners.get_mut(&PageOwner::Partition(id)) {
                            owned.note(place, entry(summary.flags, summary.tag_hash), time);
                        }
                    }
                    Destination::Timer(due) => {
                        for bucket in Bucket::way(due, time) {
                            let aux = due.since(bucket.start()) as u32;
                            let entry = entry(summary.flags, aux);
                            match owners.get_mut(&PageOwner::Timer(bucket)) {
                                Some(owned) if bucket == Bucket::of(due, time) => {
                                    owned.note(place, entry, time);
                                }
                                Some(owned) => owned.note_perhaps(entry, time),
                                None => {}
                            }
                        }
                    }
                }
            }
        }
    }

    fn ttl_ms(&self, id: QueueId) -> Option<u64> {
        self.queues.get(&id)?.ttl_ms
    }

    /// What was prepared, and is decided in no frame that is there: perhaps it was stored.
    fn note_undecided(&self, rebuilding: &mut Rebuilding) -> BTreeSet<Index> {
        let mut doubtful = BTreeSet::new();
        for (transaction, parts) in std::mem::take(&mut rebuilding.prepared) {
            // Certainly not.
            if self.prepared.contains_key(&transaction) {
                continue;
            }
            for (index, time, heads) in parts {
                self.note_some(rebuilding, index, time, &heads);
                doubtful.insert(index);
            }
        }
        doubtful
    }

    /// Puts the pages in their places.
    pub fn rebuild(&mut self, mut rebuilding: Rebuilding) -> Rebuilt {
        let doubtful = self.note_undecided(&mut rebuilding);
        let known = Known {
            whole: &rebuilding.whole,
            doubtful: &doubtful,
            applied: self.applied,
        };
        let mut all = Rebuilt::default();
        for (owner, owned) in rebuilding.owners {
            for slot in owned.damaged.values() {
                self.spilled.remove(slot);
                self.freed.push(*slot);
            }
            let front = owned.damaged.keys().next().copied();
            let Some(pages) = self.pages_mut(owner) else {
                continue;
            };
            let next = pages.next();
            let rebuilt = Puzzle::new(pages, owned, &known).solve();
            all.pages += rebuilt.pages;
            all.exact += rebuilt.exact;
            all.again += rebuilt.again;
            all.lost += rebuilt.lost;
            if let PageOwner::Queue(id) = owner
                && let Some(queue) = self.queues.get_mut(&id)
                && queue.pages.next() != next
                && front.is_some_and(|front| front < queue.offered)
            {
                // What has gone behind everything may have been handed out before.
                queue.offered = queue.offered.max(queue.pages.next());
            }
        }
        all
    }
}
