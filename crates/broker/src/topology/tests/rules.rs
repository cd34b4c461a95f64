//! One test for each rule of planning.

use super::*;
use crate::refusal::{Field, Kind};

fn refused(topology: &Topology, change: Change) -> Refusal {
    topology
        .plan(&change)
        .expect_err(&format!("{change:?} is refused"))
}

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
    let plan = topology.plan(&Change::EndSession(S1)).unwrap();
    assert!(
        plan.facts
            .iter()
            .all(|fact| fact.durability() == Durability::Volatile)
    );
    assert_eq!(plan.facts.len(), 3);
    assert_eq!(
        run(&mut topology, &Change::EndSession(S1)),
        Ok(Answer::Ended)
    );
    let left: Vec<_> = topology.queues().map(|queue| &*queue.spec.name).collect();
    assert_eq!(left, ["q3"]);
    assert_eq!((topology.address_count(), topology.binding_count()), (2, 0));
    assert_eq!(topology.plan(&Change::EndSession(S1)).unwrap().facts, []);
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
