//! From a data directory to a log that goes on: newest valid checkpoint, then replay.
//!
//! Everything is read and judged first; only a directory that can be opened is changed (save for
//! the node and page files of a newborn one). Torn and
//! damaged are told apart by what is known to have been synced: by any later frame, by a later
//! segment, by a checkpoint. A bad frame below that is damage; above it is torn, and is cut off
//! with all that follows. What is left of the unsynced tail is written again before it is synced,
//! since after a failed sync the kernel may hold pages that it wrongly calls clean.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::disk::{Disk, DiskFile, write_at};
use crate::error::{REMEDY_LOG, StoreError};
use crate::format::{
    FrameHeader, Kind, SEGMENT_HEADER_BYTES, VERSION, decode_segment_header, segment_file,
};
use crate::ids::{Index, Millis, NodeId, Shard, Term};
use crate::log::write_seal;
use crate::pages::PageFile;
use crate::reader::refuse;
use crate::replay::{Replay, Stretch};
use crate::roots::{Roots, node_id, segment_files};
use crate::segment::{Range, Segment, SegmentTable};
use crate::window::{Broken, SegmentAt, Window};

pub(crate) const WINDOW_BYTES: usize = 1 << 20;

/// Where a shard's sequence ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShardEnd {
    pub last: Index,
    pub term: Term,
    pub time: Millis,
}

/// A directory that was judged and repaired; its next segment is still to be begun.
pub(crate) struct Opened {
    pub node: NodeId,
    pub lock: Box<dyn Send>,
    pub pages: PageFile,
    /// Kept checkpoints, older first; the last one is in force.
    pub kept: Vec<Checkpoint>,
    pub next_checkpoint: u64,
    pub table: SegmentTable,
    pub next_segment: u32,
    pub next_base: u64,
    pub ends: Vec<ShardEnd>,
    pub replay: Replay,
    pub replay_bytes: u64,
    pub notes: Vec<String>,
}

pub(crate) fn recover(disk: &Arc<dyn Disk>, newborn: NodeId) -> Result<Opened, StoreError> {
    disk.create_dir("").map_err(StoreError::io("", "make"))?;
    disk.create_dir("log")
        .map_err(StoreError::io("log", "make"))?;
    let lock = disk.lock("lock").map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => StoreError::Locked {
            file: "lock".to_owned(),
        },
        _ => StoreError::io("lock", "lock")(error),
    })?;
    let names = disk.list("").map_err(StoreError::io("", "list"))?;
    let files = segment_files(&**disk)?;
    let node = node_id(&**disk, &names, &files, newborn)?;
    let roots = Roots::read(&**disk, node, &names, &files)?;
    let mut scan = Scan::new(disk.clone(), node, roots.kept);
    scan.known_segments(&files)?;
    scan.walk(&files)?;
    scan.join_sequences()?;

    let live = scan
        .kept
        .last()
        .map(|checkpoint| checkpoint.pages.clone())
        .unwrap_or_default();
    let pages = PageFile::open(&**disk, node, &live)?;

    // From here on the directory is changed.
    let mut notes = roots.notes;
    scan.repair_tail(&mut notes)?;
    for number in &scan.leftovers {
        let name = segment_file(*number);
        disk.remove(&name)
            .map_err(StoreError::io(&name, "remove"))?;
    }
    for (from, to) in &roots.damaged {
        disk.rename(from, to)
            .map_err(StoreError::io(to, "rename a damaged checkpoint to"))?;
    }
    let drafts = disk.list("").map_err(StoreError::io("", "list"))?;
    let drafts = drafts.iter().filter(|name| name.ends_with(".tmp"));
    for name in roots.outdated.iter().chain(drafts) {
        disk.remove(name).map_err(StoreError::io(name, "remove"))?;
    }
    disk.sync_dir("log")
        .map_err(StoreError::io("log", "sync"))?;
    disk.sync_dir("").map_err(StoreError::io("", "sync"))?;

    let chosen = scan.kept.last();
    let applied = chosen.map(|c| {
        c.shards
            .iter()
            .map(|row| (row.shard, row.applied))
            .collect()
    });
    let replay_bytes = scan
        .stretches
        .iter()
        .map(|stretch| stretch.end - stretch.start)
        .sum();
    let next_segment = scan
        .table
        .segments
        .back()
        .map_or(1, |segment| segment.number + 1);
    Ok(Opened {
        node,
        lock,
        pages,
        next_checkpoint: roots.next,
        next_segment,
        next_base: scan.end_position,
        ends: scan.ends,
        replay: Replay::new(
            disk.clone(),
            node,
            scan.stretches,
            applied.unwrap_or_default(),
        ),
        replay_bytes,
        table: scan.table,
        kept: scan.kept,
        notes,
    })
}

