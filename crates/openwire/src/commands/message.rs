//! Messages, and the commands that deliver and acknowledge them.

use crate::Malformed;
use crate::Unencodable;
use crate::command::AnyStructure;
use crate::ids::{BrokerId, ConsumerId, Destination, MessageId, ProducerId, TransactionId};
use crate::reader::Reader;
use crate::schema::{Tail, structure};
use crate::text::JavaString;
use crate::writer::Writer;

structure! {
    /// Types 23–29. Content and properties are borrowed from the frame they came in.
    pub struct Message<'a> = (kind MessageKind) {
        base: base,
        kind: code(MessageKind),
        producer_id: cached(ProducerId),
        destination: cached(Destination),
        transaction_id: cached(TransactionId),
        original_destination: cached(Destination),
        message_id: nested(MessageId),
        original_transaction_id: cached(TransactionId),
        group_id: str,
        group_sequence: int,
        correlation_id: str,
        persistent: bool,
        /// Milliseconds since the epoch; 0 for never.
        expiration: long,
        priority: byte,
        reply_to: nested(Destination),
        /// Milliseconds since the epoch.
        timestamp: long,
        /// JMSType; the field `type` of the specification.
        message_type: str,
        /// See [`crate::body`].
        content: bulk('a),
        /// A primitive map; see [`crate::primitive`].
        marshalled_properties: bulk('a),
        /// What an advisory is about.
        data_structure: boxed(AnyStructure<'a>),
        target_consumer_id: cached(ConsumerId),
        compressed: bool,
        redelivery_counter: int,
        broker_path: array(BrokerId),
        arrival: long,
        user_id: str,
        received_by_df_bridge: bool,
        droppable: bool since 2,
        cluster: array(BrokerId) since 3,
        broker_in_time: long since 3,
        broker_out_time: long since 3,
        jms_x_group_first_for_consumer: bool since 10,
        /// Set for [`MessageKind::Blob`] and for nothing else.
        blob: tail(Option<BlobFields>),
    }
}

/// The fields type 29 has in addition, present since version 3 like the type itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlobFields {
    pub remote_blob_url: Option<JavaString>,
    pub mime_type: Option<JavaString>,
    pub deleted_by_broker: bool,
}

impl Tail for Option<BlobFields> {
    fn read<'a, R: Reader<'a>>(code: u8, reader: &mut R) -> Result<Self, Malformed> {
        if code != MessageKind::Blob.code() {
            return Ok(None);
        }
        if reader.version() < 3 {
            return Ok(Some(BlobFields::default()));
        }
        Ok(Some(BlobFields {
            remote_blob_url: reader.str()?,
            mime_type: reader.str()?,
            deleted_by_broker: reader.bool()?,
        }))
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Unencodable> {
        let Some(blob) = self else { return Ok(()) };
        if writer.version() < 3 {
            return Ok(());
        }
        writer.str(&blob.remote_blob_url)?;
        writer.str(&blob.mime_type)?;
        writer.bool(&blob.deleted_by_broker)
    }
}

/// What the content of a message is; the type code itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageKind {
    #[default]
    Plain,
    Bytes,
    Map,
    Object,
    Stream,
    Text,
    Blob,
}

impl MessageKind {
    /// The type code.
    pub fn code(self) -> u8 {
        match self {
            Self::Plain => 23,
            Self::Bytes => 24,
            Self::Map => 25,
            Self::Object => 26,
            Self::Stream => 27,
            Self::Text => 28,
            Self::Blob => 29,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, Malformed> {
        match code {
            23 => Ok(Self::Plain),
            24 => Ok(Self::Bytes),
            25 => Ok(Self::Map),
            26 => Ok(Self::Object),
            27 => Ok(Self::Stream),
            28 => Ok(Self::Text),
            29 => Ok(Self::Blob),
            code => Err(Malformed::UnexpectedType { code }),
        }
    }
}

/// What clients add to content and properties when they count a message against a window.
pub const MESSAGE_WINDOW_BYTES: usize = 1024;

impl Message<'_> {
    /// The size that producer windows and statistics use, by the formula of the clients.
    pub fn window_bytes(&self) -> usize {
        let content = self.content.as_deref().map_or(0, <[u8]>::len);
        let properties = self.marshalled_properties.as_deref().map_or(0, <[u8]>::len);
        MESSAGE_WINDOW_BYTES + content + properties
    }
}

structure! {
    /// Type 20: a consumer with prefetch 0 asks for one message.
    pub struct MessagePull = (20) {
        base: base,
        consumer_id: cached(ConsumerId),
        destination: cached(Destination),
        /// Milliseconds; 0 waits for ever, −1 wants an answer at once.
        timeout: long,
        correlation_id: str since 3,
        message_id: nested(MessageId) since 3,
    }
}

structure! {
    /// Type 21. Without a message it ends a browse or an unsuccessful pull.
    pub struct MessageDispatch<'a> = (21) {
        base: base,
        consumer_id: cached(ConsumerId),
        destination: cached(Destination),
        message: nested(Message<'a>),
        /// Overwrites the counter of the message in the client.
        redelivery_counter: int,
    }
}

impl MessageDispatch<'_> {
    /// Tells a browser or a pulling consumer that nothing more comes.
    pub fn empty(consumer_id: ConsumerId) -> Self {
        Self {
            consumer_id: Some(consumer_id),
            ..Self::default()
        }
    }
}

structure! {
    /// Type 22.
    pub struct MessageAck = (22) {
        base: base,
        destination: cached(Destination),
        transaction_id: cached(TransactionId),
        consumer_id: cached(ConsumerId),
        /// See [`AckType::from_wire`].
        ack_type: byte,
        first_message_id: nested(MessageId),
        last_message_id: nested(MessageId),
        message_count: int,
        poison_cause: throwable since 7,
    }
}

/// The values of [`MessageAck::ack_type`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckType {
    Delivered,
    Poison,
    Standard,
    Redelivered,
    Individual,
    Unmatched,
    Expired,
}

impl AckType {
    pub fn from_wire(value: i8) -> Option<Self> {
        match value {
            0 => Some(Self::Delivered),
            1 => Some(Self::Poison),
            2 => Some(Self::Standard),
            3 => Some(Self::Redelivered),
            4 => Some(Self::Individual),
            5 => Some(Self::Unmatched),
            6 => Some(Self::Expired),
            _ => None,
        }
    }

    pub fn to_wire(self) -> i8 {
        match self {
            Self::Delivered => 0,
            Self::Poison => 1,
            Self::Standard => 2,
            Self::Redelivered => 3,
            Self::Individual => 4,
            Self::Unmatched => 5,
            Self::Expired => 6,
        }
    }
}
