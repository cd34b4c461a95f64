//! The records of the volatile shard: memory, by frame, until nobody holds any of its messages.
//!
//! A frame of which less than a quarter still lives is copied together, so that one message that
//! stays does not keep the eight megabytes it came with.

use std::collections::HashMap;

use broker::event::Frame;
use broker::id::{Index, MessageRef};
use broker::pass::record_ranges;

/// Frames below this are not worth copying together.
const SPARSE_BYTES_MIN: usize = 16 << 10;

/// Where a record lies in its frame; a released one is empty.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

struct Body {
    records: Vec<u8>,
    spans: Box<[Span]>,
    live: u32,
    live_bytes: usize,
}

/// The frames of the volatile shard that somebody holds a message of.
#[derive(Default)]
pub(crate) struct VolatileBodies {
    frames: HashMap<Index, Body>,
    /// Of all their records, released ones that are not yet gathered away included.
    bytes: usize,
}

impl VolatileBodies {
    pub fn insert(&mut self, frame: Frame) {
        if frame.heads.is_empty() {
            return;
        }
        let span = |range: std::ops::Range<usize>| Span {
            start: range.start as u32,
            length: (range.end - range.start) as u32,
        };
        let mut records = frame.records;
        records.shrink_to_fit();
        let spans: Box<[Span]> = record_ranges(&frame.heads).map(span).collect();
        let body = Body {
            live: spans.len() as u32,
            live_bytes: records.len(),
            records,
            spans,
        };
        self.bytes += body.records.len();
        self.frames.insert(frame.index, body);
    }

    pub fn record(&self, message: MessageRef) -> Option<&[u8]> {
        let body = self.frames.get(&message.index())?;
        let span = body.spans.get(usize::from(message.slot()))?;
        (span.length > 0).then(|| &body.records[span.start as usize..][..span.length as usize])
    }

    /// Nobody holds this message any more.
    pub fn release(&mut self, message: MessageRef) {
        let Some(body) = self.frames.get_mut(&message.index()) else {
            return;
        };
        let Some(span) = body.spans.get_mut(usize::from(message.slot())) else {
            return;
        };
        // A record is never empty: it begins with its version.
        let length = std::mem::take(&mut span.length);
        if length == 0 {
            return;
        }
        body.live -= 1;
        body.live_bytes -= length as usize;
        if body.live == 0 {
            self.bytes -= body.records.len();
            self.frames.remove(&message.index());
        } else if body.records.len() > SPARSE_BYTES_MIN && body.live_bytes < body.records.len() / 4
        {
            self.bytes -= body.records.len();
            body.gather();
            self.bytes += body.records.len();
        }
    }

    /// How much memory the records take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Body {
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

#[cfg(test)]
mod tests {
    use broker::id::{Millis, Position, QueueId, ShardId};
    use broker::pass::{Destination, Destinations, Head, Summary};

    use super::*;

    fn frame(index: u64, sizes: &[u32]) -> Frame {
        let queue = QueueId::new(Position(1).0, broker::id::Durability::Volatile);
        let destinations = Destinations::One(Destination::Queue(queue));
        let head = |size: &u32| Head {
            size: *size,
            summary: Summary::default(),
            destinations: destinations.clone(),
        };
        let fill = sizes.iter().enumerate();
        Frame {
            shard: ShardId::VOLATILE,
            index: Index(index),
            time: Millis(0),
            records: fill
                .flat_map(|(n, size)| vec![n as u8; *size as usize])
                .collect(),
            heads: sizes.iter().map(head).collect(),
            facts: Vec::new(),
            must_sync: false,
            essential: false,
        }
    }

    fn name(index: u64, slot: u16) -> MessageRef {
        MessageRef::new(ShardId::VOLATILE, Index(index), slot)
    }

    #[test]
    fn a_frame_goes_with_its_last_message() {
        let mut bodies = VolatileBodies::default();
        bodies.insert(frame(7, &[3, 1, 2]));
        bodies.insert(frame(8, &[]));
        assert_eq!(bodies.record(name(7, 2)), Some(&[2, 2][..]));
        bodies.release(name(7, 2));
        bodies.release(name(7, 2));
        assert_eq!((bodies.record(name(7, 2)), bodies.bytes()), (None, 6));
        assert_eq!(bodies.record(name(7, 0)), Some(&[0, 0, 0][..]));
        bodies.release(name(7, 1));
        bodies.release(name(7, 0));
        assert!(bodies.frames.is_empty() && bodies.bytes() == 0);
    }

    #[test]
    fn a_sparse_frame_is_copied_together() {
        let mut bodies = VolatileBodies::default();
        bodies.insert(frame(1, &[8000, 8000, 100, 8000]));
        for slot in [0, 1] {
            bodies.release(name(1, slot));
        }
        assert_eq!(bodies.bytes(), 24_100);
        bodies.release(name(1, 3));
        assert_eq!(bodies.bytes(), 100);
        assert_eq!(bodies.record(name(1, 2)), Some(&[2; 100][..]));
    }
}
