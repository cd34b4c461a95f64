//! RocketMQ: sends in the short form to one queue, and pulls of what came, with the offset kept by the pull.

use gateway::door::Wire;
use gateway::remoting::{RemotingDoor, Settings};
use remoting::{FrameWriter, Opaque, Prefix, RequestCode, Version};

use crate::world::World;
use crate::{BATCH, BODY};

pub fn exchange_messages(count: u64) {
    let mut world = World::new(
        Wire::Remoting,
        Box::new(RemotingDoor::new(Settings::default())),
    );
    let fields = [
        ("a", "PG"),
        ("b", "T"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "0"),
        ("f", "0"),
        ("g", "1600000000000"),
        ("h", "0"),
        (
            "i",
            "UNIQ_KEY\u{1}7F000001000018B4AAC2000000000000\u{2}WAIT\u{1}true",
        ),
    ];
    let mut sends = Vec::new();
    for number in 0..BATCH {
        let request = Prefix::request(
            RequestCode::SendMessageV2,
            Opaque(number as i32),
            Version::V5_3_3,
        );
        frame(&mut sends, request, &fields, &[b'x'; BODY]);
    }
    let mut batch = Vec::new();
    let mut heard = 0;
    for turn in 0..count / BATCH {
        batch.clear();
        batch.extend_from_slice(&sends);
        let offset = (turn * BATCH).to_string();
        let fields = [
            ("consumerGroup", "CG"),
            ("topic", "T"),
            ("queueId", "0"),
            ("queueOffset", &offset),
            ("maxMsgNums", "32"),
            // Commits the offset, and does not wait.
            ("sysFlag", "5"),
            ("commitOffset", &offset),
            ("suspendTimeoutMillis", "0"),
            ("subscription", "*"),
            ("subVersion", "0"),
        ];
        world.forget();
        world.send(&batch);
        batch.clear();
        let request = Prefix::request(RequestCode::PullMessage, Opaque(1 << 20), Version::V5_3_3);
        frame(&mut batch, request, &fields, &[]);
        world.send(&batch);
        heard += world.heard().len();
    }
    let least = (count / BATCH * BATCH) as usize * BODY;
    assert!(heard > least, "{heard} bytes came of {least}");
}

fn frame(out: &mut Vec<u8>, prefix: Prefix<'_>, fields: &[(&str, &str)], body: &[u8]) {
    let mut writer = FrameWriter::begin(out, prefix);
    fields
        .iter()
        .for_each(|(key, value)| writer.field(key, value));
    writer.finish_with(body).expect("a small frame");
}
