//! What lives inside a connection: sessions, consumers, producers, transactions, destinations.

use crate::commands::NetworkBridgeFilter;
use crate::ids::{
    BrokerId, ConnectionId, ConsumerId, Destination, Identity, ProducerId, SessionId, TransactionId,
};
use crate::schema::structure;

structure! {
    /// Type 3: a client introduces itself.
    pub struct ConnectionInfo = (3) {
        base: base,
        connection_id: cached(ConnectionId),
        client_id: str,
        password: str,
        user_name: str,
        broker_path: array(BrokerId),
        broker_master_connector: bool,
        /// The client wants ConnectionControl.
        manageable: bool,
        client_master: bool since 2,
        fault_tolerant: bool since 6,
        /// Everything that follows replays the state of an earlier connection.
        failover_reconnect: bool since 6,
        client_ip: str since 8,
    }
}

structure! {
    /// Type 4.
    pub struct SessionInfo = (4) {
        base: base,
        session_id: cached(SessionId),
    }
}

structure! {
    /// Type 5: a consumer opens.
    pub struct ConsumerInfo = (5) {
        base: base,
        consumer_id: cached(ConsumerId),
        browser: bool,
        destination: cached(Destination),
        prefetch_size: int,
        maximum_pending_message_limit: int,
        dispatch_async: bool,
        selector: str,
        client_id: str since 10,
        /// Set for durable subscriptions.
        subscription_name: str,
        no_local: bool,
        exclusive: bool,
        retroactive: bool,
        priority: byte,
        broker_path: array(BrokerId),
        additional_predicate: nested(NetworkBridgeFilter),
        network_subscription: bool,
        optimized_acknowledge: bool,
        no_range_acks: bool,
        network_consumer_path: array(ConsumerId) since 4,
    }
}

structure! {
    /// Type 6: a producer opens; anonymous without a destination.
    pub struct ProducerInfo = (6) {
        base: base,
        producer_id: cached(ProducerId),
        destination: cached(Destination),
        broker_path: array(BrokerId),
        dispatch_async: bool since 2,
        /// Bytes that may be unacknowledged by ProducerAck; 0 for no window.
        window_size: int since 3,
    }
}

structure! {
    /// Type 7: a step of a transaction.
    pub struct TransactionInfo = (7) {
        base: base,
        connection_id: cached(ConnectionId),
        transaction_id: cached(TransactionId),
        /// See [`TransactionStep::from_wire`]; the field `type` of the specification.
        step: byte,
    }
}

/// The values of [`TransactionInfo::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    Begin,
    Prepare,
    CommitOnePhase,
    CommitTwoPhase,
    Rollback,
    Recover,
    Forget,
    End,
}

impl TransactionStep {
    pub fn from_wire(value: i8) -> Option<Self> {
        match value {
            0 => Some(Self::Begin),
            1 => Some(Self::Prepare),
            2 => Some(Self::CommitOnePhase),
            3 => Some(Self::CommitTwoPhase),
            4 => Some(Self::Rollback),
            5 => Some(Self::Recover),
            6 => Some(Self::Forget),
            7 => Some(Self::End),
            _ => None,
        }
    }

    pub fn to_wire(self) -> i8 {
        match self {
            Self::Begin => 0,
            Self::Prepare => 1,
            Self::CommitOnePhase => 2,
            Self::CommitTwoPhase => 3,
            Self::Rollback => 4,
            Self::Recover => 5,
            Self::Forget => 6,
            Self::End => 7,
        }
    }
}

structure! {
    /// Type 8: a destination is created or removed.
    pub struct DestinationInfo = (8) {
        base: base,
        connection_id: cached(ConnectionId),
        destination: cached(Destination),
        /// [`DestinationInfo::ADD`] or [`DestinationInfo::REMOVE`].
        operation_type: byte,
        /// Milliseconds.
        timeout: long,
        broker_path: array(BrokerId),
    }
}

impl DestinationInfo {
    pub const ADD: i8 = 0;
    pub const REMOVE: i8 = 1;
}

structure! {
    /// Type 9: a durable subscription is dropped.
    pub struct RemoveSubscriptionInfo = (9) {
        base: base,
        connection_id: cached(ConnectionId),
        subscription_name: str,
        client_id: str,
    }
}

structure! {
    /// Type 12: a connection, session, consumer or producer closes.
    pub struct RemoveInfo = (12) {
        base: base,
        object_id: cached(Identity),
        /// Broker sequence if positive; −1 nothing was delivered, −2 unknown.
        last_delivered_sequence_id: long since 5,
    }
}

structure! {
    /// Type 55: a durable subscription, listed.
    pub struct SubscriptionInfo = (55) {
        client_id: str,
        destination: cached(Destination),
        selector: str,
        subscription_name: str,
        subscribed_destination: nested(Destination) since 3,
        no_local: bool since 11,
    }
}
