//! Removing things in a plan, with all that goes along.

use super::plan::{Answer, Plan};
use super::spec::{Target, TopologyFact};
use super::{Address, Topology};
use crate::id::AddressId;

/// Removals and what follows from them, tried out on a snapshot.
pub(super) struct Draft {
    pub(super) topology: Topology,
    facts: Vec<TopologyFact>,
}

impl Draft {
    pub(super) fn new(topology: &Topology) -> Draft {
        Draft {
            topology: topology.clone(),
            facts: Vec::new(),
        }
    }

    /// Removes something, then the auto-delete addresses that have lost their last binding by it,
    /// and so on.
    pub(super) fn remove(&mut self, removal: TopologyFact) {
        let mut pending = vec![removal];
        while let Some(fact) = pending.pop() {
            let bereaved = self.topology.bereaved(&fact);
            self.topology.apply(&fact);
            self.facts.push(fact);
            let lonely = bereaved
                .into_iter()
                .filter_map(|id| self.topology.address_by_id(id))
                .filter(|address| address.spec.auto_delete && !address.spec.reserved)
                .filter(|address| !address.is_bound())
                .map(|address| removal_of(address));
            pending.extend(lonely);
        }
    }

    pub(super) fn finish(self, answer: Answer) -> Plan {
        Plan {
            facts: self.facts,
            answer,
        }
    }
}

pub(super) fn removal_of(address: &Address) -> TopologyFact {
    TopologyFact::AddressRemoved {
        id: address.id,
        durability: address.spec.durability,
    }
}

impl Topology {
    /// The addresses that lose outgoing bindings by a removal and stay themselves.
    fn bereaved(&self, removal: &TopologyFact) -> Vec<AddressId> {
        let into = |target| {
            self.bindings_to(target)
                .iter()
                .map(|binding| binding.spec.source)
                .collect::<Vec<_>>()
        };
        let mut sources = match removal {
            TopologyFact::QueueRemoved { id } => into(Target::Queue(*id)),
            TopologyFact::AddressRemoved { id, .. } => into(Target::Address(*id)),
            TopologyFact::Unbound { id, .. } => self
                .binding(*id)
                .map(|binding| binding.spec.source)
                .into_iter()
                .collect(),
            TopologyFact::AddressSet { .. }
            | TopologyFact::QueueSet { .. }
            | TopologyFact::Bound { .. }
            | TopologyFact::GroupSet { .. }
            | TopologyFact::GroupRemoved { .. }
            | TopologyFact::UserSet(_)
            | TopologyFact::UserRemoved { .. } => Vec::new(),
        };
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}
