//! Random commands against a model that knows nothing of pages, cursors and frames: what was
//! confirmed, what was settled for good, what somebody holds.

mod judge;

use std::collections::{BTreeMap, BTreeSet};

use broker::id::{ConsumerId, Millis, Position, QueueId, SessionId, Token};
use broker::pass::{
    Command, ConsumerOptions, Credit, Destination, Mode, Outcome, Positions, Sharing,
};
use broker::record::{Envelope, Language};
use broker::topology::Change;

use super::chance::Chance;
use super::world::{Sync, World, queue};

const QUEUES: [&str; 2] = ["a", "b"];
const SEEDS: u64 = 200;
const STEPS: u64 = 120;
/// Some messages are kept first, up to so long.
const DELAY_MS_MAX: u64 = 20_000;

/// A queue and a number, which is the order in which messages were sent.
type Key = (usize, u64);
/// Who holds it, and where it stands.
type Place = (SessionId, QueueId, Position);

/// What is known of one message in one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Asked to be stored, not confirmed.
    Sent,
    Confirmed,
    /// A settlement was asked for; it may come again only after a crash.
    Settled,
    /// A barrier behind its settlement was answered: it never comes again.
    Gone,
}

struct Message {
    state: State,
    persistent: bool,
    /// Not handed out before, and in no order with those that were not kept.
    due: Option<Millis>,
    /// Handed out at least once, in whatever life.
    seen: bool,
    /// Comes as redelivered.
    marked: bool,
    /// Has lived through a crash, so that it may come as redelivered.
    may_be_marked: bool,
    held: Option<Place>,
    /// Counted releases; `None` if a crash may have lost some.
    attempts: Option<u32>,
}

struct Model {
    world: World,
    chance: Chance,
    seed: u64,
    next: u64,
    messages: BTreeMap<Key, Message>,
    confirms: BTreeMap<Token, Vec<Key>>,
    /// What is settled for good when a barrier is answered.
    barriers: BTreeMap<Token, Vec<Key>>,
    consumers: BTreeMap<ConsumerId, (SessionId, usize)>,
    next_consumer: u64,
    /// The last message of each queue that was handed out for the first time, in this life.
    freshest: [Option<u64>; QUEUES.len()],
}

#[test]
fn random_commands() {
    for seed in 0..SEEDS {
        let mut model = Model::new(seed);
        for _ in 0..STEPS {
            model.step();
        }
        model.finish();
    }
}

