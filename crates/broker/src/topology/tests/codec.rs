//! The bytes of facts, which later versions must read.

use super::*;
use crate::bytes::Undecodable;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn goldens() -> Vec<(TopologyFact, &'static str)> {
    let full_address = AddressSpec {
        auto_delete: true,
        internal: true,
        alternate: Some("b".into()),
        partitions: Some(Partitions {
            read: 4,
            write: 300,
            permissions: 6,
            ordered: true,
            system: false,
            attributes: [9].into(),
        }),
        owner: Some(SessionId(5)),
        arguments: [1, 2].into(),
        ..address("a", Router::Partitioned)
    };
    let full_queue = QueueSpec {
        durability: Durability::Volatile,
        auto_delete: true,
        owner: Some(SessionId(5)),
        implicit: true,
        options: QueueOptions {
            message_ttl_ms: Some(1000),
            idle_ms: Some(1),
            dead_letter: Some(DeadLetter {
                address: "d".into(),
                key: Some("k".into()),
                persistent_only: true,
                create_queue: false,
            }),
        },
        arguments: [255].into(),
        ..queue("q")
    };
    let binding = BindingSpec {
        source: AddressId(1024),
        target: Target::Address(AddressId(2)),
        key: "a.#".into(),
        filter: Some(Arc::new(Predicate::Constant(Some(true)))),
        arguments: [].into(),
    };
    let plain = BindingSpec {
        target: Target::Queue(QueueId(3)),
        filter: None,
        ..binding.clone()
    };
    let (id, durability) = (BindingId(7), Durability::Durable);
    let user = UserSpec {
        name: "u".into(),
        password_hash: "h".into(),
        tags: vec!["t".into()],
        loopback_only: true,
    };
    let group = GroupSpec {
        name: "g".into(),
        config: [3].into(),
    };
    vec![
        (
            TopologyFact::AddressSet {
                id: AddressId(1024),
                spec: full_address,
            },
            "0101800801610501010100010162010 4ac020601000109010502 0102",
        ),
        (
            TopologyFact::AddressSet {
                id: AddressId(9),
                spec: address("é", Router::Direct),
            },
            "010109 02c3a9 01 01 000000 00 00 00 00",
        ),
        (
            TopologyFact::AddressRemoved {
                id: AddressId(9),
                durability,
            },
            "0102 09 01",
        ),
        (
            TopologyFact::QueueSet {
                id: QueueId(3),
                spec: full_queue,
            },
            "0103 03 0171 02 01 0105 01 01e807 0101 01 0164 01016b 01 00 01ff",
        ),
        (
            TopologyFact::QueueSet {
                id: QueueId(2),
                spec: queue("q"),
            },
            "0103 02 0171 01 00 00 00 00 00 00 00",
        ),
        (TopologyFact::QueueRemoved { id: QueueId(3) }, "0104 03"),
        (
            TopologyFact::Bound {
                id,
                binding,
                durability,
            },
            "0105 07 8008 02 02 03612e23 01 03 010101 00 01",
        ),
        (
            TopologyFact::Bound {
                id,
                binding: plain,
                durability: Durability::Volatile,
            },
            "0105 07 8008 01 03 03612e23 00 00 02",
        ),
        (TopologyFact::Unbound { id, durability }, "0106 07 01"),
        (
            TopologyFact::GroupSet {
                id: GroupId(1),
                spec: group,
            },
            "0107 01 0167 0103",
        ),
        (TopologyFact::GroupRemoved { id: GroupId(1) }, "0108 01"),
        (TopologyFact::UserSet(user), "0109 0175 0168 01 0174 01"),
        (TopologyFact::UserRemoved { name: "u".into() }, "010a 0175"),
    ]
}

#[test]
fn the_bytes_of_facts_stay_the_same() {
    for (fact, golden) in goldens() {
        let mut bytes = Vec::new();
        fact.encode(&mut bytes);
        assert_eq!(hex(&bytes), golden.replace(' ', ""), "{fact:?}");
        assert_eq!(TopologyFact::decode(&bytes), Ok(fact));
    }
}

#[test]
fn a_cut_or_longer_fact_is_undecodable() {
    for (fact, _) in goldens() {
        let mut bytes = Vec::new();
        fact.encode(&mut bytes);
        for end in 0..bytes.len() {
            assert!(
                TopologyFact::decode(&bytes[..end]).is_err(),
                "{fact:?} cut at {end}"
            );
        }
        bytes.push(0);
        assert_eq!(
            TopologyFact::decode(&bytes),
            Err(Undecodable("topology fact end"))
        );
    }
}

#[test]
fn a_checkpoint_keeps_what_is_durable_and_every_counter() {
    let mut topology = fresh();
    let volatile = QueueSpec {
        durability: Durability::Volatile,
        ..queue("gone")
    };
    make(
        &mut topology,
        &[
            Change::DeclareQueue(queue("q")),
            Change::DeclareQueue(volatile),
            bind("topics", to_queue("q"), "k"),
            bind("topics", to_queue("gone"), "k"),
        ],
    );
    let mut bytes = Vec::new();
    topology.encode_checkpoint(&mut bytes);
    let golden = "01 8008 03 03 01 02 0d 010302 0171 01 00 00 00 00 00 00 00 \
                  0b 010501 02 01 02 016b 00 00 01";
    assert_eq!(hex(&bytes), golden.replace(' ', ""));
    let decode =
        |bytes: &[u8]| Topology::decode_checkpoint(bytes, &reserved(), birth, Limits::default());
    let mut restored = decode(&bytes).unwrap();
    check_consistent(&restored);
    assert_eq!(*reached(&restored, "topics", &["k"], &()), ["q".into()]);
    let next = run(&mut restored, &Change::DeclareQueue(queue("r"))).unwrap();
    assert_eq!(
        next,
        Answer::QueueDeclared {
            id: QueueId(6),
            created: true
        }
    );
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
    }
    bytes.push(0);
    assert_eq!(decode(&bytes).err(), Some(Undecodable("topology end")));
}
