//! Offsets of groups and queues: 14, 15, 29 to 32, 208, 222, 223, 308, 314.

use super::{Text, headers};

headers! {
    /// 14 QUERY_CONSUMER_OFFSET.
    QueryConsumerOffset<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "setZeroIfNotFound" set_zero_if_not_found: Option<bool>,
    }

    /// 15 UPDATE_CONSUMER_OFFSET.
    UpdateConsumerOffset<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "commitOffset" commit_offset: i64,
    }

    /// 29 SEARCH_OFFSET_BY_TIMESTAMP; `boundary_type` is `lower` or `upper`.
    SearchOffset<'a> {
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "timestamp" timestamp: i64,
        "boundaryType" boundary_type: Option<Text<'a>>,
    }

    /// 30 GET_MAX_OFFSET.
    MaxOffset<'a> {
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "committed" committed: Option<bool>,
    }

    /// 31 GET_MIN_OFFSET and 32 GET_EARLIEST_MSG_STORETIME.
    QueueOfTopic<'a> {
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
    }

    /// The answer to 14, 29, 30 and 31.
    OffsetResponse {
        "offset" offset: i64,
    }

    /// The answer to 32.
    TimestampResponse {
        "timestamp" timestamp: i64,
    }

    /// 208 GET_CONSUME_STATS; `topic_list` is joined by semicolons.
    ConsumeStats<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Option<Text<'a>>,
        "topicList" topic_list: Option<Text<'a>>,
    }

    /// 222 INVOKE_BROKER_TO_RESET_OFFSET; a queue id of -1, or none, means all.
    ResetOffset<'a> {
        "group" group: Text<'a>,
        "topic" topic: Text<'a>,
        "timestamp" timestamp: i64,
        "isForce" is_force: bool,
        "queueId" queue_id: Option<i32>,
        "offset" offset: Option<i64>,
    }

    /// 220 RESET_CONSUMER_CLIENT_OFFSET, broker to client.
    ResetClientOffset<'a> {
        "topic" topic: Text<'a>,
        "group" group: Text<'a>,
        "timestamp" timestamp: i64,
        "isForce" is_force: bool,
    }

    /// 221 GET_CONSUMER_STATUS_FROM_CLIENT, broker to client.
    ConsumerStatusFromClient<'a> {
        "topic" topic: Text<'a>,
        "group" group: Text<'a>,
    }

    /// 223 INVOKE_BROKER_TO_GET_CONSUMER_STATUS.
    ConsumerStatus<'a> {
        "topic" topic: Text<'a>,
        "group" group: Text<'a>,
        "clientAddr" client_addr: Option<Text<'a>>,
    }

    /// 308 QUERY_CORRECTION_OFFSET.
    CorrectionOffset<'a> {
        "filterGroups" filter_groups: Option<Text<'a>>,
        "compareGroup" compare_group: Text<'a>,
        "topic" topic: Text<'a>,
    }

    /// 314 CLONE_GROUP_OFFSET.
    CloneGroupOffset<'a> {
        "srcGroup" src_group: Text<'a>,
        "destGroup" dest_group: Text<'a>,
        "topic" topic: Option<Text<'a>>,
        "offline" offline: Option<bool>,
    }

    /// 303 QUERY_CONSUME_TIME_SPAN.
    ConsumeTimeSpan<'a> {
        "topic" topic: Text<'a>,
        "group" group: Text<'a>,
    }
}
