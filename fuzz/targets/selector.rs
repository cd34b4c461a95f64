//! Selectors: what parses is within the limits of what is stored, survives the log, and can be evaluated.

use broker::filter::{Limits, Predicate};
use broker::properties::{Properties, Value};

/// Values of every kind, by the first letter of their name.
struct Message;

impl Properties for Message {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        Some(match name.as_bytes().first()? {
            b'a' => Value::Null,
            b'b' => Value::Bool(true),
            b'c' => Value::Short(-1),
            b'd' => Value::Int(i64::from(i32::MIN)),
            b'e' => Value::Long(i64::MIN),
            b'f' => Value::Float(0.5),
            b'g' => Value::Double(f64::NAN),
            b'h' => Value::Text("it's 100% _text_"),
            b'i' => Value::Bytes(b"bytes"),
            b'j' => Value::Other,
            _ => return None,
        })
    }
}

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match gateway::selector::parse(text) {
        Ok(Some(predicate)) => {
            let mut bytes = Vec::new();
            predicate.encode(&mut bytes);
            let again = Predicate::decode(&bytes, Limits::STORED)
                .expect("what is accepted survives the log");
            assert_eq!(format!("{again:?}"), format!("{predicate:?}"));
            assert_eq!(predicate.matches(&Message), again.matches(&Message));
            assert!(predicate.check(Limits::STORED).is_ok());
        }
        Ok(None) => assert!(text.trim().is_empty()),
        Err(unparsable) => assert!(unparsable.at <= text.len()),
    }
}
