//! The rules of a connection: what may come when, how much of it, and what is refused.

use openwire::{
    AnyStructure, BaseCommand, BrokerId, BrokerInfo, Command, ConnectionError, ConnectionId,
    ConsumerId, ConsumerInfo, Decoder, Destination, Encoder, ExceptionClass, ExceptionResponse,
    Identity, KeepAliveInfo, Limits, Malformed, Message, MessageDispatch, Negotiated, RemoveInfo,
    Response, SessionId, SessionInfo, Throwable, UNAUTHENTICATED_FRAME_BYTES_MAX, Unencodable,
    WireFormatOptions,
};

/// A quarter of what threads have by default, without optimization.
const STACK_BYTES: usize = 512 * 1024;

fn agreed(tight_encoding: bool, cache_slots: Option<usize>) -> Negotiated {
    Negotiated {
        tight_encoding,
        cache_slots,
        ..Negotiated::CANONICAL
    }
}

fn encoder(negotiated: &Negotiated) -> Encoder {
    let mut encoder = Encoder::new();
    encoder.switch(negotiated);
    encoder
}

fn decoder(negotiated: &Negotiated) -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.switch(negotiated);
    decoder
}

fn encode(encoder: &mut Encoder, command: impl Into<Command<'static>>) -> Vec<u8> {
    let mut frame = vec![];
    encoder.encode(&command.into(), &mut frame).expect("fits");
    frame
}

fn refusal(negotiated: &Negotiated, frame: &[u8]) -> Malformed {
    decoder(negotiated)
        .decode_frame(frame)
        .expect_err("malformed")
}

fn session_info(value: i64) -> SessionInfo {
    let session_id = Some(SessionId {
        connection_id: "ID:c".into(),
        value,
    });
    SessionInfo {
        base: BaseCommand::one_way(1),
        session_id,
    }
}

#[test]
fn only_the_wire_format_comes_before_the_negotiation() {
    let mut decoder = Decoder::new(Limits::default());
    let keep_alive = encode(&mut Encoder::new(), KeepAliveInfo::default());
    assert_eq!(
        decoder.feed(&keep_alive),
        Err(Malformed::BeforeNegotiation { code: 10 })
    );
    let info = WireFormatOptions::broker("5.18.3", "Java", 1 << 20).to_info();
    let mut frame = encode(&mut Encoder::new(), info.clone());
    let received = decoder
        .feed(&frame)
        .expect("well-formed")
        .expect("complete");
    assert_eq!(received.command, Some(info.into()));
    frame[5] = b'a';
    assert_eq!(decoder.feed(&frame), Err(Malformed::Magic));
}

#[test]
fn frames_are_taken_one_by_one_and_null_frames_say_nothing() {
    let mut decoder = decoder(&Negotiated::CANONICAL);
    let mut stream = vec![0, 0, 0, 1, 0];
    stream.extend(encode(&mut Encoder::new(), Response::to(7)));
    stream.extend(encode(&mut Encoder::new(), Response::to(8)));
    let mut answered = vec![];
    let mut rest = &stream[..];
    while let Some(received) = decoder.feed(rest).expect("well-formed") {
        rest = &rest[received.consumed..];
        answered.push(received.command);
    }
    assert!(rest.is_empty());
    assert_eq!(
        answered,
        [
            None,
            Some(Response::to(7).into()),
            Some(Response::to(8).into())
        ]
    );
    assert_eq!(
        decoder.decode_frame(&[0, 0]),
        Err(Malformed::Trailing { bytes: 1 })
    );
    assert_eq!(
        decoder.decode_frame(&[13]),
        Err(Malformed::UnknownType { code: 13 })
    );
    // A destination is a structure, but not a command.
    assert_eq!(
        decoder.decode_frame(&[100]),
        Err(Malformed::UnknownType { code: 100 })
    );
}

#[test]
fn the_size_prefix_alone_decides_about_oversized_frames() {
    let mut decoder = decoder(&Negotiated::CANONICAL);
    let limit = UNAUTHENTICATED_FRAME_BYTES_MAX;
    let prefix = |size: i32| size.to_be_bytes();
    assert_eq!(decoder.feed(&prefix(5120)), Ok(None));
    let too_large = Malformed::FrameTooLarge { size: 5121, limit };
    assert_eq!(decoder.feed(&prefix(5121)), Err(too_large));
    assert_eq!(
        decoder.feed(&prefix(0)),
        Err(Malformed::FrameSize { size: 0 })
    );
    assert_eq!(
        decoder.feed(&prefix(-1)),
        Err(Malformed::FrameSize { size: -1 })
    );
    decoder.allow_frames_of(1 << 20);
    assert_eq!(decoder.feed(&prefix(1 << 20)), Ok(None));
}

