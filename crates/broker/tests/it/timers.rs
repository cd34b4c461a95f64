//! Messages kept until they are due: never early, in order, none lost, whatever happens between,
//! and few pages of them in memory.

use std::collections::{BTreeMap, BTreeSet};

use broker::event::Event;
use broker::id::{ConsumerId, Millis, SessionId, Token};
use broker::pass::{Command, ConsumerOptions, Credit, Destination, Mode, Sharing};
use broker::record::{Envelope, Language};
use broker::topology::Change;

use super::chance::Chance;
use super::world::{START, Sync, World, queue};

const SESSION: SessionId = SessionId(1);
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A world with one queue and a consumer that takes everything.
struct Wait {
    world: World,
    consumers: u64,
    next: u64,
    /// Kept, by when they are due.
    kept: BTreeSet<(Millis, u64)>,
    due: BTreeMap<u64, Millis>,
    /// Not confirmed yet.
    sent: BTreeMap<Token, u64>,
    /// What came since this was last looked at.
    came: Vec<(Millis, u64)>,
}

impl Wait {
    fn new() -> Wait {
        let mut world = World::new();
        let change = Change::DeclareQueue(queue("jobs"));
        let made = world.done(SESSION, |token| Command::Change { token, change });
        assert!(matches!(made, Some(Ok(_))));
        let mut wait = Wait {
            world,
            consumers: 0,
            next: 0,
            kept: BTreeSet::new(),
            due: BTreeMap::new(),
            sent: BTreeMap::new(),
            came: Vec::new(),
        };
        wait.attach();
        wait
    }

    fn attach(&mut self) {
        self.consumers += 1;
        let consumer = ConsumerId(self.consumers);
        let options = ConsumerOptions {
            mode: Mode::Settled,
            sharing: Sharing::Shared,
            priority: 0,
            filter: None,
            credit: Credit::Unlimited,
        };
        let queue = self.world.queue("jobs");
        self.world.ask(SESSION, |token| Command::Attach {
            token,
            consumer,
            queue,
            options,
        });
        self.run();
    }

    fn publish(&mut self, due: Millis) {
        let number = self.next;
        self.next += 1;
        let mut envelope = Envelope::new(Language(1), "", "jobs", self.world.now);
        envelope.persistent = true;
        let token = self.world.token();
        let destination = [Destination::Timer(due)];
        let name = number.to_string();
        self.world
            .publish(SESSION, Some(token), &envelope, &destination, &name);
        self.sent.insert(token, number);
        self.due.insert(number, due);
    }

