//! Commands in every version, tight and loose, with and without cache: what decodes, encodes to what decodes to the
//! same, and messages survive their canonical record.
//!
//! `version and options u8 | repeated: u8 length of a frame / 4, frame`

use openwire::primitive::{Items, PrimitiveLimits, Properties};
use openwire::{
    Command, ConsumerId, Decoder, Destination, Encoder, Limits, Message, MessageRef, Negotiated,
    Stamp, body, decode_canonical, encode_canonical,
};

/// Bytes that a compressed body may come to here.
const INFLATED_BYTES_MAX: usize = 1 << 20;

pub fn run(data: &[u8]) {
    let Some((plan, mut bytes)) = data.split_first() else {
        return;
    };
    let negotiated = Negotiated {
        version: i32::from(plan % 12) + 1,
        tight_encoding: plan & 0x10 != 0,
        cache_slots: (plan & 0x20 != 0).then_some(usize::from(*plan >> 6) * 500 + 2),
        stack_traces: plan & 0x40 != 0,
        ..Negotiated::CANONICAL
    };
    let mut decoder = Decoder::new(Limits::default());
    decoder.allow_frames_of(usize::MAX);
    decoder.switch(&negotiated);
    let mut again = decoder.clone();
    let mut encoder = Encoder::new();
    encoder.switch(&negotiated);
    while let Some((quarter, rest)) = bytes.split_first() {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*quarter) * 4));
        bytes = rest;
        let Ok(Some(command)) = decoder.decode_frame(frame) else {
            return;
        };
        let mut out = Vec::new();
        if encoder.encode(&command, &mut out).is_err() {
            assert!(out.is_empty(), "a refused command leaves nothing behind");
            continue;
        }
        let received = again
            .feed(&out)
            .expect("what was encoded can be decoded")
            .expect("and is whole");
        assert_eq!(received.consumed, out.len());
        let decoded = received.command.expect("and is a command");
        assert_eq!(format!("{decoded:?}"), format!("{command:?}"));
        if let Command::Message(message) = &command {
            keep(message, &mut encoder);
        }
    }
}

fn keep(message: &Message<'_>, encoder: &mut Encoder) {
    let mut record = Vec::new();
    let Ok(content) = encode_canonical(message, &mut record) else {
        assert!(record.is_empty(), "a refused message leaves nothing behind");
        return;
    };
    assert!(content.end <= record.len());
    decode_canonical(&record).expect("a record can be read");
    let found = MessageRef::parse(&record).expect("a record can be looked into");
    let limits = PrimitiveLimits::default();
    if let Ok(properties) = found.properties(limits) {
        let _ = Properties::to_values(properties);
    }
    if let Ok(Some(plain)) = found.plain_content(INFLATED_BYTES_MAX) {
        let _ = body::decode_text(&plain);
        let _ = Items::stream(&plain, limits).to_values();
    }
    let stamp = Stamp {
        redelivery_counter: 7,
        broker_sequence_id: Some(8),
        arrival: Some(9),
        ..Stamp::default()
    };
    let mut copy = Vec::new();
    found.copy_stamped(&stamp, &mut copy);
    let mut wanted = decode_canonical(&record).expect("a record can be read");
    stamp.apply(&mut wanted);
    let stamped = decode_canonical(&copy).expect("a stamped record can be read");
    assert_eq!(format!("{stamped:?}"), format!("{wanted:?}"));
    let consumer = ConsumerId::default();
    let mut out = Vec::new();
    let _ = encoder.encode_record(
        &consumer,
        &Destination::queue("q"),
        &record,
        &stamp,
        &mut out,
    );
}
