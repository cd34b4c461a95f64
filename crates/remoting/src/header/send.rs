//! Sending messages: 10, 310, 320, 324, 325, and what comes back; sending back (36), transactions
//! (37, 39, 323), recall (370), replies (326).
//!
//! The short names of 310 exist to save bytes; [`SendMessage::parse_as`] reads either form.

use super::{Header, HeaderError, Text, headers};
use crate::code::RequestCode;
use crate::ext::ExtFields;

headers! {
    /// 10 SEND_MESSAGE and 324, and the meaning of 310, 320 and 325.
    SendMessage<'a> {
        "producerGroup" producer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "defaultTopic" default_topic: Text<'a>,
        "defaultTopicQueueNums" default_topic_queue_nums: i32,
        "queueId" queue_id: i32,
        "sysFlag" sys_flag: i32,
        "bornTimestamp" born_timestamp: i64,
        "flag" flag: i32,
        "properties" properties: Option<Text<'a>>,
        "reconsumeTimes" reconsume_times: Option<i32>,
        "unitMode" unit_mode: Option<bool>,
        "batch" batch: Option<bool>,
        "maxReconsumeTimes" max_reconsume_times: Option<i32>,
    }

    /// 310 SEND_MESSAGE_V2, 320 SEND_BATCH_MESSAGE and 325: the same under one-letter names.
    SendMessageV2<'a> {
        "a" producer_group: Text<'a>,
        "b" topic: Text<'a>,
        "c" default_topic: Text<'a>,
        "d" default_topic_queue_nums: i32,
        "e" queue_id: i32,
        "f" sys_flag: i32,
        "g" born_timestamp: i64,
        "h" flag: i32,
        "i" properties: Option<Text<'a>>,
        "j" reconsume_times: Option<i32>,
        "k" unit_mode: Option<bool>,
        "l" max_reconsume_times: Option<i32>,
        "m" batch: Option<bool>,
        "n" broker_name: Option<Text<'a>>,
    }

    /// The answer to all of them. Present with codes 10 to 12 as well as 0.
    /// `msg_id` is the offset message id, or comma-joined ones for a batch.
    SendMessageResponse<'a> {
        "msgId" msg_id: Text<'a>,
        "queueId" queue_id: i32,
        "queueOffset" queue_offset: i64,
        "transactionId" transaction_id: Option<Text<'a>>,
        "batchUniqId" batch_uniq_id: Option<Text<'a>>,
        "recallHandle" recall_handle: Option<Text<'a>>,
        "MSG_REGION" msg_region: Option<Text<'a>>,
        "TRACE_ON" trace_on: Option<Text<'a>>,
    }

    /// 36 CONSUMER_SEND_MSG_BACK.
    ConsumerSendMsgBack<'a> {
        "offset" offset: i64,
        "group" group: Text<'a>,
        "delayLevel" delay_level: i32,
        "originMsgId" origin_msg_id: Option<Text<'a>>,
        "originTopic" origin_topic: Option<Text<'a>>,
        "unitMode" unit_mode: Option<bool>,
        "maxReconsumeTimes" max_reconsume_times: Option<i32>,
    }

    /// 37 END_TRANSACTION; `commit_or_rollback` is 8, 12 or 0 as in the system flag.
    EndTransaction<'a> {
        "producerGroup" producer_group: Text<'a>,
        "tranStateTableOffset" tran_state_table_offset: i64,
        "commitLogOffset" commit_log_offset: i64,
        "commitOrRollback" commit_or_rollback: i32,
        "msgId" msg_id: Text<'a>,
        "transactionId" transaction_id: Option<Text<'a>>,
        "fromTransactionCheck" from_transaction_check: Option<bool>,
        "topic" topic: Option<Text<'a>>,
    }

    /// 39 CHECK_TRANSACTION_STATE, broker to producer; the body is the half message.
    CheckTransactionState<'a> {
        "topic" topic: Option<Text<'a>>,
        "tranStateTableOffset" tran_state_table_offset: i64,
        "commitLogOffset" commit_log_offset: i64,
        "msgId" msg_id: Option<Text<'a>>,
        "transactionId" transaction_id: Option<Text<'a>>,
        "offsetMsgId" offset_msg_id: Option<Text<'a>>,
    }

    /// 323 RESUME_CHECK_HALF_MESSAGE.
    ResumeCheckHalfMessage<'a> {
        "topic" topic: Option<Text<'a>>,
        "msgId" msg_id: Option<Text<'a>>,
    }

    /// 370 RECALL_MESSAGE.
    RecallMessage<'a> {
        "topic" topic: Text<'a>,
        "recallHandle" recall_handle: Text<'a>,
        "producerGroup" producer_group: Option<Text<'a>>,
    }

    /// The answer to 370.
    RecallMessageResponse<'a> {
        "msgId" msg_id: Text<'a>,
    }

    /// 326 PUSH_REPLY_MESSAGE_TO_CLIENT, broker to producer.
    PushReplyMessage<'a> {
        "producerGroup" producer_group: Text<'a>,
        "topic" topic: Text<'a>,
        "defaultTopic" default_topic: Text<'a>,
        "defaultTopicQueueNums" default_topic_queue_nums: i32,
        "queueId" queue_id: i32,
        "sysFlag" sys_flag: i32,
        "bornTimestamp" born_timestamp: i64,
        "flag" flag: i32,
        "properties" properties: Option<Text<'a>>,
        "reconsumeTimes" reconsume_times: Option<i32>,
        "unitMode" unit_mode: Option<bool>,
        "bornHost" born_host: Text<'a>,
        "storeHost" store_host: Text<'a>,
        "storeTimestamp" store_timestamp: i64,
    }
}

impl<'a> SendMessage<'a> {
    /// Reads the form that the code implies: 310, 320 and 325 use the short names.
    pub fn parse_as(code: RequestCode, ext: &ExtFields<'a>) -> Result<Self, HeaderError> {
        let is_short = matches!(
            code,
            RequestCode::SendMessageV2
                | RequestCode::SendBatchMessage
                | RequestCode::SendReplyMessageV2
        );
        if is_short {
            SendMessageV2::parse(ext).map(Self::from)
        } else {
            Self::parse(ext)
        }
    }
}

impl<'a> From<SendMessageV2<'a>> for SendMessage<'a> {
    fn from(short: SendMessageV2<'a>) -> Self {
        Self {
            producer_group: short.producer_group,
            topic: short.topic,
            default_topic: short.default_topic,
            default_topic_queue_nums: short.default_topic_queue_nums,
            queue_id: short.queue_id,
            sys_flag: short.sys_flag,
            born_timestamp: short.born_timestamp,
            flag: short.flag,
            properties: short.properties,
            reconsume_times: short.reconsume_times,
            unit_mode: short.unit_mode,
            batch: short.batch,
            max_reconsume_times: short.max_reconsume_times,
        }
    }
}

impl<'a> From<SendMessage<'a>> for SendMessageV2<'a> {
    fn from(long: SendMessage<'a>) -> Self {
        Self {
            producer_group: long.producer_group,
            topic: long.topic,
            default_topic: long.default_topic,
            default_topic_queue_nums: long.default_topic_queue_nums,
            queue_id: long.queue_id,
            sys_flag: long.sys_flag,
            born_timestamp: long.born_timestamp,
            flag: long.flag,
            properties: long.properties,
            reconsume_times: long.reconsume_times,
            unit_mode: long.unit_mode,
            max_reconsume_times: long.max_reconsume_times,
            batch: long.batch,
            broker_name: None,
        }
    }
}
