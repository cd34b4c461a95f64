//! What a machine reports, and what its caller sets.

use crate::error::Violation;
use crate::frame::{ChannelNumber, ProtocolHeader};
use crate::method::Method;
use crate::properties::PropertiesRef;

/// The largest body that a header may declare; beyond it the connection ends, as in RabbitMQ.
pub const BODY_SIZE_MAX: u64 = 512 * 1024 * 1024;
/// Octets reserved at most on the word of a content header; beyond it memory grows with what has
/// come.
pub const BODY_RESERVE_MAX: u64 = 1024 * 1024;

/// Octets of the unfinished content of all channels of a connection together, or two of the
/// largest messages if that is more. Beyond it the connection ends: without it each of 2047
/// channels could keep a body that is never finished.
pub const COLLECTED_OCTETS_MAX: usize = 128 * 1024 * 1024;

/// What the caller allows and provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the largest body to report. A larger one is skipped and reported as
    /// [`Event::MessageTooLarge`].
    pub message_size_max: u64,
    /// Octets up to which the caller's buffer may grow so that content is reported without a copy.
    /// Beyond it, and for bodies of several frames, the machine collects the pieces. Independent of
    /// it, one whole frame must find room.
    pub lookahead_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_size_max: 16 * 1024 * 1024,
            lookahead_max: 256 * 1024,
        }
    }
}

/// The outcome of one step. `consumed` octets at the front of the input are done with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// Something happened; there may be more.
    Event { consumed: usize, event: Event<'a> },
    /// Nothing more can be told before the input, without the consumed octets, has at least
    /// `wanted` octets.
    NeedMore { consumed: usize, wanted: usize },
}

/// What a peer said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// The first eight octets. If [`ProtocolHeader::refusal`] has an answer, send it and close;
    /// nothing more is reported.
    ///
    /// To a client this comes only when the server refuses; the octets are then those of the
    /// protocol it would speak.
    ProtocolHeader(ProtocolHeader),
    Heartbeat,
    /// A method without content. A content method on channel 0 is reported here too: it is out of
    /// place.
    Method {
        channel: ChannelNumber,
        method: Method<'a>,
    },
    /// A method with all of its content.
    Content(Content<'a>),
    /// Content is larger than [`Limits::message_size_max`]: a soft error, 406. Its body will be
    /// skipped.
    MessageTooLarge(MessageTooLarge),
    /// The wire is broken: send [`crate::encode::close_for`] and go on feeding the machine until
    /// close-ok or a timeout.
    Malformed(Violation),
}

/// A message as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Content<'a> {
    pub channel: ChannelNumber,
    /// basic.publish, return, deliver or get-ok.
    pub method: Method<'a>,
    /// Checked to the last octet.
    pub properties: PropertiesRef<'a>,
    pub body: &'a [u8],
}

/// A message that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTooLarge {
    pub channel: ChannelNumber,
    pub class_id: u16,
    pub method_id: u16,
    /// Octets declared.
    pub body_size: u64,
    /// Octets allowed.
    pub message_size_max: u64,
}

impl MessageTooLarge {
    /// The explanation that goes with 406.
    #[must_use]
    pub fn explanation(&self) -> String {
        format!(
            "message size {} is larger than configured max size {}",
            self.body_size, self.message_size_max
        )
    }
}
