//! What goes in parts, so that whoever leaves or settles very much holds up nobody: the consumers and
//! the belongings of sessions that are over, queues that go with their last consumer, and what is
//! settled by the thousands.
//!
//! So much may be spent in a millisecond; what is beyond it waits. What little most sessions have
//! goes at once. What a session asks for behind such a settlement waits for it, but for its publishes; a
//! queue to which messages come back in parts hands out nothing until all of them are there, so that
//! none is overtaken.

use std::collections::VecDeque;

use super::Node;
use super::work::Work;
use crate::event::Answer;
use crate::id::{Durability, Millis, Position, QueueId, SessionId, Token};
use crate::map::IdMap;
use crate::pass::{Command, Outcome};
use crate::topology::Change;

/// About a tenth of a millisecond's work for consumers and queues.
const SPENT_MAX: usize = 256;
/// What it costs to delete a queue or an address and to tell everybody, when it costs 1 to detach a
/// consumer.
const DELETED: usize = 8;
/// One session's turn: its consumers and what it holds for so much, and when it has no more of these,
/// so many queues and addresses.
const COST_MAX: usize = 32;
const OWNED_MAX: usize = 8;
/// More messages than this are not settled at once.
const SETTLED_MAX: usize = 4096;
/// So many of them are one part.
const PART_MAX: usize = 512;
const SETTLED_PER_COST: usize = 8;

pub(super) struct Parts {
    waiting: VecDeque<Job>,
    /// What sessions ask for behind a settlement that goes in parts.
    behind: IdMap<SessionId, VecDeque<Command>>,
    spent: usize,
    /// Until when the spending was paid for.
    paid: Millis,
    spent_max: usize,
    settled_max: usize,
}

enum Job {
    /// Nothing is given to it any more.
    End(SessionId, Option<Token>),
    /// It has lost its last consumer.
    Unused(QueueId, SessionId, Token),
    Settle(Settlement),
}

struct Settlement {
    session: SessionId,
    queue: QueueId,
    outcome: Outcome,
    positions: VecDeque<Position>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            waiting: VecDeque::new(),
            behind: IdMap::default(),
            spent: 0,
            paid: Millis(0),
            spent_max: SPENT_MAX,
            settled_max: SETTLED_MAX,
        }
    }
}

impl Parts {
    fn pay(&mut self, now: Millis) {
        let paid = usize::try_from(now.since(self.paid)).unwrap_or(usize::MAX);
        self.spent = self
            .spent
            .saturating_sub(paid.saturating_mul(self.spent_max));
        self.paid = self.paid.max(now);
    }

    /// The next job, if there is room for a part of it.
    fn next(&mut self) -> Option<Job> {
        let has_room = self.spent < self.spent_max;
        has_room.then(|| self.waiting.pop_front()).flatten()
    }

    /// When there is room again for what waits.
    pub fn deadline(&self) -> Option<Millis> {
        let after_ms = (self.spent / self.spent_max) as u64;
        (!self.waiting.is_empty()).then(|| self.paid.plus(after_ms))
    }
}

impl Node {
    /// More messages than this are settled in parts, and so much may be done in a millisecond, when
    /// it costs 1 to detach a consumer.
    pub fn go_in_parts(&mut self, settled_max: usize, spent_max: usize) {
        self.parts.settled_max = settled_max.max(1);
        self.parts.spent_max = spent_max.max(1);
    }

    /// Whether something waits for a later millisecond.
    pub fn is_in_parts(&self) -> bool {
        !self.parts.waiting.is_empty()
    }

    /// The session is over. `token` is answered when everything of it is gone.
    pub(super) fn end(&mut self, session: SessionId, token: Option<Token>) {
        self.silence(session);
        self.parts.waiting.push_back(Job::End(session, token));
    }

    /// Deletes a queue that lost its last consumer, if it goes for that, and answers then.
    pub(super) fn detached(
        &mut self,
        idle: Option<QueueId>,
        session: SessionId,
        token: Token,
        work: &mut Work<'_>,
    ) {
        let goes = |queue: &QueueId| {
            let queue = self.planned.queue_by_id(*queue);
            queue.is_some_and(|queue| queue.spec.auto_delete)
        };
        match idle {
            Some(queue) if goes(&queue) => {
                let unused = Job::Unused(queue, session, token);
                self.parts.waiting.push_back(unused);
            }
            Some(queue) => {
                self.watch_idle(queue, work.now);
                work.answer(session, token, Ok(Answer::Done));
            }
            None => work.answer(session, token, Ok(Answer::Done)),
        }
    }

    /// Keeps a command for later if its session waits for a settlement. Neither publishes wait nor
    /// what says how much can be sent to it.
    pub(super) fn keep(&mut self, session: SessionId, command: Command) -> Option<Command> {
        let Some(behind) = self.parts.behind.get_mut(&session) else {
            return Some(command);
        };
        match command {
            Command::Publish { .. } | Command::Hold | Command::Resume => return Some(command),
            Command::End { .. } => {
                behind.push_back(command);
                self.silence(session);
            }
            _ => behind.push_back(command),
        }
        None
    }

    fn silence(&mut self, session: SessionId) {
        for shard in self.shards() {
            shard.dispatch.silence(session);
        }
    }

