//! Cold segments: what is still wanted of a run of adjacent segments, in a file of its own.
//!
//! One message that nobody settles would keep its whole segment. So below the older kept
//! checkpoint, where nothing is ever replayed, a run of sparse segments is copied to one cold
//! segment: the live records with their heads, byte for byte, in frames of kind cold that keep
//! shard, index, term and time; facts stay behind, as the checkpoints contain them. A message is
//! found there under the name it always had.
//!
//! ```text
//! header | cold frames, ascending per shard | seal, its facts the index as in any segment
//! ```
//!
//! The way of a cold segment, each step of which may be the last before a crash:
//!
//! 1. `log/cold.draft` is written and synced. After a crash it is removed.
//! 2. It gets its name, durably. A cold segment that no kept checkpoint names is removed, too.
//! 3. In the table it takes the place of its run; reads go there. The old files stay.
//! 4. A checkpoint names it. Its way back, the older checkpoint, still names the old files.
//! 5. The next one does, too. Now nobody names the old files, and they are deleted.
//!
//! A cold segment is sealed and synced before it has a name, so what is wrong with it is damage,
//! never a torn write. It takes the number and base of the first of its run and a generation of its
//! own; so it can be part of a run again.
//!
//! The work is done by the pool in slices with pauses between them, longer ones while the log
//! thread has something to do; nobody waits for it. It holds the names of the live messages and a
//! buffer.
//!
//! # Caveats
//!
//! - A slice ends with a frame: one with a very large record is copied in one go (in memory only
//!   part of it), and the pause after it is as much longer.
//! - It needs room for the copy. On a full disk that is the room of a spare segment, which the old
//!   files give back when they go; one spare is left to the log. What does not fit fails, and is
//!   tried again.

use std::ops::Range;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, write_at};
use crate::error::{REMEDY_LOG, StoreError, is_full};
use crate::format::{
    FRAME_HEADER_BYTES, FrameHeader, Kind, crc, encode_segment_header, frame_bytes,
};
use crate::frame::{Head, Heads};
use crate::ids::{MessageId, Millis, NodeId, SegmentKey, Shard};
use crate::log::write_seal;
use crate::reader::{corrupt, find_frame};
use crate::recovery::DRAFT_NAME;
use crate::segment::{Segment, SegmentTable};
use crate::spares::Spares;
use crate::window::{SegmentAt, Window};

/// A sync covers so many bytes, lest a large one hold up that of the log.
const SYNC_BYTES: u64 = 4 << 20;
const WINDOW_BYTES: usize = 64 << 10;
/// The log keeps so many spares to roll into, whatever a merge would give back.
const SPARES_LEFT: usize = 1;
/// Offsets in a segment have 32 bits; behind this one there is room for the largest frame.
pub(crate) const COLD_BYTES_MAX: u64 = 2 << 30;
/// How far it has come.
pub(crate) enum Progress {
    /// So many bytes were read and written.
    Slice(u64),
    /// The run is no longer what it was, or too large.
    Abandoned,
    /// Durable under its name; `None` when nothing was live.
    Made(Option<Segment>),
}

/// A cold segment that is being made.
pub(crate) struct Making {
    node: NodeId,
    spares: Arc<Spares>,
    key: SegmentKey,
    /// With points; sealed, so they do not change.
    run: Vec<Segment>,
    /// Ascending.
    live: Vec<MessageId>,
    next: usize,
    source: Option<Source>,
    draft: Option<Draft>,
    time: Millis,
}

/// The segment that is being read.
struct Source {
    at: SegmentAt,
    window: Window,
    /// Behind the last frame found, and whose that was.
    found: Option<(Shard, u64)>,
}

struct Draft {
    file: Arc<dyn DiskFile>,
    spares: Arc<Spares>,
    segment: Segment,
    buffer: Vec<u8>,
    /// Of the file; behind it is what is buffered.
    written: u64,
    unsynced: u64,
    /// Written bytes are collected up to here.
    buffer_bytes: usize,
}

impl Making {
    /// `None`: the run is not a run of the table.
    pub fn new(
        node: NodeId,
        spares: Arc<Spares>,
        table: &SegmentTable,
        run: &[SegmentKey],
        generation: u32,
        mut live: Vec<MessageId>,
    ) -> Option<Making> {
        let range = table.run(run)?;
        let run: Vec<_> = table.segments.range(range).cloned().collect();
        let first = run.first()?;
        let key = SegmentKey {
            number: first.key.number,
            generation,
        };
        live.sort_unstable();
        live.dedup();
        Some(Making {
            node,
            spares,
            key,
            run,
            live,
            next: 0,
            source: None,
            draft: None,
            time: Millis(0),
        })
    }

    pub fn run(&self) -> Vec<SegmentKey> {
        self.run.iter().map(|segment| segment.key).collect()
    }

    pub fn bytes_before(&self) -> u64 {
        self.run.iter().map(|segment| segment.end).sum()
    }

