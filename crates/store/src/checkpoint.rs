//! The checkpoint file: the only root. It names everything that recovery starts from.
//!
//! ```text
//! header, 96 bytes                           body
//!  0  8  "TroikaCp"                          shards, 33 bytes each:
//!  8  4  version = 1                           u8 shard, u64 applied index, u64 low water,
//! 12  4  zero                                  u64 term, u64 time
//! 16 16  node id                             segments:
//! 32  8  sequence number, as in the name       u32 number, u32 generation,
//! 40  8  length of the file                    u64 base, u64 end, u64 offset of the seal or 0,
//! 48  8  replay from this log position         u32 ranges; each: u8 shard, u64 first, u64 last
//! 56  8  the log was synced up to here       pages: one bit per slot that the state names
//! 64  4  shards                              state: the owner's, opaque
//! 68  4  segments
//! 72  4  bytes of the page bitmap
//! 76  4  CRC of the body
//! 80  8  bytes of state
//! 88  4  zero
//! 92  4  CRC of bytes 0..92
//! ```
//!
//! *Low water* is the smallest index whose messages are still needed. Two checkpoints are kept;
//! what neither needs is deleted, and the older one is the way back when the newer is damaged.

use std::io::IoSlice;

use crate::contract::RecoveredCheckpoint;
use crate::disk::{Disk, read_all};
use crate::error::{REMEDY_ROOT, StoreError, is_full};
use crate::format::{Cut, VERSION, crc, crc_of, u32_at};
use crate::ids::{Index, Millis, NodeId, SegmentKey, Shard, Term};
use crate::pages::Bitmap;
use crate::segment::{Range, Segment};

const HEADER_BYTES: usize = 96;
pub(crate) const PREFIX: &str = "checkpoint-";

/// What a checkpoint says of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShardRow {
    pub shard: Shard,
    pub applied: Index,
    pub low_water: Index,
    pub term: Term,
    pub time: Millis,
}

#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub sequence: u64,
    pub replay_from: u64,
    pub synced_to: u64,
    pub shards: Vec<ShardRow>,
    /// Ranges without points.
    pub segments: Vec<Segment>,
    pub pages: Bitmap,
    pub state: Vec<u8>,
}

impl Checkpoint {
    pub fn file(sequence: u64) -> String {
        format!("{PREFIX}{sequence:016x}")
    }

    /// The sequence number in a file's name.
    pub fn sequence_of(name: &str) -> Option<u64> {
        let digits = name
            .strip_prefix(PREFIX)
            .filter(|digits| digits.len() == 16)?;
        let sequence = u64::from_str_radix(digits, 16).ok()?;
        // None was ever reached by counting up from which one could not go on.
        (sequence < u64::MAX / 2).then_some(sequence)
    }

    pub fn applied(&self) -> Vec<(Shard, Index)> {
        self.shards
            .iter()
            .map(|row| (row.shard, row.applied))
            .collect()
    }

    /// What the owner is given back of it.
    pub fn recovered(&self, state: Vec<u8>) -> RecoveredCheckpoint {
        RecoveredCheckpoint {
            state,
            applied: self.applied(),
            pages: self.pages.iter().collect(),
        }
    }

    pub fn row(&self, shard: Shard) -> Option<&ShardRow> {
        self.shards.iter().find(|row| row.shard == shard)
    }

    /// Whether it names the file.
    pub fn names(&self, key: SegmentKey) -> bool {
        self.segments.iter().any(|segment| segment.key == key)
    }

