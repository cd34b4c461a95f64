//! Between this door and AMQP's: one queue, one topic, two languages.

use amqp::{BasicProperties, Method};
use gateway::amqp::AmqpDoor;
use gateway::door::{Door, Wire};
use gateway::openwire::OpenwireDoor;
use openwire::*;

use crate::openwire_client::{Client, queue, settings, topic};
use crate::world::World;

fn world() -> World {
    let doors: Vec<(Wire, Box<dyn Door>)> = vec![
        (
            Wire::Amqp,
            Box::new(AmqpDoor::new(gateway::amqp::Settings::default())),
        ),
        (Wire::Openwire, Box::new(OpenwireDoor::new(settings()))),
    ];
    World::new(doors)
}

#[test]
fn a_queue_is_one_queue_for_both() {
    let mut world = world();
    let mut jms = Client::open(&mut world, "ID:1");
    let mut rabbit = crate::amqp_client::Client::open(&mut world);
    assert_eq!(
        jms.send(&mut world, queue("orders"), "from jms"),
        ["Response 3"]
    );
    let get = Method::BasicGet {
        queue: "orders",
        no_ack: true,
    };
    let heard = rabbit.say(&mut world, 1, &[get]);
    assert!(heard[0].ends_with(": from jms"), "{heard:?}");

    let text = BasicProperties {
        content_type: Some(b"text/plain"),
        message_id: Some(b"m-1"),
        correlation_id: Some(b"c-1"),
        ..BasicProperties::default()
    };
    rabbit.publish(&mut world, "", "orders", &text, b"from rabbit");
    rabbit.publish(
        &mut world,
        "",
        "orders",
        &BasicProperties::default(),
        b"\x00\x01",
    );
    let heard = jms.consume(&mut world, 1, queue("orders"), 10);
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(
        heard.contains(&"Dispatch 1 queue://orders from rabbit".to_owned()),
        "{heard:?}"
    );
    let given = &jms.given[0].message;
    assert_eq!(given.correlation_id, Some("c-1".into()));
    assert_eq!(given.message_id.as_ref().unwrap().to_string(), "ID:m-1");
    assert_eq!(jms.given[1].message.kind, MessageKind::Bytes);
    // Foreign messages are told apart by their own numbers.
    let range = jms.ack(AckType::Standard, 0, 1);
    assert_eq!(
        jms.ask(&mut world, Command::MessageAck(range)),
        ["Response 5"]
    );
    let empty = rabbit.say(
        &mut world,
        1,
        &[Method::BasicGet {
            queue: "orders",
            no_ack: true,
        }],
    );
    assert_eq!(empty, ["1 basic.get-empty"]);
}

#[test]
fn a_topic_is_a_key_for_both() {
    let mut world = world();
    let mut jms = Client::open(&mut world, "ID:1");
    let mut rabbit = crate::amqp_client::Client::open(&mut world);
    assert_eq!(
        jms.consume(&mut world, 1, topic("news.>"), 10),
        ["Response 3"]
    );
    let text = BasicProperties {
        content_type: Some(b"text/plain"),
        ..BasicProperties::default()
    };
    rabbit.publish(&mut world, "amq.topic", "news.eu", &text, b"hello");
    assert_eq!(jms.hear(&mut world), ["Dispatch 1 topic://news.eu hello"]);
    assert_eq!(jms.given[0].message.destination, Some(topic("news.eu")));
}

#[test]
fn selectors_look_into_messages_of_the_other() {
    let mut world = world();
    let mut jms = Client::open(&mut world, "ID:1");
    let mut rabbit = crate::amqp_client::Client::open(&mut world);
    let mut info = jms.consumer(1, queue("picked"), 10);
    info.selector = Some("JMSCorrelationID = 'yes'".into());
    assert_eq!(
        jms.ask(&mut world, Command::ConsumerInfo(info)),
        ["Response 3"]
    );
    for id in [&b"no"[..], b"yes"] {
        let properties = BasicProperties {
            content_type: Some(b"text/plain"),
            correlation_id: Some(id),
            ..BasicProperties::default()
        };
        rabbit.publish(&mut world, "", "picked", &properties, id);
    }
    assert_eq!(jms.hear(&mut world), ["Dispatch 1 queue://picked yes"]);
}

#[test]
fn a_queue_that_the_other_deletes_comes_back_to_its_consumer() {
    let mut world = world();
    let mut jms = Client::open(&mut world, "ID:1");
    let mut rabbit = crate::amqp_client::Client::open(&mut world);
    assert_eq!(jms.consume(&mut world, 1, queue("q"), 10), ["Response 3"]);
    let delete = Method::QueueDelete {
        queue: "q",
        if_unused: false,
        if_empty: false,
        nowait: false,
    };
    assert_eq!(
        rabbit.say(&mut world, 1, &[delete]),
        ["1 queue.delete-ok 0"]
    );
    let heard = jms.send(&mut world, queue("q"), "m");
    assert!(
        heard.contains(&"Dispatch 1 queue://q m".to_owned()),
        "{heard:?}"
    );
}
