//! Pulling, offsets, groups, locks, and what comes back.

use remoting::RequestCode as Code;
use remoting::body::{ConsumerIdList, LockBatchResponse, QueryAssignmentResponse, from_slice};

use crate::remoting_client::{Client, door, pull_fields, world};
use crate::world::World;

fn sent(world: &mut World, client: &mut Client, tags: &[&str]) {
    for (n, tag) in tags.iter().enumerate() {
        let properties = format!("TAGS\u{1}{tag}\u{2}");
        let answer = client.send(world, "T", 0, &properties, &format!("m{n}"));
        assert_eq!(answer.code, 0, "{}", answer.remark);
    }
}

#[test]
fn pulls_tell_what_they_found() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    sent(&mut world, &mut client, &["even", "odd", "even", "odd"]);
    let all = client.pull(&mut world, "T", 0, "*");
    assert_eq!((all.code, all.remark.as_str()), (0, "FOUND"));
    assert_eq!(all.bodies(), ["m0", "m1", "m2", "m3"]);
    let offsets: Vec<_> = all
        .records()
        .iter()
        .map(|record| record.queue_offset)
        .collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
    let odd = client.pull(&mut world, "T", 0, "odd || other");
    assert_eq!(odd.bodies(), ["m1", "m3"]);
    for (offset, tags, code, remark, next) in [
        (1, "absent", 20, "NO_MATCHED_MESSAGE", "4"),
        (4, "*", 19, "OFFSET_OVERFLOW_ONE", "4"),
        (1000, "*", 21, "OFFSET_OVERFLOW_BADLY", "4"),
        (0, "||", 23, "parse the consumer's subscription failed", "0"),
    ] {
        let answer = client.pull(&mut world, "T", offset, tags);
        assert_eq!((answer.code, answer.remark.as_str()), (code, remark));
        for field in [
            "suggestWhichBrokerId",
            "nextBeginOffset",
            "minOffset",
            "maxOffset",
        ] {
            assert!(answer.fields.contains_key(field), "{field} of {code}");
        }
        assert_eq!(answer.field("nextBeginOffset"), next, "{remark}");
    }
    assert_eq!(client.pull(&mut world, "Unknown", 0, "*").code, 17);
    client.send(&mut world, "Other", 1, "", "elsewhere");
    let empty = client.pull(&mut world, "Other", 0, "*");
    assert_eq!(
        (empty.code, empty.remark.as_str()),
        (19, "NO_MESSAGE_IN_QUEUE")
    );
    let stale = client.pull(&mut world, "Other", 5, "*");
    assert_eq!((stale.code, stale.field("nextBeginOffset")), (21, "0"));
    let fields = pull_fields("T", "0", "*", "0", "0");
    let unknown = client.ask(&mut world, Code::PullMessage, &fields, &[]);
    assert_eq!(unknown.code, 24, "no subscription was ever sent");
}

/// A client of 5.x may pull with a subscription that it has not told yet: it picks by tag itself.
#[test]
fn a_pull_that_wants_something_newer_gets_everything() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    sent(&mut world, &mut client, &["a", "b"]);
    let body = r#"{"clientID":"c","consumerDataSet":[{"groupName":"CG","messageModel":"CLUSTERING",
        "subscriptionDataSet":[{"topic":"T","subString":"a","codeSet":[97],"subVersion":4,
            "expressionType":"TAG"}]}]}"#;
    client.ask(&mut world, Code::HeartBeat, &[], body.as_bytes());
    for (version, bodies) in [
        ("4", vec!["m0"]),
        ("3", vec!["m0"]),
        ("5", vec!["m0", "m1"]),
    ] {
        let mut fields = pull_fields("T", "0", "", "0", "0");
        fields.retain(|(key, _)| *key != "subVersion");
        fields.push(("subVersion", version));
        let answer = client.ask(&mut world, Code::PullMessage, &fields, &[]);
        assert_eq!(answer.bodies(), bodies, "version {version}");
    }
}

