//! Damage: every cut and every changed octet of every frame ends in an error or in waiting, never
//! in a panic, and never in more memory than what came.

use amqp::encode;
use amqp::event::COLLECTED_OCTETS_MAX;
use amqp::frame::{Frame, Split};
use amqp::tune::Tuning;
use amqp::{
    BasicProperties, ChannelNumber, Event, FrameMax, Method, PropertiesRef, ReplyCode, Step,
    TableRef,
};

use crate::machine::{FRAME_MAX, feed, running};
use crate::samples::{every_method, every_value};

/// Every method as frames on its channel, content-bearing ones with a small content.
fn every_frame() -> Vec<(Vec<u8>, &'static str)> {
    let table = every_value().to_bytes();
    let table = TableRef::parse(&table).unwrap();
    let properties = BasicProperties {
        headers: Some(table),
        delivery_mode: Some(2),
        message_id: Some(b"m-1"),
        ..Default::default()
    };
    let properties = properties.to_bytes().unwrap();
    let frame_max = FrameMax::new(FRAME_MAX).unwrap();
    let frame = |method: &Method<'_>| {
        let channel = ChannelNumber(if method.ids().0 == 10 { 0 } else { 1 });
        let mut out = Vec::new();
        if method.carries_content() {
            encode::content(&mut out, channel, method, &properties, b"body", frame_max);
        } else {
            encode::method(&mut out, channel, method);
        }
        (out, method.name())
    };
    every_method(table).iter().map(frame).collect()
}

#[test]
fn every_cut_waits_for_the_rest() {
    for (input, name) in every_frame() {
        for lookahead_max in [0, 1 << 20] {
            for cut in 0..input.len() {
                let mut machine = running(lookahead_max);
                let Step::NeedMore { consumed, wanted } = machine.step(&input[..cut]) else {
                    panic!("{name} cut at {cut} was taken for whole");
                };
                assert!(
                    consumed <= cut && consumed + wanted <= input.len(),
                    "{name} at {cut}"
                );
            }
            let mut machine = running(lookahead_max);
            let Step::Event { consumed, event } = machine.step(&input) else {
                panic!("{name} was taken for cut");
            };
            assert!(!matches!(event, Event::Malformed(_)), "{name}: {event:?}");
            assert_eq!(consumed, input.len(), "{name}");
        }
    }
}

#[test]
fn every_cut_payload_is_refused() {
    let table = every_value().to_bytes();
    for method in every_method(TableRef::parse(&table).unwrap()) {
        let mut payload = Vec::new();
        method.encode(&mut payload);
        for cut in 0..payload.len() {
            assert!(
                Method::decode(&payload[..cut]).is_err(),
                "{} at {cut}",
                method.name()
            );
        }
        payload.push(0);
        assert!(
            Method::decode(&payload).is_err(),
            "{} with a tail",
            method.name()
        );
    }
    for cut in 1..table.len() {
        let whole_entries = TableRef::parse(&table).unwrap().entries();
        let ends = whole_entries.scan(0, |at, (key, value)| {
            let mut encoded = Vec::new();
            value.to_value().encode(&mut encoded);
            *at += 1 + key.len() + encoded.len();
            Some(*at)
        });
        let at_entry = ends.into_iter().any(|end| end == cut);
        assert_eq!(
            TableRef::parse(&table[..cut]).is_ok(),
            at_entry,
            "table cut at {cut}"
        );
    }
}

#[test]
fn every_changed_octet_is_survived() {
    for (input, _) in every_frame() {
        for at in 0..input.len() {
            for change in [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff] {
                let mut damaged = input.clone();
                damaged[at] = change;
                // Two whole contents behind the damage give misread lengths something to eat.
                damaged.extend_from_slice(&input);
                damaged.extend_from_slice(&input);
                for lookahead_max in [0, 1 << 20] {
                    let mut machine = running(lookahead_max);
                    feed(&mut machine, &damaged, 100);
                    let bound = 2 * damaged.len() + 20_000;
                    assert!(machine.collected_octets() <= bound);
                }
            }
        }
    }
}

