//! Consumers and sessions: who is attached, with how much credit, and who can take more.

use std::collections::BTreeSet;

use super::line::{Listed, Place};
use super::{Dispatch, Get, Out};
use crate::id::{ConsumerId, Position, QueueId, SessionId, ShardId, Token};
use crate::ledger::Ledger;
use crate::pass::{ConsumerOptions, Credit, Mode, Sharing, TakeOver};
use crate::refusal::{Kind, Refusal};

/// What costs as much as to detach a consumer: to look at so many messages that are out, or to take
/// so many back.
const SCANNED_PER_COST: usize = 128;
const RETURNED_PER_COST: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub consumers: BTreeSet<ConsumerId>,
    /// Queues of which this session may hold something, or has asked for it.
    pub holds: BTreeSet<QueueId>,
    /// Can take no more for now.
    pub held_back: bool,
    /// Can take no more for ever.
    pub over: bool,
}

impl Session {
    pub fn takes(&self) -> bool {
        !(self.held_back || self.over)
    }
}

/// What came of a step of ending a session.
#[derive(Debug, Default)]
pub struct Ended {
    /// What it cost; to detach a consumer costs 1.
    pub cost: usize,
    /// Queues that have lost their last consumer.
    pub idle: Vec<QueueId>,
    /// What it held of a queue and is too much to be given back at once.
    pub held: Option<(QueueId, Vec<Position>)>,
    /// There is more to end.
    pub has_more: bool,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub session: SessionId,
    pub queue: QueueId,
    pub options: ConsumerOptions,
    /// `u64::MAX` is unlimited.
    pub credit: u64,
    pub fetching: u32,
    /// It knows that a fetch would find something; a browser, that it has seen everything.
    pub told: bool,
    /// Nothing below is for it: it was filtered out, browsed, or in strands of others.
    pub scan: Position,
    /// Where a browser ends.
    pub end: Position,
    /// What its scan position has gone back for.
    pub rewinds_heard: u64,
    /// In the line of its queue.
    pub place: Place,
    pub listed: Listed,
}

impl Consumer {
    pub fn browses(&self) -> bool {
        self.options.mode == Mode::Browse
    }

    /// Whether it takes everything as it comes, so that nothing free is left behind it.
    pub fn takes_all(&self) -> bool {
        self.options.filter.is_none() && !self.browses()
    }

    /// Whether it gets nothing unless it fetches.
    pub fn fetches(&self) -> bool {
        self.options.credit == Credit::None && !self.browses()
    }

    /// Whether it may be given something, as far as it wants something.
    pub fn can_take(&self) -> bool {
        self.credit > 0 || self.fetching > 0
    }

    /// Whether it shall be told when a fetch would find something.
    pub fn watches(&self) -> bool {
        self.fetches() && self.fetching == 0 && !self.told
    }

    /// Whether nobody else may receive beside it.
    pub fn is_sole(&self) -> bool {
        self.options.sharing == Sharing::Sole && !self.browses()
    }

    /// Whether it is one of those of which only one is served.
    pub fn takes_turns(&self) -> bool {
        matches!(self.options.sharing, Sharing::Active(_)) && !self.browses()
    }

    /// Whether it is served instead of the one that was.
    pub fn takes_over(&self, active: &Consumer) -> bool {
        match self.options.sharing {
            Sharing::Shared | Sharing::Sole | Sharing::Active(TakeOver::FromNobody) => false,
            Sharing::Active(TakeOver::FromLower) => self.options.priority > active.options.priority,
            Sharing::Active(TakeOver::FromAnybody) => true,
        }
    }
}

impl Credit {
    /// How much there is when this was given to somebody who had `left`.
    fn given(self, left: u64) -> u64 {
        match self {
            Credit::None => 0,
            Credit::Set(count) => u64::from(count),
            Credit::Add(count) => left.saturating_add(u64::from(count)),
            Credit::Unlimited => u64::MAX,
        }
    }
}

impl Dispatch {
    pub fn has_consumer(&self, consumer: ConsumerId) -> bool {
        self.consumers.contains_key(&consumer)
    }

    fn session(&mut self, session: SessionId) -> &mut Session {
        self.sessions.entry(session).or_default()
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
        assert!(
            !self.consumers.contains_key(&consumer),
            "consumer {consumer} is attached twice"
        );
        let Some((state, known)) = Self::queue(&mut self.queues, queue, ledger) else {
            return Err(Refusal::NotFound {
                kind: Kind::Queue,
                name: name.into(),
            });
        };
        let mut attached = Consumer {
            session,
            queue,
            credit: options.credit.given(0),
            options,
            fetching: 0,
            told: false,
            scan: Position(0),
            end: known.pages.next(),
            rewinds_heard: state.rewinds.last(),
            place: Place::FIRST,
            listed: Listed::default(),
        };
        if state.line.clashes(&attached) {
            return Err(Refusal::ExclusiveUse { name: name.into() });
        }
        state.line.join(consumer, &mut attached, &self.consumers);
        // The mark is moved ahead before the first message, so that it costs no wait later.
        let head = known.pages.next_live(state.cursor).unwrap_or(attached.end);
        if self.shard != ShardId::VOLATILE && !attached.browses() && state.offered_wanted <= head {
            self.wanted.offer(queue, state.offer_beyond(head));
        }
        self.consumers.insert(consumer, attached);
        self.session(session).consumers.insert(consumer);
        self.mark_dirty(queue, ledger);
        Ok(())
    }

