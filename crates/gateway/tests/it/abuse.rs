//! Peers that want more than their share: each meets a limit that has a name, hears of it in the
//! words of its own protocol, and whoever comes behind is served.

use amqp::{ChannelNumber, Method, encode};
use broker::topology::Limits;
use gateway::door::{STRANGER_BYTES_MAX, Wire};
use openwire::{
    Command, Destination, DestinationInfo, KeepAliveInfo, MessageDispatch, MessagePull,
    ProducerInfo, WireFormatOptions,
};
use remoting::{FrameWriter, Opaque, Prefix, RequestCode as Code, Version};

use crate::amqp_client::{self, bind, consume, declare, exchange};
use crate::openwire_client::{self, queue};
use crate::remoting_client;
use crate::world::World;

/// Little room for names; the broker's own addresses take some of it.
const FEW: Limits = Limits {
    addresses: 40,
    queues: 30,
    bindings: 50,
    groups: 8,
    users: 4,
    name_bytes: 255,
};

/// Says one thing after the other until an answer speaks of a limit; returns that answer.
fn until_refused(most: usize, mut say: impl FnMut(usize) -> Vec<String>) -> String {
    for number in 0..most {
        let mut heard = say(number).into_iter();
        if let Some(line) = heard.find(|line| line.contains("reached") || line.contains("busy")) {
            return line;
        }
    }
    panic!("{most} are not too many");
}

#[test]
fn names_without_end_are_refused_over_amqp() {
    let mut world = World::limited(amqp_client::doors(), FEW);
    let mut client = amqp_client::Client::open(&mut world);
    let names: Vec<_> = (0..100).map(|n| format!("n{n}")).collect();
    client.say(&mut world, 1, &[declare("first")]);
    let mut again = |world: &mut World, method: Method<'_>| {
        let heard = client.say(world, 1, &[method]);
        if heard.iter().any(|line| line.contains("channel.close ")) {
            client.say(world, 1, &[Method::ChannelCloseOk, Method::ChannelOpen]);
        }
        heard
    };
    for (make, expected) in [
        (
            (|name| declare(name)) as fn(&str) -> Method<'_>,
            "1 channel.close 406 PRECONDITION_FAILED - queues has reached 30 (50/10)",
        ),
        (
            |name| exchange(name, "direct"),
            "1 channel.close 406 PRECONDITION_FAILED - addresses has reached 40 (40/10)",
        ),
        (
            |name| bind("first", "amq.direct", name),
            "1 channel.close 406 PRECONDITION_FAILED - bindings has reached 50 (50/20)",
        ),
    ] {
        let refused = until_refused(100, |n| again(&mut world, make(&names[n])));
        assert_eq!(refused, expected);
    }
    let mut other = amqp_client::Client::open(&mut world);
    let heard = other.publish(
        &mut world,
        "",
        "first",
        &amqp::BasicProperties::default(),
        b"x",
    );
    assert!(heard.is_empty(), "{heard:?}");
    let heard = other.say(&mut world, 1, &[amqp_client::get("first")]);
    assert!(heard[0].contains("basic.get-ok"), "{heard:?}");
}

#[test]
fn channels_and_consumers_without_end_are_refused_over_amqp() {
    let mut world = amqp_client::world();
    let mut client = amqp_client::Client::open(&mut world);
    let refused = until_refused(10, |n| {
        let mut bytes = Vec::new();
        for number in 0..500 {
            let channel = ChannelNumber(n as u16 * 500 + number + 2);
            encode::method(&mut bytes, channel, &Method::ChannelOpen);
        }
        world.send(client.session, &bytes);
        client.hear(&mut world)
    });
    assert_eq!(
        refused,
        "0 connection.close 530 NOT_ALLOWED - number of channels opened (2047) has reached the \
         negotiated channel_max (2047) (20/10)"
    );
    let mut client = amqp_client::Client::open(&mut world);
    let refused = until_refused(21, |n| {
        let name = format!("q{n}");
        let tags: Vec<_> = (0..500).map(|number| format!("c{n}-{number}")).collect();
        let mut methods = vec![declare(&name)];
        methods.extend(tags.iter().map(|tag| consume(&name, tag)));
        client.say(&mut world, 1, &methods)
    });
    assert_eq!(
        refused,
        "0 connection.close 530 NOT_ALLOWED - reached maximum (10000) of consumers per channel \
         (60/20)"
    );
}

