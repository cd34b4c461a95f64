//! The bytes of a node's state, as a checkpoint keeps them: format 1, for ever.
//!
//! `TROIKA_WRITE_FIXTURE=1 cargo test -p broker golden` writes `tests/golden/state.hex` anew, which
//! is right only as long as no release has written the format.

use std::path::PathBuf;

use broker::entry::EntryFlags;
use broker::event::{Effects, PageSlot};
use broker::filter::{Criterion, HeaderRule, Literal, Operand, Predicate};
use broker::id::{
    AddressId, BindingId, Durability, GroupId, Index, PartitionId, Position, QueueId, ShardId,
};
use broker::ledger::{Bucket, Decision, Fact, Reason};
use broker::node::{Config, Node};
use broker::pass::{Destination, Destinations, Head, Pass, Summary};
use broker::topology::{
    BindingSpec, DeadLetter, GroupSpec, Limits, QueueOptions, QueueSpec, Router, Target,
    TopologyFact, UserSpec,
};

use super::world::{START, address, partitioned, tag_hash};

/// The first two entries of a page: index 2, slots 0 and 1, persistent and expiring, 100 bytes, and
/// the end of a life of a minute in units of 8 ms.
const PAGE: &str = "0200000000000003640000004da70b630200000000100003640000004da70b63\n";
/// Bytes in a line of the file, so that a difference can be seen.
const LINE_BYTES: usize = 48;

const JOBS: QueueId = QueueId(14);
const PLAIN: QueueId = QueueId(16);
const TOPIC: AddressId = AddressId(2001);
const PARTITION: PartitionId = PartitionId {
    address: TOPIC,
    number: 1,
};

fn config() -> Config {
    Config {
        addresses: vec![address("", Router::Direct)],
        birth: |_| None,
        limits: Limits::default(),
        tag_hash,
    }
}

fn topology() -> Vec<TopologyFact> {
    let spec = |name: &str, options| QueueSpec {
        name: name.into(),
        durability: Durability::Durable,
        auto_delete: false,
        owner: None,
        implicit: true,
        options,
        arguments: [1, 2].into(),
    };
    let jobs = QueueOptions {
        message_ttl_ms: Some(60_000),
        idle_ms: Some(1_800_000),
        dead_letter: Some(DeadLetter {
            address: "heads".into(),
            key: Some("dead".into()),
            persistent_only: true,
            create_queue: true,
        }),
    };
    let mut heads = address("heads", Router::Headers);
    heads.alternate = Some("topic".into());
    let criteria = vec![Criterion {
        name: "region".into(),
        value: Some(Literal::Text("eu".into())),
    }];
    let rule = HeaderRule::All;
    let selector = Predicate::between(
        Operand::property("size"),
        Operand::Literal(Literal::Int(1)),
        Operand::Literal(Literal::Double(2.5)),
    );
    let bound = |id, source, target, filter| TopologyFact::Bound {
        id: BindingId(id),
        binding: BindingSpec {
            source: AddressId(source),
            target,
            key: "a.#".into(),
            filter: Some(std::sync::Arc::new(filter)),
            arguments: [3].into(),
        },
        durability: Durability::Durable,
    };
    vec![
        TopologyFact::AddressSet {
            id: AddressId(2000),
            spec: heads,
        },
        TopologyFact::AddressSet {
            id: TOPIC,
            spec: partitioned("topic", 4),
        },
        TopologyFact::QueueSet {
            id: JOBS,
            spec: spec("jobs", jobs),
        },
        TopologyFact::QueueSet {
            id: PLAIN,
            spec: spec("plain", QueueOptions::default()),
        },
        bound(
            1,
            2000,
            Target::Queue(JOBS),
            Predicate::Headers { rule, criteria },
        ),
        bound(2, 2001, Target::Address(AddressId(2000)), selector),
        TopologyFact::GroupSet {
            id: GroupId(1),
            spec: GroupSpec {
                name: "CG".into(),
                config: [4].into(),
            },
        },
        TopologyFact::UserSet(UserSpec {
            name: "ann".into(),
            password_hash: "hash".into(),
            tags: vec!["administrator".into()],
            loopback_only: true,
        }),
    ]
}

fn head(destination: Destination) -> Head {
    Head {
        size: 100,
        summary: Summary {
            flags: EntryFlags::PERSISTENT,
            expires: None,
            tag_hash: 7,
        },
        destinations: Destinations::One(destination),
    }
}

