//! The AMQP 0-9-1 door: what RabbitMQ's clients say, as commands of the broker, and what the
//! broker answers, as RabbitMQ would say it.
//!
//! A connection is one session; its channels share it. Methods that need an answer of the broker
//! (declarations, gets, attaching) stop the connection's input until it comes, so that answers
//! keep the order that clients rely on. Publishes, acks and confirms never stop: they are collected
//! over a pass and given on when it ends.
//!
//! Invariants:
//!
//! - Every refusal is a `Fault`, whose file knows RabbitMQ's codes and texts. A refused method
//!   changes nothing.
//! - A delivery tag is in its channel's ring exactly as long as the broker holds the delivery for
//!   this session, or the broker has been told.
//! - channel.close-ok and connection.close-ok follow a barrier: the acks before them are durable.
//! - Nothing a peer can grow is without a limit of `settings.rs` or of the wire crate.
//!
//! Caveats: one virtual host; no transactions, no direct reply-to, no quorum queues, streams,
//! length limits or priorities yet (`docs/protocols/amqp.md` lists everything). Without a
//! prefetch limit a consumer gets at most a million unsettled deliveries.

mod arguments;
mod channel;
mod collecting;
mod confirms;
mod consuming;
mod conversation;
mod delivery;
mod equivalence;
mod exchange;
mod fault;
mod handshake;
mod header_match;
mod names;
mod publish;
mod queue;
mod rendering;
mod sasl;
mod settings;
mod settling;
mod unsettled;
pub(crate) mod view;
mod waiting;
mod window;

use std::collections::BTreeSet;

use amqp::{Limits, Machine, Step};
use broker::event::Event;
use broker::id::{Millis, SessionId};
use broker::map::IdMap;
use broker::topology::TopologyFact;

use crate::door::{Alarms, Context, Door, Peer};
use conversation::{Conversation, Routing, Turn};

pub use settings::Settings;

/// All connections of this wire.
pub struct AmqpDoor {
    settings: Settings,
    connections: IdMap<SessionId, Connection>,
    timers: BTreeSet<(Millis, SessionId)>,
    /// Have something to be written when the pass ends.
    collected: Vec<SessionId>,
    routing: Routing,
    alarms: Alarms,
}

struct Connection {
    machine: Machine,
    talk: Conversation,
    /// As listed in `timers`.
    timer: Option<Millis>,
    /// Is listed in `collected`.
    is_collected: bool,
}

impl AmqpDoor {
    pub fn new(settings: Settings) -> AmqpDoor {
        AmqpDoor {
            settings,
            connections: IdMap::default(),
            timers: BTreeSet::new(),
            collected: Vec::new(),
            routing: Routing::default(),
            alarms: Alarms::NONE,
        }
    }

    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// In order, since what is done for each of them can be seen.
    fn sessions(&self) -> Vec<SessionId> {
        let mut sessions: Vec<_> = self.connections.keys().copied().collect();
        sessions.sort_unstable();
        sessions
    }

    /// Works on one connection and keeps the lists true that it is in.
    fn with<T>(
        &mut self,
        session: SessionId,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Connection, &mut Turn<'_, '_>) -> T,
    ) -> Option<T> {
        let connection = self.connections.get_mut(&session)?;
        let mut turn = Turn {
            cx,
            settings: &self.settings,
            routing: &mut self.routing,
            alarm: reason(self.alarms),
        };
        let done = work(connection, &mut turn);
        connection.talk.tend(&mut connection.machine);
        if connection.timer != connection.talk.timer {
            if let Some(at) = connection.timer {
                self.timers.remove(&(at, session));
            }
            connection.timer = connection.talk.timer;
            if let Some(at) = connection.timer {
                self.timers.insert((at, session));
            }
        }
        if connection.talk.has_collected && !connection.is_collected {
            connection.is_collected = true;
            self.collected.push(session);
        }
        Some(done)
    }
}

impl Door for AmqpDoor {
    fn opened(&mut self, session: SessionId, peer: Peer, cx: &mut Context<'_>) {
        let message_size_max = self.settings.message_size_max;
        let limits = Limits {
            message_size_max,
            ..Limits::default()
        };
        let talk = Conversation::new(session, peer, cx.now, &self.settings);
        let connection = Connection {
            machine: Machine::server(limits),
            talk,
            timer: None,
            is_collected: false,
        };
        self.connections.insert(session, connection);
        self.with(session, cx, |_, _| ());
    }

