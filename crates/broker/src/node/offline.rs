//! A look at what a node holds, and the mending of its index, while nobody uses it.

use std::collections::BTreeSet;

use super::Node;
use crate::bytes::Undecodable;
use crate::event::PageSlot;
use crate::id::{Index, Millis, PartitionId, Position, QueueId};
use crate::ledger::{Fact, PageOwner, Pages, Rebuilding, Rebuilt, entries_from};
use crate::pass::Head;

/// What a queue or a partition holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    pub messages: u64,
    /// The position of the first one; that of the next if there is none.
    pub first: Position,
    /// The position that the next message gets.
    pub next: Position,
    /// Of the records on the pages of the index, settled ones among them.
    pub bytes: u64,
}

/// What a node holds in its log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    pub queues: Vec<(QueueId, Holding)>,
    pub partitions: Vec<(PartitionId, Holding)>,
    /// Messages that are kept until they are due.
    pub kept: u64,
}

fn holding(pages: &Pages) -> Holding {
    Holding {
        messages: pages.live(),
        first: pages.next_live(Position(0)).unwrap_or(pages.next()),
        next: pages.next(),
        bytes: pages.bytes(),
    }
}

impl Node {
    /// Looks at every queue.
    pub fn holdings(&self) -> Holdings {
        let ledger = &self.log.ledger;
        let mut queues: Vec<_> = ledger
            .queue_ids()
            .into_iter()
            .filter_map(|id| Some((id, holding(&ledger.queue(id)?.pages))))
            .collect();
        queues.sort_unstable_by_key(|(id, _)| *id);
        let partitions = ledger.partitions_after(None);
        Holdings {
            queues,
            partitions: partitions.map(|(id, pages)| (id, holding(pages))).collect(),
            kept: ledger.timers().live(),
        }
    }

    /// Whose page of the index lies in a slot; `None` if nobody needs it any more.
    pub fn page_owner(&self, slot: PageSlot) -> Option<PageOwner> {
        self.log.ledger.page_owner(slot)
    }

    /// Begins to make damaged pages anew; `read` gives those that are sound.
    pub fn rebuilding(
        &self,
        damaged: &BTreeSet<PageSlot>,
        read: &mut dyn FnMut(PageSlot) -> Option<Vec<u8>>,
    ) -> Rebuilding {
        let read = &mut |slot| entries_from(&read(slot)?).ok();
        self.log.ledger.rebuilding(damaged, read)
    }

    /// Notes a frame of the log as it was written: of each message slot, size and meta, and the
    /// facts. Frames come in the order of their index.
    pub fn note_whole(
        &self,
        rebuilding: &mut Rebuilding,
        index: Index,
        time: Millis,
        metas: &mut dyn Iterator<Item = (u16, u32, &[u8])>,
        facts: &[u8],
    ) -> Result<(), Undecodable> {
        let heads = match rebuilding.wants(index) {
            true => heads_of(metas)?,
            false => Vec::new(),
        };
        let facts = Fact::decode_all(facts)?;
        let ledger = &self.log.ledger;
        ledger.note_whole(rebuilding, index, time, heads, &facts);
        Ok(())
    }

    /// Notes what is left of a frame.
    pub fn note_some(
        &self,
        rebuilding: &mut Rebuilding,
        index: Index,
        time: Millis,
        metas: &mut dyn Iterator<Item = (u16, u32, &[u8])>,
    ) -> Result<(), Undecodable> {
        if rebuilding.wants(index) {
            let ledger = &self.log.ledger;
            ledger.note_some(rebuilding, index, time, &heads_of(metas)?);
        }
        Ok(())
    }

    /// Puts the pages in their places; a checkpoint must follow.
    pub fn rebuild(&mut self, rebuilding: Rebuilding) -> Rebuilt {
        self.log.ledger.rebuild(rebuilding)
    }
}

fn heads_of(
    metas: &mut dyn Iterator<Item = (u16, u32, &[u8])>,
) -> Result<Vec<(u16, Head)>, Undecodable> {
    metas
        .map(|(slot, size, meta)| Ok((slot, Head::decode_meta(size, meta)?)))
        .collect()
}
