//! Pages made anew from whole frames, from what is left of frames, and from nothing.

use super::*;
use crate::id::{Durability, PartitionId, QueueId, ShardId};
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
    }
    let settled = Fact::Settled {
        queue: queue(),
        range: Position(100)..Position(700),
        reason: crate::ledger::Reason::Accepted,
    };
    ledger.apply(Index(601), TIME, &[], &[settled]);
    let mut file = BTreeMap::new();
    for (owner, first) in ledger.spill(&mut |bytes| {
        let slot = PageSlot(file.len() as u64);
        file.insert(slot, bytes);
        slot
    }) {
        ledger.evict(owner, first);
    }
    (ledger, file)
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

/// What the ledger says with every page read back from the file.
fn expected(mut ledger: Ledger, file: &BTreeMap<PageSlot, Vec<u8>>) -> Vec<(Index, u16)> {
    for (slot, bytes) in file {
        let entries = crate::ledger::entries_from(bytes).unwrap();
        ledger.page_loaded(*slot, entries);
    }
    live(&ledger)
}

#[test]
fn whole_frames_make_the_page_as_it_was() {
    for slots in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
        let (mut ledger, file) = ledger();
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
        let (sound, whole) = self::ledger();
        assert_eq!(
            expected(ledger, &file),
            expected(sound, &whole),
            "{slots:?}"
        );
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
    let found = |making: &Making| making.found.keys().any(|(index, _)| *index == Index(5));
    assert!(!rebuilding.pages.values().any(found));
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