#[test]
fn a_heartbeat_is_asked_for_its_subscriptions_only_if_they_are_unknown() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    for (fingerprint, without, change) in [
        (0, false, "true"),
        (7, true, "true"),
        (7, false, "false"),
        (7, true, "false"),
        (8, true, "true"),
    ] {
        let body = format!(
            r#"{{"clientID":"c","heartbeatFingerprint":{fingerprint},"withoutSub":{without},
                "consumerDataSet":[{{"groupName":"CG","messageModel":"CLUSTERING"}}]}}"#
        );
        let answer = client.ask(&mut world, Code::HeartBeat, &[], body.as_bytes());
        assert_eq!(answer.field("IS_SUPPORT_HEART_BEAT_V2"), "true");
        assert_eq!(
            answer.field("IS_SUB_CHANGE"),
            change,
            "{fingerprint} {without}"
        );
    }
}

#[test]
fn a_pull_waits_for_what_it_wants() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    sent(&mut world, &mut client, &["a"]);
    let held = client.tell(
        &mut world,
        Code::PullMessage,
        &pull_fields("T", "1", "b", "6", "15000"),
        &[],
    );
    assert_eq!(client.take(&mut world), []);
    sent(&mut world, &mut client, &["a"]);
    world.pass_time(1000);
    assert_eq!(client.take(&mut world), [], "another tag wakes nobody");
    sent(&mut world, &mut client, &["b"]);
    // The answer to the send has been taken; what came with it was passed over there.
    world.pass_time(1);
    let again = client.tell(
        &mut world,
        Code::PullMessage,
        &pull_fields("T", "3", "b", "6", "15000"),
        &[],
    );
    assert_ne!(held, again);
    world.pass_time(14_999);
    assert_eq!(client.take(&mut world), []);
    world.pass_time(1);
    let answers = client.take(&mut world);
    assert_eq!((answers[0].code, answers[0].opaque), (19, again));
    assert_eq!(answers[0].field("nextBeginOffset"), "3");
}

#[test]
fn a_held_pull_is_answered_when_a_message_comes() {
    let mut world = world();
    let mut sender = Client::new(&mut world);
    let mut reader = Client::new(&mut world);
    sent(&mut world, &mut sender, &["a"]);
    let fields = pull_fields("T", "1", "b", "6", "15000");
    let held = reader.tell(&mut world, Code::PullMessage, &fields, &[]);
    // Nothing else on the connection waits for it.
    assert_eq!(
        reader
            .ask(
                &mut world,
                Code::GetRouteInfoByTopic,
                &[("topic", "T")],
                &[]
            )
            .code,
        0
    );
    sent(&mut world, &mut sender, &["a", "b"]);
    let answers = reader.take(&mut world);
    assert_eq!(
        (answers.len(), answers[0].opaque, answers[0].code),
        (1, held, 0)
    );
    assert_eq!(answers[0].records()[0].queue_offset, 2);
    assert_eq!(answers[0].field("nextBeginOffset"), "3");
}

