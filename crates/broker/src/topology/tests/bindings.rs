//! The rules of planning for bindings.

use super::*;
use crate::refusal::Kind;

#[test]
fn binding_needs_both_ends_and_is_idempotent() {
    let mut topology = fresh();
    make(&mut topology, &[Change::DeclareQueue(queue("q"))]);
    let missing = |kind| Refusal::NotFound {
        kind,
        name: "no".into(),
    };
    for (change, kind) in [
        (bind("no", to_queue("q"), "k"), Kind::Address),
        (bind("topics", to_queue("no"), "k"), Kind::Queue),
        (bind("topics", to_address("no"), "k"), Kind::Address),
    ] {
        assert_eq!(refused(&topology, change), missing(kind));
    }
    let bound = |created| {
        Ok(Answer::Bound {
            id: BindingId(1),
            created,
        })
    };
    assert_eq!(
        run(&mut topology, &bind("topics", to_queue("q"), "k")),
        bound(true)
    );
    assert_eq!(
        run(&mut topology, &bind("topics", to_queue("q"), "k")),
        bound(false)
    );
    assert_eq!(topology.binding_count(), 1);
    for (source, target, key, existed) in [
        ("no", "q", "k", false),
        ("topics", "no", "k", false),
        ("topics", "q", "other", false),
        ("topics", "q", "k", true),
        ("topics", "q", "k", false),
    ] {
        let answer = run(&mut topology, &unbind(source, to_queue(target), key));
        assert_eq!(answer, Ok(Answer::Unbound { existed }));
    }
    check_consistent(&topology);
}

#[test]
fn arguments_tell_bindings_apart_and_a_new_filter_replaces() {
    let mut topology = fresh();
    make(&mut topology, &[Change::DeclareQueue(queue("q"))]);
    let with = |filter: Option<Arc<Predicate>>, arguments: &[u8]| Change::Bind {
        source: "topics".into(),
        target: to_queue("q"),
        key: "k".into(),
        filter,
        arguments: arguments.into(),
    };
    make(
        &mut topology,
        &[with(None, b"a"), with(Some(not_coloured("red")), b"b")],
    );
    assert_eq!(topology.binding_count(), 2);
    make(
        &mut topology,
        &[
            with(Some(not_coloured("red")), b"a"),
            with(Some(not_coloured("blue")), b"b"),
        ],
    );
    assert_eq!(topology.binding_count(), 2);
    let found = |colour| reached(&topology, "topics", &["k"], &Coloured(colour)).len();
    assert_eq!((found("red"), found("blue"), found("green")), (1, 1, 1));
    make(&mut topology, &[with(Some(not_coloured("red")), b"b")]);
    assert_eq!(
        reached(&topology, "topics", &["k"], &Coloured("red")).len(),
        0
    );
    check_consistent(&topology);
}

#[test]
fn a_binding_lasts_as_long_as_the_lesser_of_its_ends() {
    use Durability::*;
    for (source, target, lesser) in [
        (Durable, Durable, Durable),
        (Durable, Volatile, Volatile),
        (Volatile, Durable, Volatile),
        (Volatile, Volatile, Volatile),
    ] {
        let mut topology = fresh();
        let ends = [
            Change::DeclareAddress(AddressSpec {
                durability: source,
                ..address("a", Router::Direct)
            }),
            Change::DeclareQueue(QueueSpec {
                durability: target,
                ..queue("q")
            }),
        ];
        make(&mut topology, &ends);
        let plan = topology.plan(&bind("a", to_queue("q"), "k")).unwrap();
        assert_eq!(plan.facts[0].durability(), lesser);
    }
}
