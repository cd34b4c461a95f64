//! The argument tables of declarations: what is honoured, what is refused, what is kept.
//!
//! RabbitMQ checks each argument that it knows, refuses those of another queue type, and stores
//! the rest without a look. So do we, save that an argument that it honours and we do not yet is
//! refused once it is valid: nothing is accepted and silently dropped.

use std::sync::Arc;

use amqp::{TableRef, ValueRef};
use broker::topology::{DeadLetter, QueueOptions};

use super::fault::{self, Fault};

/// Ten years, in milliseconds.
const DURATION_MS_MAX: i64 = 315_360_000_000;

pub(super) const SINGLE_ACTIVE: &str = "x-single-active-consumer";
pub(super) const ALTERNATE: &str = "alternate-exchange";
pub(super) const QUEUE_TYPE: &str = "x-queue-type";
const DEAD_LETTER_ADDRESS: &str = "x-dead-letter-exchange";
const DEAD_LETTER_KEY: &str = "x-dead-letter-routing-key";

/// The rule that a value must obey.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// An integer of any width, 1 to ten years of milliseconds.
    Expiry,
    /// The same with 0.
    Ttl,
    NotNegative,
    UpTo255,
    Text,
    /// Text that makes sense beside a dead-letter address only.
    DeadLetterKey,
    OneOf {
        texts: &'static [&'static str],
        detail: &'static str,
    },
    /// RabbitMQ quotes the value in its answer.
    Mode,
    Version,
    Bool,
    Any,
}

/// What becomes of a valid argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Honoured,
    /// Without effect in RabbitMQ, too.
    Idle,
    NotYet,
}

/// The arguments of a classic queue, in the order in which RabbitMQ checks and compares them.
const CLASSIC: &[(&str, Rule, Fate)] = &[
    ("x-expires", Rule::Expiry, Fate::Honoured),
    ("x-message-ttl", Rule::Ttl, Fate::Honoured),
    (DEAD_LETTER_ADDRESS, Rule::Text, Fate::Honoured),
    (DEAD_LETTER_KEY, Rule::DeadLetterKey, Fate::Honoured),
    ("x-max-length", Rule::NotNegative, Fate::NotYet),
    ("x-max-length-bytes", Rule::NotNegative, Fate::NotYet),
    ("x-max-priority", Rule::UpTo255, Fate::NotYet),
    (
        "x-overflow",
        Rule::OneOf {
            texts: &["drop-head", "reject-publish", "reject-publish-dlx"],
            detail: "invalid_overflow",
        },
        Fate::NotYet,
    ),
    ("x-queue-mode", Rule::Mode, Fate::Idle),
    (SINGLE_ACTIVE, Rule::Bool, Fate::Honoured),
    ("x-queue-version", Rule::Version, Fate::Idle),
    ("x-queue-master-locator", Rule::Any, Fate::Idle),
    (
        "x-queue-leader-locator",
        Rule::OneOf {
            texts: &["client-local", "balanced", "random", "least-leaders"],
            detail: "invalid_queue_locator_arg",
        },
        Fate::Idle,
    ),
    ("x-consumer-timeout", Rule::NotNegative, Fate::NotYet),
];

/// Arguments of quorum queues and streams only.
const OTHER_TYPES: &[&str] = &[
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-quorum-initial-group-size",
    "x-quorum-target-group-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-stream-filter-size-bytes",
];

/// The names of all arguments by which a classic queue differs from another.
pub(super) fn classic_keys() -> impl Iterator<Item = &'static str> {
    CLASSIC.iter().map(|(key, ..)| *key)
}

