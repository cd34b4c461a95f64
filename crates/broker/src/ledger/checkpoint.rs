//! The bytes of a ledger, as a checkpoint keeps them.

use std::collections::BTreeMap;

use super::{
    Decision, Ledger, PageOwner, Pages, PartitionLedger, Producers, QueueLedger, Timers, fact,
};
use crate::bytes::{Reader, Undecodable, Writer};
use crate::id::{GroupId, Index, MessageRef, Millis, Position, QueueId, ShardId};
use crate::pass::Head;

impl Ledger {
    /// The whole ledger, as of the last applied frame. To be called after [`Ledger::spill`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_number(self.applied.0);
        out.put_number(self.time.0);
        let mut queues: Vec<_> = self.queues.iter().collect();
        queues.sort_unstable_by_key(|(id, _)| **id);
        out.put_number(queues.len() as u64);
        for (id, queue) in queues {
            out.put_number(id.0);
            queue.encode(out);
            out.put_flag(self.expiring.contains(id));
        }
        out.put_number(self.partitions.len() as u64);
        for (id, partition) in &self.partitions {
            fact::put_partition(out, *id);
            out.put_number(partition.first.0);
            partition.pages.encode(out);
        }
        out.put_number(self.cursors.len() as u64);
        for ((partition, group), offset) in &self.cursors {
            fact::put_partition(out, *partition);
            out.put_number(group.0);
            out.put_number(offset.0);
        }
        self.timers.encode(out);
        self.producers.encode(out);
        out.put_number(self.prepared.len() as u64);
        for (transaction, held) in &self.prepared {
            out.put_number(*transaction);
            out.put_number(held.len() as u64);
            for (index, slot, head) in held {
                out.put_number(index.0);
                out.put_number(u64::from(*slot));
                out.put_number(u64::from(head.size));
                let mut meta = Vec::new();
                head.encode_meta(&mut meta);
                out.put_bytes(&meta);
            }
        }
        out.put_number(self.decided.len() as u64);
        for (transaction, decision) in &self.decided {
            out.put_number(*transaction);
            decision.encode(out);
        }
        out.put_number(self.forwarded.len() as u64);
        for ((source, target), sequence) in &self.forwarded {
            out.put_u8(source.0);
            out.put_u8(target.0);
            out.put_number(*sequence);
        }
    }

    pub fn decode(shard: ShardId, reader: &mut Reader<'_>) -> Result<Ledger, Undecodable> {
        let mut ledger = Ledger::new(shard);
        ledger.applied = Index(reader.number()?);
        if ledger.applied.0 > MessageRef::INDEX_MAX {
            return Err(Undecodable("last applied frame"));
        }
        ledger.time = Millis(reader.number()?);
        for _ in 0..reader.count()? {
            let id = QueueId(reader.number()?);
            let queue = QueueLedger::decode(reader)?;
            let owner = PageOwner::Queue(id);
            ledger
                .spilled
                .extend(queue.pages.spilled().map(|(at, slot)| (slot, (owner, at))));
            if reader.flag()? {
                ledger.expiring.insert(id);
            }
            ledger.queues.insert(id, queue);
        }
        for _ in 0..reader.count()? {
            let id = fact::partition(reader)?;
            let first = Position(reader.number()?);
            let pages = Pages::decode(reader)?;
            let owner = PageOwner::Partition(id);
            ledger
                .spilled
                .extend(pages.spilled().map(|(at, slot)| (slot, (owner, at))));
            ledger
                .partitions
                .insert(id, PartitionLedger { pages, first });
        }
        for _ in 0..reader.count()? {
            let partition = fact::partition(reader)?;
            let group = GroupId(reader.number()?);
            ledger
                .cursors
                .insert((partition, group), Position(reader.number()?));
        }
        ledger.timers = Timers::decode(reader)?;
        for (bucket, pages) in ledger.timers.all() {
            let owner = PageOwner::Timer(bucket);
            ledger
                .spilled
                .extend(pages.spilled().map(|(at, slot)| (slot, (owner, at))));
        }
        ledger.producers = Producers::decode(reader)?;
        for _ in 0..reader.count()? {
            let transaction = reader.number()?;
            let mut held = Vec::new();
            for _ in 0..reader.count()? {
                let index = Index(reader.number()?);
                let slot = u16::try_from(reader.number()?).map_err(|_| Undecodable("slot"))?;
                let size = reader.u32()?;
                held.push((index, slot, Head::decode_meta(size, reader.bytes()?)?));
            }
            ledger.prepared.insert(transaction, held);
        }
        for _ in 0..reader.count()? {
            let transaction = reader.number()?;
            ledger
                .decided
                .insert(transaction, Decision::decode(reader)?);
        }
        for _ in 0..reader.count()? {
            let pair = (fact::shard(reader)?, fact::shard(reader)?);
            ledger.forwarded.insert(pair, reader.number()?);
        }
        Ok(ledger)
    }
}

impl QueueLedger {
    fn encode(&self, out: &mut Vec<u8>) {
        self.pages.encode(out);
        out.put_number(self.attempts.len() as u64);
        for (position, attempts) in &self.attempts {
            out.put_number(position.0);
            out.put_number(u64::from(*attempts));
        }
        out.put_number(self.offered.0);
        out.put_option(self.ttl_ms, |out, ttl| out.put_number(ttl));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<QueueLedger, Undecodable> {
        let pages = Pages::decode(reader)?;
        let mut attempts = BTreeMap::new();
        for _ in 0..reader.count()? {
            attempts.insert(Position(reader.number()?), reader.u32()?);
        }
        let offered = Position(reader.number()?);
        let ttl_ms = reader.option(|r| r.number())?;
        let redelivered_below = Position(0);
        Ok(QueueLedger {
            pages,
            attempts,
            offered,
            ttl_ms,
            redelivered_below,
        })
    }
}
