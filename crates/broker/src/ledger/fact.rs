//! Facts: what has been decided about messages, in the words in which the log keeps it.
//! Versioned and hand-encoded; a fact once written is understood for ever.

use std::ops::Range;

use crate::bytes::{Reader, Undecodable, Writer};
use crate::entry::EntryFlags;
use crate::id::{AddressId, GroupId, Index, Millis, PartitionId, Position, QueueId};
use crate::pass::{Destination, Destinations, Head, Summary};
use crate::topology::TopologyFact;

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
    /// A kept message was due and went where it should.
    Fired {
        due: Millis,
        index: Index,
        slot: u16,
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
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    Commit,
    Abort,
}

const SETTLED: u8 = 1;
const RETURNED: u8 = 2;
const OFFERED: u8 = 3;
const FIRED: u8 = 4;
const TRIMMED: u8 = 5;
const CURSOR: u8 = 6;
const PRODUCER: u8 = 7;
const PREPARED: u8 = 8;
const DECIDED: u8 = 9;
const TOPOLOGY: u8 = 10;

impl Fact {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Fact::Settled {
                queue,
                range,
                reason,
            } => {
                out.put_u8(SETTLED);
                out.put_number(queue.0);
                out.put_number(range.start.0);
                out.put_number(range.end.0 - range.start.0);
                out.put_u8(reason.code());
            }
            Fact::Returned {
                queue,
                position,
                attempts,
            } => {
                out.put_u8(RETURNED);
                out.put_number(queue.0);
                out.put_number(position.0);
                out.put_number(u64::from(*attempts));
            }
            Fact::Offered { queue, below } => {
                out.put_u8(OFFERED);
                out.put_number(queue.0);
                out.put_number(below.0);
            }
            Fact::Fired { due, index, slot } => {
                out.put_u8(FIRED);
                out.put_number(due.0);
                out.put_number(index.0);
                out.put_number(u64::from(*slot));
            }
            Fact::Trimmed { partition, below } => {
                out.put_u8(TRIMMED);
                put_partition(out, *partition);
                out.put_number(below.0);
            }
            Fact::Cursor {
                group,
                partition,
                offset,
            } => {
                out.put_u8(CURSOR);
                out.put_number(group.0);
                put_partition(out, *partition);
                out.put_number(offset.0);
            }
            Fact::Producer { name, sequence } => {
                out.put_u8(PRODUCER);
                out.put_str(name);
                out.put_number(*sequence);
            }
            Fact::Prepared { transaction } => {
                out.put_u8(PREPARED);
                out.put_number(*transaction);
            }
            Fact::Decided {
                transaction,
                decision,
            } => {
                out.put_u8(DECIDED);
                out.put_number(*transaction);
                out.put_flag(*decision == Decision::Commit);
            }
            Fact::Topology(fact) => {
                out.put_u8(TOPOLOGY);
                let mut bytes = Vec::new();
                fact.encode(&mut bytes);
                out.put_bytes(&bytes);
            }
        }
    }

    /// Adds it to others; settled positions that go on where the last ones ended are joined.
    pub fn join(self, facts: &mut Vec<Fact>) {
        if let (
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
        ) = (facts.last_mut(), &self)
            && *last == *queue
            && open.end == range.start
            && *why == *reason
        {
            open.end = range.end;
            return;
        }
        facts.push(self);
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Fact, Undecodable> {
        Ok(match reader.u8()? {
            SETTLED => {
                let queue = QueueId(reader.number()?);
                let start = reader.number()?;
                let end = start
                    .checked_add(reader.number()?)
                    .ok_or(Undecodable("range"))?;
                let reason = Reason::from_code(reader.u8()?)?;
                Fact::Settled {
                    queue,
                    range: Position(start)..Position(end),
                    reason,
                }
            }
            RETURNED => Fact::Returned {
                queue: QueueId(reader.number()?),
                position: Position(reader.number()?),
                attempts: reader.u32()?,
            },
            OFFERED => Fact::Offered {
                queue: QueueId(reader.number()?),
                below: Position(reader.number()?),
            },
            FIRED => Fact::Fired {
                due: Millis(reader.number()?),
                index: Index(reader.number()?),
                slot: u16::try_from(reader.number()?).map_err(|_| Undecodable("slot"))?,
            },
            TRIMMED => Fact::Trimmed {
                partition: partition(reader)?,
                below: Position(reader.number()?),
            },
            CURSOR => Fact::Cursor {
                group: GroupId(reader.number()?),
                partition: partition(reader)?,
                offset: Position(reader.number()?),
            },
            PRODUCER => Fact::Producer {
                name: reader.str()?.into(),
                sequence: reader.number()?,
            },
            PREPARED => Fact::Prepared {
                transaction: reader.number()?,
            },
            DECIDED => {
                let transaction = reader.number()?;
                let decision = if reader.flag()? {
                    Decision::Commit
                } else {
                    Decision::Abort
                };
                Fact::Decided {
                    transaction,
                    decision,
                }
            }
            TOPOLOGY => Fact::Topology(TopologyFact::decode(reader.bytes()?)?),
            _ => return Err(Undecodable("fact")),
        })
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
            | Fact::Prepared { .. }
            | Fact::Decided { .. } => None,
        }
    }

    /// Reads facts to the end of the bytes.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Fact>, Undecodable> {
        let mut reader = Reader::new(bytes);
        let mut facts = Vec::new();
        while !reader.is_empty() {
            facts.push(Fact::decode(&mut reader)?);
        }
        Ok(facts)
    }
}

