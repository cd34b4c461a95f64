//! Whole frames against octets written by hand, in both directions.

use amqp::encode;
use amqp::error::Severity;
use amqp::frame::{Frame, FrameKind, Split};
use amqp::{
    ChannelNumber, DeliveryTag, FrameMax, Malformed, Method, PropertiesRef, ProtocolHeader,
    ReplyCode,
};

use crate::samples::octets;

fn check(written: &[u8], text: &str) {
    assert_eq!(written, octets(text), "{text}");
}

#[test]
fn frames_are_as_written_by_hand() {
    let mut out = Vec::new();
    encode::protocol_header(&mut out);
    check(&out, "'AMQP' 00 00 09 01");
    out.clear();
    encode::heartbeat(&mut out);
    check(&out, "08 0000 00000000 ce");
    out.clear();
    encode::method(&mut out, ChannelNumber(1), &Method::ChannelOpen);
    check(&out, "01 0001 00000005 0014 000a 00 ce");
    out.clear();
    encode::ack_one(&mut out, ChannelNumber(0x0203), DeliveryTag(5));
    check(&out, "01 0203 0000000d 003c 0050 0000000000000005 00 ce");
    out.clear();
    encode::ack_up_to(&mut out, ChannelNumber(1), DeliveryTag(u64::MAX));
    check(&out, "01 0001 0000000d 003c 0050 ffffffffffffffff 01 ce");
}

#[test]
fn short_acks_are_the_method_acks() {
    for (tag, multiple) in [(1, false), (u64::MAX, true)] {
        let (channel, delivery_tag) = (ChannelNumber(7), DeliveryTag(tag));
        let (mut short, mut long) = (Vec::new(), Vec::new());
        if multiple {
            encode::ack_up_to(&mut short, channel, delivery_tag);
        } else {
            encode::ack_one(&mut short, channel, delivery_tag);
        }
        encode::method(
            &mut long,
            channel,
            &Method::BasicAck {
                delivery_tag,
                multiple,
            },
        );
        assert_eq!(short, long);
    }
}

#[test]
fn a_delivery_is_as_written_by_hand() {
    let mut out = Vec::new();
    encode::encode_deliver(
        &mut out,
        ChannelNumber(1),
        b"c",
        DeliveryTag(3),
        true,
        b"",
        b"q",
        // The low flag bits are a sender's slip and are not passed on.
        &octets("1003 02"),
        b"hello",
        FrameMax::DEFAULT,
    );
    check(
        &out,
        "01 0001 00000012 003c 003c 01'c' 0000000000000003 01 00 01'q' ce
         02 0001 0000000f 003c 0000 0000000000000005 1000 02 ce
         03 0001 00000005 'hello' ce",
    );
}

#[test]
fn bodies_are_split_at_the_frame_limit_and_empty_ones_have_no_frame() {
    let frame_max = FrameMax::new(4096).unwrap();
    for (size, frames) in [(0, 0), (1, 1), (4088, 1), (4089, 2), (10_000, 3)] {
        let body: Vec<u8> = (0..size).map(|index| index as u8).collect();
        let method = Method::BasicGetOk {
            delivery_tag: DeliveryTag(1),
            redelivered: false,
            exchange: "",
            routing_key: "q",
            message_count: 0,
        };
        let mut out = Vec::new();
        encode::content(&mut out, ChannelNumber(1), &method, &[], &body, frame_max);
        let (mut at, mut joined, mut kinds) = (0, Vec::new(), Vec::new());
        while at < out.len() {
            let Ok(Split::Whole { frame, consumed }) = Frame::split(&out[at..], frame_max) else {
                panic!("no frame at {at}");
            };
            assert!(consumed <= 4096, "frame of {consumed} octets");
            kinds.push(frame.kind().unwrap());
            if frame.kind() == Ok(FrameKind::Body) {
                joined.extend_from_slice(frame.payload);
            }
            at += consumed;
        }
        assert_eq!(kinds.len(), frames + 2);
        assert_eq!(joined, body);
    }
}

