//! How a message that a producer sent becomes a stored record.

use std::net::SocketAddr;

use broker::id::{MessageRef, Millis, PartitionId, SessionId, Token};
use broker::pass::{Destination, Publish};
use broker::record::Envelope;
use broker::topology::Address;
use remoting::ResponseCode;
use remoting::message::properties::name;
use remoting::message::{Record as Stored, UniqueKey, body_crc};

use super::RemotingDoor;
use super::asker::Asker;
use super::message::{Added, Due, Marks, body_range};
use super::refusals::Refused;
use super::settings::Settings;
use super::view::NativeView;
use crate::door::Context;
use crate::language;
use crate::partition::{Order, tag_hash};

/// What clients are told of where they are; Apache's default.
pub const REGION: &str = "DefaultRegion";

/// What a sender says of one message.
pub struct Draft<'a> {
    pub asker: Asker,
    pub address: &'a Address,
    pub partition: PartitionId,
    /// The topic that the record names.
    pub topic: &'a str,
    pub flag: i32,
    pub sys_flag: i32,
    pub born_timestamp: i64,
    pub reconsume_times: i32,
    pub body: &'a [u8],
    pub properties: &'a str,
    pub marks: Marks<'a>,
}

impl<'a> Draft<'a> {
    pub fn way(&self, due: Due) -> Way<'a> {
        Way {
            session: self.asker.session,
            address: self.address,
            partition: self.partition,
            key: self.marks.key(),
            order: self.marks.sharding_key.map_or(Order::Free, Order::Key),
            due,
            origin: None,
        }
    }
}

/// Where a record goes that is written already.
pub struct Way<'a> {
    pub session: SessionId,
    pub address: &'a Address,
    pub partition: PartitionId,
    pub key: &'a str,
    pub order: Order<'a>,
    pub due: Due,
    /// The message that this one was made of.
    pub origin: Option<MessageRef>,
}

impl RemotingDoor {
    /// A unique key for a sender that made none; empty if there is one.
    pub(super) fn unique_of(&self, marks: &Marks<'_>, cx: &mut Context<'_>) -> String {
        if marks.unique.is_some() {
            return String::new();
        }
        let random = (cx.entropy)();
        let key = UniqueKey {
            ip: self.settings.advertised_ip,
            process: random as u16,
            class_loader: (random >> 32) as i32,
            month_ms: cx.now.0 as i32,
            counter: (random >> 16) as i16,
        };
        key.to_string()
    }

    /// Writes the record into an emptied buffer.
    pub(super) fn encode(
        &self,
        draft: &Draft<'_>,
        added: &[(&str, &str)],
        now: Millis,
        native: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let host = self.settings.host();
        let born = self
            .connections
            .get(&draft.asker.session)
            .map_or(host, |c| c.peer.remote);
        let born_host = SocketAddr::new(born.ip().to_canonical(), born.port());
        let stored = Stored {
            body_crc: body_crc(draft.body),
            queue_id: draft.partition.number as i32,
            flag: draft.flag,
            queue_offset: 0,
            physical_offset: 0,
            sys_flag: draft.sys_flag,
            born_timestamp: draft.born_timestamp,
            born_host,
            store_timestamp: now.0 as i64,
            store_host: host,
            reconsume_times: draft.reconsume_times,
            prepared_transaction_offset: 0,
            body: draft.body,
            topic: draft.topic,
            properties: draft.properties,
        };
        native.clear();
        stored
            .encode_appending(added, native)
            .map(|_| ())
            .map_err(|error| Refused::new(ResponseCode::MessageIllegal, error.to_string()))
    }

    /// Routes a record and hands it over.
    pub(super) fn store(
        &mut self,
        way: &Way<'_>,
        token: Option<Token>,
        native: &[u8],
        cx: &mut Context<'_>,
    ) {
        let mut destinations = std::mem::take(&mut self.destinations);
        destinations.clear();
        match way.due {
            Due::Delayed(at) | Due::Timed(at) => destinations.push(Destination::Timer(at)),
            Due::Now => {
                let view = NativeView::of(native);
                let route = self.routes.route(cx.topology, way.address, way.key, &view);
                let chosen = Some(way.partition);
                self.chooser
                    .place(&route, cx.topology, chosen, way.order, &mut destinations);
            }
        }
        let name = &way.address.spec.name;
        let envelope = Envelope {
            persistent: true,
            partition: Some(way.partition.number),
            origin: way.origin,
            body: body_range(native),
            ..Envelope::new(language::REMOTING, name, way.key, cx.now)
        };
        let publish = Publish {
            token,
            envelope: &envelope,
            destinations: &destinations,
            tag_hash: tag_hash(way.key),
            producer: None,
        };
        self.traffic.put(native.len(), cx.now);
        cx.pass.publish(way.session, publish, &[native]);
        self.destinations = destinations;
    }
}

/// What the broker adds to every message.
pub fn usual<'a>(settings: &'a Settings, marks: &Marks<'_>, unique: &'a str) -> Added<'a> {
    let mut added = Added::default();
    if marks.unique.is_none() {
        added.push(name::UNIQ_KEY, unique);
    }
    if !marks.has_cluster {
        added.push(name::CLUSTER, &settings.cluster);
    }
    if !marks.has_region {
        added.push(name::MSG_REGION, REGION);
    }
    if !marks.has_trace {
        added.push(name::TRACE_ON, "true");
    }
    added
}
