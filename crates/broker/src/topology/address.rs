//! An address and what leads away from it, indexed for its router.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::bindings::{Binding, BindingSet, Identity};
use super::seen::Seen;
use super::spec::{AddressSpec, Router};
use super::trie::PatternTrie;
use crate::id::{AddressId, BindingId};

/// An address as the topology knows it.
#[derive(Clone)]
pub struct Address {
    pub id: AddressId,
    pub spec: Arc<AddressSpec>,
    outgoing: RedBlackTreeMapSync<Identity, Arc<Binding>>,
    edges: Edges,
}

/// The bindings once more, as the router looks for them.
#[derive(Clone)]
enum Edges {
    /// By key.
    Direct(RedBlackTreeMapSync<Arc<str>, BindingSet>),
    Pattern(PatternTrie),
    /// All of them, to be looked at one by one.
    Every(BindingSet),
}

impl Address {
    pub(super) fn new(id: AddressId, spec: AddressSpec) -> Address {
        let edges = match spec.router {
            Router::Direct => Edges::Direct(RedBlackTreeMapSync::new_sync()),
            Router::Pattern | Router::Partitioned => Edges::Pattern(PatternTrie::default()),
            Router::Fanout | Router::Headers => Edges::Every(BindingSet::default()),
        };
        Address {
            id,
            spec: Arc::new(spec),
            outgoing: RedBlackTreeMapSync::new_sync(),
            edges,
        }
    }

    /// What leads away from here, sorted by key, then target.
    pub fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.outgoing.values()
    }

    pub fn binding_count(&self) -> usize {
        self.outgoing.size()
    }

    /// Whether anything leads away from here.
    pub fn is_bound(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether this is the address that routes to the queue that the key names.
    pub fn is_default(&self) -> bool {
        self.spec.name.is_empty()
    }

    pub(super) fn find(&self, identity: &Identity) -> Option<&Arc<Binding>> {
        self.outgoing.get(identity)
    }

    pub(super) fn link(&mut self, binding: &Arc<Binding>) {
        self.outgoing
            .insert_mut(Identity::of(&binding.spec), Arc::clone(binding));
        let binding = Arc::clone(binding);
        match &mut self.edges {
            Edges::Direct(keys) => {
                let key = Arc::clone(&binding.spec.key);
                if !keys.contains_key(&key) {
                    keys.insert_mut(Arc::clone(&key), BindingSet::default());
                }
                keys.get_mut(&key).expect("inserted above").insert(binding);
            }
            Edges::Pattern(trie) => trie.insert(binding),
            Edges::Every(set) => set.insert(binding),
        }
    }

    pub(super) fn unlink(&mut self, binding: &Binding) {
        self.outgoing.remove_mut(&Identity::of(&binding.spec));
        let (key, id): (&str, BindingId) = (&binding.spec.key, binding.id);
        match &mut self.edges {
            Edges::Direct(keys) => {
                if let Some(set) = keys.get_mut(key) {
                    set.remove(id);
                    if set.is_empty() {
                        keys.remove_mut(key);
                    }
                }
            }
            Edges::Pattern(trie) => trie.remove(key, id),
            Edges::Every(set) => set.remove(id),
        }
    }

    /// Visits the bindings that fit one of the keys, before any filter; one that fits several
    /// keys is visited several times. Answers how many places of the index were looked at.
    pub(super) fn visit(
        &self,
        keys: &[&str],
        entered: &mut Seen<usize>,
        found: &mut dyn FnMut(&BindingSet),
    ) -> u64 {
        match &self.edges {
            Edges::Direct(index) => {
                keys.iter()
                    .filter_map(|key| index.get(*key))
                    .for_each(found);
                keys.len() as u64
            }
            Edges::Pattern(trie) => keys.iter().map(|key| trie.visit(key, entered, found)).sum(),
            Edges::Every(set) => {
                found(set);
                1
            }
        }
    }
}
