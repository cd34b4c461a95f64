//! The tail of the log: writes frames, syncs, rolls to the next segment. Not a thread of its own,
//! and without a queue; see `engine`.
//!
//! Invariants: a segment file exists under its own name only after the one before it was sealed
//! and synced; its header is durable before its first frame is written. So a bad frame in any but
//! the last segment is damage, never a torn write.

use std::io::IoSlice;
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, DiskFile, write_at};
use crate::error::StoreError;
use crate::format::{FRAME_HEADER_BYTES, Kind, SEGMENT_HEADER_BYTES, encode_segment_header};
use crate::frame::{Frame, FrameBuilder, Place};
use crate::ids::{Index, Millis, NodeId, SegmentKey, Shard, Term};
use crate::segment::{Segment, SegmentTable, seal_room};
use crate::spares::Spares;

pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    node: NodeId,
    table: Arc<Mutex<SegmentTable>>,
    spares: Arc<Spares>,
    segment_bytes: u64,
    active: Active,
    /// Log position below which everything is durable.
    synced: u64,
    /// The highest such position that a written frame header tells.
    told: u64,
    time: Millis,
}

struct Active {
    file: Arc<dyn DiskFile>,
    number: u32,
    base: u64,
    end: u64,
    /// Frames end at or before this offset; behind it is room for the seal.
    frames_end_max: u64,
    /// What lies before this offset was written, if only with zeros.
    zeroed_to: u64,
}

/// The segment that a start goes on with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upcoming {
    pub number: u32,
    pub base: u64,
    /// It is there, its header durable and nothing behind it but so many zeroed bytes, header
    /// included: otherwise each start of a node that has nothing to write would cost a segment.
    pub empty_bytes: Option<u64>,
}

/// A small group that comes to room which is only reserved writes so many zeros behind itself, or as
/// many as a segment has room for [`AHEAD_PER_SEGMENT`] times. The first write to reserved room changes
/// the file's map of blocks, which its sync has to write as well: that doubles the cost of the sync.
const AHEAD_BYTES: u64 = 128 << 10;
const AHEAD_PER_SEGMENT: u64 = 512;
/// To a larger group the cost is nothing.
const SMALL_GROUP_BYTES: u64 = 32 << 10;

static ZEROS: [u8; AHEAD_BYTES as usize] = [0; AHEAD_BYTES as usize];

impl Log {
    /// Begins segment `number` at log position `base`, or goes on in it.
    pub fn begin(
        disk: Arc<dyn Disk>,
        node: NodeId,
        table: Arc<Mutex<SegmentTable>>,
        spares: Arc<Spares>,
        segment_bytes: u64,
        upcoming: Upcoming,
    ) -> Result<Log, StoreError> {
        let Upcoming {
            number,
            base,
            empty_bytes,
        } = upcoming;
        let active = match empty_bytes {
            Some(capacity) => resume(&*disk, number, base, capacity)?,
            None => activate(&*disk, node, &spares, segment_bytes, number, base, 0)?,
        };
        table
            .lock()
            .expect("no holder of the table panics")
            .push(Segment::new(SegmentKey::hot(number), base));
        let synced = base + SEGMENT_HEADER_BYTES;
        let time = Millis(0);
        let told = synced;
        Ok(Log {
            disk,
            node,
            table,
            spares,
            segment_bytes,
            active,
            synced,
            told,
            time,
        })
    }

    /// Log position below which everything is durable.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Bytes of frames that the segment still takes.
    pub fn room(&self) -> u64 {
        self.active.frames_end_max.saturating_sub(self.active.end)
    }

    /// Writes the frames in order; nothing is durable before [`Log::sync`].
    pub fn write(&mut self, frames: &[Frame]) -> Result<(), StoreError> {
        let mut rest = frames;
        while let Some(next) = rest.first() {
            let mut end = self.active.end;
            let mut count = 0;
            for frame in rest {
                end += frame.disk_bytes();
                if end > self.active.frames_end_max {
                    break;
                }
                count += 1;
            }
            if count == 0 {
                self.roll(next.disk_bytes())?;
            } else {
                let (run, after) = rest.split_at(count);
                self.write_run(run)?;
                rest = after;
            }
        }
        Ok(())
    }

