//! Records, batches, properties and ids against golden bytes and abuse.

#[allow(dead_code, reason = "each test binary uses its part")]
mod support;

use std::net::SocketAddr;

use remoting::message::properties::{self, Properties};
use remoting::message::sys_flag::{self, Compression};
use remoting::message::{
    BatchItem, BatchItems, CompressionError, MessageError, OffsetMessageId, Patch, Record, Records,
    UniqueKey, body_crc, copy_patched, deflate, inflate,
};
use support::{golden, golden_4, golden_bytes};

fn record(born_host: &str, store_host: &str) -> Record<'static> {
    let host = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let v6 = |text: &str, bit| if text.starts_with('[') { bit } else { 0 };
    Record {
        body_crc: 0,
        queue_id: 1,
        flag: 5,
        queue_offset: 6,
        physical_offset: 4096,
        sys_flag: v6(born_host, sys_flag::BORN_HOST_V6) | v6(store_host, sys_flag::STORE_HOST_V6),
        born_timestamp: 1_700_000_000_000,
        born_host: host(born_host),
        store_timestamp: 1_700_000_000_001,
        store_host: host(store_host),
        reconsume_times: 2,
        prepared_transaction_offset: 8,
        body: b"hello",
        topic: "TopicTest",
        properties: "k\u{1}v\u{2}TAGS\u{1}TagA\u{2}",
    }
}

fn golden_records() -> [(Record<'static>, Vec<u8>); 2] {
    [
        (
            record("10.0.0.9:5555", "10.0.0.1:10911"),
            golden_bytes("message_v4"),
        ),
        (
            record("[fe80::1]:5555", "[fe80::2]:10911"),
            golden_bytes("message_v6"),
        ),
    ]
}

#[test]
fn records_are_java_records() {
    for (record, bytes) in golden_records() {
        assert_eq!(Record::decode(&bytes), Ok((record, bytes.len())));
        let mut out = b"x".to_vec();
        assert_eq!(record.encode(&mut out), Ok(bytes.len()));
        assert_eq!(out[1..], bytes);
        assert_eq!(record.encoded_bytes(), bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(
                Record::decode(&bytes[..cut]),
                Err(MessageError::Cut),
                "{cut}"
            );
        }
    }
    assert_eq!(body_crc(b"hello").to_string(), golden()["crc"]);
}

/// Release 4.9 leaves out the last separator of the properties.
#[test]
fn records_and_batches_of_release_4() {
    for (record, name) in golden_records()
        .map(|(record, _)| record)
        .into_iter()
        .zip(["message_v4", "message_v6"])
    {
        let bytes = support::bytes(golden_4()[name]);
        let record = Record {
            properties: "k\u{1}v\u{2}TAGS\u{1}TagA",
            ..record
        };
        assert_eq!(Record::decode(&bytes), Ok((record, bytes.len())));
        assert_eq!(record.properties().tags(), Some("TagA"));
    }
    let bytes = support::bytes(golden_4()["batch"]);
    let tags: Vec<_> = BatchItems::new(&bytes)
        .map(|item| item.expect("splits").properties().tags())
        .collect();
    assert_eq!(tags, [Some("A"), Some("B")]);
}

#[test]
fn long_topics_make_v2_records() {
    let topic = "t".repeat(200);
    let record = Record {
        topic: &topic,
        ..record("10.0.0.9:1", "[::1]:2")
    };
    let mut out = Vec::new();
    record.encode(&mut out).expect("fits");
    assert_eq!(out[4..8], [0xda, 0xa3, 0x20, 0xab]);
    let expected = Record {
        sys_flag: sys_flag::STORE_HOST_V6,
        ..record
    };
    assert_eq!(Record::decode(&out), Ok((expected, record.encoded_bytes())));

    let properties = "p".repeat(32_768);
    let too_long = Record {
        properties: &properties,
        ..record
    };
    assert_eq!(
        too_long.encode(&mut out),
        Err(MessageError::PropertiesTooLong { bytes: 32_768 })
    );
    assert_eq!(out.len(), record.encoded_bytes());
}

#[test]
fn patches_replace_what_the_broker_owns() {
    for (record, bytes) in golden_records() {
        let store_host = if record.store_host.is_ipv4() {
            "1.2.3.4:99"
        } else {
            "[::9]:99"
        };
        let other_family = if record.store_host.is_ipv4() {
            "[::9]:99"
        } else {
            "1.2.3.4:99"
        };
        let patch = Patch {
            queue_id: Some(70),
            queue_offset: Some(71),
            physical_offset: Some(72),
            sys_flag: Some(sys_flag::COMMIT | sys_flag::COMPRESSED),
            store_timestamp: Some(73),
            store_host: Some(store_host.parse().expect("an address")),
            reconsume_times: Some(74),
            prepared_transaction_offset: Some(75),
        };
        let expected = Record {
            queue_id: 70,
            queue_offset: 71,
            physical_offset: 72,
            sys_flag: record.sys_flag | sys_flag::COMMIT | sys_flag::COMPRESSED,
            store_timestamp: 73,
            store_host: store_host.parse().expect("an address"),
            reconsume_times: 74,
            prepared_transaction_offset: 75,
            ..record
        };
        let mut out = b"x".to_vec();
        assert_eq!(copy_patched(&bytes, &patch, &mut out), Ok(bytes.len()));
        assert_eq!(Record::decode(&out[1..]), Ok((expected, bytes.len())));

        let mut same = Vec::new();
        copy_patched(&bytes, &Patch::default(), &mut same).expect("copies");
        assert_eq!(same, bytes);

        let wrong = Patch {
            store_host: other_family.parse().ok(),
            ..patch
        };
        assert_eq!(
            copy_patched(&bytes, &wrong, &mut out),
            Err(MessageError::HostFamily)
        );
        for cut in 0..bytes.len() {
            assert_eq!(
                copy_patched(&bytes[..cut], &patch, &mut out),
                Err(MessageError::Cut)
            );
        }
        assert_eq!(out.len(), 1 + bytes.len());
    }
}

#[test]
fn falsified_records_never_panic() {
    for (_, bytes) in golden_records() {
        for at in 0..bytes.len() {
            for value in [0, 1, 0x10, 0x20, 0x7f, 0x80, 0xff, bytes[at] ^ 1] {
                let mut bad = bytes.clone();
                bad[at] = value;
                let _ = Record::decode(&bad).map(|(record, _)| record.check_body());
                let patch = Patch {
                    reconsume_times: Some(1),
                    ..Patch::default()
                };
                let _ = copy_patched(&bad, &patch, &mut Vec::new());
            }
        }
    }
    let mut stray = golden_bytes("message_v4");
    stray[3] += 1;
    stray.push(0);
    assert!(matches!(
        Record::decode(&stray),
        Err(MessageError::BadSize { .. })
    ));
    let mut summed = golden_bytes("message_v4");
    summed[8..12].copy_from_slice(&body_crc(b"other").to_be_bytes());
    let (record, _) = Record::decode(&summed).expect("decodes");
    assert!(matches!(
        record.check_body(),
        Err(MessageError::BadCrc { .. })
    ));
}

#[test]
fn pull_bodies_are_runs_of_records() {
    let mut run = golden_bytes("message_v4");
    run.extend_from_slice(&golden_bytes("message_v6"));
    let found: Vec<_> = Records::new(&run).collect();
    assert_eq!(found, golden_records().map(|(record, _)| Ok(record)));
    run.pop();
    let found: Vec<_> = Records::new(&run).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], Err(MessageError::Cut));
}