/// Checks the arguments of a queue that is to be created.
pub(super) fn queue_options(name: &str, table: TableRef<'_>) -> Result<QueueOptions, Fault> {
    let thing = fault::queue(name);
    check_queue_type(&thing, table)?;
    for (key, rule, fate) in CLASSIC {
        let Some(value) = table.find(key) else {
            continue;
        };
        check(*rule, key, value, &thing, table)?;
        match fate {
            Fate::Honoured | Fate::Idle => {}
            Fate::NotYet => {
                return Err(Fault::invalid_argument(
                    key,
                    &thing,
                    "\"not supported yet\"",
                ));
            }
        }
    }
    if let Some(key) = OTHER_TYPES.iter().find(|key| table.find(key).is_some()) {
        return Err(not_of_classic(key, &thing));
    }
    let number = |key: &str| {
        table
            .find(key)
            .and_then(|value| value.as_int())
            .map(|n| n as u64)
    };
    let text = |key: &str| -> Option<Arc<str>> {
        let octets = table.find(key)?.as_long_string()?;
        Some(String::from_utf8_lossy(octets).into())
    };
    Ok(QueueOptions {
        message_ttl_ms: number("x-message-ttl"),
        idle_ms: number("x-expires"),
        dead_letter: text(DEAD_LETTER_ADDRESS).map(|address| DeadLetter {
            address,
            key: text(DEAD_LETTER_KEY),
            persistent_only: false,
            create_queue: false,
        }),
    })
}

fn check_queue_type(thing: &str, table: TableRef<'_>) -> Result<(), Fault> {
    let refuse = |detail: &str| Err(Fault::invalid_argument(QUEUE_TYPE, thing, detail));
    match table.find(QUEUE_TYPE) {
        None | Some(ValueRef::LongString(b"classic")) => Ok(()),
        Some(ValueRef::LongString(kind @ (b"quorum" | b"stream"))) => refuse(&format!(
            "\"queue type '{}' is not supported yet\"",
            String::from_utf8_lossy(kind)
        )),
        Some(ValueRef::LongString(kind)) => refuse(&format!(
            "\"unsupported queue type '{}'\"",
            String::from_utf8_lossy(kind)
        )),
        Some(other) => refuse(&unacceptable(other)),
    }
}

fn check(
    rule: Rule,
    key: &str,
    value: ValueRef<'_>,
    thing: &str,
    table: TableRef<'_>,
) -> Result<(), Fault> {
    let detail = match rule {
        Rule::Expiry => number_fault(value, 1, Some(DURATION_MS_MAX)),
        Rule::Ttl => number_fault(value, 0, Some(DURATION_MS_MAX)),
        Rule::NotNegative => number_fault(value, 0, None),
        Rule::UpTo255 => match value.as_int() {
            Some(number) if number > 255 => Some(format!("{{max_value_exceeded,{number}}}")),
            Some(_) | None => number_fault(value, 0, None),
        },
        Rule::Text | Rule::DeadLetterKey if value.as_long_string().is_none() => {
            if key == DEAD_LETTER_ADDRESS {
                return Err(wrong_type(key, value, thing));
            }
            Some(unacceptable(value))
        }
        Rule::DeadLetterKey if table.find(DEAD_LETTER_ADDRESS).is_none() => {
            Some("routing_key_but_no_dlx_defined".into())
        }
        Rule::Text | Rule::DeadLetterKey | Rule::Any => None,
        Rule::OneOf { texts, detail } => match value {
            ValueRef::LongString(text) if texts.iter().any(|known| known.as_bytes() == text) => {
                None
            }
            ValueRef::LongString(_) => Some(detail.into()),
            other => Some(unacceptable(other)),
        },
        Rule::Mode => match value {
            ValueRef::LongString(b"default" | b"lazy") => None,
            ValueRef::LongString(mode) => {
                let mode = String::from_utf8_lossy(mode);
                Some(format!("\"unsupported queue mode '{mode}'\""))
            }
            other => Some(unacceptable(other)),
        },
        Rule::Version => match value.as_int() {
            Some(1 | 2) => None,
            Some(version) => Some(format!("\"unsupported queue version '{version}'\"")),
            None => number_fault(value, 1, None),
        },
        Rule::Bool => match value.as_bool() {
            Some(_) => None,
            None => Some(unacceptable(value)),
        },
    };
    match detail {
        None => Ok(()),
        Some(detail) => Err(Fault::invalid_argument(key, thing, &detail)),
    }
}

