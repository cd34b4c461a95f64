//! Old segments, as the owner sees them.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Store;
use crate::ids::{MessageId, SegmentKey};
use crate::run::Candidate;
use crate::segment::Segment;
use crate::tasks::{Merge, Task};

impl Store {
    /// Of a segment file; a larger frame has one of its own.
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Bytes of all frames in the log, wanted or not.
    pub fn log_bytes(&self) -> u64 {
        let table = self.table.lock().expect("no holder of the table panics");
        table.segments.iter().map(|segment| segment.end).sum()
    }

    /// The segments that can become cold, oldest first: what lies below both kept checkpoints.
    pub fn candidates(&self) -> Vec<Candidate> {
        let below = self.settled_below.load(Ordering::Relaxed);
        let table = self.table.lock().expect("no holder of the table panics");
        let settled = table
            .segments
            .iter()
            .take_while(|segment| segment.seal.is_some() && segment.end_position() <= below);
        let candidate = |segment: &Segment| Candidate {
            key: segment.key,
            bytes: segment.end,
            ranges: segment
                .ranges
                .iter()
                .map(|range| (range.shard, range.first, range.last))
                .collect(),
        };
        settled.map(candidate).collect()
    }

    /// No cold segment is being made.
    pub fn can_merge(&self) -> bool {
        !self.merging && !self.poisoned
    }

    /// Makes adjacent segments, all of them candidates, one cold segment that holds `live`: all
    /// messages of the run that will ever be asked for again, in any order. Answered by
    /// [`Completion::Merged`], [`Completion::MergeAbandoned`] or [`Completion::MergeFailed`].
    ///
    /// # Panics
    /// When one is being made.
    pub fn merge(&mut self, run: Vec<SegmentKey>, live: Vec<MessageId>) {
        assert!(!self.merging, "one cold segment at a time");
        self.merging = true;
        let order = Box::new(Merge::Ordered { run, live });
        self.tasks.push_slow(Task::Merge(order), Instant::now());
    }
}
