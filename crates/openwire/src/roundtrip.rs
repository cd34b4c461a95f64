//! Every type in every version and encoding, out and in again.
//!
//! A third reader invents the fields instead of reading them, so a type added to the table is
//! tested without being mentioned here.

use std::borrow::Cow;
use std::sync::Arc;

use crate::canonical::{MessageRef, Stamp, decode_canonical, encode_canonical};
use crate::input::Input;
use crate::reader::{ReadState, Reader};
use crate::schema::{BaseCommand, Cacheable, Magic, Structure};
use crate::throwable::StackFrame;
use crate::{
    AnyStructure, Command, ConsumerId, DataResponse, Decoder, Destination, Encoder, JavaStr,
    JavaString, Limits, Malformed, Message, MessageDispatch, MessageKind, Negotiated, Throwable,
};

/// Deep enough for a dispatch of an advisory about a consumer with a bridge filter.
const DEPTH_MAX: usize = 6;

/// Type codes in the table.
const TYPE_CODES: usize = 57;

const CODES: std::ops::RangeInclusive<u8> = 1..=124;

/// Invents the fields of a structure.
struct Inventor {
    state: ReadState,
    input: Input<'static>,
    optionals: Optionals,
    counter: i32,
    depth: usize,
    /// The kinds of the outermost fields, in the words of `v12table.txt`.
    kinds: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Optionals {
    Present,
    Absent,
}

impl Inventor {
    fn new(version: i32, optionals: Optionals) -> Self {
        let state = ReadState::new(version, Limits::default());
        Self {
            state,
            input: Input::new(&[]),
            optionals,
            counter: 0,
            depth: 0,
            kinds: vec![],
        }
    }

    fn next(&mut self) -> i32 {
        self.counter += 1;
        self.counter
    }

    fn log(&mut self, kind: &'static str) {
        if self.depth == 0 {
            self.kinds.push(kind);
        }
    }

    fn invent_text(&mut self) -> JavaString {
        let number = self.next();
        format!("{}{number}", ["", "é", "n\0", "😀"][number as usize % 4]).into()
    }

    fn invent_nested<T: Structure<'static>>(&mut self) -> Result<Option<T>, Malformed> {
        if !self.is_present() || self.depth == DEPTH_MAX {
            return Ok(None);
        }
        let codes: Vec<u8> = CODES.filter(|&code| T::accepts(code)).collect();
        let code = codes[self.next() as usize % codes.len()];
        self.depth += 1;
        let structure = T::read(code, self);
        self.depth -= 1;
        structure.map(Some)
    }

    fn is_present(&self) -> bool {
        self.optionals == Optionals::Present
    }
}