    /// Frames that fit into the segment.
    fn write_run(&mut self, frames: &[Frame]) -> Result<(), StoreError> {
        let mut position = self.active.base + self.active.end;
        let mut headers: Vec<[u8; FRAME_HEADER_BYTES]> = Vec::with_capacity(frames.len());
        for frame in frames {
            let Active {
                number: segment, ..
            } = self.active;
            let place = Place {
                node: self.node,
                segment: SegmentKey::hot(segment),
                position,
                synced: self.synced,
            };
            headers.push(frame.header(place));
            position += frame.disk_bytes();
            self.time = frame.time();
        }
        let mut slices = Vec::with_capacity(frames.len() * 5);
        for (frame, header) in frames.iter().zip(&headers) {
            let mut length = header.len();
            slices.push(IoSlice::new(header));
            for section in frame.sections() {
                if !section.is_empty() {
                    length += section.len();
                    slices.push(IoSlice::new(section));
                }
            }
            let padding = length.next_multiple_of(8) - length;
            if padding > 0 {
                slices.push(IoSlice::new(&ZEROS[..padding]));
            }
        }
        let end = position - self.active.base;
        let ahead = self.ahead(end);
        if ahead > 0 {
            slices.push(IoSlice::new(&ZEROS[..ahead as usize]));
        }
        self.active
            .file
            .write_vectored_at(&mut slices, self.active.end)
            .map_err(StoreError::io(
                &SegmentKey::hot(self.active.number).file(),
                "write",
            ))?;
        self.told = self.synced;
        self.active.end = end;
        self.active.zeroed_to = self.active.zeroed_to.max(end + ahead);
        let mut table = self.table.lock().expect("no holder of the table panics");
        for frame in frames {
            table.note(frame.shard(), frame.index(), frame.disk_bytes());
        }
        Ok(())
    }

    /// How many zeros to write behind frames that are to end at `end`.
    fn ahead(&self, end: u64) -> u64 {
        let active = &self.active;
        if end <= active.zeroed_to || end - active.end > SMALL_GROUP_BYTES {
            return 0;
        }
        let most = AHEAD_BYTES.min(self.segment_bytes / AHEAD_PER_SEGMENT);
        most.min(active.frames_end_max.saturating_sub(end))
    }

    /// Makes everything written durable.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.active.file.sync_data().map_err(StoreError::io(
            &SegmentKey::hot(self.active.number).file(),
            "sync",
        ))?;
        self.synced = self.active.base + self.active.end;
        Ok(())
    }

    /// After a pause: writes, without a sync, that the last frames were synced, so that damage to
    /// them cannot pass for a torn write.
    pub fn mark(&mut self) -> Result<(), StoreError> {
        if self.told < self.synced {
            let mark = FrameBuilder::new().finish_as(
                Kind::Blank,
                Index::ZERO,
                Shard::LOG,
                Term(0),
                self.time,
            );
            self.write(&[mark])?;
        }
        Ok(())
    }

    /// Closes the segment for good.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        let mut table = self.table.lock().expect("no holder of the table panics");
        let end = write_seal(
            &*self.active.file,
            self.node,
            table.active(),
            self.synced,
            self.time,
        )?;
        drop(table);
        self.active.end = end;
        self.sync()
    }

    /// Seals, and gives unused room back; for the end of the process.
    pub fn close(&mut self) -> Result<(), StoreError> {
        self.seal()?;
        let name = SegmentKey::hot(self.active.number).file();
        self.active
            .file
            .set_len(self.active.end)
            .map_err(StoreError::io(&name, "shorten"))
    }

    /// Goes on in the next segment, which has room for a frame of `frame_bytes`.
    fn roll(&mut self, frame_bytes: u64) -> Result<(), StoreError> {
        self.seal()?;
        let number = self.active.number + 1;
        let base = self.active.base + self.active.end;
        self.active = activate(
            &*self.disk,
            self.node,
            &self.spares,
            self.segment_bytes,
            number,
            base,
            frame_bytes,
        )?;
        self.synced = base + SEGMENT_HEADER_BYTES;
        self.told = self.synced;
        let mut table = self.table.lock().expect("no holder of the table panics");
        table.push(Segment::new(SegmentKey::hot(number), base));
        Ok(())
    }
}

