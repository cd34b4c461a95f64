//! What is known of the segments: which indexes they hold, and roughly where.
//!
//! Per shard and segment there is one point for each 64 KB of the shard's frames, eight bytes
//! each, so memory is in proportion to the log's bytes and not to its messages. A frame is found by
//! walking frame headers from the point before it. A closed segment carries this index in the
//! facts of its seal:
//!
//! ```text
//! u32 ranges; each: u8 shard, u64 first index, u64 last index,
//!                   u32 points; each: u32 index - first index, u32 offset in file
//! ```

use std::collections::VecDeque;

use crate::format::{Cut, SEGMENT_HEADER_BYTES};
use crate::ids::{Index, SegmentKey, Shard};

/// How many bytes of a shard's frames lie between two points at most, plus one frame.
pub(crate) const POINT_BYTES: u64 = 64 << 10;

/// The frames of one shard in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub shard: Shard,
    pub first: Index,
    pub last: Index,
    /// (index - first, offset in file), ascending.
    points: Vec<(u32, u32)>,
    bytes_since_point: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub key: SegmentKey,
    pub base: u64,
    /// The offset where the next frame goes; behind the seal once there is one.
    pub end: u64,
    /// The offset of the seal.
    pub seal: Option<u64>,
    pub ranges: Vec<Range>,
}

impl Segment {
    pub fn new(key: SegmentKey, base: u64) -> Segment {
        Segment {
            key,
            base,
            end: SEGMENT_HEADER_BYTES,
            seal: None,
            ranges: Vec::new(),
        }
    }

    pub fn end_position(&self) -> u64 {
        self.base + self.end
    }

    /// Takes note of a frame at the end.
    pub fn note(&mut self, shard: Shard, index: Index, length: u64) {
        let offset = self.end;
        self.end += length;
        if shard == Shard::LOG {
            return;
        }
        match self.ranges.iter_mut().find(|range| range.shard == shard) {
            Some(range) => {
                if range.bytes_since_point >= POINT_BYTES {
                    let delta = index.number() - range.first.number();
                    range.points.push((delta as u32, offset as u32));
                    range.bytes_since_point = 0;
                }
                range.last = index;
                range.bytes_since_point += length;
            }
            None => self.ranges.push(Range {
                shard,
                first: index,
                last: index,
                points: vec![(0, offset as u32)],
                bytes_since_point: length,
            }),
        }
    }

    /// The offset of a frame of the shard at or before `index`.
    pub fn point(&self, shard: Shard, index: Index) -> Option<u64> {
        let range = self.ranges.iter().find(|range| range.shard == shard)?;
        let delta = index.number().checked_sub(range.first.number())?;
        if index > range.last {
            return None;
        }
        let after = range
            .points
            .partition_point(|(d, _)| u64::from(*d) <= delta);
        range
            .points
            .get(after.checked_sub(1)?)
            .map(|(_, offset)| u64::from(*offset))
    }

    /// Leaves the bounds of the ranges, which is what a checkpoint tells.
    pub fn forget_points(&mut self) {
        self.ranges
            .iter_mut()
            .for_each(|range| range.points = Vec::new());
    }

    /// The facts of the seal.
    pub fn encode_index(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&(self.ranges.len() as u32).to_le_bytes());
        for range in &self.ranges {
            range.encode_bounds(&mut out);
            out.extend_from_slice(&(range.points.len() as u32).to_le_bytes());
            for (delta, offset) in &range.points {
                out.extend_from_slice(&delta.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
            }
        }
        out
    }

    /// The ranges in the facts of a seal; `None` when they make no sense.
    pub fn decode_index(facts: &[u8]) -> Option<Vec<Range>> {
        let mut cut = Cut(facts);
        let count = cut.u32()?;
        let mut ranges = Vec::new();
        for _ in 0..count {
            let mut range = Range::decode_bounds(&mut cut)?;
            let points = cut.u32()? as usize;
            let mut bytes = Cut(cut.bytes(points.checked_mul(8)?)?);
            range.points.reserve_exact(points);
            for _ in 0..points {
                range.points.push((bytes.u32()?, bytes.u32()?));
            }
            ranges.push(range);
        }
        cut.0.is_empty().then_some(ranges)
    }
}

