//! A door for tests: one command per line, so that the reactor is driven through real sockets
//! before, and apart from, any real wire.
//!
//! ```text
//! PUB q text     store text in q, created durable, or volatile if q begins with v → STORED
//! SUB q          deliver q as fast as it goes, settled at once → OK, MSG text …
//! HOLD q         deliver q and keep it unsettled → OK, MSG text …
//! COUNT q        how many are in q → COUNT n
//! FILL n         → n times x
//! PING           → PONG
//! SLOW           wait for a barrier before the next command → OK
//! WATCH          tell alarms, as they are and as they change → ALARM none, memory, disk, both
//! CLOSE how      now, sent, grace, each after writing BYE
//! ```
//!
//! Under an alarm a session that publishes rests after its first message, as AMQP has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::event::{self, Delivery, Event};
use broker::id::{Durability, Millis, QueueId, SessionId, Token};
use broker::pass::{Command, ConsumerOptions, Credit, Destination, Mode, Publish, Sharing};
use broker::record::{Envelope, Language, Record};
use broker::topology::{Change, QueueOptions, QueueSpec, TopologyFact};
use gateway::door::{Alarms, Closing, Context, Door, Peer};

/// No more commands are carried out while so much waits to be sent.
const CROWD_BYTES: usize = 256 << 10;

/// What the tests see of a door from outside.
#[derive(Clone, Default)]
pub struct Gauge {
    pub unsent_max: Arc<AtomicUsize>,
    /// Of what was offered at once.
    pub offered_max: Arc<AtomicUsize>,
    pub opened: Arc<AtomicUsize>,
    pub closed: Arc<AtomicUsize>,
}

#[derive(Default)]
pub struct LineDoor {
    sessions: HashMap<SessionId, Line>,
    gauge: Gauge,
    alarms: Alarms,
}

#[derive(Default)]
struct Line {
    next_token: u64,
    /// The next command is not looked at before this is answered.
    waits_for: Option<(Token, Answer)>,
    discards: bool,
    watches: bool,
    rests: bool,
}

/// What to say when the answer comes.
enum Answer {
    Ok,
    /// Nothing: the command is tried again.
    Again,
    /// What was counted.
    Count,
}

impl LineDoor {
    pub fn new(gauge: Gauge) -> LineDoor {
        LineDoor {
            gauge,
            ..LineDoor::default()
        }
    }

    /// `false` if the command has to be tried again after an answer.
    fn command(&mut self, session: SessionId, line: &str, cx: &mut Context<'_>) -> bool {
        let state = self.sessions.get_mut(&session).expect("opened");
        state.next_token += 1;
        let token = Token(state.next_token);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "PING" => say(session, "PONG", cx),
            "FILL" => {
                let count: usize = rest.parse().unwrap();
                let out = cx.links.out(session);
                out.resize(out.len() + count, b'x');
                out.push(b'\n');
                self.gauge
                    .unsent_max
                    .fetch_max(cx.links.unsent(session), Ordering::Relaxed);
            }
            "SLOW" => {
                cx.pass.push(session, Command::Barrier { token });
                state.waits_for = Some((token, Answer::Ok));
            }
            "WATCH" => {
                state.watches = true;
                say(session, words_of(self.alarms), cx);
            }
            "CLOSE" => {
                say(session, "BYE", cx);
                let closing = match rest {
                    "now" => Closing::Now,
                    "sent" => Closing::Sent,
                    "grace" => Closing::Grace { limit_ms: 60_000 },
                    _ => Closing::Grace {
                        limit_ms: rest.parse().unwrap(),
                    },
                };
                cx.links.close(session, closing);
                state.discards = true;
            }
            "PUB" | "SUB" | "HOLD" | "COUNT" => {
                let (queue, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let Some(id) = cx.topology.queue(queue).map(|queue| queue.id) else {
                    let change = Change::DeclareQueue(spec(queue));
                    cx.pass.push(session, Command::Change { token, change });
                    state.waits_for = Some((token, Answer::Again));
                    return false;
                };
                match verb {
                    "PUB" => {
                        publish(session, token, id, queue, text, cx);
                        if self.alarms.any() {
                            state.rests = true;
                            cx.links.stop_reading(session);
                        }
                    }
                    "SUB" => {
                        attach(session, token, id, Mode::Settled, cx);
                        state.waits_for = Some((token, Answer::Ok));
                    }
                    "COUNT" => {
                        cx.pass.push(session, Command::Status { token, queue: id });
                        state.waits_for = Some((token, Answer::Count));
                    }
                    _ => {
                        attach(session, token, id, Mode::Lease, cx);
                        state.waits_for = Some((token, Answer::Ok));
                    }
                }
            }
            _ => say(session, "WHAT", cx),
        }
        true
    }

    fn deliver(&mut self, delivery: Delivery, cx: &mut Context<'_>) {
        let record = cx
            .records
            .record(delivery.message)
            .expect("a delivery's record is there");
        let record = Record::decode(record).unwrap();
        let out = cx.links.out(delivery.session);
        out.extend_from_slice(b"MSG ");
        out.extend_from_slice(record.body());
        if delivery.redelivered {
            out.extend_from_slice(b" again");
        }
        out.push(b'\n');
        let unsent = cx.links.unsent(delivery.session);
        self.gauge.unsent_max.fetch_max(unsent, Ordering::Relaxed);
    }
}

