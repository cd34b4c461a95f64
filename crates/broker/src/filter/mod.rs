//! Filters: one predicate tree for every dialect, over the [`Properties`] view of a message.
//!
//! A gateway parses its dialect into a [`Predicate`]; only routing and dispatch evaluate it.
//! Truth has three values: a property that is absent, or present and null, makes most operations
//! *unknown*, and a message matches on *true* alone. An operation that cannot be carried out,
//! such as a product with a text, fails the whole evaluation, and a failed evaluation is no match,
//! also below a negation.
//!
//! Invariants: evaluation allocates only to concatenate texts; it recurses no deeper than
//! [`Limits::depth`], which whoever builds a predicate from foreign words checks first with
//! [`Predicate::check`]. A predicate encodes to bytes that every later version must read.
//!
//! Caveats: one-byte and two-byte integers are one type in here; texts are ordered by code point,
//! not by UTF-16 unit; a `Like` costs pattern length times text length at worst.

mod arithmetic;
mod compare;
mod encode;
mod evaluate;
mod like;

use crate::properties::Value;
use crate::refusal::Refusal;

/// What must be true of a message.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    /// `None` is unknown: it matches nothing, not even negated.
    Constant(Option<bool>),
    Not(Box<Predicate>),
    /// True of no parts.
    And(Vec<Predicate>),
    /// False of no parts.
    Or(Vec<Predicate>),
    Compare {
        left: Operand,
        comparison: Comparison,
        right: Operand,
    },
    /// The operand is true; false if it is no boolean, unknown if it is unknown.
    Holds(Operand),
    /// `%` is any run of characters, `_` one character; `escape` takes their meaning away, and
    /// its own. False if the operand is no text.
    Like {
        operand: Operand,
        pattern: Box<str>,
        escape: Option<char>,
    },
    /// The operand is one of the texts; unknown if it is no text.
    In {
        operand: Operand,
        texts: Vec<Box<str>>,
    },
    /// The operand is unknown; never unknown itself.
    IsUnknown(Operand),
    /// Named values compared by value, whole numbers and fractions apart; never unknown.
    Headers {
        rule: HeaderRule,
        criteria: Vec<Criterion>,
    },
}

/// Something with a value.
#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    Literal(Literal),
    Property(Box<str>),
    /// A predicate's truth as a value.
    Truth(Box<Predicate>),
    /// The negative number; unknown if the operand is no number.
    Negate(Box<Operand>),
    Arithmetic {
        left: Box<Operand>,
        operator: Arithmetic,
        right: Box<Operand>,
    },
}

/// A value written into a predicate.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
}

/// How two values are compared. Values of types that do not compare are not equal and in no
/// order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operation on two numbers; `Add` also joins to a text whatever stands on its right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    /// Always a double.
    Divide,
    /// Always a double.
    Remainder,
}

/// How many of the criteria must be met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderRule {
    /// Every one; with no criteria everything matches.
    All,
    /// At least one; with no criteria nothing matches.
    Any,
}

/// One named value that a message must carry.
#[derive(Clone, PartialEq, Debug)]
pub struct Criterion {
    pub name: Box<str>,
    /// `None` and [`Literal::Null`] ask only that the name is present.
    pub value: Option<Literal>,
}

/// How large a predicate may be. A node is a predicate, an operand, a text of a set or a
/// criterion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub nodes: usize,
    pub depth: usize,
}

impl Limits {
    /// What a predicate from a peer may measure, and what is read back from a log. It must never
    /// shrink: an older log may hold a predicate of that size.
    pub const STORED: Limits = Limits {
        nodes: 4096,
        depth: 128,
    };
}

impl Predicate {
    /// Both hold. Chains stay flat, so that a long chain is not deep.
    pub fn and(self, other: Predicate) -> Predicate {
        match self {
            Predicate::And(mut parts) => {
                parts.push(other);
                Predicate::And(parts)
            }
            first => Predicate::And(vec![first, other]),
        }
    }

    /// One of both holds, or both. Chains stay flat.
    pub fn or(self, other: Predicate) -> Predicate {
        match self {
            Predicate::Or(mut parts) => {
                parts.push(other);
                Predicate::Or(parts)
            }
            first => Predicate::Or(vec![first, other]),
        }
    }

    /// The opposite; unknown stays unknown.
    pub fn negated(self) -> Predicate {
        Predicate::Not(Box::new(self))
    }

    pub fn compare(left: Operand, comparison: Comparison, right: Operand) -> Predicate {
        Predicate::Compare {
            left,
            comparison,
            right,
        }
    }

    /// The operand is not below `low` and not above `high`.
    pub fn between(operand: Operand, low: Operand, high: Operand) -> Predicate {
        Predicate::compare(operand.clone(), Comparison::GreaterOrEqual, low)
            .and(Predicate::compare(operand, Comparison::LessOrEqual, high))
    }

