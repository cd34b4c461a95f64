//! Into which partition a message goes, and what a partition's index keeps of its key. One
//! chooser for every door, so that the messages of one ordering key meet in one partition
//! whoever sends them.

use std::collections::HashMap;

use broker::id::{AddressId, PartitionId};
use broker::pass::Destination;
use broker::topology::{CachedRoute, Partitions, Topology};
use remoting::java::java_string_hash;

/// What a partition's index keeps of a message's key, so that readers can pick by tag: the hash
/// that RocketMQ gives the tag, 0 for none.
pub fn tag_hash(key: &str) -> u32 {
    java_string_hash(key) as u32
}

/// What a sender says about the order of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order<'a> {
    /// Messages with this key keep their order: they meet in one partition.
    Key(&'a str),
    /// None: the write partitions take turns.
    Free,
}

/// Chooses partitions. Each door has its own; only the turns differ.
#[derive(Debug, Default)]
pub struct Chooser {
    turns: HashMap<AddressId, u32>,
}

impl Chooser {
    pub fn new() -> Chooser {
        Chooser::default()
    }

    /// One of the write partitions; `None` if there are none.
    pub fn choose(
        &mut self,
        address: AddressId,
        partitions: &Partitions,
        order: Order<'_>,
    ) -> Option<PartitionId> {
        let write = partitions.write;
        if write == 0 {
            return None;
        }
        let number = match order {
            // As RocketMQ's SelectMessageQueueByHash does.
            Order::Key(key) => java_string_hash(key).unsigned_abs() % write,
            Order::Free => {
                let turn = self.turns.entry(address).or_default();
                *turn = turn.wrapping_add(1);
                *turn % write
            }
        };
        Some(PartitionId { address, number })
    }

    /// Appends every destination of a route, partitions first. `explicit` is the partition that
    /// the sender chose of the address it sent to.
    pub fn place(
        &mut self,
        route: &CachedRoute,
        topology: &Topology,
        explicit: Option<PartitionId>,
        order: Order<'_>,
        out: &mut Vec<Destination>,
    ) {
        for id in route.partitioned.iter().copied() {
            if let Some(chosen) = explicit
                && chosen.address == id
            {
                out.push(Destination::Partition(chosen));
                continue;
            }
            let chosen = topology
                .address_by_id(id)
                .and_then(|address| address.spec.partitions.as_ref())
                .and_then(|partitions| self.choose(id, partitions, order));
            out.extend(chosen.map(Destination::Partition));
        }
        out.extend(route.queues.iter().map(|queue| Destination::Queue(*queue)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(write: u32) -> Partitions {
        Partitions {
            read: 8,
            write,
            permissions: 6,
            ordered: false,
            system: false,
            attributes: [].into(),
        }
    }

    #[test]
    fn a_key_keeps_its_partition_and_the_rest_take_turns() {
        let mut chooser = Chooser::new();
        let mut number = |write, order| {
            chooser
                .choose(AddressId(7), &partitions(write), order)
                .map(|chosen| chosen.number)
        };
        assert_eq!(number(0, Order::Free), None);
        let first = number(4, Order::Key("customer-1"));
        assert_eq!(first, number(4, Order::Key("customer-1")));
        // The hash of this text is the smallest integer, whose absolute value is no integer.
        assert_eq!(number(4, Order::Key("polygenelubricants")), Some(0));
        let mut turns: Vec<_> = (0..4).map(|_| number(4, Order::Free)).collect();
        turns.sort_unstable();
        assert_eq!(turns, [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn a_tag_is_hashed_as_in_java() {
        assert_eq!(tag_hash(""), 0);
        assert_eq!(tag_hash("TagA"), 2_598_919);
    }
}
