//! Frames against golden bytes, against cuts, and against lies about lengths.

#[allow(dead_code, reason = "each test binary uses its part")]
mod support;

use remoting::frame::{FRAME_BYTES_MAX, Limits};
use remoting::header::offset::QueryConsumerOffset;
use remoting::header::pull::{PullMessage, PullMessageResponse};
use remoting::header::send::{SendMessage, SendMessageV2};
use remoting::header::{Header, HeaderError};
use remoting::{
    CommandRef, Decoder, Flag, FrameError, FrameWriter, Language, Opaque, Prefix, RequestCode,
    ResponseCode, Serialization, Version,
};
use support::{bytes, golden_bytes};

const FORMS: [(Serialization, &str); 2] = [
    (Serialization::Json, "JSON"),
    (Serialization::Binary, "ROCKETMQ"),
];

fn decode(frame: &[u8]) -> CommandRef<'_> {
    let (used, command) = Decoder::default()
        .feed(frame)
        .expect("decodes")
        .expect("is complete");
    assert_eq!(used, frame.len());
    command
}

fn send_message() -> SendMessage<'static> {
    SendMessage {
        producer_group: "PG".into(),
        topic: "TopicTest".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 2,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: Some("TAGS\u{1}TagA\u{2}WAIT\u{1}true\u{2}k\u{1}é\"\\\u{2}".into()),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: Some(false),
        max_reconsume_times: None,
    }
}

#[test]
fn java_requests_decode_in_both_forms() {
    for (form, name) in FORMS {
        for (prefix, code, opaque) in [
            ("send10", RequestCode::SendMessage, 7),
            ("send310", RequestCode::SendMessageV2, 8),
        ] {
            let frame = golden_bytes(&format!("{prefix}_{name}"));
            let command = decode(&frame);
            assert_eq!(command.request_code(), Some(code));
            assert_eq!(command.serialization, form);
            assert_eq!(command.opaque, Opaque(opaque));
            assert_eq!(command.version, Version::V5_3_3);
            assert_eq!(command.language, Language::Java);
            assert_eq!(command.flag, Flag::REQUEST);
            assert_eq!(command.body, b"hello");
            assert_eq!(
                SendMessage::parse_as(code, &command.ext),
                Ok(send_message())
            );
        }
        let frame = golden_bytes(&format!("pull11_{name}"));
        let pull = PullMessage::parse(&decode(&frame).ext).expect("parses");
        let expected = PullMessage {
            consumer_group: "CG".into(),
            topic: "TopicTest".into(),
            queue_id: 1,
            queue_offset: 12,
            max_msg_nums: 32,
            sys_flag: 3,
            commit_offset: 11,
            suspend_timeout_millis: 15_000,
            subscription: Some("*".into()),
            sub_version: 1_700_000_000_001,
            expression_type: Some("TAG".into()),
            max_msg_bytes: Some(262_144),
            request_source: None,
            proxy_froward_client_id: None,
        };
        assert_eq!(pull, expected);

        let frame = golden_bytes(&format!("query14_{name}"));
        let query = QueryConsumerOffset::parse(&decode(&frame).ext).expect("parses");
        assert_eq!((query.queue_id, query.set_zero_if_not_found), (3, None));

        let frame = golden_bytes(&format!("pullresp_{name}"));
        let command = decode(&frame);
        assert!(command.is_response());
        assert_eq!(command.remark.as_deref(), Some("FOUND"));
        let answer = PullMessageResponse::parse(&command.ext).expect("parses");
        assert_eq!((answer.next_begin_offset, answer.max_offset), (13, 13));
    }
}

/// Where Java's order of fields is not that of a hash map the frames agree to the byte.
#[test]
fn written_frames_are_java_frames() {
    for (form, name) in FORMS {
        let mut out = b"before".to_vec();
        let prefix = Prefix::request(RequestCode::SendMessageV2, Opaque(8), Version::V5_3_3)
            .serialization(form);
        let header = SendMessageV2::from(send_message());
        let frame = FrameWriter::begin(&mut out, prefix).header(&header);
        frame.finish_with(b"hello").expect("fits");
        assert_eq!(out[6..], golden_bytes(&format!("send310_{name}")));
    }

    let mut out = Vec::new();
    let prefix = Prefix::response_to(
        ResponseCode::Success,
        Opaque(9),
        Serialization::Binary,
        Version::V5_3_3,
    );
    let header = PullMessageResponse {
        next_begin_offset: 13,
        max_offset: 13,
        ..Default::default()
    };
    let frame = FrameWriter::begin(&mut out, prefix.remark("FOUND")).header(&header);
    let open = frame.body().expect("fits").detach();
    out.extend_from_slice(b"BODY");
    assert_eq!(open.finish(&mut out), Ok(out.len()));
    assert_eq!(out, golden_bytes("pullresp_ROCKETMQ"));
}