    /// Whether it names the file for something that it needs.
    pub fn wants(&self, key: SegmentKey) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|segment| segment.key == key && self.wants_of(segment))
    }

    /// Whether the segment holds what may still be needed, or may grow.
    pub fn wants_of(&self, segment: &Segment) -> bool {
        let mut ranges = segment.ranges.iter();
        segment.seal.is_none() || ranges.any(|range| self.needs(range.shard, range.last))
    }

    /// Whether messages of the shard at or below `last` may still be needed.
    pub fn needs(&self, shard: Shard, last: Index) -> bool {
        last >= self.row(shard).map_or(Index::ZERO, |row| row.low_water)
    }

    /// Header and body without the state, which follows: it is large, and not copied.
    fn encode(&self, node: NodeId) -> Vec<u8> {
        let mut body = Vec::new();
        for row in &self.shards {
            body.push(row.shard.number());
            body.extend_from_slice(&row.applied.number().to_le_bytes());
            body.extend_from_slice(&row.low_water.number().to_le_bytes());
            body.extend_from_slice(&row.term.0.to_le_bytes());
            body.extend_from_slice(&row.time.0.to_le_bytes());
        }
        for segment in &self.segments {
            body.extend_from_slice(&segment.key.number.to_le_bytes());
            body.extend_from_slice(&segment.key.generation.to_le_bytes());
            body.extend_from_slice(&segment.base.to_le_bytes());
            body.extend_from_slice(&segment.end.to_le_bytes());
            body.extend_from_slice(&segment.seal.unwrap_or(0).to_le_bytes());
            body.extend_from_slice(&(segment.ranges.len() as u32).to_le_bytes());
            segment
                .ranges
                .iter()
                .for_each(|range| range.encode_bounds(&mut body));
        }
        body.extend_from_slice(self.pages.as_bytes());
        let length = HEADER_BYTES + body.len() + self.state.len();
        let mut b = Vec::with_capacity(HEADER_BYTES + body.len());
        b.extend_from_slice(b"TroikaCp");
        b.extend_from_slice(&u32::from(VERSION).to_le_bytes());
        b.extend_from_slice(&[0; 4]);
        b.extend_from_slice(&node.0.to_le_bytes());
        b.extend_from_slice(&self.sequence.to_le_bytes());
        b.extend_from_slice(&(length as u64).to_le_bytes());
        b.extend_from_slice(&self.replay_from.to_le_bytes());
        b.extend_from_slice(&self.synced_to.to_le_bytes());
        b.extend_from_slice(&(self.shards.len() as u32).to_le_bytes());
        b.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        b.extend_from_slice(&(self.pages.as_bytes().len() as u32).to_le_bytes());
        b.extend_from_slice(&crc_of(&[&body, &self.state]).to_le_bytes());
        b.extend_from_slice(&(self.state.len() as u64).to_le_bytes());
        b.extend_from_slice(&[0; 4]);
        let sum = crc(&b);
        b.extend_from_slice(&sum.to_le_bytes());
        b.extend_from_slice(&body);
        b
    }

    fn decode(bytes: &[u8], node: NodeId, sequence: u64) -> Result<Checkpoint, Damage> {
        let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else {
            return Err(Damage::Bad("the file is shorter than its header"));
        };
        if header[..8] != *b"TroikaCp" || u32_at(header, 92) != crc(&header[..92]) {
            return Err(Damage::Bad("the checksum of the header is wrong"));
        }
        if u32_at(header, 8) != u32::from(VERSION) {
            return Err(Damage::Version(u32_at(header, 8)));
        }
        if crc(body) != u32_at(header, 76) {
            return Err(Damage::Bad("the checksum of the body is wrong"));
        }
        Self::parse(bytes, node, sequence).ok_or(Damage::Bad(
            "the contents contradict the header or belong to another node",
        ))
    }

    fn parse(bytes: &[u8], node: NodeId, sequence: u64) -> Option<Checkpoint> {
        let mut cut = Cut(bytes);
        cut.bytes(16)?;
        let owned = cut.u128()? == node.0 && cut.u64()? == sequence;
        let whole = cut.u64()? == bytes.len() as u64;
        let (replay_from, synced_to) = (cut.u64()?, cut.u64()?);
        let (shard_count, segment_count) = (cut.u32()?, cut.u32()?);
        let page_bytes = cut.u32()? as usize;
        cut.u32()?;
        let state_bytes = cut.u64()?;
        cut.u64()?;
        let mut shards = Vec::new();
        for _ in 0..shard_count {
            shards.push(ShardRow {
                shard: Shard::from_disk(cut.u8()?)?,
                applied: Index::from_disk(cut.u64()?)?,
                low_water: Index::from_disk(cut.u64()?)?,
                term: Term(cut.u64()?),
                time: Millis(cut.u64()?),
            });
        }
        let mut segments = Vec::new();
        for _ in 0..segment_count {
            let key = SegmentKey::from_disk(cut.u32()?, cut.u32()?)?;
            let mut segment = Segment::new(key, cut.u64()?);
            segment.end = cut.u64()?;
            segment.seal = Some(cut.u64()?).filter(|offset| *offset > 0);
            for _ in 0..cut.u32()? {
                segment.ranges.push(Range::decode_bounds(&mut cut)?);
            }
            segments.push(segment);
        }
        let pages = Bitmap::from_bytes(cut.bytes(page_bytes)?);
        let state = cut.bytes(usize::try_from(state_bytes).ok()?)?.to_vec();
        (owned && whole && cut.0.is_empty()).then_some(Checkpoint {
            sequence,
            replay_from,
            synced_to,
            shards,
            segments,
            pages,
            state,
        })
    }

    /// Durable, with its name, on return.
    pub fn write(&self, disk: &dyn Disk, node: NodeId) -> Result<(), StoreError> {
        write_whole(
            disk,
            &Checkpoint::file(self.sequence),
            &[&self.encode(node), &self.state],
        )
    }

    /// Reads and verifies. A version of the future is an error at once; damage is left to the
    /// caller, who may have an older one.
    pub fn read(
        disk: &dyn Disk,
        node: NodeId,
        sequence: u64,
    ) -> Result<Result<Checkpoint, StoreError>, StoreError> {
        let file = Checkpoint::file(sequence);
        let bytes = disk
            .open(&file)
            .and_then(|open| read_all(&*open))
            .map_err(StoreError::io(&file, "read"))?;
        match Checkpoint::decode(&bytes, node, sequence) {
            Ok(checkpoint) => Ok(Ok(checkpoint)),
            Err(Damage::Version(version)) => {
                let what = format!("a checkpoint of version {version}");
                Err(StoreError::Unsupported {
                    file,
                    offset: 8,
                    what,
                })
            }
            Err(Damage::Bad(what)) => Ok(Err(StoreError::Corrupt {
                file,
                offset: 0,
                what: what.to_owned(),
                remedy: REMEDY_ROOT,
            })),
        }
    }
}

