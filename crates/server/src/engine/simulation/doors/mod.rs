//! The whole server but its sockets in one process without threads: clients of all three wires
//! speak to the doors in bytes, the doors to the node, and the node to a disk in memory, over a
//! clock that is moved by hand. Random clients publish, consume, acknowledge, return, reject, commit,
//! roll back, read and say where they stand; bytes arrive in pieces; connections are cut, the
//! process dies, and the disk forgets, tears, fills up and fails. What the clients are told is
//! decoded and judged.
//!
//! What must hold is in `judge` (queues), `deals` (what happens whole or not at all) and
//! `partitions`: whoever was told that a message is there, or has seen it, finds it again until it
//! is settled; what was settled and answered for, by channel.close-ok, connection.close-ok, the
//! Response to an acknowledgement or to a commit, never comes again; nothing comes that nobody has
//! sent, or in other bytes, whatever wire it came by; what a sender sends comes in its order; what
//! comes again is marked, and nothing else is; a transaction and a death are whole or absent; limits
//! of prefetch hold; offsets have no gaps and keep their contents; every request is answered.
//!
//! A seed is a story, as in the simulation of the node, by the same variable:
//! `TROIKA_SIMULATION=17..18 cargo test -p server simulation::doors`.
//!
//! Caveats: clients ask for nothing that is refused, unless the disk is full or memory short. No
//! delays and expiry, no volatile queues, no `no_ack`, no selectors, no groups of RocketMQ that
//! share queues, retry or POP: scripts and the simulation of the node know those. A stop in order
//! does not wait for messages on their way to the dead letters: they are where they were.

mod amqp;
mod amqp_acts;
mod amqp_channel;
mod amqp_settling;
mod breaches;
mod client;
mod deals;
mod house;
mod judge;
mod message;
mod openwire;
mod openwire_acts;
mod openwire_settling;
mod openwire_transactions;
mod partitions;
mod pipes;
mod remoting;
mod remoting_acts;
mod remoting_halves;
mod story;

use std::ops::Range;

use super::tell_all;
use super::world::{Stop, Weakness};
use story::Story;

/// Stories of an ordinary run.
const SEEDS: Range<u64> = 0..48;
/// Seeds that found something once. 5: the decision of a half message was answered while the
/// same one, said before over a connection that had gone, was still on its way to the disk.
const KEPT: [u64; 2] = [5, 234];

/// What an ordinary run must have seen.
const EXPECTED: [&str; 33] = [
    "AMQP burial",
    "AMQP channel closed",
    "AMQP confirm",
    "AMQP delivery",
    "AMQP get",
    "AMQP goodbye",
    "AMQP redelivery",
    "AMQP refusal",
    "OpenWire answer",
    "OpenWire burial",
    "OpenWire commit",
    "OpenWire commit refused",
    "OpenWire dispatch",
    "OpenWire empty pull",
    "OpenWire goodbye",
    "OpenWire redelivery",
    "OpenWire refusal",
    "OpenWire rollback",
    "OpenWire sent again",
    "RocketMQ answer",
    "RocketMQ asked back",
    "RocketMQ commit",
    "RocketMQ half",
    "RocketMQ half refused",
    "RocketMQ offset kept",
    "RocketMQ read",
    "RocketMQ refusal",
    "alarm",
    "break",
    "crash",
    "fault",
    "hang-up",
    "orderly stop",
];

fn tell(seed: u64, weakness: Weakness) -> Result<Story, String> {
    Story::tell(seed, weakness).map_err(|stop| match stop {
        Stop::Fault(fault) => format!("seed {seed}: {fault}"),
        Stop::Breach(words) => format!("seed {seed}: {words}"),
    })
}

#[test]
fn random_stories() {
    tell_all(SEEDS, &KEPT, &EXPECTED, "simulation::doors", |seed| {
        tell(seed, Weakness::Sound).map(|story| story.counts)
    });
}

#[test]
fn a_seed_is_one_story() {
    for seed in 0..3 {
        let told = || tell(seed, Weakness::Sound).map(|story| story.counts);
        assert_eq!(told(), told(), "seed {seed}");
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let found = (0..6).filter(|seed| tell(*seed, Weakness::LyingDisk).is_err());
    assert!(found.count() >= 4);
}

#[test]
fn a_node_that_confirms_too_early_is_found_out() {
    let found = (0..6).filter(|seed| tell(*seed, Weakness::HastyNode).is_err());
    assert!(found.count() >= 4);
}
