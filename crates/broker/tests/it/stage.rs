//! The verbs of scripts, and the names in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::event::Answer;
use broker::id::{ConsumerId, Durability, GroupId, PartitionId, Position, SessionId, Token};
use broker::node::Retention;
use broker::pass::{Command, ConsumerOptions, Credit, DeleteCondition, Sharing, Side, TakeOver};
use broker::topology::{
    Answer as TopologyAnswer, Change, DeadLetter, GroupSpec, QueueOptions, QueueSpec, Router,
    TargetName, Unused,
};

use super::words::{Words, duration, equals, mode, number};
use super::world::{Held, START, Sync, World, address, partitioned};

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

    pub fn partition(&self, text: &str) -> PartitionId {
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

    pub fn ask(&mut self, session: SessionId, what: &str, command: impl FnOnce(Token) -> Command) {
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
                    (None, None) if words.has("none") => Credit::None,
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
            "end" => self.world.pass.push(session, Command::End { token: None }),
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
            Some("active") => Sharing::Active(TakeOver::FromNobody),
            Some("active-above") => Sharing::Active(TakeOver::FromLower),
            Some("active-anyway") => Sharing::Active(TakeOver::FromAnybody),
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
}
