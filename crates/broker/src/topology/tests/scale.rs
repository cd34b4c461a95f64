//! A hundred thousand bindings on one address: what is looked at, counted, not timed.

use super::*;

const COUNT: usize = 100_000;

/// Many bindings to one queue, applied as facts.
fn bound(router: Router, key: impl Fn(usize) -> String) -> Topology {
    let mut topology = fresh();
    make(
        &mut topology,
        &[
            Change::DeclareAddress(address("x", router)),
            Change::DeclareQueue(queue("q")),
        ],
    );
    let (source, target) = (
        topology.address("x").unwrap().id,
        Target::Queue(topology.queue("q").unwrap().id),
    );
    for number in 0..COUNT {
        let key = key(number).into();
        let arguments: Arc<[u8]> = [].into();
        let id = BindingId(number as u64 + 1);
        let binding = BindingSpec {
            source,
            target,
            key,
            filter: None,
            arguments,
        };
        topology.apply(&TopologyFact::Bound {
            id,
            binding,
            durability: Durability::Durable,
        });
    }
    assert_eq!(topology.binding_count(), COUNT);
    topology
}

fn steps(topology: &Topology, key: &str) -> (usize, u64) {
    let mut route = Route::default();
    topology.route(topology.address("x").unwrap(), &[key], &(), &mut route);
    (route.queues.len(), route.steps)
}

#[test]
fn direct_looks_at_one_key() {
    let topology = bound(Router::Direct, |number| format!("k{number}"));
    assert_eq!(steps(&topology, "k777"), (1, 2));
    assert_eq!(steps(&topology, "none"), (0, 1));
}

#[test]
fn patterns_look_at_what_the_key_reaches() {
    let topology = bound(Router::Pattern, |number| match number % 4 {
        0 => format!("site.{number}.*"),
        1 => format!("site.{number}.#"),
        2 => format!("*.{number}.up"),
        _ => format!("site.{number}.#.up"),
    });
    for (key, reached) in [
        ("site.4.up", 1),
        ("site.5", 1),
        ("x.6.up", 1),
        ("site.7.a.b.up", 1),
        ("none.1.x", 0),
    ] {
        let (queues, steps) = steps(&topology, key);
        assert_eq!(queues, reached, "{key}");
        assert!(steps <= 12, "{steps} steps for {key}");
    }
}

#[test]
fn hostile_patterns_do_not_explode() {
    let mut topology = fresh();
    make(
        &mut topology,
        &[
            Change::DeclareAddress(address("x", Router::Pattern)),
            Change::DeclareQueue(queue("q")),
        ],
    );
    // Every way to write a, one or many on ten places: the deepest patterns have ten manys.
    let mut dice = Dice(3);
    for _ in 0..2_000 {
        let words: Vec<&str> = (0..20).map(|_| ["a", "*", "#"][dice.roll(3)]).collect();
        make(&mut topology, &[bind("x", to_queue("q"), &words.join("."))]);
    }
    make(
        &mut topology,
        &[bind("x", to_queue("q"), &("#.a.".repeat(60) + "b"))],
    );
    let key = vec!["a"; 120].join(".");
    let (queues, steps) = steps(&topology, &key);
    assert_eq!(queues, 1);
    // At most once for each place of the tree and each word: places are at most 2,000 · 20 + 121.
    assert!(steps <= 41_000 * 121, "{steps}");
    let single = Pattern::new(&*("#.a.".repeat(60) + "b"));
    assert!(!single.matches(&key));
}

#[test]
fn one_change_leaves_the_rest_shared() {
    let mut topology = bound(Router::Pattern, |number| format!("k.{number}"));
    let snapshot = topology.clone();
    make(
        &mut topology,
        &[
            bind("x", to_queue("q"), "k.new"),
            unbind("x", to_queue("q"), "k.5"),
        ],
    );
    assert_eq!(steps(&topology, "k.new").0, 1);
    assert_eq!(steps(&snapshot, "k.new").0, 0);
    assert_eq!(steps(&topology, "k.5").0, 0);
    assert_eq!(steps(&snapshot, "k.5").0, 1);
    // Each binding itself is held once, by both versions.
    let same = snapshot
        .bindings()
        .filter(|old| {
            topology
                .binding(old.id)
                .is_some_and(|new| Arc::ptr_eq(old, new))
        })
        .count();
    assert_eq!(same, COUNT - 1);
}

#[test]
fn a_full_cache_starts_again() {
    let topology = bound(Router::Direct, |number| format!("k{number}"));
    let address = topology.address("x").unwrap();
    let mut cache = RouteCache::new();
    let routes = RouteCache::BYTES_MAX / 128 + 1_000;
    for number in 0..routes {
        let key = format!("k{number}");
        let found = cache.route(&topology, address, &key, &()).queues.len();
        assert_eq!(found, usize::from(number < COUNT));
        assert!(cache.bytes() <= RouteCache::BYTES_MAX);
    }
    assert!(
        cache.bytes() < RouteCache::BYTES_MAX / 2,
        "it was emptied on the way"
    );
}
