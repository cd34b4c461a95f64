//! Reply codes, and the ways in which a peer can break the wire.

use std::fmt;

use crate::frame::ChannelNumber;

/// The most octets a short string holds, and so a reply text.
pub const SHORT_STRING_MAX: usize = 255;

/// A reply code of 0-9-1, as carried by `connection.close`, `channel.close` and `basic.return`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum ReplyCode {
    ReplySuccess = 200,
    ContentTooLarge = 311,
    NoRoute = 312,
    NoConsumers = 313,
    ConnectionForced = 320,
    InvalidPath = 402,
    AccessRefused = 403,
    NotFound = 404,
    ResourceLocked = 405,
    PreconditionFailed = 406,
    FrameError = 501,
    SyntaxError = 502,
    CommandInvalid = 503,
    ChannelError = 504,
    UnexpectedFrame = 505,
    ResourceError = 506,
    NotAllowed = 530,
    NotImplemented = 540,
    InternalError = 541,
}

/// What an error closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The channel; on channel 0 there is none, so the connection.
    Soft,
    /// The connection.
    Hard,
}

impl ReplyCode {
    /// Every code, in numeric order.
    pub const ALL: [ReplyCode; 19] = [
        ReplyCode::ReplySuccess,
        ReplyCode::ContentTooLarge,
        ReplyCode::NoRoute,
        ReplyCode::NoConsumers,
        ReplyCode::ConnectionForced,
        ReplyCode::InvalidPath,
        ReplyCode::AccessRefused,
        ReplyCode::NotFound,
        ReplyCode::ResourceLocked,
        ReplyCode::PreconditionFailed,
        ReplyCode::FrameError,
        ReplyCode::SyntaxError,
        ReplyCode::CommandInvalid,
        ReplyCode::ChannelError,
        ReplyCode::UnexpectedFrame,
        ReplyCode::ResourceError,
        ReplyCode::NotAllowed,
        ReplyCode::NotImplemented,
        ReplyCode::InternalError,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The code with this number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<ReplyCode> {
        ReplyCode::ALL
            .into_iter()
            .find(|known| known.code() == code)
    }

    /// The name that opens a reply text, such as `NOT_FOUND`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ReplyCode::ReplySuccess => "REPLY_SUCCESS",
            ReplyCode::ContentTooLarge => "CONTENT_TOO_LARGE",
            ReplyCode::NoRoute => "NO_ROUTE",
            ReplyCode::NoConsumers => "NO_CONSUMERS",
            ReplyCode::ConnectionForced => "CONNECTION_FORCED",
            ReplyCode::InvalidPath => "INVALID_PATH",
            ReplyCode::AccessRefused => "ACCESS_REFUSED",
            ReplyCode::NotFound => "NOT_FOUND",
            ReplyCode::ResourceLocked => "RESOURCE_LOCKED",
            ReplyCode::PreconditionFailed => "PRECONDITION_FAILED",
            ReplyCode::FrameError => "FRAME_ERROR",
            ReplyCode::SyntaxError => "SYNTAX_ERROR",
            ReplyCode::CommandInvalid => "COMMAND_INVALID",
            ReplyCode::ChannelError => "CHANNEL_ERROR",
            ReplyCode::UnexpectedFrame => "UNEXPECTED_FRAME",
            ReplyCode::ResourceError => "RESOURCE_ERROR",
            ReplyCode::NotAllowed => "NOT_ALLOWED",
            ReplyCode::NotImplemented => "NOT_IMPLEMENTED",
            ReplyCode::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether the error ends a channel or the connection.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            ReplyCode::ReplySuccess
            | ReplyCode::ContentTooLarge
            | ReplyCode::NoRoute
            | ReplyCode::NoConsumers
            | ReplyCode::AccessRefused
            | ReplyCode::NotFound
            | ReplyCode::ResourceLocked
            | ReplyCode::PreconditionFailed => Severity::Soft,
            ReplyCode::ConnectionForced
            | ReplyCode::InvalidPath
            | ReplyCode::FrameError
            | ReplyCode::SyntaxError
            | ReplyCode::CommandInvalid
            | ReplyCode::ChannelError
            | ReplyCode::UnexpectedFrame
            | ReplyCode::ResourceError
            | ReplyCode::NotAllowed
            | ReplyCode::NotImplemented
            | ReplyCode::InternalError => Severity::Hard,
        }
    }

    /// `NAME - explanation`, cut to what a short string holds. A cut text ends in `...`, as
    /// RabbitMQ's does.
    #[must_use]
    pub fn text(self, explanation: &str) -> String {
        const MARK: &str = "...";
        let mut text = format!("{} - {explanation}", self.name());
        if text.len() > SHORT_STRING_MAX {
            text.truncate(text.floor_char_boundary(SHORT_STRING_MAX - MARK.len()));
            text.push_str(MARK);
        }
        text
    }
}

