//! The OpenWire door: what ActiveMQ's clients say, in the words of the broker, and back.
//!
//! # How it works
//!
//! One connection is one session of the broker; the sessions that clients open inside it are
//! bookkeeping. Frames are carried out in their order. A command that needs something to exist
//! first asks for it and is *tried again* when the answer has come: its bytes are left with the
//! server until then, so that every command is written as if everything were there.
//!
//! | in the client's words | inside |
//! |---|---|
//! | queue | queue, created by being used |
//! | topic | key on `amq.topic` |
//! | consumer of topics | own volatile queue, bound by pattern and filter, settled at once |
//! | durable subscription | durable queue `amq.sub.<client>.<name>`, bound likewise |
//! | temporary queue, topic | volatile queue, volatile address of the session |
//! | prefetch, DELIVERED, pull | credit |
//! | local transaction | held here, one batch at commit |
//! | advisory | rendered when something happens, stored nowhere |
//!
//! # Invariants
//!
//! - Every command that asks for a response gets one, and only after what it asks is durable.
//! - Watchers are written a temporary destination's advisory before its creator is answered.
//! - What a consumer was given is settled at most once, in whatever way its connection ends.
//! - Whatever a peer can grow is named in `limits.rs`.
//!
//! # Caveats
//!
//! XA transactions, network bridges and the scheduler are not served; see
//! `docs/protocols/openwire.md`. Advisories ignore windows: a peer that does not read them misses
//! all but those of temporary destinations, and is closed in the end.

mod acknowledge;
mod admit;
mod advisory;
mod connection;
mod consume;
mod consumer;
mod deliver;
mod destination;
mod durable;
mod failure;
mod limits;
mod names;
mod obey;
mod opening;
mod produce;
mod pull;
mod recovering;
mod retained;
mod returning;
mod slow;
mod temporary;
mod topics;
mod transaction;
pub mod view;
mod wanted;
mod watchers;
mod withheld;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use broker::event::{Answer, Event};
use broker::id::{Millis, QueueId, SessionId};
use broker::map::IdMap;
use broker::pass::Destination as Target;
use broker::topology::{RouteCache, TopologyFact};
use openwire::{
    BaseCommand, Command, DestinationInfo, JavaString, KeepAliveInfo, ProducerId, ShutdownInfo,
    WireFormatOptions,
};

use crate::door::{Alarms, Closing, Context, Door, Peer, STRANGER_UNSENT_BYTES_MAX};
use crate::partition::Chooser;
use connection::{Awaited, Connection, Phase};
use consumer::ConsumerKey;
use failure::Failure;
use limits::HANDSHAKE_MS;
use retained::Retained;
use returning::Seen;
use temporary::TemporaryKey;
use topics::Topics;
use wanted::is_followed;
use watchers::{Users, Watchers};

/// What the door says about its broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub broker_name: String,
    /// Stable for the life of the data directory: clients compare it to tell brokers apart.
    pub broker_id: String,
    /// Where clients connect, such as `tcp://localhost:61616`.
    pub broker_url: String,
    /// The largest frame that an admitted peer may send.
    pub frame_bytes_max: usize,
    /// The version of ActiveMQ that we are alike; informative.
    pub provider_version: String,
}

impl Settings {
    /// As ActiveMQ's own configuration has it: 100 MB.
    pub const FRAME_BYTES_MAX: usize = 104_857_600;
}

/// What has become of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Taken,
    /// It waits for an answer and is carried out from its beginning then.
    Again,
}