/// Writes the seal of a segment at its end, which is `segment.end`, and returns the end behind
/// it. The caller syncs.
pub(crate) fn write_seal(
    file: &dyn DiskFile,
    node: NodeId,
    segment: &mut Segment,
    synced: u64,
    time: Millis,
) -> Result<u64, StoreError> {
    let name = segment.key.file();
    let mut builder = FrameBuilder::new();
    builder
        .push_facts(&segment.encode_index())
        .expect("a segment's index is small");
    let seal = builder.finish_as(Kind::Seal, Index::ZERO, Shard::LOG, Term(0), time);
    let position = segment.end_position();
    let header = seal.header(Place {
        node,
        segment: segment.key,
        position,
        synced,
    });
    let mut bytes = header.to_vec();
    seal.sections()
        .iter()
        .for_each(|section| bytes.extend_from_slice(section));
    bytes.resize(seal.disk_bytes() as usize, 0);
    write_at(file, &bytes, segment.end).map_err(StoreError::io(&name, "write"))?;
    segment.seal = Some(segment.end);
    segment.note(Shard::LOG, Index::ZERO, bytes.len() as u64);
    Ok(segment.end)
}

/// Goes on in a segment that has a durable header and nothing else.
fn resume(disk: &dyn Disk, number: u32, base: u64, capacity: u64) -> Result<Active, StoreError> {
    let name = SegmentKey::hot(number).file();
    Ok(Active {
        file: disk.open(&name).map_err(StoreError::io(&name, "open"))?,
        number,
        base,
        end: SEGMENT_HEADER_BYTES,
        frames_end_max: capacity - seal_room(capacity),
        zeroed_to: SEGMENT_HEADER_BYTES,
    })
}

/// Turns a spare into segment `number`, header durable. Without one, and without room for one, the
/// segment is as small as it must be, and holds `frame_bytes` at least.
fn activate(
    disk: &dyn Disk,
    node: NodeId,
    spares: &Spares,
    segment_bytes: u64,
    number: u32,
    base: u64,
    frame_bytes: u64,
) -> Result<Active, StoreError> {
    let name = SegmentKey::hot(number).file();
    let own_bytes = SEGMENT_HEADER_BYTES + frame_bytes + seal_room(frame_bytes);
    let least = own_bytes.next_multiple_of(SEGMENT_HEADER_BYTES);
    let mut capacity = least.max(segment_bytes);
    let ready = if capacity == segment_bytes {
        spares.take()
    } else {
        None
    };
    let (spare, file) = match ready {
        Some(spare) => {
            let file = disk.open(&spare).map_err(StoreError::io(&spare, "open"))?;
            (spare, file)
        }
        None => loop {
            match spares.make(capacity) {
                // A large frame that was accepted must find room: the spares give theirs.
                Err(error) if error.is_full() && spares.release_one()? => {}
                Err(error) if error.is_full() && capacity > least => {
                    let half = (capacity / 2).next_multiple_of(SEGMENT_HEADER_BYTES);
                    capacity = half.min(capacity - SEGMENT_HEADER_BYTES).max(least);
                }
                Ok(made) => break made,
                Err(error) => return Err(error),
            }
        },
    };
    disk.rename(&spare, &name)
        .map_err(StoreError::io(&name, "rename a spare to"))?;
    // The name first: bytes are never written to what may be found as a spare again.
    disk.sync_dir("log")
        .map_err(StoreError::io("log", "sync"))?;
    write_at(
        &*file,
        &encode_segment_header(node, SegmentKey::hot(number), base),
        0,
    )
    .map_err(StoreError::io(&name, "write"))?;
    file.sync_data().map_err(StoreError::io(&name, "sync"))?;
    let frames_end_max = (capacity - seal_room(capacity)).max(SEGMENT_HEADER_BYTES + frame_bytes);
    Ok(Active {
        file,
        number,
        base,
        end: SEGMENT_HEADER_BYTES,
        frames_end_max,
        zeroed_to: SEGMENT_HEADER_BYTES,
    })
}
