//! The bytes of facts, and of the heads of messages.

use std::ops::Range;

use super::{Decision, Fact, Reason};
use crate::bytes::{Reader, Undecodable, Writer};
use crate::entry::EntryFlags;
use crate::id::{AddressId, GroupId, Millis, PartitionId, Position, QueueId, ShardId};
use crate::ledger::{Bucket, pages};
use crate::pass::{Destination, Destinations, Head, Summary};
use crate::topology::TopologyFact;

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
const RESCHEDULED: u8 = 11;
const FINISHED: u8 = 12;
const FORWARDED: u8 = 13;

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
            Fact::Fired { bucket, range } => {
                out.put_u8(FIRED);
                bucket.encode(out);
                out.put_number(range.start.0);
                out.put_number(range.end.0 - range.start.0);
            }
            Fact::Rescheduled {
                bucket,
                first,
                entries,
            } => {
                out.put_u8(RESCHEDULED);
                bucket.encode(out);
                out.put_number(first.0);
                out.put_number(entries.len() as u64);
                for entry in entries {
                    out.extend_from_slice(&entry.to_bytes());
                }
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
                decision.encode(out);
            }
            Fact::Finished { transaction } => {
                out.put_u8(FINISHED);
                out.put_number(*transaction);
            }
            Fact::Forwarded {
                source,
                target,
                sequence,
                slots,
            } => {
                out.put_u8(FORWARDED);
                out.put_u8(source.0);
                out.put_u8(target.0);
                out.put_number(*sequence);
                out.put_number(u64::from(slots.start));
                out.put_number(u64::from(slots.end - slots.start));
            }
            Fact::Topology(fact) => {
                out.put_u8(TOPOLOGY);
                let mut bytes = Vec::new();
                fact.encode(&mut bytes);
                out.put_bytes(&bytes);
            }
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Fact, Undecodable> {
        Ok(match reader.u8()? {
            SETTLED => {
                let queue = QueueId(reader.number()?);
                let range = range(reader)?;
                let reason = Reason::from_code(reader.u8()?)?;
                Fact::Settled {
                    queue,
                    range,
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
                bucket: Bucket::decode(reader)?,
                range: range(reader)?,
            },
            RESCHEDULED => {
                let bucket = Bucket::decode(reader)?;
                if bucket.is_finest() {
                    return Err(Undecodable("bucket"));
                }
                let first = Position(reader.number()?);
                let entries = (0..reader.count()?)
                    .map(|_| pages::entry(reader))
                    .collect::<Result<_, _>>()?;
                Fact::Rescheduled {
                    bucket,
                    first,
                    entries,
                }
            }
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
                let decision = Decision::decode(reader)?;
                Fact::Decided {
                    transaction,
                    decision,
                }
            }
            FINISHED => Fact::Finished {
                transaction: reader.number()?,
            },
            FORWARDED => {
                let (source, target) = (shard(reader)?, shard(reader)?);
                let sequence = reader.number()?;
                let start = slot(reader)?;
                let end = start
                    .checked_add(slot(reader)?)
                    .ok_or(Undecodable("slots"))?;
                Fact::Forwarded {
                    source,
                    target,
                    sequence,
                    slots: start..end,
                }
            }
            TOPOLOGY => Fact::Topology(TopologyFact::decode(reader.bytes()?)?),
            _ => return Err(Undecodable("fact")),
        })
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
            Reason::Dropped => 6,
            Reason::Buried => 7,
        }
    }

    fn from_code(code: u8) -> Result<Reason, Undecodable> {
        Ok(match code {
            1 => Reason::Accepted,
            2 => Reason::Rejected,
            3 => Reason::Expired,
            4 => Reason::Purged,
            5 => Reason::Moved,
            6 => Reason::Dropped,
            7 => Reason::Buried,
            _ => return Err(Undecodable("reason")),
        })
    }
}

impl Decision {
    pub(in crate::ledger) fn encode(self, out: &mut Vec<u8>) {
        out.put_flag(self == Decision::Commit);
    }

    pub(in crate::ledger) fn decode(reader: &mut Reader<'_>) -> Result<Decision, Undecodable> {
        Ok(if reader.flag()? {
            Decision::Commit
        } else {
            Decision::Abort
        })
    }
}

fn range(reader: &mut Reader<'_>) -> Result<Range<Position>, Undecodable> {
    let start = reader.number()?;
    let end = start.checked_add(reader.number()?);
    let end = end.ok_or(Undecodable("range"))?;
    Ok(Position(start)..Position(end))
}

fn slot(reader: &mut Reader<'_>) -> Result<u16, Undecodable> {
    u16::try_from(reader.number()?).map_err(|_| Undecodable("slot"))
}

pub(in crate::ledger) fn shard(reader: &mut Reader<'_>) -> Result<ShardId, Undecodable> {
    let number = reader.u8()?;
    if number > ShardId::VOLATILE.0 {
        return Err(Undecodable("shard"));
    }
    Ok(ShardId(number))
}

pub(in crate::ledger) fn put_partition(out: &mut Vec<u8>, partition: PartitionId) {
    out.put_number(partition.address.0);
    out.put_number(u64::from(partition.number));
}

pub(in crate::ledger) fn partition(reader: &mut Reader<'_>) -> Result<PartitionId, Undecodable> {
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
