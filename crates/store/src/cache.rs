//! Records in memory: the newest frames, for consumers that keep up, and records that were read
//! back, for those that do not. Each has its own budget in bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::frame::Frame;
use crate::ids::{Index, MessageId, Shard};

/// The last frames of every shard, contiguous per shard.
pub(crate) struct TailCache {
    shards: Vec<VecDeque<Frame>>,
    bytes: usize,
    bytes_max: usize,
}

impl TailCache {
    pub fn new(bytes_max: usize) -> TailCache {
        TailCache {
            shards: Vec::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub fn push(&mut self, frame: Frame) {
        let shard = frame.shard().number() as usize;
        if self.shards.len() <= shard {
            self.shards.resize_with(shard + 1, VecDeque::new);
        }
        let frames = &mut self.shards[shard];
        if frames
            .back()
            .is_some_and(|last| last.index().next() != frame.index())
        {
            self.bytes -= frames
                .drain(..)
                .map(|gone| gone.memory_bytes())
                .sum::<usize>();
        }
        self.bytes += frame.memory_bytes();
        frames.push_back(frame);
    }

    /// Keeps to the budget, but never lets go of a frame that cannot be read from the disk yet:
    /// `durable` tells up to where a shard can.
    pub fn trim(&mut self, durable: &dyn Fn(Shard) -> Index) {
        while self.bytes > self.bytes_max {
            // The shard whose oldest frame is the oldest of all.
            let oldest = self
                .shards
                .iter_mut()
                .filter(|frames| {
                    frames
                        .front()
                        .is_some_and(|frame| frame.index() <= durable(frame.shard()))
                })
                .min_by_key(|frames| frames.front().map(|frame| frame.time()));
            match oldest.and_then(VecDeque::pop_front) {
                Some(gone) => self.bytes -= gone.memory_bytes(),
                None => return,
            }
        }
    }

    pub fn frame(&self, shard: Shard, index: Index) -> Option<&Frame> {
        let frames = self.shards.get(shard.number() as usize)?;
        let first = frames.front()?.index();
        frames.get(index.number().checked_sub(first.number())? as usize)
    }

    pub fn record(&self, id: MessageId) -> Option<&[u8]> {
        self.frame(id.shard(), id.index())?.record(id.slot())
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a cached record costs beside its bytes: map entry, queue entry, reference counts.
const RECORD_OVERHEAD_BYTES: usize = 80;

/// Records that were read from the disk, oldest out first.
pub(crate) struct ReadCache {
    records: HashMap<MessageId, Arc<[u8]>>,
    order: VecDeque<MessageId>,
    bytes: usize,
    bytes_max: usize,
}

impl ReadCache {
    pub fn new(bytes_max: usize) -> ReadCache {
        ReadCache {
            records: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub fn insert(&mut self, id: MessageId, record: Arc<[u8]>) {
        let bytes = record.len() + RECORD_OVERHEAD_BYTES;
        if bytes > self.bytes_max || self.records.contains_key(&id) {
            return;
        }
        self.records.insert(id, record);
        self.order.push_back(id);
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(gone) = self.records.remove(&oldest) {
                self.bytes -= gone.len() + RECORD_OVERHEAD_BYTES;
            }
        }
    }

    pub fn record(&self, id: MessageId) -> Option<&Arc<[u8]>> {
        self.records.get(&id)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameBuilder;
    use crate::ids::{Millis, Slot, Term};

    fn frame(index: u64) -> Frame {
        let mut builder = FrameBuilder::new();
        builder.push_record(&[&[index as u8; 1000]]).unwrap();
        builder.finish(Index::new(index), Shard::new(0), Term(0), Millis(index))
    }

    #[test]
    fn the_tail_keeps_to_its_budget_but_not_at_the_cost_of_what_is_not_durable() {
        let mut tail = TailCache::new(3000);
        (5..15).for_each(|index| tail.push(frame(index)));
        tail.trim(&|_| Index::new(7));
        let held = |tail: &TailCache| {
            (0..20)
                .filter(|n| {
                    let id = MessageId::new(Shard::new(0), Index::new(*n), Slot::new(0));
                    tail.record(id).is_some_and(|record| record[0] == *n as u8)
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(held(&tail), (8..15).collect::<Vec<_>>());
        tail.trim(&|_| Index::new(14));
        assert_eq!(held(&tail), [13, 14]);
        tail.push(frame(18));
        assert_eq!(held(&tail), [18]);
    }

    #[test]
    fn the_read_cache_forgets_the_oldest() {
        let mut cache = ReadCache::new(3 * (100 + RECORD_OVERHEAD_BYTES));
        let id = |n| MessageId::new(Shard::new(0), Index::new(n), Slot::new(0));
        for n in 0..5 {
            cache.insert(id(n), Arc::from(vec![n as u8; 100]));
            cache.insert(id(n), Arc::from(vec![n as u8; 100]));
        }
        let held: Vec<_> = (0..5).filter(|n| cache.record(id(*n)).is_some()).collect();
        assert_eq!(held, [2, 3, 4]);
        assert_eq!(cache.bytes(), 3 * (100 + RECORD_OVERHEAD_BYTES));
    }
}
