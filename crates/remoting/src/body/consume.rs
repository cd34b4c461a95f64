//! Assignment by the broker (400, 401), direct consumption (309), subscriptions (345).

use std::collections::BTreeMap;

use super::client::{MessageModel, SubscriptionData};
use super::topic::MessageQueue;
use crate::json::{body, names};

names! {
    /// How a client gets the messages of a queue.
    pub enum AssignmentMode {
        Pull "PULL",
        Pop "POP",
    }
}

body! {
    /// 400 QUERY_ASSIGNMENT.
    pub struct QueryAssignmentBody {
        "clientId" client_id: String,
        "consumerGroup" consumer_group: String,
        "messageModel" message_model: Option<MessageModel>,
        "strategyName" strategy_name: String,
        "topic" topic: String,
    }
}

body! {
    /// One assigned queue.
    pub struct MessageQueueAssignment {
        "attachments" attachments: Option<BTreeMap<String, String>>,
        "messageQueue" message_queue: MessageQueue,
        "mode" mode: Option<AssignmentMode> = Some(AssignmentMode::Pull),
    }
}

body! {
    /// The answer to 400; without a list the client keeps what it has.
    pub struct QueryAssignmentResponse {
        "messageQueueAssignments" message_queue_assignments: Option<Vec<MessageQueueAssignment>>,
    }
}

body! {
    /// 401 SET_MESSAGE_REQUEST_MODE.
    pub struct SetMessageRequestModeBody {
        "consumerGroup" consumer_group: String,
        "mode" mode: Option<AssignmentMode> = Some(AssignmentMode::Pull),
        "popShareQueueNum" pop_share_queue_num: i32,
        "topic" topic: String,
    }
}

names! {
    /// How a client dealt with a message it was made to consume.
    pub enum ConsumeResult {
        Success "CR_SUCCESS",
        Later "CR_LATER",
        Rollback "CR_ROLLBACK",
        Commit "CR_COMMIT",
        ThrowException "CR_THROW_EXCEPTION",
        ReturnNull "CR_RETURN_NULL",
    }
}

body! {
    /// What a client answers to 309.
    pub struct ConsumeMessageDirectlyResult {
        "autoCommit" auto_commit: bool = true,
        "consumeResult" consume_result: Option<ConsumeResult>,
        "order" order: bool,
        "remark" remark: Option<String>,
        "spentTimeMills" spent_time_mills: i64,
    }
}

body! {
    /// The answer to 345.
    pub struct QuerySubscriptionResponse {
        "group" group: String,
        "subscriptionData" subscription_data: Vec<SubscriptionData>,
        "topic" topic: String,
    }
}
