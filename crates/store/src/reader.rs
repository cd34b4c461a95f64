//! Reads records back from the log, for consumers that do not keep up.
//!
//! Requests of one load that lie close together share their reads: a backlog drained in order
//! costs one `pread` per 64 KB, not one per message.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, DiskFile};
use crate::error::{LoadError, REMEDY_LOG, StoreError};
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, crc};
use crate::frame::Heads;
use crate::ids::{Index, MessageId, NodeId, SegmentKey, Shard};
use crate::segment::{Point, SegmentTable};
use crate::window::{Broken, SegmentAt, Window};

const WINDOW_BYTES: usize = 64 << 10;
/// Segment files kept open for reading.
const FILES_MAX: usize = 32;

pub(crate) struct Reader {
    disk: Arc<dyn Disk>,
    node: NodeId,
    table: Arc<Mutex<SegmentTable>>,
    files: Mutex<Vec<(SegmentKey, Arc<dyn DiskFile>)>>,
}

/// A frame whose heads were read.
struct Found {
    shard: Shard,
    index: u64,
    /// Behind the frame.
    next: u64,
    /// (slot, offset in file, length, CRC), ascending.
    records: Vec<(u16, u64, u32, u32)>,
}

type Record = Result<Arc<[u8]>, LoadError>;

impl Reader {
    pub fn new(disk: Arc<dyn Disk>, node: NodeId, table: Arc<Mutex<SegmentTable>>) -> Reader {
        Reader {
            disk,
            node,
            table,
            files: Mutex::new(Vec::new()),
        }
    }

    /// Reads the records in the order asked for, fastest when that is ascending.
    pub fn load(&self, ids: &[MessageId], mut deliver: impl FnMut(MessageId, Record)) {
        let mut rest = ids;
        while let Some(first) = rest.first() {
            let Some(point) = self.find(*first) else {
                deliver(*first, Err(LoadError::Gone(*first)));
                rest = &rest[1..];
                continue;
            };
            let file = match self.file(point.segment) {
                Ok(file) => file,
                Err(error) => {
                    // Between the look and the opening it may have become part of a cold one.
                    if error.is_none()
                        && self
                            .find(*first)
                            .is_some_and(|now| now.segment != point.segment)
                    {
                        continue;
                    }
                    deliver(
                        *first,
                        Err(error.map_or(LoadError::Gone(*first), LoadError::Failed)),
                    );
                    rest = &rest[1..];
                    continue;
                }
            };
            // All that follow in the same segment share the window.
            let name = point.segment.file();
            let mut window = Window::new(file, name, WINDOW_BYTES);
            let mut found = None;
            while let Some(id) = rest.first() {
                match self.find(*id) {
                    Some(here) if here.segment == point.segment => {
                        let record = self.record(&mut window, here, *id, &mut found);
                        deliver(*id, record);
                        rest = &rest[1..];
                    }
                    Some(_) | None => break,
                }
            }
        }
    }

    fn find(&self, id: MessageId) -> Option<Point> {
        self.table
            .lock()
            .expect("no holder of the table panics")
            .find(id.shard(), id.index())
    }

