//! Dispatch: the leader's working memory of a shard. Who is attached, with how much credit, what
//! is handed out, who waits. It decides and says what shall be logged; it never changes the
//! ledger. All of it may be lost: what was handed out comes again.
//!
//! A live position is in exactly one of three states. *Out*: handed to somebody, or on its way
//! to be settled or returned. *Returned*: was out and may go out again. *Fresh*: neither; those
//! at or above the cursor, and below it none. A consumer with a filter takes fresh positions in
//! any order and leaves the cursor where it is.
//!
//! Caveat: choosing among the consumers of one queue looks at each of them once per message when
//! none of the first has credit. It matters with thousands of consumers on one queue.

mod pump;
pub(crate) mod reads;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::event::{Answer, Effects, Event, Load, PageSlot, QueueStatus, Records};
use crate::id::{
    ConsumerId, MessageRef, Millis, Position, QueueId, SessionId, ShardId, Token,
};
use crate::ledger::{Fact, Ledger, Reason};
use crate::map::IdMap;
use crate::pass::{ConsumerOptions, Credit, Mode, Outcome, Sharing};
use crate::record::DeathReason;
use crate::refusal::Refusal;
use crate::topology::DeadLetter;
use reads::Reads;

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
}

/// What dispatch wants logged.
#[derive(Debug, Default)]
pub struct Wanted {
    pub facts: Vec<Fact>,
    /// Somebody waits for one of the facts.
    pub must_sync: bool,
    pub doomed: Vec<Doomed>,
}

/// A message that shall leave its queue for another place, or for none.
#[derive(Clone, PartialEq, Debug)]
pub struct Doomed {
    pub queue: QueueId,
    pub position: Position,
    pub message: MessageRef,
    pub fate: Fate,
    pub attempts: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Fate {
    Died { reason: DeathReason, fallback: Option<DeadLetter>, cause: Option<Box<str>> },
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
    stall: Option<Stall>,
    is_dirty: bool,
    check: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Out {
    Leased { session: SessionId, redelivered: bool },
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
        }
    }

