//! One node in a glass: the engine over a disk in memory, a clock that is moved by hand, and
//! everything that can go wrong with either, decided by one seed.

use std::sync::Arc;

use broker::event::Event;
use broker::id::{Index, MessageRef, Millis, Token};
use broker::pass::Pass;
use store::{Dice, Loss, NodeId, Options, SimDisk, Store};

use super::super::{Engine, SHARD};
use crate::config::Config;
use crate::fault::Fault;

/// Where the clock starts.
const START: Millis = Millis(1_800_000_000_000);
/// A node that works for longer without anything from outside does not come to rest.
pub(super) const ROUNDS_MAX: usize = 20_000;
/// How many times in a row a start may be interrupted.
const STARTS_MAX: usize = 8;

/// Why a story ends before its end.
pub(super) enum Stop {
    /// The process has to die; that is a breach unless somebody asked for trouble.
    Fault(Fault),
    /// A promise was broken.
    Breach(String),
}

pub(super) type Verdict<T = ()> = Result<T, Stop>;

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// Something that must hold.
pub(super) fn ensure(holds: bool, words: impl FnOnce() -> String) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(Stop::Breach(words()))
    }
}

/// A rule that is broken on purpose: what checks must notice that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weakness {
    Sound,
    /// Syncs succeed without effect, and every crash is a power failure.
    LyingDisk,
    /// What is appended counts as durable.
    HastyNode,
}

/// An event, with the records that it names.
pub(super) struct Seen {
    pub event: Event,
    pub records: Vec<Vec<u8>>,
}

pub(super) struct World {
    pub dice: Dice,
    pub now: Millis,
    pub pass: Pass,
    /// What the node has told and nobody has looked at.
    pub seen: Vec<Seen>,
    /// How often the node has been started.
    pub life: u64,
    engine: Option<Engine>,
    disk: SimDisk,
    config: Config,
    options: Options,
    weakness: Weakness,
    /// A fault was planned, so that one may come.
    trouble: bool,
    /// The disk has a limit.
    cramped: bool,
    /// No start is interrupted any more.
    calm: bool,
    next_token: u64,
}

impl World {
    pub fn new(seed: u64, weakness: Weakness) -> Verdict<World> {
        let mut dice = Dice(seed);
        let mut options = Options::new(NodeId(u128::from(seed)), Arc::new(|| {}));
        // So small that records and pages are read back all the time, and segments change.
        options.segment_bytes = 16 << (10 + dice.below(3));
        options.tail_bytes_max = 1 << (10 + dice.below(6));
        options.read_bytes_max = 1 << (10 + dice.below(4));
        options.checkpoint_bytes = 16 << (10 + dice.below(4));
        options.merge_slice_bytes = 4 << 10;
        // Old segments are merged as soon as little of them is live.
        let mut config = Config::default();
        config.limits.garbage_bytes = 32 << 10;
        let mut world = World {
            dice,
            now: START,
            pass: Pass::default(),
            seen: Vec::new(),
            life: 0,
            engine: None,
            disk: SimDisk::new(),
            config,
            options,
            weakness,
            trouble: false,
            cramped: false,
            calm: false,
            next_token: 0,
        };
        world.start()?;
        Ok(world)
    }

