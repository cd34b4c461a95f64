//! The broker and the store, and the way between them: frames to the log, completions to the
//! node, records and pages back. What the broker decides is performed here and nowhere else.
//!
//! Caveats: while the disk is full the node refuses new messages; what it had taken before, what
//! it moves itself, and what nobody would hear of if it were refused, still goes into the room that
//! the log keeps for settlements. When that room is used up, too, the process stops. A message that
//! the log does not hold any more when it is read back is passed over: it was settled in the
//! meantime.

mod cold;
#[cfg(test)]
mod fixture;
mod repair;
#[cfg(test)]
mod simulation;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use broker::event::{Effects, Event, Frame, Load, PageSlot, Records};
use broker::id::{Index, MessageRef, Millis, ShardId};
use broker::node::{Checkpoint, Node};
use broker::pass::Pass;
use broker::properties::Properties;
use broker::record::Record;
use broker::topology::Topology;
use store::{
    Class, Completion, Disk, Durability, FrameBuilder, LoadError, MessageId, NodeId, Options,
    Recovered, Shard, ShardMark, Store, Term,
};

pub(crate) use repair::rebuild as rebuild_pages;

use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Fault;
use crate::founding::founding;
use crate::volatile::{Came, Sizes, VolatileBodies};
use cold::Cold;

/// The one log shard of a node that is no cluster.
const SHARD: Shard = Shard::new(ShardId::LOG.0);
/// Where the volatile queues spill, in the data directory.
const SPILL_FOLDER: &str = "volatile";
/// There is no election without a cluster.
const TERM: Term = Term(0);

pub(crate) struct Engine {
    node: Node,
    bodies: Bodies,
    cold: Cold,
    effects: Effects,
    next_tag: u64,
    /// Frames that are not known synced, and their bytes.
    unsynced: VecDeque<(Index, usize)>,
    unsynced_bytes: usize,
    /// Used again for every head.
    meta: Vec<u8>,
}

/// The records that can be read now.
pub(crate) struct Bodies {
    store: Store,
    volatile: VolatileBodies,
    /// Just read back: kept until the node had one step to use them, whatever the caches' budgets.
    loaded: HashMap<MessageRef, Arc<[u8]>>,
}

impl Records for Bodies {
    fn record(&self, message: MessageRef) -> Option<&[u8]> {
        if message.shard() == ShardId::VOLATILE {
            return self.volatile.record(message);
        }
        let id = MessageId::from_number(message.as_u64())?;
        self.store
            .record(id)
            .or_else(|| self.loaded.get(&message).map(|record| &**record))
    }

    fn with_properties(&self, record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties)) {
        gateway::view::with_properties(record, look);
    }
}

impl Engine {
    /// Recovers what the data directory holds. `ring` is called by the store's threads when
    /// [`Engine::complete`] has something to do.
    pub fn open(
        config: &Config,
        disk: Arc<dyn Disk>,
        ring: Arc<dyn Fn() + Send + Sync>,
        clock: &mut Clock,
    ) -> Result<Engine, Fault> {
        let mut newborn = [0; 16];
        getrandom::fill(&mut newborn)?;
        let mut options = Options::new(NodeId(u128::from_le_bytes(newborn)), ring);
        options.merge_bytes_per_second = config.limits.merge_bytes_per_second;
        Engine::open_with(config, disk, options, clock)
    }

    /// The same, over a store of other sizes: a test wants small files.
    fn open_with(
        config: &Config,
        disk: Arc<dyn Disk>,
        options: Options,
        clock: &mut Clock,
    ) -> Result<Engine, Fault> {
        let ring = Arc::clone(&options.waker);
        let mut engine = Engine::recover(config, Store::open(disk, options)?, |floor| {
            *clock = Clock::not_before(floor);
            clock.now()
        })?;
        let folder = config.data_dir.0.join(SPILL_FOLDER);
        let sizes = Sizes::new(config.limits.volatile_bytes);
        engine.bodies.volatile = VolatileBodies::new(folder, sizes, ring);
        Ok(engine)
    }