#[test]
fn both_writers_of_a_delivery_agree() {
    let (mut fast, mut plain) = (Vec::new(), Vec::new());
    let (tag, body) = (DeliveryTag(77), vec![9; 9000]);
    let frame_max = FrameMax::new(4096).unwrap();
    let channel = ChannelNumber(65535);
    let raw = PropertiesRef::EMPTY.as_bytes();
    encode::encode_deliver(
        &mut fast, channel, b"tag", tag, false, b"ex", b"key", raw, &body, frame_max,
    );
    let method = Method::BasicDeliver {
        consumer_tag: "tag",
        delivery_tag: tag,
        redelivered: false,
        exchange: "ex",
        routing_key: "key",
    };
    encode::content(&mut plain, channel, &method, raw, &body, frame_max);
    assert_eq!(fast, plain);
}

#[test]
fn protocol_headers_are_told_apart() {
    let check = |header: &[u8; 8], answer: Option<&[u8; 8]>| {
        let refusal = ProtocolHeader::recognise(*header).refusal();
        assert_eq!(refusal.as_ref(), answer, "{header:?}");
    };
    check(b"AMQP\x00\x00\x09\x01", None);
    check(b"AMQP\x01\x01\x00\x09", None);
    check(b"AMQP\x00\x00\x09\x00", Some(b"AMQP\x00\x00\x09\x01"));
    check(b"AMQP\x00\x00\x0a\x00", Some(b"AMQP\x00\x00\x09\x01"));
    check(b"AMQP\x03\x01\x00\x00", Some(b"AMQP\x00\x00\x09\x01"));
    check(b"AMQP\x00\x00\x08\x00", Some(b"AMQP\x03\x01\x00\x00"));
    check(b"AMQP\x01\x01\x08\x00", Some(b"AMQP\x03\x01\x00\x00"));
    check(b"AMQP\x00\x01\x00\x00", Some(b"AMQP\x03\x01\x00\x00"));
    check(b"GET / HT", Some(b"AMQP\x03\x01\x00\x00"));
    check(
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        Some(b"AMQP\x03\x01\x00\x00"),
    );
}

#[test]
fn codes_have_their_numbers_names_and_severity() {
    for code in ReplyCode::ALL {
        assert_eq!(ReplyCode::from_code(code.code()), Some(code));
    }
    assert_eq!(ReplyCode::from_code(407), None);
    assert_eq!(ReplyCode::PreconditionFailed.code(), 406);
    assert_eq!(ReplyCode::AccessRefused.severity(), Severity::Soft);
    assert_eq!(ReplyCode::ConnectionForced.severity(), Severity::Hard);
    assert_eq!(ReplyCode::InvalidPath.severity(), Severity::Hard);
    assert_eq!(
        ReplyCode::NotFound.text("no queue 'q'"),
        "NOT_FOUND - no queue 'q'"
    );
    let long = ReplyCode::NotFound.text(&"ü".repeat(200));
    assert!(long.len() <= 255 && long.ends_with("ü..."), "{long}");
}

#[test]
fn refused_frames_are_described_as_rabbitmq_does() {
    let describe = |text: &str| {
        let input = octets(text);
        match Frame::split(&input, FrameMax::BEFORE_TUNE) {
            Ok(Split::Whole { frame, .. }) => frame.kind().map_err(|cause| cause.to_string()),
            Ok(Split::Partial { wanted }) => Err(format!("wants {wanted}")),
            Err(cause) => Err(cause.to_string()),
        }
    };
    let large = "type 1, all octets = <<>>: {frame_too_large,8193,8184}";
    assert_eq!(describe("01 0000 00002001"), Err(large.into()));
    // Eight octets above the limit are tolerated.
    assert_eq!(describe("01 0000 00002000"), Err("wants 8200".into()));
    let end = "type 3, all octets = <<1,2>>: {invalid_frame_end_marker,0}";
    assert_eq!(describe("03 0001 00000002 0102 00"), Err(end.into()));
    let unknown = "type 4, all octets = <<\"hello\">>: unknown_frame";
    assert_eq!(describe("04 0001 00000005 'hello' ce"), Err(unknown.into()));
    let cause = Malformed::UnknownMethod {
        class_id: 60,
        method_id: 200,
    };
    assert_eq!(cause.code(), ReplyCode::CommandInvalid);
}
