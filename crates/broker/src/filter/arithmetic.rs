//! Arithmetic on values: which type a result has, and what cannot be computed.

use super::Arithmetic;
use super::evaluate::{Failed, Held};
use crate::properties::Value;

/// A number with the type that decides how it is computed and compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Number {
    Short(i64),
    Int(i64),
    Long(i64),
    Float(f64),
    Double(f64),
}

impl Number {
    pub(super) fn of(value: Value<'_>) -> Option<Number> {
        match value {
            Value::Short(number) => Some(Number::Short(number)),
            Value::Int(number) => Some(Number::Int(number)),
            Value::Long(number) => Some(Number::Long(number)),
            Value::Float(number) => Some(Number::Float(number)),
            Value::Double(number) => Some(Number::Double(number)),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) | Value::Other => None,
        }
    }

    fn as_f64(self) -> f64 {
        match self {
            Number::Short(number) | Number::Int(number) | Number::Long(number) => number as f64,
            Number::Float(number) | Number::Double(number) => number,
        }
    }

    fn whole(self) -> Option<i64> {
        match self {
            Number::Short(number) | Number::Int(number) | Number::Long(number) => Some(number),
            Number::Float(_) | Number::Double(_) => None,
        }
    }
}

/// Both values are known.
pub(super) fn compute<'a>(
    left: Held<'a>,
    operator: Arithmetic,
    right: &Held<'a>,
) -> Result<Held<'a>, Failed> {
    if let Value::Text(text) = left.value() {
        return match operator {
            Arithmetic::Add => Ok(Held::Joined(join(text, right.value())?)),
            Arithmetic::Subtract
            | Arithmetic::Multiply
            | Arithmetic::Divide
            | Arithmetic::Remainder => Err(Failed),
        };
    }
    let left = Number::of(left.value()).ok_or(Failed)?;
    let right = Number::of(right.value()).ok_or(Failed)?;
    Ok(Held::Value(match operator {
        Arithmetic::Add => reckon(left, right, i64::wrapping_add, |a, b| a + b),
        Arithmetic::Subtract => reckon(left, right, i64::wrapping_sub, |a, b| a - b),
        Arithmetic::Multiply => reckon(left, right, i64::wrapping_mul, |a, b| a * b),
        Arithmetic::Divide => Value::Double(left.as_f64() / right.as_f64()),
        Arithmetic::Remainder => Value::Double(left.as_f64() % right.as_f64()),
    }))
}

/// Fractions win over long, long over int; whole numbers wrap in the width of their type.
fn reckon(
    left: Number,
    right: Number,
    whole: impl Fn(i64, i64) -> i64,
    fraction: impl Fn(f64, f64) -> f64,
) -> Value<'static> {
    match (left.whole(), right.whole()) {
        (Some(a), Some(b)) => {
            let result = whole(a, b);
            if matches!(left, Number::Long(_)) || matches!(right, Number::Long(_)) {
                Value::Long(result)
            } else {
                Value::Int(i64::from(result as i32))
            }
        }
        (None, _) | (_, None) => Value::Double(fraction(left.as_f64(), right.as_f64())),
    }
}

/// The negative of a known value; a short has none in the dialect that knows shorts.
pub(super) fn negate(value: Value<'_>) -> Result<Value<'static>, Failed> {
    match Number::of(value) {
        None => Ok(Value::Null),
        Some(Number::Short(_)) => Err(Failed),
        Some(Number::Int(number)) => Ok(Value::Int(i64::from((number as i32).wrapping_neg()))),
        Some(Number::Long(number)) => Ok(Value::Long(number.wrapping_neg())),
        Some(Number::Float(number)) => Ok(Value::Float(-number)),
        Some(Number::Double(number)) => Ok(Value::Double(-number)),
    }
}

fn join(text: &str, right: Value<'_>) -> Result<String, Failed> {
    let right = match right {
        Value::Text(other) => return Ok([text, other].concat()),
        Value::Bool(value) => value.to_string(),
        Value::Short(number) | Value::Int(number) | Value::Long(number) => number.to_string(),
        Value::Float(number) => {
            let single = number as f32;
            spelled(number, format!("{single:?}"), format!("{single:E}"))
        }
        Value::Double(number) => spelled(number, format!("{number:?}"), format!("{number:E}")),
        Value::Null | Value::Bytes(_) | Value::Other => return Err(Failed),
    };
    Ok([text, &right].concat())
}

/// Plain from a thousandth to ten million, else scientific, always with a fraction: how the
/// clients that write such filters print a number.
fn spelled(number: f64, plain: String, scientific: String) -> String {
    let size = number.abs();
    if !number.is_finite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return if number.is_nan() {
            "NaN".into()
        } else {
            format!("{sign}Infinity")
        };
    }
    if size == 0.0 || (1e-3..1e7).contains(&size) || scientific.contains('.') {
        return if size == 0.0 || (1e-3..1e7).contains(&size) {
            plain
        } else {
            scientific
        };
    }
    scientific.replacen('E', ".0E", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_their_writers_expect() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-2.5, "-2.5"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (1e-4, "1.0E-4"),
            (0.001, "0.001"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(join("", Value::Double(number)), Ok(text.to_string()));
        }
        assert_eq!(
            join("a", Value::Float(f64::from(0.1f32))),
            Ok("a0.1".into())
        );
    }

    #[test]
    fn types_widen_and_wrap() {
        use Arithmetic::*;
        let max = i64::from(i32::MAX);
        for (left, operator, right, result) in [
            (Value::Int(1), Add, Value::Int(2), Ok(Value::Int(3))),
            (
                Value::Int(max),
                Add,
                Value::Int(1),
                Ok(Value::Int(i64::from(i32::MIN))),
            ),
            (
                Value::Int(max),
                Add,
                Value::Long(1),
                Ok(Value::Long(max + 1)),
            ),
            (
                Value::Short(2),
                Multiply,
                Value::Short(3),
                Ok(Value::Int(6)),
            ),
            (
                Value::Long(i64::MAX),
                Add,
                Value::Int(1),
                Ok(Value::Long(i64::MIN)),
            ),
            (
                Value::Int(1),
                Subtract,
                Value::Float(0.5),
                Ok(Value::Double(0.5)),
            ),
            (Value::Int(3), Divide, Value::Int(2), Ok(Value::Double(1.5))),
            (
                Value::Int(7),
                Remainder,
                Value::Int(4),
                Ok(Value::Double(3.0)),
            ),
            (Value::Int(1), Add, Value::Text("a"), Err(Failed)),
            (Value::Bool(true), Add, Value::Int(1), Err(Failed)),
            (Value::Text("a"), Multiply, Value::Int(1), Err(Failed)),
        ] {
            let held = compute(Held::Value(left), operator, &Held::Value(right));
            assert_eq!(
                held.as_ref().map(Held::value).map_err(|failed| *failed),
                result
            );
        }
    }
}
