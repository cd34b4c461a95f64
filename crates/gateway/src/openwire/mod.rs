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
//! | consumer of topics | volatile queue of its own, bound by pattern and filter, settled at dispatch |
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
//! XA transactions, message groups, retroactive consumers, network bridges and the scheduler are
//! not served; see `docs/protocols/openwire.md`. Advisories ignore windows: a peer that does not
//! read them misses all but those of temporary destinations, and is closed in the end.

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
mod produce;
mod pull;
mod temporary;
mod transaction;
pub mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use broker::event::Event;
use broker::id::{Millis, SessionId};
use broker::pass::Destination as Target;
use broker::topology::{RouteCache, TopologyFact};
use openwire::{
    BaseCommand, Command, DestinationInfo, JavaString, KeepAliveInfo, ProducerId, ShutdownInfo,
    TransactionId, TransactionStep, WireFormatOptions,
};

use crate::door::{Closing, Context, Door, Peer};
use crate::partition::Chooser;
use advisory::{Users, Watchers};
use connection::{Awaited, Connection, Phase};
use consume::is_followed;
use consumer::ConsumerKey;
use failure::{During, Failure};
use limits::HANDSHAKE_MS;
use temporary::TemporaryKey;

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
    connections: HashMap<SessionId, Box<Connection>>,
    by_connection: HashMap<JavaString, SessionId>,
    by_client: HashMap<JavaString, SessionId>,
    watchers: Watchers,
    /// Every temporary destination, as it was announced.
    temporaries: BTreeMap<TemporaryKey, DestinationInfo>,
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
            connections: HashMap::new(),
            by_connection: HashMap::new(),
            by_client: HashMap::new(),
            watchers: Watchers::default(),
            temporaries: BTreeMap::new(),
            consumers: Users::default(),
            producers: Users::default(),
            followers: BTreeSet::new(),
            checks: BTreeSet::new(),
            touched: Vec::new(),
            routes: RouteCache::new(),
            chooser: Chooser::new(),
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

    /// Carries out one command.
    fn obey(&mut self, conn: &mut Connection, command: Command<'_>, cx: &mut Context<'_>) -> Step {
        let base = command.base_command().unwrap_or_default();
        match self.attempt(conn, command, cx) {
            Ok(step) => step,
            Err((failure, transaction)) => {
                conn.removing = None;
                if !base.response_required {
                    conn.spoil(transaction.as_ref());
                }
                conn.fail(base, &failure, cx);
                if matches!(conn.phase, Phase::Connecting) {
                    self.turn_away(conn, cx);
                }
                Step::Taken
            }
        }
    }

    fn attempt(
        &mut self,
        conn: &mut Connection,
        command: Command<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Step, (Failure, Option<TransactionId>)> {
        let alone = |failure| (failure, None);
        let base = command.base_command().unwrap_or_default();
        match command {
            Command::WireFormatInfo(info) => {
                self.negotiated(conn, &info, cx);
                return Ok(Step::Taken);
            }
            Command::KeepAliveInfo(_) => {
                if base.response_required {
                    conn.send(&Command::KeepAliveInfo(KeepAliveInfo::default()), cx);
                }
                return Ok(Step::Taken);
            }
            Command::ShutdownInfo(_) => {
                self.hang_up(conn, Closing::Sent, cx);
                return Ok(Step::Taken);
            }
            Command::ConnectionInfo(info) => {
                let known = matches!(conn.phase, Phase::Refused | Phase::Removed);
                if known {
                    return Err(alone(Failure::illegal_state("The connection is closed")));
                }
                return self.connect(conn, info, cx).map_err(alone);
            }
            // What a peer may say and we do not act upon. A ControlCommand could once stop
            // brokers; it never will again.
            Command::ConnectionControl(_)
            | Command::BrokerInfo(_)
            | Command::FlushCommand(_)
            | Command::ControlCommand(_)
            | Command::ProducerAck(_)
            | Command::MessageDispatch(_)
            | Command::MessageDispatchNotification(_)
            | Command::ConnectionError(_)
            | Command::Response(_)
            | Command::ExceptionResponse(_)
            | Command::DataResponse(_)
            | Command::DataArrayResponse(_)
            | Command::IntegerResponse(_)
            | Command::ReplayCommand(_)
            | Command::PartialCommand(_) => {
                conn.respond(base, cx);
                return Ok(Step::Taken);
            }
            Command::Message(_)
            | Command::MessageAck(_)
            | Command::MessagePull(_)
            | Command::TransactionInfo(_)
            | Command::ProducerInfo(_)
            | Command::ConsumerInfo(_)
            | Command::RemoveInfo(_)
            | Command::SessionInfo(_)
            | Command::DestinationInfo(_)
            | Command::RemoveSubscriptionInfo(_)
            | Command::ConsumerControl(_)
            | Command::BrokerSubscriptionInfo(_) => {}
        }
        match conn.phase {
            Phase::Open => {}
            Phase::Negotiating | Phase::Connecting | Phase::Refused | Phase::Removed => {
                return Err(alone(Failure::illegal_state("The connection is not registered")));
            }
        }
        let refused = conn.refused.take();
        match command {
            Command::Message(mut message) => {
                let transaction = message.transaction_id.clone();
                let sent = match refused {
                    Some(refusal) => Err(Failure::of(&refusal, During::Other)),
                    None => self.send(conn, &mut message, cx),
                };
                sent.map_err(|failure| (failure, transaction))
            }
            Command::MessageAck(ack) => self
                .acknowledge(conn, &ack, cx)
                .map_err(|failure| (failure, ack.transaction_id.clone())),
            command => {
                let failed = refused.map(|refusal| refused_during(conn, &command, &refusal));
                match failed {
                    Some(failure) => Err(alone(failure)),
                    None => self.manage(conn, command, cx).map_err(alone),
                }
            }
        }
    }

    /// What is not on the way of a message.
    fn manage(
        &mut self,
        conn: &mut Connection,
        command: Command<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        match command {
            Command::MessagePull(pull) => self.pull(conn, &pull, cx),
            Command::TransactionInfo(info) => self.transact(conn, &info, cx),
            Command::ProducerInfo(info) => self.open_producer(conn, info, cx),
            Command::ConsumerInfo(info) => self.open_consumer(conn, info, cx),
            Command::RemoveInfo(info) => self.remove(conn, &info, cx),
            Command::SessionInfo(info) => self.open_session(conn, &info, cx),
            Command::DestinationInfo(info) => self.manage_destination(conn, &info, cx),
            Command::RemoveSubscriptionInfo(info) => self.remove_subscription(conn, &info, cx),
            Command::ConsumerControl(control) => self.control_consumer(conn, &control, cx),
            _ => Err(Failure::jms("Networks of brokers are not supported")),
        }
    }

    /// The answer to something that was asked for.
    fn answered(
        &mut self,
        conn: &mut Connection,
        token: broker::id::Token,
        result: Result<(), broker::refusal::Refusal>,
        cx: &mut Context<'_>,
    ) {
        let (awaited, number) = Awaited::of(token);
        match awaited {
            Awaited::Nothing => {}
            Awaited::Response => {
                let base = BaseCommand::request((number as u32).cast_signed());
                match result {
                    Ok(()) => conn.respond(base, cx),
                    Err(refusal) => conn.fail(base, &Failure::of(&refusal, During::Other), cx),
                }
            }
            Awaited::Again | Awaited::Onward => {
                if awaited == Awaited::Again
                    && let Err(refusal) = result
                {
                    conn.refused.get_or_insert(refusal);
                }
                conn.barriers = conn.barriers.saturating_sub(1);
                if conn.barriers == 0 {
                    cx.links.resume(conn.session);
                }
            }
            Awaited::Attach => {
                self.attached(conn, broker::id::ConsumerId(number), result.err(), cx);
            }
            Awaited::Commit => {
                let result = result.map_err(|refusal| Failure::of(&refusal, During::Committing));
                self.committed(conn, number, result, cx);
            }
            Awaited::Pull => {
                // A queue that is gone has nothing.
                self.pulled(conn, broker::id::ConsumerId(number), None, cx);
            }
        }
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
        // A peer is not silent while it is us who do not read.
        let is_reading = conn.barriers == 0 && cx.links.unsent(conn.session) == 0;
        let patience = if is_reading { silence_max } else { silence_max.saturating_mul(4) };
        if now.since(conn.heard) > patience {
            self.hang_up(conn, Closing::Now, cx);
            return;
        }
        let beat = (silence_max / 3).max(1);
        if now.since(conn.spoke) >= beat {
            conn.send(&Command::KeepAliveInfo(KeepAliveInfo::default()), cx);
        }
        let next = conn.spoke.plus(beat).min(conn.heard.plus(patience.saturating_add(1)));
        self.check_at(conn, next.max(now.plus(1)));
    }
}

