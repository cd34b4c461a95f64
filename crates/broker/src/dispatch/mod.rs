//! Dispatch: the leader's working memory of a shard. Who is attached, with how much credit, what
//! is handed out, who waits. It decides and says what shall be logged; it never changes the
//! ledger. All of it may be lost: what was handed out comes again.
//!
//! A live position is in exactly one of three states. *Out*: handed to somebody, or on its way
//! to be settled or returned. *Returned*: was out and may go out again. *Fresh*: neither; those
//! at or above the cursor, and below it none. A consumer with a filter takes fresh positions in
//! any order and leaves the cursor where it is.
//!
//! Caveat: one step of one queue looks at each of its consumers at least once. It matters with
//! thousands of consumers on one queue.

mod asked;
mod pump;
pub(crate) mod reads;
mod settling;
mod sweep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::event::{Answer, Effects, Event, PageSlot, QueueStatus, Records};
use crate::id::{ConsumerId, MessageRef, Millis, Position, QueueId, SessionId, ShardId, Token};
use crate::ledger::{Fact, Ledger, Lookup, QueueLedger, Reason};
use crate::map::IdMap;
use crate::pass::{ConsumerOptions, Credit, Mode, Sharing};
use crate::record::DeathReason;
use crate::refusal::Refusal;
use crate::topology::DeadLetter;
pub(crate) use asked::{Asked, RECORDS_MAX};
use reads::{DoomedLater, Reads};
use sweep::Sweep;

/// Messages that are on their way out at a time; further ones expire when there is room again.
const DOOMED_MAX: usize = 4096;

pub struct Dispatch {
    shard: ShardId,
    queues: IdMap<QueueId, QueueDispatch>,
    consumers: IdMap<ConsumerId, Consumer>,
    sessions: IdMap<SessionId, Session>,
    /// Queues where something may be handed out now.
    dirty: VecDeque<QueueId>,
    /// Queues that wait for a record or a page.
    stalled: Vec<QueueId>,
    /// When to look at the head of a queue for expiry.
    checks: BTreeSet<(Millis, QueueId)>,
    pub(crate) reads: Reads,
    wanted: Wanted,
    asked: Asked,
    sweep: Sweep,
}

/// What dispatch wants logged.
#[derive(Debug, Default)]
pub struct Wanted {
    pub facts: Vec<Fact>,
    /// Somebody waits for one of the facts.
    pub must_sync: bool,
    pub doomed: Vec<Doomed>,
    next_serial: u64,
    /// The serials of doomed messages of which it is not decided yet where they go.
    dooming: BTreeSet<u64>,
}

impl Wanted {
    /// A message begins to leave.
    fn begin_doom(&mut self) -> u64 {
        self.next_serial += 1;
        self.dooming.insert(self.next_serial);
        self.next_serial
    }

    /// The mark is moved: what is below it may be handed out once that is applied, so it must be
    /// synced before. It happens once in thousands of messages.
    fn offer(&mut self, queue: QueueId, below: Position) {
        self.facts.push(Fact::Offered { queue, below });
        self.must_sync = true;
    }

    fn settle(&mut self, queue: QueueId, range: std::ops::Range<Position>, reason: Reason) {
        Fact::Settled {
            queue,
            range,
            reason,
        }
        .join(&mut self.facts);
    }
}