impl Model {
    fn new(seed: u64) -> Model {
        let mut world = World::new();
        for name in QUEUES {
            let change = Change::DeclareQueue(queue(name));
            let result = world.done(SessionId(1), |token| Command::Change { token, change });
            assert!(matches!(result, Some(Ok(_))));
        }
        world.durability = Sync::Held;
        world.settle_in_parts(seed.is_multiple_of(2).then_some(1));
        if seed.is_multiple_of(3) {
            world.bodies.resident = Some(BTreeSet::new());
        }
        Model {
            world,
            chance: Chance::new(seed),
            seed,
            next: 0,
            messages: BTreeMap::new(),
            confirms: BTreeMap::new(),
            barriers: BTreeMap::new(),
            consumers: BTreeMap::new(),
            next_consumer: 1,
            freshest: Default::default(),
        }
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..30 => self.publish(),
            30..36 => self.transaction(),
            36..46 => self.attach(),
            46..72 => self.settle(),
            72..77 => self.barrier(),
            77..87 => {
                let frames = self.chance.below(self.world.unsynced() as u64 + 1);
                self.world.sync_some(frames as usize);
            }
            87..90 => self.end_session(),
            90..94 => self.credit(),
            94..96 => self.world.tick(1000),
            96..98 => {
                // What a checkpoint holds is synced before it.
                self.world.sync();
                self.world.run();
                self.world.checkpoint();
            }
            _ => self.crash(),
        }
        self.world.run();
        self.look();
    }

    fn store(&mut self, session: SessionId, token: Option<Token>) -> Key {
        let queue = self.chance.below(QUEUES.len() as u64) as usize;
        let persistent = self.chance.below(4) > 0;
        let due = (persistent && self.chance.below(6) == 0)
            .then(|| self.world.now.plus(self.chance.below(DELAY_MS_MAX)));
        let number = self.next;
        self.next += 1;
        let name = number.to_string();
        let mut envelope = Envelope::new(Language(1), "", QUEUES[queue], self.world.now);
        envelope.persistent = persistent;
        let destinations = [match due {
            Some(due) => Destination::Timer(due),
            None => Destination::Queue(self.world.queue(QUEUES[queue])),
        }];
        self.world
            .publish(session, token, &envelope, &destinations, &name);
        let state = State::Sent;
        let (seen, marked, may_be_marked) = (false, false, false);
        let (held, attempts) = (None, Some(0));
        let message = Message {
            state,
            persistent,
            due,
            seen,
            marked,
            may_be_marked,
            held,
            attempts,
        };
        self.messages.insert((queue, number), message);
        (queue, number)
    }

    fn publish(&mut self) {
        let many = if self.chance.below(20) == 0 {
            600
        } else {
            1 + self.chance.below(8)
        };
        for _ in 0..many {
            let token = self.world.token();
            let key = self.store(SessionId(1), Some(token));
            self.confirms.insert(token, vec![key]);
        }
    }

    fn transaction(&mut self) {
        let session = SessionId(2);
        self.world.pass.begin(session);
        let count = 1 + self.chance.below(5);
        let mut keys: Vec<_> = (0..count).map(|_| self.store(session, None)).collect();
        for key in &keys {
            self.messages.get_mut(key).expect("just sent").persistent = true;
        }
        let settled = self.pick_held();
        if let Some((key, (_, queue, position))) = settled {
            let (positions, outcome) = (Positions::One(position), Outcome::Accept);
            let holder = self.messages[&key].held.expect("held").0;
            self.world.pass.push(
                holder,
                Command::Settle {
                    queue,
                    positions,
                    outcome,
                },
            );
            let message = self.messages.get_mut(&key).expect("known");
            message.held = None;
            message.state = State::Settled;
        }
        let token = self.world.token();
        self.world.pass.commit(session, token);
        self.barriers
            .insert(token, settled.iter().map(|(key, _)| *key).collect());
        self.confirms.insert(token, std::mem::take(&mut keys));
    }

    fn attach(&mut self) {
        if self.consumers.len() > 6 {
            return;
        }
        let consumer = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        let session = SessionId(1 + self.chance.below(3));
        let queue = self.chance.below(QUEUES.len() as u64) as usize;
        let options = ConsumerOptions {
            mode: Mode::Lease,
            sharing: Sharing::Shared,
            priority: self.chance.below(2) as i32,
            filter: None,
            credit: Credit::Set(1 + self.chance.below(20) as u32),
        };
        let id = self.world.queue(QUEUES[queue]);
        self.world.ask(session, |token| Command::Attach {
            token,
            consumer,
            queue: id,
            options,
        });
        self.consumers.insert(consumer, (session, queue));
    }

    fn credit(&mut self) {
        let consumers: Vec<_> = self
            .consumers
            .iter()
            .map(|(id, (s, _))| (*id, *s))
            .collect();
        for (consumer, session) in consumers {
            let credit = Credit::Add(self.chance.below(30) as u32);
            self.world
                .pass
                .push(session, Command::Credit { consumer, credit });
        }
    }

    fn pick_held(&mut self) -> Option<(Key, Place)> {
        let held: Vec<_> = self
            .messages
            .iter()
            .filter_map(|(key, m)| Some((*key, m.held?)))
            .collect();
        if held.is_empty() {
            return None;
        }
        Some(held[self.chance.below(held.len() as u64) as usize])
    }

    fn settle(&mut self) {
        for _ in 0..1 + self.chance.below(6) {
            let Some((key, (session, queue, position))) = self.pick_held() else {
                return;
            };
            let message = self.messages.get_mut(&key).expect("held");
            message.held = None;
            let outcome = match self.chance.below(10) {
                0..6 => Outcome::Accept,
                6 => Outcome::Release,
                7 => Outcome::ReleaseCounted,
                8 => Outcome::ReleaseUntouched,
                _ => Outcome::Reject {
                    fallback: None,
                    cause: None,
                },
            };
            match outcome {
                Outcome::Accept | Outcome::Reject { .. } => message.state = State::Settled,
                Outcome::ReleaseCounted => {
                    message.attempts = message.attempts.map(|attempts| attempts + 1);
                    message.marked = true;
                }
                Outcome::Release => message.marked = true,
                Outcome::ReleaseUntouched | Outcome::Expired | Outcome::Forward(_) => {}
            }
            let positions = Positions::One(position);
            self.world.pass.push(
                session,
                Command::Settle {
                    queue,
                    positions,
                    outcome,
                },
            );
        }
    }

    fn barrier(&mut self) {
        let settled = self
            .messages
            .iter()
            .filter(|(_, m)| m.state == State::Settled);
        let keys = settled.map(|(key, _)| *key).collect();
        let token = self
            .world
            .ask(SessionId(1), |token| Command::Barrier { token });
        self.barriers.insert(token, keys);
    }

    fn end_session(&mut self) {
        let session = SessionId(1 + self.chance.below(3));
        self.world.pass.push(session, Command::End { token: None });
        self.consumers.retain(|_, (s, _)| *s != session);
        for message in self.messages.values_mut() {
            if message.held.is_some_and(|(s, ..)| s == session) {
                message.held = None;
                message.marked = true;
            }
        }
    }
}