    fn run(&mut self) {
        self.world.run();
        for event in std::mem::take(&mut self.world.events) {
            match event {
                Event::Stored { token, .. } => {
                    if let Some(number) = self.sent.remove(&token) {
                        self.kept.insert((self.due[&number], number));
                    }
                }
                Event::Deliver(delivery) => {
                    let name = self.world.message_name(delivery.message);
                    self.came
                        .push((self.world.now, name.parse().expect("a number")));
                }
                Event::Done { .. } | Event::Changed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets time pass as a real clock would, and tells what came.
    fn pass(&mut self, ms: u64) -> Vec<(Millis, u64)> {
        let end = self.world.now.plus(ms);
        while let Some(at) = self.world.node.deadline()
            && at < end
        {
            self.world.now = at.max(self.world.now.plus(1));
            self.run();
        }
        self.world.now = end;
        self.run();
        std::mem::take(&mut self.came)
    }

    /// The same, where nothing can go wrong: each at its time, in order.
    fn pass_exactly(&mut self, ms: u64) {
        let end = self.world.now.plus(ms);
        let came = self.pass(ms);
        let later = self.kept.split_off(&(end.plus(1), 0));
        let expected: Vec<_> = std::mem::replace(&mut self.kept, later)
            .into_iter()
            .collect();
        assert_eq!(came.len(), expected.len());
        for (came, expected) in came.into_iter().zip(expected) {
            assert_eq!(came, expected, "when and what came, when and what was due");
        }
    }

    /// Everything came, in the order in which it was due.
    fn came_in_order(&mut self) {
        let came = std::mem::take(&mut self.came).into_iter();
        let came: Vec<u64> = came.map(|(_, number)| number).collect();
        let kept = std::mem::take(&mut self.kept).into_iter();
        let expected: Vec<u64> = kept.map(|(_, number)| number).collect();
        assert_eq!(came.len(), expected.len());
        assert!(came == expected, "in the order of their times");
    }

    fn checkpoint(&mut self) {
        self.world.sync();
        self.run();
        self.world.checkpoint();
    }

    fn crash(&mut self) {
        self.world.crash();
        self.sent.clear();
        self.attach();
    }
}

#[test]
fn each_comes_when_it_is_due() {
    for seed in 0..20 {
        let mut wait = Wait::new();
        let mut chance = Chance::new(seed);
        for _ in 0..30 {
            for _ in 0..chance.below(40) {
                let reach = 1 << (1 + chance.below(31));
                let due = wait.world.now.plus(1 + chance.below(reach));
                wait.publish(due);
            }
            wait.run();
            match chance.below(6) {
                0 => wait.checkpoint(),
                1 => wait.crash(),
                _ => {
                    let reach = 1 << (1 + chance.below(26));
                    wait.pass_exactly(chance.below(reach));
                }
            }
        }
        wait.pass_exactly(30 * DAY_MS);
        assert!(wait.kept.is_empty());
        wait.world.compare_with_replay();
    }
}

/// Frames are lost with a crash at any place between two buckets: what was confirmed comes, in
/// order and never early, and twice only if the crash took the fact that it came.
#[test]
fn a_crash_between_two_buckets_loses_nothing() {
    for seed in 0..12 {
        let mut wait = Wait::new();
        let mut chance = Chance::new(seed);
        let mut seen = BTreeSet::new();
        for _ in 0..1500 {
            let due = START.plus(HOUR_MS + chance.below(20_000));
            wait.publish(due);
        }
        wait.run();
        assert!(wait.sent.is_empty() && wait.kept.len() == 1500);
        if seed % 2 == 0 {
            wait.checkpoint();
            wait.crash();
            wait.world.bodies.resident = Some(BTreeSet::new());
        }
        wait.world.durability = Sync::Held;
        let mut note = |came: Vec<(Millis, u64)>, due: &BTreeMap<u64, Millis>| {
            for (at, number) in came {
                assert!(at >= due[&number], "seed {seed}: {number} is early");
                seen.insert(number);
            }
        };
        wait.pass(HOUR_MS - 10_000);
        for _ in 0..30 {
            let came = wait.pass(chance.below(3_000));
            note(came, &wait.due);
            match chance.below(4) {
                0 => wait.checkpoint(),
                1 => {
                    wait.crash();
                    wait.world.durability = Sync::Held;
                }
                _ => {
                    let frames = chance.below(wait.world.unsynced() as u64 + 1);
                    wait.world.sync_some(frames as usize);
                }
            }
        }
        wait.world.durability = Sync::AtOnce;
        wait.world.sync();
        let came = wait.pass(HOUR_MS);
        note(came, &wait.due);
        assert_eq!(seen.len(), 1500, "seed {seed}");
        wait.world.compare_with_replay();
        let status = wait.world.node.deadline();
        assert!(status.is_none_or(|at| at > wait.world.now), "seed {seed}");
    }
}

/// After a long absence everything comes at once, in the order in which it was due.
#[test]
fn what_was_missed_comes_in_order() {
    let mut wait = Wait::new();
    let mut chance = Chance::new(1);
    for _ in 0..6000 {
        let due = wait.world.now.plus(1 + chance.below(40 * DAY_MS));
        wait.publish(due);
    }
    wait.checkpoint();
    wait.crash();
    wait.world.now = START.plus(50 * DAY_MS);
    wait.run();
    wait.came_in_order();
    wait.world.compare_with_replay();
}

/// A bucket whose pages lie in the page file is put in order before the first of it fires.
#[test]
fn a_bucket_is_read_to_its_end_first() {
    let mut wait = Wait::new();
    let mut chance = Chance::new(1);
    // A finest bucket begins here.
    let start = Millis((START.0 >> 6 << 6) + 3200);
    for _ in 0..6000 {
        wait.publish(start.plus(chance.below(64)));
    }
    wait.checkpoint();
    wait.crash();
    wait.world.now = START.plus(5000);
    wait.run();
    wait.came_in_order();
}

/// Two hundred thousand messages wait for up to two days: what is in memory of them is what is read
/// and carried at the time.
#[test]
fn many_wait_in_few_pages() {
    const COUNT: u64 = 200_000;
    const PAGES_MAX: usize = 96;
    let mut wait = Wait::new();
    let mut chance = Chance::new(1);
    for _ in 0..COUNT {
        let due = wait.world.now.plus(HOUR_MS + chance.below(2 * DAY_MS));
        wait.publish(due);
    }
    wait.run();
    assert!(wait.world.node.resident_pages() > COUNT as usize / 512 - 100);
    wait.checkpoint();
    let state = wait.world.state_bytes();
    assert!(state < 400_000, "a checkpoint of {state} bytes");
    wait.crash();
    assert_eq!(wait.world.node.resident_pages(), 0);
    wait.world.resident_max = Some(0);
    wait.pass_exactly(3 * HOUR_MS + 60_000);
    let most = wait.world.resident_max;
    assert!(most < Some(PAGES_MAX), "{most:?} pages");
}

/// What is carried at once fills pages that only a checkpoint can take out of memory; so it asks for
/// one.
#[test]
fn opened_buckets_ask_for_a_checkpoint() {
    const COUNT: u64 = 140_000;
    let mut wait = Wait::new();
    // All in one bucket of 2¹⁸ ms, which is carried twice before the first of them is due.
    let start = Millis(START.plus(10 * HOUR_MS).0 >> 18 << 18);
    for number in 0..COUNT {
        wait.publish(start.plus(70_000 + number));
    }
    wait.checkpoint();
    wait.crash();
    assert_eq!(wait.pass(start.0 - START.0 - 1), []);
    assert!(!wait.world.node.wants_checkpoint());
    assert_eq!(wait.pass(1), []);
    assert!(wait.world.node.wants_checkpoint());
    assert!(wait.world.node.resident_pages() > 200);
    wait.checkpoint();
    assert!(!wait.world.node.wants_checkpoint());
    wait.pass_exactly(71_000);
    wait.world.compare_with_replay();
}

#[test]
fn some_wait_for_years() {
    let mut wait = Wait::new();
    for years in 1..=30 {
        let due = wait.world.now.plus(years * 365 * DAY_MS + years);
        wait.publish(due);
    }
    wait.run();
    wait.checkpoint();
    wait.crash();
    for _ in 0..31 {
        wait.pass_exactly(365 * DAY_MS);
    }
    assert!(wait.kept.is_empty());
    wait.world.compare_with_replay();
}

/// A record that is in the log no more holds nobody up.
#[test]
fn what_cannot_be_read_goes_nowhere() {
    let mut wait = Wait::new();
    for after in [10, 20, 30] {
        wait.publish(START.plus(after));
    }
    wait.run();
    let first = *wait.world.bodies.log.keys().next().expect("a record");
    wait.world.bodies.log.remove(&first);
    wait.world.bodies.resident = Some(BTreeSet::new());
    let came: Vec<_> = wait.pass(100).into_iter().map(|(_, n)| n).collect();
    assert_eq!(came, [1, 2]);
    wait.world.compare_with_replay();
}
