//! What can be wrong with bytes that came in, and what cannot be put on the wire.

use std::fmt;

/// Why foreign bytes were refused. The connection that sent them cannot be resynchronised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A value runs past the end of its frame, record or body.
    Truncated,
    /// The structure ended before its frame did.
    Trailing { bytes: usize },
    /// The structure ended before its boolean stream did.
    TrailingBits { bytes: usize },
    /// A tight structure wants more booleans than its stream holds.
    BitsExhausted,
    /// The size prefix is zero or negative.
    FrameSize { size: i32 },
    /// The size prefix exceeds what this connection may send now.
    FrameTooLarge { size: usize, limit: usize },
    /// A length or count is below zero.
    NegativeLength { length: i32 },
    /// A named limit of [`crate::Limits`] or [`crate::primitive::PrimitiveLimits`] is exceeded.
    LimitExceeded {
        what: &'static str,
        size: usize,
        limit: usize,
    },
    /// No structure has this type code.
    UnknownType { code: u8 },
    /// The type exists but cannot stand here.
    UnexpectedType { code: u8 },
    /// A value that identifies something is null.
    NullValue,
    /// A string is not modified UTF-8, or is flagged ASCII and is not.
    Text,
    /// A cache index is outside the negotiated size.
    CacheIndex { index: i16 },
    /// A cached object is of another type than its field.
    CacheType { index: i16 },
    /// A WireFormatInfo without the `ActiveMQ` magic.
    Magic,
    /// A nested message in its pre-marshalled form, which no known client writes.
    PremarshalledForm,
    /// Something other than WireFormatInfo before the negotiation.
    BeforeNegotiation { code: u8 },
    /// A primitive with an unknown tag.
    PrimitiveTag { tag: u8 },
    /// A primitive type that this map must not contain.
    PrimitiveNotAllowed,
    /// A compressed body that is not zlib, or inflates to less than it announced.
    Deflate,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "value runs past the end of its frame"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes left after the structure"),
            Self::TrailingBits { bytes } => {
                write!(f, "{bytes} bytes left in the boolean stream")
            }
            Self::BitsExhausted => write!(f, "boolean stream is too short"),
            Self::FrameSize { size } => write!(f, "frame size {size} is not positive"),
            Self::FrameTooLarge { size, limit } => {
                write!(f, "Frame size of {size} is larger than max allowed {limit}")
            }
            Self::NegativeLength { length } => write!(f, "length {length} is negative"),
            Self::LimitExceeded { what, size, limit } => {
                write!(f, "{what}: {size} exceeds the limit of {limit}")
            }
            Self::UnknownType { code } => write!(f, "unknown data type {code}"),
            Self::UnexpectedType { code } => write!(f, "data type {code} cannot stand here"),
            Self::NullValue => write!(f, "an identifier is null"),
            Self::Text => write!(f, "string is not modified UTF-8"),
            Self::CacheIndex { index } => write!(f, "cache index {index} is out of range"),
            Self::CacheType { index } => {
                write!(f, "cache index {index} holds an object of another type")
            }
            Self::Magic => write!(f, "wire format magic is missing"),
            Self::PremarshalledForm => write!(f, "pre-marshalled nested message"),
            Self::BeforeNegotiation { code } => {
                write!(f, "data type {code} before the wire format was negotiated")
            }
            Self::PrimitiveTag { tag } => write!(f, "unknown primitive tag {tag}"),
            Self::PrimitiveNotAllowed => write!(f, "nested collection is not allowed here"),
            Self::Deflate => write!(f, "compressed body is damaged"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Why one of our own structures cannot be written for this peer. Nothing was written, and the
/// encoder is as if it had never been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unencodable {
    /// Longer than a plain string field holds in this encoding.
    StringTooLong { bytes: usize, limit: usize },
    /// Longer than an array field holds.
    ArrayTooLong { elements: usize, limit: usize },
    /// Longer than a byte array field holds.
    BytesTooLong { bytes: usize, limit: usize },
    /// More booleans than a boolean stream holds.
    TooManyBooleans { bytes: usize, limit: usize },
    /// The frame is larger than the negotiated `MaxFrameSize`: refuse the message, keep the peer.
    FrameTooLarge { size: usize, limit: usize },
    /// The stored record behind a dispatch is damaged.
    Record(Malformed),
}

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StringTooLong { bytes, limit } => {
                write!(f, "string of {bytes} bytes exceeds {limit}")
            }
            Self::ArrayTooLong { elements, limit } => {
                write!(f, "array of {elements} elements exceeds {limit}")
            }
            Self::BytesTooLong { bytes, limit } => {
                write!(f, "byte array of {bytes} bytes exceeds {limit}")
            }
            Self::TooManyBooleans { bytes, limit } => {
                write!(f, "boolean stream of {bytes} bytes exceeds {limit}")
            }
            Self::FrameTooLarge { size, limit } => {
                write!(f, "frame of {size} bytes exceeds the negotiated {limit}")
            }
            Self::Record(malformed) => write!(f, "stored record is damaged: {malformed}"),
        }
    }
}

impl std::error::Error for Unencodable {}

impl From<Malformed> for Unencodable {
    fn from(malformed: Malformed) -> Self {
        Self::Record(malformed)
    }
}
