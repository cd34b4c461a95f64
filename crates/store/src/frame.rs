//! A frame in memory: built once at ingress, then shared by the log writer and the tail cache.

use std::fmt;
use std::sync::Arc;

use crate::format::{FRAME_HEADER_BYTES, FrameHeader, HEAD_BYTES, Kind, crc, frame_bytes, u32_at};
use crate::ids::{Index, Millis, NodeId, SegmentKey, Shard, Slot, Term};

/// A slot has 12 bits.
pub const FRAME_MESSAGES_MAX: usize = 4096;
/// No record is larger; the doors refuse earlier.
pub const RECORD_BYTES_MAX: usize = 512 << 20;
/// All sections of a frame together.
pub const FRAME_BYTES_MAX: usize = 1 << 30;
/// From here on a builder calls itself full, so that a frame stays a reasonable unit of work.
pub const FRAME_BYTES_GOAL: usize = 4 << 20;

/// The record or meta does not fit into this frame any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameFull;

impl fmt::Display for FrameFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame is full")
    }
}

impl std::error::Error for FrameFull {}

#[derive(Clone, Copy, Default)]
struct Draft {
    start: u32,
    length: u32,
    crc: u32,
    meta_start: u32,
    meta_length: u32,
    flags: u8,
}

/// Collects the messages and facts of one pass. Memory grows with bytes; nothing is allocated per
/// message.
#[derive(Default)]
pub struct FrameBuilder {
    drafts: Vec<Draft>,
    records: Vec<u8>,
    metas: Vec<u8>,
    facts: Vec<u8>,
    fact_count: u32,
}

impl FrameBuilder {
    pub fn new() -> FrameBuilder {
        FrameBuilder::default()
    }

