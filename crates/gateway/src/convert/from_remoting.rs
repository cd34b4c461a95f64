//! RocketMQ's stored message, read into a [`Portable`].
//!
//! | RocketMQ | portable |
//! |---|---|
//! | body, inflated if zlib | bytes |
//! | `UNIQ_KEY` | message id |
//! | `KEYS` | keys |
//! | `__SHARDINGKEY` | group |
//! | `CORRELATION_ID` | correlation id |
//! | born timestamp | timestamp |
//! | `TAGS` and the sender's own properties | properties, as texts |
//! | `flag`, if not 0 | property `ROCKETMQ_FLAG` |
//! | reconsume times, if not 0 | property `RECONSUME_TIMES` |
//!
//! Everything else in RocketMQ's list of reserved names is the broker's or the client library's
//! own bookkeeping and stays behind.
//!
//! Caveat: a body compressed with LZ4 or ZSTD is handed on as it is, marked by the property
//! `ROCKETMQ_COMPRESSION`; so is one that inflates to more than [`INFLATED_BYTES_MAX`].

use std::borrow::Cow;

use broker::id::Millis;
use broker::record::Record;
use remoting::message::properties::name;
use remoting::message::sys_flag::{self, Compression};
use remoting::message::{self, Record as Stored};

use super::{Body, Portable, Scalar};

/// The most that a compressed body may inflate to: eight times what a sender may send.
pub const INFLATED_BYTES_MAX: usize = 32 << 20;

/// What `TAGS` is called towards other languages: by its own name.
pub const TAGS: &str = name::TAGS;
/// The user's flag word.
pub const FLAG: &str = "ROCKETMQ_FLAG";
/// How a body is compressed that was handed on compressed.
pub const COMPRESSION: &str = "ROCKETMQ_COMPRESSION";
/// How often the message was sent back.
pub const RECONSUME_TIMES: &str = "RECONSUME_TIMES";

/// Reads a record whose native bytes are RocketMQ's. One that cannot be read, which only a newer
/// version of ours could have written, becomes its bare bytes.
pub fn portable<'a>(record: &Record<'a>) -> Portable<'a> {
    let Ok((stored, _)) = Stored::decode(record.native) else {
        return Portable {
            body: Body::Bytes(Cow::Borrowed(record.body())),
            persistent: true,
            timestamp: Some(record.envelope.received),
            ..Portable::default()
        };
    };
    let mut properties = Vec::new();
    let body = body(&stored, &mut properties);
    if stored.flag != 0 {
        properties.push((Cow::Borrowed(FLAG), Scalar::Int(stored.flag)));
    }
    if stored.reconsume_times != 0 {
        properties.push((
            Cow::Borrowed(RECONSUME_TIMES),
            Scalar::Int(stored.reconsume_times),
        ));
    }
    let mut portable = Portable {
        body,
        persistent: true,
        timestamp: u64::try_from(stored.born_timestamp).ok().map(Millis),
        expires: record.envelope.expires,
        ..Portable::default()
    };
    for (key, value) in stored.properties().iter() {
        let text = Some(Cow::Borrowed(value));
        match key {
            name::UNIQ_KEY => portable.message_id = text,
            name::KEYS => portable.keys = text,
            name::SHARDING_KEY => portable.group = text,
            name::CORRELATION_ID => portable.correlation_id = text,
            name::TAGS => properties.push((Cow::Borrowed(TAGS), Scalar::Text(value.into()))),
            // A key that comes twice has its later value, as in a Java map.
            _ if !is_reserved(key) => {
                properties.retain(|(name, _)| name != key);
                properties.push((Cow::Borrowed(key), Scalar::Text(Cow::Borrowed(value))));
            }
            _ => {}
        }
    }
    portable.properties = properties;
    portable
}

fn body<'a>(stored: &Stored<'a>, properties: &mut Vec<(Cow<'a, str>, Scalar<'a>)>) -> Body<'a> {
    let compressed = match sys_flag::compression(stored.sys_flag) {
        Compression::None => return Body::Bytes(Cow::Borrowed(stored.body)),
        Compression::Zlib => match message::inflate(stored.body, INFLATED_BYTES_MAX) {
            Ok(inflated) => return Body::Bytes(Cow::Owned(inflated)),
            Err(_) => "zlib",
        },
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
        Compression::Unknown => "unknown",
    };
    properties.push((Cow::Borrowed(COMPRESSION), Scalar::Text(compressed.into())));
    Body::Bytes(Cow::Borrowed(stored.body))
}

/// Whether a property is no sender's own: a name that RocketMQ gives a meaning.
pub fn is_reserved(key: &str) -> bool {
    const RESERVED: &[&str] = &[
        name::WAIT,
        name::DELAY,
        name::CLUSTER,
        name::MSG_REGION,
        name::TRACE_ON,
        name::TIMER_DELAY_SEC,
        name::TIMER_DELAY_MS,
        name::TIMER_DELIVER_MS,
        name::TIMER_OUT_MS,
        name::TIMER_ENQUEUE_MS,
        name::TIMER_DEQUEUE_MS,
        name::TIMER_ROLL_TIMES,
        name::TIMER_DELAY_LEVEL,
        name::TIMER_DEL_UNIQKEY,
        name::REAL_TOPIC,
        name::REAL_QUEUE_ID,
        name::RETRY_TOPIC,
        name::ORIGIN_MESSAGE_ID,
        name::RECONSUME_TIME,
        name::MAX_RECONSUME_TIMES,
        name::DLQ_ORIGIN_TOPIC,
        name::DLQ_ORIGIN_MESSAGE_ID,
        name::TRAN_MSG,
        name::PRODUCER_GROUP,
        name::TRANSACTION_ID,
        name::CHECK_IMMUNITY_TIME,
        name::TRANSACTION_CHECK_TIMES,
        name::TRAN_PREPARED_QUEUE_OFFSET,
        name::REPLY_TO_CLIENT,
        name::TTL,
        name::MSG_TYPE,
        name::ARRIVE_TIME,
        name::PUSH_REPLY_TIME,
        name::POP_CK,
        name::FIRST_POP_TIME,
        name::MIN_OFFSET,
        name::MAX_OFFSET,
        name::CONSUME_START_TIME,
        name::INNER_NUM,
        name::INNER_BASE,
        name::INNER_MULTI_DISPATCH,
        name::INNER_MULTI_QUEUE_OFFSET,
        name::INSTANCE_ID,
        name::UNIQ_KEY,
        name::KEYS,
        name::TAGS,
        name::SHARDING_KEY,
        name::CORRELATION_ID,
    ];
    RESERVED.contains(&key) || key.starts_with("__RMQ.TRANSIENT.")
}
