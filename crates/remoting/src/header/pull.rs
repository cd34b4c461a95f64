//! Reading messages: pull (11, 361), by key (12), by id (33), queue entries (321).

use super::{Text, headers};

headers! {
    /// 11 PULL_MESSAGE and 361 LITE_PULL_MESSAGE.
    PullMessage<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "queueOffset" queue_offset: i64,
        "maxMsgNums" max_msg_nums: i32,
        "sysFlag" sys_flag: i32,
        "commitOffset" commit_offset: i64,
        "suspendTimeoutMillis" suspend_timeout_millis: i64,
        "subscription" subscription: Option<Text<'a>>,
        "subVersion" sub_version: i64,
        "expressionType" expression_type: Option<Text<'a>>,
        "maxMsgBytes" max_msg_bytes: Option<i32>,
        "requestSource" request_source: Option<i32>,
        "proxyFrowardClientId" proxy_froward_client_id: Option<Text<'a>>,
    }

    /// The answer, under every code: clients decode it before they look at the code.
    PullMessageResponse {
        "suggestWhichBrokerId" suggest_which_broker_id: i64,
        "nextBeginOffset" next_begin_offset: i64,
        "maxOffset" max_offset: i64,
        "minOffset" min_offset: i64,
        "offsetDelta" offset_delta: Option<i64>,
        "topicSysFlag" topic_sys_flag: Option<i32>,
        "groupSysFlag" group_sys_flag: Option<i32>,
        "forbiddenType" forbidden_type: Option<i32>,
    }

    /// 12 QUERY_MESSAGE. The field `_UNIQUE_KEY_QUERY` says that `key` is a unique key.
    QueryMessage<'a> {
        "topic" topic: Text<'a>,
        "key" key: Text<'a>,
        "maxNum" max_num: i32,
        "beginTimestamp" begin_timestamp: i64,
        "endTimestamp" end_timestamp: i64,
        "_UNIQUE_KEY_QUERY" unique_key_query: Option<bool>,
    }

    /// The answer to 12.
    QueryMessageResponse {
        "indexLastUpdateTimestamp" index_last_update_timestamp: i64,
        "indexLastUpdatePhyoffset" index_last_update_phyoffset: i64,
    }

    /// 33 VIEW_MESSAGE_BY_ID.
    ViewMessageById<'a> {
        "offset" offset: i64,
        "topic" topic: Option<Text<'a>>,
    }

    /// 321 QUERY_CONSUME_QUEUE.
    QueryConsumeQueue<'a> {
        "topic" topic: Option<Text<'a>>,
        "queueId" queue_id: i32,
        "index" index: i64,
        "count" count: i32,
        "consumerGroup" consumer_group: Option<Text<'a>>,
    }
}

/// The bits of a pull's system flag.
pub mod pull_flag {
    pub const COMMIT_OFFSET: i32 = 1;
    pub const SUSPEND: i32 = 2;
    pub const SUBSCRIPTION: i32 = 4;
    pub const CLASS_FILTER: i32 = 8;
    pub const LITE: i32 = 16;
}