/// The request of the protocol notes, in both forms, and text that needs every kind of escape.
#[test]
fn route_requests_and_escapes() {
    let json = br#"{"code":105,"extFields":{"topic":"TopicTest"},"flag":0,"language":"JAVA","opaque":3,"serializeTypeCurrentRPC":"JSON","version":399}"#;
    let mut expected = bytes("0000008700000083");
    expected.extend_from_slice(json);
    let binary = bytes(
        "0000002d01000029006900018f000000030000000000000000000000140005746f706963\
         00000009546f70696354657374",
    );
    let prefix = Prefix::request(RequestCode::GetRouteInfoByTopic, Opaque(3), Version::V4_9_3);
    for (form, expected) in [
        (Serialization::Json, expected),
        (Serialization::Binary, binary),
    ] {
        let mut out = Vec::new();
        let mut frame = FrameWriter::begin(&mut out, prefix.serialization(form));
        frame.field("topic", "TopicTest");
        frame.finish().expect("fits");
        assert_eq!(out, expected);
        assert_eq!(decode(&out).ext.get("topic").as_deref(), Some("TopicTest"));
        assert!(!decode(&out).accepts_standard_json_only());
    }

    let text = "a\t\u{2028}/\u{80}中😀\"\\\u{1}";
    let golden = golden_bytes("escape_JSON");
    assert_eq!(decode(&golden).ext.get("topic").as_deref(), Some(text));
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, prefix);
    frame.field("topic", text);
    frame.finish().expect("fits");
    assert_eq!(out, golden);
}

