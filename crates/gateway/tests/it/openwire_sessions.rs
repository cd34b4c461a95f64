//! Coming in, staying and going.

use gateway::door::{Closing, Wire};
use openwire::*;

use crate::openwire_client::{Client, doors, queue, topic, world};

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn every_version_and_encoding_is_spoken() {
    for version in 1..=12 {
        for (tight, cache) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut world = world();
            let options = WireFormatOptions {
                version,
                tight_encoding_enabled: tight,
                cache_enabled: cache,
                cache_size: 200,
                ..Client::plain()
            };
            let mut client = Client::negotiate(&mut world, "ID:c", &options);
            assert_eq!(client.connect(&mut world), ["Response 1"]);
            client.say(&mut world, [client.session_info(1)]);
            assert_eq!(
                client.consume(&mut world, 1, queue("q"), 10),
                ["Response 3"]
            );
            for number in 0..20 {
                let text = format!("m{number}");
                let heard = client.send(&mut world, queue("q"), &text);
                let at = client.given.len() - 1;
                assert_eq!(
                    heard.len(),
                    2,
                    "version {version} tight {tight} cache {cache}"
                );
                assert!(
                    heard.contains(&format!("Dispatch 1 queue://q {text}")),
                    "{heard:?}"
                );
                let ack = client.ack(AckType::Standard, at, at);
                client.say(&mut world, [Command::MessageAck(ack)]);
                assert_eq!(client.hear(&mut world), nothing());
            }
        }
    }
}

#[test]
fn who_may_come_in() {
    let mut world = world();
    let mut admin = Client::negotiate(&mut world, "ID:a", &Client::plain());
    let mut info = admin.connection_info();
    info.user_name = Some("admin".into());
    info.password = Some("wrong".into());
    assert_eq!(
        admin.ask(&mut world, Command::ConnectionInfo(info.clone())),
        ["ExceptionResponse 1 SecurityException: User name [admin] or password is invalid."]
    );
    info.password = Some("admin".into());
    assert_eq!(
        admin.ask(&mut world, Command::ConnectionInfo(info.clone())),
        ["ExceptionResponse 2 IllegalStateException: The connection is closed"]
    );
    assert_eq!(
        admin.ask(&mut world, admin.session_info(1)),
        ["ExceptionResponse 3 IllegalStateException: The connection is not registered"]
    );
    assert_eq!(world.closing(admin.session), None);
    world.pass_time(2_000);
    assert_eq!(world.closing(admin.session), Some(Closing::Sent));

    let mut admin = Client::negotiate(&mut world, "ID:a", &Client::plain());
    info.manageable = true;
    assert_eq!(
        admin.ask(&mut world, Command::ConnectionInfo(info)),
        ["Response 1", "ConnectionControl"]
    );
    admin.say(&mut world, [admin.session_info(1)]);
    assert_eq!(
        admin.send(&mut world, queue("forbidden.q"), "m"),
        [
            "ExceptionResponse 3 SecurityException: User admin is not authorized to write to: \
          queue://forbidden.q"
        ]
    );
    assert_eq!(
        admin.consume(&mut world, 1, queue("forbidden.q"), 1),
        [
            "ExceptionResponse 4 SecurityException: User admin is not authorized to read from: \
          queue://forbidden.q"
        ]
    );
}

