//! Messages: stored records, batches, properties, ids.
//!
//! The body of a pull answer is a run of stored records without padding; [`Record`] reads and
//! writes one, [`patch`] copies one with the broker's own fields replaced, [`batch`] splits what a
//! producer sends as 320, [`properties`] walks the text that carries everything else.

pub mod batch;
mod compression;
pub mod id;
pub mod patch;
pub mod properties;
mod record;
pub mod sys_flag;

pub use batch::{BatchItem, BatchItems};
pub use compression::{CompressionError, deflate, inflate};
pub use id::{OffsetMessageId, UniqueKey};
pub use patch::{Patch, copy_patched};
pub use record::{MAGIC_BLANK, MAGIC_V1, MAGIC_V2, Record, Records, body_crc};

use std::fmt;

/// The largest body the reference implementation takes by default; a broker may configure another.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest properties text: its length is a signed 16-bit number.
pub const PROPERTIES_BYTES_MAX: usize = 32_767;

/// The longest topic of a V1 record.
pub const TOPIC_BYTES_MAX: usize = 127;

/// Why bytes are not a message, or a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The bytes end inside the message, or an inner length exceeds it.
    Cut,
    BadMagic(i32),
    /// The total size disagrees with the lengths inside.
    BadSize {
        total: i32,
    },
    BadPort(i32),
    /// Topic or properties that are not UTF-8.
    BadText,
    /// The body's sum is not the one that is stored with it.
    BadCrc {
        stored: i32,
        computed: i32,
    },
    TopicTooLong {
        bytes: usize,
    },
    PropertiesTooLong {
        bytes: usize,
    },
    BodyTooLong {
        bytes: usize,
    },
    /// A patch would change the size of a host; the record has to be written anew.
    HostFamily,
    TooManyItems {
        items_max: usize,
    },
    BadId,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("message ends too early"),
            Self::BadMagic(magic) => write!(f, "unknown message magic {magic:#010x}"),
            Self::BadSize { total } => write!(f, "message size {total} disagrees with its parts"),
            Self::BadPort(port) => write!(f, "message host has port {port}"),
            Self::BadText => f.write_str("message topic or properties are not utf-8"),
            Self::BadCrc { stored, computed } => {
                write!(f, "message body has crc {computed}, not {stored}")
            }
            Self::TopicTooLong { bytes } => write!(f, "topic of {bytes} bytes is too long"),
            Self::PropertiesTooLong { bytes } => {
                write!(
                    f,
                    "properties of {bytes} bytes exceed {PROPERTIES_BYTES_MAX}"
                )
            }
            Self::BodyTooLong { bytes } => write!(f, "body of {bytes} bytes is too long"),
            Self::HostFamily => f.write_str("patched host is of another address family"),
            Self::TooManyItems { items_max } => write!(f, "batch has more than {items_max} items"),
            Self::BadId => f.write_str("not a message id"),
        }
    }
}

impl std::error::Error for MessageError {}