#[test]
fn every_false_frame_length_is_an_error_or_waiting() {
    for (input, name) in every_frame() {
        let size = u32::from_be_bytes(input[3..7].try_into().unwrap());
        for false_size in (0..size + 300).chain([4097, 1 << 20, 1 << 31, u32::MAX]) {
            if false_size == size {
                continue;
            }
            let mut damaged = input.clone();
            damaged[3..7].copy_from_slice(&false_size.to_be_bytes());
            let frame_max = FrameMax::new(FRAME_MAX).unwrap();
            let split = Frame::split(&damaged, frame_max);
            let end = 7 + false_size as usize;
            // A payload octet may look like an end octet by chance; only then is a frame found.
            let plausible = damaged.get(end) == Some(&0xCE);
            match split {
                Ok(Split::Whole { consumed, .. }) => assert!(plausible && consumed == end + 1),
                Ok(Split::Partial { wanted }) => assert!(wanted > damaged.len(), "{name}"),
                Err(_) => assert!(false_size > 4096 || end < damaged.len(), "{name}"),
            }
        }
    }
}

#[test]
fn every_changed_property_octet_is_survived() {
    let headers = every_value().to_bytes();
    let properties = BasicProperties {
        headers: Some(TableRef::parse(&headers).unwrap()),
        expiration: Some(b"5"),
        timestamp: Some(5),
        user_id: Some(b"guest"),
        ..Default::default()
    };
    let raw = properties.to_bytes().unwrap();
    for at in 0..raw.len() {
        assert!(PropertiesRef::parse(&raw[..at]).is_err(), "cut at {at}");
        for change in 0..=255 {
            let mut damaged = raw.clone();
            damaged[at] = change;
            // Octets taken on trust must be as safe to read as checked ones.
            let trusted = PropertiesRef::trusted(&damaged);
            let unpacked = trusted.to_properties();
            if PropertiesRef::parse(&damaged).is_ok() {
                let again = unpacked.to_bytes().unwrap();
                assert_eq!(again.len(), damaged.len(), "octet {at} as {change}");
            }
            trusted.headers().map(|table| table.to_table());
        }
    }
}

#[test]
fn noise_is_survived() {
    // A fixed xorshift sequence, biased to the octets of plausible frames.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let plausible = [0, 0, 0, 1, 2, 3, 8, 10, 20, 40, 60, 0xCE];
    for _ in 0..3000 {
        let noise: Vec<u8> = (0..200)
            .map(|_| plausible[(random() % plausible.len() as u64) as usize])
            .collect();
        let mut machine = running(if random() % 2 == 0 { 0 } else { 1 << 20 });
        feed(&mut machine, &noise, 50);
        assert!(machine.collected_octets() <= 21_000);
    }
}

#[test]
fn unfinished_content_has_a_ceiling_over_all_channels() {
    let frame_max = FrameMax::new(FRAME_MAX).unwrap();
    let publish = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: false,
    };
    let mut machine = running(0);
    machine.set_message_size_max(16 << 20);
    machine.tuned(&Tuning {
        channel_max: 2047,
        frame_max,
        heartbeat_s: 0,
    });
    let body = vec![0; 4 << 20];
    let mut refused = None;
    for channel in 1..=200 {
        let mut input = Vec::new();
        let properties = BasicProperties::default().to_bytes().unwrap();
        let number = ChannelNumber(channel);
        encode::content(&mut input, number, &publish, &properties, &body, frame_max);
        let mut rest = &input[..input.len() - 1];
        while let Step::Event { consumed, event } = machine.step(rest) {
            let Event::Malformed(violation) = event else {
                panic!("content that is not whole is told: {event:?}")
            };
            refused.get_or_insert((channel, violation.code(), violation.text()));
            rest = &rest[consumed..];
        }
        assert!(machine.collected_octets() <= COLLECTED_OCTETS_MAX);
        if refused.is_some() {
            break;
        }
    }
    let (channel, code, text) = refused.expect("two hundred bodies are too many");
    assert!(channel > 8, "{channel} bodies are not too many");
    assert_eq!(code, ReplyCode::ResourceError);
    assert_eq!(
        text,
        "RESOURCE_ERROR - unfinished content of all channels exceeds 134217728 octets"
    );
    assert_eq!(
        machine.collected_octets(),
        0,
        "all of it goes with the refusal"
    );
}
