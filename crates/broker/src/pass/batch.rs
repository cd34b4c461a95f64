//! Batches: messages laid out as the log will keep them, and where each goes.

use std::ops::Range;

use crate::entry::EntryFlags;
use crate::id::{Durability, Millis, PartitionId, QueueId};
use crate::record::Envelope;

/// Where one copy of a message goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Destination {
    Queue(QueueId),
    Partition(PartitionId),
    /// Kept until then, and routed by its envelope's address and key when it is due.
    Timer(Millis),
}

impl Destination {
    pub fn durability(self) -> Durability {
        match self {
            Destination::Queue(queue) => queue.durability(),
            Destination::Partition(_) | Destination::Timer(_) => Durability::Durable,
        }
    }
}

/// What the index keeps of a message, beside its destinations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub flags: EntryFlags,
    pub expires: Option<Millis>,
    /// Decides whether a reader of a partition wants the message; no part of a queue.
    pub tag_hash: u32,
}

impl Summary {
    pub(crate) fn of(envelope: &Envelope<'_>, tag_hash: u32) -> Summary {
        let mut flags = EntryFlags::default();
        if envelope.persistent {
            flags = flags.with(EntryFlags::PERSISTENT);
        }
        if envelope.attempts > 0 {
            flags = flags.with(EntryFlags::ATTEMPTED);
        }
        if envelope.strand.is_some() {
            flags = flags.with(EntryFlags::STRAND);
        }
        Summary {
            flags,
            expires: envelope.expires,
            tag_hash,
        }
    }
}

/// A message of a batch: where its record ends, and where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub size: u32,
    pub summary: Summary,
    pub destinations: Destinations,
}

/// One destination without an allocation, or many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destinations {
    One(Destination),
    Many(Box<[Destination]>),
}

impl Destinations {
    /// For a message that is not stored after all.
    pub(crate) fn nowhere() -> Destinations {
        Destinations::Many(Box::default())
    }

    /// Those in one shard, if there are any.
    pub(crate) fn within(all: &[Destination], durability: Durability) -> Option<Destinations> {
        let mut mine = all
            .iter()
            .copied()
            .filter(|destination| destination.durability() == durability)
            .peekable();
        mine.peek().is_some().then(|| mine.collect())
    }

    pub fn as_slice(&self) -> &[Destination] {
        match self {
            Destinations::One(one) => std::slice::from_ref(one),
            Destinations::Many(many) => many,
        }
    }
}

impl FromIterator<Destination> for Destinations {
    /// # Panics
    /// If there is none: a message without a destination is not stored.
    fn from_iter<I: IntoIterator<Item = Destination>>(iter: I) -> Destinations {
        let mut iter = iter.into_iter();
        let first = iter.next().expect("a stored message has a destination");
        match iter.next() {
            None => Destinations::One(first),
            Some(second) => Destinations::Many([first, second].into_iter().chain(iter).collect()),
        }
    }
}

/// Up to 4096 messages, their records back to back: what becomes one frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    pub records: Vec<u8>,
    pub heads: Vec<Head>,
}

impl Batch {
    /// Slots are 12 bits.
    pub const MESSAGES_MAX: usize = 4096;
    /// A batch is closed when it has grown past this; one message may be larger.
    pub const BYTES_MAX: usize = 8 << 20;

    pub(super) fn is_full(&self) -> bool {
        self.heads.len() >= Self::MESSAGES_MAX || self.records.len() >= Self::BYTES_MAX
    }

    /// Adds a message and tells its slot. `native` is laid back to back behind the envelope.
    pub(crate) fn push(
        &mut self,
        envelope: &Envelope<'_>,
        native: &[&[u8]],
        summary: Summary,
        destinations: Destinations,
    ) -> u16 {
        let start = self.records.len();
        envelope.encode(&mut self.records);
        for part in native {
            self.records.extend_from_slice(part);
        }
        let size = u32::try_from(self.records.len() - start).expect("a record fits 4 GB");
        self.heads.push(Head {
            size,
            summary,
            destinations,
        });
        (self.heads.len() - 1) as u16
    }
}

/// The ranges of records in a batch.
pub fn record_ranges(heads: &[Head]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    heads.iter().map(move |head| {
        let end = start + head.size as usize;
        let range = start..end;
        start = end;
        range
    })
}
