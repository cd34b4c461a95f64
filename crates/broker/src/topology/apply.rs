//! Applying facts. A fact about something that is gone changes nothing; only what was read back and
//! cannot have been written is refused.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::address::Address;
use super::bindings::Binding;
use super::spec::*;
use super::{Group, Queue, Topology};
use crate::bytes::Undecodable;
use crate::id::{AddressId, BindingId, GroupId, QueueId, SessionId};

impl Topology {
    /// Applies what was read back, unless no node can have written it here.
    pub fn apply_read(&mut self, fact: &TopologyFact) -> Result<(), Undecodable> {
        let number = match fact {
            TopologyFact::AddressSet { id, spec } => {
                let known = self.addresses.get(id);
                if known.is_some_and(|known| known.spec.router != spec.router) {
                    return Err(Undecodable("router"));
                }
                id.0
            }
            TopologyFact::QueueSet { id, spec: _ } => id.0,
            TopologyFact::Bound { id, .. } => id.0,
            TopologyFact::GroupSet { id, spec: _ } => id.0,
            TopologyFact::AddressRemoved { .. }
            | TopologyFact::QueueRemoved { .. }
            | TopologyFact::Unbound { .. }
            | TopologyFact::GroupRemoved { .. }
            | TopologyFact::UserSet(_)
            | TopologyFact::UserRemoved { .. } => 0,
        };
        // There is always a next one.
        if number == u64::MAX {
            return Err(Undecodable("id"));
        }
        self.apply(fact);
        Ok(())
    }

    /// The only way in which a topology changes.
    pub fn apply(&mut self, fact: &TopologyFact) {
        self.version += 1;
        match fact {
            TopologyFact::AddressSet { id, spec } => self.set_address(*id, spec),
            TopologyFact::AddressRemoved { id, durability: _ } => self.remove_address(*id),
            TopologyFact::QueueSet { id, spec } => self.set_queue(*id, spec),
            TopologyFact::QueueRemoved { id } => self.remove_queue(*id),
            TopologyFact::Bound {
                id,
                binding,
                durability,
            } => {
                let binding = Binding {
                    id: *id,
                    spec: binding.clone(),
                    durability: *durability,
                };
                self.bind(Arc::new(binding));
            }
            TopologyFact::Unbound { id, durability: _ } => self.unbind(*id),
            TopologyFact::GroupSet { id, spec } => self.set_group(*id, spec),
            TopologyFact::GroupRemoved { id } => self.remove_group(*id),
            TopologyFact::UserSet(spec) => {
                self.users
                    .insert_mut(Arc::clone(&spec.name), Arc::new(spec.clone()));
            }
            TopologyFact::UserRemoved { name } => {
                self.users.remove_mut(name);
            }
        }
    }

    fn set_address(&mut self, id: AddressId, spec: &AddressSpec) {
        // Reserved ids lie below the counter and must not move it.
        self.counters.address = self.counters.address.max(id.0 + 1);
        if let Some(known) = self.addresses.get_mut(&id) {
            assert_eq!(
                known.spec.router, spec.router,
                "the router of \"{}\"",
                spec.name
            );
            Arc::make_mut(known).spec = Arc::new(spec.clone());
            return;
        }
        self.address_names.insert_mut(Arc::clone(&spec.name), id);
        self.addresses
            .insert_mut(id, Arc::new(Address::new(id, spec.clone())));
        if let Some(session) = spec.owner {
            self.own(session, Target::Address(id));
        }
    }

    fn remove_address(&mut self, id: AddressId) {
        let Some(address) = self.addresses.get(&id).cloned() else {
            return;
        };
        // The address goes first, so that its own index is not taken apart edge by edge.
        self.addresses.remove_mut(&id);
        if self.address_names.get(&address.spec.name) == Some(&id) {
            self.address_names.remove_mut(&address.spec.name);
        }
        for binding in address.bindings() {
            self.unbind(binding.id);
        }
        self.remove_target(Target::Address(id), address.spec.owner);
    }

    fn set_queue(&mut self, id: QueueId, spec: &QueueSpec) {
        self.counters.queue = self.counters.queue.max((id.0 >> 1) + 1);
        self.queue_names.insert_mut(Arc::clone(&spec.name), id);
        self.queues.insert_mut(
            id,
            Arc::new(Queue {
                id,
                spec: spec.clone(),
            }),
        );
        if let Some(session) = spec.owner {
            self.own(session, Target::Queue(id));
        }
    }

    fn remove_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get(&id).cloned() else {
            return;
        };
        self.queues.remove_mut(&id);
        if self.queue_names.get(&queue.spec.name) == Some(&id) {
            self.queue_names.remove_mut(&queue.spec.name);
        }
        self.remove_target(Target::Queue(id), queue.spec.owner);
    }

    fn remove_target(&mut self, target: Target, owner: Option<SessionId>) {
        for binding in self.bindings_to(target) {
            self.unbind(binding.id);
        }
        let Some(session) = owner else { return };
        let Some(owned) = self.owned.get_mut(&session) else {
            return;
        };
        owned.remove_mut(&target);
        if owned.is_empty() {
            self.owned.remove_mut(&session);
        }
    }

    fn own(&mut self, session: SessionId, target: Target) {
        if !self.owned.contains_key(&session) {
            self.owned
                .insert_mut(session, RedBlackTreeMapSync::new_sync());
        }
        self.owned
            .get_mut(&session)
            .expect("inserted above")
            .insert_mut(target, ());
    }

    fn bind(&mut self, binding: Arc<Binding>) {
        self.counters.binding = self.counters.binding.max(binding.id.0 + 1);
        let target = binding.spec.target;
        let target_exists = match target {
            Target::Queue(id) => self.queues.contains_key(&id),
            Target::Address(id) => self.addresses.contains_key(&id),
        };
        if !target_exists {
            return;
        }
        let Some(source) = self.addresses.get_mut(&binding.spec.source) else {
            return;
        };
        Arc::make_mut(source).link(&binding);
        if !self.incoming.contains_key(&target) {
            self.incoming.insert_mut(target, Default::default());
        }
        let incoming = self.incoming.get_mut(&target).expect("inserted above");
        incoming.insert(Arc::clone(&binding));
        self.bindings.insert_mut(binding.id, binding);
    }

    fn unbind(&mut self, id: BindingId) {
        let Some(binding) = self.bindings.get(&id).cloned() else {
            return;
        };
        self.bindings.remove_mut(&id);
        if let Some(source) = self.addresses.get_mut(&binding.spec.source) {
            Arc::make_mut(source).unlink(&binding);
        }
        if let Some(incoming) = self.incoming.get_mut(&binding.spec.target) {
            incoming.remove(id);
            if incoming.is_empty() {
                self.incoming.remove_mut(&binding.spec.target);
            }
        }
    }

    fn set_group(&mut self, id: GroupId, spec: &GroupSpec) {
        self.counters.group = self.counters.group.max(id.0 + 1);
        self.group_names.insert_mut(Arc::clone(&spec.name), id);
        self.groups.insert_mut(
            id,
            Arc::new(Group {
                id,
                spec: spec.clone(),
            }),
        );
    }

    fn remove_group(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(&id).cloned() else {
            return;
        };
        self.groups.remove_mut(&id);
        if self.group_names.get(&group.spec.name) == Some(&id) {
            self.group_names.remove_mut(&group.spec.name);
        }
    }
}
