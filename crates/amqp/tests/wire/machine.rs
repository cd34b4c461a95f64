//! Conversations: what the machine reports, however the octets are cut and whatever it may look
//! ahead.

use amqp::encode;
use amqp::event::{BODY_RESERVE_MAX, BODY_SIZE_MAX};
use amqp::tune::Tuning;
use amqp::{
    ChannelNumber, Content, Event, FrameMax, Limits, Machine, Method, ProtocolHeader, Step,
};

use crate::samples::octets;

/// A frame limit that makes small bodies come in several frames.
pub const FRAME_MAX: u32 = 4096;

/// A machine behind its handshake, on which a body may have 20000 octets and 3 channels be open.
pub fn running(lookahead_max: usize) -> Machine {
    let mut machine = Machine::server(Limits {
        message_size_max: 20_000,
        lookahead_max,
    });
    let Step::Event { event, .. } = machine.step(b"AMQP\x00\x00\x09\x01") else {
        panic!("no protocol header");
    };
    assert_eq!(event, Event::ProtocolHeader(ProtocolHeader::Amqp091));
    let frame_max = FrameMax::new(FRAME_MAX).unwrap();
    machine.tuned(&Tuning {
        channel_max: 3,
        frame_max,
        heartbeat_s: 0,
    });
    machine.opened();
    machine
}

/// One line per event.
pub fn describe(event: &Event<'_>) -> String {
    match event {
        Event::ProtocolHeader(header) => format!("{header:?}"),
        Event::Heartbeat => "heartbeat".into(),
        Event::Method { channel, method } => format!("{} {}", channel.0, method.name()),
        Event::Content(Content {
            channel,
            method,
            properties,
            body,
        }) => format!(
            "{} {} properties={:02x?} body={}:{:08x}",
            channel.0,
            method.name(),
            properties.as_bytes(),
            body.len(),
            body.iter().fold(7_u32, |sum, octet| sum
                .wrapping_mul(31)
                .wrapping_add(u32::from(*octet))),
        ),
        Event::MessageTooLarge(refused) => {
            format!("{} {}", refused.channel.0, refused.explanation())
        }
        Event::Malformed(violation) => format!(
            "{} of {}/{} on {}",
            violation.text(),
            violation.class_id,
            violation.method_id,
            violation.channel.0
        ),
    }
}

/// Feeds `input` in pieces, as a socket would, and lists the events. Channels are closed as a
/// server would after a message that is too large.
pub fn feed(machine: &mut Machine, input: &[u8], piece: usize) -> Vec<String> {
    let mut events = Vec::new();
    let mut buffer: Vec<u8> = Vec::new();
    for octets in input.chunks(piece) {
        buffer.extend_from_slice(octets);
        loop {
            let before = buffer.len();
            let (consumed, more) = match machine.step(&buffer) {
                Step::Event { consumed, event } => {
                    events.push(describe(&event));
                    (consumed, true)
                }
                Step::NeedMore { consumed, wanted } => {
                    assert!(wanted > before - consumed, "more is wanted than there is");
                    (consumed, false)
                }
            };
            buffer.drain(..consumed);
            if !more {
                break;
            }
        }
    }
    events
}

/// The events of `input` must be these, however it is cut and with or without looking ahead.
fn check(input: &[u8], expected: &[&str]) {
    for lookahead_max in [0, 100, 1 << 20] {
        for piece in [1, 2, 7, 8, 9, 64, 1000, 4096, 1 << 20] {
            let events = feed(&mut running(lookahead_max), input, piece);
            assert_eq!(
                events, expected,
                "lookahead {lookahead_max}, pieces of {piece}"
            );
        }
    }
}

const PUBLISH: &str = "01 0001 0000000a 003c 0028 0000 00 01'q' 00 ce";

/// A content header frame on channel 1.
fn header(class: u8, size: u64) -> Vec<u8> {
    let size = size.to_be_bytes();
    [
        &octets("02 0001 0000000e 00")[..],
        &[class],
        &octets("0000"),
        &size,
        &[0, 0, 0xce],
    ]
    .concat()
}

