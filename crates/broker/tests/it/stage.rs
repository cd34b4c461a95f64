//! The verbs of scripts, and the names in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use broker::event::Answer;
use broker::filter::{Comparison, Literal, Operand, Predicate};
use broker::id::{ConsumerId, Durability, GroupId, PartitionId, Position, SessionId, Token};
use broker::node::Retention;
use broker::pass::{
    Command, ConsumerOptions, Credit, DeleteCondition, Destination, Forward, Mode, Outcome,
    Positions, Producer, Publish, Read, Sharing, Side,
};
use broker::record::{Envelope, Language, Record};
use broker::topology::{
    Answer as TopologyAnswer, Change, DeadLetter, GroupSpec, QueueOptions, QueueSpec, Route,
    Router, TargetName, Unused,
};

use super::world::{Held, START, Sync, World, address, partitioned, tag_hash};

/// The world of one script, and the names in it.
pub struct Stage {
    pub world: World,
    sessions: Vec<String>,
    pub consumers: Vec<String>,
    pub queues: BTreeMap<u64, String>,
    groups: BTreeMap<String, GroupId>,
    pub held: BTreeMap<(String, String), Held>,
    pub questions: BTreeMap<Token, String>,
    in_transaction: bool,
}

/// A verb's words: plain ones in order, and those with a value.
struct Words<'a> {
    plain: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        let (mut plain, mut named) = (Vec::new(), Vec::new());
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some(pair) => named.push(pair),
                None => plain.push(word),
            }
        }
        Words { plain, named }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.named
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.value(name)
            .map(|value| value.parse().expect("a number"))
    }

    fn time(&self, name: &str) -> Option<u64> {
        self.value(name).map(duration)
    }

    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }
}

fn duration(text: &str) -> u64 {
    for (unit, ms) in [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)] {
        if let Some(count) = text.strip_suffix(unit)
            && let Ok(count) = count.parse::<u64>()
        {
            return count * ms;
        }
    }
    panic!("no duration: {text}");
}

fn equals(filter: &str) -> Arc<Predicate> {
    let (name, value) = filter.split_once(':').expect("filter=name:value");
    Arc::new(Predicate::compare(
        Operand::property(name),
        Comparison::Equal,
        Operand::Literal(Literal::Text(value.into())),
    ))
}

impl Stage {
    pub fn new() -> Stage {
        Stage {
            world: World::new(),
            sessions: Vec::new(),
            consumers: Vec::new(),
            queues: BTreeMap::new(),
            groups: BTreeMap::new(),
            held: BTreeMap::new(),
            questions: BTreeMap::new(),
            in_transaction: false,
        }
    }

    fn session(&mut self, words: &Words<'_>) -> SessionId {
        let name = words.value("session").unwrap_or("s1");
        SessionId(number(&mut self.sessions, name))
    }

    fn consumer(&mut self, name: &str) -> ConsumerId {
        ConsumerId(number(&mut self.consumers, name))
    }

    fn partition(&self, text: &str) -> PartitionId {
        let (name, number) = text.split_once('/').expect("topic/number");
        let address = self
            .world
            .node
            .topology()
            .address(name)
            .map_or_else(Default::default, |a| a.id);
        PartitionId {
            address,
            number: number.parse().expect("a number"),
        }
    }

    fn ask(&mut self, session: SessionId, what: &str, command: impl FnOnce(Token) -> Command) {
        let token = self.world.ask(session, command);
        self.questions.insert(token, what.into());
    }

