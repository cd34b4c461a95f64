//! What UDP transports and old journals used. Decoded for completeness, then ignored.

use crate::ids::{Destination, MessageId, TransactionId};
use crate::schema::structure;
use crate::{Malformed, MessageAck};

structure! {
    /// Type 40.
    pub struct DiscoveryEvent = (40) { service_name: str, broker_name: str }
}

structure! {
    /// Type 50.
    pub struct JournalTopicAck = (50) {
        destination: nested(Destination),
        message_id: nested(MessageId),
        message_sequence_id: long,
        subscription_name: str,
        client_id: str,
        transaction_id: nested(TransactionId),
    }
}

structure! {
    /// Type 52.
    pub struct JournalQueueAck = (52) {
        destination: nested(Destination),
        message_ack: nested(MessageAck),
    }
}

structure! {
    /// Type 53.
    pub struct JournalTrace = (53) { message: str }
}

structure! {
    /// Type 54.
    pub struct JournalTransaction = (54) {
        transaction_id: nested(TransactionId),
        /// The field `type` of the specification.
        step: byte,
        was_prepared: bool,
    }
}

structure! {
    /// Types 60 and 61: a datagram's share of a command.
    pub struct PartialCommand = (part Part) {
        part: code(Part),
        command_id: int,
        data: bytes,
    }
}

/// Whether more parts follow; the type code itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    More,
    Last,
}

impl Part {
    /// The type code.
    pub fn code(self) -> u8 {
        match self {
            Self::More => 60,
            Self::Last => 61,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self, Malformed> {
        match code {
            60 => Ok(Self::More),
            61 => Ok(Self::Last),
            code => Err(Malformed::UnexpectedType { code }),
        }
    }
}

structure! {
    /// Type 65: asks for datagrams again.
    pub struct ReplayCommand = (65) {
        base: base,
        first_nak_number: int,
        last_nak_number: int,
    }
}
