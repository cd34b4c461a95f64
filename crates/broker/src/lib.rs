//! The domain of Troika: what a message broker decides, and nothing of how bytes, files or time
//! reach it.
//!
//! Three deterministic machines. The [`topology`] alone knows names: addresses, queues, bindings,
//! groups, users; whoever routes does so on an immutable snapshot. The [`ledger`] of a shard
//! holds the facts about its messages and changes only by applying frames in order. The
//! [`dispatch`] of a shard is its leader's memory: consumers, credit, what is handed out, who
//! waits. A [`node`] puts one shard with a log, one without and the topology together.
//!
//! The way of a message in here: a door adds it to a [`pass::Pass`] with its route already found;
//! [`node::Node::handle`] decides and gives out an [`event::Frame`]; when that is durable,
//! [`node::Node::advance`] applies it, and out come [`event::Event`]s: stored, deliver, done.
//!
//! # What it is not
//!
//! No I/O, no clock (time comes as an argument), no chance, no threads, no protocol's words, no
//! message bodies: it keeps 16 bytes of each message ([`entry::Entry`]) and asks for records by
//! [`event::Load`]: before it hands one out, filters it, compares its time or sends it on.
//!
//! # Invariants
//!
//! * An id and a position are never used again.
//! * A replayed ledger equals the live one, byte by byte.
//! * A persistent message of a durable queue is durable before it is confirmed or handed out.
//! * No step of a message does work in proportion to what is stored.
//! * Refusals are values of one closed enum; a panic in here is a bug of ours.
//!
//! # Caveats
//!
//! Priorities, length limits and delivery limits of queues are not in here yet; the format has
//! room for them (death reasons, bits of a position). A checkpoint writes a line for every page
//! and cursor; removing an address or a group looks at every cursor.

pub mod bytes;
pub mod dispatch;
pub mod entry;
pub mod event;
pub mod filter;
pub mod id;
pub mod ledger;
pub mod map;
pub mod node;
pub mod pass;
pub mod properties;
pub mod record;
pub mod refusal;
pub mod strand;
pub mod topology;
