//! Topics, subscriptions, temporary destinations and advisories.

use openwire::*;

use crate::openwire_client::{Client, doors, queue, topic, world};

fn temp(name: &str) -> Destination {
    Destination::new(DestinationKind::TempQueue, name)
}

#[test]
fn topics_reach_who_listens_with_wildcards() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    for (value, name) in [
        (1, "a.b"),
        (2, "a.*"),
        (3, "a.>"),
        (4, "a.b.c"),
        (5, "x,a.b"),
    ] {
        assert_eq!(
            client.consume(&mut world, value, topic(name), 10).len(),
            1,
            "{name}"
        );
    }
    let mut reach = |name: &str| {
        let mut heard = client.send(&mut world, topic(name), "m");
        heard.retain(|line| line.starts_with("Dispatch"));
        let mut found: Vec<_> = heard
            .iter()
            .map(|line| {
                assert!(line.ends_with(&format!("topic://{name} m")), "{line}");
                line["Dispatch ".len()..]
                    .split(' ')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        found.sort();
        found.join("")
    };
    for (name, reached) in [
        ("a.b", "1235"),
        ("a", "3"),
        ("a.b.c", "34"),
        ("x", "5"),
        ("a.c", "23"),
        ("b", ""),
    ] {
        assert_eq!(reach(name), reached, "{name}");
    }
}

#[test]
fn selector_and_no_local_filter_a_topic() {
    let mut world = world();
    let mut one = Client::open(&mut world, "ID:1");
    let mut two = Client::open(&mut world, "ID:2");
    let mut info = one.consumer(1, topic("t"), 10);
    info.selector = Some("JMSType = 'news'".into());
    info.no_local = true;
    assert_eq!(
        one.ask(&mut world, Command::ConsumerInfo(info)),
        ["Response 3"]
    );
    for client in [&mut one, &mut two] {
        for kind in ["news", "noise"] {
            let mut message = client.text(topic("t"), kind);
            message.message_type = Some(kind.into());
            message.persistent = false;
            client.say(&mut world, [Command::Message(message)]);
        }
    }
    assert_eq!(
        one.hear(&mut world),
        ["Dispatch 1 topic://t news"],
        "only what the other sent"
    );
}

#[test]
fn a_window_of_a_topic_opens_with_any_acknowledgement() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    assert_eq!(client.consume(&mut world, 1, topic("t"), 2), ["Response 3"]);
    for number in 0..6 {
        client.send(&mut world, topic("t"), &number.to_string());
    }
    assert_eq!(client.given.len(), 2);
    let mut ack = client.ack(AckType::Delivered, 0, 0);
    client.say(&mut world, [Command::MessageAck(ack.clone())]);
    assert_eq!(client.hear(&mut world), ["Dispatch 1 topic://t 2"]);
    ack.ack_type = AckType::Standard.to_wire();
    ack.message_count = 3;
    ack.first_message_id = None;
    client.say(&mut world, [Command::MessageAck(ack)]);
    assert_eq!(
        client.hear(&mut world),
        ["Dispatch 1 topic://t 3", "Dispatch 1 topic://t 4"]
    );
}

