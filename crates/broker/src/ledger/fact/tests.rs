//! The bytes of every fact, and that they are read back.

use super::*;
use crate::bytes::Reader;
use crate::entry::EntryFlags;
use crate::id::{AddressId, Index, Millis};
use crate::pass::{Destination, Destinations, Head, Summary};

/// The bytes of every fact of format 1. They never change; a new fact gets a new number.
#[test]
fn facts_keep_their_bytes() {
    let queue = QueueId(300);
    let partition = PartitionId {
        address: AddressId(2),
        number: 3,
    };
    let range = Position(7)..Position(9);
    let mut bucket = Reader::new(&[1, 5]);
    let rescheduled = Fact::Rescheduled {
        bucket: Bucket::decode(&mut bucket).unwrap(),
        first: Position(6),
        entries: [Entry::new(Index(1), 2, EntryFlags(1), 3, 4)].into(),
    };
    for (fact, golden) in [
        (
            Fact::Settled {
                queue,
                range,
                reason: Reason::Accepted,
            },
            "01ac02070201",
        ),
        (
            Fact::Returned {
                queue,
                position: Position(1),
                attempts: 2,
            },
            "02ac020102",
        ),
        (
            Fact::Offered {
                queue,
                below: Position(4096),
            },
            "03ac028020",
        ),
        (
            Fact::Fired {
                bucket: Bucket::finest(Millis(300 << 6)),
                range: Position(6)..Position(9),
            },
            "0400ac020603",
        ),
        (rescheduled, "0b0105060101000000002000010300000004000000"),
        (
            Fact::Trimmed {
                partition,
                below: Position(8),
            },
            "05020308",
        ),
        (
            Fact::Cursor {
                group: GroupId(1),
                partition,
                offset: Position(2),
            },
            "0601020302",
        ),
        (
            Fact::Producer {
                name: "p".into(),
                sequence: 9,
            },
            "07017009",
        ),
        (Fact::Prepared { transaction: 4 }, "0804"),
        (
            Fact::Decided {
                transaction: 4,
                decision: Decision::Commit,
            },
            "090401",
        ),
        (
            Fact::Decided {
                transaction: 4,
                decision: Decision::Abort,
            },
            "090400",
        ),
        (Fact::Finished { transaction: 4 }, "0c04"),
        (
            Fact::Forwarded {
                source: ShardId::VOLATILE,
                target: ShardId::LOG,
                sequence: 300,
                slots: 1..3,
            },
            "0d7f00ac020102",
        ),
    ] {
        let mut bytes = Vec::new();
        fact.encode(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden, "{fact:?}");
        assert_eq!(Fact::decode_all(&bytes), Ok(vec![fact]));
        for end in 1..bytes.len() {
            assert!(Fact::decode_all(&bytes[..end]).is_err());
        }
    }
}

#[test]
fn a_head_comes_back_from_its_meta() {
    let partition = PartitionId {
        address: AddressId(2),
        number: 3,
    };
    for destinations in [
        Destinations::One(Destination::Queue(QueueId(4))),
        Destinations::Many(Box::new([
            Destination::Partition(partition),
            Destination::Timer(Millis(77)),
        ])),
        Destinations::Many(Box::new([])),
    ] {
        let summary = Summary {
            flags: EntryFlags(3),
            expires: Some(Millis(9)),
            tag_hash: u32::MAX,
        };
        let head = Head {
            size: 12,
            summary,
            destinations,
        };
        let mut meta = Vec::new();
        head.encode_meta(&mut meta);
        assert_eq!(Head::decode_meta(12, &meta), Ok(head));
    }
}
