//! Decoding and encoding of methods are inverse, for every method there is.

use amqp::method::{METHODS, method_name};
use amqp::{Malformed, Method, ReplyCode, TableRef};

use crate::samples::{every_method, every_value, octets};

#[test]
fn every_method_survives_the_wire() {
    let table = every_value().to_bytes();
    let samples = every_method(TableRef::parse(&table).unwrap());
    let listed: Vec<_> = samples
        .iter()
        .map(|method| (method.ids(), method.name()))
        .collect();
    let known: Vec<_> = METHODS
        .iter()
        .map(|(class, id, name)| ((*class, *id), *name))
        .collect();
    assert_eq!(
        listed, known,
        "there is one sample of each method, in order"
    );
    assert!(METHODS.is_sorted_by_key(|(class, id, _)| (*class, *id)));
    for method in samples {
        let mut payload = Vec::new();
        method.encode(&mut payload);
        let back = Method::decode(&payload).unwrap();
        assert_eq!(back, method);
        let mut again = Vec::new();
        back.encode(&mut again);
        assert_eq!(again, payload, "{}", method.name());
    }
}

#[test]
fn payloads_are_as_written_by_hand() {
    let check = |method: Method<'_>, text: &str| {
        let payload = octets(text);
        let mut written = Vec::new();
        method.encode(&mut written);
        assert_eq!(written, payload, "{}", method.name());
        assert_eq!(Method::decode(&payload), Ok(method));
    };
    let table = octets("01 'a' 74 01");
    let arguments = TableRef::parse(&table).unwrap();
    check(
        Method::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: arguments,
            mechanisms: b"PLAIN",
            locales: b"en_US",
        },
        "000a 000a 00 09 00000004 01'a'7401 00000005'PLAIN' 00000005'en_US'",
    );
    check(
        Method::ConnectionOpen { vhost: "/" },
        "000a 0028 01'/' 00 00",
    );
    check(Method::ConnectionOpenOk, "000a 0029 00");
    check(Method::ChannelOpenOk, "0014 000b 00000000");
    check(
        Method::ConnectionTune {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        },
        "000a 001e 07ff 00020000 003c",
    );
    check(
        Method::ExchangeDeclare {
            exchange: "x",
            kind: "fanout",
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            nowait: true,
            arguments,
        },
        "0028 000a 0000 01'x' 06'fanout' 12 00000004 01'a'7401",
    );
    check(Method::ExchangeUnbindOk, "0028 0033");
    check(
        Method::QueueUnbind {
            queue: "q",
            exchange: "x",
            routing_key: "k",
            arguments,
        },
        "0032 0032 0000 01'q' 01'x' 01'k' 00000004 01'a'7401",
    );
    check(
        Method::BasicPublish {
            exchange: "",
            routing_key: "q",
            mandatory: true,
            immediate: true,
        },
        "003c 0028 0000 00 01'q' 03",
    );
    check(
        Method::BasicNack {
            delivery_tag: amqp::DeliveryTag(9),
            multiple: false,
            requeue: true,
        },
        "003c 0078 0000000000000009 02",
    );
    check(Method::ConfirmSelect { nowait: false }, "0055 000a 00");
    check(Method::TxRollbackOk, "005a 001f");
}

#[test]
fn reserved_fields_and_unused_bits_are_ignored() {
    // A ticket of 1 as old clients send it, and all eight bits set.
    let payload = octets("003c 0028 0001 00 01'q' ff");
    let expected = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: true,
        immediate: true,
    };
    assert_eq!(Method::decode(&payload), Ok(expected));
    // Qpid-era clients fill the reserved strings; they need not even be UTF-8.
    let payload = octets("000a 0028 01'/' 02 ffff 01");
    assert_eq!(
        Method::decode(&payload),
        Ok(Method::ConnectionOpen { vhost: "/" })
    );
}

#[test]
fn undecodable_methods_have_the_right_code() {
    let check = |text: &str, code: ReplyCode| {
        let payload = octets(text);
        let refused = Method::decode(&payload).map_err(|cause| cause.code());
        assert_eq!(refused, Err(code), "{text}");
    };
    check("", ReplyCode::FrameError);
    check("003c00", ReplyCode::FrameError);
    check("003c 0050 0000000000000001", ReplyCode::FrameError);
    check("003c 0050 0000000000000001 00 00", ReplyCode::FrameError);
    check("000a 003c 02 c328", ReplyCode::FrameError);
    check("0014 000a 05 00", ReplyCode::FrameError);
    // A table whose string value ends beyond it.
    check(
        "000a 000b 00000007 01'a' 'S' 00000009 00000000",
        ReplyCode::FrameError,
    );
    check("003c 00c8 00", ReplyCode::CommandInvalid);
    check("0064 000a", ReplyCode::CommandInvalid);
    let unknown = Malformed::UnknownMethod {
        class_id: 60,
        method_id: 200,
    };
    assert_eq!(Method::decode(&octets("003c 00c8")), Err(unknown));
}

#[test]
fn names_are_found_by_ids() {
    assert_eq!(method_name(60, 40), Some("basic.publish"));
    assert_eq!(method_name(40, 51), Some("exchange.unbind-ok"));
    assert_eq!(method_name(40, 41), None);
}

#[test]
fn long_names_are_cut_between_characters() {
    let name = "ä".repeat(200);
    let mut payload = Vec::new();
    Method::ConnectionBlocked { reason: &name }.encode(&mut payload);
    let expected = Method::ConnectionBlocked {
        reason: &"ä".repeat(127),
    };
    assert_eq!(Method::decode(&payload), Ok(expected));
}
