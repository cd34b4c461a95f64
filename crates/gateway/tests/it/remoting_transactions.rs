//! Half messages: decided at once, decided when asked, and after a crash.

use remoting::RequestCode as Code;

use crate::remoting_client::{Answer, Client, door, send_fields, world};
use crate::world::World;

const HALF: &str = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}PG\u{2}TAGS\u{1}A\u{2}UNIQ_KEY\u{1}U\u{2}";

fn half(world: &mut World, client: &mut Client, body: &str) -> Answer {
    let mut fields = send_fields("T", "0", HALF);
    fields[5] = ("f", "4");
    let sent = client.ask(world, Code::SendMessageV2, &fields, body.as_bytes());
    assert_eq!(sent.code, 0, "{}", sent.remark);
    sent
}

fn decide(world: &mut World, client: &mut Client, sent: &Answer, verdict: &str) -> Answer {
    let id = sent.field("msgId").to_owned();
    let offset = u64::from_str_radix(&id[16..], 16).unwrap().to_string();
    let fields = [
        ("producerGroup", "PG"),
        ("tranStateTableOffset", sent.field("queueOffset")),
        ("commitLogOffset", &offset),
        ("commitOrRollback", verdict),
        ("msgId", "U"),
    ];
    client.ask(world, Code::EndTransaction, &fields, &[])
}

fn visible(world: &mut World, client: &mut Client) -> Vec<String> {
    let found = client.pull(world, "T", 0, "*");
    if found.code == 0 {
        found.bodies().into_iter().map(str::to_owned).collect()
    } else {
        vec![]
    }
}

#[test]
fn a_half_message_becomes_visible_when_it_is_committed() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let one = half(&mut world, &mut client, "one");
    let two = half(&mut world, &mut client, "two");
    assert_eq!(
        (one.field("queueOffset"), two.field("queueOffset")),
        ("0", "1")
    );
    assert_eq!(visible(&mut world, &mut client), [""; 0]);
    assert_eq!(decide(&mut world, &mut client, &two, "8").code, 0);
    assert_eq!(
        decide(&mut world, &mut client, &two, "8").code,
        0,
        "again does no harm"
    );
    assert_eq!(decide(&mut world, &mut client, &one, "12").code, 0);
    assert_eq!(
        decide(&mut world, &mut client, &one, "8").code,
        0,
        "too late"
    );
    let found = client.pull(&mut world, "T", 0, "A");
    assert_eq!(found.bodies(), ["two"]);
    let record = found.records()[0];
    assert_eq!(record.sys_flag & 12, 8, "committed");
    assert_eq!(
        format!("{:016X}", record.prepared_transaction_offset),
        two.field("msgId")[16..]
    );
    for (key, value) in [
        ("TRAN_MSG", "true"),
        ("PGROUP", "PG"),
        ("REAL_TOPIC", "T"),
        ("REAL_QID", "0"),
        ("__transactionId__", "U"),
    ] {
        assert_eq!(record.properties().get(key), Some(value), "{key}");
    }
    let wrong = [
        ("producerGroup", "Other"),
        ("tranStateTableOffset", "7"),
        ("commitLogOffset", "0"),
        ("commitOrRollback", "8"),
        ("msgId", "U"),
    ];
    assert_eq!(
        client
            .ask(&mut world, Code::EndTransaction, &wrong, &[])
            .code,
        1
    );
}

/// Whoever is told that a decision holds finds it so after a crash.
#[test]
fn a_decision_is_not_answered_before_the_one_under_way_is_kept() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let sent = half(&mut world, &mut client, "one");
    let offset = u64::from_str_radix(&sent.field("msgId")[16..], 16).unwrap();
    let fields = [
        ("producerGroup", "PG"),
        ("tranStateTableOffset", "0"),
        ("commitLogOffset", &offset.to_string()),
        ("commitOrRollback", "8"),
        ("msgId", "U"),
    ];
    client.tell_again_and_again(&mut world, 2, Code::EndTransaction, &fields);
    let answers = client.take(&mut world);
    let codes: Vec<_> = answers.iter().map(|answer| answer.code).collect();
    assert_eq!(codes, [2, 0], "busy at once, and done when it is");
    assert_eq!(decide(&mut world, &mut client, &sent, "8").code, 0);
    assert_eq!(visible(&mut world, &mut client), ["one"]);
}

