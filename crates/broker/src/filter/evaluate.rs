//! Evaluating a predicate over the properties of one message.

use super::arithmetic::{compute, negate};
use super::compare::{compare, same};
use super::{Criterion, HeaderRule, Operand, Predicate, like};
use crate::properties::{Properties, Value};

/// An operation that its operands do not allow: the message does not match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Failed;

/// A value that borrows from the predicate or the message, or a text that was joined.
#[derive(Debug)]
pub(super) enum Held<'a> {
    Value(Value<'a>),
    Joined(String),
}

impl Held<'_> {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Held::Value(value) => *value,
            Held::Joined(text) => Value::Text(text),
        }
    }

    fn is_unknown(&self) -> bool {
        self.value() == Value::Null
    }
}

impl Predicate {
    /// True only if the predicate is true of the message: unknown and failed are no match.
    pub fn matches(&self, properties: &dyn Properties) -> bool {
        self.truth(properties) == Ok(Some(true))
    }

    fn truth(&self, properties: &dyn Properties) -> Result<Option<bool>, Failed> {
        match self {
            Predicate::Constant(truth) => Ok(*truth),
            Predicate::Not(inner) => Ok(inner.truth(properties)?.map(|truth| !truth)),
            Predicate::And(parts) => first_of(parts, false, properties),
            Predicate::Or(parts) => first_of(parts, true, properties),
            Predicate::Compare {
                left,
                comparison,
                right,
            } => {
                let (left, right) = (left.held(properties)?, right.held(properties)?);
                Ok(compare(left.value(), *comparison, right.value()))
            }
            Predicate::Holds(operand) => Ok(match operand.held(properties)?.value() {
                Value::Null => None,
                value => Some(value == Value::Bool(true)),
            }),
            Predicate::Like {
                operand,
                pattern,
                escape,
            } => Ok(match operand.held(properties)?.value() {
                Value::Null => None,
                Value::Text(text) => Some(like::matches(text, pattern, *escape)),
                Value::Bool(_)
                | Value::Short(_)
                | Value::Int(_)
                | Value::Long(_)
                | Value::Float(_)
                | Value::Double(_)
                | Value::Bytes(_)
                | Value::Other => Some(false),
            }),
            Predicate::In { operand, texts } => Ok(match operand.held(properties)?.value() {
                Value::Text(text) => Some(texts.iter().any(|member| **member == *text)),
                Value::Null
                | Value::Bool(_)
                | Value::Short(_)
                | Value::Int(_)
                | Value::Long(_)
                | Value::Float(_)
                | Value::Double(_)
                | Value::Bytes(_)
                | Value::Other => None,
            }),
            Predicate::IsUnknown(operand) => Ok(Some(operand.held(properties)?.is_unknown())),
            Predicate::Headers { rule, criteria } => Ok(Some(match rule {
                HeaderRule::All => criteria.iter().all(|one| one.is_met(properties)),
                HeaderRule::Any => criteria.iter().any(|one| one.is_met(properties)),
            })),
        }
    }
}

/// The parts in order until one decides; unknown if none does and one is unknown.
fn first_of(
    parts: &[Predicate],
    deciding: bool,
    properties: &dyn Properties,
) -> Result<Option<bool>, Failed> {
    let mut truth = Some(!deciding);
    for part in parts {
        match part.truth(properties)? {
            Some(decided) if decided == deciding => return Ok(Some(deciding)),
            Some(_) => {}
            None => truth = None,
        }
    }
    Ok(truth)
}

impl Operand {
    fn held<'a>(&'a self, properties: &'a dyn Properties) -> Result<Held<'a>, Failed> {
        match self {
            Operand::Literal(literal) => Ok(Held::Value(literal.value())),
            Operand::Property(name) => Ok(Held::Value(
                properties.property(name).unwrap_or(Value::Null),
            )),
            Operand::Truth(predicate) => Ok(Held::Value(
                predicate
                    .truth(properties)?
                    .map_or(Value::Null, Value::Bool),
            )),
            Operand::Negate(inner) => Ok(Held::Value(negate(inner.held(properties)?.value())?)),
            Operand::Arithmetic {
                left,
                operator,
                right,
            } => {
                let (left, right) = (left.held(properties)?, right.held(properties)?);
                if left.is_unknown() || right.is_unknown() {
                    return Ok(Held::Value(Value::Null));
                }
                compute(left, *operator, &right)
            }
        }
    }
}

impl Criterion {
    fn is_met(&self, properties: &dyn Properties) -> bool {
        match (properties.property(&self.name), &self.value) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(found), Some(wanted)) => same(wanted, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arithmetic, Comparison, Literal};
    use super::*;

    struct Message;

