//! A walk over segment files that goes on behind damage: what verification and repair need, and a
//! start never does.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{FrameHeader, Kind, SEGMENT_HEADER_BYTES, VERSION, decode_segment_header};
use crate::frame::Frame;
use crate::ids::{Millis, NodeId, PageSlot, SegmentKey, Shard};
use crate::pages::PageFile;
use crate::reader::refuse;
use crate::recovery::WINDOW_BYTES;
use crate::window::{Broken, SegmentAt, Window};

/// Progress is told after so many bytes at the latest.
const PROGRESS_BYTES: u64 = 8 << 20;
const PROGRESS_PAGES: usize = 256;

/// What a walk needs to know about the log.
#[derive(Clone)]
pub(crate) struct Route {
    pub disk: Arc<dyn Disk>,
    pub node: NodeId,
    pub files: Vec<SegmentKey>,
    /// Checkpoints know that the log was synced up to here.
    pub floor: u64,
    /// Bases of segments, where a checkpoint tells them.
    pub bases: Vec<(SegmentKey, u64)>,
}

impl Route {
    fn last_hot(&self) -> Option<SegmentKey> {
        self.files.iter().copied().rfind(|key| !key.is_cold())
    }
}

struct Current {
    at: SegmentAt,
    window: Window,
    offset: u64,
    length: u64,
    synced: u64,
    /// Some damage of this file was told.
    damaged: bool,
}

/// One step of a walk.
enum Step {
    /// A sound frame was shown.
    Frame,
    Damage(StoreError),
    /// The file has no more.
    End,
}

struct Walk {
    route: Route,
    /// How many files were begun.
    begun: usize,
    current: Option<Current>,
}

impl Walk {
    fn new(route: Route) -> Walk {
        Walk {
            route,
            begun: 0,
            current: None,
        }
    }

    /// The file, how far it was walked, and its length.
    fn place(&self) -> Option<(SegmentKey, u64, u64)> {
        let current = self.current.as_ref()?;
        Some((current.at.key, current.offset, current.length))
    }

    /// `None`: all files were walked.
    fn step(&mut self, see: &mut dyn FnMut(&FrameHeader, Kind, &[u8])) -> Option<Step> {
        let step = match &mut self.current {
            None => {
                let key = *self.route.files.get(self.begun)?;
                self.begun += 1;
                match self.begin(key) {
                    Ok(damage) => match damage {
                        Some(damage) => return Some(Step::Damage(damage)),
                        None => return self.step(see),
                    },
                    Err(error) => Err(error),
                }
            }
            Some(current) => current.step(&self.route, see),
        };
        Some(step.unwrap_or_else(|error| {
            self.current = None;
            Step::Damage(error)
        }))
    }

    fn leave(&mut self) {
        self.current = None;
    }

    fn begin(&mut self, key: SegmentKey) -> Result<Option<StoreError>, StoreError> {
        let name = key.file();
        let file = self.route.disk.open(&name);
        let file = file.map_err(StoreError::io(&name, "open"))?;
        let length = file.len().map_err(StoreError::io(&name, "measure"))?;
        let mut window = Window::new(file, name, WINDOW_BYTES);
        let mut at = SegmentAt {
            node: self.route.node,
            key,
            base: 0,
        };
        let header = window.bytes(0, SEGMENT_HEADER_BYTES as usize)?;
        let known = self.route.bases.iter().find(|(known, _)| *known == key);
        let damage = match header.and_then(decode_segment_header) {
            Some(header) if header.version != u32::from(VERSION) => {
                return Err(StoreError::Unsupported {
                    file: at.file(),
                    offset: 8,
                    what: format!("a segment of version {}", header.version),
                });
            }
            Some(header) if header.node != at.node || header.segment != key => {
                let what = "the segment belongs to another node or place";
                return Err(refuse(&at, 12, Broken::Bad(what)));
            }
            Some(header) => {
                at.base = header.base;
                None
            }
            None => {
                let what = "the checksum of the segment header is wrong";
                let damage = refuse(&at, 0, Broken::Bad(what));
                let Some((_, base)) = known else {
                    // The last one may never have become durable.
                    let newborn = Some(key) == self.route.last_hot();
                    let empty = window.bytes(0, 8)?.is_none_or(|word| word == [0; 8]);
                    return match newborn && empty {
                        true => Ok(None),
                        false => Err(damage),
                    };
                };
                at.base = *base;
                Some(damage)
            }
        };
        self.current = Some(Current {
            synced: at.base + SEGMENT_HEADER_BYTES,
            damaged: damage.is_some(),
            at,
            window,
            offset: SEGMENT_HEADER_BYTES,
            length,
        });
        Ok(damage)
    }
}

