//! Figures about topics, groups and the broker.

use std::collections::BTreeMap;

use super::client::SubscriptionData;
use super::topic::MessageQueue;
use crate::json::body;

body! {
    /// What a queue holds.
    pub struct TopicOffset {
        "lastUpdateTimestamp" last_update_timestamp: i64,
        "maxOffset" max_offset: i64,
        "minOffset" min_offset: i64,
    }
}

body! {
    /// The answer to 202. `topic_put_tps` exists since 5.0; leave it out for a 4.x persona.
    pub struct TopicStatsTable {
        "offsetTable" offset_table: BTreeMap<MessageQueue, TopicOffset>,
        "topicPutTps" topic_put_tps: Option<f64>,
    }
}

body! {
    /// Where a group stands in a queue. `pull_offset` exists since 5.0.
    pub struct OffsetWrapper {
        "brokerOffset" broker_offset: i64,
        "consumerOffset" consumer_offset: i64,
        "lastTimestamp" last_timestamp: i64,
        "pullOffset" pull_offset: Option<i64>,
    }
}

body! {
    /// The answer to 208.
    pub struct ConsumeStats {
        "consumeTps" consume_tps: f64,
        "offsetTable" offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
    }
}

body! {
    /// The answer to 317: one map of one group per row.
    pub struct ConsumeStatsList {
        "brokerAddr" broker_addr: Option<String>,
        "consumeStatsList" consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
        "totalDiff" total_diff: i64,
        "totalInflightDiff" total_inflight_diff: i64,
    }
}

body! {
    /// One window of a statistic: average per call, sum, calls a second.
    pub struct BrokerStatsItem {
        "avgpt" avgpt: f64,
        "sum" sum: i64,
        "tps" tps: f64,
    }
}

body! {
    /// The answer to 315.
    pub struct BrokerStatsData {
        "statsDay" stats_day: BrokerStatsItem,
        "statsHour" stats_hour: BrokerStatsItem,
        "statsMinute" stats_minute: BrokerStatsItem,
    }
}

body! {
    /// One entry of a consume queue, as 321 shows it.
    pub struct ConsumeQueueData {
        "bitMap" bit_map: Option<String>,
        "eval" eval: bool,
        "extendDataJson" extend_data_json: Option<String>,
        "msg" msg: Option<String>,
        "physicOffset" physic_offset: i64,
        "physicSize" physic_size: i32,
        "tagsCode" tags_code: i64,
    }
}

body! {
    /// The answer to 321.
    pub struct QueryConsumeQueueResponse {
        "filterData" filter_data: Option<String>,
        "maxQueueIndex" max_queue_index: i64,
        "minQueueIndex" min_queue_index: i64,
        "queueData" queue_data: Vec<ConsumeQueueData>,
        "subscriptionData" subscription_data: Option<SubscriptionData>,
    }
}

body! {
    /// One queue in the answer to 303; times are milliseconds.
    pub struct ConsumeTimeSpan {
        "consumeTimeStamp" consume_time_stamp: i64,
        "delayTime" delay_time: i64,
        "maxTimeStamp" max_time_stamp: i64,
        "messageQueue" message_queue: MessageQueue,
        "minTimeStamp" min_time_stamp: i64,
    }
}

body! {
    /// The answer to 303.
    pub struct ConsumeTimeSpans {
        "consumeTimeSpanSet" consume_time_span_set: Vec<ConsumeTimeSpan>,
    }
}
