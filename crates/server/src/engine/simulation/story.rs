//! A story: the world, and what its clients know of it.

use std::collections::{BTreeMap, BTreeSet};

use broker::event::Answer;
use broker::id::{ConsumerId, Durability, Millis, Position, QueueId, SessionId, Token};
use broker::pass::{Command, Mode};
use broker::refusal::Refusal;
use broker::topology::Change;

use super::counts::Counts;
use super::partitions::Partitions;
use super::queues::{Ids, Place, QUEUES, Queue};
use super::world::{Stop, Verdict, Weakness, World, ensure};

const STEPS: u64 = 150;
/// A story survives no more faults in a row.
const FALLS_MAX: usize = 12;
/// Asks for what belongs to the story itself.
pub(super) const OWN: SessionId = SessionId(1);
/// Sessions of clients at a time.
pub(super) const SESSIONS: usize = 3;

/// A message in one of the queues it was sent to, wherever it has gone from there.
pub(super) type Key = (Queue, u64);

/// Who holds a message, and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Holder {
    pub session: SessionId,
    pub queue: QueueId,
    pub position: Position,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Stays,
    /// A settlement was asked for.
    Asked,
    /// It never comes again.
    Gone,
}

/// What is known of a message in one of the queues it was sent to.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub persistent: bool,
    /// Its publisher has been told that it is stored.
    pub told: bool,
    /// It survives every crash.
    pub promised: bool,
    pub stage: Stage,
    pub place: Place,
    /// A crash does not bring it back to where it was before.
    pub anchored: bool,
    /// Its settlement was asked for in this life: it is not handed out again where it was.
    pub settling: bool,
    /// A counted release is on its way.
    pub returning: bool,
    pub held: Option<Holder>,
    /// Handed out at this place, in whatever life.
    pub seen: bool,
    /// Handed out in this life.
    pub seen_now: bool,
    /// Must come as redelivered.
    pub marked: bool,
    /// May come as redelivered: it has lived through a crash.
    pub may_be_marked: bool,
    /// Counted releases: at least, at most, and what a crash leaves at least.
    pub attempts: (u32, u32, u32),
    pub expires: Option<Millis>,
    pub due: Option<Millis>,
    /// Its number tells its place in the log.
    pub in_order: bool,
    /// A crash may have taken it while it was on its way.
    pub doubtful: bool,
}

impl Copy {
    pub fn new(persistent: bool) -> Copy {
        Copy {
            persistent,
            told: false,
            promised: false,
            stage: Stage::Stays,
            place: Place::Root,
            anchored: false,
            settling: false,
            returning: false,
            held: None,
            seen: false,
            seen_now: false,
            marked: false,
            may_be_marked: false,
            attempts: (0, 0, 0),
            expires: None,
            due: None,
            in_order: true,
            doubtful: false,
        }
    }

    /// It stands at another position than where it was seen.
    pub fn comes_anew(&mut self) {
        self.seen = false;
        self.marked = false;
    }

    /// It has come to where it is sent when it leaves its first queue.
    pub fn arrive(&mut self) {
        *self = Copy {
            told: true,
            // The frame that brought it settled it where it was; both wait for the disk.
            promised: self.promised || self.persistent,
            anchored: self.persistent,
            place: Place::Sink,
            may_be_marked: self.may_be_marked,
            // A crash may bring it back to where that matters.
            expires: self.expires,
            ..Copy::new(self.persistent)
        };
    }
}

/// What holds when a barrier is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hope {
    /// It is gone from here for good.
    Ends(Place),
    /// It has come to where it was sent, for good.
    Moved,
    /// It is there for good.
    Kept,
    /// It was released so often, for good.
    Counted(u32),
}

/// A question that was not answered yet.
#[derive(Debug)]
pub(super) enum Ask {
    Stored {
        copies: Vec<Key>,
        /// A partition, if one keeps it.
        partition: Option<usize>,
        number: u64,
        /// The number that its producer gave it.
        sequence: Option<u64>,
    },
    Commit {
        copies: Vec<Key>,
        settled: Vec<(Key, Holder)>,
    },
    Barrier {
        hopes: Vec<(Key, Hope)>,
        cursors: usize,
    },
    Purge {
        keys: Vec<Key>,
        is_exact: bool,
    },
    Delete,
    Forward(Key),
    Attach,
    Detach(ConsumerId),
    Get {
        session: SessionId,
        mode: Mode,
    },
    Read {
        session: SessionId,
        partition: usize,
        offset: u64,
        tag: Option<&'static str>,
    },
    Cursor(Option<u64>),
    /// The story's own.
    Own,
}

