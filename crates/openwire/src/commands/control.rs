//! The connection itself: negotiation, liveness, flow, errors.

use crate::ids::{ConnectionId, ConsumerId, Destination, ProducerId};
use crate::schema::structure;

structure! {
    /// Type 1: the first frame each way. See [`crate::WireFormatOptions`] for its properties.
    pub struct WireFormatInfo = (1) {
        magic: magic,
        version: int,
        /// A primitive map.
        marshalled_properties: bytes,
    }
}

structure! {
    /// Type 10. With `response_required` it is echoed, not responded to.
    pub struct KeepAliveInfo = (10) { base: base }
}

structure! {
    /// Type 11: the last frame of an orderly close; nothing answers it.
    pub struct ShutdownInfo = (11) { base: base }
}

structure! {
    /// Type 14. Old brokers obeyed `shutdown`; never act on an inbound one.
    pub struct ControlCommand = (14) {
        base: base,
        command: str,
    }
}

structure! {
    /// Type 15; does nothing.
    pub struct FlushCommand = (15) { base: base }
}

structure! {
    /// Type 16: a command that asked for no response has failed.
    pub struct ConnectionError = (16) {
        base: base,
        exception: throwable,
        connection_id: nested(ConnectionId),
    }
}

structure! {
    /// Type 17: changes a consumer's window, or closes the consumer.
    pub struct ConsumerControl = (17) {
        base: base,
        destination: nested(Destination) since 6,
        close: bool,
        consumer_id: nested(ConsumerId),
        prefetch: int,
        flush: bool since 2,
        start: bool since 2,
        stop: bool since 2,
    }
}

structure! {
    /// Type 18: the broker tells where else to connect; a client announces failover.
    pub struct ConnectionControl = (18) {
        base: base,
        close: bool,
        exit: bool,
        fault_tolerant: bool,
        resume: bool,
        suspend: bool,
        connected_brokers: str since 6,
        reconnect_to: str since 6,
        rebalance_connection: bool since 6,
        token: bytes since 8,
    }
}

structure! {
    /// Type 19: gives `size` bytes of window back to a producer.
    pub struct ProducerAck = (19) {
        base: base,
        producer_id: nested(ProducerId) since 3,
        size: int since 3,
    }
}