impl Range {
    pub fn encode_bounds(&self, out: &mut Vec<u8>) {
        out.push(self.shard.number());
        out.extend_from_slice(&self.first.number().to_le_bytes());
        out.extend_from_slice(&self.last.number().to_le_bytes());
    }

    /// A range without points.
    pub fn decode_bounds(cut: &mut Cut<'_>) -> Option<Range> {
        Some(Range {
            shard: Shard::from_disk(cut.u8()?)?,
            first: Index::from_disk(cut.u64()?)?,
            last: Index::from_disk(cut.u64()?)?,
            points: Vec::new(),
            bytes_since_point: 0,
        })
    }
}

/// Room that is kept in a segment for its seal: 104 bytes, 127 ranges of 21 bytes, and a point of
/// 8 bytes for each 64 KB.
pub(crate) fn seal_room(segment_bytes: u64) -> u64 {
    104 + 8 + 127 * (21 + 8) + (segment_bytes / POINT_BYTES + 1) * 8
}

/// All segments, oldest first; the last one is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentTable {
    pub segments: VecDeque<Segment>,
    /// Per shard the segments that hold its frames: (first index, segment number), ascending.
    holders: Vec<Vec<(Index, u32)>>,
}

/// Where to begin walking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub segment: SegmentKey,
    pub base: u64,
    pub offset: u64,
    /// Nothing of the segment lies beyond.
    pub end: u64,
}

impl SegmentTable {
    pub fn push(&mut self, segment: Segment) {
        for range in &segment.ranges {
            Self::hold(
                &mut self.holders,
                range.shard,
                range.first,
                segment.key.number,
            );
        }
        self.segments.push_back(segment);
    }

    fn hold(holders: &mut Vec<Vec<(Index, u32)>>, shard: Shard, first: Index, segment: u32) {
        let shard = shard.number() as usize;
        if holders.len() <= shard {
            holders.resize(shard + 1, Vec::new());
        }
        holders[shard].push((first, segment));
    }

    /// The segment that is being written.
    pub fn active(&mut self) -> &mut Segment {
        self.segments
            .back_mut()
            .expect("an open store has a segment to write to")
    }

    /// Takes note of a frame at the end of the segment being written.
    pub fn note(&mut self, shard: Shard, index: Index, length: u64) {
        let active = self
            .segments
            .back_mut()
            .expect("an open store has a segment to write to");
        let held = shard == Shard::LOG || active.ranges.iter().any(|range| range.shard == shard);
        active.note(shard, index, length);
        if !held {
            Self::hold(&mut self.holders, shard, index, active.key.number);
        }
    }

    pub fn segment(&self, number: u32) -> Option<&Segment> {
        let first = self.segments.front()?.key.number;
        // Numbers have no gaps save where segments in the middle went or became one.
        let guess = number.checked_sub(first)? as usize;
        match self.segments.get(guess) {
            Some(segment) if segment.key.number == number => Some(segment),
            Some(_) | None => {
                let at = self
                    .segments
                    .partition_point(|segment| segment.key.number < number);
                self.segments
                    .get(at)
                    .filter(|segment| segment.key.number == number)
            }
        }
    }

    pub fn find(&self, shard: Shard, index: Index) -> Option<Point> {
        let holders = self.holders.get(shard.number() as usize)?;
        let after = holders.partition_point(|(first, _)| *first <= index);
        let (_, number) = holders.get(after.checked_sub(1)?)?;
        let segment = self.segment(*number)?;
        Some(Point {
            segment: segment.key,
            base: segment.base,
            offset: segment.point(shard, index)?,
            end: segment.end,
        })
    }

    /// The highest index of every shard that any segment holds.
    pub fn lasts(&self) -> Vec<(Shard, Index)> {
        let mut lasts = vec![Index::ZERO; 128];
        for range in self.segments.iter().flat_map(|segment| &segment.ranges) {
            let last = &mut lasts[range.shard.number() as usize];
            *last = range.last.max(*last);
        }
        let held = lasts
            .into_iter()
            .enumerate()
            .filter(|(_, last)| *last > Index::ZERO);
        held.filter_map(|(shard, last)| Some((Shard::from_disk(shard as u8)?, last)))
            .collect()
    }