#[test]
fn a_silent_producer_is_asked() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let mut other = Client::new(&mut world);
    half(&mut world, &mut client, "open");
    client.beat(&mut world, "p", "CG", &[]);
    client.take(&mut world);
    world.pass_time(40_000);
    let asked: Vec<_> = client
        .take(&mut world)
        .into_iter()
        .filter(|answer| answer.code == 39)
        .collect();
    assert_eq!(asked.len(), 1);
    let check = &asked[0];
    assert_eq!(
        (check.field("tranStateTableOffset"), check.field("msgId")),
        ("0", "U")
    );
    let record = check.records()[0];
    assert_eq!((record.body, record.topic), (&b"open"[..], "T"));
    assert_eq!(
        record.properties().get("TRANSACTION_CHECK_TIMES"),
        Some("1")
    );
    let fields = [
        ("producerGroup", "PG"),
        ("tranStateTableOffset", "0"),
        ("commitLogOffset", check.field("commitLogOffset")),
        ("commitOrRollback", "8"),
        ("fromTransactionCheck", "true"),
        ("msgId", "U"),
    ];
    client.oneway(&mut world, Code::EndTransaction, &fields, &[]);
    assert_eq!(visible(&mut world, &mut other), ["open"]);
    world.pass_time(60_000);
    assert_eq!(client.take(&mut world), [], "nobody asks any more");
}

#[test]
fn a_message_that_nobody_decides_is_put_aside() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    half(&mut world, &mut client, "lost");
    world.pass_time(17 * 30_000);
    let mut reader = Client::new(&mut world);
    let aside = reader.pull(&mut world, "TRANS_CHECK_MAX_TIME_TOPIC", 0, "*");
    assert_eq!(aside.bodies(), ["lost"], "{}", aside.remark);
    assert_eq!(visible(&mut world, &mut reader), [""; 0]);
}

/// Fifteen times in all, however often the broker starts anew.
#[test]
fn a_crash_forgets_no_check() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    half(&mut world, &mut client, "lost");
    let mut asked = Vec::new();
    for _ in 0..5 {
        let mut producer = Client::new(&mut world);
        producer.beat(&mut world, "p", "CG", &[]);
        producer.take(&mut world);
        for _ in 0..4 {
            world.pass_time(30_000);
            let heard = producer.take(&mut world);
            for check in heard.iter().filter(|answer| answer.code == 39) {
                let record = check.records()[0];
                let times = record.properties().get("TRANSACTION_CHECK_TIMES");
                asked.push(times.expect("a number").to_owned());
            }
            producer.beat(&mut world, "p", "CG", &[]);
        }
        world.crash(door());
        world.pass_time(1);
    }
    let expected: Vec<String> = (1..=15).map(|times| times.to_string()).collect();
    assert_eq!(asked, expected);
    let mut reader = Client::new(&mut world);
    let aside = reader.pull(&mut world, "TRANS_CHECK_MAX_TIME_TOPIC", 0, "*");
    assert_eq!(aside.bodies(), ["lost"], "{}", aside.remark);
}

#[test]
fn a_crash_forgets_no_half_message_and_no_decision() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let open = half(&mut world, &mut client, "open");
    let done = half(&mut world, &mut client, "done");
    let undone = half(&mut world, &mut client, "undone");
    decide(&mut world, &mut client, &done, "8");
    decide(&mut world, &mut client, &undone, "12");
    for _ in 0..2 {
        world.crash(door());
        world.pass_time(1);
        let mut again = Client::new(&mut world);
        assert_eq!(visible(&mut world, &mut again), ["done"]);
        again.beat(&mut world, "p", "CG", &[]);
        again.take(&mut world);
        world.pass_time(61_000);
        let checks: Vec<_> = again
            .take(&mut world)
            .into_iter()
            .filter(|a| a.code == 39)
            .collect();
        assert!(!checks.is_empty());
        assert!(
            checks
                .iter()
                .all(|check| check.field("tranStateTableOffset") == "0"),
            "{checks:?}"
        );
    }
    let mut last = Client::new(&mut world);
    assert_eq!(decide(&mut world, &mut last, &open, "8").code, 0);
    assert_eq!(visible(&mut world, &mut last), ["done", "open"]);
}
