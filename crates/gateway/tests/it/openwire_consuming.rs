//! Queues: windows, acknowledgements, what comes again and what does not.

use openwire::primitive::{PrimitiveLimits, ValueRef};
use openwire::*;

use crate::openwire_client::{Client, queue, topic, world};
use crate::world::World;

fn filled(world: &mut World, texts: &[&str]) -> Client {
    let mut client = Client::open(world, "ID:1");
    for text in texts {
        assert_eq!(client.send(world, queue("q"), text).len(), 1);
    }
    client
}

fn dispatched(heard: &[String]) -> Vec<&str> {
    heard
        .iter()
        .filter_map(|line| line.strip_prefix("Dispatch "))
        .map(|line| line.splitn(3, ' ').nth(2).unwrap_or(line))
        .collect()
}

fn text_property(message: &Message<'_>, key: &str) -> Option<String> {
    let bytes = message.marshalled_properties.as_deref()?;
    let properties = primitive::Properties::parse(bytes, PrimitiveLimits::default()).ok()?;
    Some(match properties.lookup(key).ok()?? {
        ValueRef::String(text) => text.to_string(),
        other => format!("{other:?}"),
    })
}

#[test]
fn a_window_opens_by_delivered_and_by_ranges() {
    let mut world = world();
    let mut client = filled(&mut world, &["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(
        dispatched(&client.consume(&mut world, 1, queue("q"), 4)),
        ["0", "1", "2", "3"]
    );
    let mut delivered = client.ack(AckType::Delivered, 0, 1);
    delivered.first_message_id = None;
    client.say(&mut world, [Command::MessageAck(delivered)]);
    assert_eq!(dispatched(&client.hear(&mut world)), ["4", "5"]);
    // The range covers what was delivered, so that it makes no more room than there was.
    let range = client.ack(AckType::Standard, 0, 2);
    client.say(&mut world, [Command::MessageAck(range)]);
    assert_eq!(dispatched(&client.hear(&mut world)), ["6"]);
    let one = client.ack(AckType::Individual, 4, 4);
    client.say(
        &mut world,
        [Command::MessageAck(one.clone()), Command::MessageAck(one)],
    );
    assert_eq!(dispatched(&client.hear(&mut world)), ["7"]);
    let range = client.ack(AckType::Redelivered, 3, 5);
    client.say(&mut world, [Command::MessageAck(range)]);
    assert!(client.hear(&mut world).is_empty());
}

#[test]
fn acknowledgements_that_fit_nothing_are_errors() {
    let mut world = world();
    let mut client = filled(&mut world, &["0", "1"]);
    client.consume(&mut world, 1, queue("q"), 10);
    let mut wrong = client.ack(AckType::Standard, 0, 1);
    wrong.message_count = 7;
    client.say(&mut world, [Command::MessageAck(wrong)]);
    let heard = client.hear(&mut world);
    assert!(
        heard[0].starts_with("ConnectionError JMSException: Unmatched acknowledge: "),
        "{heard:?}"
    );
    let mut unknown = client.ack(AckType::Poison, 1, 1);
    unknown
        .last_message_id
        .as_mut()
        .unwrap()
        .producer_sequence_id = 99;
    let heard = client.ask(&mut world, Command::MessageAck(unknown));
    assert!(heard[0].contains("Could not correlate acknowledgment with dispatched message"));
    let right = client.ack(AckType::Standard, 0, 1);
    assert_eq!(
        client.ask(&mut world, Command::MessageAck(right.clone())),
        ["Response 8"]
    );
    let heard = client.ask(&mut world, Command::MessageAck(right));
    assert!(heard[0].contains("Could not find Message-ID"), "{heard:?}");
}

#[test]
fn what_the_client_has_seen_counts_when_a_consumer_closes() {
    for (last_delivered, expected) in [
        (-1, ["0", "1", "2"]),
        (0, ["0", "1", "2"]),
        (-2, ["0 again=1", "1 again=1", "2 again=1"]),
        (1, ["0 again=1", "1 again=1", "2"]),
    ] {
        let mut world = world();
        let mut client = filled(&mut world, &["0", "1", "2"]);
        client.consume(&mut world, 1, queue("q"), 10);
        let last = match last_delivered {
            1 => {
                client.given[1]
                    .message
                    .message_id
                    .as_ref()
                    .unwrap()
                    .broker_sequence_id
            }
            other => other,
        };
        let consumer = client.consumer_id(1);
        client.say(&mut world, [client.remove(consumer, last)]);
        let mut heard = client.consume(&mut world, 2, queue("q"), 10);
        heard.extend(client.hear(&mut world));
        assert_eq!(dispatched(&heard), expected, "{last_delivered}");
    }
}

#[test]
fn a_poisoned_message_goes_to_the_dead_letters_with_its_story() {
    let mut world = world();
    let mut client = filled(&mut world, &["bad"]);
    let mut volatile = client.text(queue("q"), "volatile");
    volatile.persistent = false;
    client.say(&mut world, [Command::Message(volatile)]);
    client.consume(&mut world, 1, queue("q"), 10);
    assert_eq!(client.given.len(), 2);
    let mut poison = client.ack(AckType::Poison, 0, 1);
    poison.poison_cause = Some(Box::new(Throwable {
        class: Some("java.lang.Throwable".into()),
        message: Some("Exceeded redelivery policy max redelivery limit of 6".into()),
        ..Throwable::default()
    }));
    client.say(&mut world, [Command::MessageAck(poison)]);
    let mut heard = client.consume(&mut world, 2, queue("ActiveMQ.DLQ"), 10);
    heard.extend(client.hear(&mut world));
    assert_eq!(
        dispatched(&heard),
        ["bad"],
        "what need not survive is dropped"
    );
    let dead = &client.given[2].message;
    assert_eq!(dead.original_destination, Some(queue("q")));
    assert_eq!(dead.destination, Some(queue("ActiveMQ.DLQ")));
    assert_eq!(
        text_property(dead, "dlqDeliveryFailureCause").as_deref(),
        Some("java.lang.Throwable: Exceeded redelivery policy max redelivery limit of 6")
    );
    assert_eq!(
        text_property(dead, "originalExpiration").as_deref(),
        Some("Long(0)")
    );
    assert_eq!(
        dead.message_id.as_ref().unwrap().producer_sequence_id,
        client.given[0]
            .message
            .message_id
            .as_ref()
            .unwrap()
            .producer_sequence_id
    );
}

#[test]
fn expired_messages_go_to_the_dead_letters() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    let now = world.now().0 as i64;
    for (text, expiration) in [("late", now - 1), ("soon", now + 50), ("seen", now + 500)] {
        let mut message = client.text(queue("q"), text);
        message.expiration = expiration;
        assert_eq!(client.ask(&mut world, Command::Message(message)).len(), 1);
    }
    world.pass_time(100);
    let heard = client.consume(&mut world, 1, queue("q"), 10);
    assert_eq!(dispatched(&heard), ["seen"]);
    let expired = client.ack(AckType::Expired, 0, 0);
    client.say(&mut world, [Command::MessageAck(expired)]);
    let mut heard = client.consume(&mut world, 2, queue("ActiveMQ.DLQ"), 10);
    heard.extend(client.hear(&mut world));
    let mut dead = dispatched(&heard);
    dead.sort_unstable();
    assert_eq!(dead, ["late", "seen", "soon"]);
    for given in &client.given[1..] {
        assert_eq!(given.message.expiration, 0);
        let cause = text_property(&given.message, "dlqDeliveryFailureCause").unwrap();
        assert!(
            cause.starts_with("java.lang.Throwable: Message Expired. Expiration:"),
            "{cause}"
        );
        assert!(text_property(&given.message, "originalExpiration").is_some());
    }
}

