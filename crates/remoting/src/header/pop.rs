//! POP: 200050 to 200056, 200151.

use super::{Text, headers};

headers! {
    /// 200050 POP_MESSAGE; queue -1 means any.
    PopMessage<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "maxMsgNums" max_msg_nums: i32,
        "invisibleTime" invisible_time: i64,
        "pollTime" poll_time: i64,
        "bornTime" born_time: i64,
        "initMode" init_mode: i32,
        "expType" exp_type: Option<Text<'a>>,
        "exp" exp: Option<Text<'a>>,
        "order" order: Option<bool>,
        "attemptId" attempt_id: Option<Text<'a>>,
    }

    /// The answer to 200050 and 200052, under every code.
    PopMessageResponse<'a> {
        "popTime" pop_time: i64,
        "invisibleTime" invisible_time: i64,
        "reviveQid" revive_qid: i32,
        "restNum" rest_num: i64,
        "startOffsetInfo" start_offset_info: Option<Text<'a>>,
        "msgOffsetInfo" msg_offset_info: Option<Text<'a>>,
        "orderCountInfo" order_count_info: Option<Text<'a>>,
    }

    /// 200052 PEEK_MESSAGE.
    PeekMessage<'a> {
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "maxMsgNums" max_msg_nums: i32,
        "consumerGroup" consumer_group: Text<'a>,
    }

    /// 200051 ACK_MESSAGE; `extra_info` is the receipt handle.
    AckMessage<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "extraInfo" extra_info: Text<'a>,
        "offset" offset: i64,
    }

    /// 200053 CHANGE_MESSAGE_INVISIBLETIME.
    ChangeInvisibleTime<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "extraInfo" extra_info: Text<'a>,
        "offset" offset: i64,
        "invisibleTime" invisible_time: i64,
    }

    /// The answer to 200053; the new pop time makes the old handle void.
    ChangeInvisibleTimeResponse {
        "popTime" pop_time: i64,
        "invisibleTime" invisible_time: i64,
        "reviveQid" revive_qid: i32,
    }

    /// 200054 NOTIFICATION.
    Notification<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
        "pollTime" poll_time: i64,
        "bornTime" born_time: i64,
        "order" order: Option<bool>,
        "attemptId" attempt_id: Option<Text<'a>>,
    }

    /// The answer to 200054.
    NotificationResponse {
        "hasMsg" has_msg: bool,
        "pollingFull" polling_full: Option<bool>,
    }

    /// 200055 POLLING_INFO.
    PollingInfo<'a> {
        "consumerGroup" consumer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "queueId" queue_id: i32,
    }

    /// The answer to 200055.
    PollingInfoResponse {
        "pollingNum" polling_num: i32,
    }
}
