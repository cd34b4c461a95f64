//! Sends under an alarm: withheld, and nothing else is.

use gateway::door::Alarms;
use openwire::*;

use crate::openwire_client::{Client, queue, topic, world};
use crate::world::World;

const MEMORY: Alarms = Alarms {
    memory: true,
    disk: false,
};
const NOTHING: [&str; 0] = [];

/// A queue with three messages, and a consumer that has been given two of them.
fn consuming(world: &mut World) -> Client {
    let mut client = Client::open(world, "ID:1");
    for (text, response) in [("a", 3), ("b", 4), ("c", 5)] {
        let heard = client.send(world, queue("q"), text);
        assert_eq!(heard, [format!("Response {response}")]);
    }
    assert_eq!(
        client.consume(world, 1, queue("q"), 2),
        [
            "Response 6",
            "Dispatch 1 queue://q a",
            "Dispatch 1 queue://q b"
        ]
    );
    client
}

#[test]
fn a_send_is_answered_when_the_alarm_is_over_and_acks_go_on() {
    let mut world = world();
    let mut client = consuming(&mut world);
    world.alarm(MEMORY);
    assert_eq!(client.send(&mut world, queue("q"), "d"), NOTHING);
    // A queue that is not there yet is made first.
    assert_eq!(client.send(&mut world, queue("new"), "e"), NOTHING);
    let mut unawaited = client.text(queue("new"), "f");
    unawaited.persistent = false;
    client.say(&mut world, [Command::Message(unawaited)]);
    let ack = client.ack(AckType::Standard, 0, 1);
    assert_eq!(
        client.ask(&mut world, Command::MessageAck(ack)),
        ["Response 10", "Dispatch 1 queue://q c"],
        "what is acknowledged behind a withheld send is settled"
    );
    let alive = Command::KeepAliveInfo(KeepAliveInfo::default());
    assert_eq!(client.ask(&mut world, alive), ["KeepAliveInfo"]);
    assert_eq!(
        client.consume(&mut world, 2, queue("new"), 10),
        ["Response 12"]
    );
    // Another reason is no end.
    world.alarm(Alarms {
        memory: true,
        disk: true,
    });
    assert_eq!(client.hear(&mut world), NOTHING);
    world.alarm(Alarms::NONE);
    assert_eq!(
        client.hear(&mut world),
        [
            "Response 7",
            "Response 8",
            "Dispatch 1 queue://q d",
            "Dispatch 2 queue://new e",
            "Dispatch 2 queue://new f",
        ]
    );
    assert_eq!(
        client.send(&mut world, topic("t"), "g"),
        ["Response 13"],
        "nothing is withheld any more"
    );
}

#[test]
fn a_queue_is_made_for_a_send_when_the_alarm_is_over() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    world.alarm(MEMORY);
    for (to, text) in [("x", "1"), ("y", "2"), ("x", "3")] {
        assert_eq!(client.send(&mut world, queue(to), text), NOTHING);
    }
    let text = client.text(queue("forbidden"), "no");
    assert_eq!(client.ask(&mut world, Command::Message(text)), NOTHING);
    world.alarm(Alarms::NONE);
    assert_eq!(
        client.hear(&mut world),
        [
            "Response 3",
            "ExceptionResponse 6 SecurityException: User  is not authorized to write to: \
             queue://forbidden",
            "Response 4",
            "Response 5",
        ]
    );
    assert_eq!(
        client.consume(&mut world, 1, queue("x"), 10),
        [
            "Response 7",
            "Dispatch 1 queue://x 1",
            "Dispatch 1 queue://x 3"
        ]
    );
}

#[test]
fn a_window_stays_shut_while_the_alarm_holds() {
    let mut world = world();
    let mut client = consuming(&mut world);
    let producer = ProducerInfo {
        producer_id: Some(client.producer_id()),
        destination: Some(queue("p")),
        window_size: 4096,
        ..ProducerInfo::default()
    };
    client.ask(&mut world, Command::ProducerInfo(producer));
    world.alarm(MEMORY);
    let message = client.text(queue("p"), "abc");
    client.say(&mut world, [Command::Message(message)]);
    assert_eq!(client.hear(&mut world), NOTHING);
    world.alarm(Alarms::NONE);
    assert_eq!(client.hear(&mut world), ["ProducerAck 1031"]);
}