pub struct OpenwireDoor {
    settings: Settings,
    options: WireFormatOptions,
    /// The connection at hand is taken out while it is worked on.
    connections: IdMap<SessionId, Box<Connection>>,
    by_connection: HashMap<JavaString, SessionId>,
    by_client: HashMap<JavaString, SessionId>,
    watchers: Watchers,
    /// Every temporary destination, as it was announced.
    temporaries: BTreeMap<TemporaryKey, DestinationInfo>,
    topics: Topics,
    retained: Retained,
    /// The names of queues while somebody watches them: who hears that one has gone hears its id.
    watched_queues: BTreeMap<QueueId, Arc<str>>,
    /// How many consume from and send to each destination.
    consumers: Users,
    producers: Users,
    /// Consumers that follow queues still to come.
    followers: BTreeSet<(SessionId, ConsumerKey)>,
    /// When to look at which connection.
    checks: BTreeSet<(Millis, SessionId)>,
    /// Connections with windows that have changed in this pass.
    touched: Vec<SessionId>,
    routes: RouteCache,
    chooser: Chooser,
    /// While there are any, sends wait.
    alarms: Alarms,
    /// The last number given to a dispatch; it starts with the time, so that it grows over
    /// restarts, too.
    sequence: i64,
    /// The producer of advisories, and how many it has sent.
    producer: ProducerId,
    advisories: i64,
    /// Kept for the next message.
    scratch: Vec<u8>,
    destinations: Vec<Target>,
}

impl OpenwireDoor {
    pub fn new(settings: Settings) -> OpenwireDoor {
        let frame_bytes_max = i64::try_from(settings.frame_bytes_max).unwrap_or(i64::MAX);
        let platform = format!("Troika {}", env!("CARGO_PKG_VERSION"));
        let options =
            WireFormatOptions::broker(&settings.provider_version, &platform, frame_bytes_max);
        let producer = advisory::producer(&settings.broker_id);
        OpenwireDoor {
            settings,
            options,
            connections: IdMap::default(),
            by_connection: HashMap::new(),
            by_client: HashMap::new(),
            watchers: Watchers::default(),
            temporaries: BTreeMap::new(),
            topics: Topics::default(),
            retained: Retained::default(),
            watched_queues: BTreeMap::new(),
            consumers: Users::default(),
            producers: Users::default(),
            followers: BTreeSet::new(),
            checks: BTreeSet::new(),
            touched: Vec::new(),
            routes: RouteCache::new(),
            chooser: Chooser::new(),
            alarms: Alarms::NONE,
            sequence: 0,
            producer,
            advisories: 0,
            scratch: Vec::new(),
            destinations: Vec::new(),
        }
    }

