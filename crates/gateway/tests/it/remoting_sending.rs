//! Routes, sending, and what is refused.

use remoting::body::{KvTable, MessageQueue, TopicRouteData, TopicStatsTable, from_slice};
use remoting::message::BatchItem;
use remoting::{RequestCode as Code, Version};

use crate::remoting_client::{Client, send_fields, world};

#[test]
fn routes_lead_to_the_broker() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    for topic in ["TBW102", "DefaultCluster", "broker-a", "SELF_TEST_TOPIC"] {
        let answer = client.ask(
            &mut world,
            Code::GetRouteInfoByTopic,
            &[("topic", topic)],
            &[],
        );
        assert_eq!(answer.code, 0, "{topic}");
        let route: TopicRouteData = from_slice(&answer.body).unwrap();
        assert_eq!(route.broker_datas[0].broker_addrs[&0], "127.0.0.1:10911");
        assert_eq!(route.queue_datas[0].broker_name, "broker-a");
    }
    let absent = client.ask(
        &mut world,
        Code::GetRouteInfoByTopic,
        &[("topic", "T")],
        &[],
    );
    assert_eq!(absent.code, 17);
    assert_eq!(
        absent.remark,
        "No topic route info in name server for the topic: T"
    );
    let cluster = client.ask(&mut world, Code::GetBrokerClusterInfo, &[], &[]);
    assert!(
        cluster
            .text()
            .contains(r#""clusterAddrTable":{"DefaultCluster":["broker-a"]}"#)
    );

    let mut old = Client::of(&mut world, Version::V4_9_3);
    let route = old.ask(
        &mut world,
        Code::GetRouteInfoByTopic,
        &[("topic", "TBW102")],
        &[],
    );
    assert!(
        route.text().contains(r#"{0:"127.0.0.1:10911"}"#),
        "{}",
        route.text()
    );
}

#[test]
fn a_topic_comes_into_being_when_it_is_sent_to() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let properties = "TAGS\u{1}A\u{2}UNIQ_KEY\u{1}U1\u{2}own\u{1}kept";
    let sent = client.send(&mut world, "T", 2, properties, "hello");
    assert_eq!(sent.code, 0, "{}", sent.remark);
    assert_eq!(
        (sent.field("queueId"), sent.field("queueOffset")),
        ("2", "0")
    );
    assert_eq!(sent.field("transactionId"), "U1");
    assert_eq!(
        (sent.field("MSG_REGION"), sent.field("TRACE_ON")),
        ("DefaultRegion", "true")
    );
    let id = sent.field("msgId").to_owned();
    assert_eq!((id.len(), &id[..16]), (32, "7F00000100002A9F"));
    let second = client.send(&mut world, "T", 2, "", "again");
    assert_eq!(second.field("queueOffset"), "1");

    let stats = client.ask(&mut world, Code::GetTopicStatsInfo, &[("topic", "T")], &[]);
    let stats: TopicStatsTable = from_slice(&stats.body).unwrap();
    assert_eq!(
        stats.offset_table.len(),
        4,
        "as many queues as the producer asked for"
    );
    let queue = MessageQueue {
        broker_name: "broker-a".into(),
        queue_id: 2,
        topic: "T".into(),
    };
    assert_eq!(stats.offset_table[&queue].max_offset, 2);

    let offset = u64::from_str_radix(&id[16..], 16).unwrap().to_string();
    let seen = client.ask(
        &mut world,
        Code::ViewMessageById,
        &[("offset", &offset)],
        &[],
    );
    let record = seen.records()[0];
    assert_eq!(
        (record.body, record.topic, record.flag),
        (&b"hello"[..], "T", 7)
    );
    assert_eq!((record.queue_id, record.queue_offset), (2, 0));
    assert_eq!(record.physical_offset.to_string(), offset);
    assert_eq!(record.store_timestamp, world.now().0 as i64);
    for (key, value) in [
        ("TAGS", "A"),
        ("UNIQ_KEY", "U1"),
        ("own", "kept"),
        ("CLUSTER", "DefaultCluster"),
    ] {
        assert_eq!(record.properties().get(key), Some(value), "{key}");
    }
}

#[test]
fn a_oneway_request_is_never_answered() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let fields = send_fields("T", "0", "");
    client.oneway(&mut world, Code::SendMessageV2, &fields, b"x");
    client.oneway(&mut world, Code::SendMessageV2, &fields, b"");
    client.oneway(&mut world, Code::PopMessage, &[], b"");
    assert_eq!(client.take(&mut world), []);
    let max = [("topic", "T"), ("queueId", "0")];
    assert_eq!(
        client
            .ask(&mut world, Code::GetMaxOffset, &max, &[])
            .field("offset"),
        "1"
    );
}