#[test]
fn selectors_pick_from_a_queue_and_browsers_look() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    for number in 0..6 {
        let mut message = client.text(queue("q"), &number.to_string());
        message.group_sequence = number;
        client.ask(&mut world, Command::Message(message));
    }
    let mut info = client.consumer(1, queue("q"), 10);
    info.selector = Some("JMSXGroupSeq % 2 = 1 AND JMSDeliveryMode = 'PERSISTENT'".into());
    let heard = client.ask(&mut world, Command::ConsumerInfo(info));
    assert_eq!(dispatched(&heard), ["1", "3", "5"]);
    // A browser sees what others hold, and comes to an end.
    let mut info = client.consumer(2, queue("q"), 500);
    info.browser = true;
    let heard = client.ask(&mut world, Command::ConsumerInfo(info));
    assert_eq!(
        dispatched(&heard),
        ["0", "1", "2", "3", "4", "5", "2 nothing"]
    );
    let mut info = client.consumer(3, queue("empty"), 500);
    info.browser = true;
    let heard = client.ask(&mut world, Command::ConsumerInfo(info));
    assert_eq!(dispatched(&heard), ["3 nothing"]);
    assert_eq!(
        dispatched(&client.consume(&mut world, 4, queue("q"), 10)),
        ["0", "2", "4"]
    );
}

