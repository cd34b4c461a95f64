//! What comes back: events for sessions, frames for the log, loads for the readers.

use std::sync::Arc;

use crate::entry::Entry;
use crate::id::{
    ConsumerId, Index, MessageRef, Millis, PartitionId, Position, QueueId, SessionId, ShardId,
    Token,
};
use crate::pass::Head;
use crate::properties::Properties;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::strand::InStrand;
use crate::topology::{Answer as TopologyAnswer, TopologyFact};

/// Something for one session, except [`Event::Changed`], which is for every door.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The answer to a command that carried this token.
    Done {
        session: SessionId,
        token: Token,
        result: Result<Answer, Refusal>,
    },
    /// A published message is where it should be; one that is persistent, or that a partition
    /// keeps, is durable there.
    Stored {
        session: SessionId,
        token: Token,
        message: MessageRef,
        at: Option<(PartitionId, Position)>,
    },
    Deliver(Delivery),
    /// The answer to `Get`: what was there, and how many messages are ready behind it.
    Got {
        session: SessionId,
        token: Token,
        delivery: Option<Delivery>,
        ready: u64,
    },
    /// A fetch would find something.
    Ready {
        session: SessionId,
        consumer: ConsumerId,
    },
    /// A browsing consumer has seen everything.
    BrowseEnded {
        session: SessionId,
        consumer: ConsumerId,
    },
    /// The queue is gone, and the consumer with it.
    Cancelled {
        session: SessionId,
        consumer: ConsumerId,
    },
    /// The answer to `Read`.
    Read {
        session: SessionId,
        token: Token,
        result: ReadResult,
    },
    /// The topology that doors see has changed, in this way.
    Changed(Arc<TopologyFact>),
}

/// The answer to a command that was carried out.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    Done,
    Topology(TopologyAnswer),
    Deleted { messages: u64 },
    Purged { messages: u64 },
    Status(QueueStatus),
    Bounds(Bounds),
    Offset(Option<Position>),
    Message(MessageRef),
}

/// A queue at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueStatus {
    pub ready: u64,
    pub unsettled: u64,
    pub consumers: u32,
}

/// The ends of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// The first offset still there.
    pub first: Position,
    /// The offset that the next message gets.
    pub next: Position,
    /// The first message still there; its record tells when it was stored.
    pub earliest: Option<MessageRef>,
}

/// A message handed to a consumer. Its record can be read now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub session: SessionId,
    pub consumer: ConsumerId,
    pub queue: QueueId,
    pub position: Position,
    pub message: MessageRef,
    /// It was handed out before.
    pub redelivered: bool,
    /// Counted releases.
    pub attempts: u32,
    pub in_strand: InStrand,
}

/// What a read found.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadResult {
    pub outcome: ReadOutcome,
    /// Where to read on.
    pub next: Position,
    pub bounds: Bounds,
    /// Their records can be read now.
    pub messages: Vec<(Position, MessageRef)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadOutcome {
    Found,
    /// Scanned, but nothing that was wanted.
    NoneWanted,
    /// The offset is the end; nothing came while waiting.
    AtEnd,
    /// The offset is past the end.
    PastEnd,
    /// The offset was trimmed.
    BeforeFirst,
    /// The partition never held a message.
    Empty,
}

/// One frame for the log, or for memory if its shard has no log.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    pub shard: ShardId,
    pub index: Index,
    pub time: Millis,
    /// Records back to back, as `heads` divide them.
    pub records: Vec<u8>,
    pub heads: Arc<[Head]>,
    /// Encoded facts.
    pub facts: Vec<u8>,
    /// Something in it is promised to somebody as soon as it is synced.
    pub must_sync: bool,
    /// Frees rather than fills: goes on when the disk is full.
    pub essential: bool,
}

/// Names a page of entries in the page file, or where the shard without a log spills its pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PageSlot(pub u64);

impl PageSlot {
    /// The highest bit tells the shard, so that nobody else has to.
    const VOLATILE: u64 = 1 << 63;

    /// A page of the shard without a log.
    pub fn volatile(number: u64) -> PageSlot {
        PageSlot(number | Self::VOLATILE)
    }

    pub fn is_volatile(self) -> bool {
        self.0 & Self::VOLATILE != 0
    }
}

/// What must be read before something can go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Load {
    /// Each is answered by [`Node::record_loaded`](crate::node::Node::record_loaded) or
    /// [`Node::record_gone`](crate::node::Node::record_gone).
    Records(Vec<MessageRef>),
    /// Answered by [`Node::page_loaded`](crate::node::Node::page_loaded).
    Page(PageSlot),
}

/// Everything that a step of the node wants done, in order.
#[derive(Debug, Default)]
pub struct Effects {
    pub frames: Vec<Frame>,
    pub events: Vec<Event>,
    pub loads: Vec<Load>,
    /// Messages of the volatile shard that nobody holds any more.
    pub released: Vec<MessageRef>,
    /// Pages of the volatile shard that nothing refers to any more.
    pub freed: Vec<PageSlot>,
}

/// The records that can be read without waiting, and how to look into them.
pub trait Records {
    /// A stored record, if it is in memory.
    fn record(&self, message: MessageRef) -> Option<&[u8]>;

    /// Shows a record as named values.
    fn with_properties(&self, record: &Record<'_>, look: &mut dyn FnMut(&dyn Properties));
}

/// Entries of a page as they lie in the page file.
pub fn page_bytes(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_bytes()).collect()
}
