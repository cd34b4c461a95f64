//! Confirms, returns, expiry, dead letters, restarts.

use amqp::{BasicProperties, Method, Table, TableRef, Value};

use crate::amqp_client::{
    Client, PERSISTENT, PLAIN, ack, bind, declare, declare_with, doors, exclusive, get, passive,
    world,
};

const CONFIRM: Method<'static> = Method::ConfirmSelect { nowait: false };

#[test]
fn confirms_count_from_one_and_follow_returns() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("q"), CONFIRM]);
    for (properties, key, expected) in [
        (PERSISTENT, "q", &["1 basic.ack 1"][..]),
        (PLAIN, "q", &["1 basic.ack 2"]),
        (
            PLAIN,
            "no",
            &["1 basic.return 312 NO_ROUTE \"\" no: m", "1 basic.ack 3"],
        ),
    ] {
        assert_eq!(
            client.publish(&mut world, "", key, &properties, b"m"),
            expected
        );
    }
    assert_eq!(
        client.say(&mut world, 1, &[passive("q")]),
        ["1 queue.declare-ok q 2 0"]
    );
}

#[test]
fn what_was_confirmed_outlives_the_process() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("q"), exclusive("gone"), CONFIRM]);
    for body in [b"1", b"2", b"3"] {
        client.publish(&mut world, "", "q", &PERSISTENT, body);
    }
    client.say(&mut world, 1, &[get("q"), ack(1)]);
    let close = Method::ChannelClose {
        reply_code: 200,
        reply_text: "",
        class_id: 0,
        method_id: 0,
    };
    assert_eq!(client.say(&mut world, 1, &[close]), ["1 channel.close-ok"]);
    world.crash(doors());
    let mut client = Client::open(&mut world);
    let lines = client.say(&mut world, 1, &[get("q"), get("q"), get("q")]);
    let bodies: Vec<_> = lines
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(bodies, ["2", "3", "basic.get-empty"]);
    let lines = client.say(&mut world, 1, &[passive("gone")]);
    assert!(lines[0].contains("404 NOT_FOUND"), "{lines:?}");
}

#[test]
fn faulty_messages_are_refused() {
    let cc = Table::new().with("CC", "text").to_bytes();
    for (exchange, properties, expected) in [
        ("no", PLAIN, "404 NOT_FOUND - no exchange 'no' in vhost '/'"),
        (
            "forbidden",
            PLAIN,
            "403 ACCESS_REFUSED - write access to exchange 'forbidden' in vhost '/' refused for \
             user 'guest'",
        ),
        (
            "",
            BasicProperties {
                expiration: Some(b"z"),
                ..PLAIN
            },
            "406 PRECONDITION_FAILED - invalid expiration 'z': no_integer",
        ),
        (
            "",
            BasicProperties {
                user_id: Some(b"admin"),
                ..PLAIN
            },
            "406 PRECONDITION_FAILED - user_id property set to 'admin' but authenticated user was \
             'guest'",
        ),
        (
            "",
            BasicProperties {
                headers: TableRef::parse(&cc).ok(),
                ..PLAIN
            },
            "406 PRECONDITION_FAILED - invalid message: \
             {unacceptable_type_in_header,\"CC\",longstr}",
        ),
        (
            "",
            BasicProperties {
                reply_to: Some(b"amq.rabbitmq.reply-to"),
                ..PLAIN
            },
            "406 PRECONDITION_FAILED - fast reply consumer does not exist",
        ),
    ] {
        let mut world = world();
        let mut client = Client::open(&mut world);
        let lines = client.publish(&mut world, exchange, "q", &properties, b"");
        assert_eq!(lines, [format!("1 channel.close {expected} (60/40)")]);
    }
}

#[test]
fn copies_are_hidden_or_not() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let keys = |key: &str| Value::Array(vec![Value::from(key)]);
    let headers = Table::new()
        .with("CC", keys("b"))
        .with("BCC", keys("c"))
        .to_bytes();
    let properties = BasicProperties {
        headers: TableRef::parse(&headers).ok(),
        ..PLAIN
    };
    client.say(&mut world, 1, &[declare("a"), declare("b"), declare("c")]);
    client.publish(&mut world, "", "a", &properties, b"m");
    for queue in ["a", "b", "c"] {
        let lines = client.say(&mut world, 1, &[get(queue)]);
        assert!(
            lines[0].contains(" \"\" a left=0 ") && lines[0].ends_with(": m"),
            "{lines:?}"
        );
        assert!(
            lines[0].contains("\"CC\"") && !lines[0].contains("BCC"),
            "{lines:?}"
        );
    }
}

