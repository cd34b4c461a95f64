//! The log: the one place where Troika's messages lie, and the way back to them after a crash.
//!
//! It knows no message semantics. A frame carries records, what is said of each (meta, flags) and
//! facts; all of them are opaque bytes here, and so are index pages and a checkpoint's state. It
//! knows shards, indexes, terms and times, because they give frames their order.
//!
//! - [`FrameBuilder`] copies each record once and sums it once; the finished [`Frame`] is shared by
//!   the tail cache and the log writer, and its sections go from there to `pwritev` uncopied.
//! - [`Store`] belongs to one thread: it appends, commits, and polls for what became durable, was
//!   loaded, or failed. One log thread writes all shards' frames, one group at a time; a pool of two
//!   reads records and pages back, writes checkpoints, and makes [cold segments](Store::merge) of
//!   what is left of old ones. The owner waits for the disk in one case: it writes a small group
//!   itself ([`Store::commit`]) while syncs are quicker than two threads wake each other, and the
//!   first slow sync ends that.
//! - Append, then apply: what may be applied is told by [`Store::ready`].
//! - [`Disk`] is the seam to the world: [`FileDisk`] is the operating system, [`SimDisk`] a
//!   deterministic disk that forgets, tears, fills up and fails. [`Store::open_manual`] runs
//!   without threads, so that a whole node can be simulated.
//! - [`inspect`] looks at a directory without changing it: what lies there, whether a start would
//!   be refused and why, every sound frame.
//!
//! # Invariants
//!
//! - A frame of a shard follows the one before it: index + 1, term and time not smaller.
//! - What [`Completion::Synced`] told is there after any crash, in order, or opening is refused
//!   with an error that names file, offset and remedy. A frame that was not told so is there whole
//!   or not at all, and nothing after a missing one is there.
//! - Torn is what nothing knows synced; all else is damage. Witnesses are the synced position in
//!   every later frame, a later segment, both kept checkpoints, and the mark that is written when
//!   traffic pauses for 10 ms.
//! - Old bytes are never taken for frames: a frame is believed only at its own log position, in its
//!   own segment, of its own node.
//! - A page or segment that one of the two kept checkpoints needs is neither overwritten nor
//!   deleted.
//! - A failed write or sync ends everything ([`Completion::Fault`]); no retry can know what the
//!   kernel dropped.
//!
//! # A full disk
//!
//! Three segments are preallocated. When a new one cannot be, [`Completion::DiskFull`] comes and
//! ordinary frames are refused, while two spares are left for essential frames and checkpoints:
//! settling goes on, a checkpoint deletes what was settled, [`Completion::DiskFreed`] comes. What
//! keeps sparse segments is merged into the room of one of the spares. A start goes on in an empty
//! last segment, and where there is no room for a whole one a smaller one is made: a node can be
//! started as long as there is any room at all.
//!
//! # Caveats
//!
//! - Damage to the very last group that was synced before a power failure within 10 ms cannot be
//!   told from a torn write: nothing later was written.
//! - A frame larger than a segment, accepted while the disk is full, takes the spares' room; if
//!   even that is too small, the store faults.
//! - Kinds for a cluster have their numbers, and a log that holds one is refused by this version.
//! - A start reads of a cold segment what it reads of any that it does not replay: the index in its
//!   seal. Damage to the rest is found when a record is read, merged, or by [`inspect`].
//! - A load of one shard walks over other shards' frames; with many shards a point per 64 KB of a
//!   shard's own frames may lie far before the frame.
//! - Checkpoints clone the segment table while the log thread waits: 2.6 MB per 10 GB of log.
//! - Unix only, for positioned reads and writes.
//!
//! The format, byte by byte, is in [`format`](mod@format), `segment`, `cold`, `pages` and
//! `checkpoint`.

mod error;
mod ids;

mod disk;
mod sim;

pub mod format;
mod frame;

mod cache;
mod checkpoint;
mod cold;
mod contract;
mod engine;
mod held;
mod log;
mod pages;
mod pool;
mod queue;
mod reader;
mod recovery;
mod renewal;
mod replay;
mod roots;
mod run;
mod segment;
mod spares;
mod store;
mod survey;
mod tasks;
mod walk;
mod window;

pub use contract::{
    Class, Completion, Durability, Options, Recovered, RecoveredCheckpoint, ShardMark,
};
pub use disk::{Disk, DiskFile, FileDisk, ReadOnlyDisk};
pub use engine::{LoadedRecords, Waker};
pub use error::{AppendError, LoadError, StoreError};
pub use format::Kind;
pub use frame::{
    FRAME_BYTES_GOAL, FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, Frame, FrameBuilder, FrameFull, Head,
    Heads, RECORD_BYTES_MAX,
};
pub use held::HeldDisk;
pub use ids::{Index, MessageId, Millis, NodeId, PageSlot, SegmentKey, Shard, Slot, Term};
pub use pages::PAGE_BYTES;
pub use renewal::{copy_pages, renew_pages};
pub use replay::Replay;
pub use run::{Candidate, RUN_SEGMENTS_MAX, choose_run};
pub use sim::{Dice, Loss, SimDisk};
pub use store::Store;
pub use survey::{CheckpointRow, Found, PagesRow, SegmentRow, SegmentState, Survey, inspect};
pub use walk::{Frames, Verified, Verify};
