//! Framing.
//!
//! ```text
//! +-------+------------------+-----------------+--------------+----------------------------+
//! | total | serialize type   | header length   | header       | body                       |
//! | u32   | u8               | u24             |              | total - 4 - header length  |
//! +-------+------------------+-----------------+--------------+----------------------------+
//! ```
//!
//! `total` counts the bytes after itself. An oversize or undecodable frame has no answer on this
//! wire: the connection is closed.

use std::fmt;

use crate::command::{CommandRef, Serialization};
use crate::json::JsonError;

/// The largest frame, its length field included, as the reference implementation counts it.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest header. A properties text of 32,767 bytes may grow sixfold in JSON escapes, and is
/// legal, so 64 KB would refuse what the reference implementation takes.
pub const HEADER_BYTES_MAX: usize = 256 * 1024;

/// The most fields in one header; the largest known request has fewer than 30.
pub const EXT_FIELDS_MAX: usize = 512;

/// `total`, serialize type, header length.
pub(crate) const LENGTHS_BYTES: usize = 8;

/// What a peer may send. A connection starts with smaller ones until it has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole frame, length field included.
    pub frame_bytes_max: usize,
    pub header_bytes_max: usize,
    pub ext_fields_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: FRAME_BYTES_MAX,
            header_bytes_max: HEADER_BYTES_MAX,
            ext_fields_max: EXT_FIELDS_MAX,
        }
    }
}

/// Why a frame cannot be decoded or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    FrameTooLarge {
        bytes: usize,
        bytes_max: usize,
    },
    HeaderTooLarge {
        bytes: usize,
        bytes_max: usize,
    },
    /// The header length does not fit the frame.
    HeaderExceedsFrame {
        header_bytes: usize,
        total: usize,
    },
    UnknownSerialization(u8),
    /// A binary header whose inner lengths exceed it.
    HeaderCut,
    /// A binary header with bytes after its last field.
    HeaderTrailing,
    /// A JSON header that is not UTF-8.
    HeaderText,
    TooManyFields {
        fields_max: usize,
    },
    /// A field key or value too long for the binary form.
    FieldTooLong,
    Json(JsonError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLarge { bytes, bytes_max } => {
                write!(f, "frame of {bytes} bytes exceeds {bytes_max}")
            }
            Self::HeaderTooLarge { bytes, bytes_max } => {
                write!(f, "header of {bytes} bytes exceeds {bytes_max}")
            }
            Self::HeaderExceedsFrame {
                header_bytes,
                total,
            } => {
                write!(
                    f,
                    "header of {header_bytes} bytes does not fit a frame of {total}"
                )
            }
            Self::UnknownSerialization(kind) => write!(f, "unknown serialize type {kind}"),
            Self::HeaderCut => f.write_str("binary header ends too early"),
            Self::HeaderTrailing => f.write_str("binary header has bytes after its fields"),
            Self::HeaderText => f.write_str("json header is not utf-8"),
            Self::TooManyFields { fields_max } => {
                write!(f, "header has more than {fields_max} fields")
            }
            Self::FieldTooLong => f.write_str("header field is too long for the binary form"),
            Self::Json(error) => write!(f, "json header: {error}"),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<JsonError> for FrameError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// Cuts frames out of a read buffer. It keeps nothing between calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    pub limits: Limits,
}

impl Decoder {
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The first command in `bytes` and how many bytes it took; `None` when its frame is not
    /// complete. Lengths are refused as soon as they can be read, before the frame has arrived.
    pub fn feed<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, CommandRef<'a>)>, FrameError> {
        let Some(frame_bytes) = self.frame_bytes(bytes)? else {
            return Ok(None);
        };
        let Some((kind, header_bytes)) = self.header_bytes(bytes, frame_bytes)? else {
            return Ok(None);
        };
        let Some(frame) = bytes.get(LENGTHS_BYTES..frame_bytes) else {
            return Ok(None);
        };
        let Some((header, body)) = frame.split_at_checked(header_bytes) else {
            return Ok(None);
        };
        let command = CommandRef::decode(kind, header, body, &self.limits)?;
        Ok(Some((frame_bytes, command)))
    }

    /// How many bytes the first frame takes in all; `None` when fewer than 4 bytes are there.
    /// A reader may reserve this much: it is within the limit.
    pub fn frame_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(total) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let total = u32::from_be_bytes(*total) as usize;
        let frame_bytes = total.saturating_add(4);
        let bytes_max = self.limits.frame_bytes_max;
        if frame_bytes > bytes_max {
            return Err(FrameError::FrameTooLarge {
                bytes: frame_bytes,
                bytes_max,
            });
        }
        if total < 4 {
            return Err(FrameError::HeaderExceedsFrame {
                header_bytes: 0,
                total,
            });
        }
        Ok(Some(frame_bytes))
    }

    fn header_bytes(
        &self,
        bytes: &[u8],
        frame_bytes: usize,
    ) -> Result<Option<(Serialization, usize)>, FrameError> {
        let Some([_, _, _, _, kind, high, middle, low]) = bytes.first_chunk::<8>() else {
            return Ok(None);
        };
        let kind =
            Serialization::from_wire(*kind).ok_or(FrameError::UnknownSerialization(*kind))?;
        let header_bytes = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        if header_bytes > frame_bytes.saturating_sub(LENGTHS_BYTES) {
            let total = frame_bytes.saturating_sub(4);
            return Err(FrameError::HeaderExceedsFrame {
                header_bytes,
                total,
            });
        }
        let bytes_max = self.limits.header_bytes_max;
        if header_bytes > bytes_max {
            return Err(FrameError::HeaderTooLarge {
                bytes: header_bytes,
                bytes_max,
            });
        }
        Ok(Some((kind, header_bytes)))
    }
}
