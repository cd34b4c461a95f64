//! Facts: what has been decided about messages, in the words in which the log keeps it.
//! Versioned and hand-encoded; a fact once written is understood for ever.

mod encode;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Bucket;
use crate::entry::Entry;
use crate::id::{GroupId, PartitionId, Position, QueueId, ShardId};
use crate::topology::TopologyFact;
pub(super) use encode::{partition, put_partition, shard};

#[derive(Clone, PartialEq, Debug)]
pub enum Fact {
    /// These positions are done with.
    Settled {
        queue: QueueId,
        range: Range<Position>,
        reason: Reason,
    },
    /// A counted release.
    Returned {
        queue: QueueId,
        position: Position,
        attempts: u32,
    },
    /// Everything below may have been handed out.
    Offered {
        queue: QueueId,
        below: Position,
    },
    /// Kept messages were due and went where they should.
    Fired {
        bucket: Bucket,
        range: Range<Position>,
    },
    /// Kept messages that stood here in a coarse bucket, one behind the other, go into finer ones.
    /// The entries come along, so that their page need not be read again.
    Rescheduled {
        bucket: Bucket,
        first: Position,
        entries: Box<[Entry]>,
    },
    /// Retention has removed everything below.
    Trimmed {
        partition: PartitionId,
        below: Position,
    },
    Cursor {
        group: GroupId,
        partition: PartitionId,
        offset: Position,
    },
    /// The last message of a producer that numbers them.
    Producer {
        name: Box<str>,
        sequence: u64,
    },
    /// The messages of this frame wait for the decision.
    Prepared {
        transaction: u64,
    },
    Decided {
        transaction: u64,
        decision: Decision,
    },
    /// Every participant has the decision.
    Finished {
        transaction: u64,
    },
    /// The messages of this frame in these slots were sent on by a shard, which numbers what it
    /// sends to each other one: the first of them has this number, the others those behind it. One
    /// whose number is not above the last that was stored is not stored again. Numbered one by one,
    /// so that a source may send again in frames of other sizes.
    Forwarded {
        source: ShardId,
        target: ShardId,
        sequence: u64,
        slots: Range<u16>,
    },
    Topology(TopologyFact),
}

/// Why a message is done with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    Accepted,
    Rejected,
    Expired,
    Purged,
    /// Stored elsewhere in the same frame.
    Moved,
    /// There was no more room for it.
    Dropped,
    /// Taken out of its queue and on its way to another shard, which is not yet known to have it.
    /// Nothing writes it as long as there is one log shard.
    Buried,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    Commit,
    Abort,
}

impl Fact {
    /// Adds it to others; positions that go on where the last ones ended are joined to them.
    pub fn join(self, facts: &mut Vec<Fact>) {
        match (facts.last_mut(), &self) {
            (
                Some(Fact::Settled {
                    queue: last,
                    range: open,
                    reason: why,
                }),
                Fact::Settled {
                    queue,
                    range,
                    reason,
                },
            ) if last == queue && open.end == range.start && why == reason => open.end = range.end,
            (
                Some(Fact::Fired {
                    bucket: last,
                    range: open,
                }),
                Fact::Fired { bucket, range },
            ) if last == bucket && open.end == range.start => open.end = range.end,
            _ => facts.push(self),
        }
    }

    /// The change of the topology that it is, if it is one.
    pub fn topology(&self) -> Option<&TopologyFact> {
        match self {
            Fact::Topology(fact) => Some(fact),
            Fact::Settled { .. }
            | Fact::Returned { .. }
            | Fact::Offered { .. }
            | Fact::Fired { .. }
            | Fact::Trimmed { .. }
            | Fact::Cursor { .. }
            | Fact::Producer { .. }
            | Fact::Rescheduled { .. }
            | Fact::Prepared { .. }
            | Fact::Decided { .. }
            | Fact::Finished { .. }
            | Fact::Forwarded { .. } => None,
        }
    }
}
