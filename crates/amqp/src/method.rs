//! Every method of 0-9-1 with RabbitMQ's additions: one enum, one list that is also the
//! specification of its encoding.

use crate::error::{FieldFault, Malformed};
use crate::field::{
    Field, FieldReader, FieldWriter, ReservedBit, ReservedLongString, ReservedShort, ReservedString,
};
use crate::reader::Reader;
use crate::table::TableRef;

/// The class that carries content.
pub const CLASS_BASIC: u16 = 60;

/// Names a delivery on its channel, or a publish in confirm mode. 0 stands for "all so far" in a
/// multiple ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeliveryTag(pub u64);

impl<'a> Field<'a> for DeliveryTag {
    fn read(reader: &mut FieldReader<'a>) -> Result<Self, FieldFault> {
        u64::read(reader).map(DeliveryTag)
    }

    fn write(&self, writer: &mut FieldWriter<'_>) {
        self.0.write(writer);
    }
}

/// Generates the enum and its codec from one list. A line reads: variant (class id, method id,
/// name), the reserved fields in front, the fields in wire order, the reserved fields behind.
/// `bool` is a bit, `&str` a short string, `&[u8]` a long string.
macro_rules! methods {
    ($(
        $(#[$note:meta])*
        $Variant:ident ($class:literal, $id:literal, $name:literal)
        $(skip [$($front:ty),*])?
        $({ $($field:ident: $kind:ty),* $(,)? })?
        $(then [$($back:ty),*])?
    ;)*) => {
        /// A method with its fields, borrowed from the octets it was read from. Reserved fields are
        /// left out: they are ignored when read and written as zero.
        ///
        /// Short strings longer than 255 octets are cut when written; whoever makes names keeps
        /// them shorter.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Method<'a> {
            $(
                #[doc = concat!("`", $name, "`")]
                $(#[$note])*
                $Variant $({ $($field: $kind),* })?,
            )*
        }

        /// Class id, method id and name of every method, ascending.
        pub const METHODS: &[(u16, u16, &str)] = &[$(($class, $id, $name)),*];

        impl<'a> Method<'a> {
            /// Class id and method id.
            #[must_use]
            pub const fn ids(&self) -> (u16, u16) {
                match self {
                    $(Method::$Variant { .. } => ($class, $id),)*
                }
            }

            /// The name, such as `basic.publish`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Method::$Variant { .. } => $name,)*
                }
            }

            /// Reads the payload of a method frame. Allocates nothing.
            pub fn decode(payload: &'a [u8]) -> Result<Method<'a>, Malformed> {
                let mut ids = Reader::new(payload);
                let class_id = ids.u16().map_err(Malformed::MethodFields)?;
                let method_id = ids.u16().map_err(Malformed::MethodFields)?;
                let mut reader = FieldReader::new(ids.rest());
                let fields = &mut reader;
                let method = match (class_id, method_id) {
                    $(($class, $id) => {
                        $($(read::<$front>(fields)?;)*)?
                        let method = Method::$Variant $({ $($field: read(fields)?),* })?;
                        $($(read::<$back>(fields)?;)*)?
                        method
                    })*
                    (class_id, method_id) => {
                        return Err(Malformed::UnknownMethod { class_id, method_id });
                    }
                };
                reader.finish().map_err(Malformed::MethodFields)?;
                Ok(method)
            }

            /// Appends the payload of a method frame.
            pub fn encode(&self, out: &mut Vec<u8>) {
                let (class_id, method_id) = self.ids();
                let mut writer = FieldWriter::new(out);
                let fields = &mut writer;
                class_id.write(fields);
                method_id.write(fields);
                match self {
                    $(Method::$Variant $({ $($field),* })? => {
                        $($(<$front>::default().write(fields);)*)?
                        $($($field.write(fields);)*)?
                        $($(<$back>::default().write(fields);)*)?
                    })*
                }
            }
        }
    };
}

fn read<'a, F: Field<'a>>(reader: &mut FieldReader<'a>) -> Result<F, Malformed> {
    F::read(reader).map_err(Malformed::MethodFields)
}

