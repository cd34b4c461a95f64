//! Random changes and messages, against models too simple to be wrong.

use std::collections::BTreeSet;

use super::*;

const WORDS: [&str; 5] = ["a", "b", "", "*", "#"];

fn text(dice: &mut Dice, words: &[&str], length_max: usize) -> String {
    let length = dice.roll(length_max + 1);
    (0..length)
        .map(|_| words[dice.roll(words.len())])
        .collect::<Vec<_>>()
        .join(".")
}

/// The definition, word by word.
fn fits(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern.split_first(), key.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"#", rest)), None) => fits(rest, key),
        (Some((&"#", rest)), Some((_, others))) => fits(rest, key) || fits(pattern, others),
        (Some(_), None) => false,
        (Some((part, rest)), Some((word, others))) => {
            (*part == "*" || part == word) && fits(rest, others)
        }
    }
}

fn split(text: &str) -> Vec<&str> {
    if text.is_empty() {
        Vec::new()
    } else {
        text.split('.').collect()
    }
}

#[test]
fn patterns_agree_with_their_definition() {
    let mut dice = Dice(1);
    let mut hits = 0;
    for _ in 0..20_000 {
        let (pattern, key) = (text(&mut dice, &WORDS, 6), text(&mut dice, &WORDS[..3], 6));
        let expected = fits(&split(&pattern), &split(&key));
        assert_eq!(
            Pattern::new(&*pattern).matches(&key),
            expected,
            "{pattern} on {key}"
        );
        hits += usize::from(expected);
    }
    assert!((2_000..18_000).contains(&hits), "{hits}");
}

/// Every rule of routing, by looking at every binding.
fn naive(topology: &Topology, start: &str, keys: &[&str], properties: &dyn Properties) -> Found {
    let mut found = Found::default();
    let mut pending = vec![Arc::clone(topology.address(start).unwrap())];
    let mut visited = BTreeSet::new();
    while let Some(address) = pending.pop() {
        if !visited.insert(address.id) {
            continue;
        }
        let mut taken = false;
        for binding in topology
            .bindings()
            .filter(|other| other.spec.source == address.id)
        {
            let fits = keys.iter().any(|key| match address.spec.router {
                Router::Direct => *binding.spec.key == **key,
                Router::Fanout | Router::Headers => true,
                Router::Pattern | Router::Partitioned => {
                    fits(&split(&binding.spec.key), &split(key))
                }
            });
            let filter = &binding.spec.filter;
            if fits
                && filter
                    .as_ref()
                    .is_none_or(|filter| filter.matches(properties))
            {
                taken = true;
                match binding.spec.target {
                    Target::Queue(id) => {
                        found.queues.insert(id);
                    }
                    Target::Address(id) => {
                        pending.push(Arc::clone(topology.address_by_id(id).unwrap()));
                    }
                }
            }
        }
        if address.spec.router == Router::Partitioned {
            taken = true;
            found.partitioned.insert(address.id);
        }
        if let (false, Some(name)) = (taken, &address.spec.alternate) {
            pending.extend(topology.address(name).cloned());
        }
    }
    found
}

#[derive(Default)]
struct Found {
    queues: BTreeSet<QueueId>,
    partitioned: BTreeSet<AddressId>,
}

fn change(dice: &mut Dice) -> Change {
    let name = |dice: &mut Dice| format!("n{}", dice.roll(8));
    let target = |dice: &mut Dice| {
        if dice.roll(3) == 0 {
            to_address(&name(dice))
        } else {
            to_queue(&name(dice))
        }
    };
    let owner = [None, None, Some(S1), Some(S2)][dice.roll(4)];
    let durability = [Durability::Durable, Durability::Volatile][dice.roll(2)];
    match dice.roll(20) {
        0..=2 => {
            let routers = [
                Router::Direct,
                Router::Fanout,
                Router::Pattern,
                Router::Headers,
            ];
            let router = routers[dice.roll(4)];
            Change::DeclareAddress(AddressSpec {
                durability,
                auto_delete: dice.roll(4) == 0,
                alternate: (dice.roll(2) == 0).then(|| name(dice).into()),
                owner,
                ..address(&name(dice), router)
            })
        }
        3 => {
            let parted = Some(partitions(dice.roll(4) as u32 + 1));
            let spec = address(&name(dice), Router::Partitioned);
            Change::SetPartitions(AddressSpec {
                partitions: parted,
                ..spec
            })
        }
        4..=6 => {
            let implicit = dice.roll(2) == 0;
            Change::DeclareQueue(QueueSpec {
                durability,
                owner,
                implicit,
                ..queue(&name(dice))
            })
        }
        7 => delete_queue(&name(dice)),
        8 => delete_address(&name(dice)),
        9 if dice.roll(4) == 0 => end_session([S1, S2][dice.roll(2)]),
        10..=12 => unbind(&name(dice), target(dice), &text(dice, &WORDS, 3)),
        _ => {
            let filter = (dice.roll(3) == 0).then(|| not_coloured(["red", "blue"][dice.roll(2)]));
            let arguments = [dice.roll(2) as u8].into();
            let key = text(dice, &WORDS, 3).into();
            Change::Bind {
                source: name(dice).into(),
                target: target(dice),
                key,
                filter,
                arguments,
            }
        }
    }
}

