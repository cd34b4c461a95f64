//! What goes in parts, so that whoever leaves very much behind holds up nobody: the consumers and the
//! belongings of sessions that are over, and queues that go with their last consumer.
//!
//! So much may be spent in a millisecond; what is beyond it waits. What little most sessions have
//! goes at once.

use std::collections::VecDeque;

use super::Node;
use super::work::Work;
use crate::event::Answer;
use crate::id::{Durability, Millis, QueueId, SessionId, Token};
use crate::topology::Change;

/// About a tenth of a millisecond's work.
const SPENT_MAX: usize = 256;
/// What it costs to delete a queue or an address and to tell everybody, when it costs 1 to detach a
/// consumer.
const DELETED: usize = 8;
/// One session's turn: so many consumers, and when it has no more, so many queues and addresses.
const CONSUMERS_MAX: usize = 32;
const OWNED_MAX: usize = 8;

#[derive(Default)]
pub(super) struct Endings {
    waiting: VecDeque<Ending>,
    spent: usize,
    /// Until when the spending was paid for.
    paid: Millis,
}

enum Ending {
    /// Nothing is given to it any more.
    Session(SessionId, Option<Token>),
    /// It has lost its last consumer.
    Queue(QueueId, SessionId, Token),
}

impl Endings {
    fn pay(&mut self, now: Millis) {
        let paid = usize::try_from(now.since(self.paid)).unwrap_or(usize::MAX);
        self.spent = self.spent.saturating_sub(paid.saturating_mul(SPENT_MAX));
        self.paid = self.paid.max(now);
    }

    fn has_room(&self) -> bool {
        self.spent < SPENT_MAX
    }

    /// When there is room again for what waits.
    pub fn deadline(&self) -> Option<Millis> {
        let after_ms = (self.spent / SPENT_MAX) as u64;
        (!self.waiting.is_empty()).then(|| self.paid.plus(after_ms))
    }
}

impl Node {
    /// The session is over. `token` is answered when everything of it is gone.
    pub(super) fn end(&mut self, session: SessionId, token: Option<Token>, work: &mut Work<'_>) {
        for shard in self.shards() {
            shard.dispatch.silence(session);
        }
        let ending = Ending::Session(session, token);
        self.endings.waiting.push_back(ending);
        self.end_some(work);
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
                let ending = Ending::Queue(queue, session, token);
                self.endings.waiting.push_back(ending);
                self.end_some(work);
            }
            Some(queue) => {
                self.watch_idle(queue, work.now);
                work.answer(session, token, Ok(Answer::Done));
            }
            None => work.answer(session, token, Ok(Answer::Done)),
        }
    }

    /// As much as may be done now.
    pub(super) fn end_some(&mut self, work: &mut Work<'_>) {
        self.endings.pay(work.now);
        while self.endings.has_room()
            && let Some(ending) = self.endings.waiting.pop_front()
        {
            match ending {
                Ending::Queue(queue, session, token) => {
                    self.unused(queue, work);
                    work.answer_behind(session, token, Ok(Answer::Done));
                }
                Ending::Session(session, token) => {
                    let has_more = self.end_part(session, work);
                    if has_more {
                        self.endings.waiting.push_back(ending);
                    } else if let Some(token) = token {
                        self.barrier(session, token, work);
                    }
                }
            }
        }
    }

    /// Takes a part of what a session has: its consumers first, then what it owns. Tells whether
    /// there is more.
    fn end_part(&mut self, session: SessionId, work: &mut Work<'_>) -> bool {
        let mut has_more = false;
        for durability in [Durability::Durable, Durability::Volatile] {
            let shard = self.shard_of(durability);
            let ended = shard.dispatch.end(session, CONSUMERS_MAX, &shard.ledger);
            self.endings.spent += ended.cost;
            has_more |= ended.has_more;
            for queue in ended.idle {
                self.unused(queue, work);
            }
        }
        if !has_more {
            let owned = self.planned.owned_by(session).take(OWNED_MAX).count();
            self.endings.spent += owned * DELETED;
            let change = Change::EndSession {
                session,
                at_most: OWNED_MAX,
            };
            // Ending owns nothing that could be refused.
            let _ = self.change(&change, work);
            has_more = self.planned.owned_by(session).next().is_some();
        }
        has_more
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
            self.endings.spent += DELETED;
            let name = queue.spec.name.clone();
            // It is there, and nobody asked for a condition.
            let _ = self.change(&Change::DeleteQueue { name }, work);
        }
    }
}
