//! A node, a log in memory, a page file in memory, and a clock that moves when it is told to.

use std::collections::BTreeMap;

use broker::bytes::Reader;
use broker::event::{Answer, Effects, Event, Frame, Load, PageSlot};
use broker::id::{
    Durability, Index, MessageRef, Millis, Position, QueueId, SessionId, ShardId, Token,
};
use broker::node::{Config, Node, Retention};
use broker::pass::{Command, Destination, Pass, Publish, record_ranges};
use broker::record::{Envelope, Record};
use broker::refusal::Refusal;
use broker::topology::{
    AddressSpec, BirthBinding, Limits, Partitions, QueueOptions, QueueSpec, Router,
};

use super::bodies::{Bodies, name_of};

/// Where the clock starts: late enough that a script can speak of times before it.
pub const START: Millis = Millis(1_800_000_000_000);

pub struct World {
    pub node: Node,
    pub now: Millis,
    pub pass: Pass,
    pub durability: Sync,
    frames: Vec<Frame>,
    /// How many of the frames are durable.
    synced: usize,
    pub bodies: Bodies,
    pages: BTreeMap<PageSlot, Vec<u8>>,
    checkpoint: Option<(Vec<u8>, Index)>,
    retention: Option<Retention>,
    next_token: u64,
    pub events: Vec<Event>,
    pub released: Vec<String>,
    /// How often a record or page was loaded.
    pub loads: u64,
    /// If given, the shard without a log spills when it has more pages in memory.
    pub volatile_pages_max: Option<usize>,
    next_page: u64,
    settled_max: Option<usize>,
    /// The most pages that were in memory after a step; counted if given.
    pub resident_max: Option<usize>,
}

/// When what is appended becomes durable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    AtOnce,
    /// When the script says so.
    Held,
}

fn born(name: &str) -> Option<BirthBinding> {
    let key = name.strip_prefix("born.")?;
    Some(BirthBinding {
        source: "keys".into(),
        key: key.into(),
    })
}

/// A tag is hashed to its length and first byte, so that scripts can tell what collides.
pub fn tag_hash(tag: &str) -> u32 {
    tag.bytes()
        .next()
        .map_or(0, |first| u32::from(first) << 8 | tag.len() as u32)
}

pub fn address(name: &str, router: Router) -> AddressSpec {
    AddressSpec {
        name: name.into(),
        router,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: false,
        alternate: None,
        partitions: None,
        owner: None,
        arguments: [].into(),
    }
}

pub fn partitioned(name: &str, count: u32) -> AddressSpec {
    let partitions = Partitions {
        read: count,
        write: count,
        permissions: 6,
        ordered: false,
        system: false,
        attributes: [].into(),
    };
    AddressSpec {
        partitions: Some(partitions),
        ..address(name, Router::Partitioned)
    }
}

/// A queue without anything special.
pub fn queue(name: &str) -> QueueSpec {
    QueueSpec {
        name: name.into(),
        durability: Durability::Durable,
        auto_delete: false,
        owner: None,
        implicit: false,
        options: QueueOptions::default(),
        arguments: [].into(),
    }
}

fn config() -> Config {
    let reserved = |spec: AddressSpec| AddressSpec {
        reserved: true,
        ..spec
    };
    let addresses = [
        address("", Router::Direct),
        address("keys", Router::Pattern),
    ];
    Config {
        addresses: addresses.into_iter().map(reserved).collect(),
        birth: born,
        limits: Limits::default(),
        tag_hash,
    }
}

impl World {
    pub fn new() -> World {
        World {
            node: Node::new(config()),
            now: START,
            pass: Pass::default(),
            durability: Sync::AtOnce,
            frames: Vec::new(),
            synced: 0,
            bodies: Bodies::default(),
            pages: BTreeMap::new(),
            checkpoint: None,
            retention: None,
            next_token: 0,
            events: Vec::new(),
            released: Vec::new(),
            loads: 0,
            volatile_pages_max: None,
            next_page: 0,
            resident_max: None,
            settled_max: None,
        }
    }

    /// Whether so few messages are settled in parts, all of them in the pass that asks for it.
    pub fn settle_in_parts(&mut self, settled_max: Option<usize>) {
        self.settled_max = settled_max;
        if let Some(settled_max) = settled_max {
            self.node.go_in_parts(settled_max, usize::MAX);
        }
    }

    pub fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// Asks for one thing.
    pub fn ask(&mut self, session: SessionId, command: impl FnOnce(Token) -> Command) -> Token {
        let token = self.token();
        self.pass.push(session, command(token));
        token
    }

    /// Publishes a message that is not numbered by its producer.
    pub fn publish(
        &mut self,
        session: SessionId,
        token: Option<Token>,
        envelope: &Envelope<'_>,
        destinations: &[Destination],
        native: &str,
    ) {
        let publish = Publish {
            token,
            envelope,
            destinations,
            tag_hash: 0,
            producer: None,
        };
        self.pass.publish(session, publish, &[native.as_bytes()]);
    }

