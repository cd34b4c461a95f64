//! Exchanges, queues and bindings.

use amqp::{Method, Table, TableRef, Value};

use crate::amqp_client::{
    Client, PLAIN, bind, consume, declare, declare_with, exchange, exclusive, get, passive, world,
};
use crate::world::World;

/// Closed by the server: the channel is opened again.
fn refused(client: &mut Client, world: &mut World, method: Method<'_>) -> String {
    let lines = client.say(world, 1, &[method]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    client.say(world, 1, &[Method::ChannelCloseOk, Method::ChannelOpen]);
    lines[0].clone()
}

#[test]
fn queues_are_declared_again_only_alike() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let ttl = Table::new()
        .with("x-message-ttl", 1000)
        .with("mine", "kept")
        .to_bytes();
    let ttl = TableRef::parse(&ttl).unwrap();
    let long = Table::new()
        .with("x-message-ttl", Value::I64(1000))
        .to_bytes();
    let long = TableRef::parse(&long).unwrap();
    let ok = ["1 queue.declare-ok q 0 0"];
    assert_eq!(client.say(&mut world, 1, &[declare_with("q", ttl)]), ok);
    assert_eq!(client.say(&mut world, 1, &[declare_with("q", long)]), ok);
    assert_eq!(client.say(&mut world, 1, &[passive("q")]), ok);
    let pre = "1 channel.close 406 PRECONDITION_FAILED - inequivalent arg";
    let of = "for queue 'q' in vhost '/': received";
    assert_eq!(
        refused(&mut client, &mut world, declare("q")),
        format!(
            "{pre} 'x-message-ttl' {of} none but current is the value '1000' of type 'signedint' \
             (50/10)"
        )
    );
    let transient = Method::QueueDeclare {
        queue: "q",
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: ttl,
    };
    assert_eq!(
        refused(&mut client, &mut world, transient),
        format!("{pre} 'durable' {of} 'false' but current is 'true' (50/10)")
    );
    assert!(refused(&mut client, &mut world, exclusive("q")).contains(" 405 RESOURCE_LOCKED "));
    assert_eq!(
        refused(&mut client, &mut world, declare("amq.mine")),
        "1 channel.close 403 ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix \
         'amq.*' (50/10)"
    );
    assert_eq!(
        refused(&mut client, &mut world, declare("forbidden")),
        "1 channel.close 403 ACCESS_REFUSED - configure access to queue 'forbidden' in vhost '/' \
         refused for user 'guest' (50/10)"
    );
}

#[test]
fn what_we_do_not_honour_is_refused() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let length = Table::new().with("x-max-length", 10).to_bytes();
    let length = declare_with("q", TableRef::parse(&length).unwrap());
    assert_eq!(
        refused(&mut client, &mut world, length),
        "1 channel.close 406 PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q' in \
         vhost '/': \"not supported yet\" (50/10)"
    );
    assert_eq!(
        refused(&mut client, &mut world, Method::TxCommit),
        "1 channel.close 406 PRECONDITION_FAILED - channel is not transactional (90/20)"
    );
    let lines = client.say(&mut world, 1, &[Method::TxSelect]);
    assert_eq!(
        lines,
        ["0 connection.close 540 NOT_IMPLEMENTED - tx.select is not supported yet (90/10)"]
    );
}

#[test]
fn exchanges_are_declared_again_only_alike() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let ok = ["1 exchange.declare-ok"];
    assert_eq!(client.say(&mut world, 1, &[exchange("x", "topic")]), ok);
    assert_eq!(client.say(&mut world, 1, &[exchange("x\r\n", "topic")]), ok);
    assert_eq!(
        client.say(&mut world, 1, &[exchange("amq.fanout", "fanout")]),
        ok
    );
    for (method, expected) in [
        (
            exchange("x", "direct"),
            "406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': \
             received 'direct' but current is 'topic' (40/10)",
        ),
        (
            exchange("y", "z"),
            "406 PRECONDITION_FAILED - unknown exchange type 'z' (40/10)",
        ),
        (
            exchange("", "direct"),
            "403 ACCESS_REFUSED - operation not permitted on the default exchange (40/10)",
        ),
        (
            exchange("amq.y", "direct"),
            "403 ACCESS_REFUSED - exchange name 'amq.y' contains reserved prefix 'amq.*' (40/10)",
        ),
        (
            Method::ExchangeDelete {
                exchange: "amq.direct",
                if_unused: false,
                nowait: false,
            },
            "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not \
             allowed (40/20)",
        ),
        (
            bind("q", "x", "k"),
            "404 NOT_FOUND - no queue 'q' in vhost '/' (50/20)",
        ),
        (
            bind("", "x", "k"),
            "404 NOT_FOUND - no previously declared queue (50/20)",
        ),
    ] {
        let found = refused(&mut client, &mut world, method);
        assert_eq!(found, format!("1 channel.close {expected}"));
    }
    client.say(&mut world, 1, &[declare("q"), bind("q", "x", "k")]);
    let unused = Method::ExchangeDelete {
        exchange: "x",
        if_unused: true,
        nowait: false,
    };
    assert_eq!(
        refused(&mut client, &mut world, unused),
        "1 channel.close 406 PRECONDITION_FAILED - exchange 'x' in vhost '/' in use (40/20)"
    );
    let delete = Method::ExchangeDelete {
        exchange: "x",
        if_unused: false,
        nowait: false,
    };
    let lines = client.say(&mut world, 1, &[delete, delete]);
    assert_eq!(lines, ["1 exchange.delete-ok", "1 exchange.delete-ok"]);
}