#[test]
fn groups_keep_their_offsets() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    sent(&mut world, &mut client, &["a", "a", "a"]);
    let where_is = [("consumerGroup", "CG"), ("topic", "T"), ("queueId", "0")];
    client.beat(&mut world, "c", "CG", &["T"]);
    let none = client.ask(
        &mut world,
        Code::QueryConsumerOffset,
        &[where_is[0], where_is[1], ("queueId", "1")],
        &[],
    );
    assert_eq!(none.code, 22, "{none:?}");
    let near = client.ask(&mut world, Code::QueryConsumerOffset, &where_is, &[]);
    assert_eq!((near.code, near.field("offset")), (0, "0"));
    let strict = [
        where_is[0],
        where_is[1],
        where_is[2],
        ("setZeroIfNotFound", "false"),
    ];
    assert_eq!(
        client
            .ask(&mut world, Code::QueryConsumerOffset, &strict, &[])
            .code,
        22
    );
    let set = [where_is[0], where_is[1], where_is[2], ("commitOffset", "2")];
    assert_eq!(
        client
            .ask(&mut world, Code::UpdateConsumerOffset, &set, &[])
            .code,
        0
    );
    let known = client.ask(&mut world, Code::QueryConsumerOffset, &where_is, &[]);
    assert_eq!(known.field("offset"), "2");
    let stats = [("consumerGroup", "CG"), ("topic", "T")];
    let stats = client.ask(&mut world, Code::GetConsumeStats, &stats, &[]);
    assert!(
        stats
            .text()
            .contains(r#""brokerOffset":3,"consumerOffset":2"#),
        "{}",
        stats.text()
    );
    let unknown = [
        ("consumerGroup", "Nobody"),
        where_is[1],
        where_is[2],
        ("commitOffset", "2"),
    ];
    assert_eq!(
        client
            .ask(&mut world, Code::UpdateConsumerOffset, &unknown, &[])
            .code,
        26
    );
    for (code, offset) in [(Code::GetMaxOffset, "3"), (Code::GetMinOffset, "0")] {
        assert_eq!(
            client
                .ask(&mut world, code, &where_is[1..], &[])
                .field("offset"),
            offset
        );
    }
    let now = world.now().0.to_string();
    let earliest = client.ask(
        &mut world,
        Code::GetEarliestMsgStoreTime,
        &where_is[1..],
        &[],
    );
    assert_eq!(earliest.field("timestamp"), now);
    let later = (world.now().0 + 1).to_string();
    for (time, offset) in [("0", "0"), (now.as_str(), "0"), (later.as_str(), "3")] {
        let fields = [where_is[1], where_is[2], ("timestamp", time)];
        let found = client.ask(&mut world, Code::SearchOffsetByTimestamp, &fields, &[]);
        assert_eq!(found.field("offset"), offset, "{time}");
    }
    world.crash(door());
    let mut again = Client::new(&mut world);
    // Nobody is online, and yet the group is known where it has an offset.
    let everywhere = [("consumerGroup", "CG")];
    let stats = again.ask(&mut world, Code::GetConsumeStats, &everywhere, &[]);
    let text = stats.text();
    assert!(
        text.contains(r#""brokerOffset":3,"consumerOffset":2"#) && !text.contains("RETRY"),
        "{text}"
    );
    let nobody = [("consumerGroup", "Nobody")];
    let stats = again.ask(&mut world, Code::GetConsumeStats, &nobody, &[]);
    assert_eq!((stats.code, stats.text().contains("Offset")), (0, false));
    let groups = again.ask(
        &mut world,
        Code::QueryTopicConsumeByWho,
        &where_is[1..2],
        &[],
    );
    assert_eq!(groups.text(), r#"{"groupList":["CG"]}"#);
    let nowhere = [("topic", "%RETRY%CG")];
    let groups = again.ask(&mut world, Code::QueryTopicConsumeByWho, &nowhere, &[]);
    assert_eq!(groups.text(), r#"{"groupList":[]}"#);
    let known = again.ask(&mut world, Code::QueryConsumerOffset, &where_is, &[]);
    assert_eq!(known.field("offset"), "2", "after a crash");
    assert_eq!(again.pull(&mut world, "T", 2, "*").bodies(), ["m2"]);
}

#[test]
fn members_hear_of_one_another() {
    let mut world = world();
    let mut one = Client::new(&mut world);
    let mut two = Client::new(&mut world);
    assert_eq!(one.beat(&mut world, "one", "CG", &["T"]).code, 0);
    let retry = [("topic", "%RETRY%CG")];
    assert_eq!(
        one.ask(&mut world, Code::GetRouteInfoByTopic, &retry, &[])
            .code,
        0
    );
    one.take(&mut world);
    let subscriptions = r#"{"topic":"T","subString":"*","subVersion":1,"expressionType":"TAG"}"#;
    let beat = format!(
        r#"{{"clientID":"two","consumerDataSet":[{{"groupName":"CG",
            "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",
            "subscriptionDataSet":[{subscriptions}]}}]}}"#
    );
    two.tell(&mut world, Code::HeartBeat, &[], beat.as_bytes());
    let heard = two.take(&mut world);
    let kinds: Vec<_> = heard.iter().map(|a| (a.is_request, a.code)).collect();
    assert_eq!(
        kinds,
        [(true, 40), (false, 0)],
        "the notice is not behind the answer"
    );
    let notice = one.take(&mut world);
    assert_eq!(
        (notice.len(), notice[0].code, notice[0].is_request),
        (1, 40, true)
    );
    assert_eq!(notice[0].field("consumerGroup"), "CG");
    let group = [("consumerGroup", "CG")];
    let list = two.ask(&mut world, Code::GetConsumerListByGroup, &group, &[]);
    let list: ConsumerIdList = from_slice(&list.body).unwrap();
    assert_eq!(list.consumer_id_list, ["one", "two"]);
    let shown = two.ask(&mut world, Code::GetConsumerConnectionList, &group, &[]);
    assert!(
        shown.text().contains(r#""clientId":"one""#),
        "{}",
        shown.text()
    );
    one.take(&mut world);
    world.hang_up(two.session);
    assert_eq!(one.take(&mut world)[0].code, 40, "after a close");
    let list = one.ask(&mut world, Code::GetConsumerListByGroup, &group, &[]);
    assert!(!list.text().contains("two"));
    let left = [("clientID", "one"), ("consumerGroup", "CG")];
    assert_eq!(
        one.ask(&mut world, Code::UnregisterClient, &left, &[]).code,
        0
    );
    assert_eq!(
        one.ask(&mut world, Code::GetConsumerListByGroup, &group, &[])
            .code,
        1
    );
    assert_eq!(
        one.ask(&mut world, Code::GetConsumerConnectionList, &group, &[])
            .code,
        206
    );
}

