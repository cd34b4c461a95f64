//! Random commands on the shard without a log: a message is let go once, when the last queue that
//! holds it lets it go, and then it is.

use std::collections::BTreeSet;

use broker::event::Event;
use broker::id::{ConsumerId, Durability, Position, QueueId, SessionId};
use broker::pass::{
    Command, ConsumerOptions, Credit, DeleteCondition, Destination, Mode, Outcome, Positions,
    Sharing,
};
use broker::record::{Envelope, Language};
use broker::topology::{Change, DeadLetter, QueueOptions, QueueSpec};

use super::chance::Chance;
use super::world::{World, queue};

const SEEDS: u64 = 150;
const STEPS: u64 = 150;
const SPILLING_SEEDS: u64 = 8;
const NAMES: [&str; 4] = ["a", "b", "c", "grave"];
const SESSION: SessionId = SessionId(1);

struct Story {
    world: World,
    chance: Chance,
    /// So many messages are published at a time at most.
    burst: u64,
    next: u64,
    next_consumer: u64,
    held: BTreeSet<(QueueId, Position)>,
}

#[test]
fn everything_is_let_go_once() {
    for seed in 0..SEEDS {
        let mut story = Story::begin(World::new(), seed, 6);
        for _ in 0..STEPS {
            story.step();
            story.world.run();
            story.look();
        }
        story.finish(seed);
    }
}

/// The same with hundreds of messages at a time, with next to no page and no record in memory.
#[test]
fn what_is_spilled_is_let_go_once() {
    let mut pages_max = 0;
    for seed in 0..SPILLING_SEEDS {
        let mut world = World::new();
        world.volatile_pages_max = Some(2);
        world.bodies.resident = Some(BTreeSet::new());
        let mut story = Story::begin(world, seed, 200);
        for _ in 0..STEPS {
            story.step();
            story.world.run();
            story.look();
            pages_max = pages_max.max(story.world.volatile_pages());
        }
        story.finish(seed);
    }
    assert!(pages_max > 8, "only {pages_max} pages were spilled");
}

impl Story {
    fn begin(world: World, seed: u64, burst: u64) -> Story {
        let chance = Chance::new(seed);
        let mut story = Story {
            world,
            chance,
            burst,
            next: 0,
            next_consumer: 1,
            held: BTreeSet::new(),
        };
        NAMES.iter().for_each(|name| story.declare(name));
        story
    }

    /// The queues bury in the last one what expires or is rejected; that one keeps it.
    fn declare(&mut self, name: &str) {
        let lives = name != "grave";
        let dead_letter = lives.then(|| DeadLetter {
            address: "".into(),
            key: Some("grave".into()),
            persistent_only: false,
            create_queue: false,
        });
        let message_ttl_ms = (name == "b").then_some(5000);
        let spec = QueueSpec {
            durability: Durability::Volatile,
            options: QueueOptions {
                message_ttl_ms,
                idle_ms: None,
                dead_letter,
            },
            ..queue(name)
        };
        let change = Change::DeclareQueue(spec);
        let result = self
            .world
            .done(SESSION, |token| Command::Change { token, change });
        assert!(matches!(result, Some(Ok(_))), "{result:?}");
    }

    fn step(&mut self) {
        let name = NAMES[self.chance.below(NAMES.len() as u64) as usize];
        match self.chance.below(100) {
            0..40 => (0..self.chance.below(self.burst)).for_each(|_| self.publish()),
            40..50 => self.attach(name),
            50..75 => self.settle(),
            75..82 => {
                let queue = self.world.queue(name);
                self.world
                    .ask(SESSION, |token| Command::Purge { token, queue });
                self.world
                    .ask(SESSION, |token| Command::Purge { token, queue });
                // What nobody was handed may be settled, too, and is settled twice then.
                let position = Position(self.chance.below(self.next + 1));
                self.world.pass.push(
                    SESSION,
                    Command::Settle {
                        queue,
                        positions: Positions::One(position),
                        outcome: Outcome::Accept,
                    },
                );
            }
            82..86 => {
                // Published in the pass in which the queue goes: stored, and nobody's.
                self.publish();
                let condition = DeleteCondition::default();
                self.world.ask(SESSION, |token| Command::DeleteQueue {
                    token,
                    name: name.into(),
                    condition,
                });
                self.publish();
                self.world.run();
                self.look();
                self.declare(name);
            }
            86..94 => self.world.tick(2000),
            _ => self.world.pass.push(SESSION, Command::End { token: None }),
        }
    }

    fn publish(&mut self) {
        let mut destinations: Vec<_> = Vec::new();
        for name in NAMES {
            if self.chance.below(2) == 0 {
                destinations.push(Destination::Queue(self.world.queue(name)));
            }
        }
        if destinations.is_empty() {
            return;
        }
        let native = self.next.to_string();
        self.next += 1;
        let envelope = Envelope::new(Language(1), "", "", self.world.now);
        self.world
            .publish(SESSION, None, &envelope, &destinations, &native);
    }

    fn attach(&mut self, name: &str) {
        let consumer = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        let mode = if self.chance.below(3) == 0 {
            Mode::Settled
        } else {
            Mode::Lease
        };
        let credit = Credit::Set(self.chance.below(5) as u32);
        let (sharing, priority, filter) = (Sharing::Shared, 0, None);
        let options = ConsumerOptions {
            mode,
            sharing,
            priority,
            filter,
            credit,
        };
        let queue = self.world.queue(name);
        self.world.ask(SESSION, |token| Command::Attach {
            token,
            consumer,
            queue,
            options,
        });
    }

    fn settle(&mut self) {
        for _ in 0..1 + self.chance.below(4) {
            let Some((queue, position)) = self.held.pop_first() else {
                return;
            };
            let outcome = match self.chance.below(5) {
                0 | 1 => Outcome::Accept,
                2 => Outcome::Release,
                3 => Outcome::ReleaseCounted,
                _ => Outcome::Reject {
                    fallback: None,
                    cause: None,
                },
            };
            let positions = Positions::One(position);
            self.world.pass.push(
                SESSION,
                Command::Settle {
                    queue,
                    positions,
                    outcome,
                },
            );
        }
    }

    fn look(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            if let Event::Deliver(delivery) = event {
                self.held.insert((delivery.queue, delivery.position));
            }
        }
    }

    /// With every queue gone, nothing is held any more.
    fn finish(mut self, seed: u64) {
        for name in NAMES {
            let condition = DeleteCondition::default();
            self.world.ask(SESSION, |token| Command::DeleteQueue {
                token,
                name: name.into(),
                condition,
            });
        }
        self.world.run();
        assert!(self.next > 0);
        assert_eq!(
            self.world.bodies.volatile.len(),
            0,
            "seed {seed}: messages are held by nobody"
        );
        assert_eq!(
            self.world.volatile_pages(),
            0,
            "seed {seed}: pages that nothing refers to"
        );
        assert!(
            self.world.node.deadline().is_none(),
            "seed {seed}: there is nothing to wait for"
        );
    }
}