#[test]
fn a_durable_subscription_collects_while_its_client_is_away() {
    let mut world = world();
    let mut sender = Client::open(&mut world, "ID:s");
    let mut client = Client::open(&mut world, "ID:1");
    let mut info = client.consumer(1, topic("a.*"), 100);
    info.subscription_name = Some("sub.1".into());
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(info.clone())),
        ["Response 3"]
    );
    assert_eq!(sender.send(&mut world, topic("a.b"), "m1"), ["Response 3"]);
    assert_eq!(client.hear(&mut world), ["Dispatch 1 topic://a.b m1"]);
    let mut second = info.clone();
    second.consumer_id = Some(client.consumer_id(2));
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(second)),
        [
            "ExceptionResponse 4 JMSException: Durable consumer is in use for client: client-ID:1 \
          and subscriptionName: sub.1"
        ]
    );
    let unsubscribe = || {
        Command::RemoveSubscriptionInfo(RemoveSubscriptionInfo {
            subscription_name: Some("sub.1".into()),
            ..RemoveSubscriptionInfo::default()
        })
    };
    assert_eq!(
        client.ask(&mut world, unsubscribe()),
        ["ExceptionResponse 5 JMSException: Durable consumer is in use"]
    );
    world.hang_up(client.session);
    assert_eq!(sender.send(&mut world, topic("a.c"), "m2"), ["Response 4"]);
    world.crash(doors());

    let mut client = Client::open(&mut world, "ID:1");
    // After a crash everything below the offered mark counts as handed out.
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(info.clone())),
        [
            "Response 3",
            "Dispatch 1 topic://a.b m1 again=1",
            "Dispatch 1 topic://a.c m2 again=1"
        ]
    );
    let ack = client.ack(AckType::Standard, 0, 0);
    client.say(&mut world, [Command::MessageAck(ack)]);
    let consumer = client.consumer_id(1);
    client.say(&mut world, [client.remove(consumer.clone(), -1)]);
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(info.clone())),
        ["Response 6", "Dispatch 1 topic://a.c m2 again=1"]
    );
    // Another selector makes it another subscription: what waited is lost.
    client.say(&mut world, [client.remove(consumer.clone(), -1)]);
    info.selector = Some("a = 1".into());
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(info)),
        ["Response 8"]
    );
    client.say(&mut world, [client.remove(consumer, -1)]);
    assert_eq!(client.ask(&mut world, unsubscribe()), ["Response 10"]);
    assert_eq!(
        client.ask(&mut world, unsubscribe()),
        [
            "ExceptionResponse 11 InvalidDestinationException: No durable subscription exists for \
          clientID: client-ID:1 and subscriptionName: sub.1"
        ]
    );
}

#[test]
fn virtual_topics_copy_to_the_queues_of_their_consumers() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    let name = "Consumer.A.VirtualTopic.x";
    assert_eq!(
        client.consume(&mut world, 1, queue(name), 10),
        ["Response 3"]
    );
    assert_eq!(
        client.consume(&mut world, 2, topic("VirtualTopic.x"), 10),
        ["Response 4"]
    );
    let mut heard = client.send(&mut world, topic("VirtualTopic.x"), "m");
    heard.sort();
    assert_eq!(
        heard,
        [
            format!("Dispatch 1 queue://{name} m"),
            "Dispatch 2 topic://VirtualTopic.x m".to_owned(),
            "Response 5".to_owned(),
        ]
    );
    let copy = client
        .given
        .iter()
        .find(|given| given.consumer.value == 1)
        .unwrap();
    assert_eq!(copy.message.destination, Some(queue(name)));
    assert_eq!(
        copy.message.original_destination,
        Some(topic("VirtualTopic.x"))
    );
}

fn watch(client: &mut Client, world: &mut crate::world::World, topics: &str) -> Vec<String> {
    let mut info = client.consumer(1, topic(topics), 1000);
    info.consumer_id.as_mut().unwrap().session_id = -1;
    info.no_local = true;
    client.ask(world, Command::ConsumerInfo(info))
}

const TEMPS: &str = "ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic";

#[test]
fn everybody_hears_of_temporary_destinations() {
    let mut world = world();
    let mut creator = Client::open(&mut world, "ID:1");
    let mut other = Client::open(&mut world, "ID:2");
    assert_eq!(watch(&mut creator, &mut world, TEMPS), ["Response 3"]);
    assert_eq!(watch(&mut other, &mut world, TEMPS), ["Response 3"]);
    let added = "Dispatch 1 topic://ActiveMQ.Advisory.TempQueue add temp-queue://ID:1:1";
    let add = creator.temporary(temp("ID:1:1"), DestinationInfo::ADD);
    assert_eq!(creator.ask(&mut world, add.clone()), [added, "Response 4"]);
    assert_eq!(other.hear(&mut world), [added]);
    assert_eq!(
        creator.ask(&mut world, add),
        ["Response 5"],
        "said again, it is told once"
    );

    let mut late = Client::open(&mut world, "ID:3");
    assert_eq!(watch(&mut late, &mut world, TEMPS), [added, "Response 3"]);
    let newcomer = late.given[0].message.target_consumer_id.clone();
    assert_eq!(newcomer.map(|id| id.session_id), Some(-1));

    // Anybody sends to it, its creator alone consumes from it.
    assert_eq!(
        other.send(&mut world, temp("ID:1:1"), "reply"),
        ["Response 4"]
    );
    assert_eq!(
        other.consume(&mut world, 1, temp("ID:1:1"), 10),
        [
            "ExceptionResponse 5 InvalidDestinationException: Subscribing to a temporary queue \
          created by another connection is not permitted"
        ]
    );
    assert_eq!(
        creator.consume(&mut world, 1, temp("ID:1:1"), 10),
        ["Response 6", "Dispatch 1 temp-queue://ID:1:1 reply"]
    );
    let remove = creator.temporary(temp("ID:1:1"), DestinationInfo::REMOVE);
    let heard = creator.ask(&mut world, remove.clone());
    assert_eq!(
        heard,
        [
            "ExceptionResponse 7 JMSException: Destination: temp-queue://ID:1:1 still has an active \
          subscription"
        ]
    );
    let consumer = creator.consumer_id(1);
    creator.say(&mut world, [creator.remove(consumer, -1)]);
    let removed = "Dispatch 1 topic://ActiveMQ.Advisory.TempQueue remove temp-queue://ID:1:1";
    assert_eq!(creator.ask(&mut world, remove), [removed, "Response 9"]);
    assert_eq!(other.hear(&mut world), [removed]);
    assert_eq!(
        other.send(&mut world, temp("ID:1:1"), "m"),
        ["ExceptionResponse 6 DestinationDoesNotExistException: temp-queue://ID:1:1"]
    );
}