#[test]
fn refusals_have_the_codes_of_apache() {
    let mut world = world();
    let mut new = Client::new(&mut world);
    let mut old = Client::of(&mut world, Version::V4_9_7);
    new.send(&mut world, "T", 0, "", "x");
    let large = "x".repeat(4 * 1024 * 1024 + 1);
    for (topic, queue, body, code, old_code) in [
        ("T", 0, "", 13, 13),
        ("T", 0, large.as_str(), 13, 13),
        ("T", 4, "x", 29, 1),
        ("bad.topic", 0, "x", 29, 1),
        ("RMQ_SYS_TRANS_HALF_TOPIC", 0, "x", 16, 16),
        ("SCHEDULE_TOPIC_XXXX", 0, "x", 16, 16),
        ("forbidden", 0, "x", 16, 16),
        ("amq%7", 0, "x", 0, 0),
    ] {
        assert_eq!(
            new.send(&mut world, topic, queue, "", body).code,
            code,
            "{topic}"
        );
        assert_eq!(
            old.send(&mut world, topic, queue, "", body).code,
            old_code,
            "{topic}"
        );
    }
    assert_eq!(
        new.send(&mut world, "T", 0, "", &large[1..]).code,
        0,
        "exactly 4 MB"
    );
    let no_template = [
        ("producerGroup", "PG"),
        ("topic", "Unknown"),
        ("defaultTopic", "T"),
        ("defaultTopicQueueNums", "4"),
        ("queueId", "0"),
        ("sysFlag", "0"),
        ("bornTimestamp", "0"),
        ("flag", "0"),
    ];
    let absent = new.ask(&mut world, Code::SendMessage, &no_template, b"x");
    assert_eq!(
        (absent.code, absent.remark.as_str()),
        (17, "topic[Unknown] not exist, apply first please!")
    );
    let missing = new.ask(&mut world, Code::SendMessage, &no_template[1..], b"x");
    assert_eq!(
        (missing.code, missing.remark.as_str()),
        (1, "the custom field <producerGroup> is null")
    );
    let unserved = new.ask(&mut world, Code::PopMessage, &[], &[]);
    assert_eq!(
        (unserved.code, unserved.remark.as_str()),
        (3, " request type 200050 not supported")
    );
    let signed = [("topic", "TBW102"), ("AccessKey", "k"), ("Signature", "s")];
    assert_eq!(
        new.ask(&mut world, Code::GetRouteInfoByTopic, &signed, &[])
            .code,
        16
    );
}

#[test]
fn a_batch_is_many_messages_with_an_id_each() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let mut payload = Vec::new();
    for n in 0..3 {
        let properties = format!("UNIQ_KEY\u{1}item{n}\u{2}");
        let body = format!("b{n}");
        BatchItem {
            flag: n,
            body: body.as_bytes(),
            properties: &properties,
        }
        .encode(&mut payload)
        .unwrap();
    }
    let fields = send_fields("T", "1", "UNIQ_KEY\u{1}outer\u{2}WAIT\u{1}true\u{2}");
    client.send(&mut world, "T", 1, "", "first");
    let sent = client.ask(&mut world, Code::SendBatchMessage, &fields, &payload);
    assert_eq!(sent.code, 0, "{}", sent.remark);
    assert_eq!(
        (sent.field("queueOffset"), sent.field("queueId")),
        ("1", "1")
    );
    let ids: Vec<_> = sent.field("msgId").split(',').collect();
    assert_eq!(ids.len(), 3);
    for (n, id) in ids.iter().enumerate() {
        let offset = u64::from_str_radix(&id[16..], 16).unwrap().to_string();
        let seen = client.ask(
            &mut world,
            Code::ViewMessageById,
            &[("offset", &offset)],
            &[],
        );
        let record = seen.records()[0];
        assert_eq!(record.body, format!("b{n}").as_bytes());
        assert_eq!(record.queue_offset, n as i64 + 1);
        assert_eq!(
            record.properties().get("UNIQ_KEY"),
            Some(format!("item{n}").as_str())
        );
        assert_eq!(record.properties().get("WAIT"), Some("true"));
    }
    payload.pop();
    assert_eq!(
        client
            .ask(&mut world, Code::SendBatchMessage, &fields, &payload)
            .code,
        13
    );
}

