//! The topology: names, what exists under them, and the way of a message through it.
//!
//! A machine of its own: [`Topology::plan`] validates a [`Change`] and answers with facts, and
//! [`Topology::apply`] of facts, in order, is the only way in which anything changes. It holds
//! no message and does not know what is in use.
//!
//! Everything lies in persistent maps behind shared pointers: a clone is a snapshot that costs a
//! few reference counts, whatever the size, and one change copies one path of O(log n). Threads
//! route on their own clone while the next one is made.
//!
//! Invariants: queue names are unique among queues, address names among addresses; both ends of a
//! binding exist; an id is never used again, as the counters are part of every checkpoint;
//! reserved addresses have the ids 1, 2, … in the order in which they are given, for ever, so a
//! new one goes to the end of that list; everything owned by a session is volatile; planning
//! reads no clock and iterates no hash map, so that equal topologies plan equal facts.
//!
//! Caveats: a name that a new version reserves shadows an address that was declared before under
//! it. A durable auto-delete address whose last bindings led to volatile queues comes back after
//! a restart without bindings and stays. Removing something costs as much as it has bindings.

mod address;
mod apply;
mod bindings;
mod cache;
mod checkpoint;
mod draft;
mod encode;
mod equivalence;
mod pattern;
mod plan;
mod route;
mod seen;
mod spec;
mod trie;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::id::{AddressId, BindingId, Durability, GroupId, QueueId, SessionId};

pub use address::Address;
pub use bindings::Binding;
pub use cache::{CachedRoute, RouteCache};
pub use pattern::Pattern;
pub use plan::{Answer, Plan};
pub use route::Route;
pub use spec::*;

use bindings::BindingSet;

/// A queue as the topology knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Queue {
    pub id: QueueId,
    pub spec: QueueSpec,
}

/// A group as the topology knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    pub id: GroupId,
    pub spec: GroupSpec,
}

/// The binding with which a queue is born.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BirthBinding {
    /// The name of an address; if there is none, the queue is born unbound.
    pub source: String,
    pub key: String,
}

/// Tells from a queue's name whether it is born bound, whoever creates it.
pub type BirthRule = fn(&str) -> Option<BirthBinding>;

/// How much a topology may hold, and how long its names may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub addresses: usize,
    pub queues: usize,
    pub bindings: usize,
    pub groups: usize,
    pub users: usize,
    /// Of names and binding keys.
    pub name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            addresses: 100_000,
            queues: 1_000_000,
            bindings: 2_000_000,
            groups: 100_000,
            users: 10_000,
            name_bytes: 255,
        }
    }
}

/// The next number of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counters {
    address: u64,
    queue: u64,
    binding: u64,
    group: u64,
}

/// All names and edges. A clone is a cheap, immutable snapshot that threads may share.
#[derive(Clone)]
pub struct Topology {
    version: u64,
    birth: BirthRule,
    limits: Limits,
    counters: Counters,
    addresses: RedBlackTreeMapSync<AddressId, Arc<Address>>,
    address_names: RedBlackTreeMapSync<Arc<str>, AddressId>,
    queues: RedBlackTreeMapSync<QueueId, Arc<Queue>>,
    queue_names: RedBlackTreeMapSync<Arc<str>, QueueId>,
    groups: RedBlackTreeMapSync<GroupId, Arc<Group>>,
    group_names: RedBlackTreeMapSync<Arc<str>, GroupId>,
    users: RedBlackTreeMapSync<Arc<str>, Arc<UserSpec>>,
    bindings: RedBlackTreeMapSync<BindingId, Arc<Binding>>,
    /// The bindings that lead to a target.
    incoming: RedBlackTreeMapSync<Target, BindingSet>,
    /// What goes when a session ends.
    owned: RedBlackTreeMapSync<SessionId, RedBlackTreeMapSync<Target, ()>>,
}

impl Topology {
    /// The first id that a declared address gets; those below are for reserved ones.
    pub const FIRST_DECLARED_ADDRESS: u64 = 1024;

