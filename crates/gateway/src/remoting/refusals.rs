//! How refusals read on this wire: one table from the broker's to RocketMQ's codes and texts.

use std::borrow::Cow;

use broker::refusal::{Kind, Refusal};
use remoting::header::HeaderError;
use remoting::{ResponseCode, Version};

use crate::door::Alarms;

/// An answer that says no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub code: ResponseCode,
    pub remark: Cow<'static, str>,
}

impl Refused {
    pub fn new(code: ResponseCode, remark: impl Into<Cow<'static, str>>) -> Refused {
        Refused {
            code,
            remark: remark.into(),
        }
    }

    /// Code 29, which does not exist for peers before 5.0: they read 1.
    pub fn invalid(version: Version, remark: impl Into<Cow<'static, str>>) -> Refused {
        let code = if version >= Version::V5_0_0 {
            ResponseCode::InvalidParameter
        } else {
            ResponseCode::SystemError
        };
        Refused::new(code, remark)
    }

    pub fn no_topic(topic: &str) -> Refused {
        let remark = format!("topic[{topic}] not exist, apply first please!");
        Refused::new(ResponseCode::TopicNotExist, remark)
    }

    pub fn no_group(group: &str) -> Refused {
        let remark = format!("subscription group not exist, {group}");
        Refused::new(ResponseCode::SubscriptionGroupNotExist, remark)
    }

    /// A group without an offset, which decides for itself where it starts.
    pub fn never_said() -> Refused {
        let remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
        Refused::new(ResponseCode::QueryNotFound, remark)
    }

    /// The same for one that has asked not to be told zero.
    pub fn not_set_to_zero() -> Refused {
        let remark = "Not found, do not set to zero, maybe this group boot first";
        Refused::new(ResponseCode::QueryNotFound, remark)
    }

    /// A limit of ours was reached; the peer may try again.
    pub fn busy(what: &str) -> Refused {
        let remark = format!("[REJECTREQUEST]system busy, start flow control for a while: {what}");
        Refused::new(ResponseCode::SystemBusy, remark)
    }

    /// Why nothing may be sent; producers retry with another broker.
    pub fn of_alarms(alarms: Alarms) -> Option<Refused> {
        if alarms.disk {
            return Some((&Refusal::DiskFull).into());
        }
        let remark = "[PC_SYNCHRONIZED]broker busy, start flow control for a while";
        let busy = || Refused::new(ResponseCode::SystemBusy, remark);
        alarms.memory.then(busy)
    }
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Refused {
        Refused::new(ResponseCode::SystemError, error.to_string())
    }
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Refused {
        let code = match refusal {
            Refusal::NotFound {
                kind: Kind::Group, ..
            } => ResponseCode::SubscriptionGroupNotExist,
            Refusal::NotFound {
                kind: Kind::Address | Kind::Queue,
                ..
            }
            | Refusal::AddressTaken { .. } => ResponseCode::TopicNotExist,
            Refusal::DiskFull => ResponseCode::ServiceNotAvailable,
            Refusal::Reserved { .. } | Refusal::Locked { .. } => ResponseCode::NoPermission,
            Refusal::LimitReached { .. } => ResponseCode::SystemBusy,
            Refusal::Inequivalent { .. }
            | Refusal::ArgumentsDiffer { .. }
            | Refusal::ExclusiveUse { .. }
            | Refusal::InUse { .. }
            | Refusal::NotEmpty { .. }
            | Refusal::NoTransaction
            | Refusal::NoMessage => ResponseCode::SystemError,
        };
        let remark = match refusal {
            Refusal::DiskFull => {
                "service not available now. It may be caused by one of the following reasons: \
                 the broker's disk is full"
                    .into()
            }
            other => other.to_string(),
        };
        Refused::new(code, remark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_peer_is_not_told_a_code_it_does_not_know() {
        assert_eq!(
            Refused::invalid(Version::V4_9_7, "x").code,
            ResponseCode::SystemError
        );
        assert_eq!(
            Refused::invalid(Version::V5_0_0, "x").code,
            ResponseCode::InvalidParameter
        );
    }
}
