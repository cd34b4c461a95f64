//! The store as its owner sees it: nothing here blocks but opening and closing, and
//! [`Store::commit`] for as long as a sync takes on a disk that is quick.

mod driving;
mod merging;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

use self::driving::Drive;
use crate::cache::{ReadCache, TailCache};
use crate::checkpoint::ShardRow;
use crate::contract::{Class, Completion, Durability, Options, Recovered, ShardMark};
use crate::disk::Disk;
use crate::engine::{CheckpointOrder, Engine, Event, Outbox};
use crate::error::{AppendError, StoreError};
use crate::format::SEGMENT_HEADER_BYTES;
use crate::frame::Frame;
use crate::ids::{Index, MessageId, Millis, NodeId, PageSlot, Shard, Term};
use crate::log::Log;
use crate::pages::{Bitmap, PAGE_BYTES, PageSlots};
use crate::pool::{Pool, settled_below};
use crate::queue::{Haste, Job, Queue};
use crate::reader::Reader;
use crate::recovery::{ShardEnd, recover};
use crate::segment::{SegmentTable, seal_room};
use crate::spares::Spares;
use crate::tasks::{Task, Tasks};

/// Checkpoints keep this distance.
const CHECKPOINT_DISTANCE_MS: u64 = 1000;

#[derive(Default)]
struct ShardState {
    end: ShardEnd,
    synced: Index,
    /// Awaited frames that are not durable yet.
    awaited: VecDeque<Index>,
}

/// The log, its pages and its checkpoints, owned by one thread.
pub struct Store {
    node: NodeId,
    shards: Vec<ShardState>,
    tail: TailCache,
    reads: ReadCache,
    pages: PageSlots,
    queue: Arc<Queue>,
    tasks: Arc<Tasks>,
    outbox: Arc<Outbox>,
    table: Arc<Mutex<SegmentTable>>,
    /// Below this log position neither kept checkpoint replays anything.
    settled_below: Arc<AtomicU64>,
    merging: bool,
    drive: Drive,
    segment_bytes: u64,
    /// Something awaited was appended since the last [`Store::commit`].
    uncommitted: bool,
    full: bool,
    poisoned: bool,
    checkpoint_bytes: u64,
    bytes_since_checkpoint: u64,
    checkpointing: bool,
    last_checkpoint: Option<Millis>,
    /// On a full disk, so many checkpoints more let go of what is not needed any more: a file goes
    /// when neither of the two that are kept names it.
    checkpoints_to_come: u32,
    /// Dropped last: another process may come in once everything has ended.
    _lock: Box<dyn Send>,
}