#[test]
fn batches_split_and_join() {
    let bytes = golden_bytes("batch");
    let items: Vec<BatchItem<'_>> = BatchItems::new(&bytes)
        .collect::<Result<_, _>>()
        .expect("splits");
    let [first, second] = items.as_slice() else {
        panic!("two items")
    };
    assert_eq!(
        (first.flag, first.body, second.body),
        (3, &b"one"[..], &b"two!"[..])
    );
    assert_eq!(first.properties().tags(), Some("A"));
    assert_eq!(second.properties().get("KEYS"), Some("k2"));
    let mut out = Vec::new();
    items
        .iter()
        .for_each(|item| item.encode(&mut out).expect("fits"));
    assert_eq!(out, bytes);

    let first_bytes = 0x32;
    for cut in 1..bytes.len() {
        let whole = BatchItems::new(&bytes[..cut]).all(|item| item.is_ok());
        assert_eq!(whole, cut == first_bytes, "{cut}");
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] = value;
            assert!(BatchItems::new(&bad).count() <= bad.len() / 22 + 1);
        }
    }
}

#[test]
fn properties_are_walked_and_appended() {
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("", &[]),
        ("a\u{1}1\u{2}", &[("a", "1")]),
        ("a\u{1}1\u{2}b\u{1}2", &[("a", "1"), ("b", "2")]),
        (
            "\u{1}x\u{2}a\u{1}\u{2}lone\u{2}\u{2}c\u{1}3\u{2}",
            &[("c", "3")],
        ),
        ("a\u{1}b\u{1}c\u{2}", &[("a", "b\u{1}c")]),
        ("a\u{1}1\u{2}a\u{1}2\u{2}", &[("a", "1"), ("a", "2")]),
    ];
    for (text, pairs) in cases {
        assert_eq!(
            Properties::new(text).iter().collect::<Vec<_>>(),
            pairs,
            "{text:?}"
        );
    }
    assert_eq!(Properties::new(cases[5].0).get("a"), Some("2"));
    let keys = Properties::new("KEYS\u{1}k1  k2\u{2}");
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["k1", "k2"]);
    assert_eq!(
        Properties::new("a\u{1}1\u{2}b\u{1}2").without("a"),
        "b\u{1}2\u{2}"
    );

    // A 4.9 sender leaves the last separator out.
    for text in ["a\u{1}1", "a\u{1}1\u{2}"] {
        let mut owned = text.to_owned();
        properties::append(&mut owned, "CLUSTER", "c");
        properties::append(&mut owned, "empty", "");
        properties::append(&mut owned, "forged", "x\u{2}POP_CK\u{1}y");
        assert_eq!(owned, "a\u{1}1\u{2}CLUSTER\u{1}c\u{2}");

        let record = Record {
            properties: text,
            ..record("10.0.0.9:1", "10.0.0.1:2")
        };
        let mut out = Vec::new();
        let pairs = [("CLUSTER", "c"), ("empty", "")];
        let size = record.encode_appending(&pairs, &mut out).expect("fits");
        let (read, read_size) = Record::decode(&out).expect("decodes");
        assert_eq!((read.properties, read_size), (owned.as_str(), size));
    }
    let unchanged = Record {
        properties: "a\u{1}1",
        ..record("10.0.0.9:1", "10.0.0.1:2")
    };
    let mut out = Vec::new();
    unchanged.encode_appending(&[], &mut out).expect("fits");
    assert_eq!(
        Record::decode(&out).map(|(read, _)| read.properties),
        Ok("a\u{1}1")
    );
}

