//! What the log thread does, without the thread: [`Engine::drain`] is one group commit. `store` runs
//! it, and the pool, on threads or, for simulations, in the caller's hands. Beside the thread the
//! owner of the store may do a small group itself ([`Engine::commit_small`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::checkpoint::{Checkpoint, ShardRow};
use crate::error::{LoadError, StoreError};
use crate::ids::{Index, MessageId, PageSlot, Shard};
use crate::log::Log;
use crate::pages::{Bitmap, PageFile};
use crate::queue::{Job, Queue, Rest, Wake};
use crate::segment::SegmentTable;
use crate::spares::Spares;
use crate::tasks::{Task, Tasks};

/// Called from a thread of the store when there is something to poll.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Records in the order asked for.
pub type LoadedRecords = Vec<(MessageId, Result<Arc<[u8]>, LoadError>)>;

/// What the threads tell the owner.
pub(crate) enum Event {
    /// Durable up to these.
    Synced(Vec<(Shard, Index)>),
    PagesWritten(Vec<PageSlot>),
    Loaded {
        tag: u64,
        records: LoadedRecords,
    },
    PageLoaded {
        tag: u64,
        slot: PageSlot,
        page: Result<Arc<[u8]>, LoadError>,
    },
    Checkpointed,
    CheckpointFailed(StoreError),
    Merged {
        bytes_before: u64,
        bytes_after: u64,
    },
    MergeAbandoned,
    MergeFailed(StoreError),
    DiskFull,
    DiskFreed,
    Fault(StoreError),
}

/// Events on their way to the owner.
pub(crate) struct Outbox {
    events: Mutex<Vec<Event>>,
    waker: Waker,
}

impl Outbox {
    pub fn new(waker: Waker) -> Outbox {
        Outbox {
            events: Mutex::new(Vec::new()),
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().expect("no holder of the outbox panics")
    }

    pub fn push(&self, event: Event) {
        let mut events = self.lock();
        let first = events.is_empty();
        events.push(event);
        drop(events);
        if first {
            (self.waker)();
        }
    }

    /// For an owner that polls next anyway.
    fn leave(&self, event: Event) {
        self.lock().push(event);
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.lock())
    }
}

/// What the owner wants in a checkpoint.
pub(crate) struct CheckpointOrder {
    pub state: Vec<u8>,
    pub shards: Vec<ShardRow>,
    pub pages: Bitmap,
}

/// The log thread's work. Who takes jobs from the queue has the engine while it does.
pub(crate) struct Engine {
    pub log: Log,
    pub pages: Arc<PageFile>,
    pub spares: Arc<Spares>,
    pub table: Arc<Mutex<SegmentTable>>,
    pub queue: Arc<Queue>,
    pub tasks: Arc<Tasks>,
    pub outbox: Arc<Outbox>,
    pub next_checkpoint: u64,
    pub unmarked: bool,
    /// Nothing is written any more.
    pub failed: bool,
}

/// Whether the log goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    End,
}

impl Engine {
    /// The log thread.
    pub fn run(engine: &Mutex<Engine>) {
        let lock = || engine.lock().expect("no holder of the log panics");
        let (queue, outbox) = {
            let engine = lock();
            (engine.queue.clone(), engine.outbox.clone())
        };
        let mut rest = lock().rest();
        loop {
            let wake = queue.wait(rest);
            let mut engine = lock();
            if engine.failed {
                return;
            }
            let outcome = match wake {
                Wake::Jobs => {
                    let jobs = queue.take();
                    engine.drain(jobs, &|event| outbox.push(event))
                }
                // A small group came meanwhile: the pause begins anew.
                Wake::Idle if queue.is_running() => Ok(Next::GoOn),
                Wake::Idle => engine.idle().map(|()| Next::GoOn),
            };
            match outcome {
                Ok(Next::GoOn) => rest = engine.rest(),
                Ok(Next::End) => return,
                Err(fault) => {
                    engine.failed = true;
                    return outbox.push(Event::Fault(fault));
                }
            }
        }
    }

    fn rest(&self) -> Rest {
        match (self.unmarked, self.spares.is_full()) {
            (true, _) => Rest::Unmarked,
            (false, true) => Rest::Full,
            (false, false) => Rest::Quiet,
        }
    }

