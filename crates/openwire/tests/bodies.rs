//! What Java clients put into properties and bodies, plain and compressed.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use openwire::body::{decode_text, encode_text, inflate};
use openwire::primitive::{
    Items, PrimitiveLimits, Properties, Value, ValueRef, decode_map, encode_map, encode_stream,
};
use openwire::{
    Command, Decoder, JavaString, Limits, Malformed, Message, MessageKind, MessageRef, Negotiated,
    encode_canonical,
};

const BODY_BYTES_MAX: usize = 1 << 20;

fn limits() -> PrimitiveLimits {
    PrimitiveLimits::default()
}

/// Calls `visit` with each message a client sends in a loose capture.
fn each_sent_message(capture: &str, mut visit: impl FnMut(Message<'_>)) {
    let mut decoder = Decoder::new(Limits::default());
    for line in capture.lines().filter(|line| line.starts_with('C')) {
        let (_, hex) = line.split_once(' ').expect("head and frame");
        let digits: Vec<u8> = hex
            .chars()
            .map(|digit| digit.to_digit(16).expect("hex") as u8)
            .collect();
        let frame: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect();
        // Only the other direction of one capture carries stack traces.
        decoder.switch(&Negotiated::CANONICAL);
        let received = decoder
            .feed(&frame)
            .expect("well-formed")
            .expect("complete");
        if let Some(Command::Message(message)) = received.command {
            visit(message);
        }
    }
}

/// A message in one line: kind, whether compressed, properties, body.
fn describe(message: &Message<'_>) -> String {
    let properties = match &message.marshalled_properties {
        Some(bytes) => sorted(decode_map(bytes, limits()).expect("well-formed")),
        None => vec![],
    };
    let plain = message.plain_content(BODY_BYTES_MAX).expect("well-formed");
    let body = match (&plain, message.kind) {
        (None, _) => "none".to_owned(),
        (Some(plain), MessageKind::Text) => {
            let text = decode_text(plain).expect("well-formed").to_str();
            assert_eq!(encode_text(&text), **plain);
            format!("{text:?}")
        }
        (Some(plain), MessageKind::Map) => {
            let entries = decode_map(plain, limits()).expect("well-formed");
            let mut encoded = vec![];
            encode_map(&entries, &mut encoded);
            assert_eq!(encoded, **plain);
            format!("{:?}", sorted(entries))
        }
        (Some(plain), MessageKind::Stream) => {
            let values = Items::stream(plain, limits())
                .to_values()
                .expect("well-formed");
            let mut encoded = vec![];
            encode_stream(&values, &mut encoded);
            assert_eq!(encoded, **plain);
            format!("{values:?}")
        }
        (Some(plain), _) => plain.escape_ascii().to_string(),
    };
    format!("{:?} {properties:?} {body}", message.kind)
}

fn sorted(mut entries: Vec<(JavaString, Value)>) -> Vec<(JavaString, Value)> {
    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
    entries
}

#[test]
fn compressed_bodies_say_the_same_as_plain_ones() {
    let (mut plain, mut compressed) = (vec![], vec![]);
    each_sent_message(include_str!("vectors/cap_bodies.txt"), |message| {
        assert!(!message.compressed);
        plain.push(describe(&message));
    });
    each_sent_message(include_str!("vectors/cap_bodies_gz.txt"), |message| {
        assert_eq!(message.compressed, message.content.is_some(), "{message:?}");
        compressed.push(describe(&message));
    });
    let kinds = plain
        .iter()
        .map(|line| line.split(' ').next().expect("kind"));
    assert_eq!(
        kinds.take(6).collect::<Vec<_>>(),
        ["Text", "Bytes", "Map", "Stream", "Object", "Plain"]
    );
    assert!(plain[0].contains(r#" "\0héllo😀""#), "{}", plain[0]);
    // The plain capture goes on with a distributed transaction.
    assert_eq!(plain[..compressed.len()], compressed);
    assert!(compressed.len() >= 7);
}

fn every_value() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Bool(true),
        Value::Byte(-1),
        Value::Char(0xD800),
        Value::Short(-2),
        Value::Int(-3),
        Value::Long(i64::MIN),
        Value::Double(-0.5),
        Value::Float(1.5),
        Value::String("a\0é😀".into()),
        Value::String("x".repeat(8190).into()),
        Value::String("x".repeat(8191).into()),
        Value::String("é".repeat(40_000).into()),
        Value::Bytes(vec![0, 255]),
        Value::Map(vec![(
            "k".into(),
            Value::List(vec![Value::Null, Value::Map(vec![])]),
        )]),
        Value::List(vec![Value::Int(1), Value::String("two".into())]),
    ]
}

#[test]
fn every_primitive_survives_and_every_cut_is_noticed() {
    let mut stream = vec![];
    encode_stream(&every_value(), &mut stream);
    assert_eq!(
        Items::stream(&stream, limits()).to_values(),
        Ok(every_value())
    );

    // Lengths in tags 9 and 13: the border is at 8191 units.
    let mut short = vec![];
    encode_stream(&[Value::String("x".repeat(8190).into())], &mut short);
    assert_eq!(short[..3], [9, 0x1F, 0xFE]);
    let mut long = vec![];
    encode_stream(&[Value::String("x".repeat(8191).into())], &mut long);
    assert_eq!(long[..5], [13, 0, 0, 0x1F, 0xFF]);

    let small = every_value().into_iter().filter(|value| match value {
        Value::String(text) => text.as_bytes().len() < 100,
        _ => true,
    });
    let entries: Vec<(JavaString, Value)> = small
        .enumerate()
        .map(|(at, value)| (format!("key{at}").into(), value))
        .collect();
    let mut map = vec![];
    encode_map(&entries, &mut map);
    assert_eq!(decode_map(&map, limits()), Ok(entries.clone()));
    for end in 0..map.len() {
        assert!(decode_map(&map[..end], limits()).is_err(), "cut at {end}");
    }
    for at in 0..map.len() {
        for mask in [0xFF, 0x80, 0x0F] {
            let mut falsified = map.clone();
            falsified[at] ^= mask;
            if let Ok(entries) = decode_map(&falsified, limits()) {
                assert!(entries.len() <= map.len());
            }
        }
    }
    let longer = [&map[..], &[0]].concat();
    assert_eq!(
        decode_map(&longer, limits()),
        Err(Malformed::Trailing { bytes: 1 })
    );
}

#[test]
fn properties_are_looked_up_in_place() {
    let entries = [
        (
            "first".into(),
            Value::Map(vec![("inner".into(), Value::Int(1))]),
        ),
        ("naïve\0".into(), Value::Long(2)),
        ("last".into(), Value::String("three".into())),
    ];
    let mut record = vec![];
    let mut properties = vec![];
    encode_map(&entries, &mut properties);
    let message = Message {
        marshalled_properties: Some(properties.into()),
        ..Message::default()
    };
    encode_canonical(&message, &mut record).expect("fits");
    let message = MessageRef::parse(&record).expect("well-formed");
    let properties = message.properties(limits()).expect("well-formed");
    assert!(matches!(
        properties.lookup("naïve\0"),
        Ok(Some(ValueRef::Long(2)))
    ));
    assert!(
        matches!(properties.lookup("last"), Ok(Some(ValueRef::String(text))) if text == "three")
    );
    assert!(matches!(properties.lookup("inner"), Ok(None)));
    let Ok(Some(ValueRef::Map(inner))) = properties.lookup("first") else {
        panic!("first is a map");
    };
    assert!(matches!(inner.lookup("inner"), Ok(Some(ValueRef::Int(1)))));

    encode_canonical(&Message::default(), &mut record).expect("fits");
    let none = MessageRef::parse(&record[record.len() / 2..]);
    assert!(none.is_err() || none.is_ok_and(|message| message.marshalled_properties.is_none()));
    assert_eq!(
        Properties::parse(&[0xFF; 4], limits())
            .expect("null map")
            .entries_left(),
        0
    );
}

#[test]
fn counts_and_depths_are_checked_before_anything_is_built() {
    let huge = [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0];
    assert!(matches!(
        decode_map(&huge, limits()),
        Err(Malformed::LimitExceeded { .. })
    ));
    assert_eq!(
        decode_map(&[0, 0, 0, 9, 0, 0, 0], limits()),
        Err(Malformed::Truncated)
    );
    assert!(matches!(
        decode_map(&[0xFF, 0xFF, 0xFF, 0xFE], limits()),
        Err(Malformed::NegativeLength { length: -2 })
    ));
    let deep = |levels: usize| {
        let mut value = Value::Null;
        for _ in 0..levels {
            value = Value::List(vec![value]);
        }
        let mut stream = vec![];
        encode_stream(&[value], &mut stream);
        Items::stream(&stream, limits())
            .to_values()
            .map(|values| values.len())
    };
    assert_eq!(deep(limits().nesting_max), Ok(1));
    assert_eq!(
        deep(limits().nesting_max + 1),
        Err(Malformed::PrimitiveNotAllowed)
    );
    let unknown = Items::stream(&[14], limits()).to_values();
    assert_eq!(unknown, Err(Malformed::PrimitiveTag { tag: 14 }));
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn bombs_stop_at_the_limit() {
    let plain = vec![0; 1 << 16];
    let small = deflate(&plain);
    assert!(small.len() < 256);
    let inflated = |kind, content: &[u8], max| inflate(kind, content, max);
    assert_eq!(
        inflated(MessageKind::Map, &small, plain.len()),
        Ok(plain.clone())
    );
    let refused = inflated(MessageKind::Map, &small, plain.len() - 1);
    assert!(matches!(refused, Err(Malformed::LimitExceeded { .. })));

    let announce = |length: i32| [&length.to_be_bytes()[..], &small].concat();
    let bytes = MessageKind::Bytes;
    assert_eq!(
        inflated(bytes, &announce(1 << 16), plain.len()),
        Ok(plain.clone())
    );
    assert_eq!(inflated(bytes, &announce(5), 5), Ok(vec![0; 5]));
    assert_eq!(
        inflated(bytes, &announce((1 << 16) + 1), 1 << 17),
        Err(Malformed::Deflate)
    );
    let refused = inflated(bytes, &announce(i32::MAX), plain.len());
    assert!(matches!(refused, Err(Malformed::LimitExceeded { .. })));
    let refused = inflated(bytes, &announce(-1), plain.len());
    assert_eq!(refused, Err(Malformed::NegativeLength { length: -1 }));
    for end in 0..small.len() {
        assert!(
            inflated(MessageKind::Text, &small[..end], plain.len()).is_err(),
            "{end}"
        );
    }
}
