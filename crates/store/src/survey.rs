//! A look at a data directory that changes nothing: what lies there, whether a start would be
//! refused and why, and every record, page and frame for tools.
//!
//! Over a [`ReadOnlyDisk`](crate::ReadOnlyDisk) it cannot change anything, over another it does not.
//! Where a server works in the directory, what is told may be outdated while it is being told.

use std::sync::{Arc, Mutex};

use crate::checkpoint::Checkpoint;
use crate::contract::RecoveredCheckpoint;
use crate::disk::Disk;
use crate::error::{LoadError, StoreError};
use crate::ids::{Index, MessageId, NodeId, PageSlot, SegmentKey, Shard};
use crate::pages::{Bitmap, PageFile};
use crate::reader::Reader;
use crate::recovery::{Scan, judge};
use crate::replay::Replay;
use crate::roots::{node_id, segment_files};
use crate::walk::{Frames, Route, Verify};

/// A checkpoint file.
#[derive(Debug)]
pub struct CheckpointRow {
    pub file: String,
    pub sequence: u64,
    pub bytes: u64,
    /// What it says, or why it cannot be believed.
    pub contents: Result<Found, StoreError>,
}

/// What a sound checkpoint says.
#[derive(Debug)]
pub struct Found {
    /// Each shard's last frame that the state contains, and its low-water mark.
    pub shards: Vec<(Shard, Index, Index)>,
    /// Replay begins at this log position.
    pub replay_from: u64,
    pub segments: usize,
    pub pages: usize,
    pub state_bytes: usize,
}

/// A segment file.
#[derive(Clone, Debug)]
pub struct SegmentRow {
    pub key: SegmentKey,
    pub file: String,
    /// Of the file, preallocated room included.
    pub bytes: u64,
    /// The log position where it begins, if that is known.
    pub base: Option<u64>,
    pub state: SegmentState,
    /// First and last index per shard.
    pub ranges: Vec<(Shard, Index, Index)>,
}

/// What a start makes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentState {
    /// The start is refused before it knows.
    Unknown,
    /// No checkpoint that counts needs it.
    NotNeeded,
    /// Its last frame ends at an offset.
    Needed { end: u64, sealed: bool },
}

/// The page file.
#[derive(Clone, Copy, Debug, Default)]
pub struct PagesRow {
    /// Room for so many.
    pub slots: u32,
    /// So many are named by the checkpoint in force.
    pub named: usize,
}

/// What lies in a data directory.
pub struct Survey {
    disk: Arc<dyn Disk>,
    /// `None`: no data directory, or its identity cannot be read; see `refusal`.
    pub node: Option<NodeId>,
    /// Another process works here.
    pub in_use: bool,
    /// Newest first.
    pub checkpoints: Vec<CheckpointRow>,
    pub segments: Vec<SegmentRow>,
    pub pages: PagesRow,
    /// Preallocated segments.
    pub spares: usize,
    /// Why a start would be refused; names file, offset and remedy.
    pub refusal: Option<StoreError>,
    /// What a start would do beside replaying.
    pub notes: Vec<String>,
    /// The log is known to be synced up to here.
    pub synced_to: u64,
    /// The log position where its last frame ends; 0 if a start is refused before that is known.
    pub end: u64,
    scan: Option<Scan>,
    /// The bases that checkpoints tell, and up to where they know the log synced.
    bases: Vec<(SegmentKey, u64)>,
    floor: u64,
    /// While this is held nobody begins to work here.
    _lock: Option<Box<dyn Send>>,
}