#[test]
fn client_ids_are_unique_and_a_connection_may_come_back() {
    let mut world = world();
    let mut first = Client::open(&mut world, "ID:1");
    assert_eq!(first.consume(&mut world, 1, queue("q"), 10), ["Response 3"]);
    assert_eq!(first.send(&mut world, queue("q"), "m").len(), 2);

    let mut other = Client::negotiate(&mut world, "ID:2", &Client::plain());
    let mut info = other.connection_info();
    info.client_id = None;
    let heard = other.ask(&mut world, Command::ConnectionInfo(info.clone()));
    assert_eq!(
        heard,
        [
            "ExceptionResponse 1 InvalidClientIDException: No clientID specified for connection \
          request"
        ]
    );
    let mut other = Client::negotiate(&mut world, "ID:2", &Client::plain());
    info.client_id = Some("client-ID:1".into());
    assert_eq!(
        other.ask(&mut world, Command::ConnectionInfo(info)),
        [
            "ExceptionResponse 1 InvalidClientIDException: Broker: localhost - Client: client-ID:1 \
          already connected from tcp://127.0.0.1:50000"
        ]
    );

    // The same connection on a new socket wins; what the old one held comes again.
    let mut again = Client::negotiate(&mut world, "ID:1", &Client::plain());
    assert_eq!(again.connect(&mut world), ["Response 1"]);
    assert_eq!(world.closing(first.session), Some(Closing::Now));
    again.say(&mut world, [again.session_info(1)]);
    let heard = again.consume(&mut world, 1, queue("q"), 10);
    assert!(
        heard.contains(&"Dispatch 1 queue://q m again=1".to_owned()),
        "{heard:?}"
    );
    world.hang_up(first.session);
    assert_eq!(again.send(&mut world, queue("q"), "n").len(), 2);
}

#[test]
fn silence_is_broken_and_not_endured() {
    let mut world = world();
    let dumb = world.connect(Wire::Openwire);
    world.pass_time(29_999);
    assert_eq!(world.closing(dumb), None);
    world.pass_time(1);
    assert_eq!(world.closing(dumb), Some(Closing::Now));

    let mut client = Client::open(&mut world, "ID:1");
    world.pass_time(10_000);
    assert_eq!(client.hear(&mut world), ["KeepAliveInfo"]);
    assert_eq!(
        client.ask(&mut world, Command::KeepAliveInfo(KeepAliveInfo::default())),
        ["KeepAliveInfo"]
    );
    world.pass_time(30_000);
    assert_eq!(world.closing(client.session), None);
    world.pass_time(2);
    assert_eq!(world.closing(client.session), Some(Closing::Now));
    assert_eq!(client.hear(&mut world).len(), 3);
}

#[test]
fn broken_bytes_end_the_connection() {
    let mut world = world();
    let session = world.connect(Wire::Openwire);
    world.send(session, &[0, 0, 0x20, 1, 1]);
    assert!(
        world.closing(session).is_some(),
        "more than 8 KB before the login"
    );
    let session = world.connect(Wire::Openwire);
    world.send(session, &[0, 0, 0, 2, 10, 0]);
    assert!(
        world.closing(session).is_some(),
        "a keep-alive before the negotiation"
    );

    let client = Client::open(&mut world, "ID:1");
    world.send(client.session, &[0, 0, 0, 0, 0]);
    assert!(world.closing(client.session).is_some());
}

#[test]
fn what_was_not_opened_is_refused() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    let mut info = client.consumer(1, queue("q"), 1);
    info.consumer_id.as_mut().unwrap().session_id = 7;
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(info)),
        [
            "ExceptionResponse 3 IllegalStateException: Cannot add a consumer to a session that had \
          not been registered: ID:1:7"
        ]
    );
    let consumer = client.consumer_id(9);
    client.say(&mut world, [client.remove(consumer, 0)]);
    assert_eq!(
        client.hear(&mut world),
        [
            "ConnectionError IllegalStateException: Cannot remove a consumer that had not been \
          registered: ID:1:1:9"
        ]
    );
    let mut info = client.consumer(1, queue("q"), 1);
    info.selector = Some("a = ".into());
    assert_eq!(
        client.ask(&mut world, Command::ConsumerInfo(info)),
        ["ExceptionResponse 5 InvalidSelectorException: a = "]
    );
    assert_eq!(
        client.send(
            &mut world,
            Destination::new(DestinationKind::TempQueue, "ID:gone"),
            "m"
        ),
        ["ExceptionResponse 6 DestinationDoesNotExistException: temp-queue://ID:gone"]
    );
    assert_eq!(
        client.send(&mut world, queue(""), "m"),
        ["ExceptionResponse 7 InvalidDestinationException: Invalid destination name: 'queue://'"]
    );
    let long = "n".repeat(300);
    let heard = client.send(&mut world, queue(&long), "m");
    assert!(
        heard[0].starts_with("ExceptionResponse 8 ResourceAllocationException"),
        "{heard:?}"
    );
}

