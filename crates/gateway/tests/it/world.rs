//! A world for conversations: a node, doors, a log in memory that is synced at once, a clock that
//! is moved by hand, and links that keep what they were given.
//!
//! Everything happens in [`World::run`], which returns when nobody has anything left to do. What
//! is random is counted instead, so that a transcript is the same every time.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use broker::event::{Effects, Event, Frame, Load, Records};
use broker::id::{Index, MessageRef, Millis, SessionId, ShardId};
use broker::node::{Config, Node};
use broker::pass::{Pass, record_ranges};
use broker::properties::Properties;
use broker::record::Record;
use broker::topology::Limits;
use gateway::access::{Access, Action, Denied, Resource, User};
use gateway::door::{Alarms, Closing, Context, Door, Links, Peer, Wire};

/// A step that goes on for longer than this is a loop.
const ROUNDS_MAX: usize = 100_000;

pub struct World {
    node: Node,
    config: Config,
    doors: Vec<(Wire, Box<dyn Door>)>,
    log: Log,
    links: Cables,
    porter: Porter,
    now: Millis,
    entropy: u64,
    consumers: u64,
    connections: u64,
    log_is_slow: bool,
    /// What a slow log has taken and not synced.
    unsynced: Option<Index>,
}

/// What was logged, and the records that can be read.
#[derive(Default)]
struct Log {
    frames: Vec<Frame>,
    records: HashMap<MessageRef, Vec<u8>>,
}

/// Names who may come in, and what nobody may do.
struct Porter;

/// The links of all sessions.
#[derive(Default)]
struct Cables {
    links: BTreeMap<SessionId, Link>,
    void: Vec<u8>,
}

#[derive(Default)]
struct Link {
    inbox: Vec<u8>,
    out: Vec<u8>,
    closing: Option<Closing>,
    /// Something came, or the door asked to be offered the rest again.
    stirred: bool,
    /// Its door has stopped reading: what comes waits at the peer.
    resting: bool,
    at_peer: Vec<u8>,
    /// Its peer reads nothing: what is told it waits to be sent.
    is_stuck: bool,
}

impl World {
    /// A node that has never run, behind these doors.
    pub fn new(doors: Vec<(Wire, Box<dyn Door>)>) -> World {
        World::limited(doors, Limits::default())
    }

    /// The same, with other limits of names.
    pub fn limited(doors: Vec<(Wire, Box<dyn Door>)>, limits: Limits) -> World {
        let config = Config {
            addresses: [
                gateway::predeclared::predeclared(),
                gateway::remoting::predeclared(&gateway::remoting::Settings::default()),
            ]
            .concat(),
            birth: gateway::birth::birth,
            limits,
            tag_hash: gateway::partition::tag_hash,
        };
        World {
            node: Node::new(config.clone()),
            config,
            doors,
            log: Log::default(),
            links: Cables::default(),
            porter: Porter,
            now: Millis(1_700_000_000_000),
            entropy: 0,
            consumers: 0,
            connections: 0,
            log_is_slow: false,
            unsynced: None,
        }
    }

    pub fn now(&self) -> Millis {
        self.now
    }

    /// Somebody connects from this machine.
    pub fn connect(&mut self, wire: Wire) -> SessionId {
        self.connect_from(wire, [127, 0, 0, 1])
    }

    /// Somebody connects from anywhere.
    pub fn connect_from(&mut self, wire: Wire, from: [u8; 4]) -> SessionId {
        self.connections += 1;
        let session = wire.session(self.connections);
        self.links.links.insert(session, Link::default());
        let peer = Peer {
            remote: SocketAddr::from((from, 50_000)),
            local: SocketAddr::from(([127, 0, 0, 1], 5_672)),
        };
        self.at(wire, |door, cx| door.opened(session, peer, cx));
        self.run();
        session
    }

    /// Bytes come from a peer.
    pub fn send(&mut self, session: SessionId, bytes: &[u8]) {
        let Some(link) = self.links.links.get_mut(&session) else {
            return;
        };
        if link.resting {
            link.at_peer.extend_from_slice(bytes);
            return;
        }
        link.inbox.extend_from_slice(bytes);
        link.stirred = true;
        self.run();
    }

    /// What a peer has been sent since it was asked last.
    pub fn take(&mut self, session: SessionId) -> Vec<u8> {
        self.links
            .links
            .get_mut(&session)
            .map(|link| std::mem::take(&mut link.out))
            .unwrap_or_default()
    }

    /// A peer reads no further.
    pub fn stop_taking(&mut self, session: SessionId) {
        if let Some(link) = self.links.links.get_mut(&session) {
            link.is_stuck = true;
        }
    }

    /// What is kept for a peer: bytes that its door has left unread, and bytes not sent.
    pub fn kept(&self, session: SessionId) -> (usize, usize) {
        let link = self.links.links.get(&session);
        link.map_or((0, 0), |link| (link.inbox.len(), link.out.len()))
    }

    /// How the door has asked to end a connection, if it has.
    pub fn closing(&self, session: SessionId) -> Option<Closing> {
        self.links.links.get(&session).and_then(|link| link.closing)
    }

