//! The life of queues and addresses: how they change, who is attached, when they go.

use super::Node;
use super::work::Work;
use crate::event::Answer;
use crate::id::{ConsumerId, Durability, Millis, QueueId, SessionId};
use crate::ledger::Fact;
use crate::pass::{ConsumerOptions, DeleteCondition};
use crate::refusal::{Kind, Refusal};
use crate::topology::{Answer as TopologyAnswer, Change};

impl Node {
    /// Decides a change of the topology.
    pub(super) fn change(
        &mut self,
        change: &Change,
        work: &mut Work<'_>,
    ) -> Result<TopologyAnswer, Refusal> {
        let plan = self.planned.plan(change)?;
        for fact in plan.facts {
            self.planned.apply(&fact);
            work.log.assembly.must_sync |= fact.durability() == Durability::Durable;
            work.log.assembly.fact(Fact::Topology(fact));
        }
        Ok(plan.answer)
    }

    /// Decides a change that nobody waits for; it is logged with the next pass.
    pub(super) fn plan(&mut self, change: &Change) {
        if let Ok(plan) = self.planned.plan(change) {
            for fact in plan.facts {
                self.planned.apply(&fact);
                self.moves.fact(Fact::Topology(fact));
            }
        }
    }

    pub(super) fn delete_queue(
        &mut self,
        session: SessionId,
        name: &str,
        condition: DeleteCondition,
        work: &mut Work<'_>,
    ) -> Result<Answer, Refusal> {
        let Some(queue) = self.planned.queue(name).cloned() else {
            return Ok(Answer::Deleted { messages: 0 });
        };
        if queue.spec.owner.is_some_and(|owner| owner != session) {
            return Err(Refusal::Locked { name: name.into() });
        }
        let shard = self.shard(queue.id);
        let status = shard
            .dispatch
            .status(queue.id, &shard.ledger)
            .unwrap_or_default();
        if condition.if_unused && status.consumers > 0 {
            return Err(Refusal::InUse {
                kind: Kind::Queue,
                name: name.into(),
            });
        }
        if condition.if_empty && status.ready > 0 {
            return Err(Refusal::NotEmpty { name: name.into() });
        }
        let name = queue.spec.name.clone();
        self.change(&Change::DeleteQueue { name }, work)?;
        Ok(Answer::Deleted {
            messages: status.ready,
        })
    }

    pub(super) fn attach(
        &mut self,
        session: SessionId,
        consumer: ConsumerId,
        id: QueueId,
        options: ConsumerOptions,
    ) -> Result<Answer, Refusal> {
        let queue = self.planned.queue_by_id(id).ok_or_else(no_queue)?;
        let name = queue.spec.name.clone();
        if queue.spec.owner.is_some_and(|owner| owner != session) {
            return Err(Refusal::Locked {
                name: name.as_ref().into(),
            });
        }
        // An id names one consumer, whichever shard it is attached to.
        if self.log.dispatch.has_consumer(consumer) || self.volatile.dispatch.has_consumer(consumer)
        {
            return Err(Refusal::ExclusiveUse {
                name: name.as_ref().into(),
            });
        }
        let shard = self.shard(id);
        shard
            .dispatch
            .attach(session, consumer, id, options, &name, &shard.ledger)?;
        Ok(Answer::Done)
    }

    /// A queue with a limit on idleness was used just now.
    pub(super) fn watch_idle(&mut self, id: QueueId, now: Millis) {
        let Some(queue) = self.visible.queue_by_id(id) else {
            return;
        };
        let Some(idle_ms) = queue.spec.options.idle_ms else {
            return;
        };
        let at = now.plus(idle_ms);
        if let Some(before) = self.idle_at.insert(id, at) {
            self.idle.remove(&(before, id));
        }
        self.idle.insert((at, id));
    }

    /// Deletes queues that nobody has used for as long as they allow.
    pub(super) fn expire_idle(&mut self, now: Millis) {
        while let Some((at, id)) = self.idle.first().copied()
            && at <= now
        {
            self.idle.pop_first();
            self.idle_at.remove(&id);
            let Some(queue) = self.planned.queue_by_id(id) else {
                continue;
            };
            let name = queue.spec.name.clone();
            let shard = self.shard(id);
            let used = shard
                .dispatch
                .status(id, &shard.ledger)
                .is_some_and(|s| s.consumers > 0);
            if used {
                self.watch_idle(id, now);
            } else {
                self.plan(&Change::DeleteQueue { name });
            }
        }
    }
}

/// No queue has this id: it went after somebody had looked up its name.
pub(super) fn no_queue() -> Refusal {
    Refusal::NotFound {
        kind: Kind::Queue,
        name: "".into(),
    }
}
