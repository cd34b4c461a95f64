//! JSON bodies of every shape: what reads, writes to what reads to the same text.

use remoting::Version;
use remoting::body::*;
use remoting::json::{Json, Limits, Value};

pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind {
        0 => read::<HeartbeatData>(bytes),
        1 => read::<CheckClientBody>(bytes),
        2 => read::<LockBatchBody>(bytes),
        3 => read::<LockBatchResponse>(bytes),
        4 => read::<ConsumerIdList>(bytes),
        5 => read::<ConsumerConnection>(bytes),
        6 => read::<ProducerTable>(bytes),
        7 => read::<QueryAssignmentBody>(bytes),
        8 => read::<QueryAssignmentResponse>(bytes),
        9 => read::<SetMessageRequestModeBody>(bytes),
        10 => read::<ConsumeMessageDirectlyResult>(bytes),
        11 => read::<QuerySubscriptionResponse>(bytes),
        12 => read::<SubscriptionGroupConfig>(bytes),
        13 => read::<SubscriptionGroupList>(bytes),
        14 => read::<SubscriptionGroupWrapper>(bytes),
        15 => read::<ResetOffsetBody>(bytes),
        16 => read::<ResetOffsetBodyForC>(bytes),
        17 => read::<ConsumerStatusBody>(bytes),
        18 => read::<ConsumerOffsets>(bytes),
        19 => read::<DelayOffsets>(bytes),
        20 => read::<CorrectionOffsets>(bytes),
        21 => read::<RegisterBody>(bytes),
        22 => read::<TopicRouteData>(bytes),
        23 => read::<ClusterInfo>(bytes),
        24 => read::<MemberGroupBody>(bytes),
        25 => read::<TopicStatsTable>(bytes),
        26 => read::<ConsumeStats>(bytes),
        27 => read::<ConsumeStatsList>(bytes),
        28 => read::<BrokerStatsData>(bytes),
        29 => read::<QueryConsumeQueueResponse>(bytes),
        30 => read::<ConsumeTimeSpans>(bytes),
        31 => read::<TopicConfigList>(bytes),
        32 => read::<TopicConfigAndMapping>(bytes),
        33 => read::<KvTable>(bytes),
        34 => read::<TopicList>(bytes),
        35 => {
            let _ = inflate_register(bytes, Version::V5_3_3);
        }
        _ => {
            let _ = Value::parse(bytes, Limits::default());
        }
    }
}

/// What means nothing is dropped when it is written, and defaults are filled in when that is read: so the texts agree
/// from the second one on.
fn read<T: Json>(bytes: &[u8]) {
    let Ok(body) = from_slice::<T>(bytes) else {
        return;
    };
    let again = |body: &T| from_slice::<T>(&to_vec(body)).expect("what was written can be read");
    let settled = again(&body);
    assert_eq!(text(&again(&settled)), text(&settled));
    let _ = to_standard_vec(&body);
}

fn text<T: Json>(body: &T) -> String {
    String::from_utf8(to_vec(body)).expect("bodies are text")
}
