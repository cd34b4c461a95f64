//! The verbs about messages: how they come in, how they are settled, how they are read.

use std::fmt::Write as _;

use broker::event::Records as _;
use broker::id::{PartitionId, Position, SessionId};
use broker::pass::{Command, Destination, Forward, Outcome, Positions, Producer, Publish, Read};
use broker::record::{Envelope, Language, Record};
use broker::topology::{DeadLetter, Route};

use super::stage::Stage;
use super::words::{Words, equals, strand};
use super::world::{Held, tag_hash};

impl Stage {
    pub fn publish(&mut self, words: &Words<'_>, session: SessionId) {
        const KNOWN: [&str; 9] = [
            "session", "expires", "delay", "key", "producer", "tag", "strand", "copies", "hidden",
        ];
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
            let keys = |name| words.value(name).unwrap_or_default().split_terminator(',');
            envelope.copies.shown = keys("copies").collect();
            envelope.copies.hidden = keys("hidden").collect();
            envelope.expires = words.time("expires").map(|life| now.plus(life));
            envelope.strand = words.value("strand").map(strand);
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

    pub fn fill(&mut self, words: &Words<'_>, session: SessionId) {
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
            envelope.expires = words.time("expires").map(|life| self.world.now.plus(life));
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
                topology.route(address, &envelope.keys(), properties, &mut route);
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

    pub fn settle(&mut self, words: &Words<'_>) {
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

    pub fn read(&mut self, words: &Words<'_>, session: SessionId) {
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
