//! What is around a door when nothing else is: a node, a log in memory that is durable at once, a clock that stands.

use std::collections::VecDeque;
use std::net::SocketAddr;

use broker::event::{Effects, Event, Frame, Load, Records};
use broker::id::{Index, MessageRef, Millis, SessionId, ShardId};
use broker::node::{Config, Node};
use broker::pass::Pass;
use broker::properties::Properties;
use broker::record::Record;
use broker::topology::Limits;
use gateway::access::{Access, Action, Denied, Resource, User};
use gateway::door::{Closing, Context, Door, Links, Peer, Wire};
use store::{FrameBuilder, Shard, Slot, Term};

/// Frames that can be read back; a consumer that keeps up needs the last ones only.
const FRAMES_KEPT: usize = 256;
/// A turn that goes on for longer is a loop.
const ROUNDS_MAX: usize = 10_000;

pub struct World {
    node: Node,
    door: Box<dyn Door>,
    log: Log,
    link: Link,
    effects: Effects,
    pass: Pass,
    session: SessionId,
    now: Millis,
    entropy: u64,
    consumers: u64,
    meta: Vec<u8>,
}

/// The frames of the log, and those of the volatile shard.
#[derive(Default)]
struct Log {
    frames: VecDeque<(Index, store::Frame)>,
    volatile: VecDeque<(Index, store::Frame)>,
}

/// The one connection.
#[derive(Default)]
struct Link {
    inbox: Vec<u8>,
    out: Vec<u8>,
    stirred: bool,
}

/// Lets everybody do everything.
struct Anybody;

impl World {
    /// A node that has never run, with one connection at this door.
    pub fn new(wire: Wire, door: Box<dyn Door>) -> World {
        let node = Node::new(Config {
            addresses: [
                gateway::predeclared::predeclared(),
                gateway::remoting::predeclared(&gateway::remoting::Settings::default()),
            ]
            .concat(),
            birth: gateway::birth::birth,
            limits: Limits::default(),
            tag_hash: gateway::partition::tag_hash,
        });
        let mut world = World {
            node,
            door,
            log: Log::default(),
            link: Link::default(),
            effects: Effects::default(),
            pass: Pass::default(),
            session: wire.session(1),
            now: Millis(1_700_000_000_000),
            entropy: 0,
            consumers: 0,
            meta: Vec::new(),
        };
        let end = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peer = Peer {
            remote: end(50_000),
            local: end(5_672),
        };
        let session = world.session;
        // A door that has something to do once it wakes up does it first.
        world.now = world.now.plus(1);
        world.with(|door, cx| door.tick(cx));
        world.with(|door, cx| door.opened(session, peer, cx));
        world.run();
        world
    }

    /// Bytes come from the client, and everything that follows from them happens.
    pub fn send(&mut self, bytes: &[u8]) {
        self.link.inbox.extend_from_slice(bytes);
        self.link.stirred = true;
        self.run();
    }

    /// What the client has been sent since [`World::forget`].
    pub fn heard(&self) -> &[u8] {
        &self.link.out
    }

    pub fn forget(&mut self) {
        self.link.out.clear();
    }

    fn with(&mut self, act: impl FnOnce(&mut dyn Door, &mut Context<'_>)) {
        let entropy = &mut self.entropy;
        let mut context = Context {
            now: self.now,
            topology: self.node.topology(),
            pass: &mut self.pass,
            records: &self.log,
            links: &mut self.link,
            access: &Anybody,
            entropy: &mut || {
                *entropy += 1;
                *entropy
            },
            next_consumer: &mut self.consumers,
        };
        act(&mut *self.door, &mut context);
    }

    fn run(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if std::mem::take(&mut self.link.stirred) {
                let session = self.session;
                let mut inbox = std::mem::take(&mut self.link.inbox);
                let mut consumed = 0;
                self.with(|door, cx| consumed = door.received(session, &inbox, cx));
                inbox.drain(..consumed);
                self.link.inbox = inbox;
            }
            self.with(|door, cx| door.finish(cx));
            if !self.pass.is_empty() || self.node.has_work() {
                self.step();
            } else if !self.link.stirred {
                return;
            }
        }
        panic!("the conversation does not come to rest");
    }