    /// Copies a record from its parts and sums it, the only time in its life.
    pub fn push_record(&mut self, parts: &[&[u8]]) -> Result<Slot, FrameFull> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let fits = self.drafts.len() < FRAME_MESSAGES_MAX
            && length <= RECORD_BYTES_MAX
            && self.bytes() + HEAD_BYTES + length <= FRAME_BYTES_MAX;
        if !fits {
            return Err(FrameFull);
        }
        let start = self.records.len();
        self.records.reserve(length);
        for part in parts {
            self.records.extend_from_slice(part);
        }
        let slot = Slot::new(self.drafts.len() as u16);
        self.drafts.push(Draft {
            start: start as u32,
            length: length as u32,
            crc: crc(&self.records[start..]),
            ..Draft::default()
        });
        Ok(slot)
    }

    /// Takes over records that already lie back to back, without copying them, and sums each.
    ///
    /// # Panics
    /// When `sizes` do not add up to the bytes.
    pub fn with_records(
        records: Vec<u8>,
        sizes: impl Iterator<Item = u32>,
    ) -> Result<FrameBuilder, FrameFull> {
        let mut drafts = Vec::with_capacity(sizes.size_hint().0);
        let mut start = 0usize;
        for length in sizes {
            let record = &records[start..start + length as usize];
            let crc = crc(record);
            drafts.push(Draft {
                start: start as u32,
                length,
                crc,
                ..Draft::default()
            });
            start += length as usize;
        }
        assert_eq!(
            start,
            records.len(),
            "the sizes of the records do not add up"
        );
        let builder = FrameBuilder {
            drafts,
            records,
            ..FrameBuilder::default()
        };
        let fits = builder.drafts.len() <= FRAME_MESSAGES_MAX && builder.bytes() <= FRAME_BYTES_MAX;
        if fits { Ok(builder) } else { Err(FrameFull) }
    }

    /// Takes the last record back, for instance because nobody wants it.
    pub fn pop_record(&mut self) {
        if let Some(draft) = self.drafts.pop() {
            self.records.truncate(draft.start as usize);
        }
    }

    /// Says for whom the record is; opaque here. To be called once per slot.
    pub fn set_meta(&mut self, slot: Slot, meta: &[u8]) -> Result<(), FrameFull> {
        if self.bytes() + meta.len() > FRAME_BYTES_MAX {
            return Err(FrameFull);
        }
        let draft = &mut self.drafts[slot.number() as usize];
        draft.meta_start = self.metas.len() as u32;
        draft.meta_length = meta.len() as u32;
        self.metas.extend_from_slice(meta);
        Ok(())
    }

    /// Opaque here.
    pub fn set_flags(&mut self, slot: Slot, flags: u8) {
        self.drafts[slot.number() as usize].flags = flags;
    }

    /// Appends one fact; the facts are read back as one run of bytes.
    pub fn push_facts(&mut self, fact: &[u8]) -> Result<(), FrameFull> {
        if self.bytes() + fact.len() > FRAME_BYTES_MAX {
            return Err(FrameFull);
        }
        self.facts.extend_from_slice(fact);
        self.fact_count += 1;
        Ok(())
    }

    /// A record that is not finished yet.
    ///
    /// # Panics
    /// When the slot was not pushed.
    pub fn record(&self, slot: Slot) -> &[u8] {
        let draft = &self.drafts[slot.number() as usize];
        &self.records[draft.start as usize..][..draft.length as usize]
    }

    pub fn messages(&self) -> usize {
        self.drafts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty() && self.fact_count == 0
    }

    /// The pass should finish this frame and begin another.
    pub fn is_full(&self) -> bool {
        self.drafts.len() >= FRAME_MESSAGES_MAX || self.bytes() >= FRAME_BYTES_GOAL
    }

    /// The bytes of all sections so far.
    pub fn bytes(&self) -> usize {
        self.records.len() + self.metas.len() + self.facts.len() + self.drafts.len() * HEAD_BYTES
    }

    /// A batch of messages and facts.
    pub fn finish(self, index: Index, shard: Shard, term: Term, time: Millis) -> Frame {
        self.finish_as(Kind::Batch, index, shard, term, time)
    }

    /// A frame of another kind, for instance a machine version, whose facts are its content.
    pub fn finish_as(
        self,
        kind: Kind,
        index: Index,
        shard: Shard,
        term: Term,
        time: Millis,
    ) -> Frame {
        let mut heads = Vec::with_capacity(self.drafts.len() * HEAD_BYTES + self.metas.len());
        let mut spans = Vec::with_capacity(self.drafts.len());
        for (slot, draft) in self.drafts.iter().enumerate() {
            heads.extend_from_slice(&(slot as u16).to_le_bytes());
            heads.extend_from_slice(&[draft.flags, 0]);
            heads.extend_from_slice(&draft.length.to_le_bytes());
            heads.extend_from_slice(&draft.crc.to_le_bytes());
            heads.extend_from_slice(&draft.meta_length.to_le_bytes());
            let meta = &self.metas[draft.meta_start as usize..][..draft.meta_length as usize];
            heads.extend_from_slice(meta);
            spans.push(Span {
                start: draft.start,
                length: draft.length,
            });
        }
        let mut records = self.records;
        if records.capacity() > records.len() * 2 {
            records.shrink_to_fit();
        }
        Frame(Arc::new(Inner {
            kind,
            shard,
            term,
            index,
            time,
            messages: self.drafts.len() as u16,
            fact_count: self.fact_count,
            heads_crc: crc(&heads),
            facts_crc: crc(&self.facts),
            heads,
            facts: self.facts,
            records,
            spans,
        }))
    }
}

/// A finished frame; a clone is another reference to the same memory.
#[derive(Clone)]
pub struct Frame(Arc<Inner>);

struct Inner {
    kind: Kind,
    shard: Shard,
    term: Term,
    index: Index,
    time: Millis,
    messages: u16,
    fact_count: u32,
    heads_crc: u32,
    facts_crc: u32,
    heads: Vec<u8>,
    facts: Vec<u8>,
    records: Vec<u8>,
    /// By slot; a slot that a cold frame left out has [`Span::ABSENT`].
    spans: Vec<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    const ABSENT: Span = Span {
        start: u32::MAX,
        length: 0,
    };
}

/// What a frame says of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    pub slot: Slot,
    pub flags: u8,
    pub meta: &'a [u8],
    pub record_bytes: u32,
    pub record_crc: u32,
}

