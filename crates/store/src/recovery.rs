//! From a data directory to a log that goes on: newest valid checkpoint, then replay.
//!
//! Everything is read and judged first; only a directory that can be opened is changed (save for
//! the node and page files of a newborn one). Torn and
//! damaged are told apart by what is known to have been synced: by any later frame, by a later
//! segment, by a checkpoint. A bad frame below that is damage; above it is torn, and is cut off
//! with all that follows. What is left of the unsynced tail is written again before it is synced,
//! since after a failed sync the kernel may hold pages that it wrongly calls clean. The last segment
//! is sealed and a new one begun, unless nothing was ever written behind its header.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::disk::{Disk, DiskFile, write_at};
use crate::error::{REMEDY_LOG, StoreError};
use crate::format::{FrameHeader, Kind, SEGMENT_HEADER_BYTES, VERSION, decode_segment_header};
use crate::ids::{Index, Millis, NodeId, SegmentKey, Shard, Term};
use crate::log::{Upcoming, write_seal};
use crate::pages::{Bitmap, PageFile};
use crate::reader::refuse;
use crate::replay::{Replay, Stretch};
use crate::roots::{Roots, beget, node_id, segment_files};
use crate::segment::{Range, Segment, SegmentTable, seal_room};
use crate::window::{Broken, SegmentAt, Window};

