//! The rules of planning for queues.

use super::*;
use crate::refusal::{Field, Kind};

#[test]
fn a_queue_declared_again_must_be_equivalent() {
    let mut topology = fresh();
    make(&mut topology, &[Change::DeclareQueue(queue("x"))]);
    let with = |change: fn(&mut QueueSpec)| {
        let mut spec = queue("x");
        change(&mut spec);
        Change::DeclareQueue(spec)
    };
    let differs = |field, received, current| inequivalent(Kind::Queue, field, received, current);
    let other = || Refusal::ArgumentsDiffer {
        kind: Kind::Queue,
        name: "x".into(),
    };
    for (change, refusal) in [
        (
            with(|spec| spec.durability = Durability::Volatile),
            differs(Field::Durable, "false", "true"),
        ),
        (
            with(|spec| spec.auto_delete = true),
            differs(Field::AutoDelete, "true", "false"),
        ),
        (with(|spec| spec.options.idle_ms = Some(1)), other()),
        (with(|spec| spec.arguments = [1].into()), other()),
        (
            with(|spec| spec.owner = Some(S1)),
            Refusal::Locked { name: "x".into() },
        ),
    ] {
        assert_eq!(refused(&topology, change), refusal);
    }
    let id = QueueId(2);
    let same = Answer::QueueDeclared { id, created: false };
    assert_eq!(run(&mut topology, &with(|_| {})), Ok(same));
    // To use a queue implicitly is no declaration: nothing is compared.
    let implicit = with(|spec| {
        spec.implicit = true;
        spec.auto_delete = true;
    });
    assert_eq!(run(&mut topology, &implicit), Ok(same));
    assert!(!topology.queue("x").unwrap().spec.auto_delete);
}

#[test]
fn the_first_declaration_adopts_an_implicit_queue() {
    let mut topology = fresh();
    let implicit = QueueSpec {
        implicit: true,
        ..queue("x")
    };
    make(&mut topology, &[Change::DeclareQueue(implicit.clone())]);
    let asked = QueueSpec {
        durability: Durability::Volatile,
        auto_delete: true,
        arguments: [7].into(),
        ..queue("x")
    };
    let plan = topology.plan(&Change::DeclareQueue(asked.clone())).unwrap();
    let granted = QueueSpec {
        durability: Durability::Durable,
        ..asked
    };
    let id = QueueId(2);
    assert_eq!(
        plan.facts,
        [TopologyFact::QueueSet {
            id,
            spec: granted.clone()
        }]
    );
    assert_eq!(plan.answer, Answer::QueueDeclared { id, created: false });
    topology.apply(&plan.facts[0]);
    assert_eq!(topology.queue("x").unwrap().spec, granted);
    assert_eq!(
        refused(&topology, Change::DeclareQueue(queue("x"))),
        inequivalent(Kind::Queue, Field::AutoDelete, "false", "true")
    );
    let mut topology = fresh();
    make(&mut topology, &[Change::DeclareQueue(implicit)]);
    let exclusive = QueueSpec {
        owner: Some(S1),
        ..queue("x")
    };
    assert_eq!(
        refused(&topology, Change::DeclareQueue(exclusive)),
        Refusal::Locked { name: "x".into() }
    );
}

#[test]
fn an_exclusive_queue_is_volatile_and_its_sessions_own() {
    let mut topology = fresh();
    let mine = QueueSpec {
        owner: Some(S1),
        ..queue("x")
    };
    make(&mut topology, &[Change::DeclareQueue(mine.clone())]);
    let id = topology.queue("x").unwrap().id;
    assert_eq!(id.durability(), Durability::Volatile);
    // Asked for as durable again, it is still the same.
    let again = run(&mut topology, &Change::DeclareQueue(mine));
    assert_eq!(again, Ok(Answer::QueueDeclared { id, created: false }));
    for owner in [None, Some(S2)] {
        let change = Change::DeclareQueue(QueueSpec {
            owner,
            ..queue("x")
        });
        assert_eq!(
            refused(&topology, change),
            Refusal::Locked { name: "x".into() }
        );
    }
    let used = QueueSpec {
        implicit: true,
        ..queue("x")
    };
    let used = run(&mut topology, &Change::DeclareQueue(used));
    assert_eq!(used, Ok(Answer::QueueDeclared { id, created: false }));
}

#[test]
fn a_queue_may_be_born_bound() {
    for implicit in [false, true] {
        let mut topology = fresh();
        let spec = QueueSpec {
            implicit,
            ..queue("born.a.*")
        };
        let plan = topology.plan(&Change::DeclareQueue(spec)).unwrap();
        assert_eq!(plan.facts.len(), 2);
        plan.facts.iter().for_each(|fact| topology.apply(fact));
        assert_eq!(
            *reached(&topology, "topics", &["a.b"], &()),
            ["born.a.*".into()]
        );
        assert_eq!(
            topology.bindings().next().unwrap().durability,
            Durability::Durable
        );
        check_consistent(&topology);
    }
    let mut unbound = Topology::new(&reserved()[..1], birth, Limits::default());
    make(&mut unbound, &[Change::DeclareQueue(queue("born.a"))]);
    assert_eq!((unbound.queue_count(), unbound.binding_count()), (1, 0));
}
