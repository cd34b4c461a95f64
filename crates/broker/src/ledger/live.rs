//! Which messages of the log are live: what a cold segment has to keep.
//!
//! A walk goes over everything that holds messages, a bounded number of pages at each step, while the
//! ledger goes on changing. What is settled behind its back is garbage that does no harm. What is
//! moved must not be missed: so it goes the way that messages go, from open transactions to timers, of
//! these from the coarsest to the finest, and from there to queues and partitions. Whatever else comes
//! to stand somewhere is a record of its own, in a frame that is newer than any the walk is for.
//!
//! Caveat: a message that stands in several queues is found once in each; whoever counts its bytes
//! counts them as often.

use std::ops::RangeInclusive;
use std::vec::IntoIter;

use super::pages::Look;
use super::{Ledger, PageOwner, Pages};
use crate::entry::Entry;
use crate::event::PageSlot;
use crate::id::{Index, MessageRef, Position, QueueId};

/// One step looks at no more pages than this.
const LOOKS_MAX: u32 = 256;

/// Where a walk stands.
#[derive(Debug, Default)]
struct Place {
    begun: bool,
    /// Whose pages are being looked at; `None` at the end.
    owner: Option<PageOwner>,
    position: Position,
    queues: IntoIter<QueueId>,
}

/// A walk that tells how much is live between which frames, without reading a page.
#[derive(Debug, Default)]
pub struct SpanWalk {
    place: Place,
}

/// A walk that tells every live message of some frames.
#[derive(Debug)]
pub struct LiveWalk {
    place: Place,
    frames: RangeInclusive<Index>,
    asked: Option<PageSlot>,
}

/// What a walk needs to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LiveStep {
    /// Another step.
    More,
    /// This page; to be answered by [`Ledger::live_page`].
    Page(PageSlot),
    Done,
}

impl LiveWalk {
    pub fn new(frames: RangeInclusive<Index>) -> LiveWalk {
        LiveWalk {
            place: Place::default(),
            frames,
            asked: None,
        }
    }
}

impl Ledger {
    /// Tells spans of live messages: first and last frame, and how many bytes their records have by
    /// the mean of their page. `false` at the end.
    pub fn live_spans(&self, walk: &mut SpanWalk, see: &mut dyn FnMut(Index, Index, u64)) -> bool {
        let place = &mut walk.place;
        if !place.begun {
            for (index, _, head) in self.prepared.values().flatten() {
                see(*index, *index, u64::from(head.size));
            }
        }
        let mut looks = LOOKS_MAX;
        while looks > 0
            && let Some(owner) = self.owner_at(place)
        {
            let look = self.pages(owner).map_or(Look::End, |pages| {
                pages.live_spans(place.position, &mut looks, see)
            });
            match look {
                Look::Pause(position) => place.position = position,
                Look::End | Look::Unread(..) => self.leave(place),
            }
        }
        place.owner.is_some()
    }

    /// Tells live messages, and the bytes of their records.
    pub fn live_messages(
        &self,
        walk: &mut LiveWalk,
        see: &mut dyn FnMut(MessageRef, u32),
    ) -> LiveStep {
        if let Some(slot) = walk.asked {
            return LiveStep::Page(slot);
        }
        let place = &mut walk.place;
        if !place.begun {
            let prepared = self.prepared.values().flatten();
            for (index, slot, head) in prepared.filter(|(index, ..)| walk.frames.contains(index)) {
                see(MessageRef::new(self.shard, *index, *slot), head.size);
            }
        }
        let mut looks = LOOKS_MAX;
        while looks > 0
            && let Some(owner) = self.owner_at(place)
        {
            let see = &mut |entry: Entry| see(entry.message(self.shard), entry.size());
            let look = self.pages(owner).map_or(Look::End, |pages| {
                pages.live_between(place.position, &walk.frames, &mut looks, see)
            });
            match look {
                Look::Pause(position) => place.position = position,
                Look::Unread(position, slot) => {
                    place.position = position;
                    walk.asked = Some(slot);
                    return LiveStep::Page(slot);
                }
                Look::End => self.leave(place),
            }
        }
        match place.owner {
            Some(_) => LiveStep::More,
            None => LiveStep::Done,
        }
    }