/// An attached consumer.
#[derive(Debug)]
pub(super) struct Receiver {
    pub session: SessionId,
    pub queue: QueueId,
    pub mode: Mode,
    pub parity: Option<&'static str>,
    /// How many more it may be given.
    pub allowance: u64,
    /// The last position that was handed out to it for the first time in this life.
    pub last: Option<Position>,
}

pub(super) struct Story {
    pub world: World,
    pub counts: Counts,
    pub ids: Ids,
    pub copies: BTreeMap<Key, Copy>,
    /// Which number stands where, in each queue that was ever there.
    pub positions: BTreeMap<QueueId, BTreeMap<Position, u64>>,
    /// Queues to which somebody was attached, or that were asked for a message.
    pub attended: BTreeSet<QueueId>,
    /// The last position of each queue that went to somebody without a filter for the first time
    /// in this life.
    pub freshest: BTreeMap<QueueId, Position>,
    pub partitions: Partitions,
    pub asks: BTreeMap<Token, Ask>,
    pub receivers: BTreeMap<ConsumerId, Receiver>,
    pub held_back: BTreeSet<SessionId>,
    pub next_number: u64,
    pub next_consumer: u64,
    pub sessions: [SessionId; SESSIONS],
    pub last_session: u64,
    /// Of the producer that numbers its messages: the last number, and what was not confirmed.
    pub sequence: u64,
    pub unconfirmed: BTreeMap<u64, u64>,
    /// The queue that comes and goes is on its way out.
    pub deleting: bool,
    /// It has died, and what is left is being looked at.
    pub recounting: bool,
    /// How often in a hundred the disk works in a step.
    pace: u64,
    /// Whether something is kept by partitions.
    pub appends: bool,
}

impl Story {
    pub fn tell(seed: u64, weakness: Weakness) -> Verdict<Story> {
        let mut world = World::new(seed, weakness)?;
        let pace = [15, 50, 90][world.dice.below(3) as usize];
        let appends = !seed.is_multiple_of(4);
        let mut story = Story {
            world,
            counts: Counts::default(),
            ids: Ids::default(),
            copies: BTreeMap::new(),
            positions: BTreeMap::new(),
            attended: BTreeSet::new(),
            freshest: BTreeMap::new(),
            partitions: Partitions::default(),
            asks: BTreeMap::new(),
            receivers: BTreeMap::new(),
            held_back: BTreeSet::new(),
            next_number: 1,
            next_consumer: 1,
            sessions: [2, 3, 4].map(SessionId),
            last_session: 4,
            sequence: 0,
            unconfirmed: BTreeMap::new(),
            deleting: false,
            recounting: false,
            pace,
            appends,
        };
        story.found()?;
        for _ in 0..STEPS {
            if let Err(stop) = story.step() {
                story.fall(stop)?;
            }
        }
        story.end()?;
        Ok(story)
    }

    fn step(&mut self) -> Verdict {
        self.act();
        self.world.turn()?;
        self.look()?;
        if self.world.dice.below(100) < self.pace {
            self.world.disk_works();
        }
        if self.world.once_in(20) {
            self.world.disk_idles();
        }
        self.world.turn()?;
        self.look()?;
        if self.ids.id(Queue::Passing).is_none() && self.world.once_in(6) {
            self.found()?;
        }
        self.world.checkpoint_if_due();
        match self.world.dice.below(100) {
            0..4 => {
                self.counts.note("checkpoint");
                self.world.checkpoint();
            }
            4..7 => return self.die(),
            7 => {
                self.counts.note("orderly stop");
                self.world.finish_checkpoint()?;
                self.look()?;
                self.forget_life();
                if self.world.close()? {
                    self.keep_all();
                }
                return self.recount();
            }
            8..11 => self.world.cut_power_soon(),
            11 => self.world.fail_sync_soon(),
            12..14 => self.world.fill_disk(),
            14..20 => self.world.free_disk(),
            _ => {}
        }
        Ok(())
    }