    fn next_sequence(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    /// Marks a consumer whose window may have opened, and its connection.
    fn touch(&mut self, conn: &mut Connection, key: ConsumerKey) {
        conn.touch(key);
        self.note_touched(conn);
    }

    fn note_touched(&mut self, conn: &Connection) {
        if !conn.touched.is_empty() && self.touched.last() != Some(&conn.session) {
            self.touched.push(conn.session);
        }
    }

    /// Looks at a connection at a time, or earlier.
    fn check_at(&mut self, conn: &mut Connection, at: Millis) {
        if conn.check.is_some_and(|known| known <= at) {
            return;
        }
        if let Some(known) = conn.check.replace(at) {
            self.checks.remove(&(known, conn.session));
        }
        self.checks.insert((at, conn.session));
    }

    /// Works on a connection while it is out of the map, so that it can speak of the others.
    fn with<R>(
        &mut self,
        session: SessionId,
        work: impl FnOnce(&mut Self, &mut Connection) -> R,
    ) -> Option<R> {
        let mut conn = self.connections.remove(&session)?;
        let result = work(self, &mut conn);
        self.connections.insert(session, conn);
        Some(result)
    }

    /// Keeps a quiet connection alive, or gives it up.
    fn check(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        let now = cx.now;
        if conn.closing {
            return;
        }
        if conn.phase == Phase::Negotiating || conn.close_at.is_some_and(|at| at <= now) {
            let how = match conn.phase {
                Phase::Negotiating => Closing::Now,
                _ => Closing::Sent,
            };
            self.hang_up(conn, how, cx);
            return;
        }
        self.expire_pulls(conn, cx);
        self.look_for_slow(conn, cx);
        if let Some(at) = Self::next_pull_end(conn) {
            self.check_at(conn, at);
        }
        if let Some(at) = conn.close_at {
            self.check_at(conn, at);
        }
        let silence_max = u64::try_from(conn.negotiated.inactivity_millis_max).unwrap_or(0);
        if silence_max == 0 {
            return;
        }
        // A peer is not silent while it is us who do not read; an alarm may last.
        if conn.withheld.rests {
            conn.heard = now;
        }
        let is_reading = conn.barriers == 0 && cx.links.unsent(conn.session) == 0;
        let patience = if is_reading {
            silence_max
        } else {
            silence_max.saturating_mul(4)
        };
        if now.since(conn.heard) > patience {
            self.hang_up(conn, Closing::Now, cx);
            return;
        }
        let beat = (silence_max / 3).max(1);
        if now.since(conn.spoke) >= beat {
            conn.send(&Command::KeepAliveInfo(KeepAliveInfo::default()), cx);
        }
        let next = conn
            .spoke
            .plus(beat)
            .min(conn.heard.plus(patience.saturating_add(1)));
        self.check_at(conn, next.max(now.plus(1)));
    }
}

impl Door for OpenwireDoor {
    fn opened(&mut self, session: SessionId, peer: Peer, cx: &mut Context<'_>) {
        // Twenty bits of dispatches per millisecond since 1970 leave room for ever.
        self.sequence = self.sequence.max((cx.now.0 << 20).cast_signed());
        let mut conn = Box::new(Connection::new(session, peer, cx.now));
        conn.send(&Command::WireFormatInfo(self.options.to_info()), cx);
        self.check_at(&mut conn, cx.now.plus(HANDSHAKE_MS));
        self.connections.insert(session, conn);
    }

    fn received(&mut self, session: SessionId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let worked = self.with(session, |door, conn| {
            conn.heard = cx.now;
            let mut at = 0;
            while conn.barriers == 0 && !conn.closing && !conn.withheld.rests {
                // Offered again when that is sent.
                if conn.user.is_none() && cx.links.unsent(session) > STRANGER_UNSENT_BYTES_MAX {
                    return at;
                }
                let received = match conn.decoder.feed(bytes.get(at..).unwrap_or_default()) {
                    Ok(Some(received)) => received,
                    Ok(None) => return at,
                    Err(malformed) => {
                        // The stream cannot be read on; the peer's listener hears why.
                        if conn.phase != Phase::Negotiating {
                            let class = openwire::ExceptionClass::Io;
                            let failure = Failure::new(class, malformed.to_string());
                            conn.fail(BaseCommand::default(), &failure, cx);
                        }
                        door.hang_up(conn, Closing::Sent, cx);
                        return bytes.len();
                    }
                };
                let step = match received.command {
                    Some(command) => door.obey(conn, command, cx),
                    None => Step::Taken,
                };
                conn.is_retrying = step == Step::Again;
                match step {
                    Step::Taken => at += received.consumed,
                    Step::Again => return at,
                }
                door.release(conn, cx);
            }
            if conn.closing { bytes.len() } else { at }
        });
        worked.unwrap_or(bytes.len())
    }

