//! Bindings, and small persistent sets of them.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::spec::{BindingSpec, Target};
use crate::id::{BindingId, Durability};

/// An edge as the topology knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Binding {
    pub id: BindingId,
    pub spec: BindingSpec,
    /// The lesser of both ends.
    pub durability: Durability,
}

/// What tells one binding of an address from another. Sorts by key first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<str>,
    pub(super) target: Target,
    pub(super) arguments: Arc<[u8]>,
}

impl Identity {
    pub(super) fn of(spec: &BindingSpec) -> Identity {
        Identity {
            key: Arc::clone(&spec.key),
            target: spec.target,
            arguments: Arc::clone(&spec.arguments),
        }
    }
}

/// Bindings in the order of their ids. Most keys have one binding and most queues a few, which
/// then need no tree and are walked without allocating; the walk of a tree allocates once, a
/// stack of its height.
#[derive(Clone, Default)]
pub(super) enum BindingSet {
    #[default]
    Empty,
    One(Arc<Binding>),
    Few(Arc<[Arc<Binding>]>),
    Many(RedBlackTreeMapSync<BindingId, Arc<Binding>>),
}

impl BindingSet {
    const FEW_MAX: usize = 16;
    /// A tree becomes a list again only well below the size at which it became one.
    const FEW_AGAIN: usize = 8;

    pub(super) fn is_empty(&self) -> bool {
        match self {
            BindingSet::Empty => true,
            BindingSet::One(_) | BindingSet::Few(_) | BindingSet::Many(_) => false,
        }
    }

    pub(super) fn for_each(&self, visit: &mut impl FnMut(&Arc<Binding>)) {
        match self {
            BindingSet::Empty => {}
            BindingSet::One(binding) => visit(binding),
            BindingSet::Few(list) => list.iter().for_each(visit),
            BindingSet::Many(tree) => tree.values().for_each(visit),
        }
    }

    /// Adds a binding or replaces the one with its id.
    pub(super) fn insert(&mut self, binding: Arc<Binding>) {
        match self {
            BindingSet::Empty => *self = BindingSet::One(binding),
            BindingSet::One(only) if only.id == binding.id => *only = binding,
            BindingSet::One(_) | BindingSet::Few(_) => {
                let mut list = self.others(binding.id);
                let place = list.partition_point(|other| other.id < binding.id);
                list.insert(place, binding);
                *self = BindingSet::from_list(list);
            }
            BindingSet::Many(tree) => tree.insert_mut(binding.id, binding),
        }
    }

    pub(super) fn remove(&mut self, id: BindingId) {
        match self {
            BindingSet::Empty => {}
            BindingSet::One(_) | BindingSet::Few(_) => {
                *self = BindingSet::from_list(self.others(id));
            }
            BindingSet::Many(tree) => {
                tree.remove_mut(&id);
                if tree.size() <= Self::FEW_AGAIN {
                    *self = BindingSet::from_list(tree.values().cloned().collect());
                }
            }
        }
    }

    fn others(&self, id: BindingId) -> Vec<Arc<Binding>> {
        let mut list = Vec::new();
        self.for_each(&mut |binding| {
            if binding.id != id {
                list.push(Arc::clone(binding));
            }
        });
        list
    }

    fn from_list(mut list: Vec<Arc<Binding>>) -> BindingSet {
        match list.len() {
            0 => BindingSet::Empty,
            1 => list.pop().map_or(BindingSet::Empty, BindingSet::One),
            length if length <= Self::FEW_MAX => BindingSet::Few(list.into()),
            _ => {
                let mut tree = RedBlackTreeMapSync::new_sync();
                for binding in list {
                    tree.insert_mut(binding.id, binding);
                }
                BindingSet::Many(tree)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AddressId, QueueId};

    fn binding(id: u64) -> Arc<Binding> {
        Arc::new(Binding {
            id: BindingId(id),
            spec: BindingSpec {
                source: AddressId(1),
                target: Target::Queue(QueueId(id)),
                key: "k".into(),
                filter: None,
                arguments: [].into(),
            },
            durability: Durability::Durable,
        })
    }

    fn ids(set: &BindingSet) -> Vec<u64> {
        let mut found = Vec::new();
        set.for_each(&mut |binding| found.push(binding.id.0));
        found
    }

    #[test]
    fn a_set_grows_and_shrinks_in_order() {
        let mut set = BindingSet::default();
        for id in (0..40).rev() {
            set.insert(binding(id));
            set.insert(binding(id));
            assert_eq!(ids(&set), (id..40).collect::<Vec<_>>());
        }
        let snapshot = set.clone();
        for id in 0..40 {
            set.remove(BindingId(id));
            set.remove(BindingId(id));
            assert_eq!(ids(&set), (id + 1..40).collect::<Vec<_>>());
        }
        assert!(set.is_empty());
        assert_eq!(ids(&snapshot).len(), 40);
    }
}