impl Current {
    fn step(
        &mut self,
        route: &Route,
        see: &mut dyn FnMut(&FrameHeader, Kind, &[u8]),
    ) -> Result<Step, StoreError> {
        let Current { at, window, .. } = self;
        let offset = self.offset;
        if self.damaged && offset >= self.length {
            return Ok(Step::End);
        }
        let broken = match at.frame(window, offset) {
            Ok((header, kind, body)) => {
                self.offset += u64::from(header.length);
                self.synced = self.synced.max(header.synced);
                see(&header, kind, body);
                return Ok(match kind {
                    Kind::Seal => Step::End,
                    _ => Step::Frame,
                });
            }
            Err(Broken::Failed(error)) => return Err(error),
            Err(broken) => broken,
        };
        let later = at.synced_beyond(window, offset)?;
        let known = self.synced.max(route.floor).max(later.unwrap_or(0));
        let position = at.base + offset;
        if matches!(broken, Broken::Bad(_)) && Some(at.key) == route.last_hot() && known <= position
        {
            return Ok(Step::End);
        }
        self.damaged = true;
        let damage = refuse(at, offset, broken);
        // Past the bad frame, as far as its header tells, else to whatever looks like a header.
        let past = match at.header(window, offset) {
            Ok((header, _)) => offset + u64::from(header.length),
            Err(_) => offset + 8,
        };
        self.offset = at.frame_beyond(window, past)?.unwrap_or(self.length);
        Ok(Step::Damage(damage))
    }
}

/// What a step of verifying found.
#[derive(Debug)]
pub struct Verified {
    pub file: String,
    /// Of all that is to be read.
    pub bytes_done: u64,
    pub bytes_total: u64,
    /// Sound ones in this file so far.
    pub frames: u64,
    pub messages: u64,
    /// The oldest and the newest of them.
    pub times: Option<(Millis, Millis)>,
    pub damage: Option<StoreError>,
}

/// What was found in the file that is being read.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// How many files were begun with it.
    file: usize,
    frames: u64,
    messages: u64,
    times: Option<(Millis, Millis)>,
}

impl Sum {
    fn note(&mut self, header: &FrameHeader) {
        let time = Millis(header.time);
        let (from, to) = self.times.unwrap_or((time, time));
        self.times = Some((from.min(time), to.max(time)));
        self.frames += 1;
        self.messages += u64::from(header.messages);
    }
}

/// Reads everything and checks every checksum: checkpoints, the pages that they name, segments.
/// Each item tells of some progress or of one damage; it goes on behind damage.
pub struct Verify {
    walk: Walk,
    checkpoints: std::vec::IntoIter<(u64, u64)>,
    pages: Option<PageFile>,
    /// Why the page file cannot be read at all.
    page_damage: Option<StoreError>,
    slots: std::vec::IntoIter<PageSlot>,
    page_bytes: u64,
    bytes_before: u64,
    bytes_total: u64,
    sum: Sum,
}

impl Verify {
    /// `checkpoints` are sequence numbers and lengths.
    pub(crate) fn new(
        route: Route,
        checkpoints: Vec<(u64, u64)>,
        pages: Result<Option<PageFile>, StoreError>,
        slots: Vec<PageSlot>,
    ) -> Verify {
        let (pages, page_damage) = match pages {
            Ok(pages) => (pages, None),
            Err(damage) => (None, Some(damage)),
        };
        let segment_bytes = |key: &SegmentKey| {
            let file = route.disk.open(&key.file());
            file.and_then(|file| file.len()).unwrap_or(0)
        };
        let page_bytes = PageFile::slot_bytes();
        let bytes_total = route.files.iter().map(segment_bytes).sum::<u64>()
            + checkpoints.iter().map(|(_, bytes)| bytes).sum::<u64>()
            + slots.len() as u64 * page_bytes;
        Verify {
            walk: Walk::new(route),
            checkpoints: checkpoints.into_iter(),
            pages,
            page_damage,
            slots: slots.into_iter(),
            page_bytes,
            bytes_before: 0,
            bytes_total,
            sum: Sum::default(),
        }
    }

