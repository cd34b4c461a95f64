//! The server: the only crate that touches sockets, threads, the clock and the configuration.
//!
//! It starts everything ([`Server::open`]), runs the message path on one plain thread
//! (`reactor`), performs what the broker decides (`engine`: frames to the store, records and
//! pages back), answers who may come in (`access`), lets publishers rest when
//! memory or disk run short (`alarm`), and ends in order. What is said on a wire is
//! the doors' business in `gateway`; what happens to a message is decided in `broker`; how it
//! lies on the disk is known to `store`. Nothing of that is in here.
//!
//! Invariants:
//! - the reactor's thread is the only one that touches a connection, a door, the node or the
//!   store's owner side; the store's threads ring a waker and are asked;
//! - the broker hears one clock, which never goes back, and within one turn it stands still;
//! - a fault of the disk ends the process with an error that says what failed: nothing that was
//!   not synced is ever confirmed;
//! - nobody who does not sit at this machine comes in unless a user was configured for it.
//!
//! Caveats: one reactor, so one core for all connections beside the log's; no TLS; no HTTP; the
//! default users `guest` and `admin` exist, for this machine only, until they are deleted.

mod access;
mod alarm;
mod clock;
mod config;
mod connection;
mod core;
mod doors;
mod engine;
mod entropy;
mod fault;
mod founding;
mod links;
pub mod offline;
mod pace;
mod password;
mod reactor;
mod signals;
mod start;
mod throttle;
mod volatile;

pub use config::{
    Broker, Config, ConfigError, DataDir, Limits, Listeners, Log, Origin, Override, Retention,
    Secret, User,
};
pub use doors::doors;
pub use fault::Fault;
pub use password::hash as hash_password;
pub use start::{Server, Stopper, serve, serve_on};

/// A value of a flag, as the configuration takes it.
pub use toml::Value;
