//! The doors: where the language of a wire meets the language of the broker.
//!
//! One [`door::Door`] per wire owns the conversations of all its connections. Bytes from links
//! and events from the broker go in; bytes for links and commands for the broker come out. A door
//! routes on an immutable snapshot of the topology, lays a message out as the log will keep it,
//! and turns each outcome, refusals included, into its own wire's words and codes.
//!
//! # What it is not
//!
//! No socket, no clock, no thread, no storage: a door is driven by the server, or by a test with
//! a scripted world around it. What a message *means* to queues and partitions is decided in
//! `broker`; a door keeps only what its protocol needs for the conversation (delivery tags, ack
//! ranges, members of a group).
//!
//! # Invariants
//!
//! * To its own language a message is exact, save the broker-owned fields listed in
//!   `docs/interop.md`; to a foreign one the conversion is total, by one table per direction in
//!   [`convert`].
//! * Nothing is accepted and silently dropped: what is not served is refused with the
//!   protocol's own error, and stands in `docs/protocols/`.
//! * A refusal of the broker is mapped without a catch-all arm, so that a new one must be worded
//!   for every wire.
//! * Whatever a peer can grow has a named limit, checked before memory is taken.

pub mod access;
pub mod amqp;
pub mod birth;
pub mod convert;
pub mod door;
pub mod language;
pub mod openwire;
pub mod partition;
pub mod predeclared;
pub mod remoting;
pub mod selector;
pub mod view;
