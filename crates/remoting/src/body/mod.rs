//! The shapes of JSON bodies.
//!
//! Every type here is [`Json`](crate::json::Json): read it with [`from_slice`], write it with
//! [`to_vec`]. Reading follows Java: members may be missing or null and then have their default,
//! unknown ones are passed over. A set is a list whose order means nothing.

mod client;
mod consume;
mod group;
mod offset;
mod register;
mod route;
mod stats;
mod topic;

pub use crate::json::{from_slice, to_standard_vec, to_vec};
pub use client::{
    CheckClientBody, Connection, ConsumeFromWhere, ConsumeType, ConsumerConnection, ConsumerData,
    ConsumerIdList, ExpressionType, HeartbeatData, LockBatchBody, LockBatchResponse, MessageModel,
    ProducerConnection, ProducerData, ProducerInfo, ProducerTable, SubscriptionData,
};
pub use consume::{
    AssignmentMode, ConsumeMessageDirectlyResult, ConsumeResult, MessageQueueAssignment,
    QueryAssignmentBody, QueryAssignmentResponse, QuerySubscriptionResponse,
    SetMessageRequestModeBody,
};
pub use group::{
    CustomizedRetryPolicy, ExponentialRetryPolicy, GroupList, GroupRetryPolicy,
    GroupRetryPolicyType, SubscriptionGroupConfig, SubscriptionGroupList, SubscriptionGroupWrapper,
};
pub use offset::{
    ConsumerOffsets, ConsumerStatusBody, CorrectionOffsets, DelayOffsets, ResetOffsetBody,
    ResetOffsetBodyForC, ResetOffsetOfQueue,
};
pub use register::{RegisterBody, RegisterError, deflate_register, inflate_register};
pub use route::{BrokerData, ClusterInfo, MemberGroup, MemberGroupBody, QueueData, TopicRouteData};
pub use stats::{
    BrokerStatsData, BrokerStatsItem, ConsumeQueueData, ConsumeStats, ConsumeStatsList,
    ConsumeTimeSpan, ConsumeTimeSpans, OffsetWrapper, QueryConsumeQueueResponse, TopicOffset,
    TopicStatsTable,
};
pub use topic::{
    DataVersion, KvTable, MessageQueue, TopicConfig, TopicConfigAndMapping, TopicConfigList,
    TopicFilterType, TopicList, Unmodelled,
};