#[test]
fn a_consumer_without_a_window_pulls() {
    let mut world = world();
    let mut client = filled(&mut world, &["0", "1"]);
    assert_eq!(client.consume(&mut world, 1, queue("q"), 0), ["Response 5"]);
    let pull = |client: &Client, timeout| {
        let consumer_id = Some(client.consumer_id(1));
        Command::MessagePull(MessagePull {
            consumer_id,
            timeout,
            ..MessagePull::default()
        })
    };
    for (timeout, found) in [(-1, "0"), (1000, "1"), (-1, "1 nothing")] {
        client.say(&mut world, [pull(&client, timeout)]);
        assert_eq!(dispatched(&client.hear(&mut world)), [found]);
    }
    client.say(&mut world, [pull(&client, 300)]);
    world.pass_time(299);
    assert!(client.hear(&mut world).is_empty());
    world.pass_time(1);
    assert_eq!(dispatched(&client.hear(&mut world)), ["1 nothing"]);
    client.send(&mut world, queue("q"), "2");
    assert_eq!(client.given.len(), 2, "the pull is over");
    client.say(&mut world, [pull(&client, 0)]);
    assert_eq!(dispatched(&client.hear(&mut world)), ["2"]);
    client.say(&mut world, [pull(&client, 0)]);
    let heard = client.send(&mut world, queue("q"), "3");
    assert_eq!(dispatched(&heard), ["3"]);
    let acks = [0, 1, 2, 3].map(|at| client.ack(AckType::Individual, at, at));
    client.say(&mut world, acks.map(Command::MessageAck));
    assert!(client.hear(&mut world).is_empty());
}

#[test]
fn composites_fan_out_and_gather() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    assert_eq!(
        client.consume(&mut world, 1, queue("a,b,topic://c"), 2),
        ["Response 3"]
    );
    let mut heard = client.send(&mut world, queue("a,b,topic://c,a"), "m");
    assert_eq!(
        heard.len(),
        3,
        "the window is shared by the three: {heard:?}"
    );
    heard.extend(client.hear(&mut world));
    // The copies have one id, so that each is acknowledged alone.
    let ack = client.ack(AckType::Standard, 0, 0);
    client.say(&mut world, [Command::MessageAck(ack)]);
    assert_eq!(client.hear(&mut world).len(), 1);
    let mut from: Vec<_> = client
        .given
        .iter()
        .map(|one| one.destination.to_string())
        .collect();
    from.sort();
    assert_eq!(from, ["queue://a", "queue://b", "topic://c"]);
    let composite = Some(queue("a,b,topic://c,a"));
    assert!(
        client
            .given
            .iter()
            .all(|one| one.message.original_destination == composite)
    );
}

