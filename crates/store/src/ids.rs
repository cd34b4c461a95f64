//! The numbers of the log, each with its kind and its width.

use std::fmt;

/// One log sequence with one owner; seven bits, of which 127 is the log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// How many shards the format can name.
    pub const COUNT_MAX: u8 = 127;
    /// Frames of no shard: seals and marks.
    pub(crate) const LOG: Shard = Shard(127);

    /// # Panics
    /// When `number` is not below [`Shard::COUNT_MAX`]: shard numbers are ours, never a peer's.
    pub const fn new(number: u8) -> Shard {
        assert!(number < Shard::COUNT_MAX, "a shard number is below 127");
        Shard(number)
    }

    pub(crate) const fn from_disk(number: u8) -> Option<Shard> {
        if number <= 127 {
            Some(Shard(number))
        } else {
            None
        }
    }

    pub const fn number(self) -> u8 {
        self.0
    }
}

/// The place of a frame in its shard's sequence: 44 bits, the first is 1, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u64);

impl Index {
    /// Before the first frame.
    pub const ZERO: Index = Index(0);
    pub const MAX: Index = Index((1 << 44) - 1);

    /// # Panics
    /// When the number needs more than 44 bits (500 years at 1,000 frames a second).
    pub const fn new(number: u64) -> Index {
        assert!(number <= Index::MAX.0, "an index has 44 bits");
        Index(number)
    }

    pub(crate) const fn from_disk(number: u64) -> Option<Index> {
        if number <= Index::MAX.0 {
            Some(Index(number))
        } else {
            None
        }
    }

    pub const fn number(self) -> u64 {
        self.0
    }

    pub const fn next(self) -> Index {
        Index::new(self.0 + 1)
    }
}

/// The place of a message in its frame: 12 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// # Panics
    /// When the number needs more than 12 bits.
    pub const fn new(number: u16) -> Slot {
        assert!(number < 4096, "a slot has 12 bits");
        Slot(number)
    }

    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The election a frame belongs to; constant while there is no cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// Milliseconds since the Unix epoch, as the caller's clock told them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// `shard 7 | index 44 | slot 12` in 63 bits: the name of a message for life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

impl MessageId {
    pub const fn new(shard: Shard, index: Index, slot: Slot) -> MessageId {
        MessageId((shard.0 as u64) << 56 | index.0 << 12 | slot.0 as u64)
    }

    /// `None` when the number is no message's name.
    pub const fn from_number(number: u64) -> Option<MessageId> {
        if number >> 56 < 127 {
            Some(MessageId(number))
        } else {
            None
        }
    }

    pub const fn number(self) -> u64 {
        self.0
    }

    pub const fn shard(self) -> Shard {
        Shard((self.0 >> 56) as u8)
    }

    pub const fn index(self) -> Index {
        Index((self.0 >> 12) & Index::MAX.0)
    }

    pub const fn slot(self) -> Slot {
        Slot((self.0 & 0xfff) as u16)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.shard().0, self.index().0, self.slot().0)
    }
}

/// A segment file: the log's own have generation 0; a cold one takes the number of the first
/// segment that went into it, and a generation that no other file of that number has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    pub number: u32,
    pub generation: u32,
}

impl SegmentKey {
    pub(crate) const fn hot(number: u32) -> SegmentKey {
        SegmentKey {
            number,
            generation: 0,
        }
    }

    /// `None` if it is none that was ever reached by counting up: there must be room behind it.
    pub(crate) fn from_disk(number: u32, generation: u32) -> Option<SegmentKey> {
        const NEVER: u32 = u32::MAX / 2;
        (number < NEVER && generation < NEVER).then_some(SegmentKey { number, generation })
    }

    pub const fn is_cold(self) -> bool {
        self.generation > 0
    }

    /// Its name in the data directory.
    pub fn file(self) -> String {
        let SegmentKey { number, generation } = self;
        match generation {
            0 => format!("log/{number:010}.log"),
            _ => format!("log/{number:010}-{generation:08}.cold"),
        }
    }

    /// The key in a file's name inside `log`.
    pub(crate) fn of_file(name: &str) -> Option<SegmentKey> {
        if let Some(number) = name.strip_suffix(".log") {
            return SegmentKey::from_disk(number.parse().ok()?, 0);
        }
        let (number, generation) = name.strip_suffix(".cold")?.split_once('-')?;
        SegmentKey::from_disk(number.parse().ok()?, generation.parse().ok()?)
            .filter(|key| key.is_cold())
    }
}

/// A place in the page file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSlot(pub u32);

/// The identity of a data directory, random, born with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub u128);

impl NodeId {
    /// What every frame carries of it: enough to tell a foreign frame.
    pub(crate) const fn tag(self) -> u64 {
        self.0 as u64 ^ (self.0 >> 64) as u64
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
