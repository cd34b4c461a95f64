//! Sends under an alarm and on a full disk.

use gateway::door::Alarms;
use remoting::RequestCode as Code;
use remoting::message::BatchItem;

use crate::remoting_client::{Client, send_fields, world};

const FULL: &str = "service not available now. It may be caused by one of the following reasons: \
                    the broker's disk is full";
const BUSY: &str = "[PC_SYNCHRONIZED]broker busy, start flow control for a while";

#[test]
fn sends_are_refused_under_an_alarm_and_pulls_go_on() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    client.beat(&mut world, "C1", "CG", &["T"]);
    let sent = client.send(&mut world, "T", 0, "", "before");
    let id = sent.field("msgId").to_owned();
    let mut batch = Vec::new();
    BatchItem {
        flag: 0,
        body: b"part",
        properties: "",
    }
    .encode(&mut batch)
    .unwrap();
    for (memory, disk, code, remark) in [
        (true, false, 2, BUSY),
        (false, true, 14, FULL),
        (true, true, 14, FULL),
    ] {
        world.alarm(Alarms { memory, disk });
        for (topic, properties) in [("T", ""), ("Unknown", ""), ("T", "TRAN_MSG\u{1}true")] {
            let answer = client.send(&mut world, topic, 0, properties, "x");
            assert_eq!((answer.code, answer.remark.as_str()), (code, remark));
        }
        let mut fields = send_fields("T", "0", "");
        fields.push(("m", "true"));
        let answer = client.ask(&mut world, Code::SendBatchMessage, &fields, &batch);
        assert_eq!((answer.code, answer.remark.as_str()), (code, remark));
        assert_eq!(client.pull(&mut world, "T", 0, "*").bodies(), ["before"]);
        assert_eq!(client.send(&mut world, "%RETRY%CG", 0, "", "again").code, 0);
    }
    let offset = u64::from_str_radix(&id[16..], 16).unwrap().to_string();
    let fields = [
        ("offset", offset.as_str()),
        ("group", "CG"),
        ("delayLevel", "0"),
        ("originTopic", "T"),
        ("originMsgId", id.as_str()),
        ("maxReconsumeTimes", "16"),
    ];
    let back = client.ask(&mut world, Code::ConsumerSendMsgBack, &fields, &[]);
    assert_eq!(back.code, 0, "{}", back.remark);
    world.alarm(Alarms::NONE);
    assert_eq!(client.send(&mut world, "T", 0, "", "after").code, 0);
    let bodies = client.pull(&mut world, "T", 0, "*");
    assert_eq!(bodies.bodies(), ["before", "after"]);
}

#[test]
fn a_full_disk_refuses_what_came_through() {
    let mut world = world();
    let mut client = Client::new(&mut world);
    assert_eq!(client.send(&mut world, "T", 0, "", "before").code, 0);
    world.disk_full(true);
    let answer = client.send(&mut world, "T", 0, "", "x");
    assert_eq!((answer.code, answer.remark.as_str()), (14, FULL));
    world.disk_full(false);
    assert_eq!(client.send(&mut world, "T", 0, "", "after").code, 0);
    let bodies = client.pull(&mut world, "T", 0, "*");
    assert_eq!(bodies.bodies(), ["before", "after"]);
}
