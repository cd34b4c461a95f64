//! What a client is told when something is refused: one table from refusals to exceptions.

use broker::refusal::{Kind, Refusal};
use openwire::{ExceptionClass, Throwable};

/// An exception on its way to a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub class: ExceptionClass,
    pub message: String,
    /// The code of an XAException.
    pub xa: Option<i32>,
}

/// During what a refusal came; some are worded after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum During<'a> {
    /// A durable subscription of this client under this name was to be opened.
    Subscribing {
        client: &'a str,
        name: &'a str,
    },
    /// This destination was to be removed.
    Removing {
        destination: &'a str,
    },
    /// A durable subscription was to be dropped.
    Unsubscribing,
    Committing,
    Other,
}

impl Failure {
    pub fn new(class: ExceptionClass, message: impl Into<String>) -> Failure {
        Failure {
            class,
            message: message.into(),
            xa: None,
        }
    }

    pub fn jms(message: impl Into<String>) -> Failure {
        Failure::new(ExceptionClass::Jms, message)
    }

    pub fn illegal_state(message: impl Into<String>) -> Failure {
        Failure::new(ExceptionClass::IllegalState, message)
    }

    pub fn limit(what: &str, max: usize) -> Failure {
        let message = format!("{what} has reached {max}");
        Failure::new(ExceptionClass::ResourceAllocation, message)
    }

    pub fn networks() -> Failure {
        Failure::jms("Networks of brokers are not supported")
    }

    /// Distributed transactions are not served yet.
    pub fn xa() -> Failure {
        const XAER_RMERR: i32 = -3;
        let message = "XA transactions are not supported".to_owned();
        Failure {
            class: ExceptionClass::Xa,
            message,
            xa: Some(XAER_RMERR),
        }
    }

    pub fn throwable(&self) -> Throwable {
        match self.xa {
            Some(code) => Throwable::xa(&self.message, code),
            None => Throwable::new(self.class, &self.message),
        }
    }

    /// The table.
    pub fn of(refusal: &Refusal, during: During<'_>) -> Failure {
        let text = refusal.to_string();
        match (refusal, during) {
            (
                Refusal::ExclusiveUse { .. } | Refusal::InUse { .. },
                During::Subscribing { client, name },
            ) => Failure::jms(format!(
                "Durable consumer is in use for client: {client} and subscriptionName: {name}"
            )),
            (Refusal::ExclusiveUse { .. } | Refusal::InUse { .. }, During::Unsubscribing) => {
                Failure::jms("Durable consumer is in use")
            }
            (
                Refusal::InUse { .. } | Refusal::ExclusiveUse { .. },
                During::Removing { destination },
            ) => Failure::jms(format!(
                "Destination: {destination} still has an active subscription"
            )),
            (_, During::Committing) => Failure::new(ExceptionClass::TransactionRolledBack, text),
            (Refusal::NotFound { kind, .. }, _) => match kind {
                Kind::Address | Kind::Queue | Kind::Group => {
                    Failure::new(ExceptionClass::InvalidDestination, text)
                }
            },
            (Refusal::AddressTaken { .. }, _)
            | (Refusal::Locked { .. }, _)
            | (Refusal::Reserved { .. }, _)
            | (Refusal::Inequivalent { .. }, _)
            | (Refusal::ArgumentsDiffer { .. }, _) => {
                Failure::new(ExceptionClass::InvalidDestination, text)
            }
            (Refusal::ExclusiveUse { .. }, _)
            | (Refusal::InUse { .. }, _)
            | (Refusal::NotEmpty { .. }, _)
            | (Refusal::NoTransaction, _)
            | (Refusal::NoMessage, _) => Failure::jms(text),
            (Refusal::LimitReached { .. }, _) | (Refusal::DiskFull, _) => {
                Failure::new(ExceptionClass::ResourceAllocation, text)
            }
        }
    }
}
