//! The stored form of a message: its frame in version 12, loose, uncached, without stack traces
//! and without size prefix, so it starts with the type code.
//!
//! Whatever encoding a message came in, its record is the same bytes. [`MessageRef`] reads a
//! record in place and remembers where the fields are that a broker changes on delivery; all of
//! them have a fixed width, so a delivery to a loose peer is one copy and a few patches.

use std::borrow::Cow;
use std::ops::Range;

use crate::command::AnyStructure;
use crate::commands::{MESSAGE_WINDOW_BYTES, Message, MessageKind};
use crate::decoder::read_loose;
use crate::ids::{DestinationKind, DestinationRef, MessageIdRef, ProducerIdRef};
use crate::input::Input;
use crate::loose::{LooseReader, LooseWriter};
use crate::negotiate::VERSION_MAX;
use crate::primitive::{PrimitiveLimits, Properties};
use crate::reader::{ReadState, Reader};
use crate::schema::Structure;
use crate::writer::WriteState;
use crate::{JavaStr, Limits, Malformed, Unencodable, body};

/// Appends the record of `message` to `out` and says where in the record its content is; the
/// range is empty if there is none. On failure `out` is as before.
pub fn encode_canonical(
    message: &Message<'_>,
    out: &mut Vec<u8>,
) -> Result<Range<usize>, Unencodable> {
    let start = out.len();
    let mut state = WriteState::new(VERSION_MAX);
    out.push(message.code());
    let mut writer = LooseWriter::new(out, &mut state);
    let written = message.write(&mut writer);
    let content = writer.first_bulk.unwrap_or_default();
    if let Err(unencodable) = written {
        out.truncate(start);
        return Err(unencodable);
    }
    Ok(content.start.saturating_sub(start)..content.end.saturating_sub(start))
}

/// Decodes a record whose names need not be shared; see [`CanonicalReader`] for a stream of them.
pub fn decode_canonical(record: &[u8]) -> Result<Message<'_>, Malformed> {
    CanonicalReader::default().decode(record)
}

/// Decodes records one after the other, sharing the names that come again.
#[derive(Debug)]
pub struct CanonicalReader {
    state: ReadState,
}

impl Default for CanonicalReader {
    fn default() -> Self {
        Self {
            state: ReadState::new(VERSION_MAX, Limits::default()),
        }
    }
}

impl CanonicalReader {
    /// Content and properties stay borrowed from `record`.
    pub fn decode<'a>(&mut self, record: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let mut input = Input::new(record);
        let code = input.u8()?;
        self.state.begin_frame();
        if !Message::accepts(code) {
            return Err(Malformed::UnexpectedType { code });
        }
        read_loose(code, input, &mut self.state)
    }
}

/// The fields a broker owns: what a delivery says instead of the record. Unset ones stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Earlier deliveries that the client may have seen.
    pub redelivery_counter: i32,
    /// Positive and increasing broker-wide; part of the message id.
    pub broker_sequence_id: Option<i64>,
    /// Milliseconds since the epoch.
    pub arrival: Option<i64>,
    /// Milliseconds since the epoch.
    pub broker_in_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub broker_out_time: Option<i64>,
    /// Whether this is the first message of its group that this consumer gets.
    pub group_first_for_consumer: Option<bool>,
}

impl Stamp {
    /// Overrides the fields of a decoded message.
    pub fn apply(&self, message: &mut Message<'_>) {
        message.redelivery_counter = self.redelivery_counter;
        if let (Some(sequence), Some(id)) = (self.broker_sequence_id, &mut message.message_id) {
            id.broker_sequence_id = sequence;
        }
        message.arrival = self.arrival.unwrap_or(message.arrival);
        message.broker_in_time = self.broker_in_time.unwrap_or(message.broker_in_time);
        message.broker_out_time = self.broker_out_time.unwrap_or(message.broker_out_time);
        message.jms_x_group_first_for_consumer = self
            .group_first_for_consumer
            .unwrap_or(message.jms_x_group_first_for_consumer);
    }
}

/// A record read in place, without allocating. Fields that only matter to networks of brokers or
/// to transactions need [`CanonicalReader::decode`].
#[derive(Clone, Debug)]
pub struct MessageRef<'a> {
    pub kind: MessageKind,
    pub producer_id: Option<ProducerIdRef<'a>>,
    pub destination: Option<DestinationRef<'a>>,
    pub original_destination: Option<DestinationRef<'a>>,
    pub message_id: Option<MessageIdRef<'a>>,
    pub is_transacted: bool,
    pub group_id: Option<JavaStr<'a>>,
    pub group_sequence: i32,
    pub correlation_id: Option<JavaStr<'a>>,
    pub persistent: bool,
    pub expiration: i64,
    pub priority: i8,
    pub reply_to: Option<DestinationRef<'a>>,
    pub timestamp: i64,
    pub message_type: Option<JavaStr<'a>>,
    pub content: Option<&'a [u8]>,
    pub marshalled_properties: Option<&'a [u8]>,
    pub compressed: bool,
    pub redelivery_counter: i32,
    pub arrival: i64,
    pub user_id: Option<JavaStr<'a>>,
    pub broker_in_time: i64,
    pub broker_out_time: i64,
    record: &'a [u8],
    layout: Layout,
}