#[test]
fn a_commit_waits_if_it_sends_and_not_if_it_only_acknowledges() {
    let mut world = world();
    let mut client = consuming(&mut world);
    world.alarm(MEMORY);
    client.say(&mut world, [client.step(1, TransactionStep::Begin)]);
    let mut ack = client.ack(AckType::Standard, 0, 0);
    ack.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::MessageAck(ack)]);
    let commit = client.step(1, TransactionStep::CommitOnePhase);
    assert_eq!(
        client.ask(&mut world, commit),
        ["Response 9", "Dispatch 1 queue://q c"]
    );
    client.say(&mut world, [client.step(2, TransactionStep::Begin)]);
    let mut message = client.text(queue("q"), "d");
    message.transaction_id = client.transaction(2);
    client.say(&mut world, [Command::Message(message)]);
    let commit = client.step(2, TransactionStep::CommitOnePhase);
    assert_eq!(client.ask(&mut world, commit), NOTHING);
    client.say(&mut world, [client.step(3, TransactionStep::Begin)]);
    let mut message = client.text(queue("q"), "dropped");
    message.transaction_id = client.transaction(3);
    client.say(&mut world, [Command::Message(message)]);
    let rollback = client.step(3, TransactionStep::Rollback);
    assert_eq!(client.ask(&mut world, rollback), ["Response 15"]);
    world.alarm(Alarms::NONE);
    assert_eq!(client.hear(&mut world), ["Response 12"]);
    let mut all = client.ack(AckType::Standard, 1, 2);
    all.message_count = 2;
    assert_eq!(
        client.ask(&mut world, Command::MessageAck(all)),
        ["Response 16", "Dispatch 1 queue://q d"]
    );
}

#[test]
fn who_sends_without_waiting_is_read_no_further_and_stays() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    world.alarm(MEMORY);
    let text = "x".repeat(100_000);
    let mut sent = 0;
    while !world.rests(client.session) {
        sent += 1;
        assert!(sent < 10, "a few hundred kilobytes are kept");
        let message = client.text(topic("t"), &text);
        client.say(&mut world, [Command::Message(message)]);
    }
    // What it says now waits at the peer. It is not taken for dead.
    let message = client.text(queue("q"), "last");
    assert_eq!(client.ask(&mut world, Command::Message(message)), NOTHING);
    world.pass_time(600_000);
    assert_eq!(world.closing(client.session), None);
    assert!(
        client
            .hear(&mut world)
            .iter()
            .all(|line| line == "KeepAliveInfo")
    );
    world.alarm(Alarms::NONE);
    assert!(!world.rests(client.session));
    let response = format!("Response {}", sent + 3);
    assert_eq!(client.hear(&mut world), [response]);
}

#[test]
fn a_connection_leaves_behind_what_it_sent() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    world.alarm(MEMORY);
    let message = client.text(queue("q"), "last");
    client.say(&mut world, [Command::Message(message)]);
    let id = ConnectionId {
        value: "ID:1".into(),
    };
    let leave = client.remove(id, -1);
    assert_eq!(client.ask(&mut world, leave), NOTHING);
    world.alarm(Alarms::NONE);
    assert_eq!(client.hear(&mut world), ["Response 4"]);
    let mut next = Client::open(&mut world, "ID:2");
    assert_eq!(
        next.consume(&mut world, 1, queue("q"), 10),
        ["Response 3", "Dispatch 1 queue://q last"]
    );
}

#[test]
fn a_full_disk_refuses_a_send_that_came_through() {
    let mut world = world();
    let mut client = consuming(&mut world);
    world.disk_full(true);
    let refused = ["ExceptionResponse 7 ResourceAllocationException: the disk is full"];
    assert_eq!(client.send(&mut world, queue("q"), "d"), refused);
    // A commit that sends is refused whole: what it acknowledges is still held.
    client.say(&mut world, [client.step(1, TransactionStep::Begin)]);
    let mut ack = client.ack(AckType::Standard, 0, 0);
    ack.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::MessageAck(ack)]);
    let mut message = client.text(queue("q"), "d");
    message.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::Message(message)]);
    let commit = client.step(1, TransactionStep::CommitOnePhase);
    assert_eq!(
        client.ask(&mut world, commit),
        ["ExceptionResponse 11 TransactionRolledBackException: the disk is full"]
    );
    let ack = client.ack(AckType::Standard, 0, 1);
    assert_eq!(
        client.ask(&mut world, Command::MessageAck(ack)),
        ["Response 12", "Dispatch 1 queue://q c"]
    );
}
