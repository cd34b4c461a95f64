//! The whole node in one process without threads: topology, ledger, dispatch and store, over a
//! disk in memory and a clock that is moved by hand. Random clients ask for everything that a
//! session can ask for, the disk is slow, forgets, tears, fills up and fails, and a model that
//! knows nothing of pages, frames and checkpoints compares every answer and every delivery.
//!
//! What must hold is in `judge` and `deliveries` (while the node lives) and in `recount` (after it has died): what
//! was confirmed is there once, in its order and at its place; what was settled and answered for
//! is gone for good; a transaction is whole or absent; what survives of the rest is what was
//! appended up to one moment; what is marked as redelivered may have been; partitions have no
//! gaps; nothing volatile outlives the process.
//!
//! A seed is a story, the same on every machine. A failing one says how to repeat it:
//! `TROIKA_SIMULATION=17..18 cargo test -p server simulation`. `cargo xtask test --long` runs
//! thousands of them.
//!
//! Caveats: one node, one kind of queue each ([`queues::Queue`]); sessions are the node's, not the
//! doors'; a read that fails is not simulated, since a disk that cannot be read stops the process.

mod clients;
mod counts;
mod deliveries;
mod doors;
mod judge;
mod message;
mod partitions;
mod publishers;
mod queues;
mod recount;
mod story;
mod world;

use std::ops::Range;
use std::panic::RefUnwindSafe;

use counts::{Counts, EXPECTED};
use story::Story;
use world::{Stop, Weakness};

/// Stories of an ordinary run.
const SEEDS: Range<u64> = 0..48;
/// Seeds that found something once, of the node or of its judge.
const KEPT: [u64; 2] = [428, 3554];
/// Chosen with `TROIKA_SIMULATION`, as `from..to`.
const CHOSEN: &str = "TROIKA_SIMULATION";

/// The seeds that were asked for, or the usual ones.
fn chosen(usual: Range<u64>) -> Range<u64> {
    let Ok(chosen) = std::env::var(CHOSEN) else {
        return usual;
    };
    let bounds = chosen.split_once("..");
    let parsed = bounds.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("{CHOSEN} is from..to, not {chosen:?}"))
}

fn tell(seed: u64, weakness: Weakness) -> Result<Story, String> {
    Story::tell(seed, weakness).map_err(|stop| match stop {
        Stop::Fault(fault) => format!("seed {seed}: {fault}"),
        Stop::Breach(words) => format!("seed {seed}: {words}"),
    })
}

/// Tells the stories of the seeds that were chosen, else of `ordinary` ones, and of those that found
/// something once. An ordinary run must have seen everything that is `expected`. `test` repeats one.
fn tell_all(
    ordinary: Range<u64>,
    kept: &[u64],
    expected: &[&'static str],
    test: &str,
    tell: impl Fn(u64) -> Result<Counts, String> + RefUnwindSafe,
) {
    let mut failed = Vec::new();
    let mut counts = Counts::default();
    let seeds = chosen(ordinary.clone());
    let kept = kept.iter().copied().filter(|seed| !seeds.contains(seed));
    for seed in kept.chain(seeds.clone()) {
        // A panic names its seed, too.
        let told = std::panic::catch_unwind(|| tell(seed));
        match told.unwrap_or_else(|_| Err(format!("seed {seed}: a panic, see above"))) {
            Ok(seen) => counts.add(&seen),
            Err(words) => {
                let next = seed + 1;
                eprintln!("{words}\nrepeat: {CHOSEN}={seed}..{next} cargo test -p server {test}");
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
    // Everything that a story can bring has come.
    if seeds == ordinary {
        assert_eq!(counts.missing(expected), Vec::<&str>::new(), "{counts:?}");
    }
}

#[test]
fn random_stories() {
    tell_all(SEEDS, &KEPT, &EXPECTED, "simulation", |seed| {
        tell(seed, Weakness::Sound).map(|story| story.counts)
    });
}

#[test]
fn a_seed_is_one_story() {
    for seed in 0..4 {
        let told = || tell(seed, Weakness::Sound).map(|story| story.counts);
        assert_eq!(told(), told(), "seed {seed}");
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let found = (0..8).filter(|seed| tell(*seed, Weakness::LyingDisk).is_err());
    assert!(found.count() >= 6);
}

#[test]
fn a_node_that_confirms_too_early_is_found_out() {
    let found = (0..8).filter(|seed| tell(*seed, Weakness::HastyNode).is_err());
    assert!(found.count() >= 6);
}