pub(crate) const WINDOW_BYTES: usize = 1 << 20;
/// A cold segment that is being made, in `log`.
pub(crate) const DRAFT_NAME: &str = "cold.draft";

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
    /// Segments that only the older checkpoint names.
    pub retired: Vec<SegmentKey>,
    pub next_generation: u32,
    pub upcoming: Upcoming,
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
    let node = match node_id(&**disk, &names, &files)? {
        Some(node) => node,
        None => beget(&**disk, newborn)?,
    };
    let Judged { mut scan, roots } = judge(disk, node, &names, &files)?;
    let pages = PageFile::open(&**disk, node, &scan.named_pages())?;

    // From here on the directory is changed.
    let mut notes = roots.notes;
    scan.repair_tail(&mut notes)?;
    let logs = disk.list("log").map_err(StoreError::io("log", "list"))?;
    let draft = logs.iter().any(|name| name == DRAFT_NAME);
    let draft = draft.then(|| format!("log/{DRAFT_NAME}"));
    for name in scan.leftovers.iter().map(|key| key.file()).chain(draft) {
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
    let applied = chosen.map(Checkpoint::applied);
    let replay_bytes = scan
        .stretches
        .iter()
        .map(|stretch| stretch.end - stretch.start)
        .sum();
    let last = scan.table.segments.back();
    let next_segment = last.map_or(1, |segment| segment.key.number + 1);
    let named = scan.kept.iter().flat_map(|kept| &kept.segments);
    let generations = named.map(|segment| segment.key.generation);
    let next_generation = generations.max().unwrap_or(0) + 1;
    Ok(Opened {
        node,
        lock,
        pages,
        next_checkpoint: roots.next,
        retired: scan.retired,
        next_generation,
        upcoming: Upcoming {
            number: next_segment.max(scan.from.0),
            base: scan.end_position,
            empty_bytes: scan.empty_bytes,
        },
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

/// A directory that recovery would open, and what it would do.
pub(crate) struct Judged {
    pub scan: Scan,
    pub roots: Roots,
}

/// Reads what a start would read and judges it; changes nothing. The error is why a start is
/// refused.
pub(crate) fn judge(
    disk: &Arc<dyn Disk>,
    node: NodeId,
    names: &[String],
    files: &[SegmentKey],
) -> Result<Judged, StoreError> {
    let mut roots = Roots::read(&**disk, node, names, files)?;
    let mut scan = Scan::new(disk.clone(), node, std::mem::take(&mut roots.kept));
    scan.known_segments(files)?;
    let hot: Vec<u32> = files
        .iter()
        .filter(|key| !key.is_cold())
        .map(|key| key.number)
        .collect();
    scan.walk(&hot)?;
    scan.join_sequences()?;
    Ok(Judged { scan, roots })
}

/// Walks the log and judges it.
pub(crate) struct Scan {
    disk: Arc<dyn Disk>,
    node: NodeId,
    /// Kept checkpoints, older first.
    pub kept: Vec<Checkpoint>,
    pub table: SegmentTable,
    ends: Vec<ShardEnd>,
    /// The first index of each shard that the walk met, and where the walk left it.
    walked: Vec<Option<(Index, ShardEnd)>>,
    pub stretches: Vec<Stretch>,
    /// Files that no checkpoint names.
    pub leftovers: Vec<SegmentKey>,
    /// Files that only the older checkpoint names.
    pub retired: Vec<SegmentKey>,
    /// The first segment to walk, and its base.
    from: (u32, u64),
    /// Checkpoints know that the log was synced up to here.
    floor: u64,
    end_position: u64,
    tail: Option<Tail>,
    /// The last segment is empty and is gone on with; the length of its file.
    empty_bytes: Option<u64>,
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
            from = held.map_or(from, |segment| (segment.key.number, segment.base));
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
            retired: Vec::new(),
            from,
            floor,
            end_position: 0,
            tail: None,
            empty_bytes: None,
        }
    }

    /// The pages that the checkpoint in force names.
    pub fn named_pages(&self) -> Bitmap {
        let chosen = self.kept.last();
        chosen.map_or_else(Bitmap::default, |checkpoint| checkpoint.pages.clone())
    }

    fn missing(key: SegmentKey) -> StoreError {
        StoreError::Corrupt {
            file: key.file(),
            offset: 0,
            what: "the segment is missing".to_owned(),
            remedy: REMEDY_LOG,
        }
    }

    /// Segments below the replay: their seals tell what they hold.
    fn known_segments(&mut self, files: &[SegmentKey]) -> Result<(), StoreError> {
        let Some(chosen) = self.kept.last() else {
            self.leftovers = files.iter().copied().filter(|key| key.is_cold()).collect();
            return Ok(());
        };
        // What neither checkpoint needs any more may be there in part: its removal had begun.
        let known: Vec<_> = chosen
            .segments
            .iter()
            .filter(|s| s.key.number < self.from.0)
            .filter(|s| self.kept.iter().any(|kept| kept.wants_of(s)))
            .cloned()
            .collect();
        let is_walked = |key: &SegmentKey| !key.is_cold() && key.number >= self.from.0;
        let is_known = |key: &SegmentKey| known.iter().any(|segment| segment.key == *key);
        let others = files.iter().copied();
        let others = others.filter(|key| !is_walked(key) && !is_known(key));
        (self.retired, self.leftovers) =
            others.partition(|key| self.kept.iter().any(|kept| kept.wants(*key)));
        if let Some(gone) = known
            .iter()
            .find(|s| !files.contains(&s.key) && chosen.wants_of(s))
        {
            return Err(Scan::missing(gone.key));
        }
        for mut segment in known
            .into_iter()
            .filter(|segment| files.contains(&segment.key))
        {
            segment.ranges = self.sealed_ranges(&segment)?;
            self.end_position = segment.end_position();
            self.table.push(segment);
        }
        Ok(())
    }

    fn open(&self, key: SegmentKey) -> Result<Arc<dyn DiskFile>, StoreError> {
        let name = key.file();
        self.disk.open(&name).map_err(StoreError::io(&name, "open"))
    }

    fn sealed_ranges(&self, segment: &Segment) -> Result<Vec<Range>, StoreError> {
        let at = SegmentAt {
            node: self.node,
            key: segment.key,
            base: segment.base,
        };
        let mut window = Window::new(self.open(segment.key)?, at.file(), 4096);
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
            return Err(Scan::missing(SegmentKey::hot(number)));
        }
        while number <= last {
            if !files.contains(&number) {
                return Err(Scan::missing(SegmentKey::hot(number)));
            }
            let at = SegmentAt {
                node: self.node,
                key: SegmentKey::hot(number),
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
            return Err(Scan::missing(SegmentKey::hot(number)));
        }
        Ok(())
    }

    /// Walks one segment. `None`: the last one, whose header never became durable.
    fn segment(&mut self, at: SegmentAt, is_last: bool) -> Result<Option<Segment>, StoreError> {
        let mut window = Window::new(self.open(at.key)?, at.file(), WINDOW_BYTES);
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
            Some(header) if header.segment != at.key || header.base != at.base => {
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
                self.leftovers.push(at.key);
                return Ok(None);
            }
        }
        let mut segment = Segment::new(at.key, at.base);
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
            number: at.key.number,
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
                    file: SegmentKey::hot(self.from.0).file(),
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

    /// The log is known to be synced up to this position.
    pub fn synced_to(&self) -> u64 {
        let known = self
            .tail
            .as_ref()
            .map_or(self.end_position, |tail| tail.synced);
        known.max(self.floor)
    }

    /// What repairing the tail cuts off, if anything.
    pub fn torn_note(&self) -> Option<String> {
        let segment = self.table.segments.back()?;
        self.tail.as_ref().filter(|tail| tail.torn)?;
        let name = segment.key.file();
        Some(format!(
            "{name:?} ends at offset {} in a frame that was never confirmed; it is cut off",
            segment.end
        ))
    }

    /// Writes the unsynced tail again, syncs it, seals the segment and gives unused room back.
    fn repair_tail(&mut self, notes: &mut Vec<String>) -> Result<(), StoreError> {
        notes.extend(self.torn_note());
        let Some(tail) = self.tail.take() else {
            return Ok(());
        };
        let Some(segment) = self.table.segments.back_mut() else {
            return Ok(());
        };
        let name = segment.key.file();
        let file = self
            .disk
            .open(&name)
            .map_err(StoreError::io(&name, "open"))?;
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
        if segment.seal.is_none() && segment.end == SEGMENT_HEADER_BYTES {
            let length = file.len().map_err(StoreError::io(&name, "read"))?;
            let has_room = length > SEGMENT_HEADER_BYTES + 2 * seal_room(length);
            if has_room && is_zero(&*file, &name, segment.end, length)? {
                self.empty_bytes = Some(length);
                self.end_position = segment.base;
                self.table.segments.pop_back();
                self.stretches.pop();
                return Ok(());
            }
        }
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

/// Nothing that a write left lies there, not even a torn one.
fn is_zero(file: &dyn DiskFile, name: &str, from: u64, to: u64) -> Result<bool, StoreError> {
    let mut bytes = vec![0; WINDOW_BYTES];
    let mut at = from;
    while at < to {
        let part = &mut bytes[..WINDOW_BYTES.min((to - at) as usize)];
        let read = file
            .read_at(part, at)
            .map_err(StoreError::io(name, "read"))?;
        if read == 0 || part[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += read as u64;
    }
    Ok(true)
}