    fn received(&mut self, session: SessionId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let consumed = self.with(session, cx, |connection, turn| connection.read(bytes, turn));
        consumed.unwrap_or(bytes.len())
    }

    fn event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Deliver(delivery) => {
                self.with(delivery.session, cx, |connection, turn| {
                    connection.talk.deliver(&delivery, turn);
                });
            }
            Event::Stored { session, token, .. } => {
                self.with(session, cx, |connection, _| connection.talk.stored(token));
            }
            Event::Done {
                session,
                token,
                result,
            } => {
                self.with(session, cx, |connection, turn| {
                    connection.talk.answered(token, result, turn);
                });
            }
            Event::Got {
                session,
                token,
                delivery,
                ready,
            } => {
                self.with(session, cx, |connection, turn| {
                    connection.talk.got(token, delivery, ready, turn);
                });
            }
            Event::Ready { session, consumer } => {
                self.with(session, cx, |connection, _| connection.talk.ready(consumer));
            }
            Event::Cancelled { session, consumer } => {
                self.with(session, cx, |connection, turn| {
                    connection.talk.cancelled(consumer, turn);
                });
            }
            // This door neither browses nor reads partitions; changes come by `changed`.
            Event::BrowseEnded { .. } | Event::Read { .. } | Event::Changed(_) => {}
        }
    }

    /// Routes and targets are kept per version of the topology, so there is nothing to forget.
    fn changed(&mut self, _fact: &TopologyFact, _cx: &mut Context<'_>) {}

    fn closed(&mut self, session: SessionId, cx: &mut Context<'_>) {
        self.with(session, cx, |connection, turn| {
            connection.talk.timer = None;
            connection.talk.end(turn);
        });
        self.connections.remove(&session);
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        while let Some((at, session)) = self.timers.first().copied()
            && at <= now
        {
            self.with(session, cx, |connection, turn| connection.talk.ring(turn));
        }
    }

    fn deadline(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        for session in std::mem::take(&mut self.collected) {
            self.with(session, cx, |connection, turn| {
                connection.is_collected = false;
                connection.talk.finish(turn);
            });
        }
    }

    /// Each connection is blocked from its next publish on, which waits in its socket; those that
    /// only consume go on. One that was told a reason is not told another.
    fn alarmed(&mut self, alarms: Alarms, cx: &mut Context<'_>) {
        self.alarms = alarms;
        if alarms.any() {
            return;
        }
        for session in self.sessions() {
            self.with(session, cx, |connection, turn| {
                connection.talk.unblock(turn)
            });
        }
    }

    fn stopping(&mut self, cx: &mut Context<'_>) {
        for session in self.sessions() {
            self.with(session, cx, |connection, turn| connection.talk.stop(turn));
        }
    }
}

/// Why publishers are blocked, in RabbitMQ's words.
fn reason(alarms: Alarms) -> Option<&'static str> {
    match (alarms.memory, alarms.disk) {
        (false, false) => None,
        (true, false) => Some("low on memory"),
        (false, true) => Some("low on disk"),
        (true, true) => Some("low on memory & disk"),
    }
}

impl Connection {
    /// Works off events from the front until input must rest; tells how many bytes are done with.
    fn read(&mut self, bytes: &[u8], turn: &mut Turn<'_, '_>) -> usize {
        let Connection { machine, talk, .. } = self;
        talk.heard = turn.cx.now;
        let mut consumed = 0;
        while !talk.is_paused() {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let admitted = match turn.alarm {
                None => rest,
                Some(_) => match talk.admit(rest, machine.frame_max()) {
                    Some(admitted) => admitted,
                    None => {
                        talk.block_publisher(turn);
                        break;
                    }
                },
            };
            match machine.step(admitted) {
                Step::Event {
                    consumed: taken,
                    event,
                } => {
                    consumed += taken;
                    talk.hear(event, turn);
                }
                Step::NeedMore {
                    consumed: taken, ..
                } => {
                    consumed += taken;
                    if taken == 0 || admitted.len() == rest.len() {
                        break;
                    }
                }
            }
            talk.tend(machine);
        }
        if talk.stage == conversation::Stage::Over {
            bytes.len()
        } else {
            consumed
        }
    }
}
