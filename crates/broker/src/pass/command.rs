//! Commands: what a session asks.

use std::sync::Arc;

use super::{ConsumerOptions, Credit, Mode, Outcome, Placed, Positions};
use crate::filter::Predicate;
use crate::id::{ConsumerId, GroupId, MessageRef, Millis, PartitionId, Position, QueueId, Token};
use crate::topology::Change;

/// What a session asks. Commands of one session are carried out in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Made by [`Pass::publish`].
    Publish {
        token: Option<Token>,
        durable: Option<Placed>,
        volatile: Option<Placed>,
        producer: Option<(Box<str>, u64)>,
    },
    /// Answered by `Done` when everything that this session asked before it is durable.
    Barrier {
        token: Token,
    },
    /// Made by [`Pass::begin`].
    Begin,
    /// Made by [`Pass::commit`].
    Commit {
        token: Token,
    },

    /// Changes the topology. A barrier: send nothing more until it is answered by `Done`.
    Change {
        token: Token,
        change: Change,
    },
    /// Deletes a queue under conditions that only its shard can check. A barrier.
    DeleteQueue {
        token: Token,
        name: Arc<str>,
        condition: DeleteCondition,
    },
    /// Removes what is ready; answered with how many messages that were.
    Purge {
        token: Token,
        queue: QueueId,
    },
    /// Answered with [`Answer::Status`](crate::event::Answer::Status); counts as a use of the
    /// queue for its idle limit.
    Status {
        token: Token,
        queue: QueueId,
    },

    /// Attaches a receiver. Answered by `Done` before its first delivery.
    Attach {
        token: Token,
        consumer: ConsumerId,
        queue: QueueId,
        options: ConsumerOptions,
    },
    /// Ends it: no delivery follows the answer. What it holds stays held until it is settled.
    Detach {
        token: Token,
        consumer: ConsumerId,
    },
    /// How many more messages it may be given.
    Credit {
        consumer: ConsumerId,
        credit: Credit,
    },
    /// Gives up to `count` messages now; what is not there now is not owed. A consumer with
    /// [`Credit::None`] is told by `Ready` when a fetch that came short would find more.
    Fetch {
        consumer: ConsumerId,
        count: u32,
    },
    /// One message for a holder that need not be attached; answered by `Got`.
    Get {
        token: Token,
        queue: QueueId,
        holder: ConsumerId,
        mode: Mode,
    },
    /// Settles positions that this session holds, or nobody; others, and those that are settled
    /// already, are passed over. Only what is held can be released.
    Settle {
        queue: QueueId,
        positions: Positions,
        outcome: Outcome,
    },

    /// Reads a partition from an offset; answered by `Read`.
    Read {
        token: Token,
        read: Read,
    },
    /// Answered with [`Answer::Bounds`](crate::event::Answer::Bounds).
    Bounds {
        token: Token,
        partition: PartitionId,
    },
    /// The first offset stored at or after a time, or the last at or before it; answered with
    /// [`Answer::Offset`](crate::event::Answer::Offset).
    OffsetAt {
        token: Token,
        partition: PartitionId,
        time: Millis,
        side: Side,
    },
    /// Where a group stands; answered with `Offset`, `None` if it never said.
    Cursor {
        token: Token,
        group: GroupId,
        partition: PartitionId,
    },
    /// Where a group shall go on. Not answered; passed over if there is no such partition.
    SetCursor {
        group: GroupId,
        partition: PartitionId,
        offset: Position,
    },
    /// One stored message by its name; answered with `Message` or refused with `NoMessage`.
    Find {
        token: Token,
        message: MessageRef,
    },

    /// The session can take no more for now; deliveries stop until `Resume`.
    Hold,
    Resume,
    /// The session is gone: everything attached is detached, what it owned is deleted, what it
    /// held is released. Its door has settled before what must be counted. The token is answered
    /// when that is done and durable; it may take a while if that is much.
    End {
        token: Option<Token>,
    },
}

/// When a queue may be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeleteCondition {
    pub if_unused: bool,
    pub if_empty: bool,
}

/// A read of a partition.
#[derive(Clone, PartialEq, Debug)]
pub struct Read {
    pub partition: PartitionId,
    pub offset: Position,
    pub messages_max: u32,
    pub bytes_max: u32,
    /// Only entries whose tag hash is one of these.
    pub tags: Option<Arc<[u32]>>,
    pub filter: Option<Arc<Predicate>>,
    /// If there is nothing at the end of the partition, until when to wait for more.
    pub wait_until: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Lower,
    Upper,
}