    /// Takes in the page that the walk asked for, and goes on behind it.
    pub fn live_page(
        &self,
        walk: &mut LiveWalk,
        entries: &[Entry],
        see: &mut dyn FnMut(MessageRef, u32),
    ) {
        let Some(slot) = walk.asked.take() else {
            return;
        };
        let place = &mut walk.place;
        let pages = place.owner.and_then(|owner| self.pages(owner));
        if let Some(pages) = pages {
            let see = &mut |entry: Entry| see(entry.message(self.shard), entry.size());
            pages.live_in_page((place.position, slot), entries, &walk.frames, see);
        }
        place.position = place.position.next();
    }

    /// Whose pages the walk stands at.
    fn owner_at(&self, place: &mut Place) -> Option<PageOwner> {
        if !place.begun {
            place.begun = true;
            self.leave(place);
        }
        place.owner
    }

    fn leave(&self, place: &mut Place) {
        place.position = Position(0);
        let timer = match place.owner {
            None => self.timers.before(None),
            Some(PageOwner::Timer(bucket)) => self.timers.before(Some(bucket)),
            Some(PageOwner::Queue(_) | PageOwner::Partition(_)) => None,
        };
        if let Some(bucket) = timer {
            place.owner = Some(PageOwner::Timer(bucket));
            return;
        }
        if let None | Some(PageOwner::Timer(_)) = place.owner {
            // A queue that comes later has nothing that is older than the walk.
            let mut queues: Vec<_> = self.queues.keys().copied().collect();
            queues.sort_unstable();
            place.queues = queues.into_iter();
        }
        if let Some(queue) = place.queues.next() {
            place.owner = Some(PageOwner::Queue(queue));
            return;
        }
        let last = match place.owner {
            Some(PageOwner::Partition(partition)) => Some(partition),
            None | Some(PageOwner::Timer(_) | PageOwner::Queue(_)) => None,
        };
        let next = self.partitions_after(last).next();
        place.owner = next.map(|(partition, _)| PageOwner::Partition(partition));
    }

