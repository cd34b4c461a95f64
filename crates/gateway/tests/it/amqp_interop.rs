//! AMQP beside the other two doors: one queue, one topic, one address, in three languages.

use amqp::{BasicProperties, Method, TableRef};
use gateway::door::{Door, Wire};

use crate::amqp_client::{self as amqp_peer, PLAIN, bind, consume, declare, exchange, get};
use crate::world::World;
use crate::{openwire_client as jms, remoting_client as rocket};

fn doors() -> Vec<(Wire, Box<dyn Door>)> {
    let mut doors = amqp_peer::doors();
    doors.extend(jms::doors());
    doors.extend(rocket::door());
    doors
}

fn world() -> World {
    let mut world = World::new(doors());
    world.pass_time(1);
    world
}

const TEXT: BasicProperties<'static> = BasicProperties {
    content_type: Some(b"text/plain"),
    message_id: Some(b"m1"),
    ..PLAIN
};

fn refused(client: &mut amqp_peer::Client, world: &mut World, method: Method<'_>) -> String {
    let lines = client.say(world, 1, &[method]);
    client.say(world, 1, &[Method::ChannelCloseOk, Method::ChannelOpen]);
    lines[0].clone()
}

#[test]
fn a_rocketmq_topic_is_an_exchange() {
    let mut world = world();
    let mut producer = rocket::Client::new(&mut world);
    let mut client = amqp_peer::Client::open(&mut world);
    let missing = bind("q", "T", "A");
    client.say(&mut world, 1, &[declare("q")]);
    assert!(refused(&mut client, &mut world, missing).contains("404 NOT_FOUND - no exchange 'T'"));
    assert_eq!(
        producer
            .send(&mut world, "T", 0, "TAGS\u{1}A", "early")
            .code,
        0
    );

    let own_type = exchange("T", "x-rocketmq-topic");
    let lines = client.say(&mut world, 1, &[own_type, bind("q", "T", "A")]);
    assert_eq!(lines, ["1 exchange.declare-ok", "1 queue.bind-ok"]);
    for (tag, body) in [("A", "wanted"), ("B", "unwanted")] {
        let properties = format!("TAGS\u{1}{tag}\u{2}own\u{1}kept");
        assert_eq!(producer.send(&mut world, "T", 0, &properties, body).code, 0);
    }
    let lines = client.say(&mut world, 1, &[get("q"), get("q")]);
    assert!(
        lines[0].starts_with("1 basic.get-ok 1 new \"T\" A left=0"),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("\"own\"") && lines[0].ends_with(": wanted"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "1 basic.get-empty");

    // One for each of its four partitions, and one more for the queue.
    for _ in 0..4 {
        assert!(
            client
                .publish(&mut world, "T", "A", &TEXT, b"from amqp")
                .is_empty()
        );
    }
    let pulled = producer.pull(&mut world, "T", 0, "A");
    assert_eq!(pulled.bodies(), ["early", "wanted", "from amqp"]);

    for (method, code) in [
        (exchange("T", "topic"), "406"),
        (exchange("U", "x-rocketmq-topic"), "406"),
        (
            Method::ExchangeDelete {
                exchange: "T",
                if_unused: false,
                nowait: false,
            },
            "403",
        ),
        (exchange("SCHEDULE_TOPIC_XXXX", "topic"), "406"),
    ] {
        let line = refused(&mut client, &mut world, method);
        assert!(
            line.starts_with(&format!("1 channel.close {code} ")),
            "{line}"
        );
    }
}

#[test]
fn a_queue_is_one_queue() {
    let mut world = world();
    let mut client = amqp_peer::Client::open(&mut world);
    let mut jms_client = jms::Client::open(&mut world, "c");
    client.say(&mut world, 1, &[declare("orders")]);
    client.publish(&mut world, "", "orders", &TEXT, b"from amqp");
    jms_client.consume(&mut world, 1, jms::queue("orders"), 10);
    assert_eq!(jms_client.given.len(), 1);
    let given = &jms_client.given[0].message;
    assert_eq!(given.kind, openwire::MessageKind::Text);

    let mut sender = jms::Client::open(&mut world, "s");
    sender.send(&mut world, jms::queue("made.by.jms"), "from jms");
    let lines = client.say(&mut world, 1, &[get("made.by.jms")]);
    assert!(
        lines[0].starts_with("1 basic.get-ok 1 new \"\" made.by.jms left=0"),
        "{lines:?}"
    );
    assert!(lines[0].ends_with(": from jms"), "{lines:?}");
}

#[test]
fn a_queue_made_by_jms_is_adopted_by_the_first_declaration() {
    let mut world = world();
    let mut client = amqp_peer::Client::open(&mut world);
    let mut sender = jms::Client::open(&mut world, "s");
    sender.send(&mut world, jms::queue("q"), "waits");
    let transient = Method::QueueDeclare {
        queue: "q",
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    };
    assert_eq!(
        client.say(&mut world, 1, &[transient]),
        ["1 queue.declare-ok q 1 0"]
    );
    // Granted as durable, and durable from now on; who says the same again is not refused.
    for again in [transient, declare("q")] {
        assert_eq!(
            client.say(&mut world, 1, &[again]),
            ["1 queue.declare-ok q 1 0"]
        );
    }
    let lines = client.say(&mut world, 1, &[declare("q"), consume("q", "c")]);
    assert_eq!(
        lines[..2],
        ["1 queue.declare-ok q 1 0", "1 basic.consume-ok c"]
    );
    assert!(lines[2].ends_with(": waits"), "{lines:?}");
}

#[test]
fn a_jms_topic_is_a_key() {
    let mut world = world();
    let mut client = amqp_peer::Client::open(&mut world);
    let mut jms_client = jms::Client::open(&mut world, "c");
    client.say(
        &mut world,
        1,
        &[declare("q"), bind("q", "amq.topic", "a.#")],
    );
    jms_client.send(&mut world, jms::topic("a.b"), "from jms");
    let lines = client.say(&mut world, 1, &[get("q")]);
    assert!(
        lines[0].starts_with("1 basic.get-ok 1 new \"amq.topic\" a.b left=0"),
        "{lines:?}"
    );

    jms_client.consume(&mut world, 1, jms::topic("a.>"), 10);
    client.publish(&mut world, "amq.topic", "a.b.c", &TEXT, b"from amqp");
    jms_client.hear(&mut world);
    let given = jms_client.given.last().expect("a message was dispatched");
    assert_eq!(given.message.destination, Some(jms::topic("a.b.c")));
    assert_eq!(given.message.kind, openwire::MessageKind::Text);
}