    /// Brings the node to where an opened store's log ends. `now` is given the newest time that
    /// the log has seen.
    fn recover(
        config: &Config,
        (mut store, recovered): (Store, Recovered),
        now: impl FnOnce(Millis) -> Millis,
    ) -> Result<Engine, Fault> {
        let Recovered {
            node: identity,
            checkpoint,
            frames,
            notes,
        } = recovered;
        for note in notes {
            tracing::warn!("{note}");
        }
        let mut node = match checkpoint {
            Some(checkpoint) => {
                Node::restore(founding(config), &checkpoint.state).map_err(Fault::Restore)?
            }
            None => Node::new(founding(config)),
        };
        node.retain(config.retention.as_broker());
        let mut replayed = 0u64;
        for frame in frames {
            let frame = frame?;
            let index = Index(frame.index().number());
            let mut metas = frame.heads().map(|head| (head.record_bytes, head.meta));
            node.replay(index, Millis(frame.time().0), &mut metas, frame.facts())
                .map_err(|reason| Fault::Replay {
                    index: index.0,
                    reason,
                })?;
            store.remember(frame);
            replayed += 1;
        }
        node.recovered(now(Millis(store.last_time(SHARD).0)));
        let data_dir = config.data_dir.0.display();
        tracing::info!(%identity, replayed, %data_dir, "log recovered");
        let bodies = Bodies {
            store,
            volatile: VolatileBodies::in_memory(),
            loaded: HashMap::new(),
        };
        let cold = Cold::new(config.limits.garbage_bytes, bodies.store.segment_bytes());
        Ok(Engine {
            node,
            bodies,
            cold,
            effects: Effects::default(),
            next_tag: 0,
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            meta: Vec::new(),
        })
    }

    /// Born with the data directory.
    pub fn identity(&self) -> u128 {
        self.bodies.store.node().0
    }

    pub fn topology(&self) -> &Topology {
        self.node.topology()
    }

    pub fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    pub fn has_work(&self) -> bool {
        self.node.has_work() || self.bodies.volatile.has_answers() || self.cold.has_work()
    }

    pub fn deadline(&self) -> Option<Millis> {
        let spill = self.bodies.volatile.deadline();
        let due = self.bodies.store.checkpoint_due().map(|at| Millis(at.0));
        self.node
            .deadline()
            .into_iter()
            .chain(spill)
            .chain(due)
            .min()
    }

    /// Hands a pass to the node and does with the outcome everything but telling the doors:
    /// their events are to be taken next. Returns how many messages were stored.
    pub fn step(&mut self, pass: Pass, now: Millis) -> Result<usize, Fault> {
        self.take_spilled()?;
        self.node.handle(pass, now, &mut self.effects);
        let mut messages = 0;
        for frame in std::mem::take(&mut self.effects.frames) {
            messages += frame.heads.len();
            self.append(frame)?;
        }
        self.node.advance(now, &self.bodies, &mut self.effects);
        assert!(
            self.effects.frames.is_empty(),
            "frames come out of handling a pass"
        );
        for load in std::mem::take(&mut self.effects.loads) {
            self.load(load);
        }
        self.spill(now);
        self.cold
            .step(&self.node, &mut self.bodies.store, &mut self.next_tag);
        Ok(messages)
    }

    /// Gives the disk what the volatile shard has too much of in memory.
    fn spill(&mut self, now: Millis) {
        let volatile = &mut self.bodies.volatile;
        for slot in self.effects.freed.drain(..) {
            volatile.free_page(slot);
        }
        if let Some(pages_max) = volatile.pages_max() {
            let write = &mut |page| volatile.keep_page(page);
            self.node.spill(pages_max, write);
            volatile.pages_kept();
        }
        volatile.work(now);
    }

    /// Takes what has come back of that; `true` if the node has to be advanced.
    fn take_spilled(&mut self) -> Result<bool, Fault> {
        let mut stirred = false;
        for came in self.bodies.volatile.poll() {
            stirred = true;
            match came {
                Came::Record(message) => self.node.record_loaded(message),
                Came::RecordGone(message) => self.node.record_gone(message),
                Came::Page(slot, page) => self.page_loaded(slot, &page)?,
                Came::PageGone(slot) => self.node.page_gone(slot),
            }
        }
        Ok(stirred)
    }

