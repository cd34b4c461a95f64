//! JSON bodies: the reference implementation's own text, the leniency of its parser, and abuse.

#[allow(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::BTreeMap;

use remoting::Version;
use remoting::body::*;
use remoting::json::{Json, JsonError, Limits, Value};
use support::{bytes, golden, golden_4, golden_bytes};

/// Reads the golden text and writes it again.
fn round_trip<T: Json>(name: &str) -> T {
    let text = golden()[name];
    let body: T = from_slice(text.as_bytes()).expect(name);
    assert_eq!(
        String::from_utf8(to_vec(&body)).expect("utf-8"),
        text,
        "{name}"
    );
    body
}

#[test]
fn bodies_are_written_as_java_writes_them() {
    round_trip::<TopicRouteData>("route");
    round_trip::<ClusterInfo>("cluster");
    round_trip::<RegisterBody>("registerbody");
    round_trip::<ConsumerConnection>("consumerconnection");
    round_trip::<KvTable>("kv");
    round_trip::<TopicList>("topiclist");
    round_trip::<GroupList>("grouplist");
    round_trip::<BrokerStatsData>("brokerstats");
    round_trip::<ConsumeStats>("consumestats");
    round_trip::<LockBatchBody>("lock");
    round_trip::<LockBatchResponse>("lockresp");
    let topics = round_trip::<TopicConfigAndMapping>("topicandmapping");
    assert_eq!(topics.data_version.counter, 7);
    let groups = round_trip::<SubscriptionGroupWrapper>("groupwrapper");
    let expected = SubscriptionGroupConfig {
        group_name: "G".into(),
        ..Default::default()
    };
    assert_eq!(groups.subscription_group_table["G"], expected);
    let queue = MessageQueue {
        broker_name: "broker-a".into(),
        queue_id: 1,
        topic: "T".into(),
    };
    let stats = round_trip::<TopicStatsTable>("topicstats");
    assert_eq!(stats.offset_table[&queue].max_offset, 9);
    let reset = round_trip::<ResetOffsetBody>("reset");
    assert_eq!(reset.offset_table, BTreeMap::from([(queue, 6)]));
    assert_eq!(
        String::from_utf8(to_vec(&ResetOffsetBodyForC::from(&reset))).expect("utf-8"),
        r#"{"offsetTable":[{"brokerName":"broker-a","offset":6,"queueId":1,"topic":"T"}]}"#
    );
    // A 4.x wrapper has no mappings; missing members take their defaults.
    let old: TopicConfigAndMapping =
        from_slice(golden()["topicwrapper"].as_bytes()).expect("topicwrapper");
    assert_eq!(old.topic_config_table, topics.topic_config_table);
    assert_eq!(old.mapping_data_version, None);
}

/// What 4.x writes lacks the younger members, which then have their defaults.
#[test]
fn bodies_of_release_4_read_as_well() {
    fn read<T: Json>(name: &str) -> T {
        from_slice(golden_4()[name].as_bytes()).expect(name)
    }
    assert_eq!(
        read::<TopicRouteData>("route"),
        from_slice(golden()["route"].as_bytes()).expect("route")
    );
    let lock = from_slice(golden()["lock"].as_bytes()).expect("lock");
    assert_eq!(read::<LockBatchBody>("lock"), lock);
    let groups = read::<SubscriptionGroupWrapper>("groupwrapper");
    let expected = SubscriptionGroupConfig {
        group_name: "G".into(),
        ..Default::default()
    };
    assert_eq!(groups.subscription_group_table["G"], expected);
    // These two agree to the byte when the younger members are left out.
    for name in ["topicstats", "consumestats"] {
        let written = match name {
            "topicstats" => to_vec(&read::<TopicStatsTable>(name)),
            _ => to_vec(&read::<ConsumeStats>(name)),
        };
        assert_eq!(written, golden_4()[name].as_bytes());
    }
    let mut beats = [golden(), golden_4()].map(|values| {
        from_slice::<HeartbeatData>(values["heartbeat"].as_bytes()).expect("heartbeat")
    });
    for beat in &mut beats {
        beat.consumer_data_set
            .sort_by(|one, other| one.group_name.cmp(&other.group_name));
    }
    assert_eq!(beats[0], beats[1]);

    let deflated = bytes(golden_4()["registerbody_compressed413"]);
    let register = inflate_register(&deflated, Version::V4_9_7).expect("inflates");
    let wrapper = register.topic_config_serialize_wrapper;
    assert_eq!(
        wrapper.topic_config_table,
        read::<TopicConfigAndMapping>("topicwrapper").topic_config_table
    );
}