    /// Commits what waits if that is little; `false` leaves it to the log thread.
    pub fn commit_small(&mut self) -> bool {
        if self.failed {
            return false;
        }
        let Some(jobs) = self.queue.take_small(self.log.room()) else {
            return false;
        };
        let outbox = self.outbox.clone();
        let was_marked = !self.unmarked;
        if let Err(fault) = self.drain(jobs, &|event| outbox.leave(event)) {
            self.failed = true;
            outbox.leave(Event::Fault(fault));
        }
        if was_marked {
            // It sleeps without an end, and the log is to be marked once it pauses.
            self.queue.look_after();
        }
        true
    }

    /// One group commit: writes all, syncs once, tells the owner, prepares for the next.
    pub fn drain(&mut self, jobs: Vec<Job>, tell: &dyn Fn(Event)) -> Result<Next, StoreError> {
        let mut frames = Vec::with_capacity(jobs.len());
        let mut pages = Vec::new();
        let mut orders = Vec::new();
        let mut next = Next::GoOn;
        for job in jobs {
            match job {
                Job::Append(frame) => frames.push(frame),
                Job::Page(slot, bytes) => pages.push((slot, bytes)),
                Job::Checkpoint(order) => orders.push(order),
                Job::Close => next = Next::End,
            }
        }
        if !frames.is_empty() {
            self.log.write(&frames)?;
            let start = Instant::now();
            self.log.sync()?;
            let took = start.elapsed();
            self.unmarked = true;
            let mut lasts = BTreeMap::new();
            let mut messages = 0;
            for frame in &frames {
                messages += frame.messages() as u32;
                lasts.insert(frame.shard(), frame.index());
            }
            self.queue.synced(messages, took);
            tell(Event::Synced(lasts.into_iter().collect()));
        }
        if !pages.is_empty() {
            for (slot, bytes) in &pages {
                self.write_page(*slot, bytes)?;
            }
            let slots = pages.into_iter().map(|(slot, _)| slot).collect();
            tell(Event::PagesWritten(slots));
        }
        for order in orders {
            self.prepare_checkpoint(*order)?;
        }
        if next == Next::End {
            self.log.close()?;
        } else if self.spares.is_short() && !self.spares.is_full() {
            self.tasks.push(Task::Refill);
        }
        Ok(next)
    }

    /// Nothing came for a while.
    pub fn idle(&mut self) -> Result<(), StoreError> {
        if self.unmarked {
            self.log.mark()?;
            self.unmarked = false;
        }
        if self.spares.is_full() {
            self.tasks.push(Task::Refill);
        }
        Ok(())
    }

    fn write_page(&self, slot: PageSlot, bytes: &[u8]) -> Result<(), StoreError> {
        loop {
            match self.pages.write(slot, bytes) {
                Err(error) if error.is_full() && self.spares.release_one()? => {}
                outcome => return outcome,
            }
        }
    }

    /// The log is durable beyond everything that the state contains: lazy frames were written and
    /// synced in the same drain, before.
    fn prepare_checkpoint(&mut self, order: CheckpointOrder) -> Result<(), StoreError> {
        let synced_to = self.log.synced();
        let table = self.table.lock().expect("no holder of the table panics");
        let mut replay_from = synced_to;
        for (shard, last) in table.lasts() {
            let row = order.shards.iter().find(|row| row.shard == shard);
            let applied = row.map_or(Index::ZERO, |row| row.applied);
            if applied >= last {
                continue;
            }
            // The first frame that replay needs; gone indexes below were applied long ago.
            let from = table.find(shard, applied.next());
            replay_from = replay_from.min(from.map_or(0, |point| point.base + point.offset));
        }
        let mut segments: Vec<_> = table.segments.iter().cloned().collect();
        drop(table);
        for segment in &mut segments {
            segment.forget_points();
        }
        let CheckpointOrder {
            state,
            shards,
            pages,
        } = order;
        let sequence = self.next_checkpoint;
        self.next_checkpoint += 1;
        self.tasks.push(Task::Checkpoint(Box::new(Checkpoint {
            sequence,
            replay_from,
            synced_to,
            shards,
            segments,
            pages,
            state,
        })));
        Ok(())
    }
}