fn words_of(alarms: Alarms) -> &'static str {
    match (alarms.memory, alarms.disk) {
        (false, false) => "ALARM none",
        (true, false) => "ALARM memory",
        (false, true) => "ALARM disk",
        (true, true) => "ALARM both",
    }
}

fn say(session: SessionId, word: &str, cx: &mut Context<'_>) {
    let out = cx.links.out(session);
    out.extend_from_slice(word.as_bytes());
    out.push(b'\n');
}

fn spec(name: &str) -> QueueSpec {
    let volatile = name.starts_with('v');
    QueueSpec {
        name: name.into(),
        durability: if volatile {
            Durability::Volatile
        } else {
            Durability::Durable
        },
        auto_delete: false,
        owner: None,
        implicit: false,
        options: QueueOptions::default(),
        arguments: Arc::default(),
    }
}

fn publish(
    session: SessionId,
    token: Token,
    queue: QueueId,
    name: &str,
    text: &str,
    cx: &mut Context<'_>,
) {
    let mut envelope = Envelope::new(Language(9), "", name, cx.now);
    envelope.persistent = true;
    envelope.body = 0..text.len() as u32;
    let publish = Publish {
        token: Some(token),
        envelope: &envelope,
        destinations: &[Destination::Queue(queue)],
        tag_hash: 0,
        producer: None,
    };
    cx.pass.publish(session, publish, &[text.as_bytes()]);
}

fn attach(session: SessionId, token: Token, queue: QueueId, mode: Mode, cx: &mut Context<'_>) {
    let consumer = cx.new_consumer();
    let options = ConsumerOptions {
        mode,
        sharing: Sharing::Shared,
        priority: 0,
        filter: None,
        credit: Credit::Unlimited,
    };
    cx.pass.push(
        session,
        Command::Attach {
            token,
            consumer,
            queue,
            options,
        },
    );
}

impl Door for LineDoor {
    fn opened(&mut self, session: SessionId, peer: Peer, cx: &mut Context<'_>) {
        cx.links.admit(session);
        assert!(peer.is_loopback() && peer.local.port() != 0);
        assert!(self.sessions.insert(session, Line::default()).is_none());
        self.gauge.opened.fetch_add(1, Ordering::SeqCst);
    }

    fn received(&mut self, session: SessionId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let mut consumed = 0;
        loop {
            let state = &self.sessions[&session];
            if state.discards {
                return bytes.len();
            }
            if state.rests || state.waits_for.is_some() || cx.links.unsent(session) > CROWD_BYTES {
                return consumed;
            }
            let rest = &bytes[consumed..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return consumed;
            };
            let line = str::from_utf8(&rest[..end]).unwrap();
            if !self.command(session, line, cx) {
                return consumed;
            }
            consumed += end + 1;
        }
    }

    fn event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Done {
                session,
                token,
                result,
            } => {
                let Some(state) = self.sessions.get_mut(&session) else {
                    return;
                };
                let (waits_for, answer) = state.waits_for.take().expect("one at a time");
                assert_eq!(waits_for, token);
                let result = result.expect("nothing is refused");
                match answer {
                    Answer::Ok => say(session, "OK", cx),
                    Answer::Again => {}
                    Answer::Count => {
                        let event::Answer::Status(status) = result else {
                            panic!("unexpected {result:?}")
                        };
                        let count = status.ready + status.unsettled;
                        say(session, &format!("COUNT {count}"), cx);
                    }
                }
                cx.links.resume(session);
            }
            Event::Stored { session, .. } => say(session, "STORED", cx),
            Event::Deliver(delivery) => self.deliver(delivery, cx),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn changed(&mut self, _fact: &TopologyFact, _cx: &mut Context<'_>) {}

    fn closed(&mut self, session: SessionId, cx: &mut Context<'_>) {
        assert!(
            self.sessions.remove(&session).is_some(),
            "closed is heard once"
        );
        cx.pass.push(session, Command::End { token: None });
        self.gauge.closed.fetch_add(1, Ordering::SeqCst);
    }

    fn tick(&mut self, _cx: &mut Context<'_>) {}

    fn deadline(&self) -> Option<Millis> {
        None
    }

    fn finish(&mut self, _cx: &mut Context<'_>) {}

    fn alarmed(&mut self, alarms: Alarms, cx: &mut Context<'_>) {
        assert_ne!(alarms, self.alarms, "only a change is told");
        self.alarms = alarms;
        for (session, state) in &mut self.sessions {
            if state.watches {
                say(*session, words_of(alarms), cx);
            }
            if !alarms.any() && std::mem::take(&mut state.rests) {
                cx.links.read_again(*session);
            }
        }
    }

    fn stopping(&mut self, cx: &mut Context<'_>) {
        for session in self.sessions.keys() {
            say(*session, "STOPPING", cx);
        }
    }
}
