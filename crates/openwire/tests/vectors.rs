//! Frames between an unmodified Java client and broker, decoded and encoded again.

use std::collections::BTreeMap;

use openwire::{
    Command, Decoder, Encoder, Limits, Message, Negotiated, SIZE_PREFIX_BYTES, WireFormatInfo,
    WireFormatOptions, encode_canonical, negotiate,
};

const CAPTURES: [(&str, &str); 5] = [
    ("loose", include_str!("vectors/cap_loose.txt")),
    ("tight", include_str!("vectors/cap_tight.txt")),
    ("bodies", include_str!("vectors/cap_bodies.txt")),
    ("bodies_gz", include_str!("vectors/cap_bodies_gz.txt")),
    ("failover", include_str!("vectors/cap_failover.txt")),
];

/// The frames of one direction of one connection, in order.
type Stream = Vec<Vec<u8>>;

/// Streams by connection and by their first character, `B` or `C`.
fn streams(capture: &str) -> BTreeMap<(String, char), Stream> {
    let mut streams: BTreeMap<_, Stream> = BTreeMap::new();
    for line in capture.lines().filter(|line| !line.is_empty()) {
        let (head, hex) = line.split_once(' ').expect("head and frame");
        let direction = head.chars().next().expect("direction");
        let connection = head.trim_matches(['B', 'C', '<', '>']).to_owned();
        streams
            .entry((connection, direction))
            .or_default()
            .push(unhex(hex));
    }
    streams
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).expect("hex") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn new_decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.allow_frames_of(1 << 20);
    decoder
}

fn wire_format(stream: &Stream) -> WireFormatInfo {
    match new_decoder()
        .feed(&stream[0])
        .expect("well-formed")
        .expect("complete")
        .command
    {
        Some(Command::WireFormatInfo(info)) => info,
        other => panic!("{other:?} before the negotiation"),
    }
}

fn negotiated(streams: &BTreeMap<(String, char), Stream>, connection: &str) -> Negotiated {
    let options = |direction| {
        let info = wire_format(&streams[&(connection.to_owned(), direction)]);
        WireFormatOptions::parse(&info).expect("well-formed")
    };
    negotiate(&options('B'), &options('C'))
}

/// Calls `visit` with a decoder in the state in which it meets each frame.
fn each_frame(mut visit: impl FnMut(&str, &Negotiated, &Decoder, &[u8])) -> usize {
    let mut frames = 0;
    for (name, capture) in CAPTURES {
        let streams = streams(capture);
        for ((connection, _), stream) in &streams {
            let agreed = negotiated(&streams, connection);
            let mut decoder = new_decoder();
            for (at, frame) in stream.iter().enumerate() {
                visit(name, &agreed, &decoder, frame);
                decoder.feed(frame).expect("well-formed");
                if at == 0 {
                    decoder.switch(&agreed);
                }
                frames += 1;
            }
        }
    }
    frames
}

#[test]
fn every_captured_frame_decodes_and_encodes_to_the_same_bytes() {
    let mut frames = 0;
    for (name, capture) in CAPTURES {
        let streams = streams(capture);
        for ((connection, _), stream) in &streams {
            let agreed = negotiated(&streams, connection);
            assert_eq!(agreed.tight_encoding, name == "tight");
            assert_eq!(agreed.cache_slots, (name == "tight").then_some(1024));
            assert_eq!((agreed.version, agreed.inactivity_millis_max), (12, 30_000));
            let (mut decoder, mut encoder) = (new_decoder(), Encoder::new());
            for (at, frame) in stream.iter().enumerate() {
                let received = decoder.feed(frame).expect("well-formed").expect("complete");
                assert_eq!(received.consumed, frame.len());
                let command = received.command.expect("not a null frame");
                let mut encoded = Vec::new();
                encoder.encode(&command, &mut encoded).expect("fits");
                assert_eq!(encoded, *frame, "{name} {command:?}");
                if at == 0 {
                    decoder.switch(&agreed);
                    encoder.switch(&agreed);
                }
                frames += 1;
            }
        }
    }
    assert_eq!(frames, 56 + 56 + 86 + 57 + 63);
}

