//! The AMQP 0-9-1 wire, for either peer: bytes to frames to events, and words back to bytes.
//!
//! ```text
//!   0      1         3             7                  size+7 size+8
//!   +------+---------+-------------+  +------------+  +------+
//!   | type | channel |     size    |  |  payload   |  | 0xCE |
//!   +------+---------+-------------+  +------------+  +------+
//!    octet    short       long          size octets     octet
//! ```
//!
//! What it is: a codec ([`frame`], [`method`], [`properties`], [`table`], [`value`]), a writer
//! ([`encode`]), the rules of tuning ([`tune`]) and one machine ([`connection::Machine`]) that a
//! peer feeds with whatever its socket gave and that answers with whole events. Server and client
//! use the same machine and the same words.
//!
//! What it is not: it opens no socket, reads no clock, starts no thread and knows no broker. It
//! does not know which channels are open, whether a method suits the state of a connection or its
//! sender, nor what an argument means; that is the caller's.
//!
//! Invariants:
//!
//! - No foreign octet can cause a panic: input is read through checked splits only.
//! - What a peer can make this crate keep has a named limit: [`frame::FRAME_MAX_BEFORE_TUNE`],
//!   [`table::TABLE_DEPTH_MAX`], [`event::BODY_SIZE_MAX`], [`event::Limits`]. Nothing is reserved
//!   on the word of a peer beyond [`event::BODY_RESERVE_MAX`].
//! - Content that lies in the caller's buffer as method, header and at most one body frame is
//!   decoded without an allocation and without a copy. A delivery is one method frame written
//!   afresh and one copy of the stored header and body.
//! - A [`table::TableRef`] or [`properties::PropertiesRef`] from `parse` is well formed to its last
//!   octet; nobody checks it again.
//! - Decoding what was encoded gives the same value, and encoding what was decoded the same octets,
//!   save for what the protocol throws away: reserved fields, unused bits, the tag `L` (written as
//!   `l`), booleans other than 0 and 1.
//!
//! Field table tags are RabbitMQ's, which differ from the text of 0-9-1 (`s` is a 16-bit integer).
//! Error texts follow RabbitMQ where clients or suites read them.
//!
//! Caveats: a content header is one frame by specification, so a message whose properties exceed a
//! consumer's frame limit is sent all the same, as RabbitMQ does. A content-bearing method is
//! reported only with its content, so a publish on a channel that was never opened is noticed once
//! its content is complete. AMQP 1.0 is recognised, to be refused.

pub mod connection;
mod content;
pub mod encode;
pub mod error;
pub mod event;
mod field;
pub mod frame;
pub mod method;
pub mod properties;
mod reader;
pub mod table;
pub mod tune;
pub mod value;

pub use connection::Machine;
pub use error::{Malformed, ReplyCode, Violation};
pub use event::{Content, Event, Limits, MessageTooLarge, Step};
pub use frame::{ChannelNumber, FrameMax, ProtocolHeader};
pub use method::{DeliveryTag, Method};
pub use properties::{BasicProperties, PropertiesRef};
pub use table::{ArrayRef, TableRef, ValueRef};
pub use value::{ShortString, Table, Value};