    /// Does a slice of the work.
    pub fn slice(&mut self, disk: &dyn Disk, bytes: usize) -> Result<Progress, StoreError> {
        if self.live.is_empty() {
            return Ok(Progress::Made(None));
        }
        let mut spent = 0;
        if self.draft.is_none() {
            let header = encode_segment_header(self.node, self.key, self.run[0].base);
            let segment = Segment::new(self.key, self.run[0].base);
            let spares = self.spares.clone();
            self.draft = Some(Draft::begin(disk, spares, segment, header, bytes)?);
        }
        while spent < bytes as u64 {
            let Some(first) = self.live.get(self.next).copied() else {
                return self
                    .finish(disk)
                    .map(|segment| Progress::Made(Some(segment)));
            };
            let group = self.live[self.next..]
                .iter()
                .take_while(|id| (id.shard(), id.index()) == (first.shard(), first.index()))
                .count();
            spent += self.copy(disk, self.next..self.next + group)?;
            self.next += group;
            let draft = self.draft.as_ref().expect("begun above");
            if draft.segment.end > COLD_BYTES_MAX {
                return Ok(Progress::Abandoned);
            }
        }
        Ok(Progress::Slice(spent))
    }

    /// Copies the live part of a frame; tells how many bytes that took.
    fn copy(&mut self, disk: &dyn Disk, group: Range<usize>) -> Result<u64, StoreError> {
        let first = self.live[group.start];
        let (shard, index) = (first.shard(), first.index());
        let missing = |key: SegmentKey| StoreError::Corrupt {
            file: key.file(),
            offset: 0,
            what: format!("message {first:?} is wanted, but it is not here"),
            remedy: REMEDY_LOG,
        };
        let holder = self
            .run
            .iter()
            .find_map(|segment| Some((segment, segment.point(shard, index)?)));
        let Some((segment, point)) = holder else {
            return Err(missing(self.run[0].key));
        };
        if self
            .source
            .as_ref()
            .is_none_or(|source| source.at.key != segment.key)
        {
            let name = segment.key.file();
            let file = disk.open(&name).map_err(StoreError::io(&name, "open"))?;
            self.source = Some(Source {
                at: SegmentAt {
                    node: self.node,
                    key: segment.key,
                    base: segment.base,
                },
                window: Window::new(file, name, WINDOW_BYTES),
                found: None,
            });
        }
        let Source { at, window, found } = self.source.as_mut().expect("opened above");
        let read_before = window.read_bytes;
        let start = match *found {
            Some((of, next)) if of == shard => next.max(point),
            Some(_) | None => point,
        };
        let frame = find_frame(at, window, start, segment.end, shard, index)?;
        let Some((offset, header)) = frame else {
            return Err(missing(segment.key));
        };
        *found = Some((shard, offset + u64::from(header.length)));
        let wanted = &self.live[group];
        let (heads, records) = wanted_heads(at, window, offset, &header, wanted)?;
        if records.len() != wanted.len() {
            return Err(missing(segment.key));
        }
        let draft = self.draft.as_mut().expect("begun before the first copy");
        let written_before = draft.segment.end;
        let cold = cold_header(&header, draft, &heads, &records);
        self.time = self.time.max(Millis(header.time));
        draft.push(&cold.encode())?;
        draft.push(&heads)?;
        for record in &records {
            copy_record(at, window, record, draft)?;
        }
        draft.pad(u64::from(cold.length), &cold)?;
        draft.segment.note(shard, index, u64::from(cold.length));
        Ok(window.read_bytes - read_before + draft.segment.end - written_before)
    }

    fn finish(&mut self, disk: &dyn Disk) -> Result<Segment, StoreError> {
        let draft = self.draft.take().expect("begun before the first copy");
        let segment = draft.finish(self.node, self.time)?;
        let (from, to) = (format!("log/{DRAFT_NAME}"), self.key.file());
        disk.rename(&from, &to)
            .map_err(StoreError::io(&to, "rename a draft to"))?;
        disk.sync_dir("log")
            .map_err(StoreError::io("log", "sync"))?;
        Ok(segment)
    }
}

/// Removes what there is of a draft.
pub(crate) fn discard(disk: &dyn Disk) -> Result<(), StoreError> {
    let names = disk.list("log").map_err(StoreError::io("log", "list"))?;
    match names.iter().any(|name| name == DRAFT_NAME) {
        true => {
            let draft = format!("log/{DRAFT_NAME}");
            disk.remove(&draft)
                .map_err(StoreError::io(&draft, "remove"))
        }
        false => Ok(()),
    }
}

/// A record to be copied.
struct Wanted {
    offset: u64,
    bytes: u32,
    crc: u32,
}