/// Walks the log and judges it.
struct Scan {
    disk: Arc<dyn Disk>,
    node: NodeId,
    kept: Vec<Checkpoint>,
    table: SegmentTable,
    ends: Vec<ShardEnd>,
    /// The first index of each shard that the walk met, and where the walk left it.
    walked: Vec<Option<(Index, ShardEnd)>>,
    stretches: Vec<Stretch>,
    leftovers: Vec<u32>,
    /// The first segment to walk, and its base.
    from: (u32, u64),
    /// Checkpoints know that the log was synced up to here.
    floor: u64,
    end_position: u64,
    tail: Option<Tail>,
}

/// The last segment, as found.
struct Tail {
    /// Log position below which it is known synced.
    synced: u64,
    torn: bool,
}

impl Scan {
    fn new(disk: Arc<dyn Disk>, node: NodeId, kept: Vec<Checkpoint>) -> Scan {
        let mut ends = vec![ShardEnd::default(); 128];
        let mut from = (1, 0);
        let floor = kept
            .iter()
            .map(|checkpoint| checkpoint.synced_to)
            .max()
            .unwrap_or(0);
        if let Some(chosen) = kept.last() {
            for row in &chosen.shards {
                let end = ShardEnd {
                    last: row.applied,
                    term: row.term,
                    time: row.time,
                };
                ends[row.shard.number() as usize] = end;
            }
            let held = chosen
                .segments
                .iter()
                .rev()
                .find(|s| s.base <= chosen.replay_from);
            from = held.map_or(from, |segment| (segment.number, segment.base));
        }
        Scan {
            disk,
            node,
            kept,
            table: SegmentTable::default(),
            ends,
            walked: vec![None; 128],
            stretches: Vec::new(),
            leftovers: Vec::new(),
            from,
            floor,
            end_position: 0,
            tail: None,
        }
    }

    fn missing(number: u32) -> StoreError {
        StoreError::Corrupt {
            file: segment_file(number),
            offset: 0,
            what: "the segment is missing".to_owned(),
            remedy: REMEDY_LOG,
        }
    }

    /// Segments below the replay: their seals tell what they hold.
    fn known_segments(&mut self, files: &[u32]) -> Result<(), StoreError> {
        let Some(chosen) = self.kept.last() else {
            return Ok(());
        };
        let known: Vec<_> = chosen
            .segments
            .iter()
            .filter(|s| s.number < self.from.0)
            .cloned()
            .collect();
        let needed = |segment: &Segment| {
            segment.seal.is_none()
                || segment
                    .ranges
                    .iter()
                    .any(|range| chosen.needs(range.shard, range.last))
        };
        let is_known = |number: &u32| known.iter().any(|segment| segment.number == *number);
        self.leftovers = files
            .iter()
            .filter(|n| **n < self.from.0 && !is_known(n))
            .copied()
            .collect();
        if let Some(gone) = known
            .iter()
            .find(|s| !files.contains(&s.number) && needed(s))
        {
            return Err(Scan::missing(gone.number));
        }
        for mut segment in known
            .into_iter()
            .filter(|segment| files.contains(&segment.number))
        {
            segment.ranges = self.sealed_ranges(&segment)?;
            self.end_position = segment.end_position();
            self.table.push(segment);
        }
        Ok(())
    }

    fn open(&self, number: u32) -> Result<Arc<dyn DiskFile>, StoreError> {
        let name = segment_file(number);
        self.disk.open(&name).map_err(StoreError::io(&name, "open"))
    }

