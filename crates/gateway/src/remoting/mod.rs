//! The RocketMQ door: NameServer and broker behind one table of requests.
//!
//! A connection speaks frames that stand alone; whatever port it came in by, it may ask what a
//! NameServer is asked and what a broker is asked, since the numbers do not overlap. Requests are
//! carried out as they come and answered as their answers come, matched by opaque number: nothing
//! on a connection waits for anything else on it.
//!
//! - [`dispatch`] is the table from request codes to methods; what it does not serve it refuses
//!   with code 3.
//! - A **topic** is an address with partitions ([`topic`], [`admin`], [`route`]), its queues are
//!   the partitions; a **group** is a group of the topology ([`group`]). Both come into being when
//!   they are used ([`creation`]).
//! - A message sent ([`send`], [`batch`]) is stored ([`storing`]) as the record that a pull
//!   delivers ([`message`]) with the fields that belong to the broker still empty; [`delivery`]
//!   fills them while copying. The
//!   physical offset of the wire is the message's name inside.
//! - A pull ([`pull`]) is a read; offsets ([`offset`]) are a group's cursors.
//! - Sent back ([`retry`]) and delayed messages are new messages, kept until due.
//! - Transactions ([`transaction`]) have Apache's shape: half messages in one partition of the
//!   broker's own, decisions in another, both read again at the start.
//! - Clients, their subscriptions and locks ([`clients`], [`locks`]) are memory; clients say them
//!   again. Who cannot balance is told its queues ([`assignment`]).
//! - What goes through is counted ([`runtime`]) for the tools that ask.
//!
//! Caveats: there is no message index (query by key), no POP, no SQL filter, no key-value
//! configuration, no statistics but offsets and sums; see `docs/protocols/rocketmq.md`.

mod admin;
mod asker;
mod assignment;
mod batch;
mod clients;
mod connection;
mod creation;
mod delivery;
mod dispatch;
mod group;
mod half;
mod heartbeat;
mod locks;
mod lookup;
mod message;
mod offset;
mod pending;
mod pull;
mod refusals;
mod retry;
mod route;
mod runtime;
mod send;
mod settings;
mod stats;
mod storing;
mod topic;
mod transaction;
mod unique;
pub mod view;
mod waking;

use std::collections::HashMap;
use std::sync::Arc;

use broker::event::{Answer, Event, ReadResult};
use broker::id::{MessageRef, Millis, PartitionId, Position, SessionId, Token};
use broker::pass::{Command, Destination};
use broker::refusal::Refusal;
use broker::topology::{RouteCache, TopologyFact};

pub use settings::{Settings, Transactions, predeclared};

use crate::door::{Alarms, Closing, Context, Disk, Door, Peer, STRANGER_UNSENT_BYTES_MAX};
use crate::partition::Chooser;
use asker::Asker;
use clients::Clients;
use connection::{Connection, IDLE_MS, IN_FLIGHT_MAX};
use creation::{Creation, SETUP};
use group::Configs;
use half::Halves;
use locks::Locks;
use pending::Pending;
use refusals::Refused;
use runtime::Traffic;
use transaction::CARETAKER;

/// How often silent clients are looked for.
const SWEEP_MS: u64 = 10_000;
/// The most lines that wait for the operator.
const NOTES_MAX: usize = 100;

/// A session of the door's own, of which no connection has the number.
const fn own_session(number: u64) -> SessionId {
    SessionId(3 << 56 | ((1 << 56) - number))
}

/// The door. One for all three ports.
pub struct RemotingDoor {
    settings: Arc<Settings>,
    connections: HashMap<SessionId, Connection>,
    pending: Pending<Waiting>,
    creation: Creation,
    clients: Clients,
    configs: Configs,
    locks: Locks,
    halves: Halves,
    routes: RouteCache,
    chooser: Chooser,
    next_sweep: Millis,
    /// While there are any, sends are refused.
    alarms: Alarms,
    disk: Option<Disk>,
    traffic: Traffic,
    /// The half message under the pen, kept for its memory.
    scratch: Vec<u8>,
    destinations: Vec<Destination>,
    text: String,
    notes: Vec<String>,
}

/// A request that waits for the broker.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    what: What,
}

/// What a request does when the broker answers.
#[derive(Debug)]
enum What {
    Send(send::Sent),
    Batch(batch::SentBatch),
    Pull(Box<pull::Pull>),
    Offset(offset::Asked),
    Gather(Box<stats::Gather>),
    SendBack(Box<retry::SendBack>),
    /// A send-back that waits to be stored.
    SentBack,
    View(Box<lookup::View>),
    Transaction(transaction::Step),
}

