//! Pages made anew from whole frames, from what is left of frames, and from nothing.

use super::*;
use crate::id::{Durability, PartitionId, QueueId, ShardId};
use crate::ledger::{Lookup, Pages};
use crate::pass::{Destinations, Summary};
use crate::topology::{QueueOptions, QueueSpec, TopologyFact};

const QUEUE: u64 = 3;
const TIME: Millis = Millis(1_700_000_000_000);

fn queue() -> QueueId {
    QueueId::new(QUEUE, Durability::Durable)
}

fn head(destination: Destination) -> Head {
    Head {
        size: 10,
        summary: Summary::default(),
        destinations: Destinations::One(destination),
    }
}

/// A ledger with three full pages of a queue in frames of three messages, and what lies in the
/// page file.
fn ledger() -> (Ledger, BTreeMap<PageSlot, Vec<u8>>) {
    settled(&[(100, 700)])
}

/// The same, with other messages settled.
fn settled(ranges: &[(u64, u64)]) -> (Ledger, BTreeMap<PageSlot, Vec<u8>>) {
    settled_and_closed(ranges, &[])
}

/// The same with pages that were closed early, behind these frames.
fn settled_and_closed(
    ranges: &[(u64, u64)],
    closed: &[u64],
) -> (Ledger, BTreeMap<PageSlot, Vec<u8>>) {
    let mut ledger = Ledger::new(ShardId::LOG);
    let spec = QueueSpec {
        name: "q".into(),
        durability: Durability::Durable,
        auto_delete: false,
        owner: None,
        implicit: false,
        options: QueueOptions::default(),
        arguments: [].into(),
    };
    let set = Fact::Topology(TopologyFact::QueueSet { id: queue(), spec });
    ledger.apply(Index(1), TIME, &[], &[set]);
    for index in 2..=600 {
        let heads: Vec<Head> = heads(index).into_iter().map(|(_, head)| head).collect();
        ledger.apply(Index(index), TIME, &heads, &[]);
        if closed.contains(&index) {
            let pages = ledger.pages_mut(PageOwner::Queue(queue())).unwrap();
            pages.close_tail_of(1);
        }
    }
    let settled = |(from, to): &(u64, u64)| Fact::Settled {
        queue: queue(),
        range: Position(*from)..Position(*to),
        reason: crate::ledger::Reason::Accepted,
    };
    let settled: Vec<Fact> = ranges.iter().map(settled).collect();
    ledger.apply(Index(601), TIME, &[], &settled);
    let file = spill(&mut ledger);
    (ledger, file)
}

/// Moves every full page out of memory, to what is given back.
fn spill(ledger: &mut Ledger) -> BTreeMap<PageSlot, Vec<u8>> {
    let mut file = BTreeMap::new();
    for (owner, first) in ledger.spill(&mut |bytes| {
        let slot = PageSlot(file.len() as u64);
        file.insert(slot, bytes);
        slot
    }) {
        ledger.evict(owner, first);
    }
    file
}

/// Three for the queue, and one for somebody else.
fn heads(index: u64) -> Vec<(u16, Head)> {
    let elsewhere = PartitionId {
        address: crate::id::AddressId(index),
        number: 0,
    };
    let mine = || head(Destination::Queue(queue()));
    let other = head(Destination::Partition(elsewhere));
    vec![(0, mine()), (1, other), (2, mine()), (3, mine())]
}

fn damage(slots: &[u64]) -> BTreeSet<PageSlot> {
    slots.iter().map(|slot| PageSlot(*slot)).collect()
}

fn begin(ledger: &Ledger, file: &BTreeMap<PageSlot, Vec<u8>>, slots: &[u64]) -> Rebuilding {
    ledger.rebuilding(&damage(slots), &mut |slot| {
        crate::ledger::entries_from(&file[&slot]).ok()
    })
}

fn live(ledger: &Ledger) -> Vec<(Index, u16)> {
    let pages = &ledger.queue(queue()).unwrap().pages;
    let mut at = Position(0);
    let mut found = Vec::new();
    while let Some(position) = pages.next_live(at) {
        if let crate::ledger::Lookup::Entry(entry) = pages.get(position) {
            found.push((entry.index(), entry.slot()));
        }
        at = position.next();
    }
    found
}

