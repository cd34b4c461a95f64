//! Dispatch: the leader's working memory of a shard. Who is attached, with how much credit, what
//! is handed out, who waits. It decides and says what shall be logged; it never changes the
//! ledger. All of it may be lost: what was handed out comes again.
//!
//! A live position is in exactly one of three states. *Out*: handed to somebody, or on its way
//! to be settled or returned. *Returned*: was out and may go out again. *Fresh*: neither; those
//! at or above the cursor, and below it none. A consumer with a filter takes fresh positions in
//! any order and leaves the cursor where it is.
//!
//! A step of a queue looks only at consumers that could take something, and stops when nothing is
//! free. Caveat: while something is free that no filter lets through or that is in strands of others,
//! it looks at each of them.

mod asked;
mod choose;
mod consumers;
mod line;
mod pump;
mod queue;
mod reads;
mod rewinds;
mod serve;
mod settling;
mod strands;
mod sweep;
mod wanted;

use std::collections::{BTreeSet, VecDeque};

use crate::event::{Effects, Event, PageSlot, QueueStatus, Records};
use crate::filter::Predicate;
use crate::id::{ConsumerId, MessageRef, Millis, QueueId, SessionId, ShardId};
use crate::ledger::{Fact, Ledger, QueueLedger};
use crate::map::IdMap;
use crate::record::Record;
pub(crate) use asked::{Asked, RECORDS_MAX};
use consumers::{Consumer, Session};
use queue::{Get, Out, QueueDispatch, Stall};
use reads::Reads;
use sweep::Sweep;
use wanted::Wanted;
pub use wanted::{Doomed, Fate};

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

    /// A queue of the ledger, and what is kept of it here, made on first use.
    fn queue<'a, 'b>(
        queues: &'a mut IdMap<QueueId, QueueDispatch>,
        id: QueueId,
        ledger: &'b Ledger,
    ) -> Option<(&'a mut QueueDispatch, &'b QueueLedger)> {
        let known = ledger.queue(id)?;
        let state = queues.entry(id).or_insert_with(|| QueueDispatch {
            redelivered_below: known.redelivered_below(),
            offered_wanted: known.offered(),
            ..QueueDispatch::default()
        });
        Some((state, known))
    }

    /// Something may be handed out there.
    pub fn mark_dirty(&mut self, queue: QueueId, ledger: &Ledger) {
        if let Some((state, _)) = Self::queue(&mut self.queues, queue, ledger)
            && !state.is_dirty
        {
            state.is_dirty = true;
            self.dirty.push_back(queue);
        }
    }

    /// Facts to be logged, and whether somebody waits for them.
    pub fn take_facts(&mut self) -> (impl Iterator<Item = Fact> + '_, bool) {
        let must_sync = std::mem::take(&mut self.wanted.must_sync);
        // Drained, so that the room is there for the next ones: this is asked after each command.
        (self.wanted.facts.drain(..), must_sync)
    }

    /// Messages that shall go elsewhere.
    pub fn take_doomed(&mut self) -> Vec<Doomed> {
        std::mem::take(&mut self.wanted.doomed)
    }

    pub fn has_work(&self) -> bool {
        !self.dirty.is_empty() || !self.wanted.is_empty() || self.reads.has_work()
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

    /// A queue is gone, and everything about it.
    pub fn removed(&mut self, queue: QueueId, effects: &mut Effects) {
        let Some(state) = self.queues.remove(&queue) else {
            return;
        };
        self.wanted.queue_removed(queue);
        if let Some(at) = state.check {
            self.checks.remove(&(at, queue));
        }
        for get in &state.gets {
            effects.events.push(Event::Got {
                session: get.session,
                token: get.token,
                delivery: None,
                ready: 0,
            });
        }
        for consumer in state.line.ids() {
            let gone = self
                .consumers
                .remove(&consumer)
                .expect("attached to this queue");
            if let Some(session) = self.sessions.get_mut(&gone.session) {
                session.consumers.remove(&consumer);
            }
            effects.events.push(Event::Cancelled {
                session: gone.session,
                consumer,
            });
        }
    }

    /// A queue at a glance.
    pub fn status(&self, queue: QueueId, ledger: &Ledger) -> Option<QueueStatus> {
        let known = ledger.queue(queue)?;
        let Some(state) = self.queues.get(&queue) else {
            return Some(QueueStatus {
                ready: known.pages.live(),
                ..QueueStatus::default()
            });
        };
        Some(QueueStatus {
            ready: state.ready(known),
            unsettled: state.leased,
            consumers: u32::try_from(state.line.receivers()).unwrap_or(u32::MAX),
        })
    }

    /// A page came from the page file, or went meanwhile: whoever waits for it goes on.
    pub fn page_loaded(&mut self, slot: PageSlot, ledger: &Ledger) {
        self.asked.page_came(slot);
        self.wanted.page_came(slot, ledger);
    }

    /// A record that was asked for can be read now.
    pub fn record_came(&mut self, message: MessageRef) {
        self.asked.record_came(message);
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
        self.wake_stalled(ledger, records);
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
        self.advance_sweep(ledger, now, effects);
        for slot in self.wanted.unread_pages() {
            self.asked.page(slot, now, effects);
        }
        self.reads
            .advance(ledger, now, records, &mut self.asked, effects);
    }

    /// Queues go on whose record or page is there, or must be asked for again.
    fn wake_stalled(&mut self, ledger: &Ledger, records: &dyn Records) {
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
    }
}

/// Whether a filter lets a record through. One that cannot be read is for nobody.
fn lets_through(filter: &Predicate, bytes: &[u8], records: &dyn Records) -> bool {
    let mut matches = false;
    if let Ok(record) = Record::decode(bytes) {
        records.with_properties(&record, &mut |properties| {
            matches = filter.matches(properties);
        });
    }
    matches
}