#[test]
fn what_belongs_to_a_connection_has_an_end_over_openwire() {
    let mut world = openwire_client::world();
    let mut client = openwire_client::Client::open(&mut world, "ID:1");
    let failure = "ConnectionError ResourceAllocationException: ";
    let many = |n: usize| (n as i64 * 1_000 + 2)..(n as i64 * 1_000 + 1_002);
    let refused = until_refused(11, |n| {
        let sessions: Vec<_> = many(n).map(|value| client.session_info(value)).collect();
        client.tell_together(&mut world, &sessions);
        client.hear(&mut world)
    });
    assert_eq!(
        refused,
        format!("{failure}openwire-sessions has reached 10000")
    );
    let refused = until_refused(51, |n| {
        let producer = |value| {
            let producer_id = openwire::ProducerId {
                value,
                ..client.producer_id()
            };
            Command::ProducerInfo(ProducerInfo {
                producer_id: Some(producer_id),
                ..ProducerInfo::default()
            })
        };
        let producers: Vec<_> = many(n).map(producer).collect();
        client.tell_together(&mut world, &producers);
        client.hear(&mut world)
    });
    assert_eq!(
        refused,
        format!("{failure}openwire-producers has reached 50000")
    );
    let refused = until_refused(11, |n| {
        let to = queue(&format!("q{n}"));
        let consumer = |value| Command::ConsumerInfo(client.consumer(value, to.clone(), 0));
        let consumers: Vec<_> = many(n).map(consumer).collect();
        client.tell_together(&mut world, &consumers);
        client.hear(&mut world)
    });
    assert_eq!(
        refused,
        format!("{failure}openwire-consumers has reached 10000")
    );
    let refused = until_refused(2_000, |_| {
        let pull = MessagePull {
            consumer_id: Some(client.consumer_id(2)),
            destination: Some(queue("q0")),
            timeout: 0,
            ..MessagePull::default()
        };
        client.say(&mut world, [Command::MessagePull(pull)]);
        client.hear(&mut world)
    });
    assert_eq!(refused, format!("{failure}openwire-pulls has reached 1024"));
}

#[test]
fn names_without_end_are_refused_over_openwire() {
    let mut world = World::limited(openwire_client::doors(), FEW);
    let mut client = openwire_client::Client::open(&mut world, "ID:1");
    let refused = until_refused(100, |n| {
        client.send(&mut world, queue(&format!("q{n}")), "x")
    });
    assert!(
        refused.ends_with("ResourceAllocationException: queues has reached 30"),
        "{refused}"
    );
    // The connection goes on with what there is, and so does another one.
    assert!(client.send(&mut world, queue("q0"), "x")[0].starts_with("Response"));
    let mut other = openwire_client::Client::open(&mut world, "ID:2");
    assert!(other.send(&mut world, queue("q1"), "x")[0].starts_with("Response"));
    let parts: Vec<_> = (0..257).map(|n| format!("q{n}")).collect();
    let heard = other.send(&mut world, queue(&parts.join(",")), "x");
    assert!(heard[0].contains("at most 256 parts"), "{heard:?}");
}

#[test]
fn temporary_destinations_have_an_end_over_openwire() {
    let mut world = openwire_client::world();
    let mut client = openwire_client::Client::open(&mut world, "ID:1");
    let kind = openwire::DestinationKind::TempQueue;
    let refused = until_refused(11_000, |n| {
        let name = Destination::new(kind, format!("ID:1:{n}"));
        client.say(&mut world, [client.temporary(name, DestinationInfo::ADD)]);
        client.hear(&mut world)
    });
    let expected = "openwire-temporaries has reached 10000";
    assert!(refused.ends_with(expected), "{refused}");
    // What the connection leaves behind is nothing.
    world.hang_up(client.session);
    let mut other = openwire_client::Client::open(&mut world, "ID:2");
    let name = Destination::new(kind, "ID:2:1");
    assert_eq!(
        other.ask(&mut world, other.temporary(name, DestinationInfo::ADD)),
        ["Response 3"]
    );
}