#[test]
fn an_empty_name_is_the_queue_declared_last() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let lines = client.say(&mut world, 1, &[exclusive("")]);
    let name = lines[0].split(' ').nth(2).unwrap().to_owned();
    assert!(name.starts_with("amq.gen-") && name.len() == 30, "{name}");
    client.say(&mut world, 1, &[bind("", "amq.direct", "")]);
    client.publish(&mut world, "amq.direct", &name, &PLAIN, b"m");
    assert_eq!(
        client.say(&mut world, 1, &[get("")]),
        [format!(
            "1 basic.get-ok 1 new \"amq.direct\" {name} left=0: m"
        )]
    );
}

#[test]
fn messages_find_their_way() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let any = Table::new()
        .with("x-match", "any")
        .with("a", 1)
        .with("x-b", 2)
        .to_bytes();
    let headers = Method::QueueBind {
        queue: "h",
        exchange: "amq.match",
        routing_key: "",
        nowait: false,
        arguments: TableRef::parse(&any).unwrap(),
    };
    let chain = Method::ExchangeBind {
        destination: "amq.fanout",
        source: "amq.topic",
        routing_key: "to.fanout",
        nowait: false,
        arguments: TableRef::EMPTY,
    };
    let lines = client.say(
        &mut world,
        1,
        &[
            declare("d"),
            declare("t"),
            declare("f"),
            declare("h"),
            bind("d", "amq.direct", "k"),
            bind("t", "amq.topic", "a.#"),
            bind("f", "amq.fanout", ""),
            headers,
            chain,
        ],
    );
    assert_eq!(
        lines[4..],
        [["1 queue.bind-ok"; 4].as_slice(), &["1 exchange.bind-ok"]].concat()
    );
    let table = |key, value: i32| Table::new().with(key, value).to_bytes();
    let (a, b) = (table("a", 1), table("x-b", 2));
    for (exchange, key, headers, expected) in [
        ("amq.direct", "k", None, "d"),
        ("amq.topic", "a.b", None, "t"),
        ("amq.topic", "to.fanout", None, "f"),
        ("amq.match", "", Some(&a), "h"),
        ("", "f", None, "f"),
        ("amq.match", "", Some(&b), ""),
        ("amq.direct", "j", None, ""),
        ("", "nowhere", None, ""),
    ] {
        let headers = headers.map(|bytes| TableRef::parse(bytes).unwrap());
        let properties = amqp::BasicProperties { headers, ..PLAIN };
        let lines = client.publish(&mut world, exchange, key, &properties, b"m");
        assert_eq!(lines.len(), usize::from(expected.is_empty()), "{lines:?}");
        for queue in ["d", "t", "f", "h"] {
            let lines = client.say(&mut world, 1, &[get(queue)]);
            assert_eq!(
                lines[0] != "1 basic.get-empty",
                queue == expected,
                "{exchange} {lines:?}"
            );
        }
    }
    let lines = client.publish(&mut world, "amq.direct", "j", &PLAIN, b"back");
    assert_eq!(
        lines,
        ["1 basic.return 312 NO_ROUTE \"amq.direct\" j: back"]
    );
}

#[test]
fn queues_are_purged_and_deleted_under_conditions() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    client.say(&mut world, 1, &[declare("q")]);
    client.publish(&mut world, "", "q", &PLAIN, b"1");
    client.publish(&mut world, "", "q", &PLAIN, b"2");
    let delete = |if_unused, if_empty| Method::QueueDelete {
        queue: "q",
        if_unused,
        if_empty,
        nowait: false,
    };
    assert_eq!(
        refused(&mut client, &mut world, delete(false, true)),
        "1 channel.close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty (50/40)"
    );
    client.say(&mut world, 1, &[get("q")]);
    let purge = Method::QueuePurge {
        queue: "q",
        nowait: false,
    };
    assert_eq!(client.say(&mut world, 1, &[purge]), ["1 queue.purge-ok 1"]);
    client.say(&mut world, 1, &[consume("q", "c")]);
    assert_eq!(
        refused(&mut client, &mut world, delete(true, false)),
        "1 channel.close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' in use (50/40)"
    );
    let lines = client.say(&mut world, 1, &[delete(false, false), delete(false, false)]);
    assert_eq!(lines, ["1 queue.delete-ok 1", "1 queue.delete-ok 0"]);
}

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let mut world = world();
    let mut client = Client::open(&mut world);
    let auto_delete = Method::QueueDeclare {
        queue: "q",
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: true,
        nowait: false,
        arguments: TableRef::EMPTY,
    };
    let cancel = Method::BasicCancel {
        consumer_tag: "c",
        nowait: false,
    };
    let lines = client.say(&mut world, 1, &[auto_delete, consume("q", "c"), cancel]);
    assert_eq!(
        lines,
        [
            "1 queue.declare-ok q 0 0",
            "1 basic.consume-ok c",
            "1 basic.cancel-ok c"
        ]
    );
    assert!(refused(&mut client, &mut world, passive("q")).contains("404"));
}
