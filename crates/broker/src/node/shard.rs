//! One shard: its ledger, its dispatch, and the frames between deciding and applying.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::spill::Spilling;
use crate::bytes::{Reader, Undecodable};
use crate::dispatch::Dispatch;
use crate::entry::EntryFlags;
use crate::event::{Answer, Effects, Event, Frame};
use crate::id::{
    Durability, GroupId, Index, MessageRef, Millis, PartitionId, Position, QueueId, SessionId,
    ShardId, Token,
};
use crate::ledger::{Applied, Fact, Ledger, Lookup};
use crate::map::IdMap;
use crate::pass::{Batch, Destination, Head};
use crate::refusal::Refusal;
use crate::topology::TopologyFact;

pub struct Shard {
    pub id: ShardId,
    pub ledger: Ledger,
    pub dispatch: Dispatch,
    /// Everything up to here is durable.
    pub synced: Index,
    pending: VecDeque<Pending>,
    next: Index,
    /// The time of the last frame; never goes back.
    time: Millis,
    /// Sequences that are decided and not applied.
    sent: BTreeMap<Box<str>, u64>,
    /// Cursors that are decided and not applied, each with the frame that it came in last.
    cursors: BTreeMap<(PartitionId, GroupId), (Position, Index)>,
    /// The numbers of the last forwards that are decided, by their source.
    forwards: BTreeMap<ShardId, u64>,
    /// Messages of the shard without a log that several queues hold, and how many those are.
    held: IdMap<MessageRef, u32>,
    pub(super) spilling: Spilling,
}

/// A frame that is decided and not applied.
#[derive(Debug)]
pub struct Pending {
    /// `None` if there was nothing to log.
    pub index: Option<Index>,
    pub time: Millis,
    pub heads: Arc<[Head]>,
    pub facts: Vec<Fact>,
    pub must_sync: bool,
    /// Publishers to be told, by slot.
    pub stored: Vec<(SessionId, Token, u16)>,
    pub done: Vec<(SessionId, Token, Result<Answer, Refusal>)>,
}

/// A frame in the making.
#[derive(Debug, Default)]
pub struct Assembly {
    pub batch: Batch,
    pub facts: Vec<Fact>,
    pub must_sync: bool,
    /// To be logged even if there is nothing in it.
    pub wants_frame: bool,
    pub stored: Vec<(SessionId, Token, u16)>,
    pub done: Vec<(SessionId, Token, Result<Answer, Refusal>)>,
}

impl Assembly {
    pub fn is_empty(&self) -> bool {
        self.batch.heads.is_empty()
            && self.facts.is_empty()
            && self.stored.is_empty()
            && self.done.is_empty()
            && !self.wants_frame
    }

    /// Adds a fact; one that goes on where the last one ended is joined to it.
    pub fn fact(&mut self, fact: Fact) {
        fact.join(&mut self.facts);
    }
}

/// Whether a message is promised to its publisher only when it is synced.
pub fn must_sync(head: &Head) -> bool {
    head.summary.flags.has(EntryFlags::PERSISTENT)
        || head
            .destinations
            .as_slice()
            .iter()
            .any(|destination| match destination {
                Destination::Queue(_) => false,
                Destination::Partition(_) | Destination::Timer(_) => true,
            })
}

/// Whether a fact is kept by the log.
fn is_logged(fact: &Fact) -> bool {
    fact.topology()
        .is_none_or(|change| change.durability() == Durability::Durable)
}

impl Shard {
    pub fn new(id: ShardId) -> Shard {
        Shard {
            id,
            ledger: Ledger::new(id),
            dispatch: Dispatch::new(id),
            synced: Index(0),
            pending: VecDeque::new(),
            next: Index(1),
            time: Millis(0),
            sent: BTreeMap::new(),
            cursors: BTreeMap::new(),
            forwards: BTreeMap::new(),
            held: IdMap::default(),
            spilling: Spilling::default(),
        }
    }

    /// A numbered message was decided.
    pub fn sent(&mut self, producer: &str, sequence: u64) {
        self.sent.insert(producer.into(), sequence);
    }

    /// The last number of a producer, decided or applied.
    pub fn last_sequence(&self, producer: &str) -> Option<u64> {
        self.sent
            .get(producer)
            .copied()
            .or_else(|| self.ledger.last_sequence(producer))
    }

    /// The index that the next frame gets.
    pub fn upcoming(&self) -> Index {
        self.next
    }