#[test]
fn a_server_that_stops_says_goodbye() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    world.stop();
    assert_eq!(client.hear(&mut world), ["ShutdownInfo"]);
}

#[test]
fn an_orderly_end_is_answered_first() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    assert_eq!(
        client.consume(&mut world, 1, topic("t"), 10),
        ["Response 3"]
    );
    let id = ConnectionId {
        value: "ID:1".into(),
    };
    assert_eq!(client.ask(&mut world, client.remove(id, 0)), ["Response 4"]);
    assert_eq!(world.closing(client.session), None);
    client.say(&mut world, [Command::ShutdownInfo(ShutdownInfo::default())]);
    assert_eq!(world.closing(client.session), Some(Closing::Sent));
    world.hang_up(client.session);
    let mut again = Client::open(&mut world, "ID:1");
    assert_eq!(again.consume(&mut world, 1, topic("t"), 10), ["Response 3"]);
}

#[test]
fn a_failover_client_resends_and_nothing_is_doubled() {
    let mut world = world();
    let connect = |world: &mut crate::world::World, reconnect: bool| {
        let mut client = Client::negotiate(world, "ID:f", &Client::plain());
        let control = ConnectionControl {
            fault_tolerant: true,
            ..ConnectionControl::default()
        };
        client.say(world, [Command::ConnectionControl(control)]);
        let mut info = client.connection_info();
        info.fault_tolerant = true;
        info.failover_reconnect = reconnect;
        assert_eq!(
            client.ask(world, Command::ConnectionInfo(info)),
            ["Response 2"]
        );
        client.say(world, [client.session_info(1)]);
        client
    };
    let mut client = connect(&mut world, false);
    let first = client.text(queue("q"), "first");
    let second = client.text(queue("q,q2"), "second");
    assert_eq!(
        client.ask(&mut world, Command::Message(first.clone())),
        ["Response 4"]
    );
    assert_eq!(
        client.ask(&mut world, Command::Message(second.clone())),
        ["Response 5"]
    );
    world.crash(doors());

    let mut client = connect(&mut world, true);
    for message in [first, second] {
        let heard = client.ask(&mut world, Command::Message(message));
        assert_eq!(
            heard.len(),
            1,
            "a resent message is answered as the first was"
        );
    }
    assert_eq!(client.consume(&mut world, 1, queue("q"), 0), ["Response 6"]);
    let control = ConsumerControl {
        consumer_id: Some(client.consumer_id(1)),
        destination: Some(queue("q")),
        prefetch: 1000,
        ..ConsumerControl::default()
    };
    client.say(&mut world, [Command::ConsumerControl(control)]);
    assert_eq!(
        client.hear(&mut world),
        ["Dispatch 1 queue://q first", "Dispatch 1 queue://q second"]
    );
    assert_eq!(
        client.consume(&mut world, 2, queue("q2"), 10),
        ["Response 8", "Dispatch 2 queue://q2 second"]
    );
    // Acknowledgements that are left over from before are passed over.
    let mut stale = client.ack(AckType::Standard, 0, 0);
    stale.consumer_id = Some(client.consumer_id(77));
    client.say(&mut world, [Command::MessageAck(stale)]);
    assert_eq!(client.hear(&mut world), nothing());
}

/// A bridge between brokers would wait for messages that nobody forwards.
#[test]
fn a_bridge_is_refused() {
    let mut world = world();
    let mut bridge = Client::open(&mut world, "ID:b");
    let info = BrokerInfo {
        network_connection: true,
        ..BrokerInfo::default()
    };
    bridge.tell(&mut world, &Command::BrokerInfo(info));
    let heard = bridge.hear(&mut world);
    assert!(
        heard[0].ends_with("Networks of brokers are not supported"),
        "{heard:?}"
    );
    bridge.tell(&mut world, &Command::BrokerInfo(BrokerInfo::default()));
    assert!(bridge.hear(&mut world).is_empty());
}