/// The same with where each stands.
fn standing(ledger: &Ledger) -> Vec<(Position, Entry)> {
    let pages = &ledger.queue(queue()).unwrap().pages;
    let all = (0..pages.next().0).map(Position);
    all.filter_map(|at| match pages.get(at) {
        Lookup::Entry(entry) => Some((at, entry)),
        Lookup::Absent => None,
        Lookup::Spilled(slot) => panic!("{slot:?} is in the page file"),
    })
    .collect()
}

fn expected_ledger((mut ledger, file): (Ledger, BTreeMap<PageSlot, Vec<u8>>)) -> Ledger {
    for (slot, bytes) in &file {
        let entries = crate::ledger::entries_from(bytes).unwrap();
        ledger.page_loaded(*slot, entries).unwrap();
    }
    ledger
}

/// What the ledger says with every page read back from the file.
fn expected(mut ledger: Ledger, file: &BTreeMap<PageSlot, Vec<u8>>) -> Vec<(Index, u16)> {
    for (slot, bytes) in file {
        let entries = crate::ledger::entries_from(bytes).unwrap();
        ledger.page_loaded(*slot, entries).unwrap();
    }
    live(&ledger)
}

#[test]
fn whole_frames_make_the_page_as_it_was() {
    check_whole_frames(&[]);
}

#[test]
fn pages_that_were_closed_early_are_made_as_they_were() {
    // Of 33 and of 297 entries, then a full one.
    check_whole_frames(&[12, 111]);
    // The tail is empty.
    check_whole_frames(&[300, 600]);
}

fn check_whole_frames(closed: &[u64]) {
    for slots in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
        let (mut ledger, file) = settled_and_closed(&[(100, 700)], closed);
        let mut rebuilding = begin(&ledger, &file, slots);
        for index in 2..=600 {
            ledger.note_whole(&mut rebuilding, Index(index), TIME, heads(index), &[]);
        }
        let rebuilt = ledger.rebuild(rebuilding);
        let pages = slots.len() as u64;
        assert_eq!(
            (rebuilt.pages, rebuilt.exact, rebuilt.lost),
            (pages, pages, 0)
        );
        let file: BTreeMap<_, _> = file
            .into_iter()
            .filter(|(slot, _)| !slots.contains(&slot.0))
            .collect();
        let (sound, whole) = settled_and_closed(&[(100, 700)], closed);
        assert_eq!(
            expected(ledger, &file),
            expected(sound, &whole),
            "{slots:?}"
        );
    }
}

/// Every page is lost, and some stretches of the queue are settled: whatever neighbours are left,
/// each live message stands where it stood.
#[test]
fn a_lost_page_file_is_made_as_it_was() {
    check_lost_page_file(&[]);
}

#[test]
fn a_lost_page_file_is_made_as_it_was_with_pages_closed_early() {
    // Pages of 33, 297, 512, 512 and 67 entries.
    check_lost_page_file(&[12, 111, 475]);
}

fn check_lost_page_file(closed: &[u64]) {
    let next = 599 * 3;
    for ranges in [
        &[][..],
        &[(1, 2), (511, 513), (1023, 1026)],
        // The first pages went.
        &[(0, 512)],
        &[(0, 600), (700, 710)],
        &[(0, 1024), (1030, 1031)],
        // One in the middle went.
        &[(5, 9), (512, 1024)],
        // The tail went.
        &[(3, 10), (1536, next)],
        &[(0, 512), (520, 530), (1535, next)],
        // All but one went.
        &[(0, 512), (600, 610), (1024, next)],
    ] {
        let (mut ledger, file) = settled_and_closed(ranges, closed);
        let slots: Vec<u64> = file.keys().map(|slot| slot.0).collect();
        let mut rebuilding = begin(&ledger, &file, &slots);
        for index in 2..=600 {
            ledger.note_whole(&mut rebuilding, Index(index), TIME, heads(index), &[]);
        }
        let rebuilt = ledger.rebuild(rebuilding);
        let pages = slots.len() as u64;
        let exact = Rebuilt {
            pages,
            exact: pages,
            again: 0,
            lost: 0,
        };
        assert_eq!(rebuilt, exact, "{ranges:?}");
        let stands = standing(&ledger);
        assert_eq!(
            stands,
            standing(&expected_ledger(settled_and_closed(ranges, closed))),
            "{ranges:?}"
        );
        assert_eq!(ledger.queue(queue()).unwrap().pages.next().0, next);
    }
}