impl What {
    /// A transaction is looked after whoever listens.
    fn outlives_its_asker(&self) -> bool {
        match self {
            What::Transaction(_) => true,
            What::Send(sent) => sent.is_half(),
            What::Batch(_)
            | What::Pull(_)
            | What::Offset(_)
            | What::Gather(_)
            | What::SendBack(_)
            | What::SentBack
            | What::View(_) => false,
        }
    }
}

impl RemotingDoor {
    pub fn new(settings: Settings) -> RemotingDoor {
        RemotingDoor {
            settings: Arc::new(settings),
            connections: HashMap::new(),
            pending: Pending::default(),
            creation: Creation::default(),
            clients: Clients::default(),
            configs: Configs::default(),
            locks: Locks::default(),
            halves: Halves::default(),
            routes: RouteCache::new(),
            chooser: Chooser::new(),
            next_sweep: Millis(0),
            alarms: Alarms::NONE,
            disk: None,
            traffic: Traffic::default(),
            scratch: Vec::new(),
            destinations: Vec::new(),
            text: String::new(),
            notes: Vec::new(),
        }
    }

    fn note(&mut self, line: String) {
        if self.notes.len() < NOTES_MAX && self.notes.last() != Some(&line) {
            self.notes.push(line);
        }
    }

    /// A token under which a request waits.
    fn wait(&mut self, asker: Asker, what: What) -> Result<Token, Refused> {
        let connection = self.connections.get_mut(&asker.session);
        if connection
            .as_ref()
            .is_some_and(|known| known.in_flight >= IN_FLIGHT_MAX)
        {
            return Err(Refused::busy("requests of this connection"));
        }
        let token = self.pending.insert(Waiting { asker, what });
        let token = token.ok_or_else(|| Refused::busy("requests"))?;
        if let Some(connection) = connection {
            connection.in_flight += 1;
        }
        Ok(token)
    }

    fn take(&mut self, token: Token) -> Option<Waiting> {
        let waiting = self.pending.take(token)?;
        if let Some(connection) = self.connections.get_mut(&waiting.asker.session) {
            connection.in_flight = connection.in_flight.saturating_sub(1);
        }
        Some(waiting)
    }

    fn stored(
        &mut self,
        token: Token,
        message: MessageRef,
        at: Option<(PartitionId, Position)>,
        cx: &mut Context<'_>,
    ) {
        self.traffic.stored(message);
        if let Some(Waiting {
            what: What::Batch(batch),
            ..
        }) = self.pending.get_mut(token)
            && !batch.is_whole_with(pending::part(token), message, at)
        {
            return;
        }
        let Some(Waiting { asker, what }) = self.take(token) else {
            return;
        };
        match what {
            What::Send(sent) => self.sent(asker, sent, message, at, cx),
            What::Batch(batch) => self.sent_batch(asker, &batch, cx),
            What::SentBack => asker.done(cx),
            What::Transaction(step) => self.transaction_stored(asker, step, message, at, cx),
            // Nothing else publishes.
            What::Pull(_)
            | What::Offset(_)
            | What::Gather(_)
            | What::SendBack(_)
            | What::View(_) => {}
        }
    }

    fn done(&mut self, token: Token, result: Result<Answer, Refusal>, cx: &mut Context<'_>) {
        if let Some(Waiting {
            what: What::Gather(gather),
            ..
        }) = self.pending.get_mut(token)
            && !gather.is_whole_with(pending::part(token), &result)
        {
            return;
        }
        let Some(Waiting { asker, what }) = self.take(token) else {
            return;
        };
        match what {
            What::Send(_) | What::Batch(_) | What::SentBack | What::Pull(_) => {
                if let Err(refusal) = result {
                    asker.refuse(&(&refusal).into(), cx);
                }
            }
            What::Offset(asked) => self.offset_answered(asker, asked, result, cx),
            What::Gather(gather) => self.gathered(asker, *gather, cx),
            What::SendBack(back) => self.original_found(asker, *back, result, cx),
            What::View(view) => self.viewed(asker, *view, result, cx),
            What::Transaction(step) => self.transaction_done(asker, step, result, cx),
        }
    }

    fn read(&mut self, token: Token, result: ReadResult, cx: &mut Context<'_>) {
        let Some(Waiting { asker, what }) = self.take(token) else {
            return;
        };
        match what {
            What::Pull(pull) => self.pulled(asker, *pull, &result, cx),
            What::View(view) => self.view_read(asker, *view, &result, cx),
            What::Transaction(step) => self.transaction_read(asker, step, &result, cx),
            // Nothing else reads.
            What::Send(_)
            | What::Batch(_)
            | What::Offset(_)
            | What::Gather(_)
            | What::SendBack(_)
            | What::SentBack => {}
        }
    }
}