    fn die(&mut self) -> Verdict {
        if self.world.has_merged() {
            self.counts.note("merged");
        }
        self.counts.note("crash");
        if self
            .world
            .files()
            .iter()
            .any(|name| name.ends_with(".cold"))
        {
            self.counts.note("crash with a cold segment");
        }
        self.forget_life();
        self.world.crash()?;
        self.recount()
    }

    /// The process had to die, or a promise was broken.
    fn fall(&mut self, mut stop: Stop) -> Verdict {
        for fall in 1..=FALLS_MAX {
            let Stop::Fault(fault) = stop else {
                return Err(stop);
            };
            ensure(self.world.is_in_trouble(), || {
                format!("a fault without a reason: {fault}")
            })?;
            self.counts.note("fault");
            // Each start takes a segment, so that on a full disk no start succeeds in the end.
            if self.world.once_in(3) || fall > FALLS_MAX / 2 {
                self.world.free_disk();
            }
            // What was told before counts.
            if std::mem::take(&mut self.recounting) {
                self.world.seen.clear();
            }
            self.look()?;
            match self.die() {
                Ok(()) => return Ok(()),
                Err(next) => stop = next,
            }
        }
        Err(Stop::Breach("it never starts again".into()))
    }

    /// Asks for one thing and waits until everything is durable.
    pub fn ask(
        &mut self,
        command: impl FnOnce(Token) -> Command,
    ) -> Verdict<Result<Answer, Refusal>> {
        let token = self.world.token();
        self.world.pass.push(OWN, command(token));
        self.asks.insert(token, Ask::Own);
        self.world.rest()?;
        let mut answer = None;
        let seen = std::mem::take(&mut self.world.seen);
        for seen in seen {
            match seen.event {
                broker::event::Event::Done {
                    token: of, result, ..
                } if of == token => {
                    self.asks.remove(&token);
                    answer = Some(result);
                }
                _ => self.note(seen)?,
            }
        }
        answer.ok_or_else(|| Stop::Breach("a question has no answer".into()))
    }

    /// Declares what should be there and is not.
    pub fn found(&mut self) -> Verdict {
        for queue in QUEUES {
            let topology = self.world.engine().topology();
            let there = topology.queue(queue.name()).map(|queue| queue.id);
            let id = match there {
                Some(id) => id,
                None => {
                    let change = Change::DeclareQueue(queue.spec());
                    let answer = self.ask(|token| Command::Change { token, change })?;
                    ensure(answer.is_ok(), || format!("{queue:?}: {answer:?}"))?;
                    let topology = self.world.engine().topology();
                    topology.queue(queue.name()).expect("just declared").id
                }
            };
            self.ids.set(queue, Some(id));
        }
        self.found_partitions()
    }

    /// Whether a copy that is found or promised in this queue outlives the process.
    pub fn is_durable(queue: Queue) -> bool {
        queue.durability() == Durability::Durable
    }

    pub fn look(&mut self) -> Verdict {
        for seen in std::mem::take(&mut self.world.seen) {
            self.note(seen)?;
        }
        Ok(())
    }

    /// Everybody goes, everything is handed out and settled, and then nothing is left.
    fn end(&mut self) -> Verdict {
        let trouble = self.world.is_in_trouble();
        self.world.calm_down();
        // A fault may have been on its way, or have come without anybody's noticing.
        let rested = self.world.rest();
        self.look()?;
        if trouble || rested.is_err() {
            self.die()?;
        }
        for _ in 0..8 {
            self.world.now = self.world.now.plus(4_000);
            self.world.rest()?;
            self.look()?;
        }
        ensure(self.asks.is_empty(), || {
            format!("unanswered: {:?}", self.asks)
        })?;
        self.end_sessions();
        self.drain()?;
        self.judge_end()?;
        self.read_everything()?;
        if self.world.has_read_back() {
            self.counts.note("read back");
        }
        if self.world.has_pages() {
            self.counts.note("page written");
        }
        if !self.appends {
            self.judge_files()?;
        }
        self.die()?;
        self.judge_end()
    }

    /// What nobody needs is deleted.
    fn judge_files(&mut self) -> Verdict {
        for _ in 0..3 {
            self.world.now = self.world.now.plus(1_000);
            self.world.checkpoint();
            self.world.rest()?;
        }
        let names = self.world.files();
        let logs = names.iter().filter(|name| name.ends_with(".log")).count();
        ensure(logs <= 8, || format!("nothing is left, but {names:?}"))
    }
}
