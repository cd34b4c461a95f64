//! Tables of offsets.

use std::collections::BTreeMap;

use super::topic::{DataVersion, MessageQueue};
use crate::json::body;

body! {
    /// The answer to 222, and the body of 220.
    pub struct ResetOffsetBody {
        "offsetTable" offset_table: BTreeMap<MessageQueue, i64>,
    }
}

body! {
    /// One row of [`ResetOffsetBodyForC`].
    pub struct ResetOffsetOfQueue {
        "brokerName" broker_name: String,
        "offset" offset: i64,
        "queueId" queue_id: i32,
        "topic" topic: String,
    }
}

body! {
    /// The body of 220 for C++ clients, whose parser takes no object as a key.
    pub struct ResetOffsetBodyForC {
        "offsetTable" offset_table: Vec<ResetOffsetOfQueue>,
    }
}

impl From<&ResetOffsetBody> for ResetOffsetBodyForC {
    fn from(body: &ResetOffsetBody) -> Self {
        let row = |(queue, offset): (&MessageQueue, &i64)| ResetOffsetOfQueue {
            broker_name: queue.broker_name.clone(),
            offset: *offset,
            queue_id: queue.queue_id,
            topic: queue.topic.clone(),
        };
        Self {
            offset_table: body.offset_table.iter().map(row).collect(),
        }
    }
}

body! {
    /// What a client answers to 221 (`message_queue_table`), and a broker to 223 (both).
    pub struct ConsumerStatusBody {
        "consumerTable" consumer_table: Option<BTreeMap<String, BTreeMap<MessageQueue, i64>>>,
        "messageQueueTable" message_queue_table: Option<BTreeMap<MessageQueue, i64>>,
    }
}

body! {
    /// The answer to 43; the outer keys are `topic@group`.
    pub struct ConsumerOffsets {
        "dataVersion" data_version: Option<DataVersion>,
        "groupTopicMap" group_topic_map: Option<BTreeMap<String, Vec<String>>>,
        "offsetTable" offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    }
}

body! {
    /// The answer to 45, by delay level.
    pub struct DelayOffsets {
        "dataVersion" data_version: Option<DataVersion>,
        "offsetTable" offset_table: BTreeMap<i32, i64>,
    }
}

body! {
    /// The answer to 308, by queue id.
    pub struct CorrectionOffsets {
        "correctionOffsets" correction_offsets: BTreeMap<i32, i64>,
    }
}