fn number_fault(value: ValueRef<'_>, least: i64, most: Option<i64>) -> Option<String> {
    let Some(number) = value.as_int() else {
        return Some(not_integer(value));
    };
    if number == 0 && least > 0 {
        Some("{value_zero,0}".into())
    } else if number < 0 {
        Some(format!("{{value_negative,{number}}}"))
    } else if most.is_some_and(|most| number > most) {
        Some(format!("{{value_too_large,{number}}}"))
    } else {
        None
    }
}

fn not_integer(value: ValueRef<'_>) -> String {
    format!("\"expected integer, got {}\"", value.type_name())
}

fn not_of_classic(key: &str, thing: &str) -> Fault {
    Fault::precondition(format!(
        "invalid arg '{key}' for {thing} of queue type rabbit_classic_queue"
    ))
}

fn unacceptable(value: ValueRef<'_>) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}

/// An argument that names something and is no text.
fn wrong_type(key: &str, value: ValueRef<'_>, thing: &str) -> Fault {
    let kind = value.type_name();
    Fault::precondition(format!("invalid type '{kind}' for arg '{key}' in {thing}"))
}

/// The alternate of an exchange that is to be created.
pub(super) fn alternate(name: &str, table: TableRef<'_>) -> Result<Option<Arc<str>>, Fault> {
    match table.find(ALTERNATE) {
        None => Ok(None),
        Some(ValueRef::LongString(octets)) => Ok(Some(String::from_utf8_lossy(octets).into())),
        Some(other) => Err(wrong_type(ALTERNATE, other, &fault::exchange(name))),
    }
}

/// Arguments of consumers of streams only.
const STREAM_CONSUMERS: &[&str] = &[
    "x-stream-offset",
    "x-stream-filter",
    "x-stream-match-unfiltered",
];

/// The priority of a consumer. Of the other arguments of consume, RabbitMQ checks one that has
/// lost its effect, refuses those of another queue type, and ignores what it does not know.
pub(super) fn consumer_priority(queue: &str, table: TableRef<'_>) -> Result<i32, Fault> {
    const KEY: &str = "x-priority";
    const IDLE: &str = "x-cancel-on-ha-failover";
    let thing = fault::queue(queue);
    match table.find(IDLE) {
        None | Some(ValueRef::Bool(_)) => {}
        Some(other) => return Err(Fault::invalid_argument(IDLE, &thing, &unacceptable(other))),
    }
    if let Some(key) = STREAM_CONSUMERS
        .iter()
        .find(|key| table.find(key).is_some())
    {
        return Err(not_of_classic(key, &thing));
    }
    let Some(value) = table.find(KEY) else {
        return Ok(0);
    };
    match value.as_int() {
        Some(number) => Ok(number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32),
        None => Err(Fault::invalid_argument(KEY, &thing, &not_integer(value))),
    }
}

/// The arguments of a binding as part of its identity: sorted by key.
pub(super) fn sorted(table: TableRef<'_>) -> Arc<[u8]> {
    if table.is_empty() {
        return [].into();
    }
    let mut owned = table.to_table();
    owned.0.sort_by(|(a, _), (b, _)| a.cmp(b));
    owned.to_bytes().into()
}

#[cfg(test)]
mod tests {
    use amqp::{Table, Value};

    use super::*;

    fn options(table: &Table) -> Result<QueueOptions, String> {
        let bytes = table.to_bytes();
        queue_options("q", TableRef::parse(&bytes).unwrap()).map_err(|fault| fault.text.into())
    }

    #[test]
    fn what_is_honoured_is_read() {
        let table = Table::new()
            .with("x-expires", 1000)
            .with("x-message-ttl", Value::U8(0))
            .with("x-dead-letter-exchange", "")
            .with("x-dead-letter-routing-key", "dead")
            .with("x-queue-mode", "lazy")
            .with("x-queue-version", 2)
            .with("x-single-active-consumer", true)
            .with("x-queue-type", "classic")
            .with("mine", Value::Void);
        let found = options(&table).unwrap();
        assert_eq!((found.idle_ms, found.message_ttl_ms), (Some(1000), Some(0)));
        let dead_letter = found.dead_letter.unwrap();
        assert_eq!(
            (&*dead_letter.address, dead_letter.key.as_deref()),
            ("", Some("dead"))
        );
    }

    #[test]
    fn a_consumer_has_few_arguments() {
        let priority = |key: &'static str, value: Value| {
            let bytes = Table::new().with(key, value).to_bytes();
            let table = TableRef::parse(&bytes).unwrap();
            consumer_priority("q", table).map_err(|fault| fault.text.to_string())
        };
        assert_eq!(priority("x-priority", Value::I32(7)), Ok(7));
        assert_eq!(
            priority("x-cancel-on-ha-failover", Value::Bool(true)),
            Ok(0)
        );
        assert_eq!(priority("mine", Value::I32(7)), Ok(0));
        for (key, value, text) in [
            (
                "x-stream-offset",
                Value::I32(5),
                "invalid arg 'x-stream-offset' for queue 'q' in vhost '/' of queue type \
                 rabbit_classic_queue",
            ),
            (
                "x-cancel-on-ha-failover",
                "no".into(),
                "invalid arg 'x-cancel-on-ha-failover' for queue 'q' in vhost '/': \
                 {unacceptable_type,longstr}",
            ),
        ] {
            assert_eq!(priority(key, value), Err(text.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_refused_in_the_words_of_rabbitmq() {
        for (key, value, detail) in [
            ("x-expires", Value::I32(0), "{value_zero,0}"),
            ("x-expires", Value::I32(-1), "{value_negative,-1}"),
            (
                "x-expires",
                Value::I64(1 << 40),
                "{value_too_large,1099511627776}",
            ),
            (
                "x-expires",
                "10".into(),
                "\"expected integer, got longstr\"",
            ),
            ("x-message-ttl", Value::I32(-1), "{value_negative,-1}"),
            ("x-max-length", Value::I32(-1), "{value_negative,-1}"),
            ("x-max-length", Value::I32(1), "\"not supported yet\""),
            (
                "x-max-priority",
                Value::I32(256),
                "{max_value_exceeded,256}",
            ),
            ("x-overflow", "spill".into(), "invalid_overflow"),
            ("x-overflow", Value::Bool(true), "{unacceptable_type,bool}"),
            (
                "x-dead-letter-routing-key",
                "k".into(),
                "routing_key_but_no_dlx_defined",
            ),
            (
                "x-single-active-consumer",
                "true".into(),
                "{unacceptable_type,longstr}",
            ),
            ("x-queue-mode", "z".into(), "\"unsupported queue mode 'z'\""),
            ("x-queue-type", "z".into(), "\"unsupported queue type 'z'\""),
            (
                "x-queue-type",
                "quorum".into(),
                "\"queue type 'quorum' is not supported yet\"",
            ),
            (
                "x-queue-leader-locator",
                "z".into(),
                "invalid_queue_locator_arg",
            ),
        ] {
            let mut table = Table::new();
            table.push(amqp::ShortString::literal(key), value);
            let expected = format!("invalid arg '{key}' for queue 'q' in vhost '/': {detail}");
            assert_eq!(options(&table), Err(expected));
        }
        assert_eq!(
            options(&Table::new().with("x-max-age", "1D")),
            Err(
                "invalid arg 'x-max-age' for queue 'q' in vhost '/' of queue type \
                 rabbit_classic_queue"
                    .into()
            )
        );
        assert_eq!(
            options(&Table::new().with("x-dead-letter-exchange", 1)),
            Err(
                "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost \
                 '/'"
                .into()
            )
        );
    }
}