    /// Asks for one thing that is answered, and lets everything happen that comes of it.
    pub fn done(
        &mut self,
        session: SessionId,
        command: impl FnOnce(Token) -> Command,
    ) -> Option<Result<Answer, Refusal>> {
        let token = self.ask(session, command);
        self.run();
        let mut result = None;
        self.events.retain(|event| match event {
            Event::Done {
                session: _,
                token: of,
                result: found,
            } if *of == token => {
                result = Some(found.clone());
                false
            }
            _ => true,
        });
        result
    }

    /// Hands over the pass and everything that comes of it, until nothing happens any more.
    pub fn run(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "the node never comes to rest");
            let pass = std::mem::take(&mut self.pass);
            let mut effects = Effects::default();
            self.node.handle(pass, self.now, &mut effects);
            for frame in std::mem::take(&mut effects.frames) {
                self.append(frame);
            }
            if self.durability == Sync::AtOnce {
                self.sync();
            }
            self.node.advance(self.now, &self.bodies, &mut effects);
            self.events.append(&mut effects.events);
            if let Some(most) = &mut self.resident_max {
                *most = (*most).max(self.node.resident_pages());
            }
            for message in effects.released {
                let body = self
                    .bodies
                    .volatile
                    .remove(&message)
                    .expect("released once");
                let record = Record::decode(&body).expect("written by us");
                self.released.push(name_of(record.native));
                self.bodies.departed.insert(message, body);
            }
            if let Some(resident) = &mut self.bodies.resident {
                resident.clear();
            }
            for slot in effects.freed {
                self.pages.remove(&slot).expect("freed once");
            }
            if let Some(pages_max) = self.volatile_pages_max {
                self.node.spill(pages_max, &mut |bytes| {
                    self.next_page += 1;
                    let slot = PageSlot::volatile(self.next_page);
                    self.pages.insert(slot, bytes);
                    slot
                });
            }
            let loading = !effects.loads.is_empty();
            for load in effects.loads {
                self.loads += 1;
                self.load(load);
            }
            if !loading && !self.node.has_work() {
                return;
            }
        }
    }

    fn append(&mut self, frame: Frame) {
        let ranges = record_ranges(&frame.heads).enumerate();
        for (slot, range) in ranges {
            let message = MessageRef::new(frame.shard, frame.index, slot as u16);
            let bodies = if frame.shard == ShardId::VOLATILE {
                &mut self.bodies.volatile
            } else {
                &mut self.bodies.log
            };
            bodies.insert(message, frame.records[range].to_vec());
        }
        if frame.shard == ShardId::LOG {
            let expected = self.frames.last().map_or(1, |last| last.index.0 + 1);
            assert_eq!(
                frame.index.0, expected,
                "frames come in order, without gaps"
            );
            self.frames.push(frame);
        }
    }

    fn load(&mut self, load: Load) {
        match load {
            Load::Records(messages) => {
                assert!(!messages.is_empty(), "a load of nothing");
                for message in messages {
                    let bodies = &self.bodies;
                    if bodies.log.contains_key(&message) || bodies.volatile.contains_key(&message) {
                        if let Some(resident) = &mut self.bodies.resident {
                            resident.insert(message);
                        }
                        self.node.record_loaded(message);
                    } else {
                        self.node.record_gone(message);
                    }
                }
            }
            Load::Page(slot) => match self.pages.get(&slot) {
                Some(bytes) => self.node.page_loaded(slot, bytes).expect("written by us"),
                None => {
                    assert!(
                        slot.is_volatile(),
                        "a page of the log stays until a checkpoint"
                    );
                    self.node.page_gone(slot);
                }
            },
        }
    }

    /// Everything that was appended is durable.
    pub fn sync(&mut self) {
        self.synced = self.frames.len();
        if let Some(last) = self.frames.last() {
            self.node.synced(last.index);
        }
    }

    /// A part of what was appended is durable.
    pub fn sync_some(&mut self, frames: usize) {
        self.synced = (self.synced + frames).min(self.frames.len());
        if self.synced > 0 {
            self.node.synced(self.frames[self.synced - 1].index);
        }
    }

    pub fn unsynced(&self) -> usize {
        self.frames.len() - self.synced
    }

    pub fn tick(&mut self, ms: u64) {
        let end = self.now.plus(ms);
        // Deadlines are kept in their order, as a real clock would.
        while let Some(at) = self.node.deadline()
            && at <= end
        {
            self.now = at.max(self.now.plus(1)).min(end);
            self.run();
            if self.now == end {
                return;
            }
        }
        self.now = end;
        self.run();
    }

    /// Writes the state down, and forgets the pages that need not be in memory.
    pub fn checkpoint(&mut self) {
        let pages = &mut self.pages;
        let checkpoint = self.node.checkpoint(&mut |bytes| write_page(pages, bytes));
        for slot in &checkpoint.freed {
            self.pages.remove(slot);
        }
        for slot in &checkpoint.pages {
            assert!(
                self.pages.contains_key(slot),
                "a checkpoint refers to what was written"
            );
        }
        for message in self.bodies.log.keys().copied().collect::<Vec<_>>() {
            if message.index() < checkpoint.low_water {
                self.bodies.log.remove(&message);
            }
        }
        self.checkpoint = Some((checkpoint.state, checkpoint.at));
    }

    /// How large the last checkpoint was.
    pub fn state_bytes(&self) -> usize {
        self.checkpoint.as_ref().map_or(0, |(state, _)| state.len())
    }

    /// The process dies and starts again with what is durable.
    pub fn crash(&mut self) {
        let keep = match &self.checkpoint {
            // A checkpoint holds what was applied; its frames are synced before it.
            Some((_, at)) => self
                .frames
                .iter()
                .filter(|frame| frame.index <= *at)
                .count(),
            None => 0,
        };
        self.synced = self.synced.max(keep);
        for frame in self.frames.split_off(self.synced) {
            for slot in 0..frame.heads.len() {
                self.bodies
                    .log
                    .remove(&MessageRef::new(frame.shard, frame.index, slot as u16));
            }
        }
        self.bodies.volatile.clear();
        self.pass = Pass::default();
        self.events.clear();
        self.released.clear();
        self.node = self.replayed(self.checkpoint.as_ref().map(|(state, _)| state.as_slice()));
        if let Some(retention) = self.retention {
            self.node.retain(retention);
        }
        self.settle_in_parts(self.settled_max);
        self.node.recovered(self.now);
        self.run();
    }

    fn replayed(&self, state: Option<&[u8]>) -> Node {
        let mut node = match state {
            Some(state) => Node::restore(config(), state).expect("written by us"),
            None => Node::new(config()),
        };
        for frame in &self.frames[..self.synced] {
            let metas: Vec<(u32, Vec<u8>)> = frame
                .heads
                .iter()
                .map(|head| {
                    let mut meta = Vec::new();
                    head.encode_meta(&mut meta);
                    (head.size, meta)
                })
                .collect();
            let mut metas = metas.iter().map(|(size, meta)| (*size, meta.as_slice()));
            node.replay(frame.index, frame.time, &mut metas, &frame.facts)
                .expect("written by us");
        }
        node
    }

    /// A replay of the whole log, and one from the checkpoint, have the ledger of the living.
    pub fn compare_with_replay(&mut self) {
        self.durability = Sync::AtOnce;
        self.run();
        self.sync();
        self.run();
        let pages = &mut self.pages;
        let live = self
            .node
            .checkpoint(&mut |bytes| write_page(pages, bytes))
            .state;
        let mut pages = BTreeMap::new();
        let mut whole = self.replayed(None);
        let whole = whole
            .checkpoint(&mut |bytes| write_page(&mut pages, bytes))
            .state;
        assert!(
            ledger_of(&live) == ledger_of(&whole),
            "a replay of everything differs"
        );
        if let Some((state, _)) = &self.checkpoint {
            let mut pages = self.pages.clone();
            let mut later = self.replayed(Some(state));
            let later = later
                .checkpoint(&mut |bytes| write_page(&mut pages, bytes))
                .state;
            assert!(
                ledger_of(&live) == ledger_of(&later),
                "a replay from a checkpoint differs"
            );
        }
    }

    pub fn retain(&mut self, retention: Retention) {
        self.retention = Some(retention);
        self.node.retain(retention);
    }

    pub fn queue(&self, name: &str) -> QueueId {
        let queue = self.node.topology().queue(name);
        queue.unwrap_or_else(|| panic!("no queue {name}")).id
    }

    /// How many pages of the shard without a log lie outside the memory.
    pub fn volatile_pages(&self) -> usize {
        self.pages.keys().filter(|slot| slot.is_volatile()).count()
    }

    pub fn message_name(&self, message: MessageRef) -> String {
        let body = self
            .bodies
            .any(message)
            .expect("what is handed out can be read");
        name_of(Record::decode(body).expect("written by us").native)
    }
}

/// A page lies where its contents say, so that equal ledgers have equal page numbers.
fn write_page(pages: &mut BTreeMap<PageSlot, Vec<u8>>, bytes: Vec<u8>) -> PageSlot {
    let sum = bytes
        .iter()
        .fold(14_695_981_039_346_656_037u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
        });
    // The highest bit is for the shard without a log.
    let slot = PageSlot(sum >> 1);
    pages.insert(slot, bytes);
    slot
}

/// Without the topology: volatile things count there, and are not replayed.
fn ledger_of(state: &[u8]) -> &[u8] {
    let mut reader = Reader::new(state);
    reader.u8().expect("a version");
    reader.bytes().expect("a topology");
    reader.rest()
}

/// Where something stands that was handed out.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub session: SessionId,
    pub queue: QueueId,
    pub position: Position,
}