#[test]
fn topics_and_groups_are_administered() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    let create = |perm: &'static str, attributes: &'static str| {
        [
            ("topic", "Made"),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "3"),
            ("writeQueueNums", "2"),
            ("perm", perm),
            ("topicFilterType", "SINGLE_TAG"),
            ("topicSysFlag", "0"),
            ("order", "false"),
            ("attributes", attributes),
        ]
    };
    let made = create("6", "+message.type=FIFO");
    assert_eq!(
        client
            .ask(&mut world, Code::UpdateAndCreateTopic, &made, &[])
            .code,
        0
    );
    let shown = client.ask(&mut world, Code::GetTopicConfig, &[("topic", "Made")], &[]);
    assert!(
        shown
            .text()
            .contains(r#""attributes":{"message.type":"FIFO"}"#),
        "{}",
        shown.text()
    );
    assert_eq!(
        client
            .ask(
                &mut world,
                Code::UpdateAndCreateTopic,
                &create("4", ""),
                &[]
            )
            .code,
        0
    );
    let route = client.ask(
        &mut world,
        Code::GetRouteInfoByTopic,
        &[("topic", "Made")],
        &[],
    );
    let route: TopicRouteData = from_slice(&route.body).unwrap();
    assert_eq!(
        (
            route.queue_datas[0].perm,
            route.queue_datas[0].read_queue_nums
        ),
        (4, 3)
    );
    let list = client.ask(&mut world, Code::GetAllTopicListFromNameServer, &[], &[]);
    assert!(list.text().contains(r#""Made""#) && list.text().contains(r#""TBW102""#));

    let group = br#"{"groupName":"Team","retryMaxTimes":3}"#;
    let update = Code::UpdateAndCreateSubscriptionGroup;
    assert_eq!(client.ask(&mut world, update, &[], group).code, 0);
    let groups = client.ask(&mut world, Code::GetAllSubscriptionGroupConfig, &[], &[]);
    assert!(
        groups.text().contains(r#""Team":{"#) && groups.text().contains(r#""retryMaxTimes":3"#)
    );
    let name = [("groupName", "Team")];
    assert_eq!(
        client
            .ask(&mut world, Code::DeleteSubscriptionGroup, &name, &[])
            .code,
        0
    );
    let groups = client.ask(&mut world, Code::GetAllSubscriptionGroupConfig, &[], &[]);
    assert!(!groups.text().contains("Team"));

    client.send(&mut world, "Made", 0, "", "old");
    let topic = [("topic", "Made")];
    assert_eq!(
        client
            .ask(&mut world, Code::DeleteTopicInBroker, &topic, &[])
            .code,
        0
    );
    assert_eq!(
        client
            .ask(&mut world, Code::GetRouteInfoByTopic, &topic, &[])
            .code,
        17
    );
    let anew = client.send(&mut world, "Made", 0, "", "new");
    assert_eq!(
        anew.field("queueOffset"),
        "0",
        "a new topic of the name starts anew"
    );
    let system = [("topic", "TBW102")];
    assert_eq!(
        client
            .ask(&mut world, Code::DeleteTopicInBroker, &system, &[])
            .code,
        29
    );
}

/// What `mqadmin clusterList` and `brokerStatus` take apart, of both generations.
#[test]
fn the_broker_tells_what_it_does() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    for _ in 0..20 {
        client.send(&mut world, "T", 0, "", "x");
    }
    client.pull(&mut world, "T", 0, "*");
    client.send(&mut world, "T", 0, "", "");
    let told = client.ask(&mut world, Code::GetBrokerRuntimeInfo, &[], &[]);
    let told: KvTable = from_slice(&told.body).unwrap();
    for (name, value) in [
        ("brokerVersionDesc", "V5_3_3"),
        ("brokerActive", "true"),
        ("putTps", "2.0 0.3333333333333333 0.03333333333333333"),
        (
            "getTransferredTps",
            "2.0 0.3333333333333333 0.03333333333333333",
        ),
        (
            "getTransferedTps",
            "2.0 0.3333333333333333 0.03333333333333333",
        ),
        (
            "getFoundTps",
            "0.1 0.016666666666666666 0.0016666666666666668",
        ),
        ("msgPutTotalTodayNow", "20"),
        ("msgGetTotalTodayNow", "20"),
        ("putMessageFailedTimes", "1"),
        ("commitLogDiskRatio", "-1.0"),
        ("sendThreadPoolQueueSize", "0"),
        ("timerReadBehind", "0"),
        ("timerEnqueueTps", "0.0"),
        ("earliestMessageTimeStamp", "-1"),
    ] {
        assert_eq!(
            told.table.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
}
