//! One test for each rule of routing.

use super::*;

#[test]
fn each_router_finds_its_targets() {
    let mut topology = fresh();
    make(
        &mut topology,
        &["q1", "q2", "q3"].map(|name| Change::DeclareQueue(queue(name))),
    );
    for router in [
        Router::Direct,
        Router::Fanout,
        Router::Pattern,
        Router::Headers,
    ] {
        make(
            &mut topology,
            &[Change::DeclareAddress(address(router.name(), router))],
        );
    }
    let headers = Change::Bind {
        source: "headers".into(),
        target: to_queue("q1"),
        key: "".into(),
        filter: Some(not_coloured("red")),
        arguments: [].into(),
    };
    make(
        &mut topology,
        &[
            bind("direct", to_queue("q1"), "a"),
            bind("direct", to_queue("q2"), "a"),
            bind("direct", to_queue("q3"), "b"),
            bind("fanout", to_queue("q1"), "a"),
            bind("fanout", to_queue("q1"), "b"),
            bind("fanout", to_queue("q3"), ""),
            bind("pattern", to_queue("q1"), "a.*"),
            bind("pattern", to_queue("q2"), "a.#"),
            bind("pattern", to_queue("q3"), "#.c"),
            headers,
            Change::SetPartitions(address("parted", Router::Partitioned)),
            bind("parted", to_queue("q2"), "#"),
            bind("parted", to_queue("q3"), "tag"),
            bind("direct", to_address("parted"), "p"),
        ],
    );
    let red: &dyn Properties = &Coloured("red");
    let blue: &dyn Properties = &Coloured("blue");
    for (name, keys, properties, found) in [
        ("", &["q2"][..], red, &["q2"][..]),
        ("", &["q2", "q1", "q2", "no"], red, &["q1", "q2"]),
        ("direct", &["a"], red, &["q1", "q2"]),
        ("direct", &["a", "b", "a"], red, &["q1", "q2", "q3"]),
        ("direct", &["a.b"], red, &[]),
        ("fanout", &["whatever"], red, &["q1", "q3"]),
        ("pattern", &["a.b"], red, &["q1", "q2"]),
        ("pattern", &["a"], red, &["q2"]),
        ("pattern", &["x", "c"], red, &["q3"]),
        ("headers", &["x"], red, &[]),
        ("headers", &["x"], blue, &["q1"]),
        ("parted", &[""], red, &["q2", "parted"]),
        ("parted", &["tag"], red, &["q2", "q3", "parted"]),
        ("direct", &["p"], red, &["q2", "parted"]),
    ] {
        let reached = reached(&topology, name, keys, properties);
        assert_eq!(
            reached.iter().map(|name| &**name).collect::<Vec<_>>(),
            found,
            "{name} {keys:?}"
        );
    }
}

#[test]
fn an_alternate_takes_what_nobody_wants() {
    let mut topology = fresh();
    let with = |name, alternate: &str| {
        let alternate = Some(alternate.into());
        Change::DeclareAddress(AddressSpec {
            alternate,
            ..address(name, Router::Direct)
        })
    };
    make(
        &mut topology,
        &[
            Change::DeclareQueue(queue("q")),
            Change::DeclareQueue(queue("last")),
            with("first", "second"),
            with("second", "third"),
            with("third", "first"),
            with("lost", "missing"),
            bind("first", to_queue("q"), "k"),
            bind("first", to_address("second"), "empty"),
        ],
    );
    let names = |topology: &Topology, name, key| {
        reached(topology, name, &[key], &())
            .iter()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&topology, "first", "k"), ["q"]);
    // From the second to the third and round to the first, which wants the key.
    assert_eq!(names(&topology, "second", "k"), ["q"]);
    assert_eq!(names(&topology, "first", "none"), [""; 0]);
    assert_eq!(names(&topology, "lost", "k"), [""; 0]);
    make(&mut topology, &[bind("third", to_queue("last"), "none")]);
    assert_eq!(names(&topology, "first", "none"), ["last"]);
    // A binding took it, even though it led nowhere: the next one's alternate is asked then.
    make(&mut topology, &[bind("third", to_queue("last"), "empty")]);
    assert_eq!(names(&topology, "first", "empty"), ["last"]);
}

#[test]
fn a_cache_holds_for_one_version_and_not_for_filters() {
    let mut topology = fresh();
    let filtered = |colour| Change::Bind {
        source: "topics".into(),
        target: to_queue("r"),
        key: "filtered".into(),
        filter: Some(not_coloured(colour)),
        arguments: [].into(),
    };
    make(
        &mut topology,
        &[
            Change::DeclareQueue(queue("q")),
            Change::DeclareQueue(queue("r")),
            bind("topics", to_queue("q"), "k"),
            filtered("red"),
        ],
    );
    let mut cache = RouteCache::new();
    let topics = |topology: &Topology| Arc::clone(topology.address("topics").unwrap());
    let first = cache.route(&topology, &topics(&topology), "k", &());
    let again = cache.route(&topology, &topics(&topology), "k", &());
    assert_eq!(*first.queues, [topology.queue("q").unwrap().id]);
    assert!(Arc::ptr_eq(&first.queues, &again.queues));
    let mut count = |topology: &Topology, key, colour| {
        cache
            .route(topology, &topics(topology), key, &Coloured(colour))
            .queues
            .len()
    };
    assert_eq!(count(&topology, "filtered", "red"), 0);
    assert_eq!(count(&topology, "filtered", "blue"), 1);
    assert_eq!(count(&topology, "filtered", "red"), 0);
    assert_eq!(count(&topology, "k", "red"), 1);
    make(&mut topology, &[bind("topics", to_queue("r"), "k")]);
    assert_eq!(count(&topology, "k", "red"), 2);
    make(&mut topology, &[delete_queue("r"), delete_queue("q")]);
    assert_eq!(count(&topology, "k", "red"), 0);
}

#[test]
fn snapshots_may_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Topology>();
    shared::<Route>();
    shared::<RouteCache>();
    shared::<Address>();
}