/// A body frame on a channel.
fn body(channel: u16, size: usize) -> Vec<u8> {
    let (channel, length) = (channel.to_be_bytes(), (size as u32).to_be_bytes());
    [&[3][..], &channel, &length, &vec![b'x'; size], &[0xce]].concat()
}

fn publish(channel: u16, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let method = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: false,
    };
    let frame_max = FrameMax::new(FRAME_MAX).unwrap();
    let content = vec![b'x'; size];
    encode::content(
        &mut out,
        ChannelNumber(channel),
        &method,
        &[],
        &content,
        frame_max,
    );
    out
}

#[test]
fn content_is_joined() {
    check(
        &publish(1, 0),
        &["1 basic.publish properties=[00, 00] body=0:00000007"],
    );
    check(
        &publish(1, 2),
        &["1 basic.publish properties=[00, 00] body=2:00002947"],
    );
    let input = [publish(1, 2), publish(2, 0), octets("08 0000 00000000 ce")].concat();
    let expected = [
        "1 basic.publish properties=[00, 00] body=2:00002947",
        "2 basic.publish properties=[00, 00] body=0:00000007",
        "heartbeat",
    ];
    check(&input, &expected);
    for size in [4087, 4088, 4089, 8176, 8177, 20_000] {
        let events = feed(&mut running(1 << 20), &publish(1, size), 1 << 20);
        assert_eq!(events.len(), 1);
        assert!(events[0].contains(&format!("body={size}:")), "{events:?}");
        check(&publish(1, size), &[&events[0]]);
    }
}

#[test]
fn content_of_one_body_frame_is_borrowed_from_the_input() {
    let input = publish(1, 1024);
    let mut machine = running(1 << 20);
    let Step::Event {
        consumed,
        event: Event::Content(content),
    } = machine.step(&input)
    else {
        panic!("no content");
    };
    assert_eq!(consumed, input.len());
    let bounds = input.as_ptr_range();
    assert!(bounds.contains(&content.body.as_ptr()));
    assert!(bounds.contains(&content.properties.as_bytes().as_ptr()));
    let Method::BasicPublish { routing_key, .. } = content.method else {
        panic!("no publish")
    };
    assert!(bounds.contains(&routing_key.as_ptr()));
    assert_eq!(machine.collected_octets(), 0);
}

#[test]
fn content_of_several_channels_may_interleave() {
    let (first, second) = (publish(1, 5000), publish(2, 5000));
    let (mut mixed, mut rest) = (Vec::new(), [&first[..], &second[..]]);
    while rest.iter().any(|frames| !frames.is_empty()) {
        for frames in &mut rest {
            if let Some(size) = frames.get(3..7) {
                let size = u32::from_be_bytes(size.try_into().unwrap()) as usize + 8;
                mixed.extend_from_slice(&frames[..size]);
                *frames = &frames[size..];
                mixed.extend_from_slice(&octets("08 0000 00000000 ce"));
            }
        }
    }
    let events = feed(&mut running(1 << 20), &mixed, 100);
    let contents: Vec<_> = events
        .iter()
        .filter(|event| *event != "heartbeat")
        .collect();
    assert_eq!(contents.len(), 2);
    assert!(contents[0].starts_with("1 basic.publish properties=[00, 00] body=5000:"));
    assert!(contents[1].starts_with("2 basic.publish properties=[00, 00] body=5000:"));
    assert_eq!(events.len(), 2 + 8);
}

#[test]
fn memory_grows_with_what_came_and_goes_with_the_event() {
    let mut machine = running(0);
    let input = publish(1, 20_000);
    let cut = input.len() - 1;
    assert!(feed(&mut machine, &input[..cut], cut).is_empty());
    assert!(machine.collected_octets() > 16_000);
    let rest = &input[input.len() - (20_000 - 4 * 4088) - 8..];
    assert_eq!(feed(&mut machine, rest, rest.len()).len(), 1);
    assert_eq!(
        machine.collected_octets(),
        0,
        "the next step lets go of the content"
    );
}

