//! What the operator chooses about this door, and the limits that have no other home.

use amqp::tune::Offer;
use amqp::{FrameMax, Table, Value};

/// Consumers on one channel. RabbitMQ has no limit by default.
pub(super) const CONSUMERS_PER_CHANNEL_MAX: usize = 10_000;
/// Consumers on one connection.
pub(super) const CONSUMERS_MAX: usize = 65_536;
/// Deliveries that one consumer without a prefetch limit may leave unsettled before it gets no
/// more.
pub(super) const UNSETTLED_PER_CONSUMER_MAX: u32 = 1_000_000;
/// Deliveries that a channel may hold unsettled by basic.get; a get beyond it is refused.
pub(super) const UNSETTLED_PER_CHANNEL_MAX: usize = 2_000_000;
/// How long permission to publish is remembered; a change must show within two seconds.
pub(super) const PERMISSION_KEPT_MS: u64 = 1_000;
/// How long a peer may go on reading after we have closed the connection.
pub(super) const CLOSE_GRACE_MS: u64 = 30_000;
/// Peers that fail before they are known are not told, and not let go at once.
pub(super) const SILENT_GRACE_MS: u64 = 3_000;

/// What a server of this door says and asks of its peers.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Clients and suites branch on it.
    pub product: String,
    /// The version of RabbitMQ that clients shall take this for.
    pub version: String,
    pub cluster_name: String,
    /// The broker's own name and version, in extra keys.
    pub own_name: String,
    pub own_version: String,
    /// Suggested to clients; 0 for none.
    pub heartbeat_s: u16,
    /// Octets of a frame. Less than 4096 counts as 4096.
    pub frame_max: u32,
    /// Channels open at once; 0 for no limit but the protocol's.
    pub channel_max: u16,
    /// From the first octet to connection.open.
    pub handshake_limit_ms: u64,
    /// Octets of the largest body.
    pub message_size_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            product: "RabbitMQ".into(),
            version: "4.2.9".into(),
            cluster_name: "rabbit@localhost".into(),
            own_name: "Troika".into(),
            own_version: env!("CARGO_PKG_VERSION").into(),
            heartbeat_s: 60,
            frame_max: FrameMax::DEFAULT.octets(),
            channel_max: 2047,
            handshake_limit_ms: 10_000,
            message_size_max: 16 * 1024 * 1024,
        }
    }
}

impl Settings {
    pub(super) fn offer(&self) -> Offer {
        Offer {
            channel_max: self.channel_max,
            frame_max: FrameMax::new(self.frame_max).unwrap_or(FrameMax::DEFAULT),
            heartbeat_s: self.heartbeat_s,
            ..Offer::default()
        }
    }

    /// The table of connection.start. Only what works is announced: no direct reply-to yet.
    pub(super) fn server_properties(&self) -> Vec<u8> {
        let capabilities = [
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
        ]
        .into_iter()
        .fold(Table::new(), |table, name| table.with(name, true));
        Table::new()
            .with("capabilities", capabilities)
            .with("cluster_name", self.cluster_name.clone())
            .with("copyright", "See the licence of the broker")
            .with(
                "information",
                "One broker, one log, three languages at the door",
            )
            .with(
                "platform",
                format!("{} {}", self.own_name, self.own_version),
            )
            .with("product", self.product.clone())
            .with("version", self.version.clone())
            .with("broker", Value::from(self.own_name.as_str()))
            .with("broker_version", self.own_version.clone())
            .to_bytes()
    }
}
