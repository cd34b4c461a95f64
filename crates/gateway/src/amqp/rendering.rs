//! A stored message as this language shows it.
//!
//! One of our own is exact, save what the broker owns: `BCC` was taken away when it came, and a
//! message with a death history gets it as headers and loses `expiration`, and `CC` as well once a
//! dead-letter routing key has replaced its own. A foreign one is converted.

use amqp::{BasicProperties, PropertiesRef, ShortString, Table, TableRef, Value};
use broker::record::{Death, DeathReason, Envelope, Record};

use crate::convert;
use crate::language::AMQP;

/// Shows the properties and the body of a record in this language.
pub(super) fn with_native(record: &Record<'_>, look: impl FnOnce(&[u8], &[u8])) {
    let envelope = &record.envelope;
    if envelope.language != AMQP {
        let portable = convert::portable(record);
        let written = convert::to_amqp::write(&portable, envelope);
        let properties = with_deaths(&written.properties, envelope);
        return look(
            properties.as_deref().unwrap_or(&written.properties),
            &written.body,
        );
    }
    let start = envelope.body.start as usize;
    let raw = record.native.get(..start).unwrap_or_default();
    // Only a message that died before allocates.
    match with_deaths(raw, envelope) {
        None => look(raw, record.body()),
        Some(properties) => look(&properties, record.body()),
    }
}

/// The properties with the death history, newest death first; `None` if there was none.
fn with_deaths(raw: &[u8], envelope: &Envelope<'_>) -> Option<Vec<u8>> {
    let deaths = envelope.deaths.as_slice();
    let last = deaths.first()?;
    // The first death is the one that happened first; of equal times the one further back.
    let first = deaths.iter().rev().min_by_key(|death| death.time)?;
    let properties = PropertiesRef::trusted(raw).to_properties();
    let mut headers = properties
        .headers
        .map(|table| table.to_table())
        .unwrap_or_default();
    for (prefix, death) in [("x-first-death-", first), ("x-last-death-", last)] {
        for (name, text) in [
            ("queue", &*death.queue),
            ("reason", reason(death.reason)),
            ("exchange", &*death.address),
        ] {
            if let Ok(key) = ShortString::new(format!("{prefix}{name}")) {
                headers.remove(&key);
                headers.push(key, text.into());
            }
        }
    }
    let copies = copies(&headers);
    let has_first_key = |death: &Death| death.keys == first.keys;
    let entries = deaths.iter().map(|death| {
        // Only the first death met the property; it was taken away then.
        let expiration = properties.expiration.filter(|_| std::ptr::eq(death, first));
        // `CC` was there until a dead-letter routing key replaced the key of the sender.
        let copies = copies
            .as_slice()
            .get(
                ..if has_first_key(death) {
                    copies.len()
                } else {
                    0
                },
            )
            .unwrap_or_default();
        Value::Table(entry(death, copies, expiration))
    });
    let entries = entries.collect();
    let still_first = first.keys.first().is_some_and(|key| **key == *envelope.key);
    if !still_first || !deaths.iter().all(has_first_key) {
        headers.remove("CC");
    }
    headers.remove("x-death");
    headers.push(ShortString::literal("x-death"), Value::Array(entries));
    // RabbitMQ sorts headers whenever it adds some.
    headers.0.sort_by(|(a, _), (b, _)| a.cmp(b));
    let bytes = headers.to_bytes();
    let headers = TableRef::parse(&bytes).ok();
    BasicProperties {
        headers,
        expiration: None,
        ..properties
    }
    .to_bytes()
    .ok()
}

/// The routing keys that a sender added for all to see.
fn copies(headers: &Table) -> Vec<Value> {
    let cc = headers.0.iter().find(|(key, _)| key.as_bytes() == b"CC");
    let Some((_, Value::Array(keys))) = cc else {
        return Vec::new();
    };
    let is_key = |key: &&Value| matches!(key, Value::LongString(_));
    keys.iter().filter(is_key).cloned().collect()
}

fn entry(death: &Death, copies: &[Value], expiration: Option<&[u8]>) -> Table {
    let own = death.keys.iter().map(|key| Value::from(&**key));
    let keys = own.chain(copies.iter().cloned()).collect::<Vec<_>>();
    let mut table = Table::new()
        .with("count", death.count as i64)
        .with("reason", reason(death.reason))
        .with("queue", &*death.queue)
        .with("time", Value::Timestamp(death.time.0 / 1000))
        .with("exchange", &*death.address)
        .with("routing-keys", keys);
    if let Some(text) = expiration {
        let key = ShortString::literal("original-expiration");
        table.push(key, Value::LongString(text.to_vec()));
    }
    table
}

