//! Consumer groups as a broker keeps them.

use std::collections::BTreeMap;

use crate::json::{body, names};

names! {
    /// Which of the two policies counts.
    pub enum GroupRetryPolicyType {
        Exponential "EXPONENTIAL",
        Customized "CUSTOMIZED",
    }
}

body! {
    /// Milliseconds until each attempt.
    pub struct CustomizedRetryPolicy {
        "next" next: Vec<i64>,
    }
}

body! {
    /// Milliseconds: `initial` × `multiplier` to the attempt, up to `max`.
    pub struct ExponentialRetryPolicy {
        "initial" initial: i64 = 5_000,
        "max" max: i64 = 7_200_000,
        "multiplier" multiplier: i64 = 2,
    }
}

body! {
    /// How long a failed message rests.
    pub struct GroupRetryPolicy {
        "customizedRetryPolicy" customized_retry_policy: Option<CustomizedRetryPolicy>,
        "exponentialRetryPolicy" exponential_retry_policy: Option<ExponentialRetryPolicy>,
        "type" kind: Option<GroupRetryPolicyType> = Some(GroupRetryPolicyType::Customized),
    }
}

body! {
    /// A group's settings: 200, 352.
    pub struct SubscriptionGroupConfig {
        "attributes" attributes: BTreeMap<String, String>,
        "brokerId" broker_id: i64,
        "consumeBroadcastEnable" consume_broadcast_enable: bool = true,
        "consumeEnable" consume_enable: bool = true,
        "consumeFromMinEnable" consume_from_min_enable: bool = true,
        "consumeMessageOrderly" consume_message_orderly: bool,
        "consumeTimeoutMinute" consume_timeout_minute: i32 = 15,
        "groupName" group_name: String,
        "groupRetryPolicy" group_retry_policy: GroupRetryPolicy,
        "groupSysFlag" group_sys_flag: i32,
        "notifyConsumerIdsChangedEnable" notify_consumer_ids_changed_enable: bool = true,
        "retryMaxTimes" retry_max_times: i32 = 16,
        "retryQueueNums" retry_queue_nums: i32 = 1,
        "whichBrokerWhenConsumeSlowly" which_broker_when_consume_slowly: i64 = 1,
    }
}

body! {
    /// 225 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST.
    pub struct SubscriptionGroupList {
        "groupConfigList" group_config_list: Vec<SubscriptionGroupConfig>,
    }
}

body! {
    /// The answer to 201. `forbidden_table` is by group, then topic, since 5.0.
    pub struct SubscriptionGroupWrapper {
        "dataVersion" data_version: super::DataVersion,
        "forbiddenTable" forbidden_table: Option<BTreeMap<String, BTreeMap<String, i32>>>,
        "subscriptionGroupTable" subscription_group_table:
            BTreeMap<String, SubscriptionGroupConfig>,
    }
}

body! {
    /// The answer to 300.
    pub struct GroupList {
        "groupList" group_list: Vec<String>,
    }
}