    pub(super) fn pages(&self, of: PageOwner) -> Option<&Pages> {
        match of {
            PageOwner::Queue(id) => self.queues.get(&id).map(|queue| &queue.pages),
            PageOwner::Partition(id) => self.partitions.get(&id).map(|p| &p.pages),
            PageOwner::Timer(bucket) => self.timers.bucket(bucket),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::entry::EntryFlags;
    use crate::id::{AddressId, Millis, PartitionId, ShardId};
    use crate::ledger::{PAGE_ENTRIES, entries_from};
    use crate::pass::{Destinations, Head, Summary};

    fn entry(index: u64) -> Entry {
        let size = 100 + index as u32 % 7;
        Entry::new(Index(index), 0, EntryFlags::PERSISTENT, size, 0)
    }

    /// Queues that share messages, a partition, timers on several levels, an open transaction; full
    /// pages lie in the page file.
    fn filled(pages: &mut BTreeMap<PageSlot, Vec<u8>>) -> Ledger {
        let mut ledger = Ledger::new(ShardId::LOG);
        for index in 1..=6_000 {
            let entry = entry(index);
            for queue in [3, 900].into_iter().filter(|queue| index % queue == 0) {
                let queue = ledger.queues.entry(QueueId(queue)).or_default();
                queue.pages.push(entry, Millis(index));
            }
            let partition = PartitionId {
                address: AddressId(4),
                number: 1,
            };
            if index % 5 == 0 {
                let partition = ledger.partitions.entry(partition).or_default();
                partition.pages.push(entry, Millis(index));
            }
            if index % 11 == 0 {
                ledger
                    .timers
                    .keep(Millis(index * index * index), entry, Millis(index));
            }
        }
        let head = Head {
            size: 120,
            summary: Summary::default(),
            destinations: Destinations::nowhere(),
        };
        ledger
            .prepared
            .insert(1, vec![(Index(2), 0, head.clone()), (Index(4000), 0, head)]);
        let mut next = 0;
        ledger.spill(&mut |bytes| {
            next += 1;
            pages.insert(PageSlot(next), bytes);
            PageSlot(next)
        });
        let all: Vec<_> = ledger.spilled.values().copied().collect();
        all.into_iter()
            .for_each(|(owner, first)| ledger.evict(owner, first));
        ledger
    }

    /// Walks to the end; between the steps the ledger changes.
    fn walk(
        ledger: &mut Ledger,
        pages: &BTreeMap<PageSlot, Vec<u8>>,
        frames: RangeInclusive<Index>,
        mut change: impl FnMut(&mut Ledger),
    ) -> (BTreeSet<u64>, usize) {
        let mut walk = LiveWalk::new(frames);
        let (mut found, mut read) = (BTreeSet::new(), 0);
        loop {
            let see = &mut |message: MessageRef, _| {
                found.insert(message.index().0);
            };
            match ledger.live_messages(&mut walk, see) {
                LiveStep::More => {}
                LiveStep::Page(slot) => {
                    read += 1;
                    let entries = entries_from(&pages[&slot]).unwrap();
                    ledger.live_page(&mut walk, &entries, see);
                }
                LiveStep::Done => return (found, read),
            }
            change(ledger);
        }
    }

    #[test]
    fn every_live_message_of_the_frames_is_found_and_no_other() {
        let mut pages = BTreeMap::new();
        let mut ledger = filled(&mut pages);
        let is_live = |index: &u64| {
            [2, 4000].contains(index) || [3, 5, 11].iter().any(|part| index.is_multiple_of(*part))
        };
        for (first, last) in [(1, 6000), (1, 1), (3, 3), (2500, 3100), (5990, 9000)] {
            let (found, read) = walk(&mut ledger, &pages, Index(first)..=Index(last), |_| ());
            let wanted: BTreeSet<u64> = (first..=last.min(6000)).filter(is_live).collect();
            assert_eq!(found, wanted, "{first} to {last}");
            assert!(
                read < pages.len() || last - first > 5000,
                "{read} pages were read"
            );
        }
    }

    #[test]
    fn what_is_settled_is_not_found_and_what_is_moved_is() {
        let mut pages = BTreeMap::new();
        let mut ledger = filled(&mut pages);
        let mut freed = Vec::new();
        let queue = &mut ledger.queues.get_mut(&QueueId(3)).unwrap().pages;
        queue.settle_range(Position(0)..Position(1000), &mut freed);
        let partitions = ledger.partitions.values_mut();
        partitions.for_each(|p| {
            p.pages
                .settle_range(Position(0)..Position(1200), &mut freed);
        });
        let carry = |ledger: &mut Ledger| {
            // An open transaction ends, and coarse buckets are carried into finer ones.
            for (index, _, head) in ledger.prepared.remove(&1).unwrap_or_default() {
                let entry = Entry::new(index, 0, EntryFlags::PERSISTENT, head.size, 0);
                let queue = ledger.queues.entry(QueueId(3)).or_default();
                queue.pages.push(entry, Millis(9999));
            }
            let buckets: Vec<_> = ledger.timers.all().map(|(bucket, _)| bucket).collect();
            for bucket in buckets.into_iter().filter(|bucket| !bucket.is_finest()) {
                let entries = ledger
                    .timers
                    .bucket(bucket)
                    .map_or(0, |pages| pages.next().0);
                for at in 0..entries.min(PAGE_ENTRIES as u64) {
                    let of = ledger
                        .timers
                        .bucket(bucket)
                        .map(|pages| pages.get(Position(at)));
                    if let Some(crate::ledger::Lookup::Entry(entry)) = of {
                        let (timers, freed) = (&mut ledger.timers, &mut ledger.freed);
                        timers.reschedule(bucket, Position(at), &[entry], freed);
                    }
                }
            }
        };
        let (found, _) = walk(&mut ledger, &pages, Index(1)..=Index(6000), carry);
        let stays = |index: &u64| {
            [2, 4000].contains(index)
                || index.is_multiple_of(11)
                || index.is_multiple_of(900)
                || index.is_multiple_of(3) && *index > 3000
        };
        let wanted: BTreeSet<u64> = (1..=6000).filter(stays).collect();
        assert_eq!(&found & &wanted, wanted);
        assert!(
            !found.contains(&3) && !found.contains(&5),
            "settled before the walk"
        );
    }

    #[test]
    fn spans_tell_the_bytes_of_what_is_live_without_reading_a_page() {
        let mut pages = BTreeMap::new();
        let ledger = filled(&mut pages);
        let (mut walk, mut total, mut steps) = (SpanWalk::default(), 0, 1);
        while ledger.live_spans(&mut walk, &mut |first, last, bytes| {
            assert!(first <= last);
            total += bytes;
        }) {
            steps += 1;
        }
        // Full pages count by their mean, which is exact while all of them is live.
        let sizes = (1..=6000u64).map(|index| {
            let parts = [3, 900, 5, 11].iter().filter(|part| index % **part == 0);
            parts.count() as u64 * (100 + index % 7)
        });
        assert_eq!((total, steps), (sizes.sum::<u64>() + 240, 2));
    }
}