#[test]
fn topics_groups_and_requests_without_end_are_refused_over_remoting() {
    let mut world = World::limited(remoting_client::door(), FEW);
    world.pass_time(1);
    let mut client = remoting_client::Client::new(&mut world);
    let busy = "[REJECTREQUEST]system busy, start flow control for a while: ";
    let refused = until_refused(100, |n| {
        let topic = format!("T{n}");
        vec![client.send(&mut world, &topic, 0, "", "x").remark]
    });
    assert_eq!(refused, "addresses has reached 40");
    let refused = until_refused(100, |n| {
        let group = format!(r#"{{"groupName":"G{n}"}}"#);
        let code = Code::UpdateAndCreateSubscriptionGroup;
        vec![client.ask(&mut world, code, &[], group.as_bytes()).remark]
    });
    assert_eq!(refused, "groups has reached 8");
    let mut world = remoting_client::world();
    let mut client = remoting_client::Client::new(&mut world);
    let producers: Vec<_> = (0..2_049)
        .map(|n| format!(r#"{{"groupName":"P{n}"}}"#))
        .collect();
    let beat = format!(
        r#"{{"clientID":"c","producerDataSet":[{}]}}"#,
        producers.join(",")
    );
    let heard = client.ask(&mut world, Code::HeartBeat, &[], beat.as_bytes());
    assert_eq!(
        (heard.code, heard.remark),
        (2, format!("{busy}groups of one client"))
    );

    // Pulls that wait: nothing is behind the first message.
    client.send(&mut world, "T0", 0, "", "x");
    client.beat(&mut world, "c", "CG", &["T0"]);
    let fields = remoting_client::pull_fields("T0", "1", "*", "6", "20000");
    let refused = until_refused(17_000, |_| {
        client.tell(&mut world, Code::PullMessage, &fields, &[]);
        let heard = client.take(&mut world);
        heard.into_iter().map(|answer| answer.remark).collect()
    });
    assert_eq!(refused, format!("{busy}requests of this connection"));
    let mut other = remoting_client::Client::new(&mut world);
    assert_eq!(other.send(&mut world, "T0", 0, "", "x").code, 0);
}

/// Feeds bytes in the portions in which a link reads from strangers, and tells the most that was
/// kept for them.
fn most_kept(world: &mut World, session: broker::id::SessionId, bytes: &[u8]) -> usize {
    let mut most = 0;
    let mut rest = bytes;
    while !rest.is_empty() && world.closing(session).is_none() {
        let (unread, unsent) = world.kept(session);
        let room = match unsent {
            0 => (6 << 10).min(STRANGER_BYTES_MAX - unread),
            _ => 0,
        };
        if room == 0 {
            return most;
        }
        let (portion, behind) = rest.split_at(room.min(rest.len()));
        rest = behind;
        world.send(session, portion);
        let (unread, unsent) = world.kept(session);
        most = most.max(unread + unsent);
    }
    most
}

#[test]
fn a_stranger_holds_little_over_amqp() {
    for (greeting, frame) in [
        (&b""[..], &b"AMQP"[..]),
        (b"AMQP\x00\x00\x09\x01", &[1, 0, 0, 0, 0, 0x1f, 0xf8]),
        (b"AMQP\x00\x00\x09\x01", &[8, 0, 0, 0, 0, 0, 0, 0xce]),
        (b"AMQP\x00\x00\x09\x01", &[1, 0, 0, 0, 0, 0xff, 0xff]),
    ] {
        let mut world = amqp_client::world();
        let session = world.connect(Wire::Amqp);
        world.send(session, greeting);
        world.take(session);
        world.stop_taking(session);
        let mut bytes = frame.to_vec();
        while bytes.len() < 100_000 {
            match frame[0] {
                8 => bytes.extend_from_slice(frame),
                _ => bytes.push(0),
            }
        }
        let most = most_kept(&mut world, session, &bytes);
        assert!(most <= STRANGER_BYTES_MAX, "{most} for {frame:?}");
    }
    // A frame that no stranger needs is refused at its length.
    let mut world = amqp_client::world();
    let session = world.connect(Wire::Amqp);
    world.send(session, b"AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x21\x00");
    assert!(world.closing(session).is_some());
    let mut bytes = Vec::new();
    encode::method(&mut bytes, ChannelNumber(1), &Method::ChannelOpen);
    let session = world.connect(Wire::Amqp);
    world.send(session, &[b"AMQP\x00\x00\x09\x01", &bytes[..]].concat());
    assert!(
        world.closing(session).is_some(),
        "channels before the login"
    );
}

#[test]
fn a_stranger_holds_little_over_openwire() {
    let cached = WireFormatOptions::broker("5.18.3", "test", 1 << 20);
    for options in [openwire_client::Client::plain(), cached] {
        let mut world = openwire_client::world();
        let mut client = openwire_client::Client::negotiate(&mut world, "ID:1", &options);
        client.hear(&mut world);
        world.stop_taking(client.session);
        let mut encoder = openwire::Encoder::new();
        let ours = WireFormatOptions::broker("5.18.3", "test", 104_857_600);
        encoder.switch(&openwire::negotiate(&ours, &options));
        let mut bytes = Vec::new();
        for command_id in 0..10_000 {
            let mut alive = KeepAliveInfo::default();
            alive.base.command_id = command_id;
            alive.base.response_required = true;
            let alive = Command::KeepAliveInfo(alive);
            encoder.encode(&alive, &mut bytes).unwrap();
        }
        let most = most_kept(&mut world, client.session, &bytes);
        assert!((2_000..=STRANGER_BYTES_MAX).contains(&most), "{most}");
        assert_eq!(world.closing(client.session), None);
        // It goes on when it reads.
        let (_, before) = world.kept(client.session);
        world.take(client.session);
        world.send(client.session, &[]);
        assert!(world.kept(client.session).1 > before / 2);
    }
}

#[test]
fn a_stranger_fills_no_cache_over_openwire() {
    let options = WireFormatOptions {
        tight_encoding_enabled: false,
        cache_size: 16_000,
        ..WireFormatOptions::broker("5.18.3", "test", 1 << 20)
    };
    let mut world = openwire_client::world();
    let client = openwire_client::Client::negotiate(&mut world, "ID:1", &options);
    let mut encoder = openwire::Encoder::new();
    let ours = WireFormatOptions::broker("5.18.3", "test", 104_857_600);
    encoder.switch(&openwire::negotiate(&ours, &options));
    for number in 0.. {
        assert!(
            number < 10,
            "a stranger may cache {number} names of 4000 bytes"
        );
        let dispatch = MessageDispatch {
            destination: Some(queue(&format!("{number}{}", "n".repeat(4_000)))),
            ..MessageDispatch::default()
        };
        let mut bytes = Vec::new();
        let dispatch = Command::MessageDispatch(dispatch);
        encoder.encode(&dispatch, &mut bytes).unwrap();
        world.send(client.session, &bytes);
        if world.closing(client.session).is_some() {
            break;
        }
    }
}

#[test]
fn a_stranger_holds_little_over_remoting() {
    let mut world = remoting_client::world();
    let session = world.connect_from(Wire::Remoting, [10, 0, 0, 1]);
    world.stop_taking(session);
    let mut bytes = Vec::new();
    for number in 0..1_000 {
        let prefix = Prefix::request(Code::HeartBeat, Opaque(number), Version::V5_3_3);
        FrameWriter::begin(&mut bytes, prefix).finish().unwrap();
    }
    let most = most_kept(&mut world, session, &bytes);
    assert!((2_000..=STRANGER_BYTES_MAX).contains(&most), "{most}");
    let session = world.connect_from(Wire::Remoting, [10, 0, 0, 1]);
    world.send(session, &[0, 0, 0x10, 0]);
    assert!(world.closing(session).is_some(), "more than 4 KB");
}

#[test]
fn a_byte_a_second_does_not_prolong_a_handshake() {
    let info = Command::WireFormatInfo(openwire_client::Client::plain().to_info());
    let mut negotiation = Vec::new();
    let mut encoder = openwire::Encoder::new();
    encoder.encode(&info, &mut negotiation).unwrap();
    for (mut world, wire, bytes, seconds) in [
        (
            amqp_client::world(),
            Wire::Amqp,
            &b"AMQP\x00\x00\x09\x01\x01\x00\x00\x00\x00\x10"[..],
            10,
        ),
        (openwire_client::world(), Wire::Openwire, &negotiation, 30),
    ] {
        let session = world.connect(wire);
        for (second, byte) in bytes.iter().chain(&[0; 60]).enumerate().take(60) {
            let is_over = second >= seconds;
            assert_eq!(
                world.closing(session).is_some(),
                is_over,
                "{wire:?} {second}"
            );
            world.send(session, &[*byte]);
            world.pass_time(1_000);
        }
    }
}