    /// A topology of nothing but reserved addresses, which get the ids 1, 2, … in their order.
    /// They are in no log and no checkpoint. One with the empty name routes to the queue that the
    /// key names and has no bindings.
    pub fn new(reserved: &[AddressSpec], birth: BirthRule, limits: Limits) -> Topology {
        assert!((reserved.len() as u64) < Self::FIRST_DECLARED_ADDRESS - 1);
        let mut topology = Topology {
            version: 0,
            birth,
            limits,
            counters: Counters {
                address: Self::FIRST_DECLARED_ADDRESS,
                queue: 1,
                binding: 1,
                group: 1,
            },
            addresses: RedBlackTreeMapSync::new_sync(),
            address_names: RedBlackTreeMapSync::new_sync(),
            queues: RedBlackTreeMapSync::new_sync(),
            queue_names: RedBlackTreeMapSync::new_sync(),
            groups: RedBlackTreeMapSync::new_sync(),
            group_names: RedBlackTreeMapSync::new_sync(),
            users: RedBlackTreeMapSync::new_sync(),
            bindings: RedBlackTreeMapSync::new_sync(),
            incoming: RedBlackTreeMapSync::new_sync(),
            owned: RedBlackTreeMapSync::new_sync(),
        };
        for (id, spec) in (1..).zip(reserved) {
            assert!(spec.durability == Durability::Durable && spec.owner.is_none());
            assert!(
                topology.address(&spec.name).is_none(),
                "\"{}\" is reserved twice",
                spec.name
            );
            let spec = AddressSpec {
                reserved: true,
                ..spec.clone()
            };
            topology.apply(&TopologyFact::AddressSet {
                id: AddressId(id),
                spec,
            });
        }
        topology
    }

    /// Grows with every applied fact: what was derived from one version holds for it alone.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn address(&self, name: &str) -> Option<&Arc<Address>> {
        self.addresses.get(self.address_names.get(name)?)
    }

    pub fn address_by_id(&self, id: AddressId) -> Option<&Arc<Address>> {
        self.addresses.get(&id)
    }

    pub fn queue(&self, name: &str) -> Option<&Arc<Queue>> {
        self.queues.get(self.queue_names.get(name)?)
    }

    pub fn queue_by_id(&self, id: QueueId) -> Option<&Arc<Queue>> {
        self.queues.get(&id)
    }

    pub fn group(&self, name: &str) -> Option<&Arc<Group>> {
        self.groups.get(self.group_names.get(name)?)
    }

    pub fn group_by_id(&self, id: GroupId) -> Option<&Arc<Group>> {
        self.groups.get(&id)
    }

    pub fn user(&self, name: &str) -> Option<&Arc<UserSpec>> {
        self.users.get(name)
    }

    pub fn binding(&self, id: BindingId) -> Option<&Arc<Binding>> {
        self.bindings.get(&id)
    }

    /// In the order of their names.
    pub fn addresses(&self) -> impl Iterator<Item = &Arc<Address>> {
        self.address_names
            .values()
            .filter_map(|id| self.addresses.get(id))
    }

    /// In the order of their names.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.queue_names
            .values()
            .filter_map(|id| self.queues.get(id))
    }

    /// In the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.group_names
            .values()
            .filter_map(|id| self.groups.get(id))
    }

    /// In the order of their names.
    pub fn users(&self) -> impl Iterator<Item = &Arc<UserSpec>> {
        self.users.values()
    }

    /// In the order in which they were made.
    pub fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.bindings.values()
    }

    /// What leads to a queue or address, in the order in which it was made. What leads away from
    /// an address is [`Address::bindings`].
    pub fn bindings_to(&self, target: Target) -> Vec<Arc<Binding>> {
        let mut found = Vec::new();
        if let Some(set) = self.incoming.get(&target) {
            set.for_each(&mut |binding| found.push(Arc::clone(binding)));
        }
        found
    }

    /// What a session owns, queues before addresses.
    pub fn owned_by(&self, session: SessionId) -> impl Iterator<Item = Target> {
        self.owned
            .get(&session)
            .into_iter()
            .flat_map(|owned| owned.keys().copied())
    }

    pub fn address_count(&self) -> usize {
        self.addresses.size()
    }

    pub fn queue_count(&self) -> usize {
        self.queues.size()
    }

    pub fn binding_count(&self) -> usize {
        self.bindings.size()
    }

    pub fn group_count(&self) -> usize {
        self.groups.size()
    }

    pub fn user_count(&self) -> usize {
        self.users.size()
    }

    /// The lesser durability of an edge's two ends; volatile if one is missing.
    fn edge_durability(&self, source: AddressId, target: Target) -> Durability {
        let source = self
            .address_by_id(source)
            .map(|address| address.spec.durability);
        let target = match target {
            Target::Queue(id) => Some(id.durability()),
            Target::Address(id) => self
                .address_by_id(id)
                .map(|address| address.spec.durability),
        };
        match (source, target) {
            (Some(Durability::Durable), Some(Durability::Durable)) => Durability::Durable,
            (Some(Durability::Volatile) | None, _) | (_, Some(Durability::Volatile) | None) => {
                Durability::Volatile
            }
        }
    }
}