impl Reader<'static> for Inventor {
    fn state(&mut self) -> &mut ReadState {
        &mut self.state
    }

    fn input(&mut self) -> &mut Input<'static> {
        &mut self.input
    }

    fn bool(&mut self) -> Result<bool, Malformed> {
        self.log("bool");
        Ok(self.next() % 3 == 0)
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        self.log("long");
        let values = [
            0,
            0xFFFF,
            0x1_0000,
            0xFFFF_FFFF,
            0x1_0000_0000,
            -1,
            i64::MIN,
            77,
        ];
        Ok(values[self.next() as usize % values.len()])
    }

    fn text(&mut self) -> Result<JavaStr<'static>, Malformed> {
        unreachable!("str and name invent their own")
    }

    fn marshal_aware(&mut self, _code: u8) -> Result<(), Malformed> {
        Ok(())
    }

    fn byte(&mut self) -> Result<i8, Malformed> {
        self.log("byte");
        Ok(self.next() as i8)
    }

    fn int(&mut self) -> Result<i32, Malformed> {
        self.log("int");
        Ok(-self.next())
    }

    fn base(&mut self) -> Result<BaseCommand, Malformed> {
        self.log("int");
        self.log("bool");
        Ok(BaseCommand::request(self.next()))
    }

    fn magic(&mut self) -> Result<Magic, Malformed> {
        self.log("bytes[8]");
        Ok(Magic)
    }

    fn str(&mut self) -> Result<Option<JavaString>, Malformed> {
        self.log("str");
        let text = self.invent_text();
        Ok(self.is_present().then_some(text))
    }

    fn name(&mut self) -> Result<JavaString, Malformed> {
        self.log("str");
        Ok(self.invent_text())
    }

    fn bytes(&mut self) -> Result<Option<Arc<[u8]>>, Malformed> {
        self.log("bytes");
        let bytes = self.next().to_be_bytes();
        Ok(self.is_present().then(|| Arc::from(bytes)))
    }

    fn bulk(&mut self) -> Result<Option<Cow<'static, [u8]>>, Malformed> {
        self.log("bytes");
        let bytes = vec![7; self.next() as usize % 300];
        Ok(self.is_present().then_some(Cow::Owned(bytes)))
    }

    fn nested<T: Structure<'static>>(&mut self) -> Result<Option<T>, Malformed> {
        self.log("N");
        self.invent_nested()
    }

    fn array<T: Structure<'static>>(&mut self) -> Result<Option<Vec<T>>, Malformed> {
        self.log("A");
        if !self.is_present() {
            return Ok(None);
        }
        let first = self.invent_nested()?;
        Ok(Some(first.into_iter().collect()))
    }

    fn cached<T: Cacheable>(&mut self) -> Result<Option<T>, Malformed> {
        self.log("C");
        self.invent_nested()
    }

    fn throwable(&mut self) -> Result<Option<Box<Throwable>>, Malformed> {
        self.log("throwable");
        if !self.is_present() {
            return Ok(None);
        }
        let cause = Throwable {
            class: Some(self.invent_text()),
            ..Throwable::default()
        };
        let method = Some(self.invent_text());
        let frame = StackFrame {
            class: None,
            method,
            file: None,
            line: -2,
        };
        Ok(Some(Box::new(Throwable {
            class: Some(self.invent_text()),
            message: Some(self.invent_text()),
            frames: vec![frame],
            cause: Some(Box::new(cause)),
        })))
    }
}

fn invent(code: u8, version: i32, optionals: Optionals) -> Option<AnyStructure<'static>> {
    if !AnyStructure::accepts(code) {
        return None;
    }
    let structure = AnyStructure::read(code, &mut Inventor::new(version, optionals));
    Some(structure.expect("invented fields are well-formed"))
}

fn invent_message(code: u8, optionals: Optionals) -> Message<'static> {
    let mut inventor = Inventor::new(12, optionals);
    Message::read(code, &mut inventor).expect("invented fields are well-formed")
}

fn every_encoding() -> impl Iterator<Item = Negotiated> {
    let modes = [
        (false, None),
        (false, Some(1024)),
        (true, None),
        (true, Some(1024)),
    ];
    (1..=12).flat_map(move |version| {
        modes.map(|(tight_encoding, cache_slots)| Negotiated {
            version,
            tight_encoding,
            cache_slots,
            stack_traces: true,
            ..Negotiated::CANONICAL
        })
    })
}

fn pair(negotiated: &Negotiated) -> (Encoder, Decoder) {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(Limits::default()));
    encoder.switch(negotiated);
    decoder.switch(negotiated);
    decoder.allow_frames_of(usize::MAX);
    (encoder, decoder)
}

fn receive<'a>(decoder: &mut Decoder, frame: &'a [u8]) -> Command<'a> {
    let received = decoder.feed(frame).expect("well-formed").expect("complete");
    assert_eq!(received.consumed, frame.len());
    received.command.expect("not a null frame")
}

#[test]
fn every_type_survives_every_version_and_encoding() {
    let mut types = 0;
    for negotiated in every_encoding() {
        let (mut encoder, mut decoder) = pair(&negotiated);
        for (code, optionals) in
            CODES.flat_map(|code| [(code, Optionals::Present), (code, Optionals::Absent)])
        {
            let Some(structure) = invent(code, negotiated.version, optionals) else {
                continue;
            };
            let command = match structure {
                AnyStructure::Command(command) => command,
                other => DataResponse {
                    data: Some(Box::new(other)),
                    ..DataResponse::default()
                }
                .into(),
            };
            // Twice, so that the second frame finds its names in the cache.
            for _ in 0..2 {
                let mut frame = Vec::new();
                encoder.encode(&command, &mut frame).expect("fits");
                assert_eq!(receive(&mut decoder, &frame), command, "{negotiated:?}");
            }
            types += 1;
        }
    }
    // All type codes, with and without optional fields, in 48 encodings.
    assert_eq!(types, TYPE_CODES * 2 * 48);
}

