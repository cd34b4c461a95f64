//! RocketMQ's remoting wire, for either peer.
//!
//! A byte stream carries **frames** ([`frame`]): two lengths, a header, a body. The header is a
//! command — code, opaque, flag, remark and a map of string fields — in one of two serializations,
//! JSON or the compact binary form; [`command::CommandRef`] is its borrowed view. The string fields
//! are typed per code ([`header`]). A body is a message payload, raw stored records ([`message`]),
//! or text in fastjson's dialect of JSON ([`json`]), whose shapes are in [`body`].
//!
//! What this crate is not: it opens no socket, reads no clock, keeps no connection state (remoting
//! has none: every frame stands alone and answers are matched by `opaque`), and knows nothing of
//! topics, groups or offsets beyond their spelling.
//!
//! Invariants:
//!
//! - No input panics. Every length is checked against what is present, and against a named limit,
//!   before anything is allocated; see [`frame::Limits`] and [`json::Limits`].
//! - Decoding a frame allocates nothing: fields are walked in place, twice for JSON (once to
//!   validate, once to read), and a text is owned only when it contains an escape.
//! - Objects are written with their keys in alphabetical order, checked while compiling, because
//!   the Go client cuts route text by hand instead of parsing it.
//! - Record fields that belong to a broker are patched by position while copying
//!   ([`message::patch`]); body and properties are never re-encoded on the way out.
//!
//! Caveats: LZ4 and ZSTD bodies are
//! carried but not inflated (a broker never needs to); topic-queue mappings of static topics are
//! not modelled and are skipped on input; `{"$ref":…}` is resolved for absolute paths only, other
//! references read as null.

pub mod frame;

pub mod frame_writer;

pub mod command;

pub mod ext;

pub mod code;

pub mod header;

pub mod json;

pub mod body;

pub mod message;

pub mod java;

mod bytes;

pub use code::{Language, RequestCode, ResponseCode, Version};
pub use command::{CommandRef, Flag, Opaque, Serialization};
pub use ext::ExtFields;
pub use frame::{Decoder, FrameError};
pub use frame_writer::{BodyWriter, FrameWriter, OpenFrame, Prefix};