/// Why the fields of a method, a table or a property list cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// A length or a type promises more octets than there are.
    Truncated,
    /// Octets follow the last field.
    Trailing,
    /// A short string of a method is not UTF-8.
    NotUtf8,
    /// A table value carries a tag that RabbitMQ does not know.
    UnknownTag(u8),
    /// Tables and arrays nest deeper than [`crate::table::TABLE_DEPTH_MAX`].
    TooDeep,
    /// The weight of a content header is not 0.
    Weight(u16),
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldFault::Truncated => f.write_str("a field ends beyond its frame"),
            FieldFault::Trailing => f.write_str("octets follow the last field"),
            FieldFault::NotUtf8 => f.write_str("a short string is not UTF-8"),
            FieldFault::UnknownTag(tag) => write!(f, "unknown field value type {tag}"),
            FieldFault::TooDeep => write!(
                f,
                "tables nest deeper than {} levels",
                crate::table::TABLE_DEPTH_MAX
            ),
            FieldFault::Weight(weight) => write!(f, "content header weight is {weight}, not 0"),
        }
    }
}

impl std::error::Error for FieldFault {}

/// The first octets of a refused frame, for its error text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet {
    octets: [u8; Snippet::OCTETS_MAX],
    kept: u8,
    cut: bool,
}

impl Snippet {
    const OCTETS_MAX: usize = 16;

    /// Keeps what RabbitMQ shows: all of a short payload, the first 16 octets of a longer one.
    #[must_use]
    pub fn of(payload: &[u8]) -> Snippet {
        let mut octets = [0; Snippet::OCTETS_MAX];
        let mut kept = 0;
        for (to, from) in octets.iter_mut().zip(payload) {
            *to = *from;
            kept += 1;
        }
        Snippet {
            octets,
            kept,
            cut: payload.len() > Snippet::OCTETS_MAX,
        }
    }
}

impl fmt::Display for Snippet {
    /// As an Erlang term: `all octets = <<1,2>>`, or quoted if all of it is printable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.cut {
            "first 16 octets = <<"
        } else {
            "all octets = <<"
        })?;
        let kept = self
            .octets
            .get(..usize::from(self.kept))
            .unwrap_or_default();
        let quotable = |octet: &u8| (b' '..=b'~').contains(octet) && !b"\"\\".contains(octet);
        if !kept.is_empty() && kept.iter().all(quotable) {
            f.write_str("\"")?;
            kept.iter()
                .try_for_each(|octet| write!(f, "{}", char::from(*octet)))?;
            f.write_str("\"")?;
        } else {
            for (index, octet) in kept.iter().enumerate() {
                write!(f, "{}{octet}", if index == 0 { "" } else { "," })?;
            }
        }
        f.write_str(">>")
    }
}

/// How a peer broke the wire. Each is a hard error with the code of the specification; `Display`
/// gives the explanation without the name of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The size of a frame exceeds the negotiated limit. 501; nothing after it can be trusted.
    FrameTooLarge {
        frame_type: u8,
        size: u32,
        payload_max: u32,
    },
    /// A frame does not end in 0xCE. 501; nothing after it can be trusted.
    FrameEnd {
        frame_type: u8,
        found: u8,
        payload: Snippet,
    },
    /// A frame type that does not exist, or a heartbeat with a payload. 501.
    UnknownFrame { frame_type: u8, payload: Snippet },
    /// A frame that has no place on its channel: heartbeats above channel 0, content on it,
    /// anything above channel 0 before the connection is open. 505.
    MisplacedFrame { frame_type: u8, payload: Snippet },
    /// The fields of a known method cannot be read. 501.
    MethodFields(FieldFault),
    /// No method has these ids. RabbitMQ drops the connection; 503 tells the peer why.
    UnknownMethod { class_id: u16, method_id: u16 },
    /// A content header or its properties cannot be read. 501.
    HeaderFields(FieldFault),
    /// A content frame came where a method was due. 505.
    MethodExpected,
    /// Something else came where the content header was due. 505.
    HeaderExpected { class_id: u16 },
    /// The content header belongs to another class than its method. 505.
    HeaderClass { expected: u16, found: u16 },
    /// Something else came where content was due. 505.
    BodyExpected,
    /// The body frames exceed the size that the header declared. 501.
    BodyTooLong,
    /// The header declares more than [`crate::event::BODY_SIZE_MAX`]. 501.
    BodySize { declared: u64 },
    /// Content is under way on more channels than may be open, so some of them are not. 504.
    ChannelNotOpen,
    /// Unfinished content takes more than [`crate::event::COLLECTED_OCTETS_MAX`]. 506.
    TooMuchUnfinished { octets_max: usize },
}