/// Words for a refusal that came while a command waited.
fn refused_during(
    conn: &Connection,
    command: &Command<'_>,
    refusal: &broker::refusal::Refusal,
) -> Failure {
    match command {
        Command::ConsumerInfo(info) => {
            let client = conn.client_id().map(|id| id.to_str()).unwrap_or_default();
            match &info.subscription_name {
                Some(name) => {
                    let name = name.to_str();
                    Failure::of(refusal, During::Subscribing { client: &client, name: &name })
                }
                None => Failure::of(refusal, During::Other),
            }
        }
        Command::DestinationInfo(info) if info.operation_type == DestinationInfo::REMOVE => {
            let destination = info.destination.as_ref().map(ToString::to_string);
            let destination = destination.unwrap_or_default();
            Failure::of(refusal, During::Removing { destination: &destination })
        }
        Command::RemoveSubscriptionInfo(_) => durable::unsubscribing(refusal),
        Command::TransactionInfo(info)
            if TransactionStep::from_wire(info.step) != Some(TransactionStep::Begin) =>
        {
            Failure::of(refusal, During::Committing)
        }
        _ => Failure::of(refusal, During::Other),
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
            while conn.barriers == 0 && !conn.closing {
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
                match step {
                    Step::Taken => at += received.consumed,
                    Step::Again => return at,
                }
            }
            if conn.closing { bytes.len() } else { at }
        });
        worked.unwrap_or(bytes.len())
    }

    fn event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Deliver(delivery) => {
                self.with(delivery.session, |door, conn| door.deliver(conn, &delivery, cx));
            }
            Event::Stored { session, token, .. } => {
                self.with(session, |door, conn| door.answered(conn, token, Ok(()), cx));
            }
            Event::Done { session, token, result } => {
                let result = result.map(drop);
                self.with(session, |door, conn| door.answered(conn, token, result, cx));
            }
            Event::Got { session, token, delivery, .. } => {
                let consumer = broker::id::ConsumerId(Awaited::of(token).1);
                self.with(session, |door, conn| {
                    door.pulled(conn, consumer, delivery.as_ref(), cx);
                });
            }
            Event::Ready { session, consumer } => {
                self.with(session, |door, conn| {
                    let Some(key) = conn.attached.get(&consumer).copied() else { return };
                    let known = conn.consumers.get_mut(&key);
                    if let Some(part) = known.and_then(|known| known.part(consumer)) {
                        part.is_ready = true;
                        conn.touch(key);
                        door.note_touched(conn);
                    }
                });
            }
            Event::BrowseEnded { session, consumer } => {
                self.with(session, |door, conn| {
                    if let Some(key) = conn.attached.get(&consumer).copied() {
                        door.dispatch_nothing(conn, key, cx);
                    }
                });
            }
            Event::Cancelled { session, consumer } => {
                self.with(session, |door, conn| door.cancelled(conn, consumer));
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
                self.advise_queue(&spec.name, DestinationInfo::ADD, cx);
                for (session, key) in self.followers.clone() {
                    self.with(session, |door, conn| door.follow(conn, key, *id, &spec.name, cx));
                }
            }
            TopologyFact::QueueRemoved { .. }
            | TopologyFact::AddressSet { .. }
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
        let Some(mut conn) = self.connections.remove(&session) else { return };
        self.dissolve(&mut conn, -2, cx);
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

    fn stopping(&mut self, cx: &mut Context<'_>) {
        for conn in self.connections.values_mut() {
            if conn.phase != Phase::Negotiating {
                conn.send(&Command::ShutdownInfo(ShutdownInfo::default()), cx);
            }
        }
    }
}