#[test]
fn a_record_is_the_same_whatever_encoding_the_message_came_in() {
    for (code, optionals) in
        (23..=29).flat_map(|code| [(code, Optionals::Present), (code, Optionals::Absent)])
    {
        let mut message = invent_message(code, optionals);
        // What an advisory is about may hold an exception, whose stack trace records drop.
        message.data_structure = invent(5, 12, optionals).map(Box::new);
        let mut expected = Vec::new();
        encode_canonical(&message, &mut expected).expect("fits");
        assert_eq!(decode_canonical(&expected), Ok(message.clone()));
        for negotiated in every_encoding().filter(|negotiated| negotiated.version == 12) {
            let (mut encoder, mut decoder) = pair(&negotiated);
            for _ in 0..2 {
                let mut frame = Vec::new();
                encoder
                    .encode(&message.clone().into(), &mut frame)
                    .expect("fits");
                let Command::Message(received) = receive(&mut decoder, &frame) else {
                    panic!("a message was sent");
                };
                let mut record = Vec::new();
                encode_canonical(&received, &mut record).expect("fits");
                assert_eq!(record, expected);
            }
        }
    }
}

#[test]
fn reading_a_record_in_place_agrees_with_decoding_it() {
    for (code, optionals) in
        (23..=29).flat_map(|code| [(code, Optionals::Present), (code, Optionals::Absent)])
    {
        let mut message = invent_message(code, optionals);
        let mut record = vec![];
        let content = encode_canonical(&message, &mut record).expect("fits");
        let message_ref = MessageRef::parse(&record).expect("well-formed");
        assert_eq!(message_ref.kind, message.kind);
        assert_eq!(
            message_ref.producer_id.map(|id| id.to_owned()),
            message.producer_id
        );
        assert_eq!(
            message_ref.destination.map(|name| name.to_owned()),
            message.destination
        );
        assert_eq!(
            message_ref.original_destination.map(|name| name.to_owned()),
            message.original_destination
        );
        assert_eq!(
            message_ref.message_id.map(|id| id.to_owned()),
            message.message_id
        );
        assert_eq!(message_ref.is_transacted, message.transaction_id.is_some());
        let owned = |text: Option<JavaStr<'_>>| text.map(JavaStr::to_owned);
        assert_eq!(owned(message_ref.group_id), message.group_id);
        assert_eq!(message_ref.group_sequence, message.group_sequence);
        assert_eq!(owned(message_ref.correlation_id), message.correlation_id);
        assert_eq!(message_ref.persistent, message.persistent);
        assert_eq!(message_ref.expiration, message.expiration);
        assert_eq!(message_ref.priority, message.priority);
        assert_eq!(
            message_ref.reply_to.map(|name| name.to_owned()),
            message.reply_to
        );
        assert_eq!(message_ref.timestamp, message.timestamp);
        assert_eq!(owned(message_ref.message_type), message.message_type);
        assert_eq!(message_ref.content, message.content.as_deref());
        assert_eq!(
            record.get(content),
            Some(message.content.as_deref().unwrap_or_default())
        );
        assert_eq!(
            message_ref.marshalled_properties,
            message.marshalled_properties.as_deref()
        );
        assert_eq!(
            message_ref.has_data_structure(),
            message.data_structure.is_some()
        );
        assert_eq!(message_ref.compressed, message.compressed);
        assert_eq!(message_ref.redelivery_counter, message.redelivery_counter);
        assert_eq!(message_ref.arrival, message.arrival);
        assert_eq!(owned(message_ref.user_id), message.user_id);
        assert_eq!(message_ref.broker_in_time, message.broker_in_time);
        assert_eq!(message_ref.broker_out_time, message.broker_out_time);
        assert_eq!(message_ref.window_bytes(), message.window_bytes());

        let stamp = Stamp {
            redelivery_counter: 3,
            broker_sequence_id: Some(4),
            arrival: Some(5),
            broker_in_time: Some(6),
            broker_out_time: Some(7),
            group_first_for_consumer: Some(true),
        };
        let mut stamped = vec![];
        message_ref.copy_stamped(&stamp, &mut stamped);
        stamp.apply(&mut message);
        assert_eq!(decode_canonical(&stamped), Ok(message));

        for end in 0..record.len() {
            assert!(MessageRef::parse(&record[..end]).is_err());
            assert!(decode_canonical(&record[..end]).is_err());
        }
    }
}