#[test]
fn temporary_destinations_go_with_their_connection() {
    let mut world = world();
    let mut creator = Client::open(&mut world, "ID:1");
    let mut other = Client::open(&mut world, "ID:2");
    assert_eq!(watch(&mut other, &mut world, TEMPS), ["Response 3"]);
    let both = [
        temp("ID:1:1"),
        Destination::new(DestinationKind::TempTopic, "ID:1:2"),
    ];
    for destination in both.clone() {
        let add = creator.temporary(destination, DestinationInfo::ADD);
        assert_eq!(creator.ask(&mut world, add).len(), 1);
    }
    assert_eq!(
        creator.consume(&mut world, 1, both[1].clone(), 10),
        ["Response 5"]
    );
    other.hear(&mut world);
    assert_eq!(other.send(&mut world, both[1].clone(), "m"), ["Response 4"]);
    assert_eq!(
        creator.hear(&mut world),
        ["Dispatch 1 temp-topic://ID:1:2 m"]
    );
    world.hang_up(creator.session);
    assert_eq!(
        other.hear(&mut world),
        [
            "Dispatch 1 topic://ActiveMQ.Advisory.TempQueue remove temp-queue://ID:1:1",
            "Dispatch 1 topic://ActiveMQ.Advisory.TempTopic remove temp-topic://ID:1:2",
        ]
    );
    assert_eq!(other.send(&mut world, both[1].clone(), "m").len(), 1);
}

#[test]
fn consumers_and_producers_and_connections_are_advised() {
    let mut world = world();
    let mut watcher = Client::open(&mut world, "ID:w");
    let heard = watch(&mut watcher, &mut world, "ActiveMQ.Advisory.>");
    assert!(heard.contains(&"Response 3".to_owned()));
    assert!(
        heard.contains(&"Dispatch 1 topic://ActiveMQ.Advisory.Connection connection".to_owned())
    );
    let mut client = Client::open(&mut world, "ID:1");
    assert_eq!(
        watcher.hear(&mut world),
        ["Dispatch 1 topic://ActiveMQ.Advisory.Connection connection"]
    );
    assert_eq!(
        client.consume(&mut world, 1, queue("q"), 10),
        ["Response 3"]
    );
    assert_eq!(
        watcher.hear(&mut world),
        [
            "Dispatch 1 topic://ActiveMQ.Advisory.Queue add queue://q",
            "Dispatch 1 topic://ActiveMQ.Advisory.Consumer.Queue.q consumer",
        ]
    );
    let producer = ProducerInfo {
        producer_id: Some(client.producer_id()),
        destination: Some(topic("t")),
        ..ProducerInfo::default()
    };
    assert_eq!(
        client.ask(&mut world, Command::ProducerInfo(producer)),
        ["Response 4"]
    );
    assert_eq!(
        watcher.hear(&mut world),
        [
            "Dispatch 1 topic://ActiveMQ.Advisory.Topic add topic://t",
            "Dispatch 1 topic://ActiveMQ.Advisory.Producer.Topic.t producer",
        ]
    );
    world.hang_up(client.session);
    assert_eq!(
        watcher.hear(&mut world),
        [
            "Dispatch 1 topic://ActiveMQ.Advisory.Consumer.Queue.q gone",
            "Dispatch 1 topic://ActiveMQ.Advisory.Producer.Topic.t gone",
            "Dispatch 1 topic://ActiveMQ.Advisory.Connection gone",
        ]
    );
}