fn json_frame(header: &str) -> Vec<u8> {
    let mut frame = (header.len() as u32 + 4).to_be_bytes().to_vec();
    frame.extend_from_slice(&(header.len() as u32).to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame
}

#[test]
fn json_headers_are_read_leniently() {
    let header = r#" { /* c */ 'version' : "121", extFields:{a:1,"b":null,'c':"\u0041\/",d:{"x":[1,"}"]},"a":"2",,},
        "unknown":[{"x":"]"}],language:9,"flag":2,"opaque":-5,"code":34, remark:null} "#;
    let frame = json_frame(header);
    let command = decode(&frame);
    assert_eq!(
        (command.code, command.opaque, command.version),
        (34, Opaque(-5), Version(121))
    );
    assert_eq!(command.language, Language::Go);
    assert!(command.is_oneway() && command.remark.is_none());
    let fields: Vec<_> = command.ext.iter().collect();
    let expected = [
        ("a", "1"),
        ("c", "A/"),
        ("d", r#"{"x":[1,"}"]}"#),
        ("a", "2"),
    ];
    assert_eq!(
        fields,
        expected.map(|(key, value)| (key.into(), value.into()))
    );
    assert_eq!(command.ext.get("a").as_deref(), Some("2"));

    for bad in [
        "",
        "{",
        "[]",
        "{}x",
        r#"{"code":"x"}"#,
        r#"{"extFields":7}"#,
        r#"{"a":"\q"}"#,
    ] {
        assert!(
            matches!(
                Decoder::default().feed(&json_frame(bad)),
                Err(FrameError::Json(_))
            ),
            "{bad}"
        );
    }
}

#[test]
fn missing_fields_are_named() {
    let frame = json_frame(r#"{"code":14,"extFields":{"consumerGroup":"g","topic":"t"}}"#);
    let error = QueryConsumerOffset::parse(&decode(&frame).ext).expect_err("no queue");
    assert_eq!(error, HeaderError::Missing { field: "queueId" });
    assert_eq!(error.to_string(), "the custom field <queueId> is null");
    let frame =
        json_frame(r#"{"extFields":{"consumerGroup":"g","topic":"t","queueId":"2147483648"}}"#);
    let error = QueryConsumerOffset::parse(&decode(&frame).ext).expect_err("too large");
    assert_eq!(error, HeaderError::NotANumber { field: "queueId" });
}

#[test]
fn every_cut_asks_for_more() {
    for (_, name) in FORMS {
        for prefix in ["send10", "send310", "pull11", "pullresp"] {
            let frame = golden_bytes(&format!("{prefix}_{name}"));
            for cut in 0..frame.len() {
                assert!(
                    Decoder::default()
                        .feed(&frame[..cut])
                        .expect("is no error")
                        .is_none()
                );
            }
            // The next frame's bytes are left alone.
            let mut two = frame.clone();
            two.extend_from_slice(&frame);
            let (used, _) = Decoder::default()
                .feed(&two)
                .expect("decodes")
                .expect("complete");
            assert_eq!(used, frame.len());
        }
    }
}

/// Any byte changed to any of a few values: an answer of some kind, and walkable fields.
#[test]
fn falsified_frames_never_panic() {
    for (_, name) in FORMS {
        for prefix in ["send310", "pullresp", "escape"] {
            if prefix == "escape" && name != "JSON" {
                continue;
            }
            let frame = golden_bytes(&format!("{prefix}_{name}"));
            for at in 0..frame.len() {
                for value in [
                    0,
                    1,
                    0x22,
                    0x5c,
                    0x7b,
                    0x7d,
                    0x7f,
                    0x80,
                    0xff,
                    frame[at] ^ 1,
                ] {
                    let mut bad = frame.clone();
                    bad[at] = value;
                    if let Ok(Some((used, command))) = Decoder::default().feed(&bad) {
                        assert!(used <= bad.len());
                        assert!(command.ext.iter().count() < bad.len());
                        let _ = SendMessageV2::parse(&command.ext);
                    }
                }
            }
        }
    }
}

#[test]
fn limits_are_named() {
    let decoder = Decoder::default();
    let total = (FRAME_BYTES_MAX as u32 - 4).to_be_bytes();
    assert_eq!(decoder.frame_bytes(&total), Ok(Some(FRAME_BYTES_MAX)));
    let too_large = (FRAME_BYTES_MAX as u32 - 3).to_be_bytes();
    assert!(matches!(
        decoder.feed(&too_large),
        Err(FrameError::FrameTooLarge { .. })
    ));
    assert!(matches!(
        decoder.feed(&[0xff; 4]),
        Err(FrameError::FrameTooLarge { .. })
    ));
    assert!(matches!(
        decoder.feed(&[0, 0, 0, 3]),
        Err(FrameError::HeaderExceedsFrame { .. })
    ));
    let header_outgrows_frame = [0, 0, 0, 8, 0, 0, 0, 5];
    assert!(matches!(
        decoder.feed(&header_outgrows_frame),
        Err(FrameError::HeaderExceedsFrame {
            header_bytes: 5,
            total: 8
        })
    ));
    assert!(matches!(
        decoder.feed(&[0, 0, 0, 8, 2, 0, 0, 4]),
        Err(FrameError::UnknownSerialization(2))
    ));
    assert!(matches!(
        decoder.feed(&[0, 0x80, 0, 0, 0, 0x7f, 0, 0]),
        Err(FrameError::HeaderTooLarge { .. })
    ));

    let strict = Decoder::new(Limits {
        frame_bytes_max: 8192,
        header_bytes_max: 8192,
        ext_fields_max: 2,
    });
    for (form, _) in FORMS {
        for (fields, is_fine) in [(2, true), (3, false)] {
            let mut out = Vec::new();
            let prefix = Prefix::request(RequestCode::HeartBeat, Opaque(1), Version::V5_3_3);
            let mut frame = FrameWriter::begin(&mut out, prefix.serialization(form));
            for field in 0..fields {
                frame.field_int("k", field);
            }
            frame.finish().expect("fits");
            let result = strict.feed(&out);
            assert_eq!(result.is_ok(), is_fine);
            if let Err(error) = result {
                assert_eq!(error, FrameError::TooManyFields { fields_max: 2 });
            }
        }
    }
}

/// The worst legal properties text grows sixfold in JSON.
#[test]
fn the_longest_properties_fit_a_header() {
    let longest = "\u{1}".repeat(remoting::message::PROPERTIES_BYTES_MAX);
    for (form, _) in FORMS {
        let mut out = Vec::new();
        let prefix = Prefix::request(RequestCode::SendMessageV2, Opaque(8), Version::V5_3_3);
        let header = SendMessage {
            properties: Some(longest.as_str().into()),
            ..send_message()
        };
        let frame = FrameWriter::begin(&mut out, prefix.serialization(form));
        frame
            .header(&SendMessageV2::from(header))
            .finish()
            .expect("fits");
        assert_eq!(decode(&out).ext.get("i").as_deref(), Some(longest.as_str()));
    }
}

#[test]
fn a_frame_that_cannot_be_written_leaves_nothing() {
    let prefix = Prefix::request(RequestCode::HeartBeat, Opaque(1), Version::V5_3_3);
    let mut out = b"kept".to_vec();
    drop(FrameWriter::begin(&mut out, prefix));
    assert_eq!(out, b"kept");

    let frame = FrameWriter::begin(&mut out, prefix);
    let error = frame
        .finish_with(&vec![0; FRAME_BYTES_MAX])
        .expect_err("too large");
    assert!(matches!(error, FrameError::FrameTooLarge { .. }));
    assert_eq!(out, b"kept");

    let mut frame = FrameWriter::begin(&mut out, prefix.serialization(Serialization::Binary));
    frame.field(&"k".repeat(40_000), "v");
    assert_eq!(frame.finish(), Err(FrameError::FieldTooLong));
    assert_eq!(out, b"kept");

    let open = FrameWriter::begin(&mut out, prefix)
        .body()
        .expect("fits")
        .detach();
    out.extend_from_slice(b"half a body");
    open.take_back(&mut out);
    assert_eq!(out, b"kept");
}