#[test]
fn frames_cut_anywhere_are_incomplete_or_malformed() {
    let frames = each_frame(|_, _, decoder, frame| {
        for end in 0..frame.len() {
            let cut = &frame[..end];
            assert!(matches!(decoder.clone().feed(cut), Ok(None)));
            let Some(mut body) = cut.get(SIZE_PREFIX_BYTES..) else {
                continue;
            };
            if body == [0] {
                body = &[];
            }
            assert!(
                decoder.clone().decode_frame(body).is_err(),
                "cut at {end}: {frame:x?}"
            );
        }
        let longer = [frame, &[0]].concat();
        assert!(
            decoder
                .clone()
                .decode_frame(&longer[SIZE_PREFIX_BYTES..])
                .is_err()
        );
    });
    assert!(frames > 300);
}

#[test]
fn falsified_bytes_never_panic() {
    let mut refused = 0_usize;
    each_frame(|_, _, decoder, frame| {
        for at in 0..frame.len() {
            for mask in [0xFF, 0x80, 0x01, 0x7F] {
                let mut falsified = frame.to_vec();
                falsified[at] ^= mask;
                let mut decoder = decoder.clone();
                decoder.allow_frames_of(frame.len() * 2);
                match decoder.feed(&falsified) {
                    Ok(None) => {}
                    Ok(Some(received)) => {
                        if let Some(Command::Message(message)) = &received.command {
                            look_into(message);
                        }
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    });
    assert!(refused > 10_000, "{refused}");
}

/// Reads properties and body, for whatever errors they hold.
fn look_into(message: &Message<'_>) {
    use openwire::{body, primitive};

    let limits = primitive::PrimitiveLimits::default();
    if let Some(properties) = &message.marshalled_properties {
        let _ = primitive::decode_map(properties, limits);
    }
    if let Ok(Some(plain)) = message.plain_content(1 << 16) {
        let _ = body::decode_text(&plain);
        let _ = primitive::decode_map(&plain, limits);
        let _ = primitive::Items::stream(&plain, limits).to_values();
    }
}

/// The records of all messages of a capture, without what two runs of one program differ in:
/// generated ids, numbers of the broker, and times.
fn comparable_records(capture: &str) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let streams = streams(capture);
    for ((connection, _), stream) in &streams {
        let agreed = negotiated(&streams, connection);
        let mut decoder = new_decoder();
        for (at, frame) in stream.iter().enumerate() {
            let command = decoder
                .feed(frame)
                .expect("well-formed")
                .expect("complete")
                .command;
            let message = match command {
                Some(Command::Message(message)) => Some(message),
                Some(Command::MessageDispatch(dispatch)) => dispatch.message,
                _ => None,
            };
            if let Some(mut message) = message {
                message.timestamp = 0;
                message.arrival = 0;
                message.broker_in_time = 0;
                message.broker_out_time = 0;
                if let Some(id) = &mut message.message_id {
                    id.broker_sequence_id = 0;
                    // The broker numbers its own advisories across all its runs.
                    if message.data_structure.is_some() {
                        id.producer_sequence_id = 0;
                    }
                }
                let mut record = Vec::new();
                encode_canonical(&message, &mut record).expect("fits");
                records.push(without_generated_digits(record));
            }
            if at == 0 {
                decoder.switch(&agreed);
            }
        }
    }
    records
}

/// Zeroes the port and the milliseconds in `ID:vm-34533-1795199277815-0:1`.
fn without_generated_digits(mut record: Vec<u8>) -> Vec<u8> {
    let prefix = b"ID:vm-";
    for at in 0..record.len().saturating_sub(prefix.len()) {
        if record[at..].starts_with(prefix) {
            let mut dashes = 0;
            for byte in &mut record[at + prefix.len()..] {
                match byte {
                    b'-' => dashes += 1,
                    _ => *byte = b'0',
                }
                if dashes == 2 {
                    break;
                }
            }
        }
    }
    record
}

#[test]
fn both_encodings_of_one_scenario_give_the_same_records() {
    let loose = comparable_records(CAPTURES[0].1);
    let tight = comparable_records(CAPTURES[1].1);
    assert_eq!(loose.len(), 6);
    for (loose, tight) in loose.iter().zip(&tight) {
        assert_eq!(
            loose.escape_ascii().to_string(),
            tight.escape_ascii().to_string()
        );
    }
    assert_eq!(loose.len(), tight.len());
}