/// A message that shall leave its queue for another place, or for none.
#[derive(Clone, PartialEq, Debug)]
pub struct Doomed {
    /// In the order in which they were doomed.
    pub serial: u64,
    pub queue: QueueId,
    pub position: Position,
    pub message: MessageRef,
    pub fate: Fate,
    pub attempts: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Fate {
    Died {
        reason: DeathReason,
        fallback: Option<DeadLetter>,
        cause: Option<Box<str>>,
    },
    Forward(crate::pass::Forward, SessionId),
}

#[derive(Debug)]
struct Session {
    consumers: Vec<ConsumerId>,
    /// Queues of which this session may hold something.
    holds: BTreeSet<QueueId>,
    /// Can take no more for now.
    held_back: bool,
}

#[derive(Debug)]
struct Consumer {
    session: SessionId,
    queue: QueueId,
    options: ConsumerOptions,
    /// `u64::MAX` is unlimited.
    credit: u64,
    fetching: u32,
    /// It knows that a fetch would find something.
    told: bool,
    /// Nothing below is for it (filtered and browsing consumers).
    scan: Position,
    /// Where a browser ends.
    end: Position,
}

#[derive(Debug, Default)]
struct QueueDispatch {
    cursor: Position,
    /// Whether it counts as redelivered.
    returned: BTreeMap<Position, bool>,
    out: IdMap<Position, Out>,
    /// What an earlier life of this process may have handed out.
    redelivered_below: Position,
    offered_wanted: Position,
    /// Highest priority first; within one priority, whose turn it is.
    consumers: Vec<ConsumerId>,
    /// The one that is served, of those that asked to be the only one served.
    active: Option<ConsumerId>,
    gets: VecDeque<Get>,
    /// Positions that are purged and not settled yet.
    purging: u64,
    stall: Option<Stall>,
    is_dirty: bool,
    check: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Out {
    Leased {
        session: SessionId,
        redelivered: bool,
    },
    Settling,
    /// Comes back when its attempts are logged.
    Returning,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stall {
    Record(MessageRef),
    Page(PageSlot),
}

#[derive(Clone, Copy, Debug)]
struct Get {
    session: SessionId,
    token: Token,
    mode: Mode,
    holder: ConsumerId,
}

/// How a position was when it was settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settling {
    /// Nothing to do.
    Passed,
    Began,
}

impl Dispatch {
    pub fn new(shard: ShardId) -> Dispatch {
        Dispatch {
            shard,
            queues: IdMap::default(),
            consumers: IdMap::default(),
            sessions: IdMap::default(),
            dirty: VecDeque::new(),
            stalled: Vec::new(),
            checks: BTreeSet::new(),
            reads: Reads::default(),
            wanted: Wanted::default(),
            asked: Asked::default(),
            sweep: Sweep::REST,
        }
    }

    pub fn has_consumer(&self, consumer: ConsumerId) -> bool {
        self.consumers.contains_key(&consumer)
    }

    /// A record that was asked for can be read now.
    pub fn record_came(&mut self, message: MessageRef) {
        self.asked.record_came(message);
    }

    /// The dispatch state of a queue that exists in the ledger, made on first use.
    fn queue<'a>(
        queues: &'a mut IdMap<QueueId, QueueDispatch>,
        id: QueueId,
        ledger: &Ledger,
    ) -> Option<&'a mut QueueDispatch> {
        let known = ledger.queue(id)?;
        Some(queues.entry(id).or_insert_with(|| QueueDispatch {
            redelivered_below: known.redelivered_below(),
            offered_wanted: known.offered(),
            ..QueueDispatch::default()
        }))
    }

    fn session(&mut self, session: SessionId) -> &mut Session {
        self.sessions.entry(session).or_insert_with(|| Session {
            consumers: Vec::new(),
            holds: BTreeSet::new(),
            held_back: false,
        })
    }

    pub fn mark_dirty(&mut self, queue: QueueId, ledger: &Ledger) {
        if let Some(state) = Self::queue(&mut self.queues, queue, ledger)
            && !state.is_dirty
        {
            state.is_dirty = true;
            self.dirty.push_back(queue);
        }
    }

    /// Facts to be logged, and whether somebody waits for them.
    pub fn take_facts(&mut self) -> (Vec<Fact>, bool) {
        let must_sync = std::mem::take(&mut self.wanted.must_sync);
        (std::mem::take(&mut self.wanted.facts), must_sync)
    }