    fn sealed_ranges(&self, segment: &Segment) -> Result<Vec<Range>, StoreError> {
        let at = SegmentAt {
            node: self.node,
            number: segment.number,
            base: segment.base,
        };
        let mut window = Window::new(self.open(segment.number)?, at.file(), 4096);
        let offset = segment.seal.unwrap_or(0);
        match at.frame(&mut window, offset) {
            Ok((header, Kind::Seal, body)) => {
                let facts = &body[..header.facts_bytes as usize];
                Segment::decode_index(facts).ok_or_else(|| {
                    refuse(
                        &at,
                        offset,
                        Broken::Bad("the index in the seal makes no sense"),
                    )
                })
            }
            Ok(_) => Err(refuse(
                &at,
                offset,
                Broken::Bad("the seal is not where it was"),
            )),
            Err(broken) => Err(refuse(&at, offset, broken)),
        }
    }

    /// Walks all segments from the replay's on.
    fn walk(&mut self, files: &[u32]) -> Result<(), StoreError> {
        let (mut number, mut base) = self.from;
        self.end_position = base;
        let last = files.last().copied().unwrap_or(0);
        if last < number && (self.kept.last().is_some() || !files.is_empty()) {
            return Err(Scan::missing(number));
        }
        while number <= last {
            if !files.contains(&number) {
                return Err(Scan::missing(number));
            }
            let at = SegmentAt {
                node: self.node,
                number,
                base,
            };
            let Some(segment) = self.segment(at, number == last)? else {
                break;
            };
            base = segment.end_position();
            number += 1;
            self.end_position = base;
            self.table.push(segment);
        }
        if self.end_position < self.floor {
            return Err(Scan::missing(number));
        }
        Ok(())
    }

    /// Walks one segment. `None`: the last one, whose header never became durable.
    fn segment(&mut self, at: SegmentAt, is_last: bool) -> Result<Option<Segment>, StoreError> {
        let mut window = Window::new(self.open(at.number)?, at.file(), WINDOW_BYTES);
        let header = window.bytes(0, SEGMENT_HEADER_BYTES as usize)?;
        match header.and_then(decode_segment_header) {
            Some(header) if header.version != u32::from(VERSION) => {
                let what = format!("a segment of version {}", header.version);
                return Err(StoreError::Unsupported {
                    file: at.file(),
                    offset: 8,
                    what,
                });
            }
            Some(header) if header.node != self.node => {
                return Err(refuse(
                    &at,
                    16,
                    Broken::Bad("the segment belongs to another node"),
                ));
            }
            Some(header) if header.number != at.number || header.base != at.base => {
                return Err(refuse(
                    &at,
                    12,
                    Broken::Bad("the segment belongs to another place"),
                ));
            }
            Some(_) => {}
            None => {
                let frames = at
                    .synced_beyond(&mut window, SEGMENT_HEADER_BYTES)?
                    .is_some();
                if !is_last || frames || self.floor > at.base {
                    let what = "the checksum of the segment header is wrong";
                    return Err(refuse(&at, 0, Broken::Bad(what)));
                }
                self.leftovers.push(at.number);
                return Ok(None);
            }
        }
        let mut segment = Segment::new(at.number, at.base);
        let mut synced = at.base + SEGMENT_HEADER_BYTES;
        let torn = loop {
            let offset = segment.end;
            let (header, kind) = match at.frame(&mut window, offset) {
                Ok((header, kind, _)) => (header, kind),
                Err(Broken::Bad(what)) => {
                    let later = at.synced_beyond(&mut window, offset)?;
                    let known = synced.max(self.floor).max(later.unwrap_or(0));
                    if !is_last || known > at.base + offset {
                        return Err(refuse(&at, offset, Broken::Bad(what)));
                    }
                    let word = window.bytes(offset, 8)?;
                    break later.is_some() || word.is_some_and(|word| word != [0; 8]);
                }
                Err(broken) => return Err(refuse(&at, offset, broken)),
            };
            synced = synced.max(header.synced);
            if kind == Kind::Seal {
                segment.seal = Some(offset);
                segment.note(Shard::LOG, Index::ZERO, u64::from(header.length));
                break false;
            }
            self.follow(&at, offset, &header)?;
            let (Some(shard), Some(index)) = (header.shard(), header.index()) else {
                unreachable!("a header with other numbers is not sound");
            };
            segment.note(shard, index, u64::from(header.length));
        };
        if segment.seal.is_none() && !is_last {
            let what = Broken::Bad("the segment ends without a seal");
            return Err(refuse(&at, segment.end, what));
        }
        if is_last {
            self.tail = Some(Tail { synced, torn });
        }
        self.stretches.push(Stretch {
            number: at.number,
            base: at.base,
            start: SEGMENT_HEADER_BYTES,
            end: segment.seal.unwrap_or(segment.end),
        });
        Ok(Some(segment))
    }