    fn step(&mut self) {
        let pass = std::mem::take(&mut self.pass);
        self.node.handle(pass, self.now, &mut self.effects);
        for frame in std::mem::take(&mut self.effects.frames) {
            if let Some(index) = self.log.append(frame, &mut self.meta) {
                self.node.synced(index);
            }
        }
        self.node.advance(self.now, &self.log, &mut self.effects);
        for load in std::mem::take(&mut self.effects.loads) {
            let Load::Records(messages) = load else {
                panic!("no page was ever written");
            };
            messages
                .into_iter()
                .for_each(|message| self.node.record_gone(message));
        }
        let mut events = std::mem::take(&mut self.effects.events);
        for event in events.drain(..) {
            self.with(|door, cx| match event {
                Event::Changed(fact) => door.changed(&fact, cx),
                event => door.event(event, cx),
            });
        }
        self.effects.events = events;
        self.effects.released.clear();
    }
}

impl Log {
    /// Builds the frame as the disk would get it; returns its index if it has a place in the log.
    fn append(&mut self, frame: Frame, meta: &mut Vec<u8>) -> Option<Index> {
        let index = frame.index;
        let sizes = frame.heads.iter().map(|head| head.size);
        let mut builder = FrameBuilder::with_records(frame.records, sizes).expect("small frames");
        for (slot, head) in (0..).zip(frame.heads.iter()) {
            meta.clear();
            head.encode_meta(meta);
            builder
                .set_meta(Slot::new(slot), meta)
                .expect("small frames");
        }
        if !frame.facts.is_empty() {
            builder.push_facts(&frame.facts).expect("small frames");
        }
        let time = store::Millis(frame.time.0);
        let finished = builder.finish(
            store::Index::new(index.0),
            Shard::new(ShardId::LOG.0),
            Term(0),
            time,
        );
        let is_volatile = frame.shard == ShardId::VOLATILE;
        let kept = if is_volatile {
            &mut self.volatile
        } else {
            &mut self.frames
        };
        kept.push_back((index, finished));
        if kept.len() > FRAMES_KEPT {
            kept.pop_front();
        }
        (!is_volatile).then_some(index)
    }
}

impl Records for Log {
    fn record(&self, message: MessageRef) -> Option<&[u8]> {
        let frames = if message.shard() == ShardId::VOLATILE {
            &self.volatile
        } else {
            &self.frames
        };
        let at = frames
            .binary_search_by_key(&message.index(), |(index, _)| *index)
            .ok()?;
        frames[at].1.record(Slot::new(message.slot()))
    }

    fn with_properties(&self, record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
        gateway::view::with_properties(record, look);
    }
}

impl Links for Link {
    fn out(&mut self, _session: SessionId) -> &mut Vec<u8> {
        &mut self.out
    }

    fn unsent(&self, _session: SessionId) -> usize {
        0
    }

    fn close(&mut self, _session: SessionId, closing: Closing) {
        panic!(
            "the door ends the conversation: {closing:?} {:?}",
            String::from_utf8_lossy(&self.out)
        );
    }

    fn resume(&mut self, _session: SessionId) {
        self.stirred = true;
    }

    fn stop_reading(&mut self, _session: SessionId) {
        panic!("nothing runs short here");
    }

    fn read_again(&mut self, _session: SessionId) {
        self.stirred = true;
    }
}

impl Access for Anybody {
    fn authenticate(&self, name: &str, _password: &[u8], _loopback: bool) -> Result<User, Denied> {
        Ok(User {
            name: name.into(),
            tags: Vec::new(),
        })
    }

    fn anonymous(&self, loopback: bool) -> Result<User, Denied> {
        self.authenticate("", b"", loopback)
    }

    fn authorize(&self, _user: &User, _action: Action, _resource: Resource<'_>) -> bool {
        true
    }
}