    fn event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Deliver(delivery) => {
                self.with(delivery.session, |door, conn| {
                    door.deliver(conn, &delivery, cx)
                });
            }
            Event::Stored { session, token, .. } => {
                self.with(session, |door, conn| door.answered(conn, token, Ok(()), cx));
            }
            Event::Done {
                session,
                token,
                result,
            } => {
                let status = match result {
                    Ok(Answer::Status(status)) => Some(status),
                    _ => None,
                };
                let result = result.map(drop);
                self.with(session, |door, conn| match status {
                    Some(status) => door.waiting(conn, token, status, cx),
                    None => door.answered(conn, token, result, cx),
                });
            }
            Event::Got {
                session,
                token,
                delivery,
                ..
            } => {
                let consumer = broker::id::ConsumerId(Awaited::of(token).1);
                self.with(session, |door, conn| {
                    door.pulled(conn, consumer, delivery.as_ref(), cx);
                });
            }
            Event::Ready { session, consumer } => {
                self.with(session, |door, conn| {
                    let Some(key) = conn.attached.get(&consumer).copied() else {
                        return;
                    };
                    let known = conn.consumers.get_mut(&key);
                    if let Some(part) = known.and_then(|known| known.part(consumer)) {
                        part.is_ready = true;
                        door.touch(conn, key);
                    }
                });
            }
            Event::BrowseEnded { session, consumer } => {
                self.with(session, |door, conn| {
                    match conn.attached.get(&consumer).copied() {
                        Some(key) => door.dispatch_nothing(conn, key, cx),
                        None => door.recovered_one(conn, consumer, cx),
                    }
                });
            }
            Event::Cancelled { session, consumer } => {
                self.with(session, |door, conn| {
                    door.cancelled(conn, consumer);
                    door.recovered_one(conn, consumer, cx);
                });
            }
            // This door reads no partitions, and hears of changes by `changed`.
            Event::Read { .. } | Event::Changed(_) => {}
        }
    }

    fn changed(&mut self, fact: &TopologyFact, cx: &mut Context<'_>) {
        match fact {
            TopologyFact::QueueSet { id, spec } => {
                if !is_followed(spec) {
                    return;
                }
                self.advise_queue_set(*id, &spec.name, cx);
                for (session, key) in self.followers.clone() {
                    self.with(session, |door, conn| {
                        door.follow(conn, key, *id, &spec.name, cx)
                    });
                }
            }
            TopologyFact::QueueRemoved { id } => self.advise_queue_removed(*id, cx),
            TopologyFact::AddressSet { .. }
            | TopologyFact::AddressRemoved { .. }
            | TopologyFact::Bound { .. }
            | TopologyFact::Unbound { .. }
            | TopologyFact::GroupSet { .. }
            | TopologyFact::GroupRemoved { .. }
            | TopologyFact::UserSet(_)
            | TopologyFact::UserRemoved { .. } => {}
        }
    }

    fn closed(&mut self, session: SessionId, cx: &mut Context<'_>) {
        let Some(mut conn) = self.connections.remove(&session) else {
            return;
        };
        self.dissolve(&mut conn, Seen::Unknown, cx);
        if let Some(at) = conn.check {
            self.checks.remove(&(at, session));
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        while let Some((at, session)) = self.checks.first().copied()
            && at <= cx.now
        {
            self.checks.pop_first();
            self.with(session, |door, conn| {
                conn.check = None;
                door.check(conn, cx);
            });
        }
    }

    fn deadline(&self) -> Option<Millis> {
        self.checks.first().map(|(at, _)| *at)
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let mut touched = std::mem::take(&mut self.touched);
        for session in touched.drain(..) {
            self.with(session, |door, conn| door.grant(conn, cx));
        }
        self.touched = touched;
    }

    fn alarmed(&mut self, alarms: Alarms, cx: &mut Context<'_>) {
        self.alarms = alarms;
        if alarms.any() {
            return;
        }
        // In order, since what is released can be seen.
        let waiting = self.connections.iter();
        let waiting = waiting.filter(|(_, conn)| !conn.withheld.is_empty());
        let mut waiting: Vec<_> = waiting.map(|(session, _)| *session).collect();
        waiting.sort_unstable();
        for session in waiting {
            self.with(session, |door, conn| door.release(conn, cx));
        }
    }

    fn stopping(&mut self, cx: &mut Context<'_>) {
        for conn in self.connections.values_mut() {
            if conn.phase != Phase::Negotiating {
                conn.send(&Command::ShutdownInfo(ShutdownInfo::default()), cx);
            }
        }
    }
}
