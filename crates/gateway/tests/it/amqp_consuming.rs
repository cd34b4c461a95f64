//! Consumers, prefetch, acknowledgement, return.

use amqp::{DeliveryTag, Method, Table, TableRef};

use crate::amqp_client::{
    Client, PERSISTENT, PLAIN, ack, consume, declare, declare_with, exclusive, get, passive, qos,
    world,
};
use crate::world::World;

/// The numbers and bodies of deliveries.
fn deliveries(lines: &[String]) -> Vec<String> {
    let short = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[1], "basic.deliver", "{line}");
        format!(
            "{} {} {} {}",
            words[2],
            words[3],
            words[4],
            words.last().unwrap()
        )
    };
    lines.iter().map(short).collect()
}

fn publish(client: &mut Client, world: &mut World, queue: &str, bodies: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for body in bodies {
        lines.extend(client.publish(world, "", queue, &PERSISTENT, body.as_bytes()));
    }
    lines
}

#[test]
fn a_prefetch_limits_what_is_unsettled() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("q")]);
    publish(&mut client, &mut world, "q", &["0", "1", "2", "3", "4"]);
    let lines = client.say(&mut world, 1, &[qos(2, false), consume("q", "c")]);
    assert_eq!(lines[..2], ["1 basic.qos-ok", "1 basic.consume-ok c"]);
    assert_eq!(deliveries(&lines[2..]), ["c 1 new 0", "c 2 new 1"]);
    assert_eq!(
        deliveries(&client.say(&mut world, 1, &[ack(2)])),
        ["c 3 new 2"]
    );
    let both = Method::BasicAck {
        delivery_tag: DeliveryTag(3),
        multiple: true,
    };
    assert_eq!(
        deliveries(&client.say(&mut world, 1, &[both])),
        ["c 4 new 3", "c 5 new 4"]
    );
    let nack = Method::BasicNack {
        delivery_tag: DeliveryTag(4),
        multiple: false,
        requeue: true,
    };
    assert_eq!(
        deliveries(&client.say(&mut world, 1, &[nack])),
        ["c 6 again 3"]
    );
    let cancel = Method::BasicCancel {
        consumer_tag: "c",
        nowait: false,
    };
    assert_eq!(
        client.say(&mut world, 1, &[cancel, cancel]),
        ["1 basic.cancel-ok c"; 2]
    );
    let close = Method::ChannelClose {
        reply_code: 0,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    };
    let lines = client.say(
        &mut world,
        1,
        &[close, Method::ChannelOpen, get("q"), get("q")],
    );
    assert_eq!(
        lines,
        [
            "1 channel.close-ok",
            "1 channel.open-ok",
            "1 basic.get-ok 1 again \"\" q left=1: 3",
            "1 basic.get-ok 2 again \"\" q left=0: 4",
        ]
    );
}

#[test]
fn unknown_tags_close_the_channel() {
    for (method, ids) in [
        (ack(1), "60/80"),
        (ack(0), "60/80"),
        (
            Method::BasicReject {
                delivery_tag: DeliveryTag(82),
                requeue: true,
            },
            "60/90",
        ),
        (
            Method::BasicNack {
                delivery_tag: DeliveryTag(9),
                multiple: true,
                requeue: true,
            },
            "60/120",
        ),
    ] {
        let mut world = world();
        let mut client = Client::open(&mut world);
        let lines = client.say(&mut world, 1, &[method]);
        assert!(
            lines[0].contains("406 PRECONDITION_FAILED - unknown delivery tag"),
            "{lines:?}"
        );
        assert!(lines[0].ends_with(&format!("({ids})")), "{lines:?}");
    }
}

#[test]
fn recover_returns_everything_in_order() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[exclusive("q")]);
    publish(&mut client, &mut world, "q", &["0", "1", "2"]);
    client.say(&mut world, 1, &[get("q"), get("q")]);
    let recover = Method::BasicRecover { requeue: true };
    let lines = client.say(&mut world, 1, &[recover, get("q"), get("q"), get("q")]);
    assert_eq!(
        lines,
        [
            "1 basic.recover-ok",
            "1 basic.get-ok 3 again \"\" q left=2: 0",
            "1 basic.get-ok 4 again \"\" q left=1: 1",
            "1 basic.get-ok 5 new \"\" q left=0: 2",
        ]
    );
    let lines = client.say(&mut world, 1, &[Method::BasicRecover { requeue: false }]);
    assert_eq!(
        lines,
        ["0 connection.close 540 NOT_IMPLEMENTED - requeue=false (60/110)"]
    );
}

