//! Which segments become one.

use std::ops::Range;

use crate::cold::COLD_BYTES_MAX;
use crate::format::SEGMENT_HEADER_BYTES;
use crate::ids::{Index, SegmentKey, Shard};

/// A run has no more segments.
pub const RUN_SEGMENTS_MAX: usize = 64;

/// A segment that can be part of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub key: SegmentKey,
    /// Of its frames.
    pub bytes: u64,
    /// First and last index per shard.
    pub ranges: Vec<(Shard, Index, Index)>,
}

/// The adjacent segments that give back the most when they become one, by what is live in each
/// (an estimate will do, in bytes of records). `None` when none gives back half of what it has.
/// What is left of a run fits into `segment_bytes`, unless it is a single segment.
pub fn choose_run(
    candidates: &[Candidate],
    live_bytes: &[u64],
    segment_bytes: u64,
) -> Option<Range<usize>> {
    let mut best: Option<(u64, Range<usize>)> = None;
    for start in 0..candidates.len() {
        let (mut bytes, mut live) = (0, 0);
        let mut firsts = Firsts::default();
        for end in start..candidates.len().min(start + RUN_SEGMENTS_MAX) {
            bytes += candidates[end].bytes;
            live += live_bytes[end].min(candidates[end].bytes);
            let fits = end == start || live <= segment_bytes && live <= COLD_BYTES_MAX;
            let sparse = live_bytes[end] <= candidates[end].bytes / 2;
            if !fits || !sparse || !firsts.take(&candidates[end]) {
                break;
            }
            // Files as such are worth something: two empty ones are worse than one.
            let gain = (bytes - live) + (end - start) as u64 * SEGMENT_HEADER_BYTES;
            let worth = end > start || live <= bytes / 2 && !candidates[start].key.is_cold();
            if worth && best.as_ref().is_none_or(|(most, _)| gain > *most) {
                best = Some((gain, start..end + 1));
            }
        }
    }
    best.map(|(_, run)| run)
}

/// Where the indexes of a run begin. An index is told from the first of its range in 32 bits.
#[derive(Default)]
struct Firsts(Vec<(Shard, Index)>);

impl Firsts {
    /// Whether the run may go on with this one.
    fn take(&mut self, candidate: &Candidate) -> bool {
        candidate.ranges.iter().all(|(shard, first, last)| {
            let known = self.0.iter().find(|(of, _)| of == shard);
            let from = known.map_or(*first, |(_, first)| *first);
            if known.is_none() {
                self.0.push((*shard, *first));
            }
            last.number() - from.number() < u64::from(u32::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: u32, bytes: u64) -> Candidate {
        let first = u64::from(number) * 100;
        Candidate {
            key: SegmentKey::hot(number),
            bytes,
            ranges: vec![(Shard::new(0), Index::new(first), Index::new(first + 99))],
        }
    }

    #[test]
    fn the_run_that_gives_back_the_most_is_chosen() {
        // Live bytes of segments of 1000 bytes each, and the run.
        for (live, wanted) in [
            (&[0, 0, 0][..], Some(0..3)),
            (&[900, 900, 900], None),
            (&[900, 400, 900], Some(1..2)),
            (&[900, 10, 10, 900, 10], Some(1..3)),
            (&[500, 500, 500], Some(0..2)),
            (&[501, 501], None),
            (&[10, 900, 10, 20, 30, 900], Some(2..5)),
        ] {
            let candidates: Vec<_> = (0..live.len())
                .map(|n| candidate(n as u32 + 1, 1000))
                .collect();
            assert_eq!(choose_run(&candidates, live, 1000), wanted, "{live:?}");
        }
    }

    #[test]
    fn a_cold_segment_alone_is_left_alone_and_a_wide_run_is_cut() {
        let mut candidates = vec![candidate(1, 1000)];
        candidates[0].key.generation = 1;
        assert_eq!(choose_run(&candidates, &[100], 1000), None);
        let mut wide = vec![candidate(1, 1000), candidate(2, 1000)];
        wide[1].ranges[0] = (Shard::new(0), Index::new(1 << 32), Index::new(1 << 33));
        assert_eq!(choose_run(&wide, &[0, 0], 1000), Some(0..1));
    }
}