impl Door for RemotingDoor {
    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn opened(&mut self, session: SessionId, peer: Peer, cx: &mut Context<'_>) {
        self.traffic.begin(cx.now);
        let user = cx.access.anonymous(peer.is_loopback()).ok();
        if user.is_some() {
            cx.links.admit(session);
        }
        self.connections
            .insert(session, Connection::new(peer, user, cx.now));
    }

    fn received(&mut self, session: SessionId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let mut used = 0;
        if let Some(connection) = self.connections.get_mut(&session) {
            connection.last_read = cx.now;
        }
        loop {
            let Some(connection) = self.connections.get_mut(&session) else {
                return bytes.len();
            };
            if connection.is_closing {
                return bytes.len();
            }
            // Offered again when that is sent.
            let is_stranger = connection.user.is_none();
            if is_stranger && cx.links.unsent(session) > STRANGER_UNSENT_BYTES_MAX {
                return used;
            }
            let rest = bytes.get(used..).unwrap_or_default();
            match connection.decoder().feed(rest) {
                Ok(None) => return used,
                Ok(Some((size, command))) => {
                    self.command(session, rest.get(..size).unwrap_or_default(), &command, cx);
                    used += size;
                }
                // This wire has no word for a frame that cannot be read.
                Err(_) => {
                    connection.is_closing = true;
                    cx.links.close(session, Closing::Now);
                    return bytes.len();
                }
            }
        }
    }

    fn event(&mut self, event: Event, cx: &mut Context<'_>) {
        match event {
            Event::Done {
                session, result, ..
            } if session == SETUP => {
                self.changed_as_asked(result, cx);
            }
            Event::Done { token, result, .. } => self.done(token, result, cx),
            Event::Stored {
                token, message, at, ..
            } => self.stored(token, message, at, cx),
            Event::Read { token, result, .. } => self.read(token, result, cx),
            // This wire attaches to no queue.
            Event::Deliver(_)
            | Event::Got { .. }
            | Event::Ready { .. }
            | Event::BrowseEnded { .. }
            | Event::Cancelled { .. }
            | Event::Changed(_) => {}
        }
    }

    fn changed(&mut self, fact: &TopologyFact, _cx: &mut Context<'_>) {
        match fact {
            TopologyFact::GroupSet { id, .. } | TopologyFact::GroupRemoved { id } => {
                self.configs.forget(*id);
            }
            TopologyFact::AddressSet { .. }
            | TopologyFact::AddressRemoved { .. }
            | TopologyFact::QueueSet { .. }
            | TopologyFact::QueueRemoved { .. }
            | TopologyFact::Bound { .. }
            | TopologyFact::Unbound { .. }
            | TopologyFact::UserSet(_)
            | TopologyFact::UserRemoved { .. } => {}
        }
    }

    fn closed(&mut self, session: SessionId, cx: &mut Context<'_>) {
        if self.connections.remove(&session).is_some() {
            self.clients.leave(session);
            self.pending.retain(|waiting| {
                waiting.asker.session != session || waiting.what.outlives_its_asker()
            });
            cx.pass.push(session, Command::End { token: None });
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.traffic.begin(cx.now);
        if self.next_sweep <= cx.now {
            self.next_sweep = cx.now.plus(SWEEP_MS);
            self.clients.expire(cx.now);
            self.locks.expire(cx.now);
            for (session, connection) in &mut self.connections {
                if cx.now.since(connection.last_read) > IDLE_MS && !connection.is_closing {
                    connection.is_closing = true;
                    cx.links.close(*session, Closing::Now);
                }
            }
        }
        self.tend_transactions(cx);
    }

    fn deadline(&self) -> Option<Millis> {
        let is_quiet =
            self.connections.is_empty() && self.clients.is_empty() && self.locks.is_empty();
        let sweep = (!is_quiet).then_some(self.next_sweep);
        [sweep, self.halves.deadline()].into_iter().flatten().min()
    }

    fn alarmed(&mut self, alarms: Alarms, _cx: &mut Context<'_>) {
        self.alarms = alarms;
    }

    fn disk_measured(&mut self, disk: Disk) {
        self.disk = Some(disk);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        self.notify_changed_groups(cx);
    }
}

// The sessions of the door's own are two.
const _: () = assert!(SETUP.0 != CARETAKER.0);