#[test]
fn a_global_prefetch_is_shared() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("a"), declare("b")]);
    publish(&mut client, &mut world, "a", &["a0", "a1", "a2"]);
    publish(&mut client, &mut world, "b", &["b0", "b1", "b2"]);
    let lines = client.say(
        &mut world,
        1,
        &[qos(3, true), consume("a", "a"), consume("b", "b")],
    );
    let got = lines
        .iter()
        .filter(|line| line.contains("basic.deliver"))
        .count();
    assert_eq!(got, 3, "{lines:?}");
    let mut tag = 1;
    let mut rest = 0;
    while tag <= 6 {
        rest += client.say(&mut world, 1, &[ack(tag)]).len();
        tag += 1;
    }
    assert_eq!(rest, 3);
    // All room again, and a queue that had run dry.
    let lines = publish(&mut client, &mut world, "a", &["a3"]);
    assert_eq!(deliveries(&lines), ["a 7 new a3"]);
    // What a cancelled consumer was given goes on to count, until it is settled.
    let cancel = Method::BasicCancel {
        consumer_tag: "a",
        nowait: true,
    };
    client.say(&mut world, 1, &[cancel, qos(1, true)]);
    assert!(publish(&mut client, &mut world, "b", &["b3"]).is_empty());
    assert_eq!(
        deliveries(&client.say(&mut world, 1, &[ack(7)])),
        ["b 8 new b3"]
    );
    // Without the window there is no limit.
    assert_eq!(
        client.say(&mut world, 1, &[qos(0, true)]),
        ["1 basic.qos-ok"]
    );
    let lines = publish(&mut client, &mut world, "b", &["b4", "b5"]);
    assert_eq!(deliveries(&lines), ["b 9 new b4", "b 10 new b5"]);
}

#[test]
fn a_consumer_that_goes_leaves_its_room_to_the_others() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(
        &mut world,
        1,
        &[declare("q"), qos(1, true), consume("q", "a")],
    );
    let lines = publish(&mut client, &mut world, "q", &["0", "1", "2"]);
    assert_eq!(deliveries(&lines), ["a 1 new 0"]);
    client.say(&mut world, 1, &[consume("q", "b")]);
    // The room that the ack makes is asked for by `a`, which is gone when the answer comes.
    let cancel = Method::BasicCancel {
        consumer_tag: "a",
        nowait: true,
    };
    let lines = client.say(&mut world, 1, &[ack(1), cancel]);
    assert_eq!(deliveries(&lines), ["b 2 new 1"]);
    assert_eq!(
        deliveries(&client.say(&mut world, 1, &[ack(2)])),
        ["b 3 new 2"]
    );
}

#[test]
fn consumers_take_turns_and_priorities_count() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(
        &mut world,
        1,
        &[declare("q"), consume("q", "a"), consume("q", "b")],
    );
    let lines = publish(&mut client, &mut world, "q", &["0", "1", "2", "3"]);
    let turns: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').nth(2).unwrap())
        .collect();
    assert_eq!(turns, ["a", "b", "a", "b"]);
    let high = Table::new().with("x-priority", 5).to_bytes();
    let high = Method::BasicConsume {
        queue: "q",
        consumer_tag: "high",
        no_local: false,
        no_ack: true,
        exclusive: false,
        nowait: false,
        arguments: TableRef::parse(&high).unwrap(),
    };
    client.say(&mut world, 1, &[high]);
    let lines = publish(&mut client, &mut world, "q", &["4", "5"]);
    assert_eq!(deliveries(&lines), ["high 5 new 4", "high 6 new 5"]);
}

#[test]
fn exclusive_consumers_suffer_nobody() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let sole = Method::BasicConsume {
        queue: "q",
        consumer_tag: "c",
        no_local: false,
        no_ack: false,
        exclusive: true,
        nowait: false,
        arguments: TableRef::EMPTY,
    };
    client.say(&mut world, 1, &[declare("q"), sole]);
    let mut other = Client::open(&mut world);
    let expected = "1 channel.close 403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use \
                    (60/20)";
    assert_eq!(other.say(&mut world, 1, &[consume("q", "d")]), [expected]);
    let lines = client.say(&mut world, 1, &[consume("q", "c")]);
    assert_eq!(
        lines,
        ["0 connection.close 530 NOT_ALLOWED - attempt to reuse consumer tag 'c' (60/20)"]
    );
}

