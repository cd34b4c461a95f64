//! Destinations and identifiers: the small structures that commands refer to and caches keep.

use std::fmt;

use crate::schema::{Cacheable, choice, structure};
use crate::{JavaStr, JavaString, Malformed};

structure! {
    /// Types 100–103: a queue or topic by name.
    #[derive(Eq, Hash)]
    pub struct Destination = (kind DestinationKind) {
        kind: code(DestinationKind),
        /// Bare, without `queue://`, though the parts of a composite may have such prefixes.
        physical_name: name,
    }
}

structure! {
    /// Type 110. Two ids are the same message if producer and producer sequence agree, which is
    /// less than `==` compares.
    #[derive(Eq, Hash)]
    pub struct MessageId = (110) {
        /// The id as text, where a foreign one cannot be expressed by the other fields.
        text_view: str since 10,
        producer_id: cached(ProducerId),
        producer_sequence_id: long,
        /// Set by the broker on receipt, positive and increasing.
        broker_sequence_id: long,
    }
}

structure! {
    /// Type 111.
    #[derive(Eq, Hash)]
    pub struct LocalTransactionId = (111) {
        value: long,
        connection_id: cached(ConnectionId),
    }
}

structure! {
    /// Type 112.
    #[derive(Eq, Hash)]
    pub struct XaTransactionId = (112) {
        format_id: int,
        global_transaction_id: bytes,
        branch_qualifier: bytes,
    }
}

structure! {
    /// Type 120.
    #[derive(Eq, Hash, PartialOrd, Ord)]
    pub struct ConnectionId = (120) { value: name }
}

structure! {
    /// Type 121.
    #[derive(Eq, Hash, PartialOrd, Ord)]
    pub struct SessionId = (121) { connection_id: name, value: long }
}

structure! {
    /// Type 122. The session comes before the value, unlike in [`ProducerId`].
    #[derive(Eq, Hash, PartialOrd, Ord)]
    pub struct ConsumerId = (122) { connection_id: name, session_id: long, value: long }
}

structure! {
    /// Type 123. The value comes before the session, unlike in [`ConsumerId`].
    #[derive(Eq, Hash, PartialOrd, Ord)]
    pub struct ProducerId = (123) { connection_id: name, value: long, session_id: long }
}

structure! {
    /// Type 124.
    #[derive(Eq, Hash, PartialOrd, Ord)]
    pub struct BrokerId = (124) { value: name }
}

/// What a destination is; the type code itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DestinationKind {
    #[default]
    Queue,
    Topic,
    TempQueue,
    TempTopic,
}

impl DestinationKind {
    /// The type code.
    pub fn code(self) -> u8 {
        match self {
            Self::Queue => 100,
            Self::Topic => 101,
            Self::TempQueue => 102,
            Self::TempTopic => 103,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, Malformed> {
        match code {
            100 => Ok(Self::Queue),
            101 => Ok(Self::Topic),
            102 => Ok(Self::TempQueue),
            103 => Ok(Self::TempTopic),
            code => Err(Malformed::UnexpectedType { code }),
        }
    }

    /// The prefix in qualified names: `queue://` and so on.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Queue => "queue://",
            Self::Topic => "topic://",
            Self::TempQueue => "temp-queue://",
            Self::TempTopic => "temp-topic://",
        }
    }

    pub fn is_temporary(self) -> bool {
        matches!(self, Self::TempQueue | Self::TempTopic)
    }

    pub fn is_topic(self) -> bool {
        matches!(self, Self::Topic | Self::TempTopic)
    }
}

impl Destination {
    pub fn new(kind: DestinationKind, physical_name: impl Into<JavaString>) -> Self {
        Self {
            kind,
            physical_name: physical_name.into(),
        }
    }

    pub fn queue(physical_name: impl Into<JavaString>) -> Self {
        Self::new(DestinationKind::Queue, physical_name)
    }

    pub fn topic(physical_name: impl Into<JavaString>) -> Self {
        Self::new(DestinationKind::Topic, physical_name)
    }
}

impl ConsumerId {
    /// The session that holds this consumer.
    pub fn session(&self) -> SessionId {
        SessionId {
            connection_id: self.connection_id.clone(),
            value: self.session_id,
        }
    }
}

impl ProducerId {
    /// The session that holds this producer.
    pub fn session(&self) -> SessionId {
        SessionId {
            connection_id: self.connection_id.clone(),
            value: self.session_id,
        }
    }
}

impl SessionId {
    /// The connection that holds this session.
    pub fn connection(&self) -> ConnectionId {
        ConnectionId {
            value: self.connection_id.clone(),
        }
    }
}

impl MessageId {
    /// Whether both name the same message, wherever a broker has numbered it.
    pub fn is_same_message(&self, other: &Self) -> bool {
        self.producer_id == other.producer_id
            && self.producer_sequence_id == other.producer_sequence_id
    }
}

choice! {
    /// A local or a distributed transaction.
    #[derive(Eq, Hash)]
    pub enum TransactionId {
        Local(LocalTransactionId),
        Xa(XaTransactionId),
    }
}

choice! {
    /// Anything the marshalling cache holds and RemoveInfo names.
    #[derive(Eq, Hash)]
    pub enum Identity {
        Consumer(ConsumerId),
        Producer(ProducerId),
        Destination(Destination),
        Transaction(TransactionId),
        Connection(ConnectionId),
        Session(SessionId),
        Broker(BrokerId),
    }
}

