//! The rules of planning that are about everything: names, ids, limits, what goes with what.

use super::*;
use crate::refusal::Kind;

#[test]
fn reserved_addresses_are_known_and_stay() {
    let mut topology = fresh();
    assert_eq!(topology.address("").unwrap().id, AddressId(1));
    assert_eq!(topology.address("topics").unwrap().id, AddressId(2));
    let named = |name: &str| Refusal::Reserved {
        kind: Kind::Address,
        name: name.into(),
    };
    make(&mut topology, &[Change::DeclareQueue(queue("q"))]);
    for (change, name) in [
        (delete_address("topics"), "topics"),
        (delete_address(""), ""),
        (Change::DeclareAddress(address("", Router::Direct)), ""),
        (bind("", to_queue("q"), "q"), ""),
        (unbind("", to_queue("q"), "q"), ""),
        (bind("topics", to_address(""), "q"), ""),
    ] {
        assert_eq!(refused(&topology, change), named(name));
    }
    let again = Change::DeclareAddress(address("topics", Router::Pattern));
    let id = AddressId(2);
    assert_eq!(
        run(&mut topology, &again),
        Ok(Answer::AddressDeclared { id, created: false })
    );
}

#[test]
fn ids_are_never_used_again() {
    let mut topology = fresh();
    let declare = Change::DeclareQueue(queue("q"));
    let first = run(&mut topology, &declare).unwrap();
    make(&mut topology, &[delete_queue("q")]);
    let second = run(&mut topology, &declare).unwrap();
    assert_eq!(
        first,
        Answer::QueueDeclared {
            id: QueueId(2),
            created: true
        }
    );
    assert_eq!(
        second,
        Answer::QueueDeclared {
            id: QueueId(4),
            created: true
        }
    );
    let declare = Change::DeclareAddress(address("x", Router::Fanout));
    let created = |id| {
        Ok(Answer::AddressDeclared {
            id: AddressId(id),
            created: true,
        })
    };
    assert_eq!(run(&mut topology, &declare), created(1024));
    make(&mut topology, &[delete_address("x")]);
    assert_eq!(run(&mut topology, &declare), created(1025));
}

#[test]
fn deleting_takes_the_bindings_along() {
    let mut topology = fresh();
    make(
        &mut topology,
        &[
            Change::DeclareAddress(address("a", Router::Direct)),
            Change::DeclareAddress(address("b", Router::Pattern)),
            Change::DeclareQueue(queue("q")),
            bind("a", to_queue("q"), "k"),
            bind("a", to_address("b"), "k"),
            bind("b", to_queue("q"), "#"),
            bind("topics", to_address("a"), "#"),
        ],
    );
    let unused = Change::DeleteAddress {
        name: "a".into(),
        condition: Unused::Required,
    };
    assert_eq!(
        refused(&topology, unused),
        Refusal::InUse {
            kind: Kind::Address,
            name: "a".into()
        }
    );
    let before = topology.clone();
    let deleted = |existed| Ok(Answer::Deleted { existed });
    assert_eq!(run(&mut topology, &delete_address("a")), deleted(true));
    assert_eq!(topology.binding_count(), 1);
    check_consistent(&topology);
    assert_eq!(run(&mut topology, &delete_queue("q")), deleted(true));
    assert_eq!(topology.binding_count(), 0);
    check_consistent(&topology);
    assert_eq!(run(&mut topology, &delete_address("a")), deleted(false));
    assert_eq!(run(&mut topology, &delete_queue("q")), deleted(false));
    let unused = Change::DeleteAddress {
        name: "b".into(),
        condition: Unused::Required,
    };
    assert_eq!(run(&mut topology, &unused), deleted(true));
    // The snapshot has seen nothing of it.
    assert_eq!(before.binding_count(), 4);
    assert_eq!(*reached(&before, "topics", &["k"], &()), ["q".into()]);
    check_consistent(&before);
}

