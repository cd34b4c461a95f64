//! From the protocol header to connection.open, heartbeats, and the ends of connections.

use amqp::{ChannelNumber, FrameMax, Method, Table, TableRef, encode};
use gateway::amqp::{AmqpDoor, Settings};
use gateway::door::{Alarms, Closing, Wire};

use crate::amqp_client::{Client, PLAIN, declare, exclusive, passive, world};
use crate::world::World;

fn start_ok<'a>(mechanism: &'a str, response: &'a [u8], properties: TableRef<'a>) -> Method<'a> {
    Method::ConnectionStartOk {
        client_properties: properties,
        mechanism,
        response,
        locale: "en_US",
    }
}

#[test]
fn a_foreign_header_is_answered_by_ours() {
    for (header, answer) in [
        (b"AMQP\x00\x00\x0a\x00", b"AMQP\x00\x00\x09\x01"),
        (b"GET / HT", b"AMQP\x03\x01\x00\x00"),
    ] {
        let mut world = world();
        let session = world.connect(Wire::Amqp);
        world.send(session, header);
        assert_eq!(world.take(session), answer);
        assert_eq!(world.closing(session), Some(Closing::Sent));
    }
}

#[test]
fn who_is_refused_hears_so_only_if_it_can() {
    let capable = Table::new()
        .with(
            "capabilities",
            Table::new().with("authentication_failure_close", true),
        )
        .to_bytes();
    let capable = TableRef::parse(&capable).unwrap();
    let refusal = "0 connection.close 403 ACCESS_REFUSED - Login was refused using \
                   authentication mechanism PLAIN. For details see the broker logfile. (0/0)";
    for (mechanism, response, properties, heard) in [
        ("PLAIN", &b"\0guest\0wrong"[..], capable, Some(refusal)),
        ("PLAIN", b"\0guest\0", capable, Some(refusal)),
        ("PLAIN", b"\0guest\0wrong", TableRef::EMPTY, None),
        ("PLAIN", b"guest", capable, None),
        ("ANONYMOUS", b"", capable, None),
    ] {
        let mut world = world();
        let mut client = Client::connect(&mut world);
        world.send(client.session, b"AMQP\x01\x01\x00\x09");
        assert_eq!(client.hear(&mut world), ["0 connection.start"]);
        let lines = client.say(&mut world, 0, &[start_ok(mechanism, response, properties)]);
        assert_eq!(
            lines.first().map(String::as_str),
            heard,
            "{mechanism} {response:?}"
        );
        assert!(matches!(
            world.closing(client.session),
            Some(Closing::Grace { .. })
        ));
    }
}

#[test]
fn amqplain_is_served() {
    let mut world = world();
    let mut client = Client::connect(&mut world);
    world.send(client.session, b"AMQP\x00\x00\x09\x01");
    let response = Table::new()
        .with("LOGIN", "guest")
        .with("PASSWORD", "guest")
        .to_bytes();
    let lines = client.say(
        &mut world,
        0,
        &[start_ok("AMQPLAIN", &response, TableRef::EMPTY)],
    );
    assert_eq!(
        lines,
        ["0 connection.start", "0 connection.tune 2047 131072 60"]
    );
}

#[test]
fn what_cannot_be_tuned_or_opened_is_refused() {
    let tune = |frame_max| Method::ConnectionTuneOk {
        channel_max: 10,
        frame_max,
        heartbeat: 0,
    };
    let open = |vhost| Method::ConnectionOpen { vhost };
    for (methods, expected) in [
        (
            vec![tune(100)],
            "0 connection.close 530 NOT_ALLOWED - negotiated frame_max = 100 is lower than the \
             minimum allowed value (4096) (10/31)",
        ),
        (
            vec![tune(8192), open("elsewhere")],
            "0 connection.close 530 NOT_ALLOWED - vhost elsewhere not found (10/40)",
        ),
        (
            vec![tune(8192), open("/"), open("/")],
            "0 connection.close 504 CHANNEL_ERROR - unexpected method in connection state \
             running (10/40)",
        ),
    ] {
        let mut world = world();
        let mut client = Client::connect(&mut world);
        world.send(client.session, b"AMQP\x00\x00\x09\x01");
        client.say(
            &mut world,
            0,
            &[start_ok("PLAIN", b"\0guest\0guest", TableRef::EMPTY)],
        );
        let lines = client.say(&mut world, 0, &methods);
        assert_eq!(lines.last().unwrap(), expected);
    }
}