impl Malformed {
    /// The code to close the connection with.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        match self {
            Malformed::FrameTooLarge { .. }
            | Malformed::FrameEnd { .. }
            | Malformed::UnknownFrame { .. }
            | Malformed::MethodFields(_)
            | Malformed::HeaderFields(_)
            | Malformed::BodyTooLong
            | Malformed::BodySize { .. } => ReplyCode::FrameError,
            Malformed::MisplacedFrame { .. }
            | Malformed::MethodExpected
            | Malformed::HeaderExpected { .. }
            | Malformed::HeaderClass { .. }
            | Malformed::BodyExpected => ReplyCode::UnexpectedFrame,
            Malformed::UnknownMethod { .. } => ReplyCode::CommandInvalid,
            Malformed::ChannelNotOpen => ReplyCode::ChannelError,
            Malformed::TooMuchUnfinished { .. } => ReplyCode::ResourceError,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::FrameTooLarge {
                frame_type,
                size,
                payload_max,
            } => write!(
                f,
                "type {frame_type}, all octets = <<>>: {{frame_too_large,{size},{payload_max}}}"
            ),
            Malformed::FrameEnd {
                frame_type,
                found,
                payload,
            } => {
                write!(
                    f,
                    "type {frame_type}, {payload}: {{invalid_frame_end_marker,{found}}}"
                )
            }
            Malformed::UnknownFrame {
                frame_type,
                payload,
            } => {
                write!(f, "type {frame_type}, {payload}: unknown_frame")
            }
            Malformed::MisplacedFrame {
                frame_type,
                payload,
            } => {
                write!(f, "type {frame_type}, {payload}")
            }
            Malformed::MethodFields(fault) => write!(f, "method fields cannot be read: {fault}"),
            Malformed::UnknownMethod {
                class_id,
                method_id,
            } => {
                write!(f, "unknown method {method_id} of class {class_id}")
            }
            Malformed::HeaderFields(fault) => write!(f, "content header cannot be read: {fault}"),
            Malformed::MethodExpected => {
                f.write_str("expected method frame, got non method frame instead")
            }
            Malformed::HeaderExpected { class_id } => write!(
                f,
                "expected content header for class {class_id}, got non content header frame instead"
            ),
            Malformed::HeaderClass { expected, found } => write!(
                f,
                "expected content header for class {expected}, got one for class {found} instead"
            ),
            Malformed::BodyExpected => {
                f.write_str("expected content body, got non content body frame instead")
            }
            Malformed::BodyTooLong => {
                f.write_str("content body frame exceeds remaining content size")
            }
            Malformed::BodySize { declared } => write!(
                f,
                "content body size {declared} exceeds maximum allowed size {}",
                crate::event::BODY_SIZE_MAX
            ),
            Malformed::TooMuchUnfinished { octets_max } => {
                write!(
                    f,
                    "unfinished content of all channels exceeds {octets_max} octets"
                )
            }
            Malformed::ChannelNotOpen => f.write_str("expected 'channel.open'"),
        }
    }
}

impl std::error::Error for Malformed {}

/// A [`Malformed`] with the place where it happened, as `connection.close` wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The channel of the offending frame; the close itself travels on channel 0.
    pub channel: ChannelNumber,
    /// Class and method of the offending method, 0 and 0 if none.
    pub class_id: u16,
    pub method_id: u16,
    pub cause: Malformed,
}

impl Violation {
    /// The code to close the connection with.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        self.cause.code()
    }

    /// The whole reply text, with the name of the code.
    #[must_use]
    pub fn text(&self) -> String {
        self.code().text(&self.cause.to_string())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}: {}", self.channel.0, self.text())
    }
}

impl std::error::Error for Violation {}

/// A value of ours does not fit into the wire's length field. It names what did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    pub what: &'static str,
    pub octets: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} octets exceeds {SHORT_STRING_MAX}",
            self.what, self.octets
        )
    }
}

impl std::error::Error for TooLong {}