enum Damage {
    Bad(&'static str),
    Version(u32),
}

/// Writes a file of the data directory so that it exists whole or not at all, durably.
pub(crate) fn write_whole(disk: &dyn Disk, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
    let draft = format!("{name}.tmp");
    let there = disk.list("").map_err(StoreError::io("", "list"))?;
    if there.contains(&draft) {
        disk.remove(&draft)
            .map_err(StoreError::io(&draft, "remove"))?;
    }
    let file = disk
        .create(&draft)
        .map_err(StoreError::io(&draft, "create"))?;
    let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    if let Err(error) = file.write_vectored_at(&mut slices, 0) {
        if is_full(&error) {
            disk.remove(&draft)
                .map_err(StoreError::io(&draft, "remove"))?;
        }
        return Err(StoreError::io(&draft, "write")(error));
    }
    file.sync_data().map_err(StoreError::io(&draft, "sync"))?;
    disk.rename(&draft, name)
        .map_err(StoreError::io(name, "rename a draft to"))?;
    disk.sync_dir("").map_err(StoreError::io("", "sync"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PageSlot;

    #[test]
    fn a_checkpoint_comes_back_and_no_bit_of_it_may_change() {
        let mut segment = Segment::new(SegmentKey::hot(2), 5000);
        segment.note(Shard::new(0), Index::new(10), 500);
        segment.seal = Some(4700);
        let row = ShardRow {
            shard: Shard::new(0),
            applied: Index::new(12),
            low_water: Index::new(3),
            term: Term(1),
            time: Millis(99),
        };
        let checkpoint = Checkpoint {
            sequence: 7,
            replay_from: 1,
            synced_to: 2,
            shards: vec![row],
            segments: vec![segment, Segment::new(SegmentKey::hot(3), 9000)],
            pages: [PageSlot(3), PageSlot(70)].into_iter().collect(),
            state: b"the ledger".to_vec(),
        };
        let whole = |checkpoint: &Checkpoint| {
            let root = checkpoint.encode(NodeId(5));
            [&root[..], &checkpoint.state].concat()
        };
        let mut bytes = whole(&checkpoint);
        let read = Checkpoint::decode(&bytes, NodeId(5), 7).ok().unwrap();
        assert_eq!(whole(&read), bytes);
        assert_eq!(
            read.pages.iter().collect::<Vec<_>>(),
            [PageSlot(3), PageSlot(70)]
        );
        assert!(Checkpoint::decode(&bytes, NodeId(6), 7).is_err());
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Checkpoint::decode(&bytes, NodeId(5), 7).is_err(),
                "bit {bit}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
