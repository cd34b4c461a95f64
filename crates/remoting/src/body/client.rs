//! What clients say about themselves, and what is said about them.

use std::collections::BTreeMap;

use super::topic::MessageQueue;
use crate::json::{body, names};

names! {
    /// Who moves the messages.
    pub enum ConsumeType {
        Actively "CONSUME_ACTIVELY",
        Passively "CONSUME_PASSIVELY",
        Pop "CONSUME_POP",
    }
}

names! {
    /// Whether the members of a group share messages or each get all.
    pub enum MessageModel {
        Broadcasting "BROADCASTING",
        Clustering "CLUSTERING",
    }
}

names! {
    /// Where a group begins that has no offset. The three after the first are deprecated and still
    /// sent.
    pub enum ConsumeFromWhere {
        LastOffset "CONSUME_FROM_LAST_OFFSET",
        LastOffsetAndFromMinWhenBootFirst "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        MinOffset "CONSUME_FROM_MIN_OFFSET",
        MaxOffset "CONSUME_FROM_MAX_OFFSET",
        FirstOffset "CONSUME_FROM_FIRST_OFFSET",
        Timestamp "CONSUME_FROM_TIMESTAMP",
    }
}

names! {
    /// The language of a subscription; it travels as a text, and none means tags.
    pub enum ExpressionType {
        Tag "TAG",
        Sql92 "SQL92",
    }
}

body! {
    /// What a group wants of a topic. `expression_type` stays a text, since a client may send any.
    pub struct SubscriptionData {
        "classFilterMode" class_filter_mode: bool,
        "codeSet" code_set: Vec<i32>,
        "expressionType" expression_type: Option<String> = Some("TAG".to_owned()),
        "subString" sub_string: String,
        "subVersion" sub_version: i64,
        "tagsSet" tags_set: Vec<String>,
        "topic" topic: String,
    }
}

body! {
    /// A consumer group in a heartbeat.
    pub struct ConsumerData {
        "consumeFromWhere" consume_from_where: Option<ConsumeFromWhere>,
        "consumeType" consume_type: Option<ConsumeType>,
        "groupName" group_name: String,
        "messageModel" message_model: Option<MessageModel>,
        "subscriptionDataSet" subscription_data_set: Vec<SubscriptionData>,
        "unitMode" unit_mode: bool,
    }
}

body! {
    /// A producer group in a heartbeat.
    pub struct ProducerData {
        "groupName" group_name: String,
    }
}

body! {
    /// 34 HEART_BEAT.
    pub struct HeartbeatData {
        "clientID" client_id: String,
        "consumerDataSet" consumer_data_set: Vec<ConsumerData>,
        "heartbeatFingerprint" heartbeat_fingerprint: i32,
        "producerDataSet" producer_data_set: Vec<ProducerData>,
        "withoutSub" without_sub: bool,
    }
}

body! {
    /// 46 CHECK_CLIENT_CONFIG.
    pub struct CheckClientBody {
        "clientId" client_id: String,
        "group" group: String,
        "namespace" namespace: Option<String>,
        "subscriptionData" subscription_data: Option<SubscriptionData>,
    }
}

body! {
    /// 41 LOCK_BATCH_MQ and 42 UNLOCK_BATCH_MQ.
    pub struct LockBatchBody {
        "clientId" client_id: String,
        "consumerGroup" consumer_group: String,
        "mqSet" mq_set: Vec<MessageQueue>,
        "onlyThisBroker" only_this_broker: bool,
    }
}

body! {
    /// The answer to 41: the queues that the client holds now.
    pub struct LockBatchResponse {
        "lockOKMQSet" lock_ok_mq_set: Vec<MessageQueue>,
    }
}

body! {
    /// The answer to 38.
    pub struct ConsumerIdList {
        "consumerIdList" consumer_id_list: Vec<String>,
    }
}

body! {
    /// One connected client; `language` is a name such as `JAVA`.
    pub struct Connection {
        "clientAddr" client_addr: String,
        "clientId" client_id: String,
        "language" language: String,
        "version" version: i32,
    }
}

body! {
    /// The answer to 203.
    pub struct ConsumerConnection {
        "connectionSet" connection_set: Vec<Connection>,
        "consumeFromWhere" consume_from_where: Option<ConsumeFromWhere>,
        "consumeType" consume_type: Option<ConsumeType>,
        "messageModel" message_model: Option<MessageModel>,
        "subscriptionTable" subscription_table: BTreeMap<String, SubscriptionData>,
    }
}

body! {
    /// The answer to 204.
    pub struct ProducerConnection {
        "connectionSet" connection_set: Vec<Connection>,
    }
}

body! {
    /// One producer in the answer to 328.
    pub struct ProducerInfo {
        "clientId" client_id: String,
        "language" language: String,
        "lastUpdateTimestamp" last_update_timestamp: i64,
        "remoteIP" remote_ip: String,
        "version" version: i32,
    }
}

body! {
    /// The answer to 328.
    pub struct ProducerTable {
        "data" data: BTreeMap<String, Vec<ProducerInfo>>,
    }
}
