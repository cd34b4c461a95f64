//! What is too much, too often, or not understood.

use gateway::door::Closing;
use remoting::RequestCode as Code;
use remoting::message::BatchItem;

use crate::remoting_client::{Client, pull_fields, send_fields, world};

#[test]
fn a_bad_frame_ends_the_connection() {
    for bytes in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 8, 9, 0, 0, 4, 0, 0, 0, 0],
        b"PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n",
    ] {
        let mut world = world();
        let client = Client::new(&mut world);
        world.send(client.session, bytes);
        assert_eq!(
            world.closing(client.session),
            Some(Closing::Now),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_frame_may_come_in_pieces() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let mut frame = Vec::new();
    let prefix = remoting::Prefix::request(
        Code::GetBrokerClusterInfo,
        remoting::Opaque(5),
        remoting::Version::V5_3_3,
    );
    remoting::FrameWriter::begin(&mut frame, prefix)
        .finish()
        .unwrap();
    for byte in frame {
        assert_eq!(client.take(&mut world), []);
        world.send(client.session, &[byte]);
    }
    assert_eq!(client.take(&mut world)[0].opaque, 5);
}

#[test]
fn sql_is_refused_as_if_switched_off() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    client.send(&mut world, "T", 0, "", "x");
    let remark = "The broker does not support consumer to filter message by SQL92";
    let mut fields = pull_fields("T", "0", "a > 1", "4", "0");
    fields.push(("expressionType", "SQL92"));
    let pulled = client.ask(&mut world, Code::PullMessage, &fields, &[]);
    assert_eq!((pulled.code, pulled.remark.as_str()), (1, remark));
    let body = br#"{"clientId":"c","group":"g","subscriptionData":{"topic":"T",
        "subString":"a > 1","expressionType":"SQL92"}}"#;
    let checked = client.ask(&mut world, Code::CheckClientConfig, &[], body);
    assert_eq!((checked.code, checked.remark.as_str()), (1, remark));
    let body = br#"{"clientId":"c","group":"g","subscriptionData":{"topic":"T","subString":"a"}}"#;
    assert_eq!(
        client
            .ask(&mut world, Code::CheckClientConfig, &[], body)
            .code,
        0
    );
}

#[test]
fn a_retry_that_was_tried_too_often_is_dead() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    client.beat(&mut world, "c", "CG", &["T"]);
    let retry = |times: &'static str| {
        [
            ("a", "CG"),
            ("b", "%RETRY%CG"),
            ("c", "TBW102"),
            ("d", "4"),
            ("e", "-1"),
            ("f", "0"),
            ("g", "0"),
            ("h", "0"),
            ("i", "RETRY_TOPIC\u{1}T\u{2}DELAY\u{1}3"),
            ("j", times),
            ("l", "2"),
        ]
    };
    for times in ["2", "3"] {
        let sent = client.ask(
            &mut world,
            Code::SendMessageV2,
            &retry(times),
            times.as_bytes(),
        );
        assert_eq!(sent.code, 0, "{}", sent.remark);
    }
    let dead = client.pull(&mut world, "%DLQ%CG", 0, "*");
    assert_eq!(dead.bodies(), ["3"]);
    world.pass_time(10_001);
    let back = client.pull(&mut world, "%RETRY%CG", 0, "*");
    assert_eq!(back.bodies(), ["2"]);
    assert_eq!(back.records()[0].reconsume_times, 2);
}

#[test]
fn a_half_message_is_looked_after_when_its_producer_has_gone() {
    let mut world = world();
    let mut gone = Client::new(&mut world);
    let mut fields = crate::remoting_client::send_fields(
        "T",
        "0",
        "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}PG\u{2}UNIQ_KEY\u{1}U\u{2}",
    );
    fields[5] = ("f", "4");
    gone.oneway(&mut world, Code::SendMessageV2, &fields, b"half");
    world.hang_up(gone.session);
    let mut other = Client::new(&mut world);
    other.beat(&mut world, "p", "CG", &[]);
    other.take(&mut world);
    world.pass_time(31_000);
    let asked = other.take(&mut world);
    assert_eq!(asked.iter().filter(|request| request.code == 39).count(), 1);
}

#[test]
fn a_large_topic_that_is_named_often_is_refused_before_it_is_listed() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let create = [
        ("topic", "Big"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "16384"),
        ("writeQueueNums", "1"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    let created = client.ask(&mut world, Code::UpdateAndCreateTopic, &create, &[]);
    assert_eq!(created.code, 0, "{}", created.remark);
    let group = br#"{"groupName":"G"}"#;
    let code = Code::UpdateAndCreateSubscriptionGroup;
    assert_eq!(client.ask(&mut world, code, &[], group).code, 0);
    // All of it would be 160 million rows, which no machine of ours holds.
    let names = "Big;".repeat(10_000);
    let asked = [("consumerGroup", "G"), ("topicList", names.as_str())];
    let stats = client.ask(&mut world, Code::GetConsumeStats, &asked, &[]);
    assert_eq!(stats.code, 2, "{}", stats.remark);
}

#[test]
fn a_batch_of_many_keys_is_taken_whole() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let own: String = (0..4_000).map(|n| format!("k{n:04}\u{1}v\u{2}")).collect();
    let item = BatchItem {
        flag: 0,
        body: b"x",
        properties: &own,
    };
    let mut payload = Vec::new();
    for _ in 0..100 {
        item.encode(&mut payload).unwrap();
    }
    // Every key is the last of each item.
    let outer = "k3999\u{1}w\u{2}".repeat(4_000);
    let fields = send_fields("T", "0", &outer);
    client.send(&mut world, "T", 0, "", "first");
    let sent = client.ask(&mut world, Code::SendBatchMessage, &fields, &payload);
    assert_eq!(sent.code, 0, "{}", sent.remark);
    assert_eq!(sent.field("msgId").split(',').count(), 100);
}