#[test]
fn a_handshake_has_ten_seconds() {
    let mut world = world();
    let client = Client::connect(&mut world);
    world.send(client.session, b"AMQP\x00\x00\x09\x01");
    world.pass_time(9_999);
    assert_eq!(world.closing(client.session), None);
    world.pass_time(1);
    assert_eq!(world.closing(client.session), Some(Closing::Now));
}

#[test]
fn heartbeats_are_sent_and_awaited() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    world.pass_time(30_000);
    client.hear(&mut world);
    world.pass_time(60_000);
    assert_eq!(client.hear(&mut world), ["heartbeat", "heartbeat"]);
    let mut beat = Vec::new();
    encode::heartbeat(&mut beat);
    world.send(client.session, &beat);
    world.pass_time(120_000);
    assert_eq!(world.closing(client.session), None);
    world.pass_time(60_000);
    assert_eq!(world.closing(client.session), Some(Closing::Now));
}

#[test]
fn what_is_exclusive_goes_before_the_answer_to_a_close() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let mut other = Client::open(&mut world);
    client.say(&mut world, 1, &[exclusive("mine")]);
    let locked = "1 channel.close 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked \
                  queue 'mine' in vhost '/'. It could be originally declared on another \
                  connection or the exclusive property value does not match that of the original \
                  declaration. (50/10)";
    assert_eq!(other.say(&mut world, 1, &[passive("mine")]), [locked]);
    let close = Method::ConnectionClose {
        reply_code: 200,
        reply_text: "bye",
        class_id: 0,
        method_id: 0,
    };
    assert_eq!(
        client.say(&mut world, 0, &[close]),
        ["0 connection.close-ok"]
    );
    assert_eq!(world.closing(client.session), Some(Closing::Sent));
    let missing = "1 channel.close 404 NOT_FOUND - no queue 'mine' in vhost '/' (50/10)";
    let lines = other.say(
        &mut world,
        1,
        &[Method::ChannelCloseOk, Method::ChannelOpen, passive("mine")],
    );
    assert_eq!(lines, ["1 channel.open-ok", missing]);
}

#[test]
fn channels_are_counted_and_told_apart() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let lines = client.say(&mut world, 1, &[Method::ChannelOpen]);
    let second = "0 connection.close 504 CHANNEL_ERROR - second 'channel.open' seen (20/10)";
    assert_eq!(lines, [second]);
    let lines = client.say(&mut world, 1, &[declare("late")]);
    assert!(
        lines.is_empty(),
        "nothing is heard of a connection that is being closed"
    );
    client.say(&mut world, 0, &[Method::ConnectionCloseOk]);
    assert_eq!(world.closing(client.session), Some(Closing::Sent));

    let mut client = Client::open(&mut world);
    let lines = client.say(&mut world, 7, &[declare("q")]);
    assert_eq!(
        lines,
        ["0 connection.close 504 CHANNEL_ERROR - expected 'channel.open' (50/10)"]
    );
}

#[test]
fn a_broken_wire_is_told_why() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    world.send(client.session, &[9, 0, 0, 0, 0, 0, 0, 0xCE]);
    assert_eq!(
        client.hear(&mut world),
        ["0 connection.close 501 FRAME_ERROR - type 9, all octets = <<>>: unknown_frame (0/0)"]
    );
}

#[test]
fn only_what_works_is_announced() {
    let mut world = world();
    let session = world.connect(Wire::Amqp);
    world.send(session, b"AMQP\x00\x00\x09\x01");
    let bytes = world.take(session);
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    assert!(has(b"RabbitMQ") && has(b"connection.blocked") && has(b"consumer_priorities"));
    assert!(!has(b"direct_reply_to"));
}

#[test]
fn the_end_of_the_server_is_told() {
    let mut world = World::new(vec![(
        Wire::Amqp,
        Box::new(AmqpDoor::new(Settings::default())),
    )]);
    let mut client = Client::open(&mut world);
    world.stop();
    let expected = "0 connection.close 320 CONNECTION_FORCED - broker forced connection closure \
                    with reason 'shutdown' (0/0)";
    assert_eq!(client.hear(&mut world), [expected]);
}

