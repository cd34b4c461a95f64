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
    for (prefix, death, exchange) in [
        ("x-first-death-", first, &first.address),
        ("x-last-death-", last, &last.last_address),
    ] {
        for (name, text) in [
            ("queue", &*death.queue),
            ("reason", reason(death.reason)),
            ("exchange", exchange),
        ] {
            if let Ok(key) = ShortString::new(format!("{prefix}{name}")) {
                headers.remove(&key);
                headers.push(key, text.into());
            }
        }
    }
    let entries = deaths.iter().map(|death| {
        // Only the first death met the property; it was taken away then.
        let expiration = properties.expiration.filter(|_| std::ptr::eq(death, first));
        Value::Table(entry(death, expiration))
    });
    let entries = entries.collect();
    if envelope.copies.shown.is_empty() {
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

fn entry(death: &Death, expiration: Option<&[u8]>) -> Table {
    let keys: Vec<_> = death.keys.iter().map(|key| Value::from(&**key)).collect();
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
    use broker::record::Copies;

    use super::*;

    fn death(queue: &str, reason: DeathReason, count: u64, time: u64) -> Death {
        Death {
            queue: queue.into(),
            reason,
            count,
            time: Millis(time),
            address: "x".into(),
            keys: vec!["k".into()],
            last_address: "y".into(),
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
            strand: None,
            copies: Copies::default(),
            attempts: 0,
            deaths,
            body: 0..0,
        }
    }

    /// What was sent with copies shows them as long as it is routed by them.
    #[test]
    fn copies_are_shown_until_a_dead_letter_key_replaces_them() {
        let table = Table::new().with("CC", vec![Value::from("c1")]).to_bytes();
        let properties = BasicProperties {
            headers: TableRef::parse(&table).ok(),
            ..BasicProperties::default()
        };
        let raw = properties.to_bytes().unwrap();
        for shown in [vec!["c1"], vec![]] {
            let has_copies = !shown.is_empty();
            let mut envelope = envelope("k", vec![death("work", DeathReason::Rejected, 1, 1)]);
            envelope.copies.shown = shown;
            let rendered = with_deaths(&raw, &envelope).unwrap();
            let rendered = PropertiesRef::parse(&rendered).unwrap().to_properties();
            let headers = rendered.headers.unwrap();
            assert_eq!(headers.find("CC").is_some(), has_copies);
        }
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
            .with("x-last-death-exchange", "y")
            .with("x-last-death-queue", "work")
            .with("x-last-death-reason", "rejected")
            .with("z", 1);
        assert_eq!(shown.headers.unwrap().to_table(), expected);
    }
}