#[test]
fn a_message_too_large_costs_its_channel_only() {
    let input = [publish(1, 20_001), publish(2, 0)].concat();
    let expected = [
        "1 message size 20001 is larger than configured max size 20000",
        "2 basic.publish properties=[00, 00] body=0:00000007",
    ];
    check(&input, &expected);
    let again = [publish(1, 20_001), publish(1, 0)].concat();
    let expected = [
        "1 message size 20001 is larger than configured max size 20000",
        "1 basic.publish properties=[00, 00] body=0:00000007",
    ];
    check(&again, &expected);
    let mut machine = running(0);
    let cut = input.len() - publish(2, 0).len() - 1;
    feed(&mut machine, &input[..cut], 500);
    assert_eq!(machine.collected_octets(), 0, "what is skipped is not kept");
}

#[test]
fn disorder_ends_the_connection() {
    let fault = |parts: &[Vec<u8>], expected: &str| {
        // After the error nothing counts but the farewell.
        let end = octets("01 0001 00000005 0014 000a 00 ce 01 0000 00000004 000a 0033 ce");
        let input = [parts.concat(), end].concat();
        check(&input, &[expected, "0 connection.close-ok"]);
    };
    let publish = octets(PUBLISH);
    fault(
        &[publish.clone(), publish.clone()],
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame \
         instead of 60/40 on 1",
    );
    fault(
        &[publish.clone(), body(1, 3)],
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame \
         instead of 60/40 on 1",
    );
    fault(
        &[publish.clone(), header(0, 3)],
        "UNEXPECTED_FRAME - expected content header for class 60, got one for class 0 instead of \
         60/40 on 1",
    );
    fault(
        &[publish.clone(), header(60, 3), publish.clone()],
        "UNEXPECTED_FRAME - expected content body, got non content body frame instead of 60/40 \
         on 1",
    );
    fault(
        &[header(60, 3)],
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead of 0/0 on 1",
    );
    fault(
        &[body(1, 1)],
        "UNEXPECTED_FRAME - expected method frame, got non method frame instead of 0/0 on 1",
    );
    fault(
        &[publish.clone(), header(60, 3), body(1, 4)],
        "FRAME_ERROR - content body frame exceeds remaining content size of 60/40 on 1",
    );
    fault(
        &[publish.clone(), header(60, 536_870_913)],
        "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912 of \
         60/40 on 1",
    );
    fault(
        &[
            publish.clone(),
            octets("02 0001 0000000e 003c 0001 0000000000000000 0000 ce"),
        ],
        "FRAME_ERROR - content header cannot be read: content header weight is 1, not 0 of 60/40 \
         on 1",
    );
    fault(
        &[
            publish,
            octets("02 0001 0000000e 003c 0000 0000000000000000 1000 ce"),
        ],
        "FRAME_ERROR - content header cannot be read: a field ends beyond its frame of 60/40 on 1",
    );
    fault(
        &[octets("08 0001 00000000 ce")],
        "UNEXPECTED_FRAME - type 8, all octets = <<>> of 0/0 on 1",
    );
    fault(
        &[octets("08 0000 00000001 07 ce")],
        "FRAME_ERROR - type 8, all octets = <<7>>: unknown_frame of 0/0 on 0",
    );
    fault(
        &[octets("05 0002 00000000 ce")],
        "FRAME_ERROR - type 5, all octets = <<>>: unknown_frame of 0/0 on 2",
    );
    fault(
        &[octets("03 0000 00000001 07 ce")],
        "UNEXPECTED_FRAME - type 3, all octets = <<7>> of 0/0 on 0",
    );
    fault(
        &[octets(
            "02 0000 0000000e 003c 0000 0000000000000000 0000 ce",
        )],
        "UNEXPECTED_FRAME - type 2, all octets = <<0,60,0,0,0,0,0,0,0,0,0,0,0,0>> of 0/0 on 0",
    );
    fault(
        &[octets("01 0001 00000004 003c 00c8 ce")],
        "COMMAND_INVALID - unknown method 200 of class 60 of 60/200 on 1",
    );
    fault(
        &[octets("01 0001 00000004 003c 0050 ce")],
        "FRAME_ERROR - method fields cannot be read: a field ends beyond its frame of 60/80 on 1",
    );
}

