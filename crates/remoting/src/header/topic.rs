//! Topics on a broker: 17, 21, 202, 215, 300, 351, 513.

use super::{Text, headers};

headers! {
    /// 17 UPDATE_AND_CREATE_TOPIC and 513.
    CreateTopic<'a> {
        "topic" topic: Text<'a>,
        "defaultTopic" default_topic: Text<'a>,
        "readQueueNums" read_queue_nums: i32,
        "writeQueueNums" write_queue_nums: i32,
        "perm" perm: i32,
        "topicFilterType" topic_filter_type: Text<'a>,
        "topicSysFlag" topic_sys_flag: Option<i32>,
        "order" order: bool,
        "attributes" attributes: Option<Text<'a>>,
        "force" force: Option<bool>,
    }

    /// 105, 202, 215, 217, 300 and all else whose only field is a topic.
    Topic<'a> {
        "topic" topic: Text<'a>,
    }

    /// 351 GET_TOPIC_CONFIG.
    TopicConfigOf<'a> {
        "topic" topic: Text<'a>,
        "lo" lo: Option<bool>,
    }

    /// 21 GET_ALL_TOPIC_CONFIG; pages since 5.3.4.
    AllTopicConfig<'a> {
        "topicSeq" topic_seq: Option<i32>,
        "dataVersion" data_version: Option<Text<'a>>,
        "maxTopicNum" max_topic_num: Option<i32>,
    }

    /// The answer to 21.
    AllTopicConfigResponse {
        "totalTopicNum" total_topic_num: Option<i32>,
    }
}
