//! The numbers that name things inside. An id is never used again.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// An address: what one sends to.
    AddressId;
    /// A group of members that share cursors.
    GroupId;
    /// A binding, in the order in which bindings were made.
    BindingId;
    /// One conversation with a peer, as long as this process lives.
    SessionId;
    /// An attached receiver, as long as this process lives.
    ConsumerId;
    /// What a session calls a command until it is answered.
    Token;
    /// Where an entry stands in its queue, or an offset in a partition. Never used again.
    Position;
    /// The number of a frame in its shard's log.
    Index;
    /// Milliseconds since 1970, given from outside: nothing in here reads a clock.
    Millis;
}

/// A queue. The lowest bit tells the shard that holds it, so that a list of targets can be
/// divided without looking anything up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueId(pub u64);

impl QueueId {
    pub fn new(number: u64, durability: Durability) -> QueueId {
        QueueId(number << 1 | u64::from(durability == Durability::Volatile))
    }

    pub fn durability(self) -> Durability {
        if self.0 & 1 == 1 {
            Durability::Volatile
        } else {
            Durability::Durable
        }
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether the messages of a queue survive the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Durability {
    /// Every message is logged.
    Durable,
    /// Memory only, gone with the node; nothing of it touches the log.
    Volatile,
}

/// One retained log of an address with partitions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionId {
    pub address: AddressId,
    pub number: u32,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.number)
    }
}

/// The number of a shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The one log shard of a node that is no cluster.
    pub const LOG: ShardId = ShardId(0);
    /// The shard without a log.
    pub const VOLATILE: ShardId = ShardId(127);
}

/// Names a message for life: `shard 7 | index 44 | slot 12`, which stays positive as an `i64`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageRef(u64);

impl MessageRef {
    pub const INDEX_MAX: u64 = (1 << 44) - 1;
    pub const SLOT_MAX: u16 = (1 << 12) - 1;

    pub fn new(shard: ShardId, index: Index, slot: u16) -> MessageRef {
        assert!(shard.0 < 128 && index.0 <= Self::INDEX_MAX && slot <= Self::SLOT_MAX);
        MessageRef(u64::from(shard.0) << 56 | index.0 << 12 | u64::from(slot))
    }

    /// Reads back a number that came from outside; the highest bit is no part of a name.
    pub fn from_u64(raw: u64) -> Option<MessageRef> {
        (raw >> 63 == 0).then_some(MessageRef(raw))
    }

    pub fn as_u64(self) -> u64 {
        self.0
    }

    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> 56) as u8)
    }

    pub fn index(self) -> Index {
        Index(self.0 >> 12 & Self::INDEX_MAX)
    }

    pub fn slot(self) -> u16 {
        (self.0 & u64::from(Self::SLOT_MAX)) as u16
    }
}

impl fmt::Display for MessageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.shard().0, self.index(), self.slot())
    }
}

impl Millis {
    pub fn plus(self, duration_ms: u64) -> Millis {
        Millis(self.0.saturating_add(duration_ms))
    }

    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Position {
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }
}

impl Index {
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }
}