/// Looks at a data directory. An error is one of the operating system; damage is part of the
/// outcome.
pub fn inspect(disk: Arc<dyn Disk>) -> Result<Survey, StoreError> {
    let names = disk.list("").map_err(StoreError::io("", "list"))?;
    let (in_use, lock) = match disk.lock("lock") {
        Ok(lock) => (false, Some(lock)),
        Err(error) => (error.kind() == std::io::ErrorKind::WouldBlock, None),
    };
    let mut survey = Survey {
        disk,
        node: None,
        in_use,
        checkpoints: Vec::new(),
        segments: Vec::new(),
        pages: PagesRow::default(),
        spares: 0,
        refusal: None,
        notes: Vec::new(),
        synced_to: 0,
        end: 0,
        scan: None,
        bases: Vec::new(),
        floor: 0,
        _lock: lock,
    };
    match survey.read(&names) {
        Ok(()) => {}
        Err(error @ StoreError::Io { .. }) => return Err(error),
        Err(
            refusal @ (StoreError::Corrupt { .. }
            | StoreError::Unsupported { .. }
            | StoreError::Locked { .. }),
        ) => survey.refusal = Some(refusal),
    }
    Ok(survey)
}

impl Survey {
    fn read(&mut self, names: &[String]) -> Result<(), StoreError> {
        let disk = self.disk.clone();
        // A directory without a log is one that is not born yet, or no data directory at all.
        let logs = disk.list("log").unwrap_or_default();
        self.spares = logs
            .iter()
            .filter(|name| name.starts_with("spare-"))
            .count();
        let files = match logs.is_empty() {
            true => Vec::new(),
            false => segment_files(&*disk)?,
        };
        for key in &files {
            self.segments.push(self.file_row(*key)?);
        }
        self.node = node_id(&*disk, names, &files)?;
        let Some(node) = self.node else {
            return Ok(());
        };
        self.read_checkpoints(node, names)?;
        self.synced_to = self.floor;
        for row in &mut self.segments {
            let known = self.bases.iter().find(|(key, _)| *key == row.key);
            row.base = known.map(|(_, base)| *base);
        }
        let judged = judge(&disk, node, names, &files)?;
        let damaged = judged.roots.damaged.iter();
        self.notes = damaged
            .map(|(name, kept)| format!("{name:?} is set aside as {kept:?}"))
            .collect();
        let scan = judged.scan;
        for row in &mut self.segments {
            let mut known = scan.table.segments.iter();
            let Some(segment) = known.find(|segment| segment.key == row.key) else {
                row.state = SegmentState::NotNeeded;
                continue;
            };
            row.base = Some(segment.base);
            row.state = SegmentState::Needed {
                end: segment.end,
                sealed: segment.seal.is_some(),
            };
            let ranges = segment.ranges.iter();
            row.ranges = ranges
                .map(|range| (range.shard, range.first, range.last))
                .collect();
            self.end = self.end.max(segment.end_position());
        }
        self.synced_to = self.synced_to.max(scan.synced_to());
        self.notes.extend(scan.torn_note());
        let named = scan.named_pages();
        self.scan = Some(scan);
        self.pages.named = named.iter().count();
        // The last thing that can be refused: checkpoint and replay can be read without it.
        if let Some(file) = PageFile::look(&*disk, node, &named)? {
            self.pages.slots = file.slots()?;
        }
        Ok(())
    }

    fn file_row(&self, key: SegmentKey) -> Result<SegmentRow, StoreError> {
        let file = key.file();
        let length = self.disk.open(&file).and_then(|file| file.len());
        Ok(SegmentRow {
            key,
            bytes: length.map_err(StoreError::io(&file, "measure"))?,
            file,
            base: None,
            state: SegmentState::Unknown,
            ranges: Vec::new(),
        })
    }

    fn read_checkpoints(&mut self, node: NodeId, names: &[String]) -> Result<(), StoreError> {
        let sequences = names
            .iter()
            .filter_map(|name| Checkpoint::sequence_of(name));
        let mut sequences: Vec<_> = sequences.collect();
        sequences.sort_unstable_by(|a, b| b.cmp(a));
        for sequence in sequences {
            let file = Checkpoint::file(sequence);
            let length = self.disk.open(&file).and_then(|file| file.len());
            let read = match Checkpoint::read(&*self.disk, node, sequence) {
                Ok(read) => read,
                Err(error @ StoreError::Io { .. }) => return Err(error),
                Err(unknown) => Err(unknown),
            };
            let contents = read.map(|checkpoint| {
                self.floor = self.floor.max(checkpoint.synced_to);
                let segments = checkpoint.segments.iter();
                self.bases
                    .extend(segments.map(|segment| (segment.key, segment.base)));
                Found {
                    shards: checkpoint
                        .shards
                        .iter()
                        .map(|row| (row.shard, row.applied, row.low_water))
                        .collect(),
                    replay_from: checkpoint.replay_from,
                    segments: checkpoint.segments.len(),
                    pages: checkpoint.pages.iter().count(),
                    state_bytes: checkpoint.state.len(),
                }
            });
            self.checkpoints.push(CheckpointRow {
                bytes: length.map_err(StoreError::io(&file, "measure"))?,
                file,
                sequence,
                contents,
            });
        }
        Ok(())
    }

