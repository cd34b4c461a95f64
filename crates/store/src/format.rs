//! Format v1, byte by byte. All numbers are little-endian; CRC is CRC-32C (Castagnoli).
//!
//! ```text
//! node                 40 bytes: "TroikaNd", version u32 = 1, zero u32, node id u128,
//!                      zero u32, CRC of the first 36 u32
//! lock                 empty; locked while a process works here
//! pages                see `pages`
//! checkpoint-<seq>     see `checkpoint`; seq in 16 hexadecimal digits
//! log/<segment>.log    a segment; its number in 10 decimal digits, from 1 without gaps
//! log/<segment>-<generation>.cold   what is left of a run of segments, see `cold`; the number is
//!                      that of the first, the generation has 8 decimal digits
//! log/cold.draft       a cold segment that is being made; worth nothing after a crash
//! log/spare-<n>        a preallocated, zeroed segment without header
//! ```
//!
//! A *log position* counts bytes from the node's first segment on and is never used again on a
//! whole log: a segment's base is the end of the seal before it, and `position = base + offset in
//! file`.
//!
//! ```text
//! segment header, 4096 bytes          frame header, 104 bytes
//!  0  8  "TroikaLg"                    0  4  "TrFm"
//!  8  4  version = 1                   4  1  version = 1
//! 12  4  segment number                5  1  kind
//! 16 16  node id                       6  1  shard; 127 = the log itself
//! 32  8  base                          7  1  zero
//! 40  4  CRC of bytes 0..40            8  4  segment number
//! 44     zero up to 4096              12  4  frame length with header and padding, 8 divides it
//!                                     16  8  term
//! then frames, each at an offset      24  8  index (44 bits)
//! that 8 divides; the last one of a   32  8  time, milliseconds since the epoch
//! closed segment is a seal.           40  8  log position of this frame
//!                                     48  8  log position below which all was synced
//! frame: header, heads, facts,        56  2  messages
//! records, zeros to a multiple of 8   58  2  zero
//!                                     60  4  bytes of heads
//! head, one per message               64  4  CRC of heads
//!  0  2  slot, ascending              68  4  bytes of facts
//!  2  1  flags                        72  4  CRC of facts
//!  3  1  zero                         76  4  count of facts
//!  4  4  record length                80  4  bytes of records
//!  8  4  record CRC                   84  4  generation of a cold segment, else zero
//! 12  4  meta length                  88  8  node tag (both halves of the node id xored)
//! 16     meta                         96  4  zero
//!                                    100  4  CRC of bytes 0..100
//! ```
//!
//! Kinds: 1 batch, 2 blank, 3 membership, 4 vote, 5 truncate, 6 install, 7 carry, 8 cold, 9 seal,
//! 10 machine-version. This version writes 1, 2, 9 and 10 and refuses a log with another; in cold
//! segments it writes 8 and 9. A blank of shard 127 is a *mark*: it says nothing but how far the log
//! was synced. The facts of a seal are the segment's index, see `segment`.
//!
//! ```text
//! header of a cold segment, 4096 bytes
//!  0  8  "TroikaCd"       32  8  base
//!  8  4  version = 1      40  4  generation
//! 12  4  segment number   44  4  CRC of bytes 0..44
//! 16 16  node id          48     zero up to 4096
//! ```

use crate::ids::{Index, NodeId, SegmentKey, Shard};

pub(crate) const VERSION: u8 = 1;
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"TrFm";
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"TroikaLg";
pub(crate) const COLD_MAGIC: [u8; 8] = *b"TroikaCd";
pub(crate) const NODE_MAGIC: [u8; 8] = *b"TroikaNd";
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;
pub(crate) const FRAME_HEADER_BYTES: usize = 104;
pub(crate) const HEAD_BYTES: usize = 16;
pub(crate) const NODE_FILE_BYTES: usize = 40;

pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// Of several parts that follow each other.
pub(crate) fn crc_of(parts: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize() as u32
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Messages and facts of one shard.
    Batch = 1,
    /// Takes an index and says nothing.
    Blank = 2,
    Membership = 3,
    Vote = 4,
    Truncate = 5,
    Install = 6,
    Carry = 7,
    Cold = 8,
    /// Closes a segment.
    Seal = 9,
    /// From here on the shard's machines obey this version (facts).
    MachineVersion = 10,
}

impl Kind {
    pub(crate) fn from_disk(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Batch,
            2 => Kind::Blank,
            3 => Kind::Membership,
            4 => Kind::Vote,
            5 => Kind::Truncate,
            6 => Kind::Install,
            7 => Kind::Carry,
            8 => Kind::Cold,
            9 => Kind::Seal,
            10 => Kind::MachineVersion,
            _ => return None,
        })
    }
}