impl Frame {
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn shard(&self) -> Shard {
        self.0.shard
    }

    pub fn term(&self) -> Term {
        self.0.term
    }

    pub fn index(&self) -> Index {
        self.0.index
    }

    pub fn time(&self) -> Millis {
        self.0.time
    }

    pub fn messages(&self) -> usize {
        self.0.messages as usize
    }

    /// What the frame says of each message, in slot order.
    pub fn heads(&self) -> Heads<'_> {
        Heads {
            rest: &self.0.heads,
        }
    }

    /// All facts in the order they were pushed.
    pub fn facts(&self) -> &[u8] {
        &self.0.facts
    }

    pub fn fact_count(&self) -> usize {
        self.0.fact_count as usize
    }

    pub fn record(&self, slot: Slot) -> Option<&[u8]> {
        let span = self.0.spans.get(slot.number() as usize)?;
        self.0
            .records
            .get(span.start as usize..)?
            .get(..span.length as usize)
    }

    /// The memory this frame holds, for a cache's budget.
    pub fn memory_bytes(&self) -> usize {
        let inner = &*self.0;
        size_of::<Inner>()
            + inner.heads.capacity()
            + inner.facts.capacity()
            + inner.records.capacity()
            + inner.spans.capacity() * size_of::<Span>()
    }

    /// The bytes it takes in the log.
    pub fn disk_bytes(&self) -> u64 {
        let inner = &*self.0;
        frame_bytes(
            inner.heads.len() as u64,
            inner.facts.len() as u64,
            inner.records.len() as u64,
        )
    }

    pub(crate) fn sections(&self) -> [&[u8]; 3] {
        [&self.0.heads, &self.0.facts, &self.0.records]
    }

    /// The header for the place where the frame is about to be written.
    pub(crate) fn header(&self, place: Place) -> [u8; FRAME_HEADER_BYTES] {
        let inner = &*self.0;
        FrameHeader {
            kind: inner.kind as u8,
            shard: inner.shard.number(),
            segment: place.segment.number,
            generation: place.segment.generation,
            length: self.disk_bytes() as u32,
            term: inner.term.0,
            index: inner.index.number(),
            time: inner.time.0,
            position: place.position,
            synced: place.synced,
            messages: inner.messages,
            heads_bytes: inner.heads.len() as u32,
            heads_crc: inner.heads_crc,
            facts_bytes: inner.facts.len() as u32,
            facts_crc: inner.facts_crc,
            facts: inner.fact_count,
            records_bytes: inner.records.len() as u32,
            node_tag: place.node.tag(),
        }
        .encode()
    }

    /// Takes a frame over from the disk. `body` holds the sections that `header` announces and
    /// has passed [`verify`].
    pub(crate) fn from_disk(header: &FrameHeader, kind: Kind, body: &[u8]) -> Option<Frame> {
        let (heads, rest) = body.split_at_checked(header.heads_bytes as usize)?;
        let (facts, rest) = rest.split_at_checked(header.facts_bytes as usize)?;
        let records = rest.get(..header.records_bytes as usize)?;
        let mut spans = Vec::with_capacity(header.messages as usize);
        let mut start = 0;
        for head in (Heads { rest: heads }) {
            spans.resize(head.slot.number() as usize, Span::ABSENT);
            spans.push(Span {
                start,
                length: head.record_bytes,
            });
            start += head.record_bytes;
        }
        Some(Frame(Arc::new(Inner {
            kind,
            shard: header.shard()?,
            term: Term(header.term),
            index: header.index()?,
            time: Millis(header.time),
            messages: header.messages,
            fact_count: header.facts,
            heads_crc: header.heads_crc,
            facts_crc: header.facts_crc,
            heads: heads.to_vec(),
            facts: facts.to_vec(),
            records: records.to_vec(),
            spans,
        })))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            shard,
            index,
            messages,
            fact_count,
            ..
        } = &*self.0;
        write!(
            f,
            "{kind:?} {}/{} with {messages} messages, {fact_count} facts",
            shard.number(),
            index.number()
        )
    }
}