#[test]
fn skipping_a_body_still_counts_it() {
    let input = [
        octets(PUBLISH),
        header(60, 20_001),
        body(1, 4000),
        header(60, 1),
    ]
    .concat();
    let events = feed(&mut running(0), &input, 50);
    assert_eq!(
        events[0],
        "1 message size 20001 is larger than configured max size 20000"
    );
    assert!(
        events[1].starts_with("UNEXPECTED_FRAME - expected content body"),
        "{events:?}"
    );
}

#[test]
fn lost_framing_ends_all_hearing() {
    let close_ok = octets("01 0000 00000004 000a 0033 ce");
    let deaf = |start: &str, expected: &str| {
        check(&[octets(start), close_ok.clone()].concat(), &[expected]);
    };
    deaf(
        "01 0001 00001001",
        "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,4097,4088} of 0/0 on 1",
    );
    deaf(
        "01 0002 00000004 003c 000b cd",
        "FRAME_ERROR - type 1, all octets = <<0,60,0,11>>: {invalid_frame_end_marker,205} of 0/0 \
         on 2",
    );
}

#[test]
fn a_frame_may_exceed_the_limit_by_the_tolerance() {
    let input = [octets(PUBLISH), header(60, 4096), body(1, 4096)].concat();
    let events = feed(&mut running(1 << 20), &input, 1 << 20);
    assert!(events[0].contains("body=4096:"), "{events:?}");
    check(&input, &[&events[0]]);
}

#[test]
fn channels_with_content_under_way_are_counted() {
    let method_on = |channel: u8| {
        let mut frame = octets(PUBLISH);
        frame[2] = channel;
        frame
    };
    let mut input: Vec<u8> = (1..=4).flat_map(method_on).collect();
    input.extend(octets("08 0000 00000000 ce"));
    let events = feed(&mut running(0), &input, 1000);
    assert_eq!(
        events,
        ["CHANNEL_ERROR - expected 'channel.open' of 60/40 on 4"]
    );
}

#[test]
fn a_closed_channel_is_silent_until_close_ok() {
    let mut machine = running(1 << 20);
    let large = publish(1, 9000);
    assert!(feed(&mut machine, &large[..5000], 5000).is_empty());
    let mut machine = running(1 << 20);
    machine.discard_channel(ChannelNumber(1));
    let input = [
        publish(1, 9000),
        // Even what would be an error is dropped, and other channels go on.
        header(60, 5),
        publish(1, 3),
        octets("01 0001 00000004 003c 0050 ce"),
        publish(2, 0),
        // A crossing channel.close does not end the silence, close-ok does.
        octets("01 0001 0000000b 0014 0028 00c8 00 0000 0000 ce"),
        publish(1, 3),
        octets("01 0001 00000004 0014 0029 ce"),
        publish(1, 0),
    ];
    let expected = [
        "2 basic.publish properties=[00, 00] body=0:00000007",
        "1 channel.close",
        "1 channel.close-ok",
        "1 basic.publish properties=[00, 00] body=0:00000007",
    ];
    assert_eq!(feed(&mut machine, &input.concat(), 33), expected);
}

#[test]
fn after_our_close_only_the_farewell_counts() {
    let mut machine = running(0);
    assert!(feed(&mut machine, &publish(1, 9000)[..5000], 5000).is_empty());
    assert!(machine.collected_octets() > 4000);
    machine.close_sent();
    assert_eq!(
        machine.collected_octets(),
        0,
        "what was collected is let go"
    );
    let mut machine = running(1 << 20);
    machine.close_sent();
    let input = [
        publish(1, 9000),
        octets("09 0001 00000000 ce 08 0000 00000000 ce"),
        octets("01 0000 0000000b 000a 0032 00c8 00 0000 0000 ce"),
        octets("01 0000 00000004 000a 0033 ce"),
    ];
    let expected = ["0 connection.close", "0 connection.close-ok"];
    assert_eq!(feed(&mut machine, &input.concat(), 10), expected);
}