fn reason(reason: DeathReason) -> &'static str {
    match reason {
        DeathReason::Rejected => "rejected",
        DeathReason::Expired => "expired",
        DeathReason::Overflow => "maxlen",
        DeathReason::AttemptsExhausted => "delivery_limit",
    }
}

#[cfg(test)]
mod tests {
    use broker::id::Millis;

    use super::*;

    fn death(queue: &str, reason: DeathReason, count: u64, time: u64) -> Death {
        Death {
            queue: queue.into(),
            reason,
            count,
            time: Millis(time),
            address: "x".into(),
            keys: vec!["k".into()],
            expires: None,
            cause: None,
        }
    }

    fn envelope(key: &str, deaths: Vec<Death>) -> Envelope<'_> {
        Envelope {
            language: AMQP,
            persistent: false,
            priority: 0,
            received: Millis(0),
            expires: None,
            address: "",
            key,
            partition: None,
            origin: None,
            attempts: 0,
            deaths,
            body: 0..0,
        }
    }

    /// The keys of each death, newest first, and whether the message still has `CC`.
    fn keys_shown(key: &str, deaths: Vec<Death>) -> (Vec<Vec<String>>, bool) {
        let table = Table::new()
            .with("CC", vec![Value::from("c1"), Value::I32(1), "c2".into()])
            .to_bytes();
        let properties = BasicProperties {
            headers: TableRef::parse(&table).ok(),
            ..BasicProperties::default()
        };
        let raw = properties.to_bytes().unwrap();
        let shown = with_deaths(&raw, &envelope(key, deaths)).unwrap();
        let shown = PropertiesRef::parse(&shown).unwrap().to_properties();
        let headers = shown.headers.unwrap();
        let deaths = headers.find("x-death").unwrap().as_array().unwrap();
        let texts = |value: amqp::ValueRef<'_>| {
            let keys = value.as_table().unwrap().find("routing-keys").unwrap();
            let text = |key: amqp::ValueRef<'_>| {
                String::from_utf8(key.as_long_string().unwrap().to_vec()).unwrap()
            };
            keys.as_array().unwrap().values().map(text).collect()
        };
        let keys = deaths.values().map(texts).collect();
        (keys, headers.find("CC").is_some())
    }

    #[test]
    fn copies_are_listed_until_a_dead_letter_key_replaces_them() {
        let first = || death("work", DeathReason::Rejected, 1, 1_000);
        let all = ["k", "c1", "c2"].map(String::from).to_vec();
        assert_eq!(keys_shown("k", vec![first()]), (vec![all.clone()], true));
        assert_eq!(keys_shown("new", vec![first()]), (vec![all.clone()], false));
        let mut later = death("retry", DeathReason::Expired, 1, 2_000);
        later.keys = vec!["new".into()];
        let expected = (vec![vec!["new".into()], all], false);
        assert_eq!(keys_shown("k", vec![later, first()]), expected);
    }

    #[test]
    fn a_history_becomes_headers() {
        let table = Table::new().with("z", 1).with("x-death", "mine").to_bytes();
        let properties = BasicProperties {
            headers: TableRef::parse(&table).ok(),
            expiration: Some(b"100"),
            message_id: Some(b"id"),
            ..BasicProperties::default()
        };
        let raw = properties.to_bytes().unwrap();
        assert_eq!(with_deaths(&raw, &envelope("k", vec![])), None);
        let deaths = vec![
            death("work", DeathReason::Rejected, 2, 9_500),
            death("wait", DeathReason::Expired, 1, 3_000),
        ];
        let shown = with_deaths(&raw, &envelope("k", deaths)).unwrap();
        let shown = PropertiesRef::parse(&shown).unwrap().to_properties();
        assert_eq!(
            (shown.expiration, shown.message_id),
            (None, Some(&b"id"[..]))
        );
        let entry = |count: i64, reason: &str, queue: &str, time| {
            Table::new()
                .with("count", count)
                .with("reason", reason)
                .with("queue", queue)
                .with("time", Value::Timestamp(time))
                .with("exchange", "x")
                .with("routing-keys", vec![Value::from("k")])
        };
        let expected = Table::new()
            .with(
                "x-death",
                vec![
                    entry(2, "rejected", "work", 9).into(),
                    entry(1, "expired", "wait", 3)
                        .with("original-expiration", "100")
                        .into(),
                ],
            )
            .with("x-first-death-exchange", "x")
            .with("x-first-death-queue", "wait")
            .with("x-first-death-reason", "expired")
            .with("x-last-death-exchange", "x")
            .with("x-last-death-queue", "work")
            .with("x-last-death-reason", "rejected")
            .with("z", 1);
        assert_eq!(shown.headers.unwrap().to_table(), expected);
    }
}
