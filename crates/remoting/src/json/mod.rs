//! JSON as fastjson 1.2 reads and writes it.
//!
//! It differs from the standard in ways that Java peers rely on: map keys that are numbers are
//! written bare (`{0:"a"}`), keys that are objects are written as objects (`{{"topic":"t"}:6}`),
//! and an object seen before is written as a reference (`{"$ref":"$.a[0]"}`). [`Value::parse`]
//! takes all of that and the leniency around it (single quotes, bare keys, comments, extra commas,
//! numbers as text); [`Writer`] writes the dialect, or standard JSON for the routes that ask for
//! it. References are resolved, never written.

mod lexer;
mod typed;
mod value;
mod writer;

pub(crate) use lexer::Lexer;
pub use typed::{Json, JsonKey, from_slice, to_standard_vec, to_vec};
pub(crate) use typed::{are_sorted, body, names};
pub use value::{Limits, Value};
pub(crate) use writer::append_quoted;
pub use writer::{Dialect, Writer};

use std::fmt;

/// Why a text is not what was expected. Positions are byte offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    NotUtf8,
    /// The text ends inside a value.
    Cut,
    Unexpected {
        byte: u8,
        at: usize,
    },
    BadEscape {
        at: usize,
    },
    Trailing {
        at: usize,
    },
    TooDeep {
        depth_max: usize,
    },
    TooManyValues {
        values_max: usize,
    },
    NotANumber(&'static str),
    /// A value of another kind than the named one.
    Expected(&'static str),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("text is not utf-8"),
            Self::Cut => f.write_str("text ends inside a value"),
            Self::Unexpected { byte, at } => {
                write!(f, "unexpected \"{}\" at {at}", byte.escape_ascii())
            }
            Self::BadEscape { at } => write!(f, "bad escape at {at}"),
            Self::Trailing { at } => write!(f, "text goes on after its value at {at}"),
            Self::TooDeep { depth_max } => write!(f, "nesting exceeds {depth_max} levels"),
            Self::TooManyValues { values_max } => write!(f, "more than {values_max} values"),
            Self::NotANumber(field) => write!(f, "\"{field}\" is not a number"),
            Self::Expected(kind) => write!(f, "expected {kind}"),
        }
    }
}

impl std::error::Error for JsonError {}
