//! Whether a declaration asks for what is there already, in the words of RabbitMQ where it does
//! not: arguments are compared by value and shown as Erlang prints them.

use amqp::{TableRef, ValueRef};

use super::arguments::{QUEUE_TYPE, classic_keys};
use super::fault::{self, Fault};

/// Compares the arguments that a classic queue knows, by value within a class of types.
pub(super) fn compare_queue(
    name: &str,
    asked: TableRef<'_>,
    current: TableRef<'_>,
) -> Result<(), Fault> {
    let thing = fault::queue(name);
    let type_of = |table: TableRef<'_>| match table.find(QUEUE_TYPE) {
        None => "classic".into(),
        Some(value) => erlang(value),
    };
    let (asked_type, current_type) = (type_of(asked), type_of(current));
    if asked_type != current_type {
        let quoted = |kind: &str| format!("'{kind}'");
        let (received, current) = (quoted(&asked_type), quoted(&current_type));
        return Err(Fault::inequivalent(QUEUE_TYPE, &thing, &received, &current));
    }
    classic_keys().try_for_each(|key| compare_one(key, &thing, asked, current))
}

/// Compares one argument of two tables.
pub(super) fn compare_one(
    key: &str,
    thing: &str,
    asked: TableRef<'_>,
    current: TableRef<'_>,
) -> Result<(), Fault> {
    let (received, current) = match (asked.find(key), current.find(key)) {
        (None, None) => return Ok(()),
        (Some(a), Some(b)) if is_same(a, b) => return Ok(()),
        (Some(a), Some(b)) => (format!("'{}'", erlang(a)), format!("'{}'", erlang(b))),
        (a, b) => (described(a), described(b)),
    };
    Err(Fault::inequivalent(key, thing, &received, &current))
}

fn described(value: Option<ValueRef<'_>>) -> String {
    match value {
        None => "none".into(),
        Some(value) => {
            format!(
                "the value '{}' of type '{}'",
                erlang(value),
                value.type_name()
            )
        }
    }
}

/// Integers of every width are one class, floats another; else the types must be equal.
fn is_same(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    let float = |value| match value {
        ValueRef::F32(value) => Some(f64::from(value)),
        ValueRef::F64(value) => Some(value),
        _ => None,
    };
    match (a.as_int(), b.as_int(), float(a), float(b)) {
        (Some(a), Some(b), ..) => a == b,
        (_, _, Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// A value as RabbitMQ prints it.
pub(super) fn erlang(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Bool(value) => value.to_string(),
        ValueRef::I8(_)
        | ValueRef::U8(_)
        | ValueRef::I16(_)
        | ValueRef::U16(_)
        | ValueRef::I32(_)
        | ValueRef::U32(_)
        | ValueRef::I64(_) => value.as_int().unwrap_or_default().to_string(),
        ValueRef::F32(value) => format!("{value:?}"),
        ValueRef::F64(value) => format!("{value:?}"),
        ValueRef::Decimal { scale, value } => format!("{{{scale},{value}}}"),
        ValueRef::LongString(octets) | ValueRef::Bytes(octets) => {
            String::from_utf8_lossy(octets).into_owned()
        }
        ValueRef::Timestamp(seconds) => seconds.to_string(),
        ValueRef::Table(table) => {
            let entry = |(key, value): (&[u8], ValueRef<'_>)| {
                let (kind, key) = (value.type_name(), String::from_utf8_lossy(key).into_owned());
                format!("{{<<\"{key}\">>,{kind},{}}}", erlang(value))
            };
            format!(
                "[{}]",
                table.entries().map(entry).collect::<Vec<_>>().join(",")
            )
        }
        ValueRef::Array(array) => {
            let entry =
                |value: ValueRef<'_>| format!("{{{},{}}}", value.type_name(), erlang(value));
            format!(
                "[{}]",
                array.values().map(entry).collect::<Vec<_>>().join(",")
            )
        }
        ValueRef::Void => "undefined".into(),
    }
}

#[cfg(test)]
mod tests {
    use amqp::{Table, Value};

    use super::*;

    #[test]
    fn arguments_are_compared_by_value() {
        let one = |key, value: Value| Table::new().with(key, value).to_bytes();
        let (int, long) = (
            one("x-message-ttl", Value::I32(1000)),
            one("x-message-ttl", Value::I64(1000)),
        );
        let (other, none) = (
            one("x-message-ttl", Value::I32(2000)),
            one("mine", Value::Void),
        );
        let classic = one("x-queue-type", "classic".into());
        let pre = "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received";
        for (asked, current, expected) in [
            (&int, &long, None),
            (&none, &classic, None),
            (
                &other,
                &int,
                Some(format!("{pre} '2000' but current is '1000'")),
            ),
            (
                &none,
                &int,
                Some(format!(
                    "{pre} none but current is the value '1000' of type 'signedint'"
                )),
            ),
        ] {
            let parse = |bytes| TableRef::parse(bytes).unwrap();
            let found = compare_queue("q", parse(asked), parse(current));
            assert_eq!(found.err().map(|fault| fault.text.into_owned()), expected);
        }
    }
}
