//! Routing: from an address and its keys to queues and addresses with partitions.

use std::sync::Arc;

use super::bindings::{Binding, BindingSet};
use super::seen::Seen;
use super::spec::{Router, Target};
use super::{Address, Topology};
use crate::id::{AddressId, QueueId};
use crate::properties::Properties;

/// Where a message goes. Kept and filled again for the next message, so that a warm one does
/// not allocate.
#[derive(Default)]
pub struct Route {
    /// Sorted, each once.
    pub queues: Vec<QueueId>,
    /// The addresses with partitions that were reached, each once, in the order in which they
    /// were reached.
    pub partitioned: Vec<AddressId>,
    /// Whether a filter was asked: another message with the same key may go elsewhere.
    pub depends_on_properties: bool,
    /// How many places of indexes and bindings were looked at.
    pub steps: u64,
    work: Vec<AddressId>,
    visited: Seen<AddressId>,
    entered: Seen<usize>,
}

impl Route {
    /// Whether the message goes nowhere.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.partitioned.is_empty()
    }

    pub fn clear(&mut self) {
        self.queues.clear();
        self.partitioned.clear();
        self.depends_on_properties = false;
        self.steps = 0;
        self.work.clear();
        self.visited.clear();
    }

    /// Takes a binding, if its filter holds.
    fn follow(&mut self, binding: &Binding, properties: &dyn Properties) -> bool {
        self.steps += 1;
        if let Some(filter) = &binding.spec.filter {
            self.depends_on_properties = true;
            if !filter.matches(properties) {
                return false;
            }
        }
        match binding.spec.target {
            Target::Queue(id) => self.queues.push(id),
            Target::Address(id) => self.work.push(id),
        }
        true
    }
}

impl Topology {
    /// Finds where a message goes: `keys` are its key and extra ones. Each address is visited
    /// once, whatever circles there are. An address of which no binding takes the message hands
    /// it to its alternate, if that exists.
    pub fn route(
        &self,
        address: &Address,
        keys: &[&str],
        properties: &dyn Properties,
        out: &mut Route,
    ) {
        out.clear();
        out.visited.insert(address.id);
        self.visit(address, keys, properties, out);
        while let Some(id) = out.work.pop() {
            if out.visited.insert(id)
                && let Some(next) = self.address_by_id(id)
            {
                self.visit(next, keys, properties, out);
            }
        }
        if out.queues.len() > 1 {
            out.queues.sort_unstable();
            out.queues.dedup();
        }
    }

    fn visit(
        &self,
        address: &Address,
        keys: &[&str],
        properties: &dyn Properties,
        out: &mut Route,
    ) {
        let taken = if address.is_default() {
            self.visit_default(keys, out)
        } else {
            visit_bindings(address, keys, properties, out)
        };
        let into_partition = match address.spec.router {
            Router::Partitioned => {
                out.partitioned.push(address.id);
                true
            }
            Router::Direct | Router::Fanout | Router::Pattern | Router::Headers => false,
        };
        if !taken
            && !into_partition
            && let Some(name) = &address.spec.alternate
            && let Some(alternate) = self.address(name)
        {
            out.work.push(alternate.id);
        }
    }

    fn visit_default(&self, keys: &[&str], out: &mut Route) -> bool {
        let before = out.queues.len();
        out.steps += keys.len() as u64;
        out.queues
            .extend(keys.iter().filter_map(|key| self.queue_names.get(*key)));
        out.queues.len() > before
    }
}

fn visit_bindings(
    address: &Address,
    keys: &[&str],
    properties: &dyn Properties,
    out: &mut Route,
) -> bool {
    let mut taken = false;
    let mut entered = std::mem::take(&mut out.entered);
    let steps = address.visit(keys, &mut entered, &mut |set: &BindingSet| {
        set.for_each(&mut |binding: &Arc<Binding>| taken |= out.follow(binding, properties));
    });
    out.entered = entered;
    out.steps += steps;
    taken
}
