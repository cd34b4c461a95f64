//! Brokers talking to clients about themselves, and to one another.

use crate::ids::{BrokerId, ConsumerId};
use crate::reader::Reader;
use crate::schema::{Structure, structure};
use crate::writer::Writer;
use crate::{ConsumerInfo, Malformed, Unencodable};

structure! {
    /// Type 2: the broker introduces itself right after the negotiation, unasked.
    pub struct BrokerInfo = (2) {
        base: base,
        broker_id: cached(BrokerId),
        broker_url: str,
        peer_broker_infos: array(BrokerInfo),
        broker_name: str,
        slave_broker: bool,
        master_broker: bool,
        fault_tolerant_configuration: bool,
        duplex_connection: bool since 2,
        network_connection: bool since 2,
        connection_id: long since 2,
        /// Where clients upload the bodies of blob messages.
        broker_upload_url: str since 3,
        network_properties: str since 3,
    }
}

impl BrokerInfo {
    /// What a broker tells its clients.
    pub fn of(broker_id: &str, broker_name: &str, broker_url: &str) -> Self {
        Self {
            broker_id: Some(BrokerId {
                value: broker_id.into(),
            }),
            broker_url: Some(broker_url.into()),
            broker_name: Some(broker_name.into()),
            ..Self::default()
        }
    }
}

structure! {
    /// Type 92: the subscriptions a broker wants fed by the other end of a bridge.
    pub struct BrokerSubscriptionInfo = (92) {
        base: base,
        broker_id: nested(BrokerId) since 12,
        broker_name: str since 12,
        subscription_infos: array(ConsumerInfo) since 12,
    }
}

structure! {
    /// Type 90, of the removed pure master/slave.
    pub struct MessageDispatchNotification = (90) {
        base: base,
        consumer_id: cached(ConsumerId),
        destination: cached(crate::Destination),
        delivery_sequence_id: long,
        message_id: nested(crate::MessageId),
    }
}

/// Type 91: keeps messages from travelling in circles.
///
/// The one type whose field order changed: before version 10 there was one TTL, and it came
/// first. It reads as both TTLs and is written from `message_ttl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkBridgeFilter {
    pub network_broker_id: Option<BrokerId>,
    pub message_ttl: i32,
    pub consumer_ttl: i32,
}

impl<'a> Structure<'a> for NetworkBridgeFilter {
    fn accepts(code: u8) -> bool {
        code == 91
    }

    fn code(&self) -> u8 {
        91
    }

    fn read<R: Reader<'a>>(_code: u8, reader: &mut R) -> Result<Self, Malformed> {
        if reader.version() < 10 {
            let ttl = reader.int()?;
            let network_broker_id = reader.cached()?;
            return Ok(Self {
                network_broker_id,
                message_ttl: ttl,
                consumer_ttl: ttl,
            });
        }
        Ok(Self {
            network_broker_id: reader.cached()?,
            message_ttl: reader.int()?,
            consumer_ttl: reader.int()?,
        })
    }

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Unencodable> {
        if writer.version() < 10 {
            writer.int(&self.message_ttl)?;
            return writer.cached(&self.network_broker_id);
        }
        writer.cached(&self.network_broker_id)?;
        writer.int(&self.message_ttl)?;
        writer.int(&self.consumer_ttl)
    }
}