    /// The checkpoint that a start would go on from; `None` as well when a start is refused for
    /// another reason than the page file.
    pub fn checkpoint(&self) -> Option<RecoveredCheckpoint> {
        let chosen = self.scan.as_ref()?.kept.last()?;
        Some(chosen.recovered(chosen.state.clone()))
    }

    /// The frames that a start would replay over the checkpoint; none when it is refused.
    pub fn replay(&self) -> Replay {
        let (node, disk) = (self.node.unwrap_or(NodeId(0)), self.disk.clone());
        let Some(scan) = &self.scan else {
            return Replay::new(disk, node, Vec::new(), Vec::new());
        };
        let applied = scan.kept.last().map(Checkpoint::applied);
        Replay::new(
            disk,
            node,
            scan.stretches.clone(),
            applied.unwrap_or_default(),
        )
    }

    /// A page of the page file, whichever checkpoint names it.
    pub fn page(&self, slot: PageSlot) -> Result<Arc<[u8]>, LoadError> {
        let node = self.node.unwrap_or(NodeId(0));
        let named = [slot].into_iter().collect::<Bitmap>();
        let file = PageFile::look(&*self.disk, node, &named).map_err(LoadError::Failed)?;
        let file = file.expect("a page file that is named is there or refused");
        file.read(slot).map_err(LoadError::Failed)
    }

    /// Records by name, ascending ones fastest; all are gone when a start is refused.
    pub fn records(
        &self,
        ids: &[MessageId],
        deliver: impl FnMut(MessageId, Result<Arc<[u8]>, LoadError>),
    ) {
        let table = self.scan.as_ref().map(|scan| scan.table.clone());
        let table = Arc::new(Mutex::new(table.unwrap_or_default()));
        let node = self.node.unwrap_or(NodeId(0));
        Reader::new(self.disk.clone(), node, table).load(ids, deliver);
    }

    /// Every sound frame that lies in any segment, also where a start is refused.
    pub fn frames(&self) -> Frames {
        Frames::new(self.route())
    }

    /// Checks every checksum of checkpoints, named pages and segments, with progress.
    pub fn verify(&self) -> Verify {
        let route = self.route();
        let named = |row: &CheckpointRow| {
            let read = Checkpoint::read(&*self.disk, route.node, row.sequence);
            read.ok()
                .and_then(Result::ok)
                .map(|checkpoint| checkpoint.pages)
        };
        // The two that count.
        let bitmaps: Vec<_> = self.checkpoints.iter().take(2).filter_map(named).collect();
        let mut slots: Vec<_> = bitmaps.iter().flat_map(Bitmap::iter).collect();
        slots.sort_unstable_by_key(|slot| slot.0);
        slots.dedup();
        let pages = PageFile::look(&*self.disk, route.node, &slots.iter().copied().collect());
        let checkpoints = self.checkpoints.iter().map(|row| (row.sequence, row.bytes));
        let checkpoints = checkpoints.collect();
        Verify::new(route, checkpoints, pages, slots)
    }

    fn route(&self) -> Route {
        Route {
            disk: self.disk.clone(),
            node: self.node.unwrap_or(NodeId(0)),
            // Without an identity no frame can be told from a foreign one.
            files: match self.node {
                Some(_) => self.segments.iter().map(|row| row.key).collect(),
                None => Vec::new(),
            },
            floor: self.floor,
            bases: self.bases.clone(),
        }
    }
}