/// The library's `DestinationSource` lists queues and topics by these.
#[test]
fn destinations_are_advised_and_replayed() {
    const ALL: &str = "ActiveMQ.Advisory.Queue,ActiveMQ.Advisory.Topic";
    let mut world = world();
    let mut user = Client::open(&mut world, "ID:1");
    user.consume(&mut world, 1, topic("consumed"), 10);
    user.consume(&mut world, 2, topic("wild.*"), 10);
    user.consume(&mut world, 3, topic("one,two"), 10);
    user.send(&mut world, topic("sent"), "x");
    user.send(&mut world, queue("q"), "x");
    let mut durable = user.consumer(4, topic("kept"), 10);
    durable.subscription_name = Some("s".into());
    user.ask(&mut world, Command::ConsumerInfo(durable));
    let topics = |names: &[&str]| -> Vec<String> {
        let line = |name: &&str| format!("Dispatch 1 topic://ActiveMQ.Advisory.Topic {name}");
        names.iter().map(line).collect()
    };
    let mut watcher = Client::open(&mut world, "ID:w");
    let heard = watch(&mut watcher, &mut world, ALL);
    let mut expected = topics(&[
        "add topic://consumed",
        "add topic://kept",
        "add topic://sent",
    ]);
    expected.push("Dispatch 1 topic://ActiveMQ.Advisory.Queue add queue://q".to_owned());
    expected.push("Response 3".to_owned());
    assert_eq!(heard, expected);

    user.send(&mut world, topic("sent"), "again");
    user.send(&mut world, topic("new"), "x");
    let new = user.temporary(topic("made"), DestinationInfo::ADD);
    user.ask(&mut world, new);
    let gone = user.temporary(topic("sent"), DestinationInfo::REMOVE);
    user.ask(&mut world, gone);
    let unknown = user.temporary(topic("never"), DestinationInfo::REMOVE);
    user.ask(&mut world, unknown);
    let mut expected = topics(&["add topic://new", "add topic://made", "remove topic://sent"]);
    assert_eq!(watcher.hear(&mut world), expected);
    let gone = user.temporary(queue("q"), DestinationInfo::REMOVE);
    user.ask(&mut world, gone);
    expected = vec!["Dispatch 1 topic://ActiveMQ.Advisory.Queue remove queue://q".to_owned()];
    assert_eq!(watcher.hear(&mut world), expected);

    // After a crash only what is stored is known.
    world.crash(doors());
    let mut watcher = Client::open(&mut world, "ID:w");
    let heard = watch(&mut watcher, &mut world, ALL);
    let mut expected = topics(&["add topic://kept"]);
    expected.push("Response 3".to_owned());
    assert_eq!(heard, expected);
}

fn retained(client: &mut Client, to: Destination, text: &str, mark: bool) -> Message<'static> {
    let mut message = client.text(to, text);
    if text.is_empty() {
        message.content = None;
    }
    let mut properties = Vec::new();
    let named = [("ActiveMQ.Retain".into(), primitive::Value::Bool(mark))];
    primitive::encode_map(&named, &mut properties);
    message.marshalled_properties = Some(properties.into());
    message
}

