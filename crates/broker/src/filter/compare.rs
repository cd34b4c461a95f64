//! Comparing values of several types.

use std::cmp::Ordering;

use super::arithmetic::Number;
use super::{Comparison, Literal};
use crate::properties::Value;

/// The truth of a comparison. An unknown value on the left makes it unknown; on the right it
/// makes an equality false and an order unknown.
pub(super) fn compare(left: Value<'_>, how: Comparison, right: Value<'_>) -> Option<bool> {
    if left == Value::Null {
        return None;
    }
    let right_is_known = right != Value::Null;
    let found = if right_is_known {
        order(left, right)
    } else {
        None
    };
    let ordered = |wanted: fn(Ordering) -> bool| right_is_known.then(|| found.is_some_and(wanted));
    match how {
        Comparison::Equal => Some(found == Some(Ordering::Equal)),
        Comparison::NotEqual => Some(found != Some(Ordering::Equal)),
        Comparison::Less => ordered(Ordering::is_lt),
        Comparison::LessOrEqual => ordered(Ordering::is_le),
        Comparison::Greater => ordered(Ordering::is_gt),
        Comparison::GreaterOrEqual => ordered(Ordering::is_ge),
    }
}

/// `None` for values of types that do not compare.
fn order(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (bytes_of(left), bytes_of(right)) {
        return Some(a.cmp(b));
    }
    if let (Value::Bool(a), Value::Bool(b)) = (left, right) {
        return Some(a.cmp(&b));
    }
    order_numbers(Number::of(left)?, Number::of(right)?)
}

/// A short compares as the left operand only, unless both are short. A whole number beside a
/// float is rounded to a float.
fn order_numbers(left: Number, right: Number) -> Option<Ordering> {
    let single = |number: i64| f64::from(number as f32);
    match (left, right) {
        (Number::Short(a), Number::Short(b)) => Some(a.cmp(&b)),
        (
            Number::Int(_) | Number::Long(_) | Number::Float(_) | Number::Double(_),
            Number::Short(_),
        ) => None,
        (Number::Short(a) | Number::Int(a) | Number::Long(a), Number::Int(b) | Number::Long(b)) => {
            Some(a.cmp(&b))
        }
        (Number::Short(a) | Number::Int(a) | Number::Long(a), Number::Float(b)) => {
            single(a).partial_cmp(&b)
        }
        (Number::Short(a) | Number::Int(a) | Number::Long(a), Number::Double(b)) => {
            (a as f64).partial_cmp(&b)
        }
        (Number::Float(a), Number::Int(b) | Number::Long(b)) => a.partial_cmp(&single(b)),
        (Number::Double(a), Number::Int(b) | Number::Long(b)) => a.partial_cmp(&(b as f64)),
        (Number::Float(a) | Number::Double(a), Number::Float(b) | Number::Double(b)) => {
            a.partial_cmp(&b)
        }
    }
}

/// Whether a header meets a criterion: by value, whole numbers of every width alike, whole
/// numbers and fractions never.
pub(super) fn same(wanted: &Literal, found: Value<'_>) -> bool {
    match wanted {
        Literal::Null => true,
        Literal::Bool(a) => found == Value::Bool(*a),
        Literal::Int(a) => whole_of(found) == Some(i64::from(*a)),
        Literal::Long(a) => whole_of(found) == Some(*a),
        Literal::Double(a) => match Number::of(found) {
            Some(Number::Float(b) | Number::Double(b)) => *a == b,
            Some(Number::Short(_) | Number::Int(_) | Number::Long(_)) | None => false,
        },
        Literal::Text(a) => bytes_of(found) == Some(a.as_bytes()),
        Literal::Bytes(a) => bytes_of(found) == Some(&**a),
    }
}

fn whole_of(value: Value<'_>) -> Option<i64> {
    match Number::of(value)? {
        Number::Short(number) | Number::Int(number) | Number::Long(number) => Some(number),
        Number::Float(_) | Number::Double(_) => None,
    }
}

/// Texts and bytes compare alike: one language does not tell them apart.
fn bytes_of(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        Value::Null
        | Value::Bool(_)
        | Value::Short(_)
        | Value::Int(_)
        | Value::Long(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_compare_after_widening() {
        use Comparison::*;
        let big = (1 << 24) + 1;
        for (left, how, right, truth) in [
            (Value::Int(1), Equal, Value::Long(1), Some(true)),
            (Value::Long(1), Equal, Value::Double(1.0), Some(true)),
            (
                Value::Int(big),
                Equal,
                Value::Float((1 << 24) as f64),
                Some(true),
            ),
            (
                Value::Int(big),
                Equal,
                Value::Double((1 << 24) as f64),
                Some(false),
            ),
            (Value::Float(1.5), Less, Value::Int(2), Some(true)),
            (Value::Short(1), Equal, Value::Int(1), Some(true)),
            (Value::Short(1), Less, Value::Double(1.5), Some(true)),
            (Value::Short(1), Equal, Value::Short(1), Some(true)),
            (Value::Int(1), Equal, Value::Short(1), Some(false)),
            (Value::Int(1), NotEqual, Value::Short(1), Some(true)),
            (Value::Int(1), LessOrEqual, Value::Short(1), Some(false)),
            (Value::Text("1"), Equal, Value::Int(1), Some(false)),
            (Value::Text("1"), NotEqual, Value::Int(1), Some(true)),
            (Value::Text("1"), Less, Value::Int(2), Some(false)),
            (Value::Text("a"), Less, Value::Text("b"), Some(true)),
            (Value::Text("a"), Equal, Value::Bytes(b"a"), Some(true)),
            (Value::Bool(true), Equal, Value::Bool(true), Some(true)),
            (Value::Bool(true), Equal, Value::Text("true"), Some(false)),
            (Value::Null, Equal, Value::Int(1), None),
            (Value::Null, NotEqual, Value::Null, None),
            (Value::Int(1), Equal, Value::Null, Some(false)),
            (Value::Int(1), NotEqual, Value::Null, Some(true)),
            (Value::Int(1), Less, Value::Null, None),
            (Value::Null, GreaterOrEqual, Value::Int(1), None),
            (Value::Other, Equal, Value::Other, Some(false)),
            (
                Value::Double(f64::NAN),
                Equal,
                Value::Double(f64::NAN),
                Some(false),
            ),
            (Value::Int(2), GreaterOrEqual, Value::Int(2), Some(true)),
            (Value::Int(2), Greater, Value::Int(2), Some(false)),
        ] {
            assert_eq!(
                compare(left, how, right),
                truth,
                "{left:?} {how:?} {right:?}"
            );
        }
    }

    #[test]
    fn headers_are_the_same_by_value() {
        for (wanted, found, truth) in [
            (Literal::Int(1), Value::Long(1), true),
            (Literal::Long(1), Value::Short(1), true),
            (Literal::Int(1), Value::Double(1.0), false),
            (Literal::Double(1.0), Value::Float(1.0), true),
            (Literal::Double(1.0), Value::Int(1), false),
            (Literal::Text("a".into()), Value::Bytes(b"a"), true),
            (Literal::Bytes((*b"a").into()), Value::Text("b"), false),
            (Literal::Bool(true), Value::Bool(true), true),
            (Literal::Bool(true), Value::Int(1), false),
            (Literal::Null, Value::Other, true),
            (Literal::Text("a".into()), Value::Other, false),
        ] {
            assert_eq!(same(&wanted, found), truth, "{wanted:?} {found:?}");
        }
    }
}