#[test]
fn silent_clients_are_forgotten() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    client.beat(&mut world, "one", "CG", &["T"]);
    world.pass_time(131_000);
    assert!(world.closing(client.session).is_some());
}

#[test]
fn the_broker_assigns_queues_to_who_asks() {
    let mut world = world();
    let mut one = Client::new(&mut world);
    let mut two = Client::new(&mut world);
    sent(&mut world, &mut one, &["a"]);
    one.beat(&mut world, "one", "CG", &["T"]);
    two.beat(&mut world, "two", "CG", &["T"]);
    for (topic, id, model, strategy, queues) in [
        ("T", "one", "CLUSTERING", "AVG", Some(vec![0, 1])),
        ("T", "two", "CLUSTERING", "AVG", Some(vec![2, 3])),
        ("T", "two", "CLUSTERING", "AVG_BY_CIRCLE", Some(vec![1, 3])),
        ("T", "two", "BROADCASTING", "AVG", Some(vec![0, 1, 2, 3])),
        ("T", "three", "CLUSTERING", "AVG", Some(vec![])),
        ("T", "one", "CLUSTERING", "MACHINE_ROOM", None),
        ("Absent", "one", "CLUSTERING", "AVG", None),
    ] {
        let body = format!(
            r#"{{"topic":"{topic}","consumerGroup":"CG","clientId":"{id}",
                "messageModel":"{model}","strategyName":"{strategy}"}}"#
        );
        let answer = one.ask(&mut world, Code::QueryAssignment, &[], body.as_bytes());
        let list: QueryAssignmentResponse = from_slice(&answer.body).unwrap();
        let assigned = list.message_queue_assignments.map(|assignments| {
            let numbers = assignments.iter().map(|a| a.message_queue.queue_id);
            numbers.collect::<Vec<_>>()
        });
        assert_eq!(assigned, queues, "{id} {model} {strategy}");
    }
}