    /// Messages that shall go elsewhere.
    pub fn take_doomed(&mut self) -> Vec<Doomed> {
        std::mem::take(&mut self.wanted.doomed)
    }

    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty()
            || !self.wanted.facts.is_empty()
            || !self.wanted.doomed.is_empty()
            || self.reads.has_work()
    }

    pub fn deadline(&self) -> Option<Millis> {
        let check = self.checks.first().map(|(at, _)| *at);
        let others = [
            self.reads.deadline(),
            self.asked.deadline(),
            self.sweep.deadline(),
        ];
        check.into_iter().chain(others.into_iter().flatten()).min()
    }

    pub fn attach(
        &mut self,
        session: SessionId,
        consumer: ConsumerId,
        queue: QueueId,
        options: ConsumerOptions,
        name: &str,
        ledger: &Ledger,
    ) -> Result<(), Refusal> {
        let not_found = || Refusal::NotFound {
            kind: crate::refusal::Kind::Queue,
            name: name.into(),
        };
        assert!(
            !self.consumers.contains_key(&consumer),
            "consumer {consumer} is attached twice"
        );
        let state = Self::queue(&mut self.queues, queue, ledger).ok_or_else(not_found)?;
        let browses = |id: &ConsumerId| self.consumers[id].options.mode == Mode::Browse;
        let sole = |id: &ConsumerId| self.consumers[id].options.sharing == Sharing::Sole;
        let clash = match options.sharing {
            _ if options.mode == Mode::Browse => false,
            Sharing::Sole => !state.consumers.iter().all(browses),
            Sharing::Shared | Sharing::Active => {
                state.consumers.iter().any(|id| sole(id) && !browses(id))
            }
        };
        if clash {
            return Err(Refusal::ExclusiveUse { name: name.into() });
        }
        let next = ledger
            .queue(queue)
            .map(|q| q.pages.next())
            .unwrap_or_default();
        let priority = options.priority;
        let at = state
            .consumers
            .partition_point(|id| self.consumers[id].options.priority >= priority);
        state.consumers.insert(at, consumer);
        let serves = options.sharing == Sharing::Active && options.mode != Mode::Browse;
        if serves && state.active.is_none() {
            state.active = Some(consumer);
        }
        // The mark is moved ahead before the first message, so that it costs no wait later.
        let head = ledger
            .queue(queue)
            .and_then(|known| known.pages.next_live(state.cursor))
            .unwrap_or(next);
        if self.shard != ShardId::VOLATILE
            && options.mode != Mode::Browse
            && state.offered_wanted <= head
        {
            state.offered_wanted = Position(head.0 + pump::OFFERED_STEP);
            self.wanted.offer(queue, state.offered_wanted);
        }
        let credit = match options.credit {
            Credit::None => 0,
            Credit::Set(count) | Credit::Add(count) => u64::from(count),
            Credit::Unlimited => u64::MAX,
        };
        let (scan, told) = (Position(0), false);
        let end = next;
        let attached = Consumer {
            session,
            queue,
            options,
            credit,
            fetching: 0,
            told,
            scan,
            end,
        };
        self.consumers.insert(consumer, attached);
        self.session(session).consumers.push(consumer);
        self.mark_dirty(queue, ledger);
        Ok(())
    }

    /// Detaches a consumer; tells its queue if it was the last one there.
    pub fn detach(&mut self, consumer: ConsumerId, ledger: &Ledger) -> Option<QueueId> {
        let gone = self.consumers.remove(&consumer)?;
        if let Some(session) = self.sessions.get_mut(&gone.session) {
            session.consumers.retain(|id| *id != consumer);
        }
        let state = self.queues.get_mut(&gone.queue)?;
        state.consumers.retain(|id| *id != consumer);
        if state.active == Some(consumer) {
            let waits = |id: &&ConsumerId| {
                let options = &self.consumers[id].options;
                options.sharing == Sharing::Active && options.mode != Mode::Browse
            };
            state.active = state.consumers.iter().find(waits).copied();
        }
        let browses = |id: &ConsumerId| self.consumers[id].options.mode == Mode::Browse;
        let last = state.consumers.iter().all(browses) && gone.options.mode != Mode::Browse;
        self.mark_dirty(gone.queue, ledger);
        last.then_some(gone.queue)
    }

    pub fn credit(&mut self, consumer: ConsumerId, credit: Credit, ledger: &Ledger) {
        let Some(attached) = self.consumers.get_mut(&consumer) else {
            return;
        };
        attached.credit = match credit {
            Credit::None => 0,
            Credit::Set(count) => u64::from(count),
            Credit::Add(count) => attached.credit.saturating_add(u64::from(count)),
            Credit::Unlimited => u64::MAX,
        };
        // A consumer can change between getting and fetching while it is attached.
        attached.options.credit = credit;
        let queue = attached.queue;
        self.mark_dirty(queue, ledger);
    }

    pub fn fetch(&mut self, consumer: ConsumerId, count: u32, ledger: &Ledger) {
        let Some(attached) = self.consumers.get_mut(&consumer) else {
            return;
        };
        attached.fetching = attached.fetching.saturating_add(count);
        attached.told = false;
        let queue = attached.queue;
        self.mark_dirty(queue, ledger);
    }

    pub fn get(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        holder: ConsumerId,
        mode: Mode,
        ledger: &Ledger,
    ) -> bool {
        let Some(state) = Self::queue(&mut self.queues, queue, ledger) else {
            return false;
        };
        state.gets.push_back(Get {
            session,
            token,
            mode,
            holder,
        });
        self.session(session).holds.insert(queue);
        self.mark_dirty(queue, ledger);
        true
    }

    pub fn hold(&mut self, session: SessionId) {
        self.session(session).held_back = true;
    }

    pub fn resume(&mut self, session: SessionId, ledger: &Ledger) {
        let state = self.session(session);
        state.held_back = false;
        for consumer in state.consumers.clone() {
            let queue = self.consumers[&consumer].queue;
            self.mark_dirty(queue, ledger);
        }
    }

    pub fn status(&self, queue: QueueId, ledger: &Ledger) -> Option<QueueStatus> {
        let known = ledger.queue(queue)?;
        let state = self.queues.get(&queue);
        let leased = state.map_or(0, |state| {
            state
                .out
                .values()
                .filter(|out| matches!(out, Out::Leased { .. }))
                .count() as u64
        });
        let receives = |id: &&ConsumerId| self.consumers[id].options.mode != Mode::Browse;
        let consumers = state.map_or(0, |state| {
            state.consumers.iter().filter(receives).count() as u32
        });
        let ready = state.map_or(known.pages.live(), |state| state.ready(known));
        Some(QueueStatus {
            ready,
            unsettled: leased,
            consumers,
        })
    }

    /// The session is gone. Tells the queues that lost their last consumer with it.
    pub fn end(&mut self, session: SessionId, ledger: &Ledger) -> Vec<QueueId> {
        self.reads.end(session);
        let Some(state) = self.sessions.get_mut(&session) else {
            return Vec::new();
        };
        let consumers = std::mem::take(&mut state.consumers);
        let holds = std::mem::take(&mut state.holds);
        let mut idle: Vec<_> = consumers
            .into_iter()
            .filter_map(|id| self.detach(id, ledger))
            .collect();
        idle.sort_unstable();
        idle.dedup();
        for queue in holds {
            let Some(state) = self.queues.get_mut(&queue) else {
                continue;
            };
            state.gets.retain(|get| get.session != session);
            let mut held: Vec<_> = state
                .out
                .iter()
                .filter(|(_, out)| matches!(out, Out::Leased { session: s, .. } if *s == session))
                .map(|(position, _)| *position)
                .collect();
            held.sort_unstable();
            for position in held {
                state.give_back(position, true, &mut self.consumers);
            }
            self.mark_dirty(queue, ledger);
        }
        self.sessions.remove(&session);
        idle
    }

    /// A queue is gone, and everything about it.
    pub fn removed(&mut self, queue: QueueId, effects: &mut Effects) {
        let Some(state) = self.queues.remove(&queue) else {
            return;
        };
        for serial in self.reads.queue_removed(queue) {
            self.doom_decided(serial);
        }
        if let Some(at) = state.check {
            self.checks.remove(&(at, queue));
        }
        for get in state.gets {
            let Get { session, token, .. } = get;
            effects.events.push(Event::Got {
                session,
                token,
                delivery: None,
                ready: 0,
            });
        }
        for consumer in state.consumers {
            let gone = self
                .consumers
                .remove(&consumer)
                .expect("attached to this queue");
            if let Some(session) = self.sessions.get_mut(&gone.session) {
                session.consumers.retain(|id| *id != consumer);
            }
            effects.events.push(Event::Cancelled {
                session: gone.session,
                consumer,
            });
        }
    }

    /// A page came from the page file, or went meanwhile: whoever waits for it goes on.
    pub fn page_loaded(&mut self, slot: PageSlot, ledger: &Ledger) {
        self.asked.page_came(slot);
        for doomed in self.reads.page_loaded(slot) {
            let DoomedLater {
                slot: _,
                serial,
                queue,
                position,
                fate,
                attempts,
            } = doomed;
            let entry = ledger.queue(queue).map(|known| known.pages.get(position));
            if let Some(Lookup::Entry(entry)) = entry {
                let message = ledger.message(entry);
                let doomed = Doomed {
                    serial,
                    queue,
                    position,
                    message,
                    fate,
                    attempts,
                };
                self.wanted.doomed.push(doomed);
            } else {
                self.doom_decided(serial);
            }
        }
    }

    /// A record that was asked for is in the log no more.
    pub fn record_gone(&mut self, message: MessageRef) {
        self.asked.record_came(message);
        self.reads.record_gone(message);
    }

    /// Hands out what can be handed out, and looks at what is due.
    pub fn advance(
        &mut self,
        ledger: &Ledger,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        self.asked.advance(now);
        for queue in std::mem::take(&mut self.stalled) {
            let Some(state) = self.queues.get_mut(&queue) else {
                continue;
            };
            match state.stall {
                Some(Stall::Record(message))
                    if self.asked.waits_for_record(message)
                        && records.record(message).is_none() =>
                {
                    self.stalled.push(queue);
                }
                Some(Stall::Page(slot)) if self.asked.waits_for_page(slot) => {
                    self.stalled.push(queue);
                }
                Some(Stall::Record(_) | Stall::Page(_)) | None => {
                    state.stall = None;
                    self.mark_dirty(queue, ledger);
                }
            }
        }
        while let Some((at, queue)) = self.checks.first().copied()
            && at <= now
        {
            self.checks.pop_first();
            if let Some(state) = self.queues.get_mut(&queue) {
                state.check = None;
            }
            self.mark_dirty(queue, ledger);
        }
        // Each queue once: one that stays dirty goes on in the next step.
        for _ in 0..self.dirty.len() {
            let Some(queue) = self.dirty.pop_front() else {
                break;
            };
            self.pump(queue, ledger, now, records, effects);
        }
        self.advance_sweep(ledger, now);
        self.reads
            .advance(ledger, now, records, &mut self.asked, effects);
    }
}

impl QueueDispatch {
    /// How much could be handed out.
    fn ready(&self, known: &QueueLedger) -> u64 {
        known
            .pages
            .live()
            .saturating_sub(self.out.len() as u64 + self.purging)
    }

    fn take_out(&mut self, position: Position, out: Out) {
        self.returned.remove(&position);
        self.out.insert(position, out);
    }

    /// An out position is free again.
    fn give_back(
        &mut self,
        position: Position,
        redelivered: bool,
        consumers: &mut IdMap<ConsumerId, Consumer>,
    ) {
        self.out.remove(&position);
        self.returned.insert(position, redelivered);
        for id in &self.consumers {
            let consumer = consumers.get_mut(id).expect("attached to this queue");
            if consumer.options.mode != Mode::Browse {
                consumer.scan = consumer.scan.min(position);
            }
        }
    }
}

/// The answer to whoever asks for a queue at a glance.
impl From<QueueStatus> for Answer {
    fn from(status: QueueStatus) -> Answer {
        Answer::Status(status)
    }
}