/// Frames are larger than pages, all messages look alike, and each page is damaged, sound or gone.
#[test]
fn pages_of_one_frame_are_told_apart() {
    let frames = [(2, 1_600), (3, 700)];
    let next = 2_300;
    let heads = |count: u16| (0..count).map(|slot| (slot, head(Destination::Queue(queue()))));
    let written = |kinds: u32, tail_is_there: bool| {
        let (mut ledger, _) = settled(&[(0, 599 * 3)]);
        ledger.queues.get_mut(&queue()).unwrap().pages = Pages::default();
        for (index, count) in frames {
            let heads: Vec<Head> = heads(count).map(|(_, head)| head).collect();
            ledger.apply(Index(600 + index), TIME, &heads, &[]);
        }
        let kind = |page: u64| kinds / 3u32.pow(page as u32) % 3;
        let mut gone: Vec<(u64, u64)> = (0..4)
            .map(|page| match kind(page) {
                0 => (page * 512, page * 512 + 512),
                _ => (page * 512 + page, page * 512 + 10),
            })
            .collect();
        if !tail_is_there {
            gone.push((2_048, next));
        }
        for (from, to) in gone {
            let queue = ledger.queues.get_mut(&queue()).unwrap();
            let range = Position(from)..Position(to);
            queue.pages.settle_range(range, &mut Vec::new());
        }
        let file = spill(&mut ledger);
        let of = |first: Position| kind(first.0 / 512) == 1;
        let spilled = ledger.spilled.iter();
        let damaged: Vec<u64> = spilled
            .filter(|(_, (_, first))| of(*first))
            .map(|(slot, _)| slot.0)
            .collect();
        (ledger, file, damaged)
    };
    for kinds in 0..3u32.pow(4) {
        for tail_is_there in [true, false] {
            let (mut ledger, file, damaged) = written(kinds, tail_is_there);
            let mut rebuilding = begin(&ledger, &file, &damaged);
            for (index, count) in frames {
                let heads = heads(count).collect();
                ledger.note_whole(&mut rebuilding, Index(600 + index), TIME, heads, &[]);
            }
            let rebuilt = ledger.rebuild(rebuilding);
            let pages = damaged.len() as u64;
            let words = format!("{kinds} {tail_is_there}");
            assert_eq!((rebuilt.pages, rebuilt.exact), (pages, pages), "{words}");
            for slot in damaged.iter().map(|slot| PageSlot(*slot)) {
                assert!(!ledger.slots().contains(&slot));
            }
            let sound = file
                .into_iter()
                .filter(|(slot, _)| !damaged.contains(&slot.0));
            let made = expected_ledger((ledger, sound.collect()));
            let (whole, file, _) = written(kinds, tail_is_there);
            let whole = expected_ledger((whole, file));
            assert_eq!(standing(&made), standing(&whole), "{words}");
        }
    }
}

/// Frames that hold nothing live are gone, or one is damaged: nothing that lives is missing, and
/// what is on the pages that can be made as they were does not come again.
#[test]
fn what_is_missing_spoils_no_other_page() {
    let (mut ledger, file) = settled(&[(3, 10)]);
    let mut rebuilding = begin(&ledger, &file, &[0, 1, 2]);
    // In the second of three pages.
    let damaged = Index(250);
    for index in (2..=600).map(Index).filter(|index| *index != damaged) {
        ledger.note_whole(&mut rebuilding, index, TIME, heads(index.0), &[]);
    }
    let rebuilt = ledger.rebuild(rebuilding);
    assert_eq!((rebuilt.pages, rebuilt.exact), (3, 2));
    assert_eq!((rebuilt.again, rebuilt.lost), (512 - 3, 3));
    let before = live(&expected_ledger(settled(&[(3, 10)])));
    let mut lost = before.into_iter().filter(|(index, _)| *index == damaged);
    let after = live(&ledger);
    assert!(lost.all(|name| !after.contains(&name)));
}