#[test]
fn random_topologies_route_like_the_model() {
    let mut dice = Dice(7);
    let (mut reached, mut cached) = (0, 0);
    let mut cache = RouteCache::new();
    let mut route = Route::default();
    let mut topology = fresh();
    for round in 0..3_000 {
        let change = change(&mut dice);
        let before = topology.clone();
        let bindings = before.binding_count();
        let _refused_or_done = run(&mut topology, &change);
        assert_eq!(before.binding_count(), bindings);
        if round % 10 == 0 {
            check_consistent(&topology);
        }
        let names: Vec<Arc<str>> = topology
            .addresses()
            .map(|address| Arc::clone(&address.spec.name))
            .collect();
        for name in names.iter().filter(|name| !name.is_empty()) {
            let keys = [
                text(&mut dice, &WORDS[..3], 3),
                text(&mut dice, &WORDS[..3], 3),
            ];
            let keys: Vec<&str> = keys[..1 + dice.roll(2)].iter().map(|key| &**key).collect();
            let properties = Coloured(["red", "blue", "green"][dice.roll(3)]);
            let expected = naive(&topology, name, &keys, &properties);
            let address = topology.address(name).unwrap();
            topology.route(address, &keys, &properties, &mut route);
            assert!(
                route.queues.iter().eq(&expected.queues),
                "{name} {keys:?} in {round}"
            );
            let parted: BTreeSet<AddressId> = route.partitioned.iter().copied().collect();
            assert_eq!(parted, expected.partitioned);
            assert_eq!(parted.len(), route.partitioned.len());
            let shared = cache.route_keys(&topology, address, &keys, &properties);
            assert_eq!(*shared.queues, *route.queues);
            assert_eq!(*shared.partitioned, *route.partitioned);
            reached += route.queues.len();
            cached += usize::from(!route.depends_on_properties);
        }
    }
    assert!(reached > 2_000 && cached > 1_000, "{reached} {cached}");
}

/// The durable facts alone, replayed, and a checkpoint, give the same durable part.
#[test]
fn a_replay_equals_the_live_topology() {
    let mut dice = Dice(99);
    let (mut live, mut replayed) = (fresh(), fresh());
    let (mut durable_bindings, mut volatile_queues) = (0, 0);
    for round in 0..5_000 {
        let Ok(plan) = live.plan(&change(&mut dice)) else {
            continue;
        };
        for fact in &plan.facts {
            live.apply(fact);
            if fact.durability() == Durability::Durable {
                let mut bytes = Vec::new();
                fact.encode(&mut bytes);
                let decoded = TopologyFact::decode(&bytes).unwrap();
                assert_eq!(decoded, *fact);
                replayed.apply(&decoded);
            }
        }
        if round % 20 == 0 {
            check_replayed(&live, &replayed);
            durable_bindings += replayed.binding_count();
            volatile_queues += live.queue_count() - replayed.queue_count();
        }
    }
    assert!(durable_bindings > 100 && volatile_queues > 100);
}

fn check_replayed(live: &Topology, replayed: &Topology) {
    let checkpoint = |topology: &Topology| {
        let mut bytes = Vec::new();
        topology.encode_checkpoint(&mut bytes);
        bytes
    };
    check_consistent(replayed);
    let mut replayed = replayed.clone();
    replayed.counters = live.counters;
    assert_eq!(checkpoint(&replayed), checkpoint(live));
    let bytes = checkpoint(live);
    let restored = Topology::decode_checkpoint(&bytes, &reserved(), birth, Limits::default());
    let restored = restored.unwrap();
    check_consistent(&restored);
    assert_eq!(checkpoint(&restored), bytes);
    assert_eq!(restored.counters, live.counters);
}