#[test]
fn of_single_active_consumers_one_is_served() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let single = Table::new()
        .with("x-single-active-consumer", true)
        .to_bytes();
    let single = declare_with("q", TableRef::parse(&single).unwrap());
    client.say(
        &mut world,
        1,
        &[single, consume("q", "a"), consume("q", "b")],
    );
    let lines = publish(&mut client, &mut world, "q", &["0", "1"]);
    assert_eq!(deliveries(&lines), ["a 1 new 0", "a 2 new 1"]);
    let cancel = Method::BasicCancel {
        consumer_tag: "a",
        nowait: true,
    };
    client.say(&mut world, 1, &[cancel]);
    let lines = publish(&mut client, &mut world, "q", &["2"]);
    assert_eq!(deliveries(&lines), ["b 3 new 2"]);
}

#[test]
fn the_end_of_a_queue_is_told_to_those_who_understand() {
    for (capabilities, expected) in [
        (&["consumer_cancel_notify"][..], &["1 basic.cancel c"][..]),
        (&[], &[]),
    ] {
        let mut world = world();
        let mut client = Client::connect(&mut world);
        world.send(client.session, b"AMQP\x00\x00\x09\x01");
        client.shake_hands(&mut world, capabilities);
        client.say(
            &mut world,
            1,
            &[Method::ChannelOpen, declare("q"), consume("q", "c")],
        );
        let mut other = Client::open(&mut world);
        let delete = Method::QueueDelete {
            queue: "q",
            if_unused: false,
            if_empty: false,
            nowait: false,
        };
        other.say(&mut world, 1, &[delete]);
        assert_eq!(client.hear(&mut world), expected);
        // The tag is free again.
        let lines = client.say(&mut world, 1, &[declare("q"), consume("q", "c")]);
        assert_eq!(lines, ["1 queue.declare-ok q 0 0", "1 basic.consume-ok c"]);
    }
}

/// As kombu's `Queue.delete()` needs it, which may not meet a cancel before its answer.
#[test]
fn who_deletes_a_queue_under_its_own_consumers_hears_the_answer_first() {
    let mut world = world();
    let mut client = Client::connect(&mut world);
    world.send(client.session, b"AMQP\x00\x00\x09\x01");
    client.shake_hands(&mut world, &["consumer_cancel_notify"]);
    for channel in [1, 2] {
        client.say(&mut world, channel, &[Method::ChannelOpen]);
    }
    client.say(&mut world, 1, &[declare("q"), consume("q", "a")]);
    client.say(&mut world, 1, &[consume("q", "b")]);
    client.say(&mut world, 2, &[consume("q", "c")]);
    let delete = |nowait| Method::QueueDelete {
        queue: "q",
        if_unused: false,
        if_empty: false,
        nowait,
    };
    // Channels are apart: the other one hears at once.
    assert_eq!(
        client.say(&mut world, 1, &[delete(false)]),
        [
            "2 basic.cancel c",
            "1 queue.delete-ok 0",
            "1 basic.cancel a",
            "1 basic.cancel b",
        ]
    );
    client.say(&mut world, 1, &[declare("q"), consume("q", "a")]);
    assert_eq!(
        client.say(&mut world, 1, &[delete(true)]),
        ["1 basic.cancel a"]
    );
}

#[test]
fn a_lost_connection_returns_what_it_held() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let mut other = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("q")]);
    publish(&mut client, &mut world, "q", &["0", "1"]);
    client.say(&mut world, 1, &[get("q")]);
    world.hang_up(client.session);
    assert_eq!(
        other.say(&mut world, 1, &[passive("q")]),
        ["1 queue.declare-ok q 2 0"]
    );
    let lines = other.say(&mut world, 1, &[get("q")]);
    assert_eq!(lines, ["1 basic.get-ok 1 again \"\" q left=1: 0"]);
}

#[test]
fn nowait_is_not_answered() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let declare = Method::QueueDeclare {
        queue: "q",
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: true,
        arguments: TableRef::EMPTY,
    };
    let consume = Method::BasicConsume {
        queue: "q",
        consumer_tag: "c",
        no_local: false,
        no_ack: true,
        exclusive: false,
        nowait: true,
        arguments: TableRef::EMPTY,
    };
    assert!(client.say(&mut world, 1, &[declare, consume]).is_empty());
    let lines = client.publish(&mut world, "", "q", &PLAIN, b"m");
    assert_eq!(deliveries(&lines), ["c 1 new m"]);
}