    /// Where these segments lie next to each other, if they do, sealed.
    pub fn run(&self, keys: &[SegmentKey]) -> Option<std::ops::Range<usize>> {
        let first = keys.first()?;
        let start = self
            .segments
            .iter()
            .position(|segment| segment.key == *first)?;
        let run = start..start + keys.len();
        let found = self.segments.iter().skip(start).take(keys.len());
        let sealed = found.clone().all(|segment| segment.seal.is_some());
        (sealed && found.map(|segment| &segment.key).eq(keys)).then_some(run)
    }

    /// Puts a cold segment, or nothing, where these segments are; false if they are not there any
    /// more.
    pub fn replace(&mut self, keys: &[SegmentKey], cold: Option<Segment>) -> bool {
        let Some(run) = self.run(keys) else {
            return false;
        };
        let after = self.segments.split_off(run.end);
        self.segments.truncate(run.start);
        let segments = std::mem::take(&mut self.segments);
        self.holders.clear();
        segments
            .into_iter()
            .chain(cold)
            .chain(after)
            .for_each(|segment| self.push(segment));
        true
    }

    /// Takes out the sealed segments that end at or before `replay_from` and hold nothing at or
    /// above the low-water marks.
    pub fn take_unneeded(
        &mut self,
        replay_from: u64,
        needed: &dyn Fn(Shard, Index) -> bool,
    ) -> Vec<SegmentKey> {
        let mut gone = Vec::new();
        self.segments.retain(|segment| {
            let keep = segment.seal.is_none()
                || segment.end_position() > replay_from
                || segment
                    .ranges
                    .iter()
                    .any(|range| needed(range.shard, range.last));
            if !keep {
                gone.push(segment.key);
            }
            keep
        });
        for holders in &mut self.holders {
            holders.retain(|(_, number)| !gone.iter().any(|key| key.number == *number));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Segment {
        let mut segment = Segment::new(SegmentKey::hot(3), 1000);
        for n in 0..100 {
            segment.note(Shard::new(0), Index::new(50 + n), 10_000);
            segment.note(Shard::LOG, Index::ZERO, 104);
        }
        segment
    }

    #[test]
    fn a_point_lies_at_most_64_kb_and_a_frame_before() {
        let segment = filled();
        for n in 0..100u64 {
            let at = SEGMENT_HEADER_BYTES + n * 10_104;
            let point = segment.point(Shard::new(0), Index::new(50 + n)).unwrap();
            assert!(
                point <= at && at - point < POINT_BYTES + 10_104 * 2,
                "{n}: {point} {at}"
            );
        }
        assert_eq!(segment.point(Shard::new(0), Index::new(49)), None);
        assert_eq!(segment.point(Shard::new(0), Index::new(150)), None);
        assert_eq!(segment.point(Shard::new(1), Index::new(60)), None);
    }

    #[test]
    fn the_index_in_a_seal_comes_back() {
        let segment = filled();
        let mut ranges = Segment::decode_index(&segment.encode_index()).unwrap();
        ranges[0].bytes_since_point = segment.ranges[0].bytes_since_point;
        assert_eq!(ranges, segment.ranges);
        let bytes = segment.encode_index();
        for cut in 0..bytes.len() {
            assert_eq!(Segment::decode_index(&bytes[..cut]), None);
        }
    }

    #[test]
    fn unneeded_segments_go_wherever_they_lie() {
        let mut table = SegmentTable::default();
        for number in 1..=4 {
            let mut segment = Segment::new(SegmentKey::hot(number), u64::from(number) * 100_000);
            segment.note(Shard::new(0), Index::new(u64::from(number)), 1000);
            segment.seal = (number < 4).then_some(segment.end);
            table.push(segment);
        }
        let gone = table.take_unneeded(400_000, &|_, last| last == Index::new(1));
        assert_eq!(gone, [2, 3].map(SegmentKey::hot));
        assert_eq!(table.find(Shard::new(0), Index::new(2)), None);
        assert_eq!(
            table.find(Shard::new(0), Index::new(1)).map(|p| p.segment),
            Some(SegmentKey::hot(1))
        );
        assert_eq!(
            table.find(Shard::new(0), Index::new(4)).map(|p| p.segment),
            Some(SegmentKey::hot(4))
        );
        assert_eq!(table.lasts(), [(Shard::new(0), Index::new(4))]);
    }
}
