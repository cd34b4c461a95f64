//! What consumers held when they close: where it stands then, and what counts.

use openwire::*;

use crate::openwire_client::{Client, queue, topic, world};
use crate::world::World;

/// A client that was given the texts, and another one that waits for what the first gives back.
fn held(world: &mut World, texts: &[&str]) -> (Client, Client) {
    let mut holder = Client::open(world, "ID:1");
    for text in texts {
        assert_eq!(holder.send(world, queue("q"), text).len(), 1);
    }
    assert_eq!(
        holder.consume(world, 1, queue("q"), 10).len(),
        texts.len() + 1
    );
    let mut waiting = Client::open(world, "ID:2");
    assert_eq!(
        waiting.consume(world, 1, queue("q"), 10),
        ["Response 3"],
        "the first holds all"
    );
    (holder, waiting)
}

fn sequence(client: &Client, place: usize) -> i64 {
    let id = client.given[place].message.message_id.as_ref();
    id.expect("always set").broker_sequence_id
}

#[test]
fn what_was_seen_is_not_overtaken_by_what_was_not() {
    for closing in ["consumer", "session", "connection"] {
        let mut world = world();
        let (mut holder, mut waiting) = held(&mut world, &["0", "1", "2", "3"]);
        holder.send(&mut world, queue("elsewhere"), "first");
        let last = sequence(&holder, 1);
        let consumer = holder.consumer_id(1);
        let connection = ConnectionId {
            value: holder.id.as_str().into(),
        };
        let remove = match closing {
            "consumer" => holder.remove(consumer, last),
            "session" => holder.remove(consumer.session(), last),
            _ => holder.remove(connection, last),
        };
        // The log is busy with something else, so that what is counted is not in it at once.
        world.slow_log();
        let busy = holder.text(queue("elsewhere"), "busy");
        holder.tell_together(&mut world, &[Command::Message(busy), remove]);
        assert_eq!(
            waiting.hear(&mut world),
            [
                "Dispatch 1 queue://q 0 again=1",
                "Dispatch 1 queue://q 1 again=1",
                "Dispatch 1 queue://q 2",
                "Dispatch 1 queue://q 3",
            ],
            "{closing}"
        );
    }
}

/// A socket that breaks behind a closing consumer loses nothing of it.
#[test]
fn a_connection_that_breaks_while_it_closes_returns_all() {
    let mut world = world();
    let (mut holder, mut waiting) = held(&mut world, &["0", "1"]);
    let last = sequence(&holder, 0);
    let consumer = holder.consumer_id(1);
    let remove = holder.remove(consumer, last);
    holder.say(&mut world, [remove]);
    world.hang_up(holder.session);
    assert_eq!(
        waiting.hear(&mut world),
        ["Dispatch 1 queue://q 0 again=1", "Dispatch 1 queue://q 1",]
    );
}

/// A session names the last message that any of its consumers has seen. One that was shown
/// nothing must not have its messages counted: they would die after a few such sessions.
#[test]
fn what_another_consumer_has_seen_does_not_count() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    for (name, text) in [("a", "a0"), ("a", "a1"), ("b", "b0"), ("b", "b1")] {
        client.send(&mut world, queue(name), text);
    }
    client.consume(&mut world, 1, queue("a"), 10);
    client.consume(&mut world, 2, queue("b"), 10);
    let session = client.consumer_id(1).session();
    let last = sequence(&client, 2);
    let remove = client.remove(session, last);
    client.say(&mut world, [remove, client.session_info(1)]);
    client.hear(&mut world);
    let heard = client.consume(&mut world, 3, queue("a,b"), 10);
    assert_eq!(
        heard,
        [
            "Response 11",
            "Dispatch 3 queue://a a0",
            "Dispatch 3 queue://a a1",
            "Dispatch 3 queue://b b0 again=1",
            "Dispatch 3 queue://b b1",
        ]
    );
}

/// A consumer of a topic that takes nothing keeps its window and the newest thousand.
#[test]
fn a_slow_consumer_of_a_topic_loses_the_oldest() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    client.consume(&mut world, 1, topic("t"), 2);
    client.consume(&mut world, 2, topic("t"), 10_000);
    let modest = ConsumerInfo {
        maximum_pending_message_limit: 10,
        ..client.consumer(3, topic("t"), 2)
    };
    client.ask(&mut world, Command::ConsumerInfo(modest));
    let sent = 1_502;
    for number in 0..sent {
        let message = client.text(topic("t"), &number.to_string());
        client.say(&mut world, [Command::Message(message)]);
    }
    let heard = client.hear(&mut world);
    let count = |heard: &[String], start: &str| {
        let given = heard.iter().filter(|line| line.starts_with(start));
        given.count()
    };
    assert_eq!(count(&heard, "Dispatch 1 "), 2);
    assert_eq!(
        count(&heard, "Dispatch 2 "),
        sent,
        "a wide window keeps everything"
    );
    world.pass_time(1_500);
    assert_eq!(client.hear(&mut world), Vec::<String>::new());
    let mut ack = client.ack(AckType::Standard, 0, 0);
    ack.consumer_id = Some(client.consumer_id(1));
    ack.message_count = 2;
    client.say(&mut world, [Command::MessageAck(ack.clone())]);
    assert_eq!(
        client.hear(&mut world),
        ["Dispatch 1 topic://t 502", "Dispatch 1 topic://t 503"]
    );
    ack.consumer_id = Some(client.consumer_id(3));
    client.say(&mut world, [Command::MessageAck(ack)]);
    assert_eq!(
        client.hear(&mut world),
        ["Dispatch 3 topic://t 1492", "Dispatch 3 topic://t 1493"]
    );
    let control = Command::ConsumerControl(ConsumerControl {
        consumer_id: Some(client.consumer_id(1)),
        prefetch: 2_000,
        ..ConsumerControl::default()
    });
    client.say(&mut world, [control]);
    let heard = client.hear(&mut world);
    assert_eq!(heard.len(), 998);
    assert_eq!(heard.last().unwrap(), "Dispatch 1 topic://t 1501");
}

/// The original makes a queue of a wildcard's own name below a virtual topic.
#[test]
fn a_wildcard_below_a_virtual_topic_is_a_queue() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    let name = "Consumer.A.VirtualTopic.x.>";
    client.consume(&mut world, 1, queue(name), 10);
    for to in ["VirtualTopic.x", "VirtualTopic.x.y.z", "VirtualTopic.y"] {
        client.send(&mut world, topic(to), to);
    }
    let seen: Vec<_> = client
        .given
        .iter()
        .map(|given| given.message.original_destination.clone().expect("moved"))
        .collect();
    assert_eq!(seen, [topic("VirtualTopic.x"), topic("VirtualTopic.x.y.z")]);
}

/// A browser is a snapshot, and what its own connection sent before it is in it.
#[test]
fn a_browser_sees_what_was_sent_before_it() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    client.send(&mut world, queue("q"), "0");
    world.slow_log();
    let mut frames = Vec::new();
    for text in ["1", "2"] {
        let mut message = client.text(queue("q"), text);
        message.persistent = false;
        frames.push(Command::Message(message));
    }
    let browser = ConsumerInfo {
        browser: true,
        ..client.consumer(1, queue("q"), 10)
    };
    frames.push(Command::ConsumerInfo(browser));
    client.tell_together(&mut world, &frames);
    assert_eq!(
        client.hear(&mut world),
        [
            "Dispatch 1 queue://q 0",
            "Dispatch 1 queue://q 1",
            "Dispatch 1 queue://q 2",
            "Dispatch 1 nothing",
        ]
    );
}
