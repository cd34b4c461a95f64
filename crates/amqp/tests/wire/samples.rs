//! One sample of every method, and helpers to write octets down.

use amqp::{DeliveryTag, Method, Table, TableRef, Value};

/// Octets from hexadecimal digits; blanks are ignored, and `'text'` stands for itself.
pub fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u32> = part
            .chars()
            .filter_map(|digit| digit.to_digit(16))
            .collect();
        assert_eq!(digits.len() % 2, 0, "odd number of digits in {part:?}");
        out.extend(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8));
    }
    out
}

/// A table with a value of every type, nested ones included.
pub fn every_value() -> Table {
    let inner = Table::new()
        .with("deep", true)
        .with("list", vec![Value::Void, Value::U8(7)]);
    Table::new()
        .with("t", true)
        .with("b", Value::I8(-2))
        .with("B", Value::U8(254))
        .with("s", Value::I16(-300))
        .with("u", Value::U16(65000))
        .with("I", -70_000)
        .with("i", Value::U32(4_000_000_000))
        .with("l", i64::MIN)
        .with("f", Value::F32(1.5))
        .with("d", Value::F64(-0.25))
        .with(
            "D",
            Value::Decimal {
                scale: 2,
                value: 314,
            },
        )
        .with("S", "text")
        .with(
            "A",
            vec![
                Value::I32(1),
                Value::from("two"),
                Value::Table(inner.clone()),
            ],
        )
        .with("T", Value::Timestamp(1_700_000_000))
        .with("F", inner)
        .with("V", Value::Void)
        .with("x", Value::Bytes(vec![0, 255]))
}

/// Every method once, in the order of [`amqp::method::METHODS`].
pub fn every_method(table: TableRef<'_>) -> Vec<Method<'_>> {
    let tag = DeliveryTag(0x0102_0304_0506_0708);
    vec![
        Method::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: table,
            mechanisms: b"PLAIN AMQPLAIN",
            locales: b"en_US",
        },
        Method::ConnectionStartOk {
            client_properties: table,
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
        },
        Method::ConnectionSecure {
            challenge: b"Please tell me your password",
        },
        Method::ConnectionSecureOk {
            response: b"My password is guest",
        },
        Method::ConnectionTune {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 60,
        },
        Method::ConnectionTuneOk {
            channel_max: 1,
            frame_max: 4096,
            heartbeat: 0,
        },
        Method::ConnectionOpen { vhost: "/" },
        Method::ConnectionOpenOk,
        Method::ConnectionClose {
            reply_code: 320,
            reply_text: "CONNECTION_FORCED - bye",
            class_id: 60,
            method_id: 40,
        },
        Method::ConnectionCloseOk,
        Method::ConnectionBlocked {
            reason: "low on memory",
        },
        Method::ConnectionUnblocked,
        Method::ConnectionUpdateSecret {
            new_secret: b"s3cret",
            reason: "renewal",
        },
        Method::ConnectionUpdateSecretOk,
        Method::ChannelOpen,
        Method::ChannelOpenOk,
        Method::ChannelFlow { active: true },
        Method::ChannelFlowOk { active: false },
        Method::ChannelClose {
            reply_code: 404,
            reply_text: "NOT_FOUND - no queue",
            class_id: 50,
            method_id: 10,
        },
        Method::ChannelCloseOk,
        Method::AccessRequest {
            realm: "/data",
            exclusive: false,
            passive: true,
            active: true,
            write: false,
            read: true,
        },
        Method::AccessRequestOk { ticket: 1 },
        Method::ExchangeDeclare {
            exchange: "logs",
            kind: "topic",
            passive: false,
            durable: true,
            auto_delete: false,
            internal: true,
            nowait: true,
            arguments: table,
        },
        Method::ExchangeDeclareOk,
        Method::ExchangeDelete {
            exchange: "logs",
            if_unused: true,
            nowait: false,
        },
        Method::ExchangeDeleteOk,
        Method::ExchangeBind {
            destination: "d",
            source: "s",
            routing_key: "k.#",
            nowait: true,
            arguments: table,
        },
        Method::ExchangeBindOk,
        Method::ExchangeUnbind {
            destination: "d",
            source: "s",
            routing_key: "",
            nowait: false,
            arguments: TableRef::EMPTY,
        },
        Method::ExchangeUnbindOk,
        Method::QueueDeclare {
            queue: "påske",
            passive: true,
            durable: false,
            exclusive: true,
            auto_delete: false,
            nowait: true,
            arguments: table,
        },
        Method::QueueDeclareOk {
            queue: "amq.gen-1",
            message_count: 7,
            consumer_count: 1,
        },
        Method::QueueBind {
            queue: "q",
            exchange: "e",
            routing_key: "k",
            nowait: false,
            arguments: table,
        },
        Method::QueueBindOk,
        Method::QueuePurge {
            queue: "q",
            nowait: true,
        },
        Method::QueuePurgeOk { message_count: 3 },
        Method::QueueDelete {
            queue: "q",
            if_unused: false,
            if_empty: true,
            nowait: true,
        },
        Method::QueueDeleteOk { message_count: 9 },
        Method::QueueUnbind {
            queue: "q",
            exchange: "e",
            routing_key: "k",
            arguments: table,
        },
        Method::QueueUnbindOk,
        Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: 100,
            global: true,
        },
        Method::BasicQosOk,
        Method::BasicConsume {
            queue: "q",
            consumer_tag: "ctag",
            no_local: false,
            no_ack: true,
            exclusive: false,
            nowait: true,
            arguments: table,
        },
        Method::BasicConsumeOk {
            consumer_tag: "ctag",
        },
        Method::BasicCancel {
            consumer_tag: "ctag",
            nowait: true,
        },
        Method::BasicCancelOk {
            consumer_tag: "ctag",
        },
        Method::BasicPublish {
            exchange: "e",
            routing_key: "k",
            mandatory: true,
            immediate: false,
        },
        Method::BasicReturn {
            reply_code: 312,
            reply_text: "NO_ROUTE",
            exchange: "e",
            routing_key: "k",
        },
        Method::BasicDeliver {
            consumer_tag: "ctag",
            delivery_tag: tag,
            redelivered: true,
            exchange: "e",
            routing_key: "k",
        },
        Method::BasicGet {
            queue: "q",
            no_ack: true,
        },
        Method::BasicGetOk {
            delivery_tag: tag,
            redelivered: false,
            exchange: "e",
            routing_key: "k",
            message_count: 5,
        },
        Method::BasicGetEmpty,
        Method::BasicAck {
            delivery_tag: tag,
            multiple: true,
        },
        Method::BasicReject {
            delivery_tag: tag,
            requeue: true,
        },
        Method::BasicRecoverAsync { requeue: true },
        Method::BasicRecover { requeue: false },
        Method::BasicRecoverOk,
        Method::BasicNack {
            delivery_tag: tag,
            multiple: false,
            requeue: true,
        },
        Method::ConfirmSelect { nowait: true },
        Method::ConfirmSelectOk,
        Method::TxSelect,
        Method::TxSelectOk,
        Method::TxCommit,
        Method::TxCommitOk,
        Method::TxRollback,
        Method::TxRollbackOk,
    ]
}