/// A message of an early frame that a transaction placed late stands late.
#[test]
fn what_a_transaction_placed_stands_where_it_was_placed() {
    let prepared = [Fact::Prepared { transaction: 605 }];
    let decided = [Fact::Decided {
        transaction: 605,
        decision: Decision::Commit,
    }];
    let facts = |index: u64| match index {
        5 => &prepared[..],
        200 => &decided[..],
        _ => &[],
    };
    let written = || {
        let (mut ledger, _) = settled(&[]);
        // On to another queue of the same kind of story, with the transaction in it.
        ledger.queues.get_mut(&queue()).unwrap().pages = Pages::default();
        for index in 602..=1200 {
            let heads: Vec<Head> = heads(index).into_iter().map(|(_, head)| head).collect();
            ledger.apply(Index(index), TIME, &heads, facts(index - 600));
        }
        let settled = Fact::Settled {
            queue: queue(),
            range: Position(0)..Position(30),
            reason: crate::ledger::Reason::Accepted,
        };
        ledger.apply(Index(1201), TIME, &[], &[settled]);
        let file = spill(&mut ledger);
        (ledger, file)
    };
    let (mut ledger, file) = written();
    let mut rebuilding = begin(&ledger, &file, &[0, 1, 2]);
    for index in 602..=1200 {
        let facts = facts(index - 600);
        ledger.note_whole(&mut rebuilding, Index(index), TIME, heads(index), facts);
    }
    let rebuilt = ledger.rebuild(rebuilding);
    assert_eq!((rebuilt.exact, rebuilt.lost), (3, 0));
    assert_eq!(standing(&ledger), standing(&expected_ledger(written())));
}

/// Delayed messages: those that came straight to their bucket, and those that were carried there.
#[test]
fn pages_of_delayed_messages_are_made_as_they_were() {
    let due = TIME.plus(200_000_000);
    let arrival = |index: u64| TIME.plus(index * 10_000);
    let count = 2_600;
    let heads = |index: u64| {
        let head = head(Destination::Timer(due.plus(index % 50)));
        vec![(0, head.clone()), (1, head)]
    };
    // The way of a message from its first bucket on; the facts that carry it are those of a node.
    let carried = |ledger: &Ledger, time: Millis| {
        let (bucket, pages) = ledger.timers().coarse_reached(time).next()?;
        let first = pages.next_live(Position(0))?;
        let mut entries = Vec::new();
        let mut at = first;
        while let Lookup::Entry(entry) = pages.get(at)
            && entries.len() < 100
        {
            entries.push(entry);
            at = at.next();
        }
        Some(Fact::Rescheduled {
            bucket,
            first,
            entries: entries.into(),
        })
    };
    let written = |carries: bool| {
        let mut ledger = Ledger::new(ShardId::LOG);
        let mut log = Vec::new();
        for index in 1..=count {
            let time = arrival(index);
            let facts: Vec<Fact> = carried(&ledger, time)
                .filter(|_| carries)
                .into_iter()
                .collect();
            let plain: Vec<Head> = heads(index).into_iter().map(|(_, head)| head).collect();
            ledger.apply(Index(index), time, &plain, &facts);
            log.push((Index(index), time, heads(index), facts));
        }
        let file = spill(&mut ledger);
        (ledger, file, log)
    };
    for carries in [false, true] {
        let (mut ledger, file, log) = written(carries);
        let slots: Vec<u64> = file.keys().map(|slot| slot.0).collect();
        assert!(slots.len() >= 5, "{slots:?}");
        let kept = ledger.timers().live();
        let mut rebuilding = begin(&ledger, &file, &slots);
        for (index, time, heads, facts) in &log {
            ledger.note_whole(&mut rebuilding, *index, *time, heads.clone(), facts);
        }
        let rebuilt = ledger.rebuild(rebuilding);
        let pages = slots.len() as u64;
        assert_eq!(
            (rebuilt.pages, rebuilt.exact, rebuilt.lost),
            (pages, pages, 0)
        );
        assert_eq!(ledger.timers().live(), kept);
        let (mut sound, file, _) = written(carries);
        for (slot, bytes) in &file {
            let entries = crate::ledger::entries_from(bytes).unwrap();
            sound.page_loaded(*slot, entries).unwrap();
        }
        for (bucket, pages) in sound.timers().all() {
            let made = ledger.timers().bucket(bucket).expect("it is there");
            let all = (0..pages.next().0).map(Position);
            let other = all.clone().find(|at| pages.get(*at) != made.get(*at));
            assert_eq!(other, None, "{bucket:?}");
        }
        // Without the facts that carried them, they come where they may have been.
        let (mut ledger, file, log) = written(carries);
        let mut rebuilding = begin(&ledger, &file, &slots);
        for (index, time, heads, _) in &log {
            ledger.note_some(&mut rebuilding, *index, *time, heads);
        }
        let rebuilt = ledger.rebuild(rebuilding);
        assert_eq!(rebuilt.lost, 0);
        assert!(ledger.timers().live() >= kept);
    }
}