    pub fn perform(&mut self, line: &str) {
        let words = Words::of(line);
        let session = self.session(&words);
        let plain = words.plain.clone();
        match plain[0] {
            "queue" => self.declare_queue(&words, session),
            "address" => {
                let router = match plain[2] {
                    "direct" => Router::Direct,
                    "fanout" => Router::Fanout,
                    "pattern" => Router::Pattern,
                    "headers" => Router::Headers,
                    other => panic!("no router {other}"),
                };
                let change = Change::DeclareAddress(address(plain[1], router));
                self.ask(session, line, |token| Command::Change { token, change });
            }
            "topic" => {
                let count = words.number("partitions").expect("partitions=") as u32;
                let change = Change::SetPartitions(partitioned(plain[1], count));
                self.ask(session, line, |token| Command::Change { token, change });
            }
            "delete-address" => {
                let (name, condition) = (plain[1].into(), Unused::NotRequired);
                let change = Change::DeleteAddress { name, condition };
                self.ask(session, line, |token| Command::Change { token, change });
            }
            "delete-queue" => {
                let (if_unused, if_empty) = (words.has("if-unused"), words.has("if-empty"));
                let condition = DeleteCondition {
                    if_unused,
                    if_empty,
                };
                let name = plain[1].into();
                self.ask(session, line, |token| Command::DeleteQueue {
                    token,
                    name,
                    condition,
                });
            }
            "bind" => {
                let target = match plain[2] {
                    "queue" => TargetName::Queue(plain[3].into()),
                    _ => TargetName::Address(plain[3].into()),
                };
                let change = Change::Bind {
                    source: plain[1].into(),
                    target,
                    key: words.value("key").unwrap_or("").into(),
                    filter: words.value("filter").map(equals),
                    arguments: [].into(),
                };
                self.ask(session, line, |token| Command::Change { token, change });
            }
            "group" => {
                let spec = GroupSpec {
                    name: plain[1].into(),
                    config: [].into(),
                };
                let change = Change::SetGroup(spec);
                let result = self
                    .world
                    .done(session, |token| Command::Change { token, change });
                if let Some(Ok(Answer::Topology(TopologyAnswer::GroupSet { id, .. }))) = result {
                    self.groups.insert(plain[1].into(), id);
                }
            }
            "publish" | "send" | "append" => self.publish(&words, session),
            "fill" => self.fill(&words, session),
            "consume" => self.consume(&words, session, line),
            "cancel" => {
                let consumer = self.consumer(plain[1]);
                self.ask(session, line, |token| Command::Detach { token, consumer });
            }
            "credit" => {
                let consumer = self.consumer(plain[1]);
                let credit = match (words.number("add"), words.number("set")) {
                    (Some(add), _) => Credit::Add(add as u32),
                    (None, Some(set)) => Credit::Set(set as u32),
                    (None, None) => Credit::Unlimited,
                };
                self.world
                    .pass
                    .push(session, Command::Credit { consumer, credit });
            }
            "fetch" => {
                let consumer = self.consumer(plain[1]);
                let count = plain[2].parse().expect("a number");
                self.world
                    .pass
                    .push(session, Command::Fetch { consumer, count });
            }
            "get" => {
                let (queue, mode) = (self.world.queue(plain[1]), mode(&words));
                let holder = self.consumer("get");
                self.ask(session, line, |token| Command::Get {
                    token,
                    queue,
                    holder,
                    mode,
                });
            }
            "settle" => self.settle(&words),
            "purge" => {
                let queue = self.world.queue(plain[1]);
                self.ask(session, line, |token| Command::Purge { token, queue });
            }
            "status" => {
                let queue = self.world.queue(plain[1]);
                self.ask(session, line, |token| Command::Status { token, queue });
            }
            "barrier" => self.ask(session, line, |token| Command::Barrier { token }),
            "begin" => {
                self.world.pass.begin(session);
                self.in_transaction = true;
            }
            "commit" => {
                let token = self.world.token();
                self.questions.insert(token, line.into());
                self.world.pass.commit(session, token);
                self.in_transaction = false;
            }
            "read" => self.read(&words, session),
            "bounds" => {
                let partition = self.partition(plain[1]);
                self.ask(session, line, |token| Command::Bounds { token, partition });
            }
            "offset-at" => {
                let partition = self.partition(plain[1]);
                let time = START.plus(words.time("time").expect("time="));
                let side = if words.has("upper") {
                    Side::Upper
                } else {
                    Side::Lower
                };
                let command = |token| Command::OffsetAt {
                    token,
                    partition,
                    time,
                    side,
                };
                self.ask(session, line, command);
            }
            "cursor" => {
                let (group, partition) = (self.groups[plain[1]], self.partition(plain[2]));
                match words.number("offset").map(Position) {
                    Some(offset) => {
                        let command = Command::SetCursor {
                            group,
                            partition,
                            offset,
                        };
                        self.world.pass.push(session, command);
                    }
                    None => self.ask(session, line, |token| Command::Cursor {
                        token,
                        group,
                        partition,
                    }),
                }
            }
            "find" => {
                let held = self.world.bodies.volatile.len() as u64;
                let raw = words.number("raw").unwrap_or(held);
                let message = broker::id::MessageRef::from_u64(raw).expect("a name");
                self.ask(session, line, |token| Command::Find { token, message });
            }
            "hold" => self.world.pass.push(session, Command::Hold),
            "resume" => self.world.pass.push(session, Command::Resume),
            "end" => self.world.pass.push(session, Command::End),
            "tick" => self.world.tick(duration(plain[1])),
            "disk" => self.world.node.disk_full(plain[1] == "full"),
            "sync" => self.world.sync(),
            "hold-sync" => self.world.durability = Sync::Held,
            "auto-sync" => {
                self.world.durability = Sync::AtOnce;
                self.world.sync();
            }
            "sync-some" => self.world.sync_some(plain[1].parse().expect("a number")),
            "checkpoint" => self.world.checkpoint(),
            "cold" => self.world.bodies.resident = Some(Default::default()),
            "retain" => self.world.retain(Retention {
                age_ms: words.time("age"),
                bytes_max: words.number("bytes"),
            }),
            "crash" => {
                self.world.crash();
                self.consumers.clear();
            }
            other => panic!("no verb {other}"),
        }
        if !self.in_transaction {
            self.world.run();
        }
    }

