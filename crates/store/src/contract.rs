//! What the store and its owner say to each other.

use std::sync::Arc;

use crate::engine::{LoadedRecords, Waker};
use crate::error::{LoadError, StoreError};
use crate::ids::{Index, NodeId, PageSlot, Shard};
use crate::replay::Replay;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The identity of a data directory that is not there yet; random.
    pub newborn: NodeId,
    /// Bytes of a segment file.
    pub segment_bytes: u64,
    /// Budget of the newest frames in memory.
    pub tail_bytes_max: usize,
    /// Budget of records read back.
    pub read_bytes_max: usize,
    /// A checkpoint is due after so many bytes of log.
    pub checkpoint_bytes: u64,
    /// Cold segments are made at this pace, reading and writing counted, and at a quarter of it while
    /// the log is busy.
    pub merge_bytes_per_second: u64,
    /// A pause comes after so many of them.
    pub merge_slice_bytes: usize,
    /// Called when [`Store::poll`] has something to tell; from any thread, also from `append`.
    pub waker: Waker,
}

impl Options {
    pub fn new(newborn: NodeId, waker: Waker) -> Options {
        Options {
            newborn,
            segment_bytes: 64 << 20,
            tail_bytes_max: 4 << 20,
            read_bytes_max: 4 << 20,
            checkpoint_bytes: 128 << 20,
            merge_bytes_per_second: 32 << 20,
            merge_slice_bytes: 256 << 10,
            waker,
        }
    }
}

/// What opening found.
pub struct Recovered {
    pub node: NodeId,
    pub checkpoint: Option<RecoveredCheckpoint>,
    /// To be read to its end before the first append.
    pub frames: Replay,
    /// For the operator's log: what was cut off, what was set aside.
    pub notes: Vec<String>,
}

/// The root that replay starts from.
#[derive(Debug)]
pub struct RecoveredCheckpoint {
    /// As given to [`Store::checkpoint`].
    pub state: Vec<u8>,
    pub applied: Vec<(Shard, Index)>,
    pub pages: Vec<PageSlot>,
}

/// Who waits for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Somebody is answered once it is durable.
    Awaited,
    /// Nobody: durable with the next group, within 10 ms.
    Lazy,
}

/// What a full disk does to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// New messages: refused.
    Ordinary,
    /// Settlements, cursors, votes, decisions: what drains the disk. Goes on.
    Essential,
}

/// What a checkpoint says of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardMark {
    pub shard: Shard,
    /// The state contains every frame up to this one.
    pub applied: Index,
    /// The smallest index whose records are still needed; `applied.next()` when none is.
    pub low_water: Index,
}

/// What happened since the last poll.
#[derive(Debug)]
pub enum Completion {
    /// Every frame of the shard up to this one is durable. See also [`Store::ready`].
    Synced {
        shard: Shard,
        index: Index,
    },
    /// Answer to [`Store::load`].
    Loaded {
        tag: u64,
        records: LoadedRecords,
    },
    /// Answer to [`Store::load_page`].
    PageLoaded {
        tag: u64,
        slot: PageSlot,
        page: Result<Arc<[u8]>, LoadError>,
    },
    /// The checkpoint is durable, and what it made superfluous is gone.
    Checkpointed,
    /// The disk had no room for it; it falls due again.
    CheckpointFailed(StoreError),
    /// Answer to [`Store::merge`](crate::Store::merge): the run became one cold segment, or none when
    /// nothing of it was live. The old files go with the second checkpoint from now.
    Merged {
        bytes_before: u64,
        bytes_after: u64,
    },
    /// The run was not what it had been any more; nothing changed.
    MergeAbandoned,
    /// No room, or a segment of the run is damaged; nothing changed.
    MergeFailed(StoreError),
    /// Ordinary frames are refused from now on.
    DiskFull,
    DiskFreed,
    /// A write or sync failed: nothing more becomes durable, the process must stop.
    Fault(StoreError),
}