impl Store {
    /// Opens with a log thread and a small pool.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Store, Recovered), StoreError> {
        Store::open_with(disk, options, Drive::threads)
    }

    /// Opens without threads: [`Store::step`] does the work when the caller says so.
    pub fn open_manual(
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Store, Recovered), StoreError> {
        let manual = |engine, pool| Ok(Drive::Manual(Box::new(engine), Arc::new(pool)));
        Store::open_with(disk, options, manual)
    }

    fn open_with(
        disk: Arc<dyn Disk>,
        options: Options,
        drive: impl FnOnce(Engine, Pool) -> Result<Drive, StoreError>,
    ) -> Result<(Store, Recovered), StoreError> {
        let segment_bytes = options.segment_bytes.next_multiple_of(SEGMENT_HEADER_BYTES);
        assert!(
            segment_bytes > SEGMENT_HEADER_BYTES + 2 * seal_room(segment_bytes),
            "a segment has room for frames beside its header and its seal"
        );
        let mut opened = recover(&disk, options.newborn)?;
        let node = opened.node;
        let pages = Arc::new(opened.pages);
        let spares = Arc::new(Spares::open(disk.clone(), segment_bytes)?);
        let table = Arc::new(Mutex::new(opened.table));
        let log = Log::begin(
            disk.clone(),
            node,
            table.clone(),
            spares.clone(),
            segment_bytes,
            opened.upcoming,
        )?;
        let checkpoint = opened.kept.last_mut().map(|checkpoint| {
            let state = std::mem::take(&mut checkpoint.state);
            checkpoint.recovered(state)
        });
        // They are large, and nobody asks for the older one again.
        for checkpoint in &mut opened.kept {
            checkpoint.state = Vec::new();
        }
        let settled = Arc::new(AtomicU64::new(settled_below(&opened.kept)));
        let page_maps = opened
            .kept
            .iter()
            .map(|checkpoint| checkpoint.pages.clone())
            .collect();
        let slots = PageSlots::recovered(pages.slots()?, page_maps);
        let queue = Arc::new(Queue::default());
        let tasks = Arc::new(Tasks::default());
        let outbox = Arc::new(Outbox::new(options.waker));
        tasks.push(Task::Refill);
        let engine = Engine {
            log,
            pages: pages.clone(),
            spares: spares.clone(),
            table: table.clone(),
            queue: queue.clone(),
            tasks: tasks.clone(),
            outbox: outbox.clone(),
            next_checkpoint: opened.next_checkpoint,
            unmarked: false,
            failed: false,
        };
        let pool = Pool {
            disk: disk.clone(),
            node,
            reader: Reader::new(disk, node, table.clone()),
            pages,
            spares,
            table: table.clone(),
            tasks: tasks.clone(),
            outbox: outbox.clone(),
            queue: queue.clone(),
            kept: Mutex::new(opened.kept),
            retired: Mutex::new(opened.retired),
            next_generation: AtomicU32::new(opened.next_generation),
            settled_below: settled.clone(),
            merge_bytes_per_second: options.merge_bytes_per_second,
            merge_slice_bytes: options.merge_slice_bytes,
        };
        let shard = |end: &ShardEnd| ShardState {
            end: *end,
            synced: end.last,
            awaited: VecDeque::new(),
        };
        let store = Store {
            node,
            shards: opened.ends.iter().map(shard).collect(),
            tail: TailCache::new(options.tail_bytes_max),
            reads: ReadCache::new(options.read_bytes_max),
            pages: slots,
            queue,
            tasks,
            outbox,
            table,
            settled_below: settled,
            merging: false,
            drive: drive(engine, pool)?,
            segment_bytes,
            uncommitted: false,
            full: false,
            poisoned: false,
            checkpoint_bytes: options.checkpoint_bytes,
            bytes_since_checkpoint: opened.replay_bytes,
            checkpointing: false,
            last_checkpoint: None,
            checkpoints_to_come: 0,
            _lock: opened.lock,
        };
        let frames = opened.replay;
        Ok((
            store,
            Recovered {
                node,
                checkpoint,
                frames,
                notes: opened.notes,
            },
        ))
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The index of the last frame that was appended or recovered.
    pub fn last_index(&self, shard: Shard) -> Index {
        self.state(shard).end.last
    }

    /// No frame of the shard may be older than this.
    pub fn last_time(&self, shard: Shard) -> Millis {
        self.state(shard).end.time
    }

    pub fn last_term(&self, shard: Shard) -> Term {
        self.state(shard).end.term
    }

    /// Every frame up to this one may be applied: those that are awaited are durable.
    pub fn ready(&self, shard: Shard) -> Index {
        let state = self.state(shard);
        match state.awaited.front() {
            Some(first) => Index::new(first.number() - 1),
            None => state.end.last,
        }
    }

    fn state(&self, shard: Shard) -> &ShardState {
        &self.shards[shard.number() as usize]
    }

    /// Hands a frame to the log. Its records can be read at once. What is awaited becomes durable
    /// after the next [`Store::commit`], what is lazy by itself.
    ///
    /// # Panics
    /// When the frame does not follow the shard's last one in index, term and time.
    pub fn append(
        &mut self,
        frame: Frame,
        durability: Durability,
        class: Class,
    ) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        if self.full && class == Class::Ordinary {
            return Err(AppendError::DiskFull);
        }
        let state = &mut self.shards[frame.shard().number() as usize];
        let follows = frame.index() == state.end.last.next()
            && frame.time() >= state.end.time
            && frame.term() >= state.end.term;
        assert!(follows, "{frame:?} does not follow {:?}", state.end);
        state.end = ShardEnd {
            last: frame.index(),
            term: frame.term(),
            time: frame.time(),
        };
        self.bytes_since_checkpoint += frame.disk_bytes();
        let haste = match durability {
            Durability::Awaited => {
                self.uncommitted = true;
                state.awaited.push_back(frame.index());
                Haste::Confirms(frame.messages() as u32)
            }
            Durability::Lazy => Haste::Lazy,
        };
        self.tail.push(frame.clone());
        self.queue.push(Job::Append(frame), haste);
        Ok(())
    }

    /// Keeps a replayed frame in memory, as if it had just been appended.
    pub fn remember(&mut self, frame: Frame) {
        self.tail.push(frame);
        self.trim();
    }

    fn trim(&mut self) {
        let shards = &self.shards;
        self.tail
            .trim(&|shard| shards[shard.number() as usize].synced);
    }

    /// A record that is in memory.
    pub fn record(&self, id: MessageId) -> Option<&[u8]> {
        self.tail
            .record(id)
            .or_else(|| self.reads.record(id).map(|record| &**record))
    }

    /// Reads records back; answered by [`Completion::Loaded`]. Ascending ids share reads.
    pub fn load(&mut self, ids: Vec<MessageId>, tag: u64) {
        let held = |id: MessageId| match self.reads.record(id) {
            Some(record) => Some(record.clone()),
            None => self.tail.record(id).map(Arc::from),
        };
        let wanted: Vec<_> = ids.into_iter().map(|id| (id, held(id))).collect();
        self.tasks.push(Task::Load { tag, wanted });
    }

    /// Writes an index page to a slot of its own. Durable with the checkpoint that names it.
    ///
    /// # Panics
    /// When the page has more than [`PAGE_BYTES`] bytes.
    pub fn write_page(&mut self, page: &[u8]) -> PageSlot {
        assert!(page.len() <= PAGE_BYTES, "a page has at most 8192 bytes");
        let page: Arc<[u8]> = Arc::from(page);
        let slot = self.pages.take(page.clone());
        self.queue.push(Job::Page(slot, page), Haste::Lazy);
        slot
    }

    /// Reads a page back; answered by [`Completion::PageLoaded`].
    pub fn load_page(&mut self, slot: PageSlot, tag: u64) {
        match self.pages.unwritten(slot) {
            Some(page) => {
                let page = Ok(page.clone());
                self.outbox.push(Event::PageLoaded { tag, slot, page });
            }
            None => self.tasks.push(Task::Page { tag, slot }),
        }
    }

    /// The page is needed no more; its slot is used again once no kept checkpoint names it.
    pub fn free_page(&mut self, slot: PageSlot) {
        self.pages.free(slot);
    }

    /// Whether [`Store::checkpoint`] should be called now.
    pub fn needs_checkpoint(&self, now: Millis) -> bool {
        self.checkpoint_due().is_some_and(|at| at <= now)
    }

    /// When [`Store::checkpoint`] should be called, as far as is known now.
    pub fn checkpoint_due(&self) -> Option<Millis> {
        let is_due = match self.full {
            // Only a checkpoint gives room back.
            true => self.bytes_since_checkpoint > 0 || self.checkpoints_to_come > 0,
            false => self.bytes_since_checkpoint >= self.checkpoint_bytes,
        };
        let rested = |last: Millis| Millis(last.0 + CHECKPOINT_DISTANCE_MS);
        (is_due && self.can_checkpoint()).then(|| self.last_checkpoint.map_or(Millis(0), rested))
    }

    /// No checkpoint is being written.
    pub fn can_checkpoint(&self) -> bool {
        !self.checkpointing && !self.poisoned
    }

    /// Writes a checkpoint: `state` contains every frame up to `applied` of each shard and names
    /// `pages`. Answered by [`Completion::Checkpointed`] or [`Completion::CheckpointFailed`].
    ///
    /// # Panics
    /// When one is being written, or a shard's `applied` lies beyond its last frame.
    pub fn checkpoint(
        &mut self,
        state: Vec<u8>,
        marks: &[ShardMark],
        pages: impl IntoIterator<Item = PageSlot>,
        now: Millis,
    ) {
        assert!(!self.checkpointing, "one checkpoint at a time");
        let row = |mark: &ShardMark| {
            let end = self.state(mark.shard).end;
            assert!(mark.applied <= end.last, "{mark:?} lies beyond {end:?}");
            let ShardMark {
                shard,
                applied,
                low_water,
            } = *mark;
            ShardRow {
                shard,
                applied,
                low_water,
                term: end.term,
                time: end.time,
            }
        };
        let shards = marks.iter().map(row).collect();
        let pages: Bitmap = pages.into_iter().collect();
        self.pages.checkpoint_begun(pages.clone());
        self.checkpointing = true;
        self.last_checkpoint = Some(now);
        let others = self.checkpoints_to_come.saturating_sub(1);
        self.checkpoints_to_come = match self.bytes_since_checkpoint {
            0 => others,
            _ => others.max(1),
        };
        self.bytes_since_checkpoint = 0;
        let order = CheckpointOrder {
            state,
            shards,
            pages,
        };
        self.queue
            .push(Job::Checkpoint(Box::new(order)), Haste::Soon);
    }

    /// Ordinary frames are refused.
    pub fn disk_full(&self) -> bool {
        self.full
    }

    /// Bytes of memory that the caches hold: newest frames, records read back.
    pub fn cached_bytes(&self) -> (usize, usize) {
        (self.tail.bytes(), self.reads.bytes())
    }

    /// What happened since the last call; to be called after the waker was.
    pub fn poll(&mut self) -> Vec<Completion> {
        let mut completions = Vec::new();
        for event in self.outbox.take() {
            match event {
                Event::Synced(lasts) => {
                    for (shard, index) in lasts {
                        let state = &mut self.shards[shard.number() as usize];
                        state.synced = index;
                        while state.awaited.front().is_some_and(|first| *first <= index) {
                            state.awaited.pop_front();
                        }
                        completions.push(Completion::Synced { shard, index });
                    }
                    self.trim();
                }
                Event::PagesWritten(slots) => {
                    slots.into_iter().for_each(|slot| self.pages.written(slot));
                }
                Event::Loaded { tag, records } => {
                    for (id, record) in &records {
                        if let Ok(record) = record
                            && self.tail.record(*id).is_none()
                        {
                            self.reads.insert(*id, record.clone());
                        }
                    }
                    completions.push(Completion::Loaded { tag, records });
                }
                Event::PageLoaded { tag, slot, page } => {
                    completions.push(Completion::PageLoaded { tag, slot, page });
                }
                Event::Checkpointed => {
                    self.checkpointing = false;
                    self.pages.checkpoint_done();
                    completions.push(Completion::Checkpointed);
                }
                Event::CheckpointFailed(error) => {
                    self.checkpointing = false;
                    self.checkpoints_to_come += 1;
                    self.pages.checkpoint_failed();
                    self.bytes_since_checkpoint = self.checkpoint_bytes;
                    completions.push(Completion::CheckpointFailed(error));
                }
                Event::Merged {
                    bytes_before,
                    bytes_after,
                } => {
                    self.merging = false;
                    self.checkpoints_to_come = 2;
                    completions.push(Completion::Merged {
                        bytes_before,
                        bytes_after,
                    });
                }
                Event::MergeAbandoned => {
                    self.merging = false;
                    completions.push(Completion::MergeAbandoned);
                }
                Event::MergeFailed(error) => {
                    self.merging = false;
                    completions.push(Completion::MergeFailed(error));
                }
                Event::DiskFull => {
                    self.full = true;
                    self.checkpoints_to_come = 2;
                    completions.push(Completion::DiskFull);
                }
                Event::DiskFreed => {
                    self.full = false;
                    completions.push(Completion::DiskFreed);
                }
                Event::Fault(error) => {
                    self.poisoned = true;
                    completions.push(Completion::Fault(error));
                }
            }
        }
        completions
    }

    /// Writes everything, seals the log, ends the threads.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.end();
        let faults = self
            .poll()
            .into_iter()
            .find_map(|completion| match completion {
                Completion::Fault(error) => Some(error),
                Completion::Synced { .. }
                | Completion::Loaded { .. }
                | Completion::PageLoaded { .. }
                | Completion::Checkpointed
                | Completion::CheckpointFailed(_)
                | Completion::Merged { .. }
                | Completion::MergeAbandoned
                | Completion::MergeFailed(_)
                | Completion::DiskFull
                | Completion::DiskFreed => None,
            });
        faults.map_or(Ok(()), Err)
    }
}

impl Drop for Store {
    /// With threads the same as [`Store::close`]; without, the same as a crash.
    fn drop(&mut self) {
        if let Drive::Threads(_, threads) = &self.drive
            && !threads.is_empty()
        {
            self.end();
        }
    }
}