    fn page_loaded(&mut self, slot: PageSlot, page: &[u8]) -> Result<(), Fault> {
        self.node
            .page_loaded(slot, page)
            .map_err(|reason| Fault::Page {
                slot: slot.0,
                reason,
            })
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.effects.events)
    }

    /// The emptied list of events, to be filled again, and the end of what was told: records
    /// that nobody holds any more can go.
    pub fn told(&mut self, emptied: Vec<Event>) {
        debug_assert!(emptied.is_empty() && self.effects.events.is_empty());
        self.effects.events = emptied;
        for message in self.effects.released.drain(..) {
            self.bodies.volatile.release(message);
        }
        self.bodies.loaded.clear();
        self.bodies.volatile.trim();
    }

    fn append(&mut self, frame: Frame) -> Result<(), Fault> {
        if frame.shard == ShardId::VOLATILE {
            self.bodies.volatile.insert(frame);
            return Ok(());
        }
        let (index, bytes) = (frame.index.0, frame.records.len());
        let too_large = |_| Fault::FrameTooLarge { index, bytes };
        let sizes = frame.heads.iter().map(|head| head.size);
        let mut builder = FrameBuilder::with_records(frame.records, sizes).map_err(too_large)?;
        for (slot, head) in (0..).zip(frame.heads.iter()) {
            self.meta.clear();
            head.encode_meta(&mut self.meta);
            builder
                .set_meta(store::Slot::new(slot), &self.meta)
                .map_err(too_large)?;
        }
        if !frame.facts.is_empty() {
            builder.push_facts(&frame.facts).map_err(too_large)?;
        }
        let time = store::Millis(frame.time.0);
        let finished = builder.finish(store::Index::new(index), SHARD, TERM, time);
        let durability = if frame.must_sync {
            Durability::Awaited
        } else {
            Durability::Lazy
        };
        let bytes = finished.memory_bytes();
        self.unsynced.push_back((frame.index, bytes));
        self.unsynced_bytes += bytes;
        // The node has counted on the frame, perhaps before it heard that the disk is full.
        let class = if frame.essential || self.bodies.store.disk_full() {
            Class::Essential
        } else {
            Class::Ordinary
        };
        self.bodies
            .store
            .append(finished, durability, class)
            .map_err(Fault::Append)
    }

    fn load(&mut self, load: Load) {
        self.next_tag += 1;
        match load {
            Load::Records(messages) => {
                let (spilled, messages): (Vec<_>, Vec<_>) = messages
                    .into_iter()
                    .partition(|message| message.shard() == ShardId::VOLATILE);
                self.bodies.volatile.ask(&spilled);
                if messages.is_empty() {
                    return;
                }
                let id = |message: MessageRef| MessageId::from_number(message.as_u64());
                let mut ids: Vec<MessageId> = messages.into_iter().filter_map(id).collect();
                // Ascending ones share reads.
                ids.sort_unstable();
                ids.dedup();
                self.bodies.store.load(ids, self.next_tag);
            }
            Load::Page(slot) if slot.is_volatile() => self.bodies.volatile.ask_page(slot),
            Load::Page(slot) => {
                self.bodies.store.load_page(to_store(slot), self.next_tag);
            }
        }
    }

    /// Sees to it that what was appended becomes durable; `true` if it is so already, and
    /// [`Engine::complete`] has it.
    pub fn commit(&mut self) -> bool {
        self.bodies.store.commit()
    }

    /// Whether it would be so already, as far as can be told.
    pub fn commits_itself(&self) -> bool {
        self.bodies.store.commits_itself()
    }

    /// The same, but the caller has other things to do first than to wait for the disk.
    pub fn commit_behind(&mut self) {
        self.bodies.store.commit_behind();
    }

    /// Takes what the store has finished; `true` if the node has to be advanced.
    pub fn complete(&mut self) -> Result<bool, Fault> {
        let mut stirred = self.take_spilled()?;
        for completion in self.bodies.store.poll() {
            match completion {
                Completion::Synced { shard, index } => {
                    if shard == SHARD {
                        self.synced(Index(index.number()));
                        stirred = true;
                    }
                }
                Completion::Loaded { tag: _, records } => {
                    stirred = true;
                    for (id, record) in records {
                        self.loaded(id, record)?;
                    }
                }
                Completion::PageLoaded { tag, slot, page } => {
                    stirred = true;
                    if self.cold.has_asked(tag) {
                        self.cold
                            .page_loaded(page, &self.node, &self.bodies.store)?;
                    } else {
                        let page = page.map_err(|reason| Fault::Load { reason })?;
                        self.page_loaded(from_store(slot), &page)?;
                    }
                }
                Completion::Checkpointed => {
                    tracing::debug!("checkpoint written");
                    self.cold.checkpointed(&self.bodies.store);
                    stirred = true;
                }
                Completion::CheckpointFailed(error) => {
                    tracing::warn!(%error, "a checkpoint could not be written");
                }
                Completion::Merged {
                    bytes_before,
                    bytes_after,
                } => {
                    tracing::info!(bytes_before, bytes_after, "old segments became one");
                    self.cold.merged(&self.bodies.store);
                    stirred = true;
                }
                Completion::MergeAbandoned => {
                    tracing::debug!("a merge was abandoned");
                    self.cold.failed(&self.bodies.store);
                    stirred = true;
                }
                Completion::MergeFailed(error) => {
                    tracing::warn!(%error, "old segments could not be merged");
                    match error.is_full() {
                        true => self.cold.lacked_room(&self.bodies.store),
                        false => self.cold.failed(&self.bodies.store),
                    }
                    stirred = true;
                }
                Completion::DiskFull => {
                    tracing::error!("the disk is full: publishes to the log are refused");
                    self.node.disk_full(true);
                }
                Completion::DiskFreed => {
                    tracing::warn!("the disk has room again");
                    self.node.disk_full(false);
                }
                Completion::Fault(error) => return Err(error.into()),
            }
        }
        Ok(stirred)
    }

    fn synced(&mut self, index: Index) {
        self.node.synced(index);
        while let Some((first, bytes)) = self.unsynced.front().copied()
            && first <= index
        {
            self.unsynced.pop_front();
            self.unsynced_bytes -= bytes;
        }
    }

    /// Bytes in memory because the disk has not caught up with them: frames of the log, and what
    /// volatile queues spill.
    pub fn unsynced_bytes(&self) -> usize {
        self.unsynced_bytes + self.bodies.volatile.unwritten_bytes()
    }

    /// Bytes in memory that grow by publishing and shrink by consuming or by the disk's catching
    /// up.
    pub fn held_bytes(&self) -> usize {
        self.bodies.volatile.bytes() + self.unsynced_bytes
    }

    /// Whether the store has no room for new messages.
    pub fn disk_full(&self) -> bool {
        self.bodies.store.disk_full()
    }

    fn loaded(&mut self, id: MessageId, record: Result<Arc<[u8]>, LoadError>) -> Result<(), Fault> {
        let message = MessageRef::from_u64(id.number());
        let message = message.expect("the store names messages as the broker does");
        match record {
            Ok(record) => {
                self.bodies.loaded.insert(message, record);
                self.node.record_loaded(message);
                Ok(())
            }
            Err(LoadError::Gone(_)) => {
                // Settled in the meantime, or asked for by a name that never was.
                self.node.record_gone(message);
                Ok(())
            }
            Err(reason @ LoadError::Failed(_)) => Err(Fault::Load { reason }),
        }
    }

    pub fn checkpoint_if_due(&mut self, now: Millis) {
        let store = &self.bodies.store;
        let is_wanted = self.node.wants_checkpoint() && store.can_checkpoint();
        if is_wanted || store.needs_checkpoint(store::Millis(now.0)) {
            self.checkpoint(now);
        }
    }

    fn checkpoint(&mut self, now: Millis) {
        let store = &mut self.bodies.store;
        let Checkpoint {
            state,
            at,
            pages,
            freed,
            low_water,
        } = self
            .node
            .checkpoint(&mut |page| from_store(store.write_page(&page)));
        for slot in freed {
            store.free_page(to_store(slot));
        }
        let applied = store::Index::new(at.0);
        let low_water = store::Index::new(low_water.0).min(applied.next());
        tracing::debug!(
            applied = at.0,
            state_bytes = state.len(),
            pages = pages.len(),
            "checkpoint"
        );
        let mark = ShardMark {
            shard: SHARD,
            applied,
            low_water,
        };
        store.checkpoint(
            state,
            &[mark],
            pages.into_iter().map(to_store),
            store::Millis(now.0),
        );
    }

    /// What goes in parts does so no more: nobody is left who could be held up.
    pub fn hurry(&mut self) {
        self.node.go_in_parts(usize::MAX, usize::MAX);
    }

    /// Whether [`Engine::close`] need not wait for a checkpoint that is being written.
    pub fn can_close(&self) -> bool {
        self.bodies.store.can_checkpoint()
    }

    /// Writes a last checkpoint, and everything that waits.
    pub fn close(mut self, now: Millis) -> Result<(), Fault> {
        if self.can_close() {
            self.checkpoint(now);
        }
        Ok(self.bodies.store.close()?)
    }
}

fn to_store(slot: PageSlot) -> store::PageSlot {
    store::PageSlot(u32::try_from(slot.0).expect("page slots come from the store"))
}

fn from_store(slot: store::PageSlot) -> PageSlot {
    PageSlot(u64::from(slot.0))
}