#[test]
fn before_open_there_is_channel_0_only() {
    let input = [
        octets("'AMQP' 00000901"),
        octets("01 0001 00000005 0014 000a 00 ce"),
    ]
    .concat();
    let events = feed(&mut Machine::server(Limits::default()), &input, 3);
    let refused = "UNEXPECTED_FRAME - type 1, all octets = <<0,20,0,10,0>> of 0/0 on 1";
    assert_eq!(events, ["Amqp091", refused]);
    let input = [octets("'AMQP' 00000901"), octets("01 0000 00002001")].concat();
    let events = feed(&mut Machine::server(Limits::default()), &input, 3);
    assert!(events[1].starts_with("FRAME_ERROR"), "{events:?}");
}

#[test]
fn a_refused_header_is_the_end() {
    let events = feed(
        &mut Machine::server(Limits::default()),
        b"GET / HTTP/1.1\r\n\r\n",
        5,
    );
    assert_eq!(events, ["Other([71, 69, 84, 32, 47, 32, 72, 84])"]);
}

#[test]
fn a_client_hears_frames_or_a_refusal() {
    let tune = octets("01 0000 0000000c 000a 001e 07ff 00020000 003c ce");
    let events = feed(&mut Machine::client(Limits::default()), &tune, 1);
    assert_eq!(events, ["0 connection.tune"]);
    let events = feed(
        &mut Machine::client(Limits::default()),
        b"AMQP\x03\x01\x00\x00rest",
        1,
    );
    assert_eq!(events, ["Amqp10"]);
}

#[test]
fn content_methods_on_channel_0_are_the_callers_to_refuse() {
    let mut frame = octets(PUBLISH);
    frame[2] = 0;
    check(&frame, &["0 basic.publish"]);
}

#[test]
fn a_violation_closes_the_connection_with_its_code() {
    let mut machine = running(0);
    let input = octets("08 0001 00000000 ce");
    let Step::Event {
        event: Event::Malformed(violation),
        ..
    } = machine.step(&input)
    else {
        panic!("no violation");
    };
    let mut out = Vec::new();
    encode::close_for(&mut out, &violation);
    let text = "UNEXPECTED_FRAME - type 8, all octets = <<>>";
    let close = Method::ConnectionClose {
        reply_code: 505,
        reply_text: text,
        class_id: 0,
        method_id: 0,
    };
    let mut expected = Vec::new();
    encode::method(&mut expected, ChannelNumber::CONNECTION, &close);
    assert_eq!(out, expected);
}

#[test]
fn a_header_of_another_channel_is_not_taken_for_ours() {
    let mut second = octets(PUBLISH);
    second[2] = 2;
    let marked = octets("02 0001 0000000f 003c 0000 0000000000000000 1000 02 ce");
    let mut plain = header(60, 0);
    plain[2] = 2;
    let input = [octets(PUBLISH), second, marked, plain].concat();
    let expected = [
        "1 basic.publish properties=[10, 00, 02] body=0:00000007",
        "2 basic.publish properties=[00, 00] body=0:00000007",
    ];
    check(&input, &expected);
}

#[test]
fn looking_ahead_is_bounded() {
    let input = publish(1, 1000);
    let cut = &input[..input.len() - 1];
    let consumed = |lookahead_max: usize| match running(lookahead_max).step(cut) {
        Step::NeedMore { consumed, .. } => consumed,
        Step::Event { event, .. } => panic!("{event:?}"),
    };
    assert_eq!(consumed(input.len()), 0);
    assert_eq!(consumed(input.len() - 1), input.len() - 1008);
}

#[test]
fn nothing_is_reserved_on_a_peers_word() {
    let mut machine = running(0);
    machine.set_message_size_max(BODY_SIZE_MAX);
    let input = [octets(PUBLISH), header(60, BODY_SIZE_MAX)].concat();
    assert!(feed(&mut machine, &input, 1000).is_empty());
    assert!(machine.collected_octets() as u64 <= 2 * BODY_RESERVE_MAX);
}