/// The log of a node in which everything has happened that a state tells of.
fn frames() -> Vec<(Vec<Head>, Vec<Fact>)> {
    let due = Destination::Timer(START.plus(3_600_000));
    let mut expiring = head(Destination::Queue(PLAIN));
    expiring.summary.flags = EntryFlags::PERSISTENT.with(EntryFlags::EXPIRES);
    expiring.summary.expires = Some(START.plus(1000));
    let both = Head {
        destinations: [
            Destination::Queue(PLAIN),
            Destination::Partition(PARTITION),
            due,
        ]
        .into_iter()
        .collect(),
        ..head(due)
    };
    let settled = |queue, range: std::ops::Range<u64>, reason| Fact::Settled {
        queue,
        range: Position(range.start)..Position(range.end),
        reason,
    };
    vec![
        (vec![], topology().into_iter().map(Fact::Topology).collect()),
        // More than a page in one queue, whose messages live for a minute.
        (vec![head(Destination::Queue(JOBS)); 520], vec![]),
        (
            vec![expiring, both, head(due)],
            vec![Fact::Producer {
                name: "ID:1:1:1".into(),
                sequence: 12,
            }],
        ),
        (
            vec![head(Destination::Partition(PARTITION)); 3],
            vec![
                settled(JOBS, 3..10, Reason::Accepted),
                settled(JOBS, 515..516, Reason::Rejected),
                settled(PLAIN, 0..1, Reason::Expired),
                Fact::Returned {
                    queue: JOBS,
                    position: Position(12),
                    attempts: 3,
                },
                Fact::Offered {
                    queue: JOBS,
                    below: Position(4096),
                },
                Fact::Trimmed {
                    partition: PARTITION,
                    below: Position(1),
                },
                Fact::Cursor {
                    group: GroupId(1),
                    partition: PARTITION,
                    offset: Position(2),
                },
                Fact::Fired {
                    bucket: Bucket::of(START.plus(3_600_000), START),
                    range: Position(1)..Position(2),
                },
                Fact::Forwarded {
                    source: ShardId::VOLATILE,
                    target: ShardId::LOG,
                    sequence: 7,
                    slots: 1..3,
                },
            ],
        ),
        (
            vec![head(Destination::Queue(PLAIN))],
            vec![Fact::Prepared { transaction: 5 }],
        ),
        (
            vec![head(Destination::Queue(PLAIN))],
            vec![Fact::Prepared { transaction: 6 }],
        ),
        (
            vec![],
            vec![Fact::Decided {
                transaction: 5,
                decision: Decision::Commit,
            }],
        ),
        (
            vec![],
            vec![
                Fact::Decided {
                    transaction: 4,
                    decision: Decision::Abort,
                },
                Fact::Finished { transaction: 4 },
            ],
        ),
    ]
}

fn replay(node: &mut Node) {
    for (number, (heads, facts)) in frames().into_iter().enumerate() {
        let metas: Vec<Vec<u8>> = heads
            .iter()
            .map(|head| {
                let mut meta = Vec::new();
                head.encode_meta(&mut meta);
                meta
            })
            .collect();
        let mut bytes = Vec::new();
        facts.iter().for_each(|fact| fact.encode(&mut bytes));
        let mut metas = metas.iter().map(|meta| (100, meta.as_slice()));
        let (index, time) = (Index(number as u64 + 1), START.plus(number as u64));
        node.replay(index, time, &mut metas, &bytes).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> = bytes.chunks(LINE_BYTES).map(line).collect();
    lines.join("\n") + "\n"
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn a_state_keeps_its_bytes() {
    let mut node = Node::new(config());
    replay(&mut node);
    let mut pages = Vec::new();
    let checkpoint = node.checkpoint(&mut |page| {
        pages.push(page);
        PageSlot(pages.len() as u64 * 300)
    });
    assert_eq!((checkpoint.at, checkpoint.low_water), (Index(8), Index(2)));
    assert_eq!(checkpoint.pages, [PageSlot(300)]);
    assert_eq!(hex(&pages[0][..32]), PAGE);
    let found = hex(&checkpoint.state);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/state.hex");
    if std::env::var_os("TROIKA_WRITE_FIXTURE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, golden, "this state has other bytes than it had");

    // What was written comes back, and is written the same.
    let mut restored = Node::restore(config(), &bytes(&golden)).unwrap();
    let again = restored.checkpoint(&mut |_| panic!("every full page has its place"));
    assert_eq!(hex(&again.state), golden);
    let topology = restored.topology();
    assert_eq!(topology.binding_count(), 2);
    assert_eq!(topology.queue("jobs").unwrap().id, JOBS);
    assert_eq!(again.low_water, Index(2));
}

#[test]
fn a_state_of_another_version_is_refused() {
    let node = Node::new(config()).checkpoint(&mut |_| PageSlot(0));
    let mut state = node.state;
    assert!(Node::restore(config(), &state).is_ok());
    state[0] += 1;
    assert!(Node::restore(config(), &state).is_err());
}

/// Who starts again finishes what was decided, and decides what was not.
#[test]
fn transactions_are_finished_at_the_start() {
    let mut node = Node::new(config());
    replay(&mut node);
    node.recovered(START);
    let mut effects = Effects::default();
    node.handle(Pass::default(), START, &mut effects);
    let facts = Fact::decode_all(&effects.frames[0].facts).unwrap();
    let abort = Fact::Decided {
        transaction: 6,
        decision: Decision::Abort,
    };
    let finished = |transaction| Fact::Finished { transaction };
    assert_eq!(facts, [abort, finished(6), finished(5)]);
}