#[test]
fn a_slot_that_was_never_filled_is_null() {
    for tight in [false, true] {
        let agreed = agreed(tight, Some(1024));
        let mut sender = encoder(&agreed);
        let new = encode(&mut sender, session_info(1));
        let cached = encode(&mut sender, session_info(1));
        assert!(cached.len() < new.len());
        // A Java sender that gave up on a frame counts the values in it as sent.
        let late = decoder(&agreed).decode_frame(&cached[4..]);
        let nobody = SessionInfo {
            session_id: None,
            ..session_info(1)
        };
        assert_eq!(late, Ok(Some(nobody.into())));

        let mut receiver = decoder(&agreed);
        for frame in [&new, &cached, &cached] {
            let received = receiver
                .feed(frame)
                .expect("well-formed")
                .expect("complete");
            assert_eq!(received.command, Some(session_info(1).into()));
        }
        // Index 0 is a session; a BrokerInfo wants a broker there.
        let mut other = encoder(&agreed);
        let broker_id = Some(BrokerId {
            value: "ID:b".into(),
        });
        encode(
            &mut other,
            BrokerInfo {
                broker_id: broker_id.clone(),
                ..BrokerInfo::default()
            },
        );
        let frame = encode(
            &mut other,
            BrokerInfo {
                broker_id,
                ..BrokerInfo::default()
            },
        );
        assert_eq!(
            receiver.decode_frame(&frame[4..]),
            Err(Malformed::CacheType { index: 0 })
        );
    }
}

#[test]
fn what_is_removed_may_be_any_identity_also_from_the_cache() {
    let identities = [
        Identity::Connection(ConnectionId {
            value: "ID:c".into(),
        }),
        Identity::Session(SessionId {
            connection_id: "ID:c".into(),
            value: 1,
        }),
        Identity::Destination(Destination::topic("T")),
    ];
    for tight in [false, true] {
        let agreed = agreed(tight, Some(1024));
        let (mut sender, mut receiver) = (encoder(&agreed), decoder(&agreed));
        for object_id in identities.iter().chain(&identities) {
            let info = RemoveInfo {
                object_id: Some(object_id.clone()),
                ..RemoveInfo::default()
            };
            let frame = encode(&mut sender, info.clone());
            let received = receiver
                .feed(&frame)
                .expect("well-formed")
                .expect("complete");
            assert_eq!(received.command, Some(info.into()));
        }
    }
}

#[test]
fn exceptions_say_no_more_than_class_and_message() {
    let exception = Throwable::new(ExceptionClass::Security, "no");
    let response = ExceptionResponse::to(9, exception.clone());
    let strings = b"\x01\x00\x1bjava.lang.SecurityException\x01\x00\x02no";
    let head = [31, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1];
    let loose = encode(&mut Encoder::new(), response.clone());
    assert_eq!(loose[4..], [&head[..], strings].concat());
    // With stack traces: no frames, no cause.
    let traces = Negotiated {
        stack_traces: true,
        ..Negotiated::CANONICAL
    };
    let loose = encode(&mut encoder(&traces), response);
    assert_eq!(loose[4..], [&head[..], strings, &[0, 0, 0]].concat());

    let error = ConnectionError::on(
        ConnectionId {
            value: "ID:c".into(),
        },
        exception,
    );
    let frame = encode(&mut encoder(&traces), error.clone());
    let received = decoder(&traces)
        .decode_frame(&frame[4..])
        .expect("well-formed");
    assert_eq!(received, Some(error.into()));
}

#[test]
fn counts_and_depths_are_bounded_by_name() {
    let traces = Negotiated {
        stack_traces: true,
        ..Negotiated::CANONICAL
    };
    // 40 causes inside one another: class and message null, no frames.
    let mut frame = vec![31, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    for _ in 0..40 {
        frame.extend([1, 0, 0, 0, 0]);
    }
    frame.push(0);
    let limit_exceeded = |what, limit| {
        let size = limit + 1;
        Malformed::LimitExceeded { what, size, limit }
    };
    let causes_max = Limits::default().causes_max;
    assert_eq!(
        refusal(&traces, &frame),
        limit_exceeded("causes", causes_max)
    );

    // BrokerInfos inside one another; each is cut after the count of its peers.
    let mut frame = vec![2];
    for _ in 0..40 {
        frame.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2]);
    }
    let nesting_max = Limits::default().nesting_max;
    assert_eq!(
        refusal(&traces, &frame),
        limit_exceeded("nesting", nesting_max)
    );

    let data_array = |count: i16| {
        [
            &[33, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1][..],
            &count.to_be_bytes()[..],
        ]
        .concat()
    };
    let refused = refusal(&traces, &data_array(32_767));
    assert!(matches!(
        refused,
        Malformed::LimitExceeded {
            what: "array",
            size: 32_767,
            ..
        }
    ));
    assert_eq!(refusal(&traces, &data_array(100)), Malformed::Truncated);
    let refused = refusal(&traces, &data_array(-1));
    assert_eq!(refused, Malformed::NegativeLength { length: -1 });
}

