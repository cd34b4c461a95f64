//! What the messages of a story say: everything follows from their number, so that whoever reads
//! one knows whether it is whole.

use std::ops::Range;
use std::sync::Arc;

use amqp::{BasicProperties, Table, TableRef};
use broker::filter::{Comparison, Literal, Operand, Predicate};
use broker::record::Record;

/// What filters tell apart.
pub(super) fn parity(number: u64) -> &'static str {
    if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    }
}

/// Wants the messages of one parity.
pub(super) fn only(parity: &str) -> Arc<Predicate> {
    Arc::new(Predicate::compare(
        Operand::property("parity"),
        Comparison::Equal,
        Operand::Literal(Literal::Text(parity.into())),
    ))
}

/// The native bytes, and where the body lies in them.
pub(super) fn native(number: u64) -> (Vec<u8>, Range<u32>) {
    let headers = Table::new().with("parity", parity(number)).to_bytes();
    let properties = BasicProperties {
        headers: Some(TableRef::parse(&headers).expect("just written")),
        ..BasicProperties::default()
    };
    let mut native = properties.to_bytes().expect("short");
    let start = native.len() as u32;
    native.extend_from_slice(format!("{number}:").as_bytes());
    // Most are short; some need a frame, and a segment, of their own.
    let filling = match number % 61 {
        0 => 20_000,
        1..6 => 2_000,
        rest => rest as usize,
    };
    native.resize(native.len() + filling, number as u8);
    let end = native.len() as u32;
    (native, start..end)
}

/// The number of a message whose bytes are what was sent.
pub(super) fn number_of(record: &Record<'_>) -> Option<u64> {
    let Range { start, end } = record.envelope.body;
    let body = record.native.get(start as usize..end as usize)?;
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&body[..digits]).ok()?.parse().ok()?;
    (native(number) == (record.native.to_vec(), start..end)).then_some(number)
}