    /// Every shard's frames follow each other.
    fn follow(
        &mut self,
        at: &SegmentAt,
        offset: u64,
        header: &FrameHeader,
    ) -> Result<(), StoreError> {
        if header.shard == Shard::LOG.number() {
            return Ok(());
        }
        let last = Index::new(header.index);
        let end = ShardEnd {
            last,
            term: Term(header.term),
            time: Millis(header.time),
        };
        match &mut self.walked[header.shard as usize] {
            walked @ None => *walked = Some((last, end)),
            Some((_, before)) => {
                if last != before.last.next() {
                    let what = Broken::Bad("the frame's index does not follow the one before");
                    return Err(refuse(at, offset, what));
                }
                if end.time < before.time {
                    let what = Broken::Bad("the frame's time lies before the one before");
                    return Err(refuse(at, offset, what));
                }
                *before = end;
            }
        }
        Ok(())
    }

    /// What was walked joins what the checkpoint contains.
    fn join_sequences(&mut self) -> Result<(), StoreError> {
        for (end, walked) in self.ends.iter_mut().zip(&self.walked) {
            let Some((first, walked)) = walked else {
                continue;
            };
            if *first > end.last.next() || walked.last < end.last {
                return Err(StoreError::Corrupt {
                    file: segment_file(self.from.0),
                    offset: 0,
                    what: format!(
                        "the log holds frames {} to {}, the checkpoint ends with {}",
                        first.number(),
                        walked.last.number(),
                        end.last.number()
                    ),
                    remedy: REMEDY_LOG,
                });
            }
            *end = *walked;
        }
        Ok(())
    }

    /// Writes the unsynced tail again, syncs it, seals the segment and gives unused room back.
    fn repair_tail(&mut self, notes: &mut Vec<String>) -> Result<(), StoreError> {
        let Some(tail) = self.tail.take() else {
            return Ok(());
        };
        let Some(segment) = self.table.segments.back_mut() else {
            return Ok(());
        };
        let name = segment_file(segment.number);
        let file = self
            .disk
            .open(&name)
            .map_err(StoreError::io(&name, "open"))?;
        if tail.torn {
            notes.push(format!(
                "{name:?} ended at offset {} in a frame that was never confirmed; it was cut off",
                segment.end
            ));
        }
        let known = tail.synced - segment.base;
        // The header belongs to the tail as long as no frame tells that it was synced.
        let mut from = if known == SEGMENT_HEADER_BYTES {
            0
        } else {
            known
        };
        while from < segment.end {
            let mut bytes = vec![0; WINDOW_BYTES.min((segment.end - from) as usize)];
            let read = file
                .read_at(&mut bytes, from)
                .map_err(StoreError::io(&name, "read"))?;
            write_at(&*file, &bytes[..read], from).map_err(StoreError::io(&name, "write"))?;
            from += bytes.len() as u64;
        }
        file.sync_data().map_err(StoreError::io(&name, "sync"))?;
        if segment.seal.is_none() {
            let synced = segment.end_position();
            let time = self
                .ends
                .iter()
                .map(|end| end.time)
                .max()
                .unwrap_or_default();
            write_seal(&*file, self.node, segment, synced, time)?;
            file.sync_data().map_err(StoreError::io(&name, "sync"))?;
        }
        file.set_len(segment.end)
            .map_err(StoreError::io(&name, "shorten"))?;
        self.end_position = segment.end_position();
        Ok(())
    }
}
