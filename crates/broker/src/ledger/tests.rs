//! What a ledger remembers of other shards and of decisions.

use super::*;
use crate::bytes::Reader;
use crate::entry::EntryFlags;
use crate::pass::{Destination, Destinations, Summary};
use crate::topology::{QueueOptions, QueueSpec, TopologyFact};

const JOBS: QueueId = QueueId(2);
const OTHER: ShardId = ShardId(1);

/// A ledger with one queue.
fn ledger() -> Ledger {
    let spec = QueueSpec {
        name: "jobs".into(),
        durability: crate::id::Durability::Durable,
        auto_delete: false,
        owner: None,
        implicit: false,
        options: QueueOptions::default(),
        arguments: [].into(),
    };
    let mut ledger = Ledger::new(ShardId::LOG);
    let made = TopologyFact::QueueSet { id: JOBS, spec };
    apply(&mut ledger, 0, &[Fact::Topology(made)]);
    ledger
}

fn apply(ledger: &mut Ledger, messages: usize, facts: &[Fact]) {
    let head = Head {
        size: 100,
        summary: Summary {
            flags: EntryFlags::PERSISTENT,
            expires: None,
            tag_hash: 0,
        },
        destinations: Destinations::One(Destination::Queue(JOBS)),
    };
    let (index, heads) = (ledger.applied().next(), vec![head; messages]);
    ledger.apply(index, Millis(index.0), &heads, facts);
}

fn live(ledger: &Ledger) -> u64 {
    ledger.queue(JOBS).expect("made above").pages.live()
}

/// The same, as it comes out of a checkpoint.
fn restored(ledger: &Ledger) -> Ledger {
    let mut bytes = Vec::new();
    ledger.encode(&mut bytes);
    let restored = Ledger::decode(ledger.shard, &mut Reader::new(&bytes)).expect("written by us");
    let mut again = Vec::new();
    restored.encode(&mut again);
    assert_eq!(again, bytes);
    restored
}

#[test]
fn a_forward_that_comes_again_is_not_stored_again() {
    let from = |source, sequence, slots| Fact::Forwarded {
        source,
        target: ShardId::LOG,
        sequence,
        slots,
    };
    let mut ledger = ledger();
    let mut expected = 0;
    for (source, sequence, slots, stored) in [
        (OTHER, 1, 0..3, 3),
        // The same frame, a part of it, and one that goes on from its middle.
        (OTHER, 1, 0..3, 0),
        (OTHER, 2, 0..2, 0),
        (OTHER, 2, 0..4, 2),
        // Each source has numbers of its own.
        (ShardId::VOLATILE, 1, 0..1, 1),
        (OTHER, 6, 0..1, 1),
    ] {
        let messages = usize::from(slots.end);
        apply(&mut ledger, messages, &[from(source, sequence, slots)]);
        expected += stored;
        assert_eq!(live(&ledger), expected, "from {source:?}: {sequence}");
        ledger = restored(&ledger);
    }
    assert_eq!(ledger.forwarded(OTHER, ShardId::LOG), 6);
    // What else is in the frame is stored, and so are the messages of other sources.
    let facts = [from(OTHER, 5, 0..2), from(ShardId::VOLATILE, 2, 2..3)];
    apply(&mut ledger, 5, &facts);
    assert_eq!(live(&ledger), expected + 3);
    // A forward that is prepared twice is committed once.
    let parts = [
        (from(OTHER, 7, 0..1), Fact::Prepared { transaction: 9 }),
        (from(OTHER, 7, 0..1), Fact::Prepared { transaction: 9 }),
    ];
    for (forwarded, prepared) in parts {
        apply(&mut ledger, 1, &[forwarded, prepared]);
    }
    let decision = Decision::Commit;
    let transaction = 9;
    let decided = Fact::Decided {
        transaction,
        decision,
    };
    apply(&mut ledger, 0, &[decided]);
    assert_eq!(live(&ledger), expected + 4);
}

#[test]
fn a_decision_is_kept_until_it_is_finished() {
    let mut ledger = ledger();
    let before = |ledger: &Ledger| ledger.unfinished().collect::<Vec<_>>();
    let decided = |transaction, decision| Fact::Decided {
        transaction,
        decision,
    };
    apply(&mut ledger, 1, &[Fact::Prepared { transaction: 3 }]);
    apply(
        &mut ledger,
        0,
        &[decided(3, Decision::Commit), decided(4, Decision::Abort)],
    );
    let mut ledger = restored(&ledger);
    assert_eq!(
        before(&ledger),
        [(3, Decision::Commit), (4, Decision::Abort)]
    );
    assert_eq!((live(&ledger), ledger.undecided().count()), (1, 0));
    apply(&mut ledger, 0, &[Fact::Finished { transaction: 3 }]);
    let mut ledger = restored(&ledger);
    assert_eq!(before(&ledger), [(4, Decision::Abort)]);
    // Where there is one participant, both come in one frame.
    let finished = Fact::Finished { transaction: 4 };
    apply(&mut ledger, 0, &[decided(4, Decision::Abort), finished]);
    assert_eq!(before(&restored(&ledger)), []);
}

#[test]
fn long_tails_are_spilled_when_all_of_them_are_too_much() {
    let entry = |number| Entry::new(Index(number), 0, EntryFlags::PERSISTENT, 100, 0);
    // How many queues, how long their tails are, and how many pages of them lie on the disk then.
    for (queues, length, pages) in [
        (1_000, 131, 0),
        (1_000, 132, 1_000),
        (3_000, 63, 0),
        (3_000, 64, 3_000),
    ] {
        let mut ledger = Ledger::new(ShardId::LOG);
        for id in 1..=queues {
            let queue = ledger.queues.entry(QueueId(id * 2)).or_default();
            for number in 0..length {
                queue.pages.push(entry(number), Millis(1));
            }
        }
        let mut written = 0;
        ledger.close_long_tails();
        let spilled = ledger.spill(&mut |bytes| {
            assert_eq!(bytes.len() as u64, length * Entry::BYTES as u64);
            written += 1;
            PageSlot(written)
        });
        assert_eq!((spilled.len(), written), (pages, pages as u64), "{queues}");
        let ledger = restored(&ledger);
        assert_eq!(ledger.spilled.len(), pages);
        let of_one = &ledger.queue(QueueId(2)).unwrap().pages;
        let last = Position(length - 1);
        assert_eq!((of_one.live(), of_one.next()), (length, last.next()));
        let is_spilled = matches!(of_one.get(last), Lookup::Spilled(_));
        assert_eq!(is_spilled, pages > 0);
    }
}