#[test]
fn wildcards_follow_queues_that_come_later() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    client.send(&mut world, queue("a.1"), "x");
    let heard = client.consume(&mut world, 1, queue("a.>"), 10);
    assert_eq!(heard, ["Response 4", "Dispatch 1 queue://a.1 x"]);
    let heard = client.send(&mut world, queue("a.2.b"), "y");
    assert!(
        heard.contains(&"Dispatch 1 queue://a.2.b y".to_owned()),
        "{heard:?}"
    );
    assert_eq!(client.send(&mut world, queue("b"), "z").len(), 1);
    let acks = [0, 1].map(|at| client.ack(AckType::Standard, at, at));
    client.say(&mut world, acks.map(Command::MessageAck));
    assert!(client.hear(&mut world).is_empty());
}

#[test]
fn priorities_and_exclusive_consumers_decide_who_gets() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    for (value, priority) in [(1, 0), (2, 5)] {
        let mut info = client.consumer(value, queue("p"), 2);
        info.priority = priority;
        client.ask(&mut world, Command::ConsumerInfo(info));
    }
    for text in ["0", "1", "2"] {
        client.send(&mut world, queue("p"), text);
    }
    let who: Vec<_> = client.given.iter().map(|one| one.consumer.value).collect();
    assert_eq!(who, [2, 2, 1], "the lower gets what the higher cannot take");

    client.given.clear();
    for (value, exclusive) in [(3, false), (4, true), (5, true)] {
        let mut info = client.consumer(value, queue("e"), 10);
        info.exclusive = exclusive;
        client.ask(&mut world, Command::ConsumerInfo(info));
    }
    for text in ["0", "1"] {
        client.send(&mut world, queue("e"), text);
    }
    let who: Vec<_> = client.given.iter().map(|one| one.consumer.value).collect();
    assert_eq!(who, [4, 4]);
    let first = client.consumer_id(4);
    client.say(&mut world, [client.remove(first, -1)]);
    let who: Vec<_> = client.hear(&mut world);
    assert_eq!(dispatched(&who), ["0", "1"]);
    assert!(client.given[2..].iter().all(|one| one.consumer.value == 5));

    // One of a higher priority takes over, and with the highest also from its equal.
    client.given.clear();
    for (value, priority) in [(6, 1), (7, 1), (8, 127), (9, 127)] {
        let mut info = client.consumer(value, queue("e"), 10);
        info.exclusive = true;
        info.priority = priority;
        client.ask(&mut world, Command::ConsumerInfo(info));
        client.send(&mut world, queue("e"), "x");
    }
    let who: Vec<_> = client.given.iter().map(|one| one.consumer.value).collect();
    assert_eq!(who, [6, 6, 8, 9]);
}

#[test]
fn queues_are_created_and_removed() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    let add = client.temporary(queue("made"), DestinationInfo::ADD);
    assert_eq!(client.ask(&mut world, add), ["Response 3"]);
    client.send(&mut world, queue("made"), "m");
    client.consume(&mut world, 1, queue("made"), 1);
    let remove = client.temporary(queue("made"), DestinationInfo::REMOVE);
    assert_eq!(
        client.ask(&mut world, remove.clone()),
        [
            "ExceptionResponse 6 JMSException: Destination: queue://made still has an active \
          subscription"
        ]
    );
    let consumer = client.consumer_id(1);
    client.say(&mut world, [client.remove(consumer, -1)]);
    assert_eq!(client.ask(&mut world, remove.clone()), ["Response 8"]);
    assert_eq!(
        client.ask(&mut world, remove),
        ["Response 9"],
        "what is not there is removed"
    );
    assert_eq!(
        client.consume(&mut world, 2, queue("made"), 1),
        ["Response 10"],
        "it is empty"
    );
    client.consume(&mut world, 3, topic("t"), 1);
    let remove = client.temporary(topic("t"), DestinationInfo::REMOVE);
    let heard = client.ask(&mut world, remove);
    assert!(
        heard[0].contains("still has an active subscription"),
        "{heard:?}"
    );
}