    fn told(&self, file: String, bytes_done: u64, damage: Option<StoreError>) -> Verified {
        Verified {
            file,
            bytes_done: bytes_done.min(self.bytes_total),
            bytes_total: self.bytes_total,
            frames: self.sum.frames,
            messages: self.sum.messages,
            times: self.sum.times,
            damage,
        }
    }

    fn checkpoint(&mut self, sequence: u64, bytes: u64) -> Verified {
        let route = &self.walk.route;
        let read = Checkpoint::read(&*route.disk, route.node, sequence);
        self.bytes_before += bytes;
        let damage = match read {
            Ok(Ok(_)) => None,
            Ok(Err(damage)) | Err(damage) => Some(damage),
        };
        self.told(Checkpoint::file(sequence), self.bytes_before, damage)
    }

    fn pages(&mut self, first: PageSlot) -> Verified {
        let file = PageFile::file_name().to_owned();
        let mut next = Some(first);
        for _ in 0..PROGRESS_PAGES {
            let Some(slot) = next else { break };
            self.bytes_before += self.page_bytes;
            if let Some(Err(damage)) = self.pages.as_ref().map(|pages| pages.read(slot)) {
                return self.told(file, self.bytes_before, Some(damage));
            }
            next = self.slots.next();
        }
        self.told(file, self.bytes_before, None)
    }

    fn segments(&mut self) -> Option<Verified> {
        let start = self.walk.place().map_or(0, |(_, offset, _)| offset);
        loop {
            let mut seen = None;
            let step = self.walk.step(&mut |header, kind, _| {
                seen = (kind != Kind::Seal).then_some(*header);
            })?;
            if self.sum.file != self.walk.begun {
                self.sum = Sum {
                    file: self.walk.begun,
                    ..Sum::default()
                };
            }
            if let Some(header) = seen {
                self.sum.note(&header);
            }
            let key = self.walk.route.files[self.walk.begun - 1];
            let place = self.walk.place();
            let (offset, length) = place.map_or((0, 0), |(_, offset, length)| (offset, length));
            let done = self.bytes_before + offset;
            match step {
                Step::Frame if offset - start < PROGRESS_BYTES => {}
                Step::Frame => return Some(self.told(key.file(), done, None)),
                Step::Damage(damage) => return Some(self.told(key.file(), done, Some(damage))),
                Step::End => {
                    self.bytes_before += length;
                    self.walk.leave();
                    return Some(self.told(key.file(), self.bytes_before, None));
                }
            }
        }
    }
}

impl Iterator for Verify {
    type Item = Verified;

    fn next(&mut self) -> Option<Verified> {
        if let Some((sequence, bytes)) = self.checkpoints.next() {
            return Some(self.checkpoint(sequence, bytes));
        }
        if let Some(damage) = self.page_damage.take() {
            let file = PageFile::file_name().to_owned();
            return Some(self.told(file, self.bytes_before, Some(damage)));
        }
        if let Some(slot) = self.slots.next() {
            return Some(self.pages(slot));
        }
        self.segments()
    }
}

/// Every sound frame of every segment, cold ones in their place, in the order of the files; damage
/// is told once and passed over. What was moved to a cold segment and still lies in the old one, too,
/// comes twice.
pub struct Frames {
    walk: Walk,
}

impl Frames {
    pub(crate) fn new(route: Route) -> Frames {
        Frames {
            walk: Walk::new(route),
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut found = None;
            let step = self.walk.step(&mut |header, kind, body| {
                let of_shard = header.shard != Shard::LOG.number();
                if of_shard && kind != Kind::Seal {
                    found = Frame::from_disk(header, kind, body);
                }
            })?;
            match step {
                Step::Damage(damage) => return Some(Err(damage)),
                Step::End => self.walk.leave(),
                Step::Frame => {}
            }
            if let Some(frame) = found {
                return Some(Ok(frame));
            }
        }
    }
}