#[test]
fn a_session_takes_along_what_it_owns() {
    let mut topology = fresh();
    let owned = |name, owner| {
        Change::DeclareQueue(QueueSpec {
            owner: Some(owner),
            ..queue(name)
        })
    };
    let temporary = AddressSpec {
        owner: Some(S1),
        auto_delete: true,
        ..address("t", Router::Fanout)
    };
    make(
        &mut topology,
        &[
            owned("q1", S1),
            owned("q2", S1),
            owned("q3", S2),
            Change::DeclareAddress(temporary),
            bind("t", to_queue("q1"), ""),
            bind("topics", to_queue("q2"), "#"),
        ],
    );
    assert_eq!(
        topology.address("t").unwrap().spec.durability,
        Durability::Volatile
    );
    let plan = topology.plan(&end_session(S1)).unwrap();
    assert!(
        plan.facts
            .iter()
            .all(|fact| fact.durability() == Durability::Volatile)
    );
    assert_eq!(plan.facts.len(), 3);
    assert_eq!(run(&mut topology, &end_session(S1)), Ok(Answer::Ended));
    let left: Vec<_> = topology.queues().map(|queue| &*queue.spec.name).collect();
    assert_eq!(left, ["q3"]);
    assert_eq!((topology.address_count(), topology.binding_count()), (2, 0));
    assert_eq!(topology.plan(&end_session(S1)).unwrap().facts, []);
    check_consistent(&topology);
}

#[test]
fn groups_and_users_are_set_and_deleted() {
    let mut topology = fresh();
    let group = |config: &[u8]| {
        Change::SetGroup(GroupSpec {
            name: "g".into(),
            config: config.into(),
        })
    };
    let set = |created| {
        Ok(Answer::GroupSet {
            id: GroupId(1),
            created,
        })
    };
    assert_eq!(run(&mut topology, &group(b"1")), set(true));
    assert_eq!(topology.plan(&group(b"1")).unwrap().facts, []);
    assert_eq!(run(&mut topology, &group(b"2")), set(false));
    assert_eq!(&*topology.group("g").unwrap().spec.config, b"2");
    let delete = Change::DeleteGroup { name: "g".into() };
    for existed in [true, false] {
        assert_eq!(run(&mut topology, &delete), Ok(Answer::Deleted { existed }));
    }
    let user = |hash: &str| {
        Change::SetUser(UserSpec {
            name: "u".into(),
            password_hash: hash.into(),
            tags: vec!["t".into()],
            loopback_only: true,
        })
    };
    let set = |created| Ok(Answer::UserSet { created });
    assert_eq!(run(&mut topology, &user("a")), set(true));
    assert_eq!(topology.plan(&user("a")).unwrap().facts, []);
    assert_eq!(run(&mut topology, &user("b")), set(false));
    assert_eq!(&*topology.user("u").unwrap().password_hash, "b");
    let delete = Change::DeleteUser { name: "u".into() };
    for existed in [true, false] {
        assert_eq!(run(&mut topology, &delete), Ok(Answer::Deleted { existed }));
    }
}

#[test]
fn limits_are_refusals() {
    let limits = Limits {
        addresses: 3,
        queues: 1,
        bindings: 1,
        groups: 1,
        users: 1,
        name_bytes: 4,
    };
    let mut topology = Topology::new(
        &[address("a", Router::Fanout), address("b", Router::Fanout)],
        birth,
        limits,
    );
    let over = |limit, max| Refusal::LimitReached { limit, max };
    let group = |name: &str| {
        Change::SetGroup(GroupSpec {
            name: name.into(),
            config: [].into(),
        })
    };
    let user = |name: &str| {
        Change::SetUser(UserSpec {
            name: name.into(),
            password_hash: "".into(),
            tags: vec![],
            loopback_only: false,
        })
    };
    make(
        &mut topology,
        &[
            Change::DeclareAddress(address("c", Router::Fanout)),
            Change::DeclareQueue(queue("q")),
            bind("a", to_queue("q"), "k"),
            group("g"),
            user("u"),
        ],
    );
    for (change, refusal) in [
        (
            Change::DeclareAddress(address("d", Router::Fanout)),
            over("addresses", 3),
        ),
        (Change::DeclareQueue(queue("r")), over("queues", 1)),
        (bind("a", to_queue("q"), "l"), over("bindings", 1)),
        (group("h"), over("groups", 1)),
        (user("v"), over("users", 1)),
        (Change::DeclareQueue(queue("abcde")), over("name-bytes", 4)),
        (bind("a", to_queue("q"), "abcde"), over("name-bytes", 4)),
    ] {
        assert_eq!(refused(&topology, change), refusal);
    }
    // What exists may be declared again.
    make(
        &mut topology,
        &[Change::DeclareQueue(queue("q")), group("g"), user("u")],
    );
}