    /// `Err(None)`: the segment is no longer there.
    fn file(&self, key: SegmentKey) -> Result<Arc<dyn DiskFile>, Option<StoreError>> {
        let mut files = self.files.lock().expect("no holder of the files panics");
        if let Some(at) = files.iter().position(|(k, _)| *k == key) {
            let entry = files.remove(at);
            files.push(entry.clone());
            return Ok(entry.1);
        }
        let name = key.file();
        let file = self.disk.open(&name).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => None,
            _ => Some(StoreError::io(&name, "open")(error)),
        })?;
        if files.len() >= FILES_MAX {
            files.remove(0);
        }
        files.push((key, file.clone()));
        Ok(file)
    }

    /// Lets go of deleted segments.
    pub fn forget(&self, gone: &[SegmentKey]) {
        let mut files = self.files.lock().expect("no holder of the files panics");
        files.retain(|(key, _)| !gone.contains(key));
    }

    fn record(
        &self,
        window: &mut Window,
        point: Point,
        id: MessageId,
        found: &mut Option<Found>,
    ) -> Record {
        let at = SegmentAt {
            node: self.node,
            key: point.segment,
            base: point.base,
        };
        let here = |f: &Found| f.shard == id.shard() && f.index == id.index().number();
        if !found.as_ref().is_some_and(here) {
            let start = match found.as_ref() {
                Some(before)
                    if before.shard == id.shard() && before.index < id.index().number() =>
                {
                    before.next.max(point.offset)
                }
                Some(_) | None => point.offset,
            };
            *found = walk(&at, window, start, point.end, id).map_err(LoadError::Failed)?;
        }
        let Some(frame) = found.as_ref() else {
            return Err(LoadError::Gone(id));
        };
        let slot = id.slot().number();
        let Ok(n) = frame.records.binary_search_by_key(&slot, |record| record.0) else {
            return Err(LoadError::Gone(id));
        };
        let (_, offset, length, sum) = frame.records[n];
        let bytes = window
            .bytes(offset, length as usize)
            .map_err(LoadError::Failed)?;
        match bytes {
            Some(bytes) if crc(bytes) == sum => Ok(Arc::from(bytes)),
            Some(_) => Err(LoadError::Failed(corrupt(
                &at,
                offset,
                "the checksum of a record is wrong",
            ))),
            None => Err(LoadError::Failed(corrupt(
                &at,
                offset,
                "the file ends inside a record",
            ))),
        }
    }
}

/// Finds the frame of `id` and reads its heads.
fn walk(
    at: &SegmentAt,
    window: &mut Window,
    start: u64,
    end: u64,
    id: MessageId,
) -> Result<Option<Found>, StoreError> {
    let (shard, index) = (id.shard(), id.index());
    let Some((offset, header)) = find_frame(at, window, start, end, shard, index)? else {
        return Ok(None);
    };
    Ok(Some(Found {
        shard,
        index: index.number(),
        next: offset + u64::from(header.length),
        records: heads(at, window, offset, &header)?,
    }))
}

/// Walks frame headers to a frame.
pub(crate) fn find_frame(
    at: &SegmentAt,
    window: &mut Window,
    start: u64,
    end: u64,
    shard: Shard,
    index: Index,
) -> Result<Option<(u64, FrameHeader)>, StoreError> {
    let mut offset = start;
    while offset < end {
        let (header, _) = at
            .header(window, offset)
            .map_err(|broken| refuse(at, offset, broken))?;
        if header.shard == shard.number() {
            match header.index.cmp(&index.number()) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some((offset, header))),
                // A cold segment left it out.
                Ordering::Greater => return Ok(None),
            }
        }
        offset += u64::from(header.length);
    }
    Ok(None)
}

fn heads(
    at: &SegmentAt,
    window: &mut Window,
    offset: u64,
    header: &FrameHeader,
) -> Result<Vec<(u16, u64, u32, u32)>, StoreError> {
    let start = offset + FRAME_HEADER_BYTES as u64;
    let bytes = window.bytes(start, header.heads_bytes as usize)?;
    let Some(bytes) = bytes.filter(|bytes| crc(bytes) == header.heads_crc) else {
        return Err(corrupt(
            at,
            start,
            "the checksum of the message heads is wrong",
        ));
    };
    let mut record = start + u64::from(header.heads_bytes) + u64::from(header.facts_bytes);
    let mut records = Vec::with_capacity(header.messages as usize);
    for head in (Heads { rest: bytes }) {
        records.push((
            head.slot.number(),
            record,
            head.record_bytes,
            head.record_crc,
        ));
        record += u64::from(head.record_bytes);
    }
    Ok(records)
}

pub(crate) fn corrupt(at: &SegmentAt, offset: u64, what: &str) -> StoreError {
    StoreError::Corrupt {
        file: at.file(),
        offset,
        what: what.to_owned(),
        remedy: REMEDY_LOG,
    }
}

/// What a frame that cannot be read means where it is known to have been durable.
pub(crate) fn refuse(at: &SegmentAt, offset: u64, broken: Broken) -> StoreError {
    match broken {
        Broken::Bad(what) => corrupt(at, offset, what),
        Broken::Unknown(what) => StoreError::Unsupported {
            file: at.file(),
            offset,
            what,
        },
        Broken::Failed(error) => error,
    }
}