#[test]
fn a_stored_record_reaches_every_peer_as_the_same_dispatch() {
    let consumer_id = ConsumerId {
        connection_id: "ID:c".into(),
        session_id: 1,
        value: 2,
    };
    let destination = Destination::queue("Q");
    let stamp = Stamp {
        redelivery_counter: 2,
        broker_out_time: Some(9),
        ..Stamp::default()
    };
    for code in 23..=29 {
        let mut message = invent_message(code, Optionals::Present);
        message.data_structure = invent(5, 12, Optionals::Present).map(Box::new);
        let mut record = vec![];
        encode_canonical(&message, &mut record).expect("fits");
        stamp.apply(&mut message);
        let dispatch = MessageDispatch {
            base: BaseCommand::default(),
            consumer_id: Some(consumer_id.clone()),
            destination: Some(destination.clone()),
            message: Some(message),
            redelivery_counter: 2,
        };
        for negotiated in every_encoding() {
            let (mut direct, _) = pair(&negotiated);
            let (mut stored, _) = pair(&negotiated);
            for _ in 0..2 {
                let (mut expected, mut frame) = (vec![], vec![]);
                direct
                    .encode_dispatch(&dispatch, &mut expected)
                    .expect("fits");
                stored
                    .encode_record(&consumer_id, &destination, &record, &stamp, &mut frame)
                    .expect("fits");
                assert_eq!(frame, expected, "{negotiated:?}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_leaves_no_trace() {
    let message = Message {
        kind: MessageKind::Bytes,
        destination: Some(Destination::queue("Q")),
        content: Some(Cow::Owned(vec![0; 2000])),
        ..Message::default()
    };
    let small = Message {
        content: None,
        ..message.clone()
    };
    for negotiated in every_encoding() {
        let (mut encoder, mut decoder) = pair(&Negotiated {
            frame_bytes_max: 1000,
            ..negotiated
        });
        let mut out = b"before".to_vec();
        encoder
            .encode(&message.clone().into(), &mut out)
            .expect_err("too large");
        let long = Message {
            user_id: Some("u".repeat(70_000).into()),
            ..small.clone()
        };
        encoder
            .encode(&long.into(), &mut out)
            .expect_err("too long");
        assert_eq!(out, b"before");
        let mut frame = vec![];
        encoder
            .encode(&small.clone().into(), &mut frame)
            .expect("fits");
        assert_eq!(receive(&mut decoder, &frame), small.clone().into());
    }
}

/// The kinds of a type's fields in one version, inherited ones first, by the published table.
fn published_kinds(rows: &[(&str, &str, &str, &str)], name: &str, version: i32) -> Vec<String> {
    let Some((_, _, parent, fields)) = rows.iter().find(|(_, row, _, _)| *row == name) else {
        return vec![];
    };
    let mut kinds = published_kinds(rows, parent, version);
    for field in fields.split(", ").filter(|field| !field.is_empty()) {
        let (field, since) = match field.split_once(" ⟨v") {
            Some((field, since)) => (field, since.trim_end_matches('⟩').parse().expect("number")),
            None => (field, 1),
        };
        if version >= since {
            let (_, kind) = field.split_once(':').expect("name and kind");
            kinds.push(kind.split('<').next().expect("kind").to_owned());
        }
    }
    kinds
}

#[test]
fn the_table_is_the_published_one() {
    let table = include_str!("../tests/vectors/v12table.txt");
    let rows: Vec<(&str, &str, &str, &str)> = table
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1], cells[2], cells[3], cells[4])
        })
        .collect();
    let mut types = 0;
    for code in CODES {
        let row = rows.iter().find(|(id, ..)| id.parse() == Ok(code));
        assert_eq!(row.is_some(), AnyStructure::accepts(code), "type {code}");
        let Some((_, name, ..)) = row else { continue };
        types += 1;
        for version in 1..=12 {
            let mut inventor = Inventor::new(version, Optionals::Absent);
            AnyStructure::read(code, &mut inventor).expect("invented fields are well-formed");
            let published = match (code, version) {
                // The exception that the table cannot express.
                (91, 1..10) => vec!["int".to_owned(), "C".to_owned()],
                _ => published_kinds(&rows, name, version),
            };
            assert_eq!(inventor.kinds, published, "{name} in version {version}");
        }
    }
    assert_eq!(types, TYPE_CODES);
}