impl Reason {
    fn code(self) -> u8 {
        match self {
            Reason::Accepted => 1,
            Reason::Rejected => 2,
            Reason::Expired => 3,
            Reason::Purged => 4,
            Reason::Moved => 5,
        }
    }

    fn from_code(code: u8) -> Result<Reason, Undecodable> {
        Ok(match code {
            1 => Reason::Accepted,
            2 => Reason::Rejected,
            3 => Reason::Expired,
            4 => Reason::Purged,
            5 => Reason::Moved,
            _ => return Err(Undecodable("reason")),
        })
    }
}

pub(super) fn put_partition(out: &mut Vec<u8>, partition: PartitionId) {
    out.put_number(partition.address.0);
    out.put_number(u64::from(partition.number));
}

pub(super) fn partition(reader: &mut Reader<'_>) -> Result<PartitionId, Undecodable> {
    Ok(PartitionId {
        address: AddressId(reader.number()?),
        number: reader.u32()?,
    })
}

impl Head {
    /// Everything but the size, which the frame itself keeps.
    pub fn encode_meta(&self, out: &mut Vec<u8>) {
        out.put_u8(self.summary.flags.0);
        out.put_option(self.summary.expires, |out, at| out.put_number(at.0));
        out.put_number(u64::from(self.summary.tag_hash));
        let destinations = self.destinations.as_slice();
        out.put_number(destinations.len() as u64);
        for destination in destinations {
            match destination {
                Destination::Queue(queue) => {
                    out.put_u8(1);
                    out.put_number(queue.0);
                }
                Destination::Partition(partition) => {
                    out.put_u8(2);
                    put_partition(out, *partition);
                }
                Destination::Timer(due) => {
                    out.put_u8(3);
                    out.put_number(due.0);
                }
            }
        }
    }

    pub fn decode_meta(size: u32, meta: &[u8]) -> Result<Head, Undecodable> {
        let mut reader = Reader::new(meta);
        let flags = EntryFlags(reader.u8()?);
        let expires = reader.option(|r| r.number().map(Millis))?;
        let tag_hash = reader.u32()?;
        let destinations = (0..reader.count()?)
            .map(|_| {
                Ok(match reader.u8()? {
                    1 => Destination::Queue(QueueId(reader.number()?)),
                    2 => Destination::Partition(partition(&mut reader)?),
                    3 => Destination::Timer(Millis(reader.number()?)),
                    _ => return Err(Undecodable("destination")),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let destinations = match destinations.as_slice() {
            [one] => Destinations::One(*one),
            _ => Destinations::Many(destinations.into()),
        };
        Ok(Head {
            size,
            summary: Summary {
                flags,
                expires,
                tag_hash,
            },
            destinations,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of every fact of format 1. They never change; a new fact gets a new number.
    #[test]
    fn facts_keep_their_bytes() {
        let queue = QueueId(300);
        let partition = PartitionId {
            address: AddressId(2),
            number: 3,
        };
        let range = Position(7)..Position(9);
        for (fact, golden) in [
            (
                Fact::Settled {
                    queue,
                    range,
                    reason: Reason::Accepted,
                },
                "01ac02070201",
            ),
            (
                Fact::Returned {
                    queue,
                    position: Position(1),
                    attempts: 2,
                },
                "02ac020102",
            ),
            (
                Fact::Offered {
                    queue,
                    below: Position(4096),
                },
                "03ac028020",
            ),
            (
                Fact::Fired {
                    due: Millis(5),
                    index: Index(6),
                    slot: 7,
                },
                "04050607",
            ),
            (
                Fact::Trimmed {
                    partition,
                    below: Position(8),
                },
                "05020308",
            ),
            (
                Fact::Cursor {
                    group: GroupId(1),
                    partition,
                    offset: Position(2),
                },
                "0601020302",
            ),
            (
                Fact::Producer {
                    name: "p".into(),
                    sequence: 9,
                },
                "07017009",
            ),
            (Fact::Prepared { transaction: 4 }, "0804"),
            (
                Fact::Decided {
                    transaction: 4,
                    decision: Decision::Commit,
                },
                "090401",
            ),
            (
                Fact::Decided {
                    transaction: 4,
                    decision: Decision::Abort,
                },
                "090400",
            ),
        ] {
            let mut bytes = Vec::new();
            fact.encode(&mut bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden, "{fact:?}");
            assert_eq!(Fact::decode_all(&bytes), Ok(vec![fact]));
            for end in 1..bytes.len() {
                assert!(Fact::decode_all(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn a_head_comes_back_from_its_meta() {
        let partition = PartitionId {
            address: AddressId(2),
            number: 3,
        };
        for destinations in [
            Destinations::One(Destination::Queue(QueueId(4))),
            Destinations::Many(Box::new([
                Destination::Partition(partition),
                Destination::Timer(Millis(77)),
            ])),
            Destinations::Many(Box::new([])),
        ] {
            let summary = Summary {
                flags: EntryFlags(3),
                expires: Some(Millis(9)),
                tag_hash: u32::MAX,
            };
            let head = Head {
                size: 12,
                summary,
                destinations,
            };
            let mut meta = Vec::new();
            head.encode_meta(&mut meta);
            assert_eq!(Head::decode_meta(12, &meta), Ok(head));
        }
    }
}