#[test]
fn an_alarm_stops_publishers_before_the_message_that_shows_them() {
    let (memory, disk) = (true, true);
    for (alarms, reason) in [
        (
            Alarms {
                memory,
                disk: false,
            },
            "low on memory",
        ),
        (
            Alarms {
                memory: false,
                disk,
            },
            "low on disk",
        ),
        (Alarms { memory, disk }, "low on memory & disk"),
    ] {
        let mut world = world();
        let mut earlier = Client::open(&mut world);
        earlier.say(&mut world, 1, &[declare("q")]);
        world.alarm(alarms);
        assert!(earlier.hear(&mut world).is_empty(), "nobody has published");
        let mut client = Client::connect(&mut world);
        world.send(client.session, b"AMQP\x00\x00\x09\x01");
        client.shake_hands(&mut world, &["connection.blocked"]);
        client.say(&mut world, 1, &[Method::ChannelOpen, declare("q")]);
        let blocked = [format!("0 connection.blocked {reason}")];
        assert_eq!(client.publish(&mut world, "", "q", &PLAIN, b"1"), blocked);
        assert!(world.rests(client.session), "its socket is not read");
        assert!(client.publish(&mut world, "", "q", &PLAIN, b"2").is_empty());
        assert!(client.say(&mut world, 1, &[passive("q")]).is_empty());
        // Who only consumes goes on; who cannot be told is blocked all the same. Nothing that was
        // published under the alarm is stored.
        let lines = earlier.say(&mut world, 1, &[passive("q")]);
        assert_eq!(lines, ["1 queue.declare-ok q 0 0"]);
        assert!(
            earlier
                .publish(&mut world, "", "q", &PLAIN, b"3")
                .is_empty()
        );
        assert!(world.rests(earlier.session));
        world.alarm(Alarms { memory, disk });
        assert!(client.hear(&mut world).is_empty(), "it is told one reason");
        world.alarm(Alarms::NONE);
        let lines = client.hear(&mut world);
        assert_eq!(
            lines,
            ["0 connection.unblocked", "1 queue.declare-ok q 3 0"]
        );
        assert!(!world.rests(client.session) && !world.rests(earlier.session));
        assert!(client.publish(&mut world, "", "q", &PLAIN, b"4").is_empty());
        let lines = client.say(&mut world, 1, &[passive("q")]);
        assert_eq!(lines, ["1 queue.declare-ok q 4 0"]);
    }
}

/// A message whose parts come before and under the alarm, behind methods that are carried out.
#[test]
fn an_alarm_withholds_what_has_only_begun_to_come() {
    let publish = Method::BasicPublish {
        exchange: "",
        routing_key: "q",
        mandatory: false,
        immediate: false,
    };
    let (mut begun, mut whole) = (Vec::new(), Vec::new());
    encode::method(&mut begun, ChannelNumber(1), &publish);
    let properties = PLAIN.to_bytes().unwrap();
    let (channel, frame_max) = (ChannelNumber(1), FrameMax::BEFORE_TUNE);
    encode::content(
        &mut whole,
        channel,
        &publish,
        &properties,
        b"body",
        frame_max,
    );
    for taken in [0, begun.len()] {
        let mut world = world();
        let mut client = Client::open(&mut world);
        client.say(&mut world, 1, &[declare("q")]);
        world.send(client.session, &whole[..taken]);
        world.alarm(Alarms {
            memory: false,
            disk: true,
        });
        let mut bytes = Vec::new();
        if taken == 0 {
            encode::method(&mut bytes, channel, &passive("q"));
        }
        bytes.extend_from_slice(&whole[taken..]);
        world.send(client.session, &bytes);
        let answered: &[&str] = match taken {
            0 => &["1 queue.declare-ok q 0 0"],
            _ => &[],
        };
        assert_eq!(client.hear(&mut world), answered);
        assert!(world.rests(client.session));
        let mut other = Client::open(&mut world);
        let waiting = |world: &mut World, other: &mut Client| other.say(world, 1, &[passive("q")]);
        assert_eq!(
            waiting(&mut world, &mut other),
            ["1 queue.declare-ok q 0 0"]
        );
        world.alarm(Alarms::NONE);
        assert_eq!(
            waiting(&mut world, &mut other),
            ["1 queue.declare-ok q 1 0"]
        );
    }
}

#[test]
fn a_blocked_publisher_can_be_closed() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("q")]);
    world.alarm(Alarms {
        memory: true,
        disk: false,
    });
    client.publish(&mut world, "", "q", &PLAIN, b"1");
    assert!(world.rests(client.session));
    world.stop();
    assert_eq!(client.hear(&mut world).len(), 1);
    assert!(!world.rests(client.session), "close-ok is to be read");
}

#[test]
fn a_full_disk_refuses_what_is_promised() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(
        &mut world,
        1,
        &[declare("q"), Method::ConfirmSelect { nowait: false }],
    );
    world.disk_full(true);
    assert_eq!(
        client.publish(&mut world, "", "q", &PLAIN, b"1"),
        ["1 basic.nack 1"]
    );
    world.disk_full(false);
    assert_eq!(
        client.publish(&mut world, "", "q", &PLAIN, b"2"),
        ["1 basic.ack 2"]
    );
}
