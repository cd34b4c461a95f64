//! The durable part of a topology as bytes: `version 1 | counters | count | facts`, each fact
//! with its length. The counters are those of everything, so that an id of something volatile
//! or long gone is not given again.

use super::spec::*;
use super::{BirthRule, Counters, Limits, Topology};
use crate::bytes::{Reader, Undecodable, Writer};
use crate::id::Durability;

const VERSION: u8 = 1;

impl Topology {
    /// Appends the durable part. Takes as long as there are things: for a snapshot, off the
    /// message path.
    pub fn encode_checkpoint(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        for counter in [
            self.counters.address,
            self.counters.queue,
            self.counters.binding,
            self.counters.group,
        ] {
            out.put_number(counter);
        }
        let mut count = 0u64;
        self.durable_facts(|_| count += 1);
        out.put_number(count);
        let mut bytes = Vec::new();
        self.durable_facts(|fact| {
            bytes.clear();
            fact.encode(&mut bytes);
            out.put_bytes(&bytes);
        });
    }

    /// Reads exactly one checkpoint. Reserved addresses come from the caller, as in
    /// [`Topology::new`].
    pub fn decode_checkpoint(
        bytes: &[u8],
        reserved: &[AddressSpec],
        birth: BirthRule,
        limits: Limits,
    ) -> Result<Topology, Undecodable> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Undecodable("topology version"));
        }
        let counters = Counters {
            address: reader.number()?,
            queue: reader.number()?,
            binding: reader.number()?,
            group: reader.number()?,
        };
        let mut topology = Topology::new(reserved, birth, limits);
        for _ in 0..reader.count()? {
            topology.apply_read(&TopologyFact::decode(reader.bytes()?)?)?;
        }
        if !reader.is_empty() {
            return Err(Undecodable("topology end"));
        }
        let reached = &mut topology.counters;
        reached.address = reached.address.max(counters.address);
        reached.queue = reached.queue.max(counters.queue);
        reached.binding = reached.binding.max(counters.binding);
        reached.group = reached.group.max(counters.group);
        Ok(topology)
    }

    /// The facts that make the durable part anew, ends before edges.
    fn durable_facts(&self, mut visit: impl FnMut(&TopologyFact)) {
        let addresses = self
            .addresses
            .values()
            .filter(|address| !address.spec.reserved)
            .map(|address| TopologyFact::AddressSet {
                id: address.id,
                spec: AddressSpec::clone(&address.spec),
            });
        let queues = self.queues.values().map(|queue| TopologyFact::QueueSet {
            id: queue.id,
            spec: queue.spec.clone(),
        });
        let bindings = self.bindings.values().map(|binding| TopologyFact::Bound {
            id: binding.id,
            binding: binding.spec.clone(),
            durability: binding.durability,
        });
        let groups = self.groups.values().map(|group| TopologyFact::GroupSet {
            id: group.id,
            spec: group.spec.clone(),
        });
        let users = self
            .users
            .values()
            .map(|user| TopologyFact::UserSet(UserSpec::clone(user)));
        addresses
            .chain(queues)
            .chain(bindings)
            .chain(groups)
            .chain(users)
            .filter(|fact| fact.durability() == Durability::Durable)
            .for_each(|fact| visit(&fact));
    }
}