    /// Whether so much is settled in parts.
    pub(super) fn is_much(&self, positions: &[Position]) -> bool {
        positions.len() > self.parts.settled_max
    }

    /// Settles in parts. What the session asks for next waits.
    pub(super) fn settle_in_parts(
        &mut self,
        session: SessionId,
        queue: QueueId,
        positions: Vec<Position>,
        outcome: Outcome,
    ) {
        if outcome.gives_back() {
            self.shard(queue).dispatch.pause(queue);
        }
        self.parts.behind.entry(session).or_default();
        self.parts.waiting.push_back(Job::Settle(Settlement {
            session,
            queue,
            outcome,
            positions: positions.into(),
        }));
    }

    /// Ends what a session settles in parts, so that what it does next can be one with what follows.
    pub(super) fn settle_rest(&mut self, session: SessionId, work: &mut Work<'_>) {
        while self.parts.behind.contains_key(&session) {
            let is_his =
                |job: &Job| matches!(job, Job::Settle(settling) if settling.session == session);
            let at = self.parts.waiting.iter().position(is_his);
            let job = at.and_then(|at| self.parts.waiting.remove(at));
            let Some(Job::Settle(settlement)) = job else {
                unreachable!("who waits has a settlement to wait for");
            };
            self.settle_part(settlement, usize::MAX, work);
        }
    }

    /// As much as may be done now.
    pub(super) fn go_on(&mut self, work: &mut Work<'_>) {
        if self.parts.waiting.is_empty() {
            return;
        }
        self.parts.pay(work.now);
        while let Some(job) = self.parts.next() {
            match job {
                Job::Unused(queue, session, token) => {
                    self.unused(queue, work);
                    work.answer_behind(session, token, Ok(Answer::Done));
                }
                Job::End(session, token) => self.end_part(session, token, work),
                Job::Settle(settlement) => self.settle_part(settlement, PART_MAX, work),
            }
            self.take_facts(work);
        }
    }

    fn settle_part(&mut self, mut settlement: Settlement, most: usize, work: &mut Work<'_>) {
        let rest = settlement.positions.len().saturating_sub(most);
        let later = settlement
            .positions
            .split_off(settlement.positions.len() - rest);
        let part = std::mem::replace(&mut settlement.positions, later);
        self.parts.spent += 1 + part.len() / SETTLED_PER_COST;
        let Settlement {
            session,
            queue,
            ref outcome,
            ..
        } = settlement;
        self.settle(session, queue, &Vec::from(part), outcome, work);
        if rest > 0 {
            return self.parts.waiting.push_back(Job::Settle(settlement));
        }
        if outcome.gives_back() {
            let shard = self.shard(queue);
            shard.dispatch.unpause(queue, &shard.ledger);
        }
        let mut commands = self.parts.behind.remove(&session).unwrap_or_default();
        while let Some(command) = commands.pop_front() {
            self.carry_out(session, command, work);
            self.take_facts(work);
            if let Some(behind) = self.parts.behind.get_mut(&session) {
                behind.append(&mut commands);
            }
        }
    }

    /// Takes a part of what a session has: its consumers first, then what it holds, then what it owns.
    fn end_part(&mut self, session: SessionId, token: Option<Token>, work: &mut Work<'_>) {
        let mut has_more = false;
        for durability in [Durability::Durable, Durability::Volatile] {
            let settled_max = self.parts.settled_max;
            let shard = self.shard_of(durability);
            let ended = shard
                .dispatch
                .end(session, COST_MAX, settled_max, &shard.ledger);
            self.parts.spent += ended.cost;
            for queue in ended.idle {
                self.unused(queue, work);
            }
            if let Some((queue, held)) = ended.held {
                self.settle_in_parts(session, queue, held, Outcome::Release);
                let behind = self.parts.behind.entry(session).or_default();
                return behind.push_back(Command::End { token });
            }
            has_more |= ended.has_more;
        }
        if !has_more {
            let owned = self.planned.owned_by(session).take(OWNED_MAX).count();
            self.parts.spent += owned * DELETED;
            let change = Change::EndSession {
                session,
                at_most: OWNED_MAX,
            };
            // Ending owns nothing that could be refused.
            let _ = self.change(&change, work);
            has_more = self.planned.owned_by(session).next().is_some();
        }
        if has_more {
            self.parts.waiting.push_back(Job::End(session, token));
        } else if let Some(token) = token {
            self.wait(session, token, work);
        }
    }

    /// A queue has lost its last consumer: it goes, if it is one that goes for that and has none again.
    fn unused(&mut self, id: QueueId, work: &mut Work<'_>) {
        let Some(queue) = self.planned.queue_by_id(id).cloned() else {
            return;
        };
        let shard = self.shard(id);
        let status = shard.dispatch.status(id, &shard.ledger);
        if !queue.spec.auto_delete {
            self.watch_idle(id, work.now);
        } else if status.is_none_or(|status| status.consumers == 0) {
            self.parts.spent += DELETED;
            let name = queue.spec.name.clone();
            // It is there, and nobody asked for a condition.
            let _ = self.change(&Change::DeleteQueue { name }, work);
        }
    }
}
