//! What the pool does: loads, checkpoints and the deleting that follows them, spares, and slices of
//! making a cold segment.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::cold::{Making, Progress, discard};
use crate::disk::{Disk, remove_in_pieces};
use crate::engine::{Event, LoadedRecords, Outbox};
use crate::error::{LoadError, StoreError};
use crate::ids::{MessageId, NodeId, SegmentKey};
use crate::pages::PageFile;
use crate::queue::Queue;
use crate::reader::Reader;
use crate::segment::{Segment, SegmentTable};
use crate::spares::Spares;
use crate::tasks::{Merge, Task, Tasks};

/// The work of the pool's threads.
pub(crate) struct Pool {
    pub disk: Arc<dyn Disk>,
    pub node: NodeId,
    pub reader: Reader,
    pub pages: Arc<PageFile>,
    pub spares: Arc<Spares>,
    pub table: Arc<Mutex<SegmentTable>>,
    pub tasks: Arc<Tasks>,
    pub outbox: Arc<Outbox>,
    pub queue: Arc<Queue>,
    /// The kept checkpoints, older first, without states.
    pub kept: Mutex<Vec<Checkpoint>>,
    /// Segments that became cold and are still named by a kept checkpoint.
    pub retired: Mutex<Vec<SegmentKey>>,
    pub next_generation: AtomicU32,
    /// Below this log position neither kept checkpoint replays anything.
    pub settled_below: Arc<AtomicU64>,
    pub merge_bytes_per_second: u64,
    pub merge_slice_bytes: usize,
}

/// Below this log position neither kept checkpoint replays anything.
pub(crate) fn settled_below(kept: &[Checkpoint]) -> u64 {
    match kept {
        [older, newer] => older.replay_from.min(newer.replay_from),
        _ => 0,
    }
}

impl Pool {
    /// One thread of the pool.
    pub fn run(&self) {
        while let Some(task) = self.tasks.wait() {
            self.perform(task);
        }
    }

    pub fn perform(&self, task: Task) {
        let event = match task {
            Task::Load { tag, wanted } => Event::Loaded {
                tag,
                records: self.load(wanted),
            },
            Task::Page { tag, slot } => {
                let page = self.pages.read(slot).map_err(LoadError::Failed);
                Event::PageLoaded { tag, slot, page }
            }
            Task::Checkpoint(checkpoint) => match self.checkpoint(*checkpoint) {
                Ok(()) => {
                    self.outbox.push(Event::Checkpointed);
                    return self.refill();
                }
                Err(error) if error.is_full() => {
                    self.outbox.push(Event::CheckpointFailed(error));
                    return self.refill();
                }
                Err(error) => Event::Fault(error),
            },
            Task::Refill => return self.refill(),
            Task::Merge(merge) => match self.merge(*merge) {
                Ok(Some(event)) => {
                    self.outbox.push(event);
                    // The copy may have taken a spare's room, and may have given it back.
                    if self.spares.is_short() {
                        self.refill();
                    }
                    return;
                }
                Ok(None) => return,
                Err(error) => Event::Fault(error),
            },
        };
        self.outbox.push(event);
    }

    /// A slice of making a cold segment; tells how it ended.
    fn merge(&self, merge: Merge) -> Result<Option<Event>, StoreError> {
        let mut making = match merge {
            Merge::Begun(making) => making,
            Merge::Ordered { run, live } => {
                let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
                let table = self.table.lock().expect("no holder of the table panics");
                let spares = self.spares.clone();
                match Making::new(self.node, spares, &table, &run, generation, live) {
                    Some(making) => making,
                    None => return Ok(Some(Event::MergeAbandoned)),
                }
            }
        };
        match making.slice(&*self.disk, self.merge_slice_bytes) {
            Ok(Progress::Slice(bytes)) => {
                let rate = match self.queue.is_busy() {
                    true => self.merge_bytes_per_second / 4,
                    false => self.merge_bytes_per_second,
                };
                let pause = Duration::from_micros(bytes * 1_000_000 / rate.max(1));
                let task = Task::Merge(Box::new(Merge::Begun(making)));
                self.tasks.push_slow(task, Instant::now() + pause);
                Ok(None)
            }
            Ok(Progress::Made(cold)) => self.merged(&making, cold).map(Some),
            Ok(Progress::Abandoned) => {
                discard(&*self.disk)?;
                Ok(Some(Event::MergeAbandoned))
            }
            Err(error) => {
                // A segment that went in the meantime is no loss.
                let gone = error.is_missing();
                if !(gone || error.is_full() || error.is_corrupt()) {
                    return Err(error);
                }
                discard(&*self.disk)?;
                Ok(Some(match gone {
                    true => Event::MergeAbandoned,
                    false => Event::MergeFailed(error),
                }))
            }
        }
    }