impl Identity {
    /// Bytes of its names, which it may share with others.
    pub(crate) fn text_bytes(&self) -> usize {
        let name = match self {
            Self::Consumer(id) => &id.connection_id,
            Self::Producer(id) => &id.connection_id,
            Self::Session(id) => &id.connection_id,
            Self::Connection(id) => &id.value,
            Self::Broker(id) => &id.value,
            Self::Destination(destination) => &destination.physical_name,
            Self::Transaction(TransactionId::Local(id)) => {
                let connection = id.connection_id.as_ref();
                return connection.map_or(0, |id| id.value.as_bytes().len());
            }
            Self::Transaction(TransactionId::Xa(id)) => {
                let parts = [&id.global_transaction_id, &id.branch_qualifier];
                let bytes = parts.map(|part| part.as_ref().map_or(0, |part| part.len()));
                return bytes.iter().sum();
            }
        };
        name.as_bytes().len()
    }
}

macro_rules! cacheable {
    ($($variant:ident($of:ty)),* $(,)?) => {
        $(
            impl Cacheable for $of {
                fn to_identity(&self) -> Identity {
                    Identity::$variant(self.clone())
                }

                fn from_identity(identity: &Identity) -> Option<Self> {
                    let Identity::$variant(value) = identity else { return None };
                    Some(value.clone())
                }
            }
        )*
    };
}

cacheable! {
    Consumer(ConsumerId),
    Producer(ProducerId),
    Destination(Destination),
    Transaction(TransactionId),
    Connection(ConnectionId),
    Session(SessionId),
    Broker(BrokerId),
}

impl Cacheable for Identity {
    fn to_identity(&self) -> Identity {
        self.clone()
    }

    fn from_identity(identity: &Identity) -> Option<Self> {
        Some(identity.clone())
    }
}

impl fmt::Display for Destination {
    /// The qualified name: `queue://orders`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.physical_name)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.connection_id, self.value)
    }
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.connection_id, self.session_id, self.value
        )
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.connection_id, self.session_id, self.value
        )
    }
}

impl fmt::Display for MessageId {
    /// The JMSMessageID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text_view = self.text_view.as_ref().map(JavaString::as_java_str);
        match (text_view, &self.producer_id) {
            (Some(text), _) if text.as_bytes().starts_with(b"ID:") => text.fmt(f),
            (Some(text), _) => write!(f, "ID:{text}"),
            (None, Some(producer)) => write!(f, "{producer}:{}", self.producer_sequence_id),
            (None, None) => write!(f, "ID:{}", self.producer_sequence_id),
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(local) => {
                write!(f, "TX:")?;
                if let Some(connection) = &local.connection_id {
                    write!(f, "{connection}")?;
                }
                write!(f, ":{}", local.value)
            }
            Self::Xa(xa) => {
                write!(f, "XID:[{},globalId=", xa.format_id)?;
                hex(f, xa.global_transaction_id.as_deref())?;
                write!(f, ",branchId=")?;
                hex(f, xa.branch_qualifier.as_deref())?;
                write!(f, "]")
            }
        }
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: Option<&[u8]>) -> fmt::Result {
    bytes
        .unwrap_or_default()
        .iter()
        .try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A [`Destination`] borrowed from a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationRef<'a> {
    pub kind: DestinationKind,
    pub physical_name: JavaStr<'a>,
}

impl DestinationRef<'_> {
    pub fn to_owned(self) -> Destination {
        Destination::new(self.kind, self.physical_name.to_owned())
    }
}

impl Destination {
    pub fn as_ref(&self) -> DestinationRef<'_> {
        DestinationRef {
            kind: self.kind,
            physical_name: self.physical_name.as_java_str(),
        }
    }
}

/// A [`ProducerId`] borrowed from a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdRef<'a> {
    pub connection_id: JavaStr<'a>,
    pub value: i64,
    pub session_id: i64,
}

/// A [`MessageId`] borrowed from a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageIdRef<'a> {
    pub text_view: Option<JavaStr<'a>>,
    pub producer_id: Option<ProducerIdRef<'a>>,
    pub producer_sequence_id: i64,
    pub broker_sequence_id: i64,
}

impl ProducerId {
    pub fn as_ref(&self) -> ProducerIdRef<'_> {
        ProducerIdRef {
            connection_id: self.connection_id.as_java_str(),
            value: self.value,
            session_id: self.session_id,
        }
    }
}

impl MessageId {
    pub fn as_ref(&self) -> MessageIdRef<'_> {
        MessageIdRef {
            text_view: self.text_view.as_ref().map(JavaString::as_java_str),
            producer_id: self.producer_id.as_ref().map(ProducerId::as_ref),
            producer_sequence_id: self.producer_sequence_id,
            broker_sequence_id: self.broker_sequence_id,
        }
    }
}

impl ProducerIdRef<'_> {
    pub fn to_owned(self) -> ProducerId {
        let connection_id = self.connection_id.to_owned();
        ProducerId {
            connection_id,
            value: self.value,
            session_id: self.session_id,
        }
    }
}

impl MessageIdRef<'_> {
    pub fn to_owned(self) -> MessageId {
        MessageId {
            text_view: self.text_view.map(JavaStr::to_owned),
            producer_id: self.producer_id.map(ProducerIdRef::to_owned),
            producer_sequence_id: self.producer_sequence_id,
            broker_sequence_id: self.broker_sequence_id,
        }
    }
}