#[test]
fn a_transaction_that_was_aborted_is_not_counted() {
    let (mut ledger, file) = ledger();
    let mut rebuilding = begin(&ledger, &file, &[0]);
    // The frames of a page, with one among them whose messages never came to be.
    let prepared = Fact::Prepared { transaction: 9 };
    let decided = |decision| Fact::Decided {
        transaction: 9,
        decision,
    };
    for index in 2..=600 {
        match index {
            5 => {
                let facts = std::slice::from_ref(&prepared);
                ledger.note_whole(&mut rebuilding, Index(5), TIME, heads(5), facts);
            }
            6 => {
                let facts = [decided(Decision::Abort)];
                ledger.note_whole(&mut rebuilding, Index(6), TIME, heads(6), &facts);
            }
            _ => ledger.note_whole(&mut rebuilding, Index(index), TIME, heads(index), &[]),
        }
    }
    let owned = &rebuilding.owners[&PageOwner::Queue(queue())];
    assert!(!owned.found.keys().any(|(index, _)| *index == Index(5)));
    ledger.rebuild(rebuilding);
}

#[test]
fn if_frames_are_gone_everything_that_is_left_comes_again() {
    let (mut ledger, file) = ledger();
    let before = expected(self::ledger().0, &file);
    let mut rebuilding = begin(&ledger, &file, &[1]);
    // Of those that have only settled messages nothing is left.
    let is_live = |index: u64| before.iter().any(|(at, _)| *at == Index(index));
    for index in (2..=600).filter(|index| is_live(*index)) {
        ledger.note_some(&mut rebuilding, Index(index), TIME, &heads(index));
    }
    let rebuilt = ledger.rebuild(rebuilding);
    assert_eq!((rebuilt.pages, rebuilt.exact, rebuilt.lost), (1, 0, 0));
    let file: BTreeMap<_, _> = file.into_iter().filter(|(slot, _)| slot.0 != 1).collect();
    let after = expected(ledger, &file);
    let missing: Vec<_> = before.iter().filter(|at| !after.contains(at)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let distinct: BTreeSet<_> = after.iter().collect();
    assert_eq!(distinct.len(), after.len(), "nothing is there twice");
}

#[test]
fn what_the_log_has_lost_is_told() {
    let (mut ledger, file) = ledger();
    let rebuilding = begin(&ledger, &file, &[2]);
    let rebuilt = ledger.rebuild(rebuilding);
    assert_eq!((rebuilt.pages, rebuilt.exact, rebuilt.lost), (1, 0, 512));
    assert_eq!(
        ledger.queue(queue()).unwrap().pages.live_on(Position(1024)),
        0
    );
}