#[test]
fn a_queue_is_locked_by_one_client() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let body = |id: &str| {
        format!(
            r#"{{"clientId":"{id}","consumerGroup":"CG","mqSet":[
                {{"brokerName":"broker-a","queueId":0,"topic":"T"}}]}}"#
        )
    };
    let mut held = |world: &mut World, code: Code, id: &str| {
        let answer = client.ask(world, code, &[], body(id).as_bytes());
        assert_eq!(answer.code, 0);
        if code == Code::UnlockBatchMq {
            return 0;
        }
        from_slice::<LockBatchResponse>(&answer.body)
            .unwrap()
            .lock_ok_mq_set
            .len()
    };
    assert_eq!(held(&mut world, Code::LockBatchMq, "one"), 1);
    assert_eq!(held(&mut world, Code::LockBatchMq, "two"), 0);
    held(&mut world, Code::UnlockBatchMq, "one");
    assert_eq!(held(&mut world, Code::LockBatchMq, "two"), 1);
    world.pass_time(60_001);
    assert_eq!(held(&mut world, Code::LockBatchMq, "one"), 1);
}

#[test]
fn a_delayed_message_comes_when_it_is_due() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let properties = "TAGS\u{1}A\u{2}DELAY\u{1}2\u{2}UNIQ_KEY\u{1}U\u{2}";
    assert_eq!(client.send(&mut world, "T", 0, properties, "later").code, 0);
    world.pass_time(4_999);
    assert_eq!(client.pull(&mut world, "T", 0, "*").code, 19);
    world.pass_time(2);
    let found = client.pull(&mut world, "T", 0, "A");
    assert_eq!(found.bodies(), ["later"], "{}", found.remark);
    let record = found.records()[0];
    for (key, value) in [
        ("DELAY", "2"),
        ("REAL_TOPIC", "T"),
        ("REAL_QID", "0"),
        ("UNIQ_KEY", "U"),
    ] {
        assert_eq!(record.properties().get(key), Some(value), "{key}");
    }
    assert_eq!((record.topic, record.queue_id), ("T", 0));
    assert!(record.store_timestamp >= 1_700_000_005_000, "a fresh time");
}

#[test]
fn what_is_sent_back_comes_again_and_dies_at_last() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    client.beat(&mut world, "c", "CG", &["T"]);
    client.send(
        &mut world,
        "T",
        0,
        "TAGS\u{1}A\u{2}UNIQ_KEY\u{1}U\u{2}",
        "bad",
    );
    let first = client.pull(&mut world, "T", 0, "*").records()[0]
        .physical_offset
        .to_string();
    let back = |world: &mut World, client: &mut Client, offset: &str, level: &str| {
        let fields = [
            ("offset", offset),
            ("group", "CG"),
            ("delayLevel", level),
            ("originTopic", "T"),
            ("maxReconsumeTimes", "1"),
        ];
        client.ask(world, Code::ConsumerSendMsgBack, &fields, &[])
    };
    assert_eq!(back(&mut world, &mut client, "12345678", "0").code, 1);
    let answer = back(&mut world, &mut client, &first, "0");
    assert_eq!(answer.code, 0, "{}", answer.remark);
    assert_eq!(client.pull(&mut world, "%RETRY%CG", 0, "*").code, 19);
    world.pass_time(10_001);
    let retry = client.pull(&mut world, "%RETRY%CG", 0, "*");
    let record = retry.records()[0];
    assert_eq!((record.body, record.reconsume_times), (&b"bad"[..], 1));
    for (key, value) in [
        ("RETRY_TOPIC", "T"),
        ("TAGS", "A"),
        ("UNIQ_KEY", "U"),
        ("DELAY", "3"),
    ] {
        assert_eq!(record.properties().get(key), Some(value), "{key}");
    }
    let second = record.physical_offset.to_string();
    assert_eq!(back(&mut world, &mut client, &second, "0").code, 0);
    let dead = client.pull(&mut world, "%DLQ%CG", 0, "*");
    assert_eq!(dead.bodies(), ["bad"], "{}", dead.remark);
    let record = dead.records()[0];
    assert_eq!(record.properties().get("RETRY_TOPIC"), Some("T"));
    assert_eq!(record.properties().get("DLQ_ORIGIN_TOPIC"), Some("T"));
}
