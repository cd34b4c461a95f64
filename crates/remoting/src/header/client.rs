//! Clients and groups: heartbeats (34), leaving (35), members (38, 40), groups' configurations.

use super::{Text, headers};

headers! {
    /// The answer to 34.
    HeartbeatResponse {
        "IS_SUPPORT_HEART_BEAT_V2" is_support_heart_beat_v2: Option<bool>,
        "IS_SUB_CHANGE" is_sub_change: Option<bool>,
    }

    /// 35 UNREGISTER_CLIENT.
    UnregisterClient<'a> {
        "clientID" client_id: Text<'a>,
        "producerGroup" producer_group: Option<Text<'a>>,
        "consumerGroup" consumer_group: Option<Text<'a>>,
    }

    /// 38 GET_CONSUMER_LIST_BY_GROUP, 40 NOTIFY_CONSUMER_IDS_CHANGED and
    /// 203 GET_CONSUMER_CONNECTION_LIST.
    ConsumerGroup<'a> {
        "consumerGroup" consumer_group: Text<'a>,
    }

    /// 204 GET_PRODUCER_CONNECTION_LIST.
    ProducerGroup<'a> {
        "producerGroup" producer_group: Text<'a>,
    }

    /// 352 GET_SUBSCRIPTIONGROUP_CONFIG and 343 QUERY_TOPICS_BY_CONSUMER.
    Group<'a> {
        "group" group: Text<'a>,
    }

    /// 345 QUERY_SUBSCRIPTION_BY_CONSUMER.
    GroupAndTopic<'a> {
        "group" group: Text<'a>,
        "topic" topic: Option<Text<'a>>,
    }

    /// 207 DELETE_SUBSCRIPTIONGROUP.
    DeleteSubscriptionGroup<'a> {
        "groupName" group_name: Text<'a>,
        "cleanOffset" clean_offset: Option<bool>,
    }

    /// 353 UPDATE_AND_GET_GROUP_FORBIDDEN.
    GroupForbidden<'a> {
        "group" group: Text<'a>,
        "topic" topic: Text<'a>,
        "readable" readable: Option<bool>,
    }

    /// 307 GET_CONSUMER_RUNNING_INFO, to the broker and on to the client.
    ConsumerRunningInfo<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "clientId" client_id: Text<'a>,
        "jstackEnable" jstack_enable: Option<bool>,
    }

    /// 309 CONSUME_MESSAGE_DIRECTLY, to the broker and on to the client.
    ConsumeMessageDirectly<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "clientId" client_id: Option<Text<'a>>,
        "msgId" msg_id: Option<Text<'a>>,
        "topic" topic: Option<Text<'a>>,
        "brokerName" broker_name: Option<Text<'a>>,
        "topicSysFlag" topic_sys_flag: Option<i32>,
        "groupSysFlag" group_sys_flag: Option<i32>,
    }

    /// 201 GET_ALL_SUBSCRIPTIONGROUP_CONFIG; pages since 5.3.4.
    AllSubscriptionGroups<'a> {
        "groupSeq" group_seq: Option<i32>,
        "dataVersion" data_version: Option<Text<'a>>,
        "maxGroupNum" max_group_num: Option<i32>,
    }

    /// The answer to 201.
    AllSubscriptionGroupsResponse {
        "totalGroupNum" total_group_num: Option<i32>,
    }
}