    impl Properties for Message {
        fn property(&self, name: &str) -> Option<Value<'_>> {
            match name {
                "i" => Some(Value::Int(5)),
                "s" => Some(Value::Text("blue")),
                "t" => Some(Value::Bool(true)),
                "f" => Some(Value::Bool(false)),
                "d" => Some(Value::Double(2.5)),
                "short" => Some(Value::Short(5)),
                "null" => Some(Value::Null),
                "table" => Some(Value::Other),
                _ => None,
            }
        }
    }

    fn p(name: &str) -> Operand {
        Operand::property(name)
    }

    fn int(number: i32) -> Operand {
        Operand::Literal(Literal::Int(number))
    }

    fn check(predicate: Predicate, truth: Result<Option<bool>, Failed>) {
        assert_eq!(predicate.truth(&Message), truth, "{predicate:?}");
        assert_eq!(predicate.matches(&Message), truth == Ok(Some(true)));
    }

    #[test]
    fn truth_has_three_values() {
        let all = [Some(true), Some(false), None];
        for a in all {
            check(Predicate::Constant(a).negated(), Ok(a.map(|truth| !truth)));
            for b in all {
                let and = match (a, b) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    (None, _) | (_, None) => None,
                };
                let or = match (a, b) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    (None, _) | (_, None) => None,
                };
                check(Predicate::Constant(a).and(Predicate::Constant(b)), Ok(and));
                check(Predicate::Constant(a).or(Predicate::Constant(b)), Ok(or));
            }
        }
        check(Predicate::And(vec![]), Ok(Some(true)));
        check(Predicate::Or(vec![]), Ok(Some(false)));
    }

    #[test]
    fn every_form_has_its_truth() {
        use Comparison::*;
        let compare = Predicate::compare;
        let like = |operand, pattern: &str| Predicate::Like {
            operand,
            pattern: pattern.into(),
            escape: None,
        };
        let within = |operand| Predicate::In {
            operand,
            texts: vec!["red".into(), "blue".into()],
        };
        check(compare(p("i"), Equal, int(5)), Ok(Some(true)));
        check(compare(p("none"), NotEqual, int(5)), Ok(None));
        check(compare(int(5), NotEqual, p("none")), Ok(Some(true)));
        check(compare(p("null"), Equal, int(5)), Ok(None));
        check(compare(int(5), Equal, p("short")), Ok(Some(false)));
        check(compare(p("short"), Equal, int(5)), Ok(Some(true)));
        check(Predicate::between(p("i"), int(5), int(6)), Ok(Some(true)));
        check(
            Predicate::between(p("i"), int(6), int(7)).negated(),
            Ok(Some(true)),
        );
        check(
            Predicate::between(p("none"), int(6), int(7)).negated(),
            Ok(None),
        );
        check(Predicate::Holds(p("t")), Ok(Some(true)));
        check(Predicate::Holds(p("f")), Ok(Some(false)));
        check(Predicate::Holds(p("s")), Ok(Some(false)));
        check(Predicate::Holds(p("none")), Ok(None));
        check(like(p("s"), "bl%"), Ok(Some(true)));
        check(like(p("i"), "%").negated(), Ok(Some(true)));
        check(like(p("none"), "%").negated(), Ok(None));
        check(within(p("s")), Ok(Some(true)));
        check(within(p("i")).negated(), Ok(None));
        check(within(p("none")), Ok(None));
        check(Predicate::IsUnknown(p("none")), Ok(Some(true)));
        check(Predicate::IsUnknown(p("null")), Ok(Some(true)));
        check(Predicate::IsUnknown(p("table")), Ok(Some(false)));
        check(Predicate::IsUnknown(p("i")).negated(), Ok(Some(true)));
        // "not i" is a truth value, and a truth value does not equal a number.
        let not_i = Operand::Truth(Box::new(Predicate::Holds(p("i")).negated()));
        check(compare(not_i, Equal, int(5)), Ok(Some(false)));
    }

    #[test]
    fn arithmetic_is_unknown_or_fails_as_a_whole() {
        use Arithmetic::*;
        let equal = |left, right| Predicate::compare(left, Comparison::Equal, right);
        let sum = Operand::arithmetic;
        let minus = |operand| Operand::Negate(Box::new(operand));
        check(
            equal(sum(p("i"), Multiply, int(2)), int(10)),
            Ok(Some(true)),
        );
        check(
            equal(sum(p("s"), Add, p("i")), Operand::text("blue5")),
            Ok(Some(true)),
        );
        check(equal(sum(p("none"), Add, int(1)), int(1)), Ok(None));
        check(equal(sum(int(1), Add, p("none")), int(1)), Ok(None));
        check(equal(minus(p("i")), int(-5)), Ok(Some(true)));
        check(equal(minus(p("s")), int(-5)), Ok(None));
        check(equal(minus(p("short")), int(-5)), Err(Failed));
        let failing = equal(sum(p("s"), Multiply, int(2)), int(10));
        check(failing.clone(), Err(Failed));
        check(failing.clone().negated(), Err(Failed));
        check(
            failing.clone().or(Predicate::Constant(Some(true))),
            Err(Failed),
        );
        check(
            Predicate::Constant(Some(true)).or(failing.clone()),
            Ok(Some(true)),
        );
        check(
            Predicate::Constant(Some(false)).and(failing),
            Ok(Some(false)),
        );
    }

    #[test]
    fn headers_match_all_or_any() {
        let one = |name: &str, value| Criterion {
            name: name.into(),
            value,
        };
        let met = || one("i", Some(Literal::Long(5)));
        let missed = || one("i", Some(Literal::Double(5.0)));
        for (rule, criteria, truth) in [
            (HeaderRule::All, vec![], true),
            (HeaderRule::Any, vec![], false),
            (HeaderRule::All, vec![met()], true),
            (HeaderRule::All, vec![met(), missed()], false),
            (HeaderRule::Any, vec![missed(), met()], true),
            (HeaderRule::Any, vec![missed()], false),
            (
                HeaderRule::All,
                vec![one("table", None), one("null", None)],
                true,
            ),
            (HeaderRule::All, vec![one("none", None)], false),
        ] {
            check(Predicate::Headers { rule, criteria }, Ok(Some(truth)));
        }
        let text = |text: &str| Literal::Text(text.into());
        check(Predicate::differs("s", text("blue")), Ok(Some(false)));
        check(Predicate::differs("s", text("red")), Ok(Some(true)));
        check(Predicate::differs("none", text("red")), Ok(Some(true)));
    }
}