#[test]
fn a_producer_with_a_window_gets_its_room_back() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    let producer = ProducerInfo {
        producer_id: Some(client.producer_id()),
        destination: Some(queue("q")),
        window_size: 4096,
        ..ProducerInfo::default()
    };
    assert_eq!(
        client.ask(&mut world, Command::ProducerInfo(producer)),
        ["Response 3"]
    );
    let message = client.text(queue("q"), "abc");
    client.say(&mut world, [Command::Message(message)]);
    assert_eq!(client.hear(&mut world), ["ProducerAck 1031"]);
    assert_eq!(client.send(&mut world, queue("q"), "abc"), ["Response 5"]);
}

#[test]
fn a_dead_letter_that_dies_again_is_gone() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    client.send(&mut world, queue("ActiveMQ.DLQ"), "bad");
    client.consume(&mut world, 1, queue("ActiveMQ.DLQ"), 10);
    let poison = client.ack(AckType::Poison, 0, 0);
    assert_eq!(
        client.ask(&mut world, Command::MessageAck(poison)),
        ["Response 5"]
    );
    assert!(client.hear(&mut world).is_empty());
    let consumer = client.consumer_id(1);
    client.say(&mut world, [client.remove(consumer, -1)]);
    assert_eq!(
        client.consume(&mut world, 2, queue("ActiveMQ.DLQ"), 10),
        ["Response 7"]
    );
}

#[test]
fn what_nobody_wants_is_answered_too() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    assert_eq!(client.send(&mut world, topic("t"), "m"), ["Response 3"]);
    assert_eq!(client.send(&mut world, topic("t,u"), "m"), ["Response 4"]);
}

#[test]
fn a_window_is_resized_by_its_client() {
    let mut world = world();
    let mut client = filled(&mut world, &["0", "1", "2"]);
    assert_eq!(client.consume(&mut world, 1, queue("q"), 0), ["Response 6"]);
    let control = |client: &Client, prefetch, close| {
        Command::ConsumerControl(ConsumerControl {
            consumer_id: Some(client.consumer_id(1)),
            prefetch,
            close,
            ..ConsumerControl::default()
        })
    };
    client.say(&mut world, [control(&client, 2, false)]);
    assert_eq!(dispatched(&client.hear(&mut world)), ["0", "1"]);
    client.say(&mut world, [control(&client, 1, false)]);
    let ack = client.ack(AckType::Standard, 0, 0);
    client.say(&mut world, [Command::MessageAck(ack)]);
    assert!(client.hear(&mut world).is_empty(), "one is still there");
    client.say(&mut world, [control(&client, 0, true)]);
    assert_eq!(
        dispatched(&client.consume(&mut world, 2, queue("q"), 9)),
        ["1", "2"]
    );
}

#[test]
fn a_peer_cannot_hold_more_than_its_limits() {
    let mut world = world();
    let mut client = filled(&mut world, &[]);
    for value in 0..1024 {
        client.say(&mut world, [client.step(value, TransactionStep::Begin)]);
    }
    assert!(client.hear(&mut world).is_empty());
    client.say(&mut world, [client.step(1024, TransactionStep::Begin)]);
    assert_eq!(
        client.hear(&mut world),
        ["ConnectionError ResourceAllocationException: openwire-transactions has reached 1024"]
    );
    let body = vec![0; 15 << 20];
    for (number, fits) in [(1, true), (2, true), (3, true), (4, true), (5, false)] {
        let mut message = client.text(queue("q"), "");
        message.kind = MessageKind::Bytes;
        message.content = Some(body.clone().into());
        message.transaction_id = client.transaction(number);
        client.say(&mut world, [Command::Message(message)]);
        assert_eq!(client.hear(&mut world).is_empty(), fits, "{number}");
    }
    // A rollback makes room again.
    client.say(&mut world, [client.step(1, TransactionStep::Rollback)]);
    let mut message = client.text(queue("q"), "");
    message.content = Some(body.into());
    message.transaction_id = client.transaction(6);
    client.say(&mut world, [Command::Message(message)]);
    assert!(client.hear(&mut world).is_empty());
}