#[test]
fn routes_in_standard_json() {
    let text = golden()["route_standard"];
    let route: TopicRouteData = from_slice(text.as_bytes()).expect("route");
    assert_eq!(route.broker_datas[0].zone_name.as_deref(), Some("z/中"));
    assert_eq!(
        String::from_utf8(to_standard_vec(&route)).expect("utf-8"),
        text
    );
}

/// Java writes an object that it has already written as a reference.
#[test]
fn heartbeats_with_references() {
    let beat: HeartbeatData = from_slice(golden()["heartbeat"].as_bytes()).expect("heartbeat");
    assert_eq!(beat.client_id, "10.0.0.9@1#2");
    let [first, second] = beat.consumer_data_set.as_slice() else {
        panic!("two groups")
    };
    assert_eq!(first.message_model, Some(MessageModel::Broadcasting));
    assert_eq!(second.consume_type, Some(ConsumeType::Passively));
    assert_eq!(
        second.consume_from_where,
        Some(ConsumeFromWhere::LastOffset)
    );
    assert_eq!(first.subscription_data_set, second.subscription_data_set);
    assert_eq!(
        second.subscription_data_set[0].code_set,
        [2_598_919, 2_598_920]
    );
    let written = to_vec(&beat);
    assert!(!String::from_utf8_lossy(&written).contains("$ref"));
    assert_eq!(from_slice::<HeartbeatData>(&written), Ok(beat));
}

#[test]
fn registrations_deflated() {
    let golden_body: RegisterBody =
        from_slice(golden()["registerbody"].as_bytes()).expect("registerbody");
    let bytes = golden_bytes("registerbody_compressed413");
    let body = inflate_register(&bytes, Version::V5_3_3).expect("inflates");
    let table = |body: &RegisterBody| {
        let wrapper = body.topic_config_serialize_wrapper.clone();
        (wrapper.data_version, wrapper.topic_config_table)
    };
    assert_eq!(table(&body), table(&golden_body));
    for version in [Version::V4_9_7, Version::V5_3_3] {
        let again = inflate_register(&deflate_register(&body, version), version).expect("inflates");
        assert_eq!(table(&again), table(&body));
    }
    for cut in 0..bytes.len() {
        assert!(
            inflate_register(&bytes[..cut], Version::V5_3_3).is_err(),
            "{cut}"
        );
    }
}

