//! Message groups: one consumer for each, in order, whatever becomes of him.

use openwire::*;

use crate::openwire_client::{Client, queue, topic, world};
use crate::world::World;

/// Sends texts like `a0`, whose first letter names the group; a colon stands before its sequence.
fn send(world: &mut World, client: &mut Client, texts: &[&str]) {
    for text in texts {
        let (text, sequence) = text.split_once(':').unwrap_or((text, "0"));
        let mut message = client.text(queue("q"), text);
        message.group_id = Some(text[..1].into());
        message.group_sequence = sequence.parse().expect("a number");
        let heard = client.ask(world, Command::Message(message));
        assert!(
            heard.iter().any(|line| line.starts_with("Response ")),
            "{heard:?}"
        );
    }
}

/// What was given, with a star where the client is told that the group is new to it.
fn given(client: &mut Client, world: &mut World) -> Vec<String> {
    client.hear(world);
    let told = client.given.drain(..).map(|given| {
        let again = match given.message.redelivery_counter {
            0 => "",
            _ => "!",
        };
        let first = if given.message.jms_x_group_first_for_consumer {
            "*"
        } else {
            ""
        };
        let content = given.message.plain_content(1 << 20).expect("inflates");
        let content = content.expect("a text");
        let text = body::decode_text(&content).expect("a text");
        format!("{text}{first}{again}")
    });
    told.collect()
}

fn consumers(world: &mut World, prefetch: i32) -> (Client, Client, Client) {
    let mut one = Client::open(world, "ID:1");
    let mut two = Client::open(world, "ID:2");
    for client in [&mut one, &mut two] {
        assert_eq!(
            client.consume(world, 1, queue("q"), prefetch),
            ["Response 3"]
        );
    }
    (one, two, Client::open(world, "ID:3"))
}

#[test]
fn each_group_has_one_consumer_until_it_is_closed() {
    let mut world = world();
    let (mut one, mut two, mut sender) = consumers(&mut world, 10);
    send(&mut world, &mut sender, &["a0", "b0", "a1", "b1", "a2"]);
    assert_eq!(given(&mut one, &mut world), ["a0*", "a1", "a2"]);
    assert_eq!(given(&mut two, &mut world), ["b0*", "b1"]);
    send(&mut world, &mut sender, &["b2:-1", "b3", "b4:1", "b5:2"]);
    let (one, two) = (given(&mut one, &mut world), given(&mut two, &mut world));
    assert_eq!([one, two].concat(), ["b3*", "b2", "b4*", "b5"]);
}

#[test]
fn a_full_consumer_keeps_its_group_and_holds_up_no_other() {
    let mut world = world();
    let (mut one, mut two, mut sender) = consumers(&mut world, 1);
    send(&mut world, &mut sender, &["a0", "a1", "a2", "b0"]);
    one.hear(&mut world);
    let ack = one.ack(AckType::Standard, 0, 0);
    assert_eq!(given(&mut one, &mut world), ["a0*"]);
    assert_eq!(given(&mut two, &mut world), ["b0*"]);
    one.say(&mut world, [Command::MessageAck(ack)]);
    assert_eq!(given(&mut one, &mut world), ["a1"]);
    assert!(given(&mut two, &mut world).is_empty());
}

#[test]
fn a_group_goes_on_in_its_order_with_another_consumer() {
    for breaks in [false, true] {
        let mut world = world();
        let (mut one, mut two, mut sender) = consumers(&mut world, 3);
        send(&mut world, &mut sender, &["a0", "a1", "a2", "a3", "a4"]);
        one.hear(&mut world);
        let last = one.given[0].message.message_id.as_ref();
        let last = last.expect("always set").broker_sequence_id;
        assert_eq!(given(&mut one, &mut world), ["a0*", "a1", "a2"]);
        if breaks {
            world.hang_up(one.session);
            assert_eq!(given(&mut two, &mut world), ["a0*!", "a1!", "a2!"]);
        } else {
            // While the log is busy, what was counted is not in it, and nothing of it goes ahead.
            world.slow_log();
            let busy = one.text(queue("elsewhere"), "busy");
            let consumer = one.consumer_id(1);
            let remove = one.remove(consumer, last);
            one.tell_together(&mut world, &[Command::Message(busy), remove]);
            assert_eq!(given(&mut two, &mut world), ["a0*!", "a1", "a2"]);
        }
    }
}

/// What is dead keeps its group, and topics have none.
#[test]
fn groups_are_of_queues() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    for value in [1, 2] {
        client.consume(&mut world, value, topic("t"), 10);
    }
    let mut message = client.text(topic("t"), "all");
    message.group_id = Some("a".into());
    client.ask(&mut world, Command::Message(message));
    assert_eq!(given(&mut client, &mut world), ["all", "all"]);

    for value in [3, 4] {
        client.consume(&mut world, value, queue("ActiveMQ.DLQ"), 10);
    }
    client.consume(&mut world, 5, queue("q"), 10);
    send(&mut world, &mut client, &["a0", "a1"]);
    let poison = client.ack(AckType::Poison, 0, 1);
    client.given.clear();
    client.say(&mut world, [Command::MessageAck(poison)]);
    client.hear(&mut world);
    let who: Vec<_> = client.given.iter().map(|one| one.consumer.value).collect();
    assert_eq!(who, [3, 3]);
    assert_eq!(given(&mut client, &mut world), ["a0*", "a1"]);
}