    /// Numbers messages that are sent on to this shard, in the order of their slots: one fact for
    /// each run of the same source.
    pub fn number(&mut self, sources: &[ShardId]) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut start = 0;
        for run in sources.chunk_by(|one, other| one == other) {
            let (source, target) = (run[0], self.id);
            let stored = self.ledger.forwarded(source, target);
            let last = self.forwards.entry(source).or_insert(stored);
            let slots = start..start + run.len() as u16;
            start = slots.end;
            facts.push(Fact::Forwarded {
                source,
                target,
                sequence: *last + 1,
                slots,
            });
            *last += run.len() as u64;
        }
        facts
    }

    /// A group said where it stands, in the frame that is in the making.
    pub fn stands(&mut self, group: GroupId, partition: PartitionId, offset: Position) {
        self.cursors.insert((partition, group), (offset, self.next));
    }

    /// Where a group stands, decided or applied. Consumers say it without waiting for an answer;
    /// the next owner of their queue must not start before that.
    pub fn cursor(&self, group: GroupId, partition: PartitionId) -> Option<Position> {
        self.cursors
            .get(&(partition, group))
            .map(|(offset, _)| *offset)
            .or_else(|| self.ledger.cursor(group, partition))
    }

    fn has_log(&self) -> bool {
        self.id != ShardId::VOLATILE
    }

    pub fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Undecodable> {
        self.ledger = Ledger::decode(self.id, reader)?;
        Ok(())
    }

    pub fn recovered(&mut self) {
        self.ledger.recovered();
        self.next = self.ledger.applied().next();
        self.synced = self.ledger.applied();
        self.time = self.ledger.time();
    }

    /// Closes a frame: gives it its index and hands it out.
    pub fn flush(&mut self, assembly: Assembly, now: Millis, effects: &mut Effects) {
        if assembly.is_empty() {
            return;
        }
        let Assembly {
            batch,
            facts,
            must_sync,
            wants_frame,
            stored,
            done,
        } = assembly;
        self.time = self.time.max(now);
        let heads: Arc<[Head]> = batch.heads.into();
        let logged = facts.iter().any(is_logged);
        let index = if !heads.is_empty() || logged || wants_frame {
            let index = self.next;
            self.next = index.next();
            let mut encoded = Vec::new();
            if self.has_log() {
                facts
                    .iter()
                    .filter(|f| is_logged(f))
                    .for_each(|fact| fact.encode(&mut encoded));
            } else {
                self.count_holders(index, &heads);
            }
            if self.has_log() || !heads.is_empty() {
                effects.frames.push(Frame {
                    shard: self.id,
                    index,
                    time: self.time,
                    records: batch.records,
                    essential: heads.is_empty(),
                    heads: heads.clone(),
                    facts: encoded,
                    must_sync: must_sync && self.has_log(),
                });
            }
            Some(index)
        } else {
            None
        };
        let must_sync = must_sync && self.has_log() && index.is_some();
        let time = self.time;
        self.pending.push_back(Pending {
            index,
            time,
            heads,
            facts,
            must_sync,
            stored,
            done,
        });
    }

    /// Frames of the shard without a log live as long as a queue holds one of their messages.
    /// What only one queue holds needs no counting, and costs nothing here.
    fn count_holders(&mut self, index: Index, heads: &[Head]) {
        for (slot, head) in heads.iter().enumerate() {
            let count = head.destinations.as_slice().len() as u32;
            self.spilling.grown(count);
            if count > 1 {
                self.held
                    .insert(MessageRef::new(self.id, index, slot as u16), count);
            }
        }
    }

    /// The next frame, if everything before and in it that must be durable is.
    pub fn next_to_apply(&mut self) -> Option<Pending> {
        let first = self.pending.front()?;
        let waits = first.must_sync && first.index.is_some_and(|index| index > self.synced);
        if waits {
            None
        } else {
            self.pending.pop_front()
        }
    }

    /// Whether something was decided after the last frame that is known synced.
    pub fn is_behind(&self) -> bool {
        self.has_log() && self.next.0 > self.synced.0 + 1
    }

    pub fn apply(&mut self, pending: Pending, effects: &mut Effects) {
        let Pending {
            index,
            time,
            heads,
            facts,
            must_sync: _,
            stored,
            done,
        } = pending;
        if let Some(index) = index {
            let released = self.released_by(index, &heads, &facts);
            let applied = self.ledger.apply(index, time, &heads, &facts);
            for queue in &applied.removed {
                self.dispatch.removed(*queue, effects);
            }
            for settled in applied.settled {
                self.dispatch.settled(settled);
            }
            for (queue, position) in applied.returned {
                self.dispatch.returned(queue, position, &self.ledger);
            }
            for queue in applied.queues {
                self.dispatch.mark_dirty(queue, &self.ledger);
            }
            for partition in applied.partitions {
                self.dispatch.reads.grown(partition);
            }
            let placed = applied.placed;
            self.forget_decided(index, &facts);
            self.release(released, effects);
            for (session, token, slot) in stored {
                let at = place_of(&placed, slot);
                let message = MessageRef::new(self.id, index, slot);
                effects.events.push(Event::Stored {
                    session,
                    token,
                    message,
                    at,
                });
            }
        } else {
            assert!(stored.is_empty(), "a stored message has a frame");
        }
        for (session, token, result) in done {
            effects.events.push(Event::Done {
                session,
                token,
                result,
            });
        }
    }

    /// What is applied need not be kept as decided any more, unless it was decided again.
    fn forget_decided(&mut self, index: Index, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Producer { name, sequence } if self.sent.get(name) == Some(sequence) => {
                    self.sent.remove(name);
                }
                Fact::Cursor {
                    group, partition, ..
                } => {
                    let key = (*partition, *group);
                    if self.cursors.get(&key).is_some_and(|(_, at)| *at <= index) {
                        self.cursors.remove(&key);
                    }
                }
                Fact::Topology(_)
                | Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Fired { .. }
                | Fact::Rescheduled { .. }
                | Fact::Trimmed { .. }
                | Fact::Producer { .. }
                | Fact::Prepared { .. }
                | Fact::Decided { .. }
                | Fact::Finished { .. }
                | Fact::Forwarded { .. } => {}
            }
        }
    }

    /// A change of the topology that comes without a frame of this shard.
    pub fn apply_topology(&mut self, fact: &TopologyFact, effects: &mut Effects) {
        let gone = if let TopologyFact::QueueRemoved { id } = fact
            && !self.has_log()
        {
            self.live_messages(*id)
        } else {
            Vec::new()
        };
        let mut applied = Applied::default();
        self.ledger.apply_topology(fact, &mut applied);
        for queue in applied.removed {
            self.dispatch.removed(queue, effects);
        }
        self.release(gone, effects);
    }

    fn live_messages(&mut self, queue: QueueId) -> Vec<MessageRef> {
        let next = self.ledger.queue(queue).map(|known| known.pages.next());
        self.messages_in(queue, Position(0)..next.unwrap_or_default())
    }

    /// What is live in a range; of pages that are not in memory it is noted to be let go when
    /// they are read.
    fn messages_in(&mut self, queue: QueueId, range: Range<Position>) -> Vec<MessageRef> {
        let Some(known) = self.ledger.queue(queue) else {
            return Vec::new();
        };
        let mut messages = Vec::new();
        let mut from = range.start;
        while let Some(position) = known.pages.next_live(from)
            && position < range.end
        {
            match known.pages.get(position) {
                Lookup::Entry(entry) => {
                    messages.push(self.ledger.message(entry));
                    from = position.next();
                }
                Lookup::Spilled(slot) => {
                    from = self
                        .spilling
                        .settle_unread(slot, &known.pages, position..range.end);
                }
                Lookup::Absent => unreachable!("found live"),
            }
        }
        messages
    }

    /// The messages of a shard without a log that this frame lets go, each once for each queue.
    fn released_by(&mut self, index: Index, heads: &[Head], facts: &[Fact]) -> Vec<MessageRef> {
        if self.has_log() {
            return Vec::new();
        }
        let mut released = Vec::new();
        for (slot, head) in heads.iter().enumerate() {
            if head.destinations.as_slice().is_empty() {
                released.push(MessageRef::new(self.id, index, slot as u16));
            }
            for destination in head.destinations.as_slice() {
                match destination {
                    Destination::Queue(queue) if self.ledger.queue(*queue).is_some() => {}
                    // Deleted since it was routed.
                    Destination::Queue(_) => {
                        released.push(MessageRef::new(self.id, index, slot as u16));
                    }
                    Destination::Partition(_) | Destination::Timer(_) => {
                        unreachable!("partitions and timers are durable")
                    }
                }
            }
        }
        let settled = |fact: &Fact| {
            let Fact::Settled { queue, range, .. } = fact else {
                return None;
            };
            Some((*queue, range.start, range.end))
        };
        let mut settled: Vec<_> = facts.iter().filter_map(settled).collect();
        settled.sort_unstable();
        // Ranges may overlap: what one of them settles is not live for the next.
        let mut done = None;
        for (queue, start, end) in settled {
            let start = match done {
                Some((of, below)) if of == queue => start.max(below),
                Some(_) | None => start,
            };
            if start < end {
                released.extend(self.messages_in(queue, start..end));
                done = Some((queue, end));
            }
        }
        released
    }

    pub(super) fn release(&mut self, messages: Vec<MessageRef>, effects: &mut Effects) {
        for message in messages {
            match self.held.get_mut(&message) {
                None => effects.released.push(message),
                Some(count) if *count > 2 => *count -= 1,
                Some(_) => {
                    self.held.remove(&message);
                }
            }
        }
    }

    pub fn has_work(&self) -> bool {
        self.dispatch.has_work()
    }
}

fn place_of(placed: &[(u16, PartitionId, Position)], slot: u16) -> Option<(PartitionId, Position)> {
    let at = placed.partition_point(|(s, ..)| *s < slot);
    placed
        .get(at)
        .filter(|(s, ..)| *s == slot)
        .map(|(_, partition, position)| (*partition, *position))
}