/// The frame header as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub kind: u8,
    pub shard: u8,
    pub segment: u32,
    pub length: u32,
    pub term: u64,
    pub index: u64,
    pub time: u64,
    pub position: u64,
    pub synced: u64,
    pub messages: u16,
    pub heads_bytes: u32,
    pub heads_crc: u32,
    pub facts_bytes: u32,
    pub facts_crc: u32,
    pub facts: u32,
    pub records_bytes: u32,
    /// Of the segment; 0 in the log's own.
    pub generation: u32,
    pub node_tag: u64,
}

/// Why 104 bytes are no frame header of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// Never one, or damaged.
    Bad(&'static str),
    /// Sound, and newer than this build.
    Version(u8),
}

impl FrameHeader {
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut b = [0; FRAME_HEADER_BYTES];
        b[0..4].copy_from_slice(&FRAME_MAGIC);
        b[4] = VERSION;
        b[5] = self.kind;
        b[6] = self.shard;
        b[8..12].copy_from_slice(&self.segment.to_le_bytes());
        b[12..16].copy_from_slice(&self.length.to_le_bytes());
        b[16..24].copy_from_slice(&self.term.to_le_bytes());
        b[24..32].copy_from_slice(&self.index.to_le_bytes());
        b[32..40].copy_from_slice(&self.time.to_le_bytes());
        b[40..48].copy_from_slice(&self.position.to_le_bytes());
        b[48..56].copy_from_slice(&self.synced.to_le_bytes());
        b[56..58].copy_from_slice(&self.messages.to_le_bytes());
        b[60..64].copy_from_slice(&self.heads_bytes.to_le_bytes());
        b[64..68].copy_from_slice(&self.heads_crc.to_le_bytes());
        b[68..72].copy_from_slice(&self.facts_bytes.to_le_bytes());
        b[72..76].copy_from_slice(&self.facts_crc.to_le_bytes());
        b[76..80].copy_from_slice(&self.facts.to_le_bytes());
        b[80..84].copy_from_slice(&self.records_bytes.to_le_bytes());
        b[84..88].copy_from_slice(&self.generation.to_le_bytes());
        b[88..96].copy_from_slice(&self.node_tag.to_le_bytes());
        let sum = crc(&b[..100]);
        b[100..104].copy_from_slice(&sum.to_le_bytes());
        b
    }

    /// `b` has [`FRAME_HEADER_BYTES`] bytes.
    pub fn decode(b: &[u8]) -> Result<FrameHeader, NoHeader> {
        assert_eq!(
            b.len(),
            FRAME_HEADER_BYTES,
            "the caller cuts the header out"
        );
        if b[0..4] != FRAME_MAGIC {
            return Err(NoHeader::Bad("no frame begins here"));
        }
        if u32_at(b, 100) != crc(&b[..100]) {
            return Err(NoHeader::Bad("the checksum of the frame header is wrong"));
        }
        if b[4] != VERSION {
            return Err(NoHeader::Version(b[4]));
        }
        Ok(FrameHeader {
            kind: b[5],
            shard: b[6],
            segment: u32_at(b, 8),
            length: u32_at(b, 12),
            term: u64_at(b, 16),
            index: u64_at(b, 24),
            time: u64_at(b, 32),
            position: u64_at(b, 40),
            synced: u64_at(b, 48),
            messages: u16::from_le_bytes([b[56], b[57]]),
            heads_bytes: u32_at(b, 60),
            heads_crc: u32_at(b, 64),
            facts_bytes: u32_at(b, 68),
            facts_crc: u32_at(b, 72),
            facts: u32_at(b, 76),
            records_bytes: u32_at(b, 80),
            generation: u32_at(b, 84),
            node_tag: u64_at(b, 88),
        })
    }

    /// Whether the frame belongs at this place of this log: old bytes never do.
    pub fn belongs(&self, node: NodeId, segment: SegmentKey, position: u64) -> bool {
        let SegmentKey { number, generation } = segment;
        self.node_tag == node.tag()
            && (self.segment, self.generation) == (number, generation)
            && self.position == position
    }

    /// The length that the sections ask for.
    pub fn sections_length(&self) -> u64 {
        frame_bytes(
            u64::from(self.heads_bytes),
            u64::from(self.facts_bytes),
            u64::from(self.records_bytes),
        )
    }

    pub fn shard(&self) -> Option<Shard> {
        Shard::from_disk(self.shard)
    }

    pub fn index(&self) -> Option<Index> {
        Index::from_disk(self.index)
    }
}

/// The bytes of a frame on disk.
pub(crate) const fn frame_bytes(heads: u64, facts: u64, records: u64) -> u64 {
    (FRAME_HEADER_BYTES as u64 + heads + facts + records).next_multiple_of(8)
}