#[test]
fn lenient_input() {
    let expected = LockBatchBody {
        client_id: "c".into(),
        consumer_group: "g'".into(),
        mq_set: vec![MessageQueue {
            broker_name: "b".into(),
            queue_id: 3,
            topic: "t".into(),
        }],
        only_this_broker: true,
    };
    let texts = [
        r#"{"clientId":"c","consumerGroup":"g'","mqSet":[{"brokerName":"b","queueId":3,"topic":"t"}],"onlyThisBroker":true}"#,
        r#"{'clientId':'c',consumerGroup:'g\'',mqSet:[{brokerName:'b','queueId':"3",topic:"t"}],onlyThisBroker:"true",x:{y:[1,{}]}}"#,
        "// line\n{,clientId:\"c\" /* two */ ,,\"consumerGroup\":\"g\\u0027\",\"mqSet\":[,{\"topic\":\"t\",\"brokerName\":\"b\",\"queueId\":3.0},],\"onlyThisBroker\":1}",
        r#"{"clientId":"old","clientId":"c","consumerGroup":"g'","mqSet":[{"brokerName":"b","queueId":3L,"topic":"t","z":null}],"onlyThisBroker":true,"unknown":null}"#,
    ];
    for text in texts {
        assert_eq!(
            from_slice::<LockBatchBody>(text.as_bytes()).as_ref(),
            Ok(&expected),
            "{text}"
        );
    }
    assert_eq!(
        from_slice::<LockBatchBody>(b"{}"),
        Ok(LockBatchBody::default())
    );

    let queue = r#"{"brokerName":"b","queueId":0,"topic":"t"}"#;
    let quoted = queue.replace('"', "\\\"");
    for text in [
        format!(r#"{{"offsetTable":{{{queue}:6}}}}"#),
        format!(r#"{{"offsetTable":{{"{quoted}":6}}}}"#),
        format!(r#"{{"a":{queue},"offsetTable":{{{{"$ref":"$.a"}}:"6"}}}}"#),
        format!(r#"{{"a":[0,{queue}],"offsetTable":{{{{"$ref":"$.a[1]"}}:6}}}}"#),
    ] {
        let body: ResetOffsetBody = from_slice(text.as_bytes()).expect(&text);
        let (key, offset) = body.offset_table.first_key_value().expect("one queue");
        assert_eq!((key.topic.as_str(), *offset), ("t", 6), "{text}");
    }

    let offsets: ConsumerOffsets =
        from_slice(br#"{"offsetTable":{"topic@group":{0:12,"1":13}}}"#).expect("offsets");
    assert_eq!(
        offsets.offset_table["topic@group"],
        BTreeMap::from([(0, 12), (1, 13)])
    );
    assert_eq!(
        to_vec(&offsets),
        br#"{"offsetTable":{"topic@group":{0:12,1:13}}}"#
    );
    let unknown: ConsumerData =
        from_slice(br#"{"messageModel":"NEW","consumeType":1}"#).expect("enum");
    assert_eq!(
        (unknown.message_model, unknown.consume_type),
        (None, Some(ConsumeType::Passively))
    );
}

#[test]
fn refused_input() {
    let refused = [
        "{",
        "[",
        "}",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1 b:2}",
        "[1 2]",
        "{}{}",
        "{} x",
        "\"",
        "'a\"",
        "\"\\",
        "\"\\u12",
        "\"\\uzzzz\"",
        "{\"a\":word}",
        "/*",
        "/",
        "{\"a\":1/}",
        "\"\\q\"",
    ];
    for text in refused {
        assert!(
            Value::parse(text.as_bytes(), Limits::default()).is_err(),
            "{text}"
        );
    }
    assert_eq!(
        Value::parse(b"\xff", Limits::default()),
        Err(JsonError::NotUtf8)
    );
    let deep = "[".repeat(100_000);
    assert_eq!(
        Value::parse(deep.as_bytes(), Limits::default()),
        Err(JsonError::TooDeep { depth_max: 32 })
    );
    let limits = Limits {
        depth_max: 3,
        values_max: 4,
    };
    assert!(Value::parse(b"[1,2,3]", limits).is_ok());
    let too_many = JsonError::TooManyValues { values_max: 4 };
    assert_eq!(Value::parse(b"[1,2,3,4]", limits), Err(too_many));
    assert_eq!(Value::parse(b"{a:1,b:2}", limits), Err(too_many));
    // References may not multiply what they name.
    assert_eq!(Value::parse(br#"[{"$ref":"$"}]"#, limits), Err(too_many));
    let bomb = format!(
        "[\"{}\"{}]",
        "\\\"".repeat(100_000),
        ",{\"$ref\":\"$[0]\"}".repeat(2_000)
    );
    let result = Value::parse(bomb.as_bytes(), Limits::default());
    assert!(matches!(result, Err(JsonError::TooManyValues { .. })));
}

#[test]
fn cut_and_falsified_bodies_never_panic() {
    for name in ["heartbeat", "topicstats", "route_standard"] {
        let text = golden()[name].as_bytes();
        for cut in 1..text.len() {
            assert!(
                Value::parse(&text[..cut], Limits::default()).is_err(),
                "{name} {cut}"
            );
        }
        for at in 0..text.len() {
            for value in [
                0, b'"', b'\\', b'{', b'}', b'[', b',', b':', b'/', b'$', 0xff,
            ] {
                let mut bad = text.to_vec();
                bad[at] = value;
                let _ = from_slice::<HeartbeatData>(&bad);
                let _ = from_slice::<TopicStatsTable>(&bad);
            }
        }
    }
}