#[test]
fn tight_booleans_must_suffice_and_be_used_up() {
    let agreed = agreed(true, None);
    let response = |bits: &[u8]| [&[30], bits, &[0, 0, 0, 0, 0, 0, 0, 9]].concat();
    assert!(decoder(&agreed).decode_frame(&response(&[1, 0])).is_ok());
    assert!(
        decoder(&agreed)
            .decode_frame(&response(&[0xC0, 1, 0]))
            .is_ok()
    );
    assert!(
        decoder(&agreed)
            .decode_frame(&response(&[0x80, 0, 1, 0]))
            .is_ok()
    );
    assert_eq!(refusal(&agreed, &response(&[0])), Malformed::BitsExhausted);
    assert_eq!(
        refusal(&agreed, &response(&[2, 0, 0])),
        Malformed::TrailingBits { bytes: 1 }
    );
    let negative = refusal(&agreed, &response(&[0x80, 0xFF, 0xFF]));
    assert_eq!(negative, Malformed::NegativeLength { length: -1 });

    // The fourth boolean of this dispatch says that the message is pre-marshalled.
    let dispatch = MessageDispatch {
        message: Some(Message::default()),
        ..Default::default()
    };
    let mut frame = encode(&mut encoder(&agreed), dispatch);
    assert_eq!(frame[6] & 0b1_1000, 0b0_1000);
    frame[6] |= 0b1_0000;
    assert_eq!(refusal(&agreed, &frame[4..]), Malformed::PremarshalledForm);
}

#[test]
fn long_boolean_streams_use_every_length_form() {
    let agreed = agreed(true, None);
    for (path, form) in [(4, 0..64), (100, 0xC0..0xC1), (2000, 0x80..0x81)] {
        let id = ConsumerId {
            connection_id: "ID:c".into(),
            session_id: 1,
            value: -1,
        };
        let network_consumer_path = Some(vec![id; path]);
        let info = ConsumerInfo {
            network_consumer_path,
            ..ConsumerInfo::default()
        };
        let mut encoder = encoder(&agreed);
        // The second time the gap for the boolean stream is guessed from the first.
        let frames = [0, 1].map(|_| encode(&mut encoder, info.clone()));
        assert_eq!(frames[0], frames[1]);
        assert!(form.contains(&frames[0][5]), "{:x}", frames[0][5]);
        let mut decoder = decoder(&agreed);
        let command = decoder.decode_frame(&frames[1][4..]).expect("well-formed");
        assert_eq!(command, Some(info.into()));
    }
}

#[test]
fn strings_that_a_peer_could_not_read_are_not_sent() {
    let info = |bytes: usize| BrokerInfo {
        broker_name: Some("b".repeat(bytes).into()),
        ..BrokerInfo::default()
    };
    for (tight, limit) in [(false, 65_535), (true, 32_766)] {
        let mut encoder = encoder(&agreed(tight, None));
        encode(&mut encoder, info(limit));
        let refused = encoder.encode(&info(limit + 1).into(), &mut vec![]);
        assert_eq!(
            refused,
            Err(Unencodable::StringTooLong {
                bytes: limit + 1,
                limit
            })
        );
    }
}

#[test]
fn the_deepest_structure_fits_a_small_stack() {
    let nested = |levels: usize| {
        let mut message = Message::default();
        for _ in 1..levels {
            let inner = Box::new(AnyStructure::Command(Command::Message(message)));
            message = Message {
                data_structure: Some(inner),
                ..Message::default()
            };
        }
        message
    };
    let decode = move || {
        for tight in [false, true] {
            let agreed = agreed(tight, None);
            // The outermost message is not nested.
            let levels = Limits::default().nesting_max + 1;
            let frame = encode(&mut encoder(&agreed), nested(levels));
            let command = decoder(&agreed)
                .decode_frame(&frame[4..])
                .expect("well-formed");
            assert_eq!(command, Some(nested(levels).into()));
            let frame = encode(&mut encoder(&agreed), nested(levels + 1));
            let refused = refusal(&agreed, &frame[4..]);
            assert!(matches!(
                refused,
                Malformed::LimitExceeded {
                    what: "nesting",
                    ..
                }
            ));
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread
        .spawn(decode)
        .expect("a thread")
        .join()
        .expect("the stack suffices");
}
