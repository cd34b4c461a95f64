//! Why the server cannot start or go on: for the operator, never for a peer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use broker::bytes::Undecodable;
use broker::refusal::Refusal;
use store::{AppendError, LoadError, StoreError};

use crate::config::ConfigError;

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} is no data directory: no server has run there", path.display())]
    NoDataDirectory { path: PathBuf },
    /// The log is sound, and what is in it makes no sense to this build.
    #[error(
        "frame {index} of the log cannot be replayed: {reason}; was it written by a newer version?"
    )]
    Replay { index: u64, reason: Undecodable },
    #[error("the checkpoint cannot be restored: {0}; was it written by a newer version?")]
    Restore(Undecodable),
    #[error("what was stored cannot be read back: {reason}")]
    Load { reason: LoadError },
    #[error("frame {index} of {bytes} bytes is larger than the log can hold")]
    FrameTooLarge { index: u64, bytes: usize },
    #[error("the log takes nothing more: {0}")]
    Append(AppendError),
    #[error("page {slot} cannot be understood: {reason}")]
    Page { slot: u64, reason: Undecodable },
    #[error(
        "cannot listen at {at} for {name}: {source}; is another broker running there? \
             listeners.{name} sets the port"
    )]
    Listen {
        name: &'static str,
        at: SocketAddr,
        source: io::Error,
    },
    #[error(
        "listeners.bind is {bind}, which others can reach, and no user may come in from there: \
             add [[users]] with name and password to troika.toml, or set listeners.bind to 127.0.0.1"
    )]
    OpenWithoutUsers { bind: IpAddr },
    #[error("a default could not be set up: {0}")]
    Refused(Refusal),
    #[error("the system gives no random bytes: {0}")]
    Entropy(#[from] getrandom::Error),
    #[error("cannot wait for sockets: {0}")]
    Poll(io::Error),
    #[error("cannot take signals: {0}")]
    Signals(io::Error),
}