    /// The peer is gone.
    pub fn hang_up(&mut self, session: SessionId) {
        self.links.links.remove(&session);
        if let Some(wire) = Wire::of(session) {
            self.at(wire, |door, cx| door.closed(session, cx));
        }
        self.run();
    }

    /// Time passes, door by door and deadline by deadline.
    pub fn pass_time(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        while self.now < end {
            let doors = self.doors.iter().filter_map(|(_, door)| door.deadline());
            let next = doors
                .chain(self.node.deadline())
                .filter(|at| *at > self.now)
                .min();
            self.now = next.map_or(end, |at| at.min(end));
            for wire in self.wires() {
                self.at(wire, |door, cx| door.tick(cx));
            }
            self.run();
        }
    }

    /// The process dies and starts again: connections and volatile things are gone, and what was
    /// logged is replayed.
    pub fn crash(&mut self, doors: Vec<(Wire, Box<dyn Door>)>) {
        self.doors = doors;
        self.links = Cables::default();
        self.node = Node::new(self.config.clone());
        self.log
            .records
            .retain(|message, _| message.shard() == ShardId::LOG);
        for frame in &self.log.frames {
            let metas: Vec<_> = frame
                .heads
                .iter()
                .map(|head| {
                    let mut meta = Vec::new();
                    head.encode_meta(&mut meta);
                    (head.size, meta)
                })
                .collect();
            let mut metas = metas.iter().map(|(size, meta)| (*size, meta.as_slice()));
            self.node
                .replay(frame.index, frame.time, &mut metas, &frame.facts)
                .expect("what was logged can be replayed");
        }
        self.node.recovered(self.now);
        self.run();
    }

    /// The server is short of something, or of nothing any more.
    pub fn alarm(&mut self, alarms: Alarms) {
        for wire in self.wires() {
            self.at(wire, |door, cx| door.alarmed(alarms, cx));
        }
        self.run();
    }

    /// The disk has become full, or has room again.
    pub fn disk_full(&mut self, is_full: bool) {
        self.node.disk_full(is_full);
    }

    /// From now on what is logged is durable one step later.
    pub fn slow_log(&mut self) {
        self.log_is_slow = true;
    }

    /// Whether a door has stopped reading from a peer.
    pub fn rests(&self, session: SessionId) -> bool {
        let link = self.links.links.get(&session);
        link.is_some_and(|link| link.resting)
    }

    /// The server stops: every door tells its peers.
    pub fn stop(&mut self) {
        for wire in self.wires() {
            self.at(wire, |door, cx| door.stopping(cx));
        }
        self.run();
    }

    fn wires(&self) -> Vec<Wire> {
        self.doors.iter().map(|(wire, _)| *wire).collect()
    }