    /// The property has another value, or none: what a subscriber asks that does not want its
    /// own messages.
    pub fn differs(name: &str, value: Literal) -> Predicate {
        let criteria = vec![Criterion {
            name: name.into(),
            value: Some(value),
        }];
        Predicate::Headers {
            rule: HeaderRule::All,
            criteria,
        }
        .negated()
    }

    /// Refuses a predicate that is too large to be evaluated or stored.
    pub fn check(&self, limits: Limits) -> Result<(), Refusal> {
        let mut budget = Budget::new(limits);
        budget.predicate(self, 1).map_err(|over| match over {
            Over::Nodes => Refusal::LimitReached {
                limit: "filter-nodes",
                max: limits.nodes as u64,
            },
            Over::Depth => Refusal::LimitReached {
                limit: "filter-depth",
                max: limits.depth as u64,
            },
        })
    }
}

impl Operand {
    pub fn property(name: &str) -> Operand {
        Operand::Property(name.into())
    }

    pub fn text(text: &str) -> Operand {
        Operand::Literal(Literal::Text(text.into()))
    }

    pub fn arithmetic(left: Operand, operator: Arithmetic, right: Operand) -> Operand {
        Operand::Arithmetic {
            left: Box::new(left),
            operator,
            right: Box::new(right),
        }
    }
}

impl Literal {
    pub fn value(&self) -> Value<'_> {
        match self {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(value) => Value::Int(i64::from(*value)),
            Literal::Long(value) => Value::Long(*value),
            Literal::Double(value) => Value::Double(*value),
            Literal::Text(value) => Value::Text(value),
            Literal::Bytes(value) => Value::Bytes(value),
        }
    }
}

/// Which limit a predicate is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Over {
    Nodes,
    Depth,
}

/// What is left of the limits while a tree is walked. The walk stops at the depth limit, so that
/// a hostile tree cannot exhaust the stack of its own check.
struct Budget {
    nodes: usize,
    depth: usize,
}

impl Budget {
    fn new(limits: Limits) -> Budget {
        Budget {
            nodes: limits.nodes,
            depth: limits.depth,
        }
    }

    fn spend(&mut self, nodes: usize, depth: usize) -> Result<(), Over> {
        if depth > self.depth {
            return Err(Over::Depth);
        }
        self.nodes = self.nodes.checked_sub(nodes).ok_or(Over::Nodes)?;
        Ok(())
    }

    fn predicate(&mut self, predicate: &Predicate, depth: usize) -> Result<(), Over> {
        self.spend(1, depth)?;
        match predicate {
            Predicate::Constant(_) => Ok(()),
            Predicate::Not(inner) => self.predicate(inner, depth + 1),
            Predicate::And(parts) | Predicate::Or(parts) => parts
                .iter()
                .try_for_each(|part| self.predicate(part, depth + 1)),
            Predicate::Compare { left, right, .. } => {
                self.operand(left, depth + 1)?;
                self.operand(right, depth + 1)
            }
            Predicate::Holds(operand)
            | Predicate::IsUnknown(operand)
            | Predicate::Like { operand, .. } => self.operand(operand, depth + 1),
            Predicate::In { operand, texts } => {
                self.operand(operand, depth + 1)?;
                self.spend(texts.len(), depth)
            }
            Predicate::Headers { criteria, .. } => self.spend(criteria.len(), depth),
        }
    }

    fn operand(&mut self, operand: &Operand, depth: usize) -> Result<(), Over> {
        self.spend(1, depth)?;
        match operand {
            Operand::Literal(_) | Operand::Property(_) => Ok(()),
            Operand::Truth(predicate) => self.predicate(predicate, depth + 1),
            Operand::Negate(inner) => self.operand(inner, depth + 1),
            Operand::Arithmetic { left, right, .. } => {
                self.operand(left, depth + 1)?;
                self.operand(right, depth + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_kept() {
        let limits = Limits { nodes: 8, depth: 4 };
        let leaf = || Predicate::Constant(Some(true));
        let refused = |limit| Err(Refusal::LimitReached { limit, max: 8 });
        assert_eq!(
            Predicate::And((0..7).map(|_| leaf()).collect()).check(limits),
            Ok(())
        );
        let wide = Predicate::And((0..8).map(|_| leaf()).collect());
        assert_eq!(wide.check(limits), refused("filter-nodes"));
        let set = Predicate::In {
            operand: Operand::property("a"),
            texts: (0..7).map(|_| "x".into()).collect(),
        };
        assert_eq!(set.check(limits), refused("filter-nodes"));
        assert_eq!(leaf().negated().negated().negated().check(limits), Ok(()));
        let deep = leaf().negated().negated().negated().negated();
        assert_eq!(
            deep.check(limits),
            Err(Refusal::LimitReached {
                limit: "filter-depth",
                max: 4
            })
        );
    }

    #[test]
    fn chains_stay_flat() {
        let chain = (0..1000)
            .map(|_| Predicate::Constant(None))
            .reduce(Predicate::and)
            .expect("a thousand parts");
        assert_eq!(
            chain.check(Limits {
                nodes: 1001,
                depth: 2
            }),
            Ok(())
        );
    }
}