/// The heads of the wanted messages as they are, and where their records lie.
fn wanted_heads(
    at: &SegmentAt,
    window: &mut Window,
    offset: u64,
    header: &FrameHeader,
    wanted: &[MessageId],
) -> Result<(Vec<u8>, Vec<Wanted>), StoreError> {
    let start = offset + FRAME_HEADER_BYTES as u64;
    let bytes = window.bytes(start, header.heads_bytes as usize)?;
    let Some(bytes) = bytes.filter(|bytes| crc(bytes) == header.heads_crc) else {
        let what = "the checksum of the message heads is wrong";
        return Err(corrupt(at, start, what));
    };
    let mut record = start + u64::from(header.heads_bytes) + u64::from(header.facts_bytes);
    let (mut heads, mut records) = (Vec::new(), Vec::with_capacity(wanted.len()));
    let mut rest = wanted;
    for head in (Heads { rest: bytes }) {
        if rest.first().is_some_and(|id| id.slot() == head.slot) {
            rest = &rest[1..];
            push_head(&mut heads, &head);
            records.push(Wanted {
                offset: record,
                bytes: head.record_bytes,
                crc: head.record_crc,
            });
        }
        record += u64::from(head.record_bytes);
    }
    Ok((heads, records))
}

fn push_head(out: &mut Vec<u8>, head: &Head<'_>) {
    out.extend_from_slice(&head.slot.number().to_le_bytes());
    out.extend_from_slice(&[head.flags, 0]);
    out.extend_from_slice(&head.record_bytes.to_le_bytes());
    out.extend_from_slice(&head.record_crc.to_le_bytes());
    out.extend_from_slice(&(head.meta.len() as u32).to_le_bytes());
    out.extend_from_slice(head.meta);
}

fn cold_header(
    header: &FrameHeader,
    draft: &Draft,
    heads: &[u8],
    records: &[Wanted],
) -> FrameHeader {
    let records_bytes: u32 = records.iter().map(|record| record.bytes).sum();
    let length = frame_bytes(heads.len() as u64, 0, u64::from(records_bytes));
    let Segment { key, base, end, .. } = draft.segment;
    FrameHeader {
        kind: Kind::Cold as u8,
        segment: key.number,
        generation: key.generation,
        length: length as u32,
        position: base + end,
        // All that it was copied from.
        synced: base,
        messages: records.len() as u16,
        heads_bytes: heads.len() as u32,
        heads_crc: crc(heads),
        facts_bytes: 0,
        facts_crc: crc(&[]),
        facts: 0,
        records_bytes,
        ..*header
    }
}

/// Copies a record in parts and checks that it is what was written once.
fn copy_record(
    at: &SegmentAt,
    window: &mut Window,
    record: &Wanted,
    draft: &mut Draft,
) -> Result<(), StoreError> {
    let mut sum = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    let (mut offset, end) = (record.offset, record.offset + u64::from(record.bytes));
    while offset < end {
        let count = (end - offset).min(WINDOW_BYTES as u64) as usize;
        let Some(part) = window.bytes(offset, count)? else {
            return Err(corrupt(at, offset, "the file ends inside a record"));
        };
        sum.update(part);
        draft.push(part)?;
        offset += count as u64;
    }
    match sum.finalize() as u32 == record.crc {
        true => Ok(()),
        false => {
            let what = "the checksum of a record is wrong";
            Err(corrupt(at, record.offset, what))
        }
    }
}

impl Draft {
    fn begin(
        disk: &dyn Disk,
        spares: Arc<Spares>,
        segment: Segment,
        header: Vec<u8>,
        buffer_bytes: usize,
    ) -> Result<Draft, StoreError> {
        discard(disk)?;
        let name = format!("log/{DRAFT_NAME}");
        let file = disk
            .create(&name)
            .map_err(StoreError::io(&name, "create"))?;
        Ok(Draft {
            file,
            spares,
            segment,
            buffer: header,
            written: 0,
            unsynced: 0,
            buffer_bytes,
        })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.buffer_bytes {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        loop {
            match write_at(&*self.file, &self.buffer, self.written) {
                Err(error) if is_full(&error) && self.spares.release_beyond(SPARES_LEFT)? => {}
                written => break written.map_err(StoreError::io(DRAFT_NAME, "write"))?,
            }
        }
        self.written += self.buffer.len() as u64;
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        if self.unsynced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced = 0;
        let synced = self.file.sync_data();
        synced.map_err(StoreError::io(DRAFT_NAME, "sync"))
    }

    fn pad(&mut self, length: u64, header: &FrameHeader) -> Result<(), StoreError> {
        let sections = u64::from(header.heads_bytes) + u64::from(header.records_bytes);
        let padding = length - FRAME_HEADER_BYTES as u64 - sections;
        self.push(&[0; 8][..padding as usize])
    }

    fn finish(mut self, node: NodeId, time: Millis) -> Result<Segment, StoreError> {
        self.flush()?;
        assert_eq!(
            self.written, self.segment.end,
            "what was noted is what was written"
        );
        let synced = self.segment.base;
        loop {
            match write_seal(&*self.file, node, &mut self.segment, synced, time) {
                Err(error) if error.is_full() && self.spares.release_beyond(SPARES_LEFT)? => {}
                sealed => {
                    sealed?;
                    break;
                }
            }
        }
        self.sync()?;
        Ok(self.segment)
    }
}