    /// Lets a door do something, and hands over what it asks for.
    fn at(&mut self, wire: Wire, act: impl FnOnce(&mut dyn Door, &mut Context<'_>)) {
        let mut pass = Pass::default();
        self.with_context(&mut pass, |doors, cx| {
            if let Some((_, door)) = doors.iter_mut().find(|(known, _)| *known == wire) {
                act(&mut **door, cx);
            }
            doors.iter_mut().for_each(|(_, door)| door.finish(cx));
        });
        self.step(pass);
    }

    fn with_context<T>(
        &mut self,
        pass: &mut Pass,
        act: impl FnOnce(&mut Vec<(Wire, Box<dyn Door>)>, &mut Context<'_>) -> T,
    ) -> T {
        let entropy = &mut self.entropy;
        let mut next = || {
            *entropy += 1;
            *entropy
        };
        let mut cx = Context {
            now: self.now,
            topology: self.node.topology(),
            pass,
            records: &self.log,
            links: &mut self.links,
            access: &self.porter,
            entropy: &mut next,
            next_consumer: &mut self.consumers,
        };
        act(&mut self.doors, &mut cx)
    }

    /// Works until nobody has anything left to do.
    pub fn run(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let stirred = self
                .links
                .links
                .iter()
                .find(|(_, link)| link.stirred)
                .map(|(id, _)| *id);
            if let Some(session) = stirred {
                self.read(session);
            } else if self.node.has_work() || self.unsynced.is_some() {
                self.step(Pass::default());
            } else {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    fn read(&mut self, session: SessionId) {
        let Some(link) = self.links.links.get_mut(&session) else {
            return;
        };
        link.stirred = false;
        let inbox = std::mem::take(&mut link.inbox);
        let Some(wire) = Wire::of(session) else {
            return;
        };
        let mut consumed = 0;
        self.at(wire, |door, cx| {
            consumed = door.received(session, &inbox, cx)
        });
        if let Some(link) = self.links.links.get_mut(&session) {
            link.inbox.splice(0..0, inbox[consumed..].iter().copied());
        }
    }

    /// One step of the node, its frames logged and synced at once, its events told.
    fn step(&mut self, pass: Pass) {
        let mut effects = Effects::default();
        self.node.handle(pass, self.now, &mut effects);
        let mut synced = None;
        for frame in std::mem::take(&mut effects.frames) {
            synced = self.log.append(frame).or(synced);
        }
        // A slow log is behind by one step.
        let synced = match self.log_is_slow {
            true => std::mem::replace(&mut self.unsynced, synced),
            false => synced,
        };
        if let Some(index) = synced {
            self.node.synced(index);
        }
        self.node.advance(self.now, &self.log, &mut effects);
        for load in std::mem::take(&mut effects.loads) {
            self.miss(load);
        }
        let mut pass = Pass::default();
        self.with_context(&mut pass, |doors, cx| {
            for event in std::mem::take(&mut effects.events) {
                tell(doors, event, cx);
            }
            doors.iter_mut().for_each(|(_, door)| door.finish(cx));
        });
        for message in effects.released {
            self.log.records.remove(&message);
        }
        if !pass.is_empty() {
            self.step(pass);
        }
    }

    /// Everything that there is lies in memory, so what is asked for has gone or never was.
    fn miss(&mut self, load: Load) {
        let Load::Records(messages) = load else {
            panic!("no page was ever written, and {load:?} is asked for")
        };
        for message in messages {
            assert!(
                self.log.record(message).is_none(),
                "{message:?} is in memory"
            );
            self.node.record_gone(message);
        }
    }
}

fn tell(doors: &mut [(Wire, Box<dyn Door>)], event: Event, cx: &mut Context<'_>) {
    let session = match &event {
        Event::Changed(fact) => {
            let fact = Arc::clone(fact);
            return doors
                .iter_mut()
                .for_each(|(_, door)| door.changed(&fact, cx));
        }
        Event::Done { session, .. }
        | Event::Stored { session, .. }
        | Event::Got { session, .. }
        | Event::Ready { session, .. }
        | Event::BrowseEnded { session, .. }
        | Event::Cancelled { session, .. }
        | Event::Read { session, .. } => *session,
        Event::Deliver(delivery) => delivery.session,
    };
    let wire = Wire::of(session);
    if let Some((_, door)) = doors.iter_mut().find(|(known, _)| Some(*known) == wire) {
        door.event(event, cx);
    }
}

impl Log {
    /// Keeps the records of a frame, and the frame if it has a place in the log.
    fn append(&mut self, frame: Frame) -> Option<Index> {
        for (slot, range) in record_ranges(&frame.heads).enumerate() {
            let message = MessageRef::new(frame.shard, frame.index, slot as u16);
            self.records.insert(message, frame.records[range].to_vec());
        }
        if frame.shard == ShardId::VOLATILE {
            return None;
        }
        let index = frame.index;
        self.frames.push(Frame {
            records: Vec::new(),
            ..frame
        });
        Some(index)
    }
}

impl Records for Log {
    fn record(&self, message: MessageRef) -> Option<&[u8]> {
        self.records.get(&message).map(Vec::as_slice)
    }

    fn with_properties(&self, record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
        gateway::view::with_properties(record, look);
    }
}

impl Links for Cables {
    fn out(&mut self, session: SessionId) -> &mut Vec<u8> {
        match self.links.get_mut(&session) {
            Some(link) => &mut link.out,
            None => {
                self.void.clear();
                &mut self.void
            }
        }
    }

    fn unsent(&self, session: SessionId) -> usize {
        let link = self.links.get(&session).filter(|link| link.is_stuck);
        link.map_or(0, |link| link.out.len())
    }

    fn close(&mut self, session: SessionId, closing: Closing) {
        if let Some(link) = self.links.get_mut(&session) {
            link.closing = Some(closing);
        }
    }

    fn resume(&mut self, session: SessionId) {
        if let Some(link) = self.links.get_mut(&session) {
            link.stirred = true;
        }
    }

    fn stop_reading(&mut self, session: SessionId) {
        if let Some(link) = self.links.get_mut(&session) {
            link.resting = true;
        }
    }

    fn read_again(&mut self, session: SessionId) {
        if let Some(link) = self.links.get_mut(&session) {
            link.resting = false;
            let at_peer = std::mem::take(&mut link.at_peer);
            link.inbox.extend(at_peer);
            link.stirred = true;
        }
    }
}

/// `guest`/`guest` and `admin`/`admin`, and from this machine anybody, may come in and do everything, save to what is called
/// `forbidden…`.
impl Access for Porter {
    fn authenticate(&self, name: &str, password: &[u8], _loopback: bool) -> Result<User, Denied> {
        let known = ["guest", "admin"].contains(&name) && name.as_bytes() == password;
        if known {
            Ok(User {
                name: name.into(),
                tags: Vec::new(),
            })
        } else {
            Err(Denied)
        }
    }

    fn anonymous(&self, loopback: bool) -> Result<User, Denied> {
        if !loopback {
            return Err(Denied);
        }
        Ok(User {
            name: "".into(),
            tags: Vec::new(),
        })
    }

    fn authorize(&self, _user: &User, _action: Action, resource: Resource<'_>) -> bool {
        let (Resource::Address(name) | Resource::Queue(name) | Resource::Group(name)) = resource;
        !name.starts_with("forbidden")
    }
}
