//! What it means to declare something that exists already.

use super::plan::{Answer, Plan};
use super::spec::*;
use super::{Address, Queue};
use crate::id::Durability;
use crate::refusal::{Field, Kind, Refusal};

/// Declaring a queue that exists: nothing, or its adoption, or a refusal.
pub(super) fn redeclare_queue(known: &Queue, asked: QueueSpec) -> Result<Plan, Refusal> {
    let same = Plan::nothing(Answer::QueueDeclared {
        id: known.id,
        created: false,
    });
    // Who only uses a name does not ask whose it is: anyone may send to an exclusive queue.
    if asked.implicit {
        return Ok(same);
    }
    let name = || Box::from(&*asked.name);
    if known.spec.owner != asked.owner {
        return Err(Refusal::Locked { name: name() });
    }
    if known.spec.implicit {
        let spec = QueueSpec {
            durability: known.id.durability(),
            ..asked
        };
        return Ok(Plan {
            facts: vec![TopologyFact::QueueSet { id: known.id, spec }],
            ..same
        });
    }
    let differs = |field, received: bool, current: bool| Refusal::Inequivalent {
        kind: Kind::Queue,
        name: name(),
        field,
        received: received.to_string().into(),
        current: current.to_string().into(),
    };
    let durable = |spec: &QueueSpec| spec.durability == Durability::Durable;
    if durable(&asked) != durable(&known.spec) {
        return Err(differs(
            Field::Durable,
            durable(&asked),
            durable(&known.spec),
        ));
    }
    if asked.auto_delete != known.spec.auto_delete {
        return Err(differs(
            Field::AutoDelete,
            asked.auto_delete,
            known.spec.auto_delete,
        ));
    }
    if asked.options != known.spec.options || asked.arguments != known.spec.arguments {
        return Err(Refusal::ArgumentsDiffer {
            kind: Kind::Queue,
            name: name(),
        });
    }
    Ok(same)
}

/// Declaring an address that exists: its fields must be the same, its arguments not.
pub(super) fn compare_addresses(known: &Address, asked: &AddressSpec) -> Result<(), Refusal> {
    let name = || Box::from(&*asked.name);
    let has = &*known.spec;
    if (has.router == Router::Partitioned) != (asked.router == Router::Partitioned) {
        return Err(Refusal::AddressTaken { name: name() });
    }
    if has.owner != asked.owner {
        return Err(Refusal::Locked { name: name() });
    }
    let differs = |field, received: &str, current: &str| Refusal::Inequivalent {
        kind: Kind::Address,
        name: name(),
        field,
        received: received.into(),
        current: current.into(),
    };
    if has.router != asked.router {
        return Err(differs(
            Field::Router,
            asked.router.name(),
            has.router.name(),
        ));
    }
    let flag = |value: bool| if value { "true" } else { "false" };
    let durable = |spec: &AddressSpec| spec.durability == Durability::Durable;
    for (field, received, current) in [
        (Field::Durable, durable(asked), durable(has)),
        (Field::AutoDelete, asked.auto_delete, has.auto_delete),
        (Field::Internal, asked.internal, has.internal),
    ] {
        if received != current {
            return Err(differs(field, flag(received), flag(current)));
        }
    }
    if has.alternate != asked.alternate {
        let (received, current) = (asked.alternate.as_deref(), has.alternate.as_deref());
        return Err(differs(
            Field::Alternate,
            received.unwrap_or("none"),
            current.unwrap_or("none"),
        ));
    }
    Ok(())
}
