//! The rules of planning for addresses.

use super::*;
use crate::refusal::{Field, Kind};

#[test]
fn an_address_declared_again_must_be_equivalent() {
    let mut topology = fresh();
    let mut known = address("x", Router::Direct);
    known.alternate = Some("other".into());
    make(&mut topology, &[Change::DeclareAddress(known.clone())]);
    let with = |change: fn(&mut AddressSpec)| {
        let mut spec = known.clone();
        change(&mut spec);
        Change::DeclareAddress(spec)
    };
    let differs = |field, received, current| inequivalent(Kind::Address, field, received, current);
    for (change, refusal) in [
        (
            with(|spec| spec.router = Router::Fanout),
            differs(Field::Router, "fanout", "direct"),
        ),
        (
            with(|spec| spec.durability = Durability::Volatile),
            differs(Field::Durable, "false", "true"),
        ),
        (
            with(|spec| spec.auto_delete = true),
            differs(Field::AutoDelete, "true", "false"),
        ),
        (
            with(|spec| spec.internal = true),
            differs(Field::Internal, "true", "false"),
        ),
        (
            with(|spec| spec.alternate = None),
            differs(Field::Alternate, "none", "other"),
        ),
        (
            with(|spec| spec.owner = Some(S1)),
            Refusal::Locked { name: "x".into() },
        ),
        (
            Change::DeclareAddress(address("x", Router::Partitioned)),
            Refusal::AddressTaken { name: "x".into() },
        ),
        (
            Change::SetPartitions(address("x", Router::Partitioned)),
            Refusal::AddressTaken { name: "x".into() },
        ),
    ] {
        assert_eq!(refused(&topology, change), refusal);
    }
    let other_words = with(|spec| spec.arguments = [1].into());
    assert!(topology.plan(&other_words).unwrap().facts.is_empty());
}

#[test]
fn partitions_are_created_updated_and_keep_their_name() {
    let mut topology = fresh();
    let mut spec = address("t", Router::Partitioned);
    spec.durability = Durability::Volatile;
    let id = AddressId(1024);
    let set = |spec: &AddressSpec| Change::SetPartitions(spec.clone());
    let created = run(&mut topology, &set(&spec));
    assert_eq!(created, Ok(Answer::AddressDeclared { id, created: true }));
    assert_eq!(
        topology.address("t").unwrap().spec.durability,
        Durability::Durable
    );
    make(
        &mut topology,
        &[
            Change::DeclareQueue(queue("q")),
            bind("t", to_queue("q"), "#"),
        ],
    );
    assert_eq!(topology.plan(&set(&spec)).unwrap().facts, []);
    spec.partitions = Some(partitions(8));
    let updated = run(&mut topology, &set(&spec));
    assert_eq!(updated, Ok(Answer::AddressDeclared { id, created: false }));
    assert_eq!(
        topology.address("t").unwrap().spec.partitions,
        Some(partitions(8))
    );
    // Bindings survive an update.
    assert_eq!(
        *reached(&topology, "t", &["tag"], &()),
        ["q".into(), "t".into()]
    );
    assert_eq!(
        refused(
            &topology,
            Change::DeclareAddress(address("t", Router::Fanout))
        ),
        Refusal::AddressTaken { name: "t".into() }
    );
    check_consistent(&topology);
}

#[test]
fn an_auto_delete_address_goes_with_its_last_binding() {
    let auto = |name| {
        Change::DeclareAddress(AddressSpec {
            auto_delete: true,
            ..address(name, Router::Fanout)
        })
    };
    let mut topology = fresh();
    make(
        &mut topology,
        &[
            auto("a"),
            auto("b"),
            auto("never-bound"),
            Change::DeclareQueue(queue("q")),
            Change::DeclareQueue(queue("r")),
            bind("a", to_address("b"), "1"),
            bind("a", to_address("b"), "2"),
            bind("b", to_queue("q"), ""),
            bind("b", to_queue("r"), ""),
            delete_queue("q"),
        ],
    );
    assert!(topology.address("b").is_some());
    // The last binding of b goes, so b goes, so the last bindings of a go, so a goes.
    let plan = topology.plan(&delete_queue("r")).unwrap();
    let kinds: Vec<bool> = plan
        .facts
        .iter()
        .map(|fact| matches!(fact, TopologyFact::AddressRemoved { .. }))
        .collect();
    assert_eq!(kinds, [false, true, true]);
    make(&mut topology, &[delete_queue("r")]);
    assert!(topology.address("a").is_none() && topology.address("b").is_none());
    assert!(topology.address("never-bound").is_some());
    check_consistent(&topology);

    make(
        &mut topology,
        &[
            auto("a"),
            Change::DeclareQueue(queue("q")),
            bind("a", to_queue("q"), "1"),
            bind("a", to_queue("q"), "2"),
            unbind("a", to_queue("q"), "1"),
        ],
    );
    assert!(topology.address("a").is_some());
    make(&mut topology, &[unbind("a", to_queue("q"), "2")]);
    assert!(topology.address("a").is_none());

    // Two that feed each other and themselves end, too.
    make(
        &mut topology,
        &[
            auto("a"),
            auto("b"),
            bind("a", to_address("a"), ""),
            bind("a", to_address("b"), ""),
            bind("b", to_address("a"), ""),
            delete_address("a"),
        ],
    );
    assert!(topology.address("b").is_none());
    check_consistent(&topology);
}
