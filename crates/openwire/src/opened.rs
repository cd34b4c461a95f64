//! A stored record between log and peer.

use crate::canonical::MessageRef;
use crate::commands::Message;
use crate::ids::{Destination, DestinationRef, MessageId, MessageIdRef};

/// A stored record on its way to a peer.
#[derive(Debug)]
pub enum Opened<'a> {
    /// The peer gets its bytes.
    InPlace(MessageRef<'a>),
    /// The peer has an encoding of its own.
    Whole(Message<'a>),
}

impl Opened<'_> {
    pub fn destination(&self) -> Option<DestinationRef<'_>> {
        match self {
            Opened::InPlace(message) => message.destination,
            Opened::Whole(message) => message.destination.as_ref().map(Destination::as_ref),
        }
    }

    pub fn message_id(&self) -> Option<MessageIdRef<'_>> {
        match self {
            Opened::InPlace(message) => message.message_id,
            Opened::Whole(message) => message.message_id.as_ref().map(MessageId::as_ref),
        }
    }
}