methods! {
    ConnectionStart(10, 10, "connection.start") {
        version_major: u8,
        version_minor: u8,
        server_properties: TableRef<'a>,
        mechanisms: &'a [u8],
        locales: &'a [u8],
    };
    ConnectionStartOk(10, 11, "connection.start-ok") {
        client_properties: TableRef<'a>,
        mechanism: &'a str,
        response: &'a [u8],
        locale: &'a str,
    };
    ConnectionSecure(10, 20, "connection.secure") { challenge: &'a [u8] };
    ConnectionSecureOk(10, 21, "connection.secure-ok") { response: &'a [u8] };
    /// 0 means no limit, and no heartbeat; `heartbeat` is in seconds.
    ConnectionTune(10, 30, "connection.tune") {
        channel_max: u16, frame_max: u32, heartbeat: u16,
    };
    ConnectionTuneOk(10, 31, "connection.tune-ok") {
        channel_max: u16, frame_max: u32, heartbeat: u16,
    };
    ConnectionOpen(10, 40, "connection.open") { vhost: &'a str }
        then [ReservedString, ReservedBit];
    ConnectionOpenOk(10, 41, "connection.open-ok") skip [ReservedString];
    ConnectionClose(10, 50, "connection.close") {
        reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16,
    };
    ConnectionCloseOk(10, 51, "connection.close-ok");
    ConnectionBlocked(10, 60, "connection.blocked") { reason: &'a str };
    ConnectionUnblocked(10, 61, "connection.unblocked");
    ConnectionUpdateSecret(10, 70, "connection.update-secret") {
        new_secret: &'a [u8], reason: &'a str,
    };
    ConnectionUpdateSecretOk(10, 71, "connection.update-secret-ok");

    ChannelOpen(20, 10, "channel.open") skip [ReservedString];
    ChannelOpenOk(20, 11, "channel.open-ok") skip [ReservedLongString];
    ChannelFlow(20, 20, "channel.flow") { active: bool };
    ChannelFlowOk(20, 21, "channel.flow-ok") { active: bool };
    ChannelClose(20, 40, "channel.close") {
        reply_code: u16, reply_text: &'a str, class_id: u16, method_id: u16,
    };
    ChannelCloseOk(20, 41, "channel.close-ok");

    /// Gone from 0-9-1, still sent by old clients.
    AccessRequest(30, 10, "access.request") {
        realm: &'a str, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
    };
    AccessRequestOk(30, 11, "access.request-ok") { ticket: u16 };

    ExchangeDeclare(40, 10, "exchange.declare") skip [ReservedShort] {
        exchange: &'a str,
        kind: &'a str,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        nowait: bool,
        arguments: TableRef<'a>,
    };
    ExchangeDeclareOk(40, 11, "exchange.declare-ok");
    ExchangeDelete(40, 20, "exchange.delete") skip [ReservedShort] {
        exchange: &'a str, if_unused: bool, nowait: bool,
    };
    ExchangeDeleteOk(40, 21, "exchange.delete-ok");
    ExchangeBind(40, 30, "exchange.bind") skip [ReservedShort] {
        destination: &'a str,
        source: &'a str,
        routing_key: &'a str,
        nowait: bool,
        arguments: TableRef<'a>,
    };
    ExchangeBindOk(40, 31, "exchange.bind-ok");
    ExchangeUnbind(40, 40, "exchange.unbind") skip [ReservedShort] {
        destination: &'a str,
        source: &'a str,
        routing_key: &'a str,
        nowait: bool,
        arguments: TableRef<'a>,
    };
    /// The id is 51, not 41.
    ExchangeUnbindOk(40, 51, "exchange.unbind-ok");

    QueueDeclare(50, 10, "queue.declare") skip [ReservedShort] {
        queue: &'a str,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        nowait: bool,
        arguments: TableRef<'a>,
    };
    QueueDeclareOk(50, 11, "queue.declare-ok") {
        queue: &'a str, message_count: u32, consumer_count: u32,
    };
    QueueBind(50, 20, "queue.bind") skip [ReservedShort] {
        queue: &'a str,
        exchange: &'a str,
        routing_key: &'a str,
        nowait: bool,
        arguments: TableRef<'a>,
    };
    QueueBindOk(50, 21, "queue.bind-ok");
    QueuePurge(50, 30, "queue.purge") skip [ReservedShort] { queue: &'a str, nowait: bool };
    QueuePurgeOk(50, 31, "queue.purge-ok") { message_count: u32 };
    QueueDelete(50, 40, "queue.delete") skip [ReservedShort] {
        queue: &'a str, if_unused: bool, if_empty: bool, nowait: bool,
    };
    QueueDeleteOk(50, 41, "queue.delete-ok") { message_count: u32 };
    QueueUnbind(50, 50, "queue.unbind") skip [ReservedShort] {
        queue: &'a str, exchange: &'a str, routing_key: &'a str, arguments: TableRef<'a>,
    };
    QueueUnbindOk(50, 51, "queue.unbind-ok");

    BasicQos(60, 10, "basic.qos") { prefetch_size: u32, prefetch_count: u16, global: bool };
    BasicQosOk(60, 11, "basic.qos-ok");
    BasicConsume(60, 20, "basic.consume") skip [ReservedShort] {
        queue: &'a str,
        consumer_tag: &'a str,
        no_local: bool,
        no_ack: bool,
        exclusive: bool,
        nowait: bool,
        arguments: TableRef<'a>,
    };
    BasicConsumeOk(60, 21, "basic.consume-ok") { consumer_tag: &'a str };
    /// Sent by a server too, to clients that announce `consumer_cancel_notify`.
    BasicCancel(60, 30, "basic.cancel") { consumer_tag: &'a str, nowait: bool };
    BasicCancelOk(60, 31, "basic.cancel-ok") { consumer_tag: &'a str };
    BasicPublish(60, 40, "basic.publish") skip [ReservedShort] {
        exchange: &'a str, routing_key: &'a str, mandatory: bool, immediate: bool,
    };
    BasicReturn(60, 50, "basic.return") {
        reply_code: u16, reply_text: &'a str, exchange: &'a str, routing_key: &'a str,
    };
    BasicDeliver(60, 60, "basic.deliver") {
        consumer_tag: &'a str,
        delivery_tag: DeliveryTag,
        redelivered: bool,
        exchange: &'a str,
        routing_key: &'a str,
    };
    BasicGet(60, 70, "basic.get") skip [ReservedShort] { queue: &'a str, no_ack: bool };
    BasicGetOk(60, 71, "basic.get-ok") {
        delivery_tag: DeliveryTag,
        redelivered: bool,
        exchange: &'a str,
        routing_key: &'a str,
        message_count: u32,
    };
    BasicGetEmpty(60, 72, "basic.get-empty") skip [ReservedString];
    /// From a server it confirms publishes.
    BasicAck(60, 80, "basic.ack") { delivery_tag: DeliveryTag, multiple: bool };
    BasicReject(60, 90, "basic.reject") { delivery_tag: DeliveryTag, requeue: bool };
    BasicRecoverAsync(60, 100, "basic.recover-async") { requeue: bool };
    BasicRecover(60, 110, "basic.recover") { requeue: bool };
    BasicRecoverOk(60, 111, "basic.recover-ok");
    /// From a server it refuses publishes.
    BasicNack(60, 120, "basic.nack") {
        delivery_tag: DeliveryTag, multiple: bool, requeue: bool,
    };

    ConfirmSelect(85, 10, "confirm.select") { nowait: bool };
    ConfirmSelectOk(85, 11, "confirm.select-ok");

    TxSelect(90, 10, "tx.select");
    TxSelectOk(90, 11, "tx.select-ok");
    TxCommit(90, 20, "tx.commit");
    TxCommitOk(90, 21, "tx.commit-ok");
    TxRollback(90, 30, "tx.rollback");
    TxRollbackOk(90, 31, "tx.rollback-ok");
}

impl Method<'_> {
    /// Whether a content header and a body follow: publish, return, deliver and get-ok.
    #[must_use]
    pub const fn carries_content(&self) -> bool {
        matches!(
            self,
            Method::BasicPublish { .. }
                | Method::BasicReturn { .. }
                | Method::BasicDeliver { .. }
                | Method::BasicGetOk { .. }
        )
    }
}

/// The name of the method with these ids.
#[must_use]
pub fn method_name(class_id: u16, method_id: u16) -> Option<&'static str> {
    let known = METHODS
        .iter()
        .find(|(class, id, _)| (*class, *id) == (class_id, method_id));
    known.map(|(_, _, name)| *name)
}

/// Class id and method id at the front of a method payload, 0 and 0 where they are missing.
pub(crate) fn leading_ids(payload: &[u8]) -> (u16, u16) {
    let mut ids = Reader::new(payload);
    match (ids.u16(), ids.u16()) {
        (Ok(class_id), Ok(method_id)) => (class_id, method_id),
        (Ok(_) | Err(_), _) => (0, 0),
    }
}