pub(crate) fn encode_segment_header(node: NodeId, segment: SegmentKey, base: u64) -> Vec<u8> {
    let mut b = Vec::with_capacity(SEGMENT_HEADER_BYTES as usize);
    b.extend_from_slice(match segment.is_cold() {
        true => &COLD_MAGIC,
        false => &SEGMENT_MAGIC,
    });
    b.extend_from_slice(&u32::from(VERSION).to_le_bytes());
    b.extend_from_slice(&segment.number.to_le_bytes());
    b.extend_from_slice(&node.0.to_le_bytes());
    b.extend_from_slice(&base.to_le_bytes());
    if segment.is_cold() {
        b.extend_from_slice(&segment.generation.to_le_bytes());
    }
    let sum = crc(&b);
    b.extend_from_slice(&sum.to_le_bytes());
    b.resize(SEGMENT_HEADER_BYTES as usize, 0);
    b
}

/// What a segment header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub version: u32,
    pub segment: SegmentKey,
    pub node: NodeId,
    pub base: u64,
}

/// `None` for anything but a sound header, of whatever version.
pub(crate) fn decode_segment_header(b: &[u8]) -> Option<SegmentHeader> {
    let magic = b.get(..8).filter(|_| b.len() >= 48)?;
    let (summed, generation) = match magic == COLD_MAGIC {
        true => (44, u32_at(b, 40)),
        false => (40, 0),
    };
    let known = magic == SEGMENT_MAGIC || generation > 0;
    if !known || u32_at(b, summed) != crc(&b[..summed]) {
        return None;
    }
    Some(SegmentHeader {
        version: u32_at(b, 8),
        segment: SegmentKey {
            number: u32_at(b, 12),
            generation,
        },
        node: NodeId(u128_at(b, 16)),
        base: u64_at(b, 32),
    })
}

pub(crate) fn encode_node(node: NodeId) -> Vec<u8> {
    let mut b = Vec::with_capacity(NODE_FILE_BYTES);
    b.extend_from_slice(&NODE_MAGIC);
    b.extend_from_slice(&u32::from(VERSION).to_le_bytes());
    b.extend_from_slice(&[0; 4]);
    b.extend_from_slice(&node.0.to_le_bytes());
    b.extend_from_slice(&[0; 4]);
    let sum = crc(&b);
    b.extend_from_slice(&sum.to_le_bytes());
    b
}

/// The version and the node id.
pub(crate) fn decode_node(b: &[u8]) -> Option<(u32, NodeId)> {
    if b.len() != NODE_FILE_BYTES || b[0..8] != NODE_MAGIC || u32_at(b, 36) != crc(&b[..36]) {
        return None;
    }
    Some((u32_at(b, 8), NodeId(u128_at(b, 16))))
}

pub(crate) fn u32_at(b: &[u8], at: usize) -> u32 {
    let mut n = [0; 4];
    n.copy_from_slice(&b[at..at + 4]);
    u32::from_le_bytes(n)
}

pub(crate) fn u64_at(b: &[u8], at: usize) -> u64 {
    let mut n = [0; 8];
    n.copy_from_slice(&b[at..at + 8]);
    u64::from_le_bytes(n)
}

fn u128_at(b: &[u8], at: usize) -> u128 {
    let mut n = [0; 16];
    n.copy_from_slice(&b[at..at + 16]);
    u128::from_le_bytes(n)
}

/// Reads numbers off the front of bytes of unknown honesty.
pub(crate) struct Cut<'a>(pub &'a [u8]);

impl<'a> Cut<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.bytes(4).map(|b| u32_at(b, 0))
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.bytes(8).map(|b| u64_at(b, 0))
    }

    pub fn u128(&mut self) -> Option<u128> {
        self.bytes(16).map(|b| u128_at(b, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: 1,
            shard: 3,
            segment: 7,
            length: 104,
            term: 5,
            index: 6,
            time: 8,
            position: 9,
            synced: 10,
            messages: 11,
            heads_bytes: 12,
            heads_crc: 13,
            facts_bytes: 14,
            facts_crc: 15,
            facts: 16,
            records_bytes: 17,
            generation: 19,
            node_tag: 18,
        }
    }

    #[test]
    fn crc_is_castagnoli() {
        assert_eq!(crc(b"123456789"), 0xe306_9283);
        assert_eq!(crc_of(&[b"1234", b"", b"56789"]), 0xe306_9283);
    }

    #[test]
    fn a_header_comes_back_and_no_bit_of_it_may_change() {
        let bytes = header().encode();
        assert_eq!(FrameHeader::decode(&bytes), Ok(header()));
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                matches!(FrameHeader::decode(&flipped), Err(NoHeader::Bad(_))),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn node_and_segment_headers_come_back() {
        let node = NodeId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(decode_node(&encode_node(node)), Some((1, node)));
        for generation in [0, 5] {
            let segment = SegmentKey {
                number: 4,
                generation,
            };
            let bytes = encode_segment_header(node, segment, 99);
            let read = decode_segment_header(&bytes);
            let wanted = SegmentHeader {
                version: 1,
                segment,
                node,
                base: 99,
            };
            assert_eq!(read, Some(wanted));
            let end = if segment.is_cold() { 48 } else { 44 };
            for bit in 0..end * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode_segment_header(&flipped), None, "bit {bit}");
            }
        }
    }
}