    fn declare_queue(&mut self, words: &Words<'_>, session: SessionId) {
        let dead_letter = words.value("dead-letter").map(|target| DeadLetter {
            address: if target == "default" {
                "".into()
            } else {
                target.into()
            },
            key: words.value("dead-letter-key").map(Arc::from),
            persistent_only: words.has("persistent-only"),
            create_queue: words.has("create-queue"),
        });
        let options = QueueOptions {
            message_ttl_ms: words.time("ttl"),
            idle_ms: words.time("idle"),
            dead_letter,
        };
        let volatile = words.has("volatile") || words.has("exclusive");
        let spec = QueueSpec {
            name: words.plain[1].into(),
            durability: if volatile {
                Durability::Volatile
            } else {
                Durability::Durable
            },
            auto_delete: words.has("auto-delete"),
            owner: words.has("exclusive").then_some(session),
            implicit: false,
            options,
            arguments: [].into(),
        };
        let change = Change::DeclareQueue(spec);
        self.ask(session, "queue", |token| Command::Change { token, change });
    }

    fn consume(&mut self, words: &Words<'_>, session: SessionId, line: &str) {
        let queue = self.world.queue(words.plain[1]);
        let consumer = self.consumer(words.plain[2]);
        let credit = match words.value("credit") {
            None | Some("unlimited") => Credit::Unlimited,
            Some("none") => Credit::None,
            Some(count) => Credit::Set(count.parse().expect("a number")),
        };
        let sharing = match words.value("sharing") {
            None => Sharing::Shared,
            Some("sole") => Sharing::Sole,
            Some("active") => Sharing::Active,
            Some(other) => panic!("no sharing {other}"),
        };
        let options = ConsumerOptions {
            mode: mode(words),
            sharing,
            priority: words
                .value("priority")
                .map_or(0, |p| p.parse().expect("a number")),
            filter: words.value("filter").map(equals),
            credit,
        };
        self.ask(session, line, |token| Command::Attach {
            token,
            consumer,
            queue,
            options,
        });
    }

    fn publish(&mut self, words: &Words<'_>, session: SessionId) {
        const KNOWN: [&str; 6] = ["session", "expires", "delay", "key", "producer", "tag"];
        let (verb, target) = (words.plain[0], words.plain[1]);
        let mut properties = String::new();
        for (name, value) in words.named.iter().filter(|(name, _)| !KNOWN.contains(name)) {
            write!(properties, " {name}={value}").expect("a string");
        }
        let key = words
            .value("key")
            .or(words.value("tag"))
            .unwrap_or(match verb {
                "publish" => target,
                _ => "",
            });
        let now = self.world.now;
        for name in words.plain[2..]
            .iter()
            .filter(|name| !["persistent", "quiet"].contains(name))
        {
            let native = format!("{name}{properties}");
            let address = match verb {
                "publish" => "",
                "append" => target.split('/').next().expect("a topic"),
                _ => target,
            };
            let mut envelope = Envelope::new(Language(1), address, key, now);
            envelope.persistent = words.has("persistent");
            envelope.expires = words.time("expires").map(|life| now.plus(life));
            envelope.body = 0..native.len() as u32;
            let destinations = match (words.time("delay"), verb) {
                (Some(delay), _) => vec![Destination::Timer(now.plus(delay))],
                (None, "publish") => vec![Destination::Queue(self.world.queue(target))],
                (None, "append") => vec![Destination::Partition(self.partition(target))],
                (None, _) => self.route(&envelope, &native),
            };
            if destinations.is_empty() {
                continue;
            }
            let token = self.world.token();
            self.questions.insert(token, (*name).into());
            let producer = words.value("producer").map(|text| {
                let (name, sequence) = text.split_once(':').expect("producer=name:number");
                Producer {
                    name,
                    sequence: sequence.parse().expect("a number"),
                }
            });
            let publish = Publish {
                token: (!words.has("quiet")).then_some(token),
                envelope: &envelope,
                destinations: &destinations,
                tag_hash: tag_hash(key),
                producer,
            };
            self.world
                .pass
                .publish(session, publish, &[native.as_bytes()]);
        }
    }