    fn merged(&self, making: &Making, cold: Option<Segment>) -> Result<Event, StoreError> {
        let run = making.run();
        let name = cold.as_ref().map(|segment| segment.key.file());
        let bytes_after = cold.as_ref().map_or(0, |segment| segment.end);
        let mut table = self.table.lock().expect("no holder of the table panics");
        let replaced = table.replace(&run, cold);
        drop(table);
        if replaced {
            let mut retired = self
                .retired
                .lock()
                .expect("no holder of the retired panics");
            retired.extend(run);
            return Ok(Event::Merged {
                bytes_before: making.bytes_before(),
                bytes_after,
            });
        }
        if let Some(name) = name {
            let removed = self.disk.remove(&name);
            removed.map_err(StoreError::io(&name, "remove"))?;
        }
        Ok(Event::MergeAbandoned)
    }

    fn refill(&self) {
        match self.spares.refill() {
            Ok(Some(true)) => self.outbox.push(Event::DiskFull),
            Ok(Some(false)) => self.outbox.push(Event::DiskFreed),
            Ok(None) => {}
            Err(error) => self.outbox.push(Event::Fault(error)),
        }
    }

    fn load(&self, wanted: Vec<(MessageId, Option<Arc<[u8]>>)>) -> LoadedRecords {
        let missing: Vec<_> = wanted
            .iter()
            .filter(|(_, held)| held.is_none())
            .map(|(id, _)| *id)
            .collect();
        let mut read = Vec::with_capacity(missing.len());
        self.reader.load(&missing, |_, record| read.push(record));
        let mut read = read.into_iter();
        wanted
            .into_iter()
            .map(|(id, held)| {
                let next = || read.next().unwrap_or(Err(LoadError::Gone(id)));
                (id, held.map_or_else(next, Ok))
            })
            .collect()
    }

    /// Pages, file, name; then what nobody needs any more goes.
    fn checkpoint(&self, mut checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.pages.sync()?;
        loop {
            match checkpoint.write(&*self.disk, self.node) {
                Ok(()) => break,
                Err(error) if error.is_full() => {
                    if !self.spares.release_one()? {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        checkpoint.state = Vec::new();
        let mut kept = self
            .kept
            .lock()
            .expect("no holder of the checkpoints panics");
        kept.push(checkpoint);
        while kept.len() > 2 {
            let name = Checkpoint::file(kept.remove(0).sequence);
            self.disk
                .remove(&name)
                .map_err(StoreError::io(&name, "remove"))?;
        }
        if let [older, newer] = &kept[..] {
            let replay_from = settled_below(&kept);
            self.settled_below.store(replay_from, Ordering::Relaxed);
            let needed = |shard, last| older.needs(shard, last) || newer.needs(shard, last);
            let mut table = self.table.lock().expect("no holder of the table panics");
            let mut gone = table.take_unneeded(replay_from, &needed);
            drop(table);
            let mut retired = self
                .retired
                .lock()
                .expect("no holder of the retired panics");
            let named = |key: &SegmentKey| older.names(*key) || newer.names(*key);
            gone.extend(retired.extract_if(.., |key| !named(key)));
            drop(retired);
            self.reader.forget(&gone);
            for key in &gone {
                let name = key.file();
                remove_in_pieces(&*self.disk, &name).map_err(StoreError::io(&name, "remove"))?;
            }
        }
        Ok(())
    }
}