#[test]
fn the_dead_carry_their_history() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let work = Table::new()
        .with("x-dead-letter-exchange", "amq.fanout")
        .to_bytes();
    let work = declare_with("work", TableRef::parse(&work).unwrap());
    client.say(
        &mut world,
        1,
        &[work, declare("dead"), bind("dead", "amq.fanout", "")],
    );
    client.publish(&mut world, "", "work", &PERSISTENT, b"bad");
    client.say(&mut world, 1, &[get("work")]);
    let reject = Method::BasicReject {
        delivery_tag: amqp::DeliveryTag(1),
        requeue: false,
    };
    client.say(&mut world, 1, &[reject]);
    let lines = client.say(&mut world, 1, &[get("dead")]);
    assert!(
        lines[0].starts_with("1 basic.get-ok 2 new \"amq.fanout\" work left=0"),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("x-death") && lines[0].contains("x-first-death-queue"),
        "{lines:?}"
    );

    let properties = BasicProperties {
        expiration: Some(b"100"),
        ..PLAIN
    };
    client.publish(&mut world, "", "work", &properties, b"late");
    world.pass_time(99);
    assert_eq!(
        client.say(&mut world, 1, &[get("dead")]),
        ["1 basic.get-empty"]
    );
    world.pass_time(20);
    let lines = client.say(&mut world, 1, &[get("dead")]);
    assert!(
        lines[0].ends_with(": late") && lines[0].contains("original-expiration"),
        "{lines:?}"
    );
}

#[test]
fn large_bodies_come_back_whole() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[exclusive("q")]);
    for size in [0, 131_063, 131_064, 131_065, 1_000_000] {
        let body: Vec<u8> = (0..size).map(|at| b'a' + (at % 23) as u8).collect();
        client.publish(&mut world, "", "q", &PLAIN, &body);
        let lines = client.say(&mut world, 1, &[get("q")]);
        assert!(lines[0].ends_with(str::from_utf8(&body).unwrap()), "{size}");
    }
}

/// Keys of `CC` are part of the history; the header goes when a dead-letter key replaces it.
#[test]
fn copies_die_with_their_message() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let keep = Table::new()
        .with("x-dead-letter-exchange", "amq.fanout")
        .to_bytes();
    let replace = Table::new()
        .with("x-dead-letter-exchange", "amq.fanout")
        .with("x-dead-letter-routing-key", "new")
        .to_bytes();
    let keep = declare_with("keep", TableRef::parse(&keep).unwrap());
    let replace = declare_with("replace", TableRef::parse(&replace).unwrap());
    let bound = bind("dead", "amq.fanout", "");
    client.say(&mut world, 1, &[keep, replace, declare("dead"), bound]);
    let headers = Table::new()
        .with("BCC", vec![Value::from("unseen")])
        .with("CC", vec![Value::from("copy")])
        .to_bytes();
    let properties = BasicProperties {
        headers: TableRef::parse(&headers).ok(),
        ..PLAIN
    };
    for (queue, tag, has_copies) in [("keep", 1, true), ("replace", 3, false)] {
        client.publish(&mut world, "", queue, &properties, b"m");
        let reject = Method::BasicReject {
            delivery_tag: amqp::DeliveryTag(tag),
            requeue: false,
        };
        client.say(&mut world, 1, &[get(queue)]);
        client.say(&mut world, 1, &[reject]);
        let lines = client.say(&mut world, 1, &[get("dead")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let keys = format!(
            "\"routing-keys\": Array([LongString({:?}), LongString({:?})])",
            queue.as_bytes(),
            b"copy"
        );
        assert!(lines[0].contains(&keys), "{lines:?}");
        assert_eq!(lines[0].contains("CC"), has_copies, "{lines:?}");
    }
}

/// Without a dead-letter key the keys of `CC` and `BCC` lead somewhere again.
#[test]
fn the_dead_go_where_their_copies_lead() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let arguments = Table::new()
        .with("x-dead-letter-exchange", "amq.direct")
        .to_bytes();
    let keep = declare_with("keep", TableRef::parse(&arguments).unwrap());
    let names = ["own", "shown", "hidden"];
    client.say(&mut world, 1, &[keep]);
    for (name, key) in names.into_iter().zip(["keep", "copy", "unseen"]) {
        let bound = bind(name, "amq.direct", key);
        client.say(&mut world, 1, &[declare(name), bound]);
    }
    let headers = Table::new()
        .with("BCC", vec![Value::from("unseen")])
        .with("CC", vec![Value::from("copy")])
        .to_bytes();
    let properties = BasicProperties {
        headers: TableRef::parse(&headers).ok(),
        ..PLAIN
    };
    client.publish(&mut world, "", "keep", &properties, b"m");
    let reject = Method::BasicReject {
        delivery_tag: amqp::DeliveryTag(1),
        requeue: false,
    };
    client.say(&mut world, 1, &[get("keep")]);
    client.say(&mut world, 1, &[reject]);
    for name in names {
        let lines = client.say(&mut world, 1, &[get(name)]);
        assert!(lines[0].contains("x-death"), "{name}: {lines:?}");
        assert!(!lines[0].contains("unseen"), "{name}: {lines:?}");
    }
}