    /// Detaches a consumer; tells its queue if it was the last one there.
    pub fn detach(&mut self, consumer: ConsumerId, ledger: &Ledger) -> Option<QueueId> {
        let mut gone = self.consumers.remove(&consumer)?;
        if let Some(session) = self.sessions.get_mut(&gone.session) {
            session.consumers.remove(&consumer);
        }
        let state = self.queues.get_mut(&gone.queue)?;
        if let Some(strands) = &mut state.strands {
            strands.gone(consumer);
            state.rewind();
        }
        let last = state.line.leave(consumer, &mut gone, &mut self.consumers);
        self.mark_dirty(gone.queue, ledger);
        last.then_some(gone.queue)
    }

    pub fn credit(&mut self, consumer: ConsumerId, credit: Credit, ledger: &Ledger) {
        let Some(attached) = self.consumers.get_mut(&consumer) else {
            return;
        };
        attached.credit = credit.given(attached.credit);
        // A consumer can change between getting and fetching while it is attached.
        attached.options.credit = credit;
        let queue = attached.queue;
        if let Some(state) = self.queues.get_mut(&queue) {
            state.line.list(consumer, attached);
        }
        self.mark_dirty(queue, ledger);
    }

    pub fn fetch(&mut self, consumer: ConsumerId, count: u32, ledger: &Ledger) {
        let Some(attached) = self.consumers.get_mut(&consumer) else {
            return;
        };
        attached.fetching = attached.fetching.saturating_add(count);
        attached.told = false;
        let queue = attached.queue;
        if let Some(state) = self.queues.get_mut(&queue) {
            state.line.list(consumer, attached);
        }
        self.mark_dirty(queue, ledger);
    }

    /// One message for somebody who need not be attached; false if there is no such queue.
    pub fn get(
        &mut self,
        session: SessionId,
        token: Token,
        queue: QueueId,
        holder: ConsumerId,
        mode: Mode,
        ledger: &Ledger,
    ) -> bool {
        let Some((state, _)) = Self::queue(&mut self.queues, queue, ledger) else {
            return false;
        };
        state.gets.push_back(Get {
            session,
            token,
            mode,
            holder,
            scan: Position(0),
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
            let attached = self
                .consumers
                .get_mut(&consumer)
                .expect("a session's consumer is attached");
            let queue = attached.queue;
            if let Some(state) = self.queues.get_mut(&queue) {
                state.line.list(consumer, attached);
            }
            self.mark_dirty(queue, ledger);
        }
    }

    /// Nothing is given to the session any more.
    pub fn silence(&mut self, session: SessionId) {
        self.reads.end(session);
        if let Some(state) = self.sessions.get_mut(&session) {
            state.over = true;
        }
    }

    /// The session is gone: for about so much its consumers go now, and when there are none left, what
    /// it holds is free again.
    pub fn end(
        &mut self,
        session: SessionId,
        cost_max: usize,
        settled_max: usize,
        ledger: &Ledger,
    ) -> Ended {
        let mut ended = Ended::default();
        let Some(state) = self.sessions.get(&session) else {
            return ended;
        };
        let gone: Vec<_> = state.consumers.iter().take(cost_max).copied().collect();
        ended.cost = gone.len();
        let idle = gone.into_iter().filter_map(|id| self.detach(id, ledger));
        ended.idle = idle.collect();
        ended.idle.sort_unstable();
        ended.idle.dedup();
        while ended.cost < cost_max
            && ended.held.is_none()
            && let Some(queue) = self.session(session).holds.pop_first()
        {
            ended.cost += 1;
            self.release(session, queue, settled_max, ledger, &mut ended);
        }
        let state = self.session(session);
        ended.has_more = !(state.consumers.is_empty() && state.holds.is_empty());
        if !ended.has_more && ended.held.is_none() {
            self.sessions.remove(&session);
        }
        ended
    }

    /// What a session that is over holds of a queue is free again, unless it is too much for once.
    fn release(
        &mut self,
        session: SessionId,
        queue: QueueId,
        settled_max: usize,
        ledger: &Ledger,
        ended: &mut Ended,
    ) {
        let Some(state) = self.queues.get_mut(&queue) else {
            return;
        };
        state.gets.retain(|get| get.session != session);
        let is_his =
            |out: &Out| matches!(out, Out::Leased { session: holder, .. } if *holder == session);
        let his = state.out.iter().filter(|(_, out)| is_his(out));
        let mut held: Vec<_> = his.map(|(position, _)| *position).collect();
        held.sort_unstable();
        ended.cost += state.out.len() / SCANNED_PER_COST;
        if held.len() > settled_max {
            ended.held = Some((queue, held));
            return;
        }
        ended.cost += held.len() / RETURNED_PER_COST;
        for position in held {
            state.give_back(position, true);
        }
        self.mark_dirty(queue, ledger);
    }

    /// Nothing is handed out of this queue.
    pub fn pause(&mut self, queue: QueueId) {
        if let Some(state) = self.queues.get_mut(&queue) {
            state.paused += 1;
        }
    }

    /// Ends one pause.
    pub fn unpause(&mut self, queue: QueueId, ledger: &Ledger) {
        if let Some(state) = self.queues.get_mut(&queue) {
            state.paused = state.paused.saturating_sub(1);
        }
        self.mark_dirty(queue, ledger);
    }
}