    /// The dispatch state of a queue that exists in the ledger, made on first use.
    fn queue<'a>(
        queues: &'a mut IdMap<QueueId, QueueDispatch>,
        id: QueueId,
        ledger: &Ledger,
    ) -> Option<&'a mut QueueDispatch> {
        let known = ledger.queue(id)?;
        Some(queues.entry(id).or_insert_with(|| QueueDispatch {
            redelivered_below: known.offered(),
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
        !self.dirty.is_empty() || !self.wanted.facts.is_empty() || !self.wanted.doomed.is_empty()
    }

    pub fn deadline(&self) -> Option<Millis> {
        let check = self.checks.first().map(|(at, _)| *at);
        check.into_iter().chain(self.reads.deadline()).min()
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
        let not_found =
            || Refusal::NotFound { kind: crate::refusal::Kind::Queue, name: name.into() };
        let state = Self::queue(&mut self.queues, queue, ledger).ok_or_else(not_found)?;
        let sole = |id: &ConsumerId| self.consumers[id].options.sharing == Sharing::Sole;
        let clash = match options.sharing {
            _ if options.mode == Mode::Browse => false,
            Sharing::Sole => !state.consumers.is_empty(),
            Sharing::Shared | Sharing::Active => state.consumers.iter().any(sole),
        };
        if clash {
            return Err(Refusal::ExclusiveUse { name: name.into() });
        }
        let next = ledger.queue(queue).map(|q| q.pages.next()).unwrap_or_default();
        let priority = options.priority;
        let at = state
            .consumers
            .partition_point(|id| self.consumers[id].options.priority >= priority);
        state.consumers.insert(at, consumer);
        if options.sharing == Sharing::Active && state.active.is_none() {
            state.active = Some(consumer);
        }
        // The mark is moved ahead before the first message, so that it costs no wait later.
        if self.shard != ShardId::VOLATILE
            && options.mode != Mode::Browse
            && state.offered_wanted <= next
        {
            state.offered_wanted = Position(next.0 + pump::OFFERED_STEP);
            let below = state.offered_wanted;
            self.wanted.facts.push(Fact::Offered { queue, below });
            self.wanted.must_sync = true;
        }
        let credit = match options.credit {
            Credit::None => 0,
            Credit::Set(count) | Credit::Add(count) => u64::from(count),
            Credit::Unlimited => u64::MAX,
        };
        let (scan, told) = (Position(0), false);
        let end = next;
        let attached =
            Consumer { session, queue, options, credit, fetching: 0, told, scan, end };
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
            let waits = |id: &&ConsumerId| self.consumers[id].options.sharing == Sharing::Active;
            state.active = state.consumers.iter().find(waits).copied();
        }
        let last = state.consumers.is_empty() && gone.options.mode != Mode::Browse;
        self.mark_dirty(gone.queue, ledger);
        last.then_some(gone.queue)
    }

    pub fn credit(&mut self, consumer: ConsumerId, credit: Credit, ledger: &Ledger) {
        let Some(attached) = self.consumers.get_mut(&consumer) else { return };
        attached.credit = match credit {
            Credit::None => 0,
            Credit::Set(count) => u64::from(count),
            Credit::Add(count) => attached.credit.saturating_add(u64::from(count)),
            Credit::Unlimited => u64::MAX,
        };
        let queue = attached.queue;
        self.mark_dirty(queue, ledger);
    }

    pub fn fetch(&mut self, consumer: ConsumerId, count: u32, ledger: &Ledger) {
        let Some(attached) = self.consumers.get_mut(&consumer) else { return };
        attached.fetching = attached.fetching.saturating_add(count);
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
        let Some(state) = Self::queue(&mut self.queues, queue, ledger) else { return false };
        state.gets.push_back(Get { session, token, mode, holder });
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

    /// Settles one position in one of the ways in which a consumer can.
    pub fn settle(
        &mut self,
        session: SessionId,
        queue: QueueId,
        position: Position,
        outcome: &Outcome,
        ledger: &Ledger,
    ) {
        let Some(state) = Self::queue(&mut self.queues, queue, ledger) else { return };
        let known = ledger.queue(queue).expect("dispatch has no queue that the ledger has not");
        let lease = match state.out.get(&position) {
            Some(Out::Settling | Out::Returning) => return,
            Some(Out::Leased { session: holder, .. }) if *holder != session => return,
            Some(Out::Leased { redelivered, .. }) => Some(*redelivered),
            None if known.pages.is_live(position) => None,
            None => return,
        };
        let attempts = known.attempts(position);
        match outcome {
            Outcome::Accept => {
                state.take_out(position, Out::Settling);
                let range = position..position.next();
                self.want_settled(queue, range, Reason::Accepted);
            }
            Outcome::Release | Outcome::ReleaseUntouched => {
                let Some(redelivered) = lease else { return };
                let touched = *outcome == Outcome::Release;
                state.give_back(position, redelivered || touched, &mut self.consumers);
                self.mark_dirty(queue, ledger);
            }
            Outcome::ReleaseCounted => {
                if lease.is_none() {
                    return;
                }
                state.out.insert(position, Out::Returning);
                let attempts = attempts + 1;
                self.wanted.facts.push(Fact::Returned { queue, position, attempts });
            }
            Outcome::Reject { fallback, cause } => {
                let (fallback, cause) = (fallback.clone(), cause.clone());
                let fate = Fate::Died { reason: DeathReason::Rejected, fallback, cause };
                self.doom(queue, position, fate, ledger);
            }
            Outcome::Expired => {
                let reason = DeathReason::Expired;
                let fate = Fate::Died { reason, fallback: None, cause: None };
                self.doom(queue, position, fate, ledger);
            }
            Outcome::Forward(forward) => {
                self.doom(queue, position, Fate::Forward(forward.clone(), session), ledger);
            }
        }
    }

    /// Takes a live position out for good; the node says where it goes. If its page is not in
    /// memory, the reference is found when the page has been loaded.
    fn doom(&mut self, queue: QueueId, position: Position, fate: Fate, ledger: &Ledger) {
        let known = ledger.queue(queue).expect("a live position has a queue");
        let attempts = known.attempts(position);
        let state = self.queues.get_mut(&queue).expect("looked up by the caller");
        match known.pages.get(position) {
            crate::ledger::Lookup::Entry(entry) => {
                state.take_out(position, Out::Settling);
                let message = ledger.message(entry);
                self.wanted.doomed.push(Doomed { queue, position, message, fate, attempts });
            }
            crate::ledger::Lookup::Spilled(slot) => {
                state.take_out(position, Out::Settling);
                self.reads.doom_later(slot, queue, position, fate, attempts);
            }
            crate::ledger::Lookup::Absent => {}
        }
    }

    fn want_settled(
        &mut self,
        queue: QueueId,
        range: std::ops::Range<Position>,
        reason: Reason,
    ) {
        if let Some(Fact::Settled { queue: last, range: open, reason: why }) =
            self.wanted.facts.last_mut()
            && *last == queue
            && open.end == range.start
            && *why == reason
        {
            open.end = range.end;
            return;
        }
        self.wanted.facts.push(Fact::Settled { queue, range, reason });
    }

    /// Takes everything that is ready out of a queue; tells how much that was.
    pub fn purge(&mut self, queue: QueueId, ledger: &Ledger) -> u64 {
        let Some(state) = Self::queue(&mut self.queues, queue, ledger) else { return 0 };
        let known = ledger.queue(queue).expect("looked up above");
        let ready = known.pages.live().saturating_sub(state.out.len() as u64);
        let mut kept: Vec<_> = state.out.keys().copied().collect();
        kept.sort_unstable();
        state.returned.clear();
        state.cursor = known.pages.next();
        let mut start = Position(0);
        let end = known.pages.next();
        for hole in kept.into_iter().chain([end]) {
            if start < hole {
                self.want_settled(queue, start..hole, Reason::Purged);
            }
            start = hole.next();
        }
        ready
    }

    pub fn status(&self, queue: QueueId, ledger: &Ledger) -> Option<QueueStatus> {
        let known = ledger.queue(queue)?;
        let state = self.queues.get(&queue);
        let out = state.map_or(0, |state| state.out.len() as u64);
        let leased = state.map_or(0, |state| {
            state.out.values().filter(|out| matches!(out, Out::Leased { .. })).count() as u64
        });
        let consumers = state.map_or(0, |state| state.consumers.len() as u32);
        let ready = known.pages.live().saturating_sub(out);
        Some(QueueStatus { ready, unsettled: leased, consumers })
    }

    /// The session is gone. Tells the queues that lost their last consumer with it.
    pub fn end(&mut self, session: SessionId, ledger: &Ledger) -> Vec<QueueId> {
        let Some(state) = self.sessions.get_mut(&session) else { return Vec::new() };
        let consumers = std::mem::take(&mut state.consumers);
        let holds = std::mem::take(&mut state.holds);
        let mut idle: Vec<_> =
            consumers.into_iter().filter_map(|id| self.detach(id, ledger)).collect();
        idle.sort_unstable();
        idle.dedup();
        for queue in holds {
            let Some(state) = self.queues.get_mut(&queue) else { continue };
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
        self.reads.end(session);
        self.sessions.remove(&session);
        idle
    }

    /// Ranges were settled in the ledger.
    pub fn settled(&mut self, queue: QueueId, range: std::ops::Range<Position>) {
        let Some(state) = self.queues.get_mut(&queue) else { return };
        if range.end.0 - range.start.0 <= state.out.len() as u64 {
            for position in range.start.0..range.end.0 {
                state.out.remove(&Position(position));
            }
        } else {
            state.out.retain(|position, _| !range.contains(position));
        }
        while let Some((position, _)) = state.returned.range(range.clone()).next() {
            let position = *position;
            state.returned.remove(&position);
        }
    }

    /// A counted release was logged.
    pub fn returned(&mut self, queue: QueueId, position: Position, ledger: &Ledger) {
        if let Some(state) = self.queues.get_mut(&queue)
            && state.out.get(&position) == Some(&Out::Returning)
        {
            state.give_back(position, true, &mut self.consumers);
        }
        self.mark_dirty(queue, ledger);
    }

    /// A queue is gone, and everything about it.
    pub fn removed(&mut self, queue: QueueId, effects: &mut Effects) {
        let Some(state) = self.queues.remove(&queue) else { return };
        if let Some(at) = state.check {
            self.checks.remove(&(at, queue));
        }
        for get in state.gets {
            let Get { session, token, .. } = get;
            effects.events.push(Event::Got { session, token, delivery: None, ready: 0 });
        }
        for consumer in state.consumers {
            let gone = self.consumers.remove(&consumer).expect("attached to this queue");
            if let Some(session) = self.sessions.get_mut(&gone.session) {
                session.consumers.retain(|id| *id != consumer);
            }
            effects.events.push(Event::Cancelled { session: gone.session, consumer });
        }
    }

    /// A page came from the page file: whoever waits for it goes on.
    pub fn page_loaded(&mut self, slot: PageSlot, ledger: &Ledger) {
        for queue in std::mem::take(&mut self.stalled) {
            let Some(state) = self.queues.get_mut(&queue) else { continue };
            if state.stall == Some(Stall::Page(slot)) {
                state.stall = None;
                self.mark_dirty(queue, ledger);
            } else {
                self.stalled.push(queue);
            }
        }
        for (queue, position, fate, attempts) in self.reads.page_loaded(slot) {
            let Some(known) = ledger.queue(queue) else { continue };
            if let crate::ledger::Lookup::Entry(entry) = known.pages.get(position) {
                let message = ledger.message(entry);
                self.wanted.doomed.push(Doomed { queue, position, message, fate, attempts });
            }
        }
    }

    /// Hands out what can be handed out, and looks at what is due.
    pub fn advance(
        &mut self,
        ledger: &Ledger,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        for queue in std::mem::take(&mut self.stalled) {
            let Some(state) = self.queues.get_mut(&queue) else { continue };
            match state.stall {
                Some(Stall::Record(message)) if records.record(message).is_some() => {
                    state.stall = None;
                    self.mark_dirty(queue, ledger);
                }
                Some(Stall::Record(_) | Stall::Page(_)) => self.stalled.push(queue),
                None => self.mark_dirty(queue, ledger),
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
            let Some(queue) = self.dirty.pop_front() else { break };
            self.pump(queue, ledger, now, records, effects);
        }
        self.reads.advance(ledger, now, records, effects);
    }
}

impl QueueDispatch {
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

/// Asks for records ahead of their delivery.
fn load(messages: Vec<MessageRef>, effects: &mut Effects) {
    effects.loads.push(Load::Records(messages));
}