    fn fill(&mut self, words: &Words<'_>, session: SessionId) {
        let target = words.plain[1];
        let count: u64 = words.plain[2].parse().expect("a number");
        let destination = if target.contains('/') {
            Destination::Partition(self.partition(target))
        } else {
            Destination::Queue(self.world.queue(target))
        };
        for number in 0..count {
            let native = format!("f{number}");
            let mut envelope = Envelope::new(Language(1), "", target, self.world.now);
            envelope.persistent = true;
            envelope.body = 0..native.len() as u32;
            let publish = Publish {
                token: None,
                envelope: &envelope,
                destinations: &[destination],
                tag_hash: tag_hash(if number % 2 == 0 { "even" } else { "odd" }),
                producer: None,
            };
            self.world
                .pass
                .publish(session, publish, &[native.as_bytes()]);
        }
    }

    fn route(&mut self, envelope: &Envelope<'_>, native: &str) -> Vec<Destination> {
        use broker::event::Records as _;
        let topology = self.world.node.topology();
        let Some(address) = topology.address(envelope.address) else {
            return Vec::new();
        };
        let mut route = Route::default();
        let record = Record {
            envelope: envelope.clone(),
            native: native.as_bytes(),
        };
        self.world
            .bodies
            .with_properties(&record, &mut |properties| {
                topology.route(address, &[envelope.key], properties, &mut route);
            });
        let queues = route.queues.iter().map(|queue| Destination::Queue(*queue));
        let partitions = route.partitioned.iter().map(|address| {
            Destination::Partition(PartitionId {
                address: *address,
                number: 0,
            })
        });
        queues.chain(partitions).collect()
    }

    fn settle(&mut self, words: &Words<'_>) {
        let [_, consumer, message, ..] = words.plain[..] else {
            panic!("settle whom, what")
        };
        let mine =
            |(of, name): &(String, String)| of == consumer && (message == "all" || name == message);
        let keys: Vec<_> = self.held.keys().filter(|key| mine(key)).cloned().collect();
        assert!(!keys.is_empty(), "{consumer} holds no {message}");
        let outcome = match words.plain.get(3).copied() {
            Some("accept") => Outcome::Accept,
            Some("release") => Outcome::Release,
            Some("release-counted") => Outcome::ReleaseCounted,
            Some("release-untouched") => Outcome::ReleaseUntouched,
            Some("reject") => Outcome::Reject {
                fallback: words.value("fallback").map(|key| DeadLetter {
                    address: "".into(),
                    key: Some(key.into()),
                    persistent_only: words.has("persistent-only"),
                    create_queue: words.has("create-queue"),
                }),
                cause: words.value("cause").map(Box::from),
            },
            Some("expired") => Outcome::Expired,
            Some("forward") => {
                let token = self.world.token();
                self.questions
                    .insert(token, format!("forward of {message}"));
                Outcome::Forward(Forward {
                    address: words.value("to").unwrap_or("").into(),
                    key: words.value("key").unwrap_or("").into(),
                    partition: None,
                    due: words.time("delay").map(|delay| self.world.now.plus(delay)),
                    token: Some(token),
                    attempts: words.number("attempts").unwrap_or(0) as u32,
                })
            }
            other => panic!("no outcome {other:?}"),
        };
        for key in keys {
            let held = if words.has("again") {
                self.held.get(&key).copied()
            } else {
                self.held.remove(&key)
            };
            let Held {
                session,
                queue,
                position,
                ..
            } = held.expect("found above");
            let positions = Positions::One(position);
            let outcome = outcome.clone();
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

    fn read(&mut self, words: &Words<'_>, session: SessionId) {
        let read = Read {
            partition: self.partition(words.plain[1]),
            offset: Position(words.number("offset").unwrap_or(0)),
            messages_max: words.number("max").unwrap_or(32) as u32,
            bytes_max: words.number("bytes").unwrap_or(1 << 20) as u32,
            tags: words
                .value("tags")
                .map(|tags| tags.split(',').map(tag_hash).collect()),
            filter: words.value("filter").map(equals),
            wait_until: words.time("wait").map(|wait| self.world.now.plus(wait)),
        };
        let label = words.plain[1].to_string();
        self.ask(session, &label, |token| Command::Read { token, read });
    }
}

fn mode(words: &Words<'_>) -> Mode {
    match words.value("mode") {
        None | Some("lease") => Mode::Lease,
        Some("settled") => Mode::Settled,
        Some("browse") => Mode::Browse,
        Some(other) => panic!("no mode {other}"),
    }
}

fn number(names: &mut Vec<String>, name: &str) -> u64 {
    let at = names
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            names.push(name.into());
            names.len() - 1
        });
    at as u64 + 1
}
