//! The records of one frame in memory, as far as somebody holds them.
//!
//! A frame of which less than a quarter still lives is copied together, so that one message that
//! stays does not keep the eight megabytes it came with.

use broker::event::Frame;
use broker::pass::record_ranges;

/// Frames below this are not worth copying together.
const SPARSE_BYTES_MIN: usize = 16 << 10;
/// What a frame takes beside its records.
const FRAME_MEMORY_BYTES: usize = 128;

/// Where a record lies in its frame; a released one is empty.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

/// How long a frame has been here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Age {
    /// A consumer that keeps up is yet to come for it.
    Recent,
    /// Nobody keeps up with it, and there is room for it.
    Kept,
    /// It goes to the disk with the next block.
    Leaving,
}

pub(super) struct Body {
    records: Vec<u8>,
    spans: Box<[Span]>,
    live: u32,
    live_bytes: usize,
    pub age: Age,
}

/// The same bytes in as much memory as they need. Shrinking in place would leave a hole behind each
/// frame, too small for the next one.
fn copied(records: &[u8]) -> Vec<u8> {
    records.to_vec()
}

impl Body {
    pub fn new(frame: Frame) -> Body {
        let span = |range: std::ops::Range<usize>| Span {
            start: range.start as u32,
            length: (range.end - range.start) as u32,
        };
        let mut records = frame.records;
        if records.capacity() / 2 > records.len() {
            records = copied(&records);
        }
        let spans: Box<[Span]> = record_ranges(&frame.heads).map(span).collect();
        Body {
            live: spans.len() as u32,
            live_bytes: records.len(),
            records,
            spans,
            age: Age::Recent,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    pub fn memory_bytes(&self) -> usize {
        self.records.capacity() + size_of_val(&*self.spans) + FRAME_MEMORY_BYTES
    }

    /// It stays for long: what was reserved for more records is given back.
    pub fn settle_down(&mut self) {
        self.age = Age::Kept;
        if self.records.capacity() > self.records.len() {
            self.records = copied(&self.records);
        }
    }

    pub fn record(&self, slot: u16) -> Option<&[u8]> {
        let span = self.spans.get(usize::from(slot))?;
        // A record is never empty: it begins with its version.
        (span.length > 0).then(|| &self.records[span.start as usize..][..span.length as usize])
    }

    /// What is not released, by slot.
    pub fn records(&self) -> impl Iterator<Item = (u16, &[u8])> {
        (0..self.spans.len() as u16).filter_map(|slot| Some((slot, self.record(slot)?)))
    }

    pub fn release(&mut self, slot: u16) {
        let Some(span) = self.spans.get_mut(usize::from(slot)) else {
            return;
        };
        let length = std::mem::take(&mut span.length);
        if length == 0 {
            return;
        }
        self.live -= 1;
        self.live_bytes -= length as usize;
        if self.records.len() > SPARSE_BYTES_MIN && self.live_bytes < self.records.len() / 4 {
            self.gather();
        }
    }

    fn gather(&mut self) {
        let mut records = Vec::with_capacity(self.live_bytes);
        for span in self.spans.iter_mut().filter(|span| span.length > 0) {
            let start = records.len() as u32;
            records.extend_from_slice(&self.records[span.start as usize..][..span.length as usize]);
            span.start = start;
        }
        self.records = records;
    }
}
