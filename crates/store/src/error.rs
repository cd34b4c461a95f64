//! What the operator is told: what failed, where, and what to try.

use std::{error, fmt, io};

use crate::ids::MessageId;

/// A fault of the disk or of what is on it; none of these is a peer's doing.
#[derive(Debug)]
pub enum StoreError {
    /// The operating system refused.
    Io {
        file: String,
        what: &'static str,
        source: io::Error,
    },
    /// Bytes that were durable are not what was written.
    Corrupt {
        file: String,
        offset: u64,
        what: String,
        remedy: &'static str,
    },
    /// Sound bytes of a version or kind that this build does not know.
    Unsupported {
        file: String,
        offset: u64,
        what: String,
    },
    /// Another process works in this data directory.
    Locked { file: String },
}

/// The remedy of a damaged log.
pub(crate) const REMEDY_LOG: &str = "restore the data directory from a copy; a copy of it as it \
     is now is worth keeping, for the frames before and after the damage are intact";
/// The remedy of a damaged page.
pub(crate) const REMEDY_PAGES: &str = "make the pages anew with `troika inspect DIR --repair`; the \
     messages themselves are in the log segments, which this damage does not touch";
/// The remedy of a damaged checkpoint.
pub(crate) const REMEDY_ROOT: &str = "restore the data directory from a copy; the messages \
     themselves are in the log segments, which this damage does not touch";

impl StoreError {
    pub(crate) fn io(file: &str, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let file = file.to_owned();
        move |source| StoreError::Io { file, what, source }
    }

    /// The file in question, relative to the data directory.
    pub fn file(&self) -> &str {
        match self {
            StoreError::Io { file, .. }
            | StoreError::Corrupt { file, .. }
            | StoreError::Unsupported { file, .. }
            | StoreError::Locked { file } => file,
        }
    }

    /// The disk has no room; whoever frees some may try again.
    pub fn is_full(&self) -> bool {
        match self {
            StoreError::Io { source, .. } => is_full(source),
            StoreError::Corrupt { .. }
            | StoreError::Unsupported { .. }
            | StoreError::Locked { .. } => false,
        }
    }

    /// A file is not there.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            StoreError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            StoreError::Corrupt { .. }
            | StoreError::Unsupported { .. }
            | StoreError::Locked { .. } => false,
        }
    }

    /// Bytes are not what was written.
    pub fn is_corrupt(&self) -> bool {
        match self {
            StoreError::Corrupt { .. } => true,
            StoreError::Io { .. } | StoreError::Unsupported { .. } | StoreError::Locked { .. } => {
                false
            }
        }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { file, what, source } => {
                write!(f, "cannot {what} {file:?}: {source}")
            }
            StoreError::Corrupt {
                file,
                offset,
                what,
                remedy,
            } => {
                write!(
                    f,
                    "{file:?} is damaged at offset {offset}: {what}; {remedy}"
                )
            }
            StoreError::Unsupported { file, offset, what } => write!(
                f,
                "{file:?} holds {what} at offset {offset}, which this version does not know; \
                 start the version that wrote it"
            ),
            StoreError::Locked { file } => {
                write!(
                    f,
                    "{file:?} is locked: another process uses this data directory"
                )
            }
        }
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            StoreError::Io { source, .. } => Some(source),
            StoreError::Corrupt { .. }
            | StoreError::Unsupported { .. }
            | StoreError::Locked { .. } => None,
        }
    }
}

/// Why [`crate::Store::append`] took no frame; the index is not used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// Only essential frames are taken until [`crate::Completion::DiskFreed`].
    DiskFull,
    /// A write or a sync failed before; the process must stop.
    Poisoned,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AppendError::DiskFull => "the disk is full",
            AppendError::Poisoned => "the log failed before and takes nothing more",
        })
    }
}

impl error::Error for AppendError {}

/// Why a record or page could not be read back.
#[derive(Debug)]
pub enum LoadError {
    /// The log holds no such message: never written, or below every low-water mark.
    Gone(MessageId),
    Failed(StoreError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Gone(id) => write!(f, "message {id:?} is not in the log"),
            LoadError::Failed(error) => error.fmt(f),
        }
    }
}

impl error::Error for LoadError {}