/// Offsets into a record.
#[derive(Clone, Debug)]
struct Layout {
    broker_sequence_id: Option<usize>,
    content: Range<usize>,
    data_structure: Range<usize>,
    redelivery_counter: usize,
    arrival: usize,
    broker_in_time: usize,
    broker_out_time: usize,
    group_first_for_consumer: usize,
}

impl<'a> MessageRef<'a> {
    /// Reads a record.
    pub fn parse(record: &'a [u8]) -> Result<Self, Malformed> {
        let mut walk = Walk {
            input: Input::new(record),
            bytes: record.len(),
        };
        let kind = MessageKind::from_code(walk.input.u8()?)?;
        let _command_id = walk.input.i32()?;
        let _response_required = walk.flag()?;
        let producer_id = walk.producer_id()?;
        let destination = walk.destination()?;
        let is_transacted = walk.skip_transaction_id()?;
        let original_destination = walk.destination()?;
        let message_id = walk.message_id()?;
        let after_message_id = walk.at();
        let _has_original_transaction = walk.skip_transaction_id()?;
        let group_id = walk.text()?;
        let group_sequence = walk.input.i32()?;
        let correlation_id = walk.text()?;
        let persistent = walk.flag()?;
        let expiration = walk.input.i64()?;
        let priority = walk.input.u8()?.cast_signed();
        let reply_to = walk.destination()?;
        let timestamp = walk.input.i64()?;
        let message_type = walk.text()?;
        let content = walk.bytes()?;
        let content_end = walk.at();
        let marshalled_properties = walk.bytes()?;
        let data_structure = walk.skip_data_structure()?;
        walk.skip_consumer_id()?;
        let compressed = walk.flag()?;
        let at_redelivery_counter = walk.at();
        let redelivery_counter = walk.input.i32()?;
        walk.skip_broker_ids()?;
        let at_arrival = walk.at();
        let arrival = walk.input.i64()?;
        let user_id = walk.text()?;
        let _received_by_df_bridge = walk.flag()?;
        let _droppable = walk.flag()?;
        walk.skip_broker_ids()?;
        let at_broker_in_time = walk.at();
        let broker_in_time = walk.input.i64()?;
        let at_broker_out_time = walk.at();
        let broker_out_time = walk.input.i64()?;
        let at_group_first = walk.at();
        let _group_first_for_consumer = walk.flag()?;
        if kind == MessageKind::Blob {
            walk.text()?;
            walk.text()?;
            walk.flag()?;
        }
        if walk.input.remaining() > 0 {
            return Err(Malformed::Trailing {
                bytes: walk.input.remaining(),
            });
        }
        let layout = Layout {
            broker_sequence_id: message_id.map(|_| after_message_id - size_of::<i64>()),
            content: content_end - content.map_or(0, <[u8]>::len)..content_end,
            data_structure,
            redelivery_counter: at_redelivery_counter,
            arrival: at_arrival,
            broker_in_time: at_broker_in_time,
            broker_out_time: at_broker_out_time,
            group_first_for_consumer: at_group_first,
        };
        Ok(Self {
            kind,
            producer_id,
            destination,
            original_destination,
            message_id,
            is_transacted,
            group_id,
            group_sequence,
            correlation_id,
            persistent,
            expiration,
            priority,
            reply_to,
            timestamp,
            message_type,
            content,
            marshalled_properties,
            compressed,
            redelivery_counter,
            arrival,
            user_id,
            broker_in_time,
            broker_out_time,
            record,
            layout,
        })
    }

    /// The record itself.
    pub fn record(&self) -> &'a [u8] {
        self.record
    }

    /// Where in the record the content is; empty if there is none.
    pub fn content_range(&self) -> Range<usize> {
        self.layout.content.clone()
    }

    /// Whether the record carries an object, as advisories do.
    pub fn has_data_structure(&self) -> bool {
        !self.layout.data_structure.is_empty()
    }

    /// The application's properties, to look into without allocating.
    pub fn properties(&self, limits: PrimitiveLimits) -> Result<Properties<'a>, Malformed> {
        match self.marshalled_properties {
            Some(bytes) => Properties::parse(bytes, limits),
            None => Ok(Properties::empty(limits)),
        }
    }

    /// The content without compression; see [`body`] for what it means.
    pub fn plain_content(&self, bytes_max: usize) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        match self.content {
            None => Ok(None),
            Some(content) if self.compressed => {
                body::inflate(self.kind, content, bytes_max).map(|plain| Some(Cow::Owned(plain)))
            }
            Some(content) => Ok(Some(Cow::Borrowed(content))),
        }
    }

    /// See [`Message::window_bytes`].
    pub fn window_bytes(&self) -> usize {
        let content = self.content.map_or(0, <[u8]>::len);
        MESSAGE_WINDOW_BYTES + content + self.marshalled_properties.map_or(0, <[u8]>::len)
    }

    /// Appends the record with the fields of `stamp` overridden.
    pub fn copy_stamped(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.record);
        let Some(copy) = out.get_mut(start..) else {
            return;
        };
        let layout = &self.layout;
        patch(
            copy,
            layout.redelivery_counter,
            &stamp.redelivery_counter.to_be_bytes(),
        );
        if let (Some(at), Some(sequence)) = (layout.broker_sequence_id, stamp.broker_sequence_id) {
            patch(copy, at, &sequence.to_be_bytes());
        }
        for (at, millis) in [
            (layout.arrival, stamp.arrival),
            (layout.broker_in_time, stamp.broker_in_time),
            (layout.broker_out_time, stamp.broker_out_time),
        ] {
            if let Some(millis) = millis {
                patch(copy, at, &millis.to_be_bytes());
            }
        }
        if let Some(is_first) = stamp.group_first_for_consumer {
            patch(copy, layout.group_first_for_consumer, &[u8::from(is_first)]);
        }
    }
}