    pub fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// `true` once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    pub fn engine(&mut self) -> &mut Engine {
        self.engine
            .as_mut()
            .expect("it lives, but between a crash and a start")
    }

    /// The disk does what waits for it.
    pub fn disk_works(&mut self) {
        self.engine().bodies.store.step();
    }

    /// The disk has done nothing for a while.
    pub fn disk_idles(&mut self) {
        self.engine().bodies.store.idle();
    }

    /// What a reactor does in a turn.
    pub fn turn(&mut self) -> Result<(), Fault> {
        let now = self.now;
        let due = self.engine().deadline().is_some_and(|at| at <= now);
        self.rounds(due).map(|_| ())
    }

    /// Hands over what is asked and everything that comes of it; tells whether there was anything.
    fn rounds(&mut self, due: bool) -> Result<bool, Fault> {
        let now = self.now;
        let hasty = self.is_hasty();
        let mut stirred = self.engine().complete()? | due | hasty;
        for round in 0..ROUNDS_MAX {
            self.hasten();
            let pass = std::mem::take(&mut self.pass);
            let engine = self.engine();
            if pass.is_empty() && !engine.has_work() && !stirred {
                return Ok(round > 0 && !hasty);
            }
            stirred = false;
            engine.step(pass, now)?;
            let mut events = engine.take_events();
            for event in events.drain(..) {
                let records = messages_of(&event)
                    .into_iter()
                    .map(|message| self.record(message))
                    .collect();
                self.seen.push(Seen { event, records });
            }
            self.engine().told(events);
        }
        panic!("the node never comes to rest");
    }

    /// Whether the node is told of syncs that have not been.
    pub fn is_hasty(&self) -> bool {
        self.weakness == Weakness::HastyNode
    }

    /// Tells a hasty node that everything is durable.
    pub fn hasten(&mut self) {
        if self.is_hasty() {
            let engine = self.engine();
            let last = engine.bodies.store.last_index(SHARD).number();
            engine.node.synced(Index(last));
        }
    }

    /// The record of a message that was just told of; nothing if it cannot be read, as it should.
    fn record(&mut self, message: MessageRef) -> Vec<u8> {
        use broker::event::Records as _;
        let record = self.engine().bodies.record(message);
        record.map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Until everything is durable and nothing happens any more; time stands still, but for what goes
    /// in parts.
    pub fn rest(&mut self) -> Result<(), Fault> {
        self.turn()?;
        for _ in 0..ROUNDS_MAX {
            self.disk_works();
            if self.engine().node.is_in_parts() {
                self.now = self.now.plus(1);
                self.rounds(true)?;
            } else if !self.rounds(false)? {
                self.disk_idles();
                self.rounds(false)?;
                return Ok(());
            }
        }
        panic!("the node and its disk never come to rest");
    }

    pub fn checkpoint_if_due(&mut self) {
        let now = self.now;
        self.engine().checkpoint_if_due(now);
    }

    /// A checkpoint at a moment at which none is due.
    pub fn checkpoint(&mut self) {
        let now = self.now;
        if self.engine().can_close() {
            self.engine().checkpoint(now);
        }
    }

    /// The power goes at one of the next steps of the disk.
    pub fn cut_power_soon(&mut self) {
        let step = 1 + self.dice.below(30);
        self.cut_power_in(step);
    }

    /// The power goes at a step of the disk, 1 being the next; if that is a write, it is torn.
    pub fn cut_power_in(&mut self, steps: u64) {
        self.disk.cut_power_at(self.disk.steps() + steps);
        self.trouble = true;
    }

    pub fn fail_sync_soon(&mut self) {
        let sync = self.disk.syncs() + 1 + self.dice.below(6);
        self.disk.fail_sync_at(sync);
        self.trouble = true;
    }

    /// There is room for little more.
    pub fn fill_disk(&mut self) {
        let room = self.dice.below(3 * self.options.segment_bytes);
        self.disk.set_capacity(Some(self.disk.used_bytes() + room));
        self.cramped = true;
        self.trouble = true;
    }

    pub fn free_disk(&mut self) {
        self.disk.set_capacity(None);
        self.cramped = false;
    }

    /// Nothing that was planned happens any more.
    pub fn end_trouble(&mut self) {
        self.free_disk();
        self.disk.cut_power_at(u64::MAX);
        self.disk.fail_sync_at(u64::MAX);
        self.trouble = false;
    }

    /// Nothing goes wrong any more.
    pub fn calm_down(&mut self) {
        self.end_trouble();
        self.calm = true;
    }

    /// Whether a fault may come.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble
    }

    /// No stop begins while a checkpoint is being written.
    pub fn finish_checkpoint(&mut self) -> Result<(), Fault> {
        for _ in 0..ROUNDS_MAX {
            if self.engine().can_close() {
                return Ok(());
            }
            self.disk_works();
            self.rounds(false)?;
        }
        panic!("a checkpoint never ends");
    }

    /// An orderly stop, and a power failure after it. Tells whether the stop came to its end.
    pub fn close(&mut self) -> Verdict<bool> {
        let now = self.now;
        let engine = self.engine.take().expect("it lives");
        let closed = engine.close(now);
        let trouble = self.trouble;
        self.restart(Loss::Everything)?;
        match closed {
            Err(fault) if !trouble => Err(Stop::Breach(format!("it does not stop: {fault}"))),
            closed => Ok(closed.is_ok()),
        }
    }

    /// The process or the machine dies, and starts again.
    pub fn crash(&mut self) -> Verdict {
        let loss = match self.dice.below(4) {
            _ if self.weakness != Weakness::Sound => Loss::Everything,
            0 => Loss::Nothing,
            1 => Loss::Everything,
            _ => Loss::Some(self.dice.roll()),
        };
        self.engine = None;
        self.restart(loss)
    }

    fn restart(&mut self, loss: Loss) -> Verdict {
        self.disk = self.disk.crash(loss);
        self.trouble = self.cramped;
        self.pass = Pass::default();
        self.seen.clear();
        self.start()
    }

    fn start(&mut self) -> Verdict {
        for attempt in 0..STARTS_MAX {
            if self.weakness == Weakness::LyingDisk {
                self.disk.lie_about_syncs();
            }
            let cut = self.life > 0 && !self.calm && attempt + 1 < STARTS_MAX && self.once_in(5);
            if cut {
                self.cut_power_soon();
            }
            let now = self.now;
            let opened = Store::open_manual(Arc::new(self.disk.clone()), self.options.clone())
                .map_err(Fault::from)
                .and_then(|opened| Engine::recover(&self.config, opened, |floor| floor.max(now)));
            match opened {
                Ok(mut engine) => {
                    engine.node.keep_pages(4 + self.dice.below(4) as usize);
                    if !self.life.is_multiple_of(2) {
                        engine.node.go_in_parts(1, 64);
                    }
                    self.engine = Some(engine);
                    self.life += 1;
                    return Ok(());
                }
                Err(_) if cut => {
                    let loss = Loss::Some(self.dice.roll());
                    self.disk = self.disk.crash(loss);
                    self.trouble = self.cramped;
                }
                Err(Fault::Store(error)) if error.is_full() => self.free_disk(),
                Err(fault) => {
                    return Err(Stop::Breach(format!("it does not start: {fault}")));
                }
            }
        }
        Err(Stop::Breach("it never starts".into()))
    }

    /// Whether a record or a page had to be read from the disk in this life.
    pub fn has_read_back(&mut self) -> bool {
        self.engine().next_tag > 0
    }

    /// Whether a page of an index was written.
    pub fn has_pages(&self) -> bool {
        let pages = self.disk.bytes("pages");
        pages.is_some_and(|bytes| bytes.len() > store::PAGE_BYTES)
    }

    /// Whether old segments were merged into one.
    pub fn has_merged(&self) -> bool {
        self.files().iter().any(|name| name.ends_with(".cold"))
    }

    /// The names of all files.
    pub fn files(&self) -> Vec<String> {
        self.disk.names()
    }
}

fn messages_of(event: &Event) -> Vec<MessageRef> {
    match event {
        Event::Deliver(delivery) => vec![delivery.message],
        Event::Got { delivery, .. } => delivery.iter().map(|delivery| delivery.message).collect(),
        Event::Read { result, .. } => result
            .messages
            .iter()
            .map(|(_, message)| *message)
            .collect(),
        Event::Done { .. }
        | Event::Stored { .. }
        | Event::Ready { .. }
        | Event::BrowseEnded { .. }
        | Event::Cancelled { .. }
        | Event::Changed(_) => Vec::new(),
    }
}
