//! OpenWire, the wire of ActiveMQ Classic, versions 1 to 12.
//!
//! # What it is
//!
//! A codec and nothing else: bytes in, commands out, and back, for either peer. It never does any
//! IO, reads no clock and keeps no session; what a command means is its caller's affair.
//!
//! ```text
//! bytes ─ frame ─ Decoder ─ loose | tight ─ schema ─ Command
//!                    └ unmarshalling cache      │
//! bytes ───────── Encoder ─ loose | tight ──────┘
//!                    └ marshalling cache
//! ```
//!
//! - [`negotiate`] turns both sides' [`WireFormatOptions`] into a [`Negotiated`], which
//!   [`Decoder::switch`] and [`Encoder::switch`] apply.
//! - Each type names its fields once, in a table (`schema.rs`, `commands/`, `ids.rs`); both
//!   encodings, all versions and the cache follow from it.
//! - Messages are stored in one form, the record of [`canonical`], whatever they came in.
//!   [`Encoder::encode_record`] delivers a record to any peer.
//! - [`primitive`] and [`body`] look into properties and bodies for those who must.
//!
//! # Invariants
//!
//! - Foreign bytes never cause a panic, and nothing is allocated by a length or count that the
//!   rest of the frame does not bear out. [`Limits`] and [`primitive::PrimitiveLimits`] name the
//!   ceilings.
//! - A frame is used up to its last byte, in the tight encoding to the last byte of its booleans,
//!   or it is malformed.
//! - Strings are kept as they came ([`JavaString`]), so decoding and encoding again is identity
//!   on everything a Java client writes.
//! - Content and properties are borrowed from the frame, and names that come again are shared:
//!   a message allocates only for strings of its own, such as a correlation id.
//! - An encoder that refuses a command has written nothing and its cache is as before.
//!
//! # Caveats
//!
//! - Frames without size prefix are not supported: `SizePrefixDisabled` must not be offered.
//! - Names that identify something (destinations, ids) and elements of arrays must not be null,
//!   which the type system of the original would allow.
//! - The pre-marshalled form of nested messages, for which tight reserves a bit, is refused. No
//!   known client writes it.
//! - Records carry no stack traces.

pub mod body;
mod cache;
pub mod canonical;
mod command;
mod commands;
mod decoder;
mod encoder;
mod frame;
mod ids;
mod input;
mod intern;
mod limits;
mod loose;
mod malformed;
mod negotiate;
mod opened;
pub mod primitive;
mod reader;
#[cfg(test)]
mod roundtrip;
mod schema;
mod text;
mod throwable;
mod tight;
mod writer;

pub use canonical::{CanonicalReader, MessageRef, Stamp, decode_canonical, encode_canonical};
pub use command::{AnyStructure, Command};
pub use commands::*;
pub use decoder::{Decoder, Received};
pub use encoder::Encoder;
pub use frame::{SIZE_PREFIX_BYTES, split_frame};
pub use ids::*;
pub use limits::{
    ARRAY_ELEMENTS_MAX, CACHE_BYTES_MAX, LOOSE_STRING_BYTES_MAX, Limits, TIGHT_STRING_BYTES_MAX,
    UNAUTHENTICATED_CACHE_BYTES_MAX, UNAUTHENTICATED_FRAME_BYTES_MAX,
};
pub use malformed::{Malformed, Unencodable};
pub use negotiate::{Negotiated, VERSION_MAX, WireFormatOptions, negotiate};
pub use opened::Opened;
pub use schema::{BaseCommand, MAGIC, Magic};
pub use text::{JavaStr, JavaString, to_modified};
pub use throwable::{EXCEPTION_MESSAGE_BYTES_MAX, ExceptionClass, StackFrame, Throwable};