fn patch(record: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(field) = record.get_mut(at..at + bytes.len()) {
        field.copy_from_slice(bytes);
    }
}

/// Reads the fields of a record in place. The layout repeats the table of [`Message`]; a test
/// holds both against each other.
struct Walk<'a> {
    input: Input<'a>,
    bytes: usize,
}

impl<'a> Walk<'a> {
    fn at(&self) -> usize {
        self.bytes - self.input.remaining()
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        Ok(self.input.u8()? != 0)
    }

    fn text(&mut self) -> Result<Option<JavaStr<'a>>, Malformed> {
        if !self.flag()? {
            return Ok(None);
        }
        let length = usize::from(self.input.u16()?);
        JavaStr::from_modified(self.input.take(length)?).map(Some)
    }

    fn name(&mut self) -> Result<JavaStr<'a>, Malformed> {
        self.text()?.ok_or(Malformed::NullValue)
    }

    fn bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.flag()? {
            self.input.sized_bytes().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The type code of a nested structure that is not null.
    fn nested(&mut self) -> Result<Option<u8>, Malformed> {
        if self.flag()? {
            self.input.u8().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether a structure follows, which then has this type code.
    fn nested_of(&mut self, expected: u8) -> Result<bool, Malformed> {
        match self.nested()? {
            None => Ok(false),
            Some(code) if code == expected => Ok(true),
            Some(code) => Err(Malformed::UnexpectedType { code }),
        }
    }

    fn destination(&mut self) -> Result<Option<DestinationRef<'a>>, Malformed> {
        let Some(code) = self.nested()? else {
            return Ok(None);
        };
        let kind = DestinationKind::from_code(code)?;
        Ok(Some(DestinationRef {
            kind,
            physical_name: self.name()?,
        }))
    }

    fn producer_id(&mut self) -> Result<Option<ProducerIdRef<'a>>, Malformed> {
        if !self.nested_of(123)? {
            return Ok(None);
        }
        Ok(Some(ProducerIdRef {
            connection_id: self.name()?,
            value: self.input.i64()?,
            session_id: self.input.i64()?,
        }))
    }

    fn message_id(&mut self) -> Result<Option<MessageIdRef<'a>>, Malformed> {
        if !self.nested_of(110)? {
            return Ok(None);
        }
        Ok(Some(MessageIdRef {
            text_view: self.text()?,
            producer_id: self.producer_id()?,
            producer_sequence_id: self.input.i64()?,
            broker_sequence_id: self.input.i64()?,
        }))
    }

    fn skip_transaction_id(&mut self) -> Result<bool, Malformed> {
        match self.nested()? {
            None => return Ok(false),
            Some(111) => {
                let _value = self.input.i64()?;
                if self.nested_of(120)? {
                    self.name()?;
                }
            }
            Some(112) => {
                let _format_id = self.input.i32()?;
                self.bytes()?;
                self.bytes()?;
            }
            Some(code) => return Err(Malformed::UnexpectedType { code }),
        }
        Ok(true)
    }

    fn skip_consumer_id(&mut self) -> Result<(), Malformed> {
        if self.nested_of(122)? {
            self.name()?;
            self.input.take(2 * size_of::<i64>())?;
        }
        Ok(())
    }

    fn skip_broker_ids(&mut self) -> Result<(), Malformed> {
        if !self.flag()? {
            return Ok(());
        }
        let length = self.input.i16()?;
        if length < 0 {
            return Err(Malformed::NegativeLength {
                length: length.into(),
            });
        }
        for _ in 0..length {
            if !self.nested_of(124)? {
                return Err(Malformed::NullValue);
            }
            self.name()?;
        }
        Ok(())
    }

    /// Advisories alone carry one, so this may allocate.
    fn skip_data_structure(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at();
        let mut state = ReadState::new(VERSION_MAX, Limits::default());
        let mut reader = LooseReader {
            input: self.input,
            state: &mut state,
        };
        if reader.nested::<AnyStructure<'a>>()?.is_none() {
            self.input = reader.input;
            return Ok(start..start);
        }
        self.input = reader.input;
        Ok(start..self.at())
    }
}