#[test]
fn a_retroactive_consumer_gets_what_its_topic_retains() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    let listen = |client: &mut Client, world: &mut crate::world::World, to, retroactive| {
        let value = client.given.len() as i64 + 100;
        let mut info = client.consumer(value, to, 10);
        info.retroactive = retroactive;
        let heard = client.ask(world, Command::ConsumerInfo(info));
        let closed = client.consumer_id(value);
        client.say(world, [client.remove(closed, 0)]);
        heard.len() - 1
    };
    client.send(&mut world, topic("t.a"), "plain");
    for (text, mark) in [("first", true), ("second", true), ("not", false)] {
        let message = retained(&mut client, topic("t.a"), text, mark);
        assert_eq!(client.ask(&mut world, Command::Message(message)).len(), 1);
    }
    assert_eq!(listen(&mut client, &mut world, topic("t.a"), false), 0);
    assert_eq!(listen(&mut client, &mut world, topic("t.b"), true), 0);
    for to in ["t.a", "t.*", "x,t.>"] {
        assert_eq!(listen(&mut client, &mut world, topic(to), true), 1, "{to}");
        let given = client.given.last().expect("one was given");
        assert_eq!(given.destination, topic("t.a"));
        let content = given.message.content.as_deref().expect("a text");
        assert_eq!(body::decode_text(content).unwrap().to_string(), "second");
        let names = given
            .message
            .marshalled_properties
            .as_deref()
            .expect("a mark");
        let names = primitive::decode_map(names, primitive::PrimitiveLimits::default()).unwrap();
        assert_eq!(names.len(), 1);
        assert!(names[0].0 == *"ActiveMQ.Retained");
    }
    // The mark is for the broker: who listens does not see it.
    client.consume(&mut world, 1, topic("t.a"), 10);
    let message = retained(&mut client, topic("t.a"), "third", true);
    client.ask(&mut world, Command::Message(message));
    let live = client.given.last().expect("one was given");
    let names = live
        .message
        .marshalled_properties
        .as_deref()
        .expect("empty ones");
    let names = primitive::decode_map(names, primitive::PrimitiveLimits::default()).unwrap();
    assert!(names.is_empty(), "{names:?}");
    // What is sent in a transaction counts when that is committed, and nothing takes it back.
    let transaction = client.transaction(7);
    client.say(&mut world, [client.step(7, TransactionStep::Begin)]);
    let mut message = retained(&mut client, topic("t.a"), "", true);
    message.transaction_id = transaction;
    client.ask(&mut world, Command::Message(message));
    assert_eq!(listen(&mut client, &mut world, topic("t.a"), true), 1);
    client.ask(&mut world, client.step(7, TransactionStep::CommitOnePhase));
    assert_eq!(listen(&mut client, &mut world, topic("t.a"), true), 0);
}

#[test]
fn a_retroactive_durable_subscription_gets_what_others_hold() {
    let mut world = world();
    let mut sender = Client::open(&mut world, "ID:s");
    let subscribe = |world: &mut crate::world::World, id: &str, to: &str, retroactive: bool| {
        let mut client = Client::open(world, id);
        let mut info = client.consumer(1, topic(to), 10);
        info.subscription_name = Some("s".into());
        info.retroactive = retroactive;
        let heard = client.ask(world, Command::ConsumerInfo(info));
        let texts = heard
            .iter()
            .filter_map(|line| line.strip_prefix("Dispatch 1 topic://"));
        let texts: Vec<String> = texts.map(str::to_owned).collect();
        (client, texts)
    };
    // The first acknowledges one message, the second, of a wider pattern, none.
    let (mut one, _) = subscribe(&mut world, "ID:1", "a.x", false);
    let (two, _) = subscribe(&mut world, "ID:2", "a.*", false);
    world.hang_up(two.session);
    for (to, text) in [("a.x", "0"), ("a.y", "1"), ("a.x", "2"), ("b.x", "3")] {
        sender.send(&mut world, topic(to), text);
    }
    one.hear(&mut world);
    let ack = one.ack(AckType::Standard, 0, 0);
    one.ask(&mut world, Command::MessageAck(ack));

    assert!(subscribe(&mut world, "ID:3", "a.x", false).1.is_empty());
    let (mut four, recovered) = subscribe(&mut world, "ID:4", "a.x", true);
    assert_eq!(recovered, ["a.x 0", "a.x 2"]);
    let ack = four.ack(AckType::Standard, 0, 1);
    four.ask(&mut world, Command::MessageAck(ack));
    world.hang_up(four.session);
    // It is a property of the making: who comes back gets what is his own.
    sender.send(&mut world, topic("a.x"), "4");
    assert_eq!(subscribe(&mut world, "ID:4", "a.x", true).1, ["a.x 4"]);
    // Copies are known as such, and the order is that of sending.
    let (_, recovered) = subscribe(&mut world, "ID:5", "a.>", true);
    assert_eq!(recovered, ["a.x 0", "a.y 1", "a.x 2", "a.x 4"]);
    let (_, recovered) = subscribe(&mut world, "ID:6", "a.>", true);
    assert_eq!(recovered, ["a.x 0", "a.y 1", "a.x 2", "a.x 4"]);
    // What was recovered is stored: a crash takes nothing back.
    world.crash(doors());
    let (_, kept) = subscribe(&mut world, "ID:6", "a.>", false);
    let told_again: Vec<_> = recovered
        .iter()
        .map(|line| format!("{line} again=1"))
        .collect();
    assert_eq!(kept, told_again);
}