#[test]
fn ids_agree_with_java() {
    for (name, host) in [
        ("offsetid_v4", "10.0.0.1:10911"),
        ("offsetid_v6", "[fe80::2]:10911"),
    ] {
        let host = host.parse().expect("an address");
        let id = OffsetMessageId {
            host,
            physical_offset: 4096,
        };
        assert_eq!(id.to_string(), golden()[name]);
        assert_eq!(golden()[name].parse(), Ok(id));
        assert_eq!(golden()[name].to_lowercase().parse(), Ok(id));
        let mut out = Vec::new();
        id.append_bytes(&mut out);
        assert_eq!(out, support::bytes(golden()[name]));
    }
    let text = golden()["uniq"];
    let key: UniqueKey = text.parse().expect("a key");
    assert_eq!(key.to_string(), text);
    let key: UniqueKey = "0A0000010ABC12345678000012340007".parse().expect("a key");
    assert_eq!(key.ip.to_string(), "10.0.0.1");
    assert_eq!((key.process, key.class_loader), (0x0abc, 0x1234_5678));
    assert_eq!((key.month_ms, key.counter), (0x1234, 7));
    for bad in [
        "",
        "0A",
        "0A00000100002A9F000000000000100",
        "é0000000000000000000000000000000",
    ] {
        assert_eq!(
            bad.parse::<OffsetMessageId>(),
            Err(MessageError::BadId),
            "{bad}"
        );
        assert_eq!(bad.parse::<UniqueKey>(), Err(MessageError::BadId), "{bad}");
    }
    assert_eq!(
        "0A00000100012A9F0000000000001000".parse::<OffsetMessageId>(),
        Err(MessageError::BadPort(0x12a9f))
    );
}

#[test]
fn bodies_inflate_within_a_bound() {
    let body = vec![7; 100_000];
    let small = deflate(&body);
    assert!(small.len() < 1_000);
    assert_eq!(inflate(&small, 100_000), Ok(body));
    assert_eq!(
        inflate(&small, 99_999),
        Err(CompressionError::TooLarge { bytes_max: 99_999 })
    );
    assert_eq!(inflate(b"nonsense", 100), Err(CompressionError::NotZlib));
    let kinds = [
        (0, Compression::None),
        (1, Compression::Zlib),
        (0x301, Compression::Zlib),
    ];
    for (flag, kind) in kinds
        .into_iter()
        .chain([(0x101, Compression::Lz4), (0x201, Compression::Zstd)])
    {
        assert_eq!(sys_flag::compression(flag), kind);
    }
    assert_eq!(
        sys_flag::with_transaction(sys_flag::PREPARED | 1, sys_flag::ROLLBACK),
        13
    );
}
