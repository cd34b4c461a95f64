//! The rules of the topology, as tables, scripts and a naive model.

mod addresses;
mod bindings;
mod codec;
mod model;
mod queues;
mod routing;
mod rules;
mod scale;

use std::sync::Arc;

use super::*;
use crate::filter::{Literal, Predicate};
use crate::properties::{Properties, Value};
use crate::refusal::{Field, Kind, Refusal};

const S1: SessionId = SessionId(1);
const S2: SessionId = SessionId(2);

fn address(name: &str, router: Router) -> AddressSpec {
    AddressSpec {
        name: name.into(),
        router,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: false,
        alternate: None,
        partitions: (router == Router::Partitioned).then(|| partitions(4)),
        owner: None,
        arguments: [].into(),
    }
}

fn partitions(count: u32) -> Partitions {
    Partitions {
        read: count,
        write: count,
        permissions: 6,
        ordered: false,
        system: false,
        attributes: [].into(),
    }
}

fn queue(name: &str) -> QueueSpec {
    QueueSpec {
        name: name.into(),
        durability: Durability::Durable,
        auto_delete: false,
        owner: None,
        implicit: false,
        options: QueueOptions::default(),
        arguments: [].into(),
    }
}

fn to_queue(name: &str) -> TargetName {
    TargetName::Queue(name.into())
}

fn to_address(name: &str) -> TargetName {
    TargetName::Address(name.into())
}

fn bind(source: &str, target: TargetName, key: &str) -> Change {
    let (source, key) = (source.into(), key.into());
    Change::Bind {
        source,
        target,
        key,
        filter: None,
        arguments: [].into(),
    }
}

fn unbind(source: &str, target: TargetName, key: &str) -> Change {
    Change::Unbind {
        source: source.into(),
        target,
        key: key.into(),
        arguments: [].into(),
    }
}

fn delete_address(name: &str) -> Change {
    Change::DeleteAddress {
        name: name.into(),
        condition: Unused::NotRequired,
    }
}

fn end_session(session: SessionId) -> Change {
    Change::EndSession {
        session,
        at_most: usize::MAX,
    }
}

fn delete_queue(name: &str) -> Change {
    Change::DeleteQueue { name: name.into() }
}

/// A queue whose name says "born" is bound to the reserved pattern address.
fn birth(name: &str) -> Option<BirthBinding> {
    let key = name.strip_prefix("born.")?;
    Some(BirthBinding {
        source: "topics".into(),
        key: key.into(),
    })
}

fn reserved() -> Vec<AddressSpec> {
    vec![
        address("", Router::Direct),
        address("topics", Router::Pattern),
    ]
}

fn fresh() -> Topology {
    Topology::new(&reserved(), birth, Limits::default())
}

/// Plans, applies, and answers; the plan itself must change nothing.
fn run(topology: &mut Topology, change: &Change) -> Result<Answer, Refusal> {
    let version = topology.version();
    let plan = topology.plan(change)?;
    assert_eq!(topology.version(), version);
    for fact in &plan.facts {
        topology.apply(fact);
    }
    Ok(plan.answer)
}

fn make(topology: &mut Topology, changes: &[Change]) {
    for change in changes {
        run(topology, change).unwrap_or_else(|refusal| panic!("{change:?}: {refusal}"));
    }
}

fn refused(topology: &Topology, change: Change) -> Refusal {
    topology
        .plan(&change)
        .expect_err(&format!("{change:?} is refused"))
}

/// The refusal of a second declaration of "x".
fn inequivalent(kind: Kind, field: Field, received: &str, current: &str) -> Refusal {
    let (received, current) = (received.into(), current.into());
    Refusal::Inequivalent {
        kind,
        name: "x".into(),
        field,
        received,
        current,
    }
}

/// The names of the queues, then of the addresses with partitions, that a message reaches.
fn reached(
    topology: &Topology,
    name: &str,
    keys: &[&str],
    properties: &dyn Properties,
) -> Vec<Arc<str>> {
    let mut route = Route::default();
    topology.route(
        topology.address(name).unwrap(),
        keys,
        properties,
        &mut route,
    );
    let queues = route
        .queues
        .iter()
        .map(|id| &topology.queue_by_id(*id).unwrap().spec.name);
    let parted = route
        .partitioned
        .iter()
        .map(|id| &topology.address_by_id(*id).unwrap().spec.name);
    queues.chain(parted).cloned().collect()
}

/// A message with one property, a colour.
struct Coloured(&'static str);

impl Properties for Coloured {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        (name == "colour").then_some(Value::Text(self.0))
    }
}

/// Holds for a message of another colour, or none.
fn not_coloured(colour: &str) -> Arc<Predicate> {
    Arc::new(Predicate::differs("colour", Literal::Text(colour.into())))
}

/// Chance that is the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.0 >> 33) % sides as u64) as usize
    }
}

/// Every index agrees with every other.
fn check_consistent(topology: &Topology) {
    assert_eq!(topology.addresses().count(), topology.address_count());
    assert_eq!(topology.queues().count(), topology.queue_count());
    let outgoing: usize = topology
        .addresses()
        .map(|address| address.binding_count())
        .sum();
    assert_eq!(outgoing, topology.binding_count());
    for binding in topology.bindings() {
        let source = topology.address_by_id(binding.spec.source).unwrap();
        assert!(source.bindings().any(|other| other == binding));
        assert!(topology.bindings_to(binding.spec.target).contains(binding));
        let spec = &binding.spec;
        assert_eq!(
            topology.edge_durability(spec.source, spec.target),
            binding.durability
        );
    }
    let mut incoming = 0;
    for queue in topology.queues() {
        incoming += topology.bindings_to(Target::Queue(queue.id)).len();
    }
    for address in topology.addresses() {
        incoming += topology.bindings_to(Target::Address(address.id)).len();
    }
    assert_eq!(incoming, topology.binding_count());
    assert_eq!(
        topology
            .incoming
            .values()
            .filter(|set| set.is_empty())
            .count(),
        0
    );
    assert_eq!(
        topology
            .owned
            .values()
            .filter(|owned| owned.is_empty())
            .count(),
        0
    );
}