/// Where a frame is written.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub node: NodeId,
    pub segment: SegmentKey,
    pub position: u64,
    pub synced: u64,
}

/// Walks a heads section; ends at the first byte that makes no sense.
#[derive(Clone)]
pub struct Heads<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Iterator for Heads<'a> {
    type Item = Head<'a>;

    fn next(&mut self) -> Option<Head<'a>> {
        let (fixed, rest) = self.rest.split_at_checked(HEAD_BYTES)?;
        let (meta, rest) = rest.split_at_checked(u32_at(fixed, 12) as usize)?;
        let slot = u16::from_le_bytes([fixed[0], fixed[1]]);
        if slot as usize >= FRAME_MESSAGES_MAX {
            return None;
        }
        self.rest = rest;
        Some(Head {
            slot: Slot::new(slot),
            flags: fixed[2],
            meta,
            record_bytes: u32_at(fixed, 4),
            record_crc: u32_at(fixed, 8),
        })
    }
}

/// Checks every section of a frame whose header is sound; the error says what is wrong.
pub(crate) fn verify(header: &FrameHeader, body: &[u8]) -> Result<(), &'static str> {
    let heads_end = header.heads_bytes as usize;
    let facts_end = heads_end + header.facts_bytes as usize;
    let records_end = facts_end + header.records_bytes as usize;
    let (Some(heads), Some(facts), Some(records)) = (
        body.get(..heads_end),
        body.get(heads_end..facts_end),
        body.get(facts_end..records_end),
    ) else {
        return Err("the sections of the frame are longer than the frame");
    };
    if crc(heads) != header.heads_crc {
        return Err("the checksum of the message heads is wrong");
    }
    if crc(facts) != header.facts_crc {
        return Err("the checksum of the facts is wrong");
    }
    let mut walk = Heads { rest: heads };
    let mut rest = records;
    let mut count = 0;
    let mut slot_min = 0;
    for head in walk.by_ref() {
        let Some((record, after)) = rest.split_at_checked(head.record_bytes as usize) else {
            return Err("a record is longer than the frame");
        };
        if crc(record) != head.record_crc {
            return Err("the checksum of a record is wrong");
        }
        if head.slot.number() < slot_min {
            return Err("the slots of the frame do not ascend");
        }
        slot_min = head.slot.number() + 1;
        rest = after;
        count += 1;
    }
    if !walk.rest.is_empty() || !rest.is_empty() || count != header.messages {
        return Err("the message heads do not match the frame");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_what_was_pushed() {
        let mut builder = FrameBuilder::new();
        let a = builder.push_record(&[b"he", b"", b"llo"]).unwrap();
        let b = builder.push_record(&[b"world"]).unwrap();
        builder.push_record(&[b"unwanted"]).unwrap();
        builder.pop_record();
        builder.set_meta(b, b"queue 7").unwrap();
        builder.set_flags(a, 3);
        builder.push_facts(b"fact").unwrap();
        builder.push_facts(b"s").unwrap();
        let frame = builder.finish(Index::new(9), Shard::new(1), Term(2), Millis(3));
        assert_eq!(frame.record(a), Some(&b"hello"[..]));
        assert_eq!(frame.record(b), Some(&b"world"[..]));
        assert_eq!(frame.record(Slot::new(2)), None);
        assert_eq!((frame.facts(), frame.fact_count()), (&b"facts"[..], 2));
        let heads: Vec<_> = frame
            .heads()
            .map(|h| (h.slot, h.flags, h.meta, h.record_bytes))
            .collect();
        assert_eq!(heads, [(a, 3, &b""[..], 5), (b, 0, &b"queue 7"[..], 5)]);
    }

    #[test]
    fn a_frame_takes_4096_messages() {
        let mut builder = FrameBuilder::new();
        for _ in 0..FRAME_MESSAGES_MAX {
            assert!(!builder.is_full());
            builder.push_record(&[b"x"]).unwrap();
        }
        assert!(builder.is_full());
        assert_eq!(builder.push_record(&[b"x"]), Err(FrameFull));
    }
}
