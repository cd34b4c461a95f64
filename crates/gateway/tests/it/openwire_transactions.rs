//! Local transactions, and the refusal of distributed ones.

use openwire::*;

use crate::openwire_client::{Client, doors, queue, topic, world};

fn begin(client: &mut Client, world: &mut crate::world::World, value: i64) {
    client.say(world, [client.step(value, TransactionStep::Begin)]);
}

#[test]
fn what_was_sent_is_there_at_commit_and_not_before() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    assert_eq!(
        client.consume(&mut world, 1, queue("q"), 10),
        ["Response 3"]
    );
    assert_eq!(
        client.consume(&mut world, 2, topic("t"), 10),
        ["Response 4"]
    );
    begin(&mut client, &mut world, 1);
    for to in [queue("q"), queue("late"), topic("t"), queue("q,topic://t")] {
        let mut message = client.text(to, "m");
        message.transaction_id = client.transaction(1);
        client.say(&mut world, [Command::Message(message)]);
    }
    assert_eq!(client.hear(&mut world), Vec::<String>::new());
    let commit = client.step(1, TransactionStep::CommitOnePhase);
    let mut heard = client.ask(&mut world, commit);
    heard.sort();
    assert_eq!(
        heard,
        [
            "Dispatch 1 queue://q m",
            "Dispatch 1 queue://q m",
            "Dispatch 2 topic://t m",
            "Dispatch 2 topic://t m",
            "Response 10",
        ]
    );
    assert_eq!(
        client.consume(&mut world, 3, queue("late"), 10),
        ["Response 11", "Dispatch 3 queue://late m"]
    );
    let again = client.step(1, TransactionStep::CommitOnePhase);
    assert_eq!(
        client.ask(&mut world, again),
        ["ExceptionResponse 12 JMSException: Transaction 'TX:ID:1:1' has not been started."]
    );
}

#[test]
fn what_was_rolled_back_stays_with_the_client() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    for text in ["a", "b"] {
        assert_eq!(client.send(&mut world, queue("q"), text).len(), 1);
    }
    assert_eq!(client.consume(&mut world, 1, queue("q"), 10).len(), 3);
    begin(&mut client, &mut world, 1);
    let mut ack = client.ack(AckType::Standard, 0, 1);
    ack.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::MessageAck(ack.clone())]);
    let mut message = client.text(queue("q"), "never");
    message.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::Message(message)]);
    let rollback = client.step(1, TransactionStep::Rollback);
    assert_eq!(
        client.ask(&mut world, rollback),
        ["Response 9"],
        "nothing is dispatched again"
    );

    begin(&mut client, &mut world, 2);
    ack.transaction_id = client.transaction(2);
    client.say(&mut world, [Command::MessageAck(ack)]);
    let commit = client.step(2, TransactionStep::CommitOnePhase);
    assert_eq!(client.ask(&mut world, commit), ["Response 12"]);
    world.hang_up(client.session);
    let mut other = Client::open(&mut world, "ID:2");
    assert_eq!(
        other.consume(&mut world, 1, queue("q"), 10),
        ["Response 3"],
        "all was consumed"
    );
}

#[test]
fn a_lost_connection_gives_back_what_was_acknowledged_in_an_open_transaction() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    assert_eq!(client.send(&mut world, queue("q"), "a").len(), 1);
    assert_eq!(client.consume(&mut world, 1, queue("q"), 10).len(), 2);
    begin(&mut client, &mut world, 1);
    let mut ack = client.ack(AckType::Individual, 0, 0);
    ack.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::MessageAck(ack)]);
    world.hang_up(client.session);
    let mut other = Client::open(&mut world, "ID:2");
    let heard = other.consume(&mut world, 1, queue("q"), 10);
    assert!(
        heard.contains(&"Dispatch 1 queue://q a again=1".to_owned()),
        "{heard:?}"
    );
}

#[test]
fn an_answered_commit_survives_and_an_open_transaction_does_not() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    for value in [1, 2] {
        begin(&mut client, &mut world, value);
        for text in ["a", "b"] {
            let mut message = client.text(queue("q"), &format!("{text}{value}"));
            message.transaction_id = client.transaction(value);
            client.say(&mut world, [Command::Message(message)]);
        }
    }
    let commit = client.step(1, TransactionStep::CommitOnePhase);
    assert_eq!(client.ask(&mut world, commit), ["Response 9"]);
    world.crash(doors());
    let mut other = Client::open(&mut world, "ID:2");
    let mut heard = other.consume(&mut world, 1, queue("q"), 10);
    heard.sort();
    assert_eq!(
        heard,
        [
            "Dispatch 1 queue://q a1",
            "Dispatch 1 queue://q b1",
            "Response 3"
        ]
    );
}

#[test]
fn a_failure_that_nobody_was_told_of_in_time_spoils_the_commit() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    begin(&mut client, &mut world, 1);
    let mut message = client.text(queue(""), "m");
    message.transaction_id = client.transaction(1);
    client.say(&mut world, [Command::Message(message)]);
    assert_eq!(
        client.hear(&mut world),
        ["ConnectionError InvalidDestinationException: Invalid destination name: 'queue://'"]
    );
    let commit = client.step(1, TransactionStep::CommitOnePhase);
    assert_eq!(
        client.ask(&mut world, commit),
        [
            "ExceptionResponse 5 TransactionRolledBackException: Transaction 'TX:ID:1:1' has been \
          rolled back"
        ]
    );
}

#[test]
fn distributed_transactions_are_refused() {
    let mut world = world();
    let mut client = Client::open(&mut world, "ID:1");
    let id = TransactionId::Xa(XaTransactionId {
        format_id: 1,
        global_transaction_id: Some([1].into()),
        branch_qualifier: Some([2].into()),
    });
    let step = |step: TransactionStep| {
        Command::TransactionInfo(TransactionInfo {
            transaction_id: Some(id.clone()),
            step: step.to_wire(),
            ..TransactionInfo::default()
        })
    };
    let refused = "XAException: XA transactions are not supported xaErrorCode:-3";
    client.say(&mut world, [step(TransactionStep::Begin)]);
    assert_eq!(
        client.hear(&mut world),
        [format!("ConnectionError {refused}")]
    );
    assert_eq!(
        client.ask(&mut world, step(TransactionStep::Prepare)),
        [format!("ExceptionResponse 4 {refused}")]
    );
    assert_eq!(
        client.ask(&mut world, step(TransactionStep::Recover)),
        ["DataArrayResponse 5 0"]
    );
    let mut message = client.text(queue("q"), "m");
    message.transaction_id = Some(id.clone());
    assert_eq!(
        client.ask(&mut world, Command::Message(message)),
        [format!("ExceptionResponse 6 {refused}")]
    );
}
