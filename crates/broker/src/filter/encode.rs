//! Predicates as bytes: `version 1 | node`, each node a code and its parts.

use super::{
    Arithmetic, Budget, Comparison, Criterion, HeaderRule, Limits, Literal, Operand, Over,
    Predicate,
};
use crate::bytes::{Reader, Undecodable, Writer};

const VERSION: u8 = 1;

impl Predicate {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        put_predicate(out, self);
    }

    /// Reads exactly one predicate.
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Predicate, Undecodable> {
        let mut decoder = Decoder {
            reader: Reader::new(bytes),
            budget: Budget::new(limits),
        };
        if decoder.reader.u8()? != VERSION {
            return Err(Undecodable("filter version"));
        }
        let predicate = decoder.predicate(1)?;
        if decoder.reader.is_empty() {
            Ok(predicate)
        } else {
            Err(Undecodable("filter end"))
        }
    }
}

fn put_predicate(out: &mut Vec<u8>, predicate: &Predicate) {
    match predicate {
        Predicate::Constant(truth) => {
            out.put_u8(1);
            out.put_u8(truth.map_or(2, u8::from));
        }
        Predicate::Not(inner) => {
            out.put_u8(2);
            put_predicate(out, inner);
        }
        Predicate::And(parts) => put_parts(out, 3, parts),
        Predicate::Or(parts) => put_parts(out, 4, parts),
        Predicate::Compare {
            left,
            comparison,
            right,
        } => {
            out.put_u8(5);
            out.put_u8(match comparison {
                Comparison::Equal => 1,
                Comparison::NotEqual => 2,
                Comparison::Less => 3,
                Comparison::LessOrEqual => 4,
                Comparison::Greater => 5,
                Comparison::GreaterOrEqual => 6,
            });
            put_operand(out, left);
            put_operand(out, right);
        }
        Predicate::Holds(operand) => {
            out.put_u8(6);
            put_operand(out, operand);
        }
        Predicate::Like {
            operand,
            pattern,
            escape,
        } => {
            out.put_u8(7);
            put_operand(out, operand);
            out.put_str(pattern);
            out.put_option(*escape, |out, escape| out.put_number(u64::from(escape)));
        }
        Predicate::In { operand, texts } => {
            out.put_u8(8);
            put_operand(out, operand);
            out.put_number(texts.len() as u64);
            texts.iter().for_each(|text| out.put_str(text));
        }
        Predicate::IsUnknown(operand) => {
            out.put_u8(9);
            put_operand(out, operand);
        }
        Predicate::Headers { rule, criteria } => {
            out.put_u8(10);
            out.put_u8(match rule {
                HeaderRule::All => 1,
                HeaderRule::Any => 2,
            });
            out.put_number(criteria.len() as u64);
            for criterion in criteria {
                out.put_str(&criterion.name);
                out.put_option(criterion.value.as_ref(), put_literal);
            }
        }
    }
}

fn put_parts(out: &mut Vec<u8>, code: u8, parts: &[Predicate]) {
    out.put_u8(code);
    out.put_number(parts.len() as u64);
    parts.iter().for_each(|part| put_predicate(out, part));
}

fn put_operand(out: &mut Vec<u8>, operand: &Operand) {
    match operand {
        Operand::Literal(literal) => {
            out.put_u8(1);
            put_literal(out, literal);
        }
        Operand::Property(name) => {
            out.put_u8(2);
            out.put_str(name);
        }
        Operand::Truth(predicate) => {
            out.put_u8(3);
            put_predicate(out, predicate);
        }
        Operand::Negate(inner) => {
            out.put_u8(4);
            put_operand(out, inner);
        }
        Operand::Arithmetic {
            left,
            operator,
            right,
        } => {
            out.put_u8(5);
            out.put_u8(match operator {
                Arithmetic::Add => 1,
                Arithmetic::Subtract => 2,
                Arithmetic::Multiply => 3,
                Arithmetic::Divide => 4,
                Arithmetic::Remainder => 5,
            });
            put_operand(out, left);
            put_operand(out, right);
        }
    }
}

fn put_literal(out: &mut Vec<u8>, literal: &Literal) {
    match literal {
        Literal::Null => out.put_u8(1),
        Literal::Bool(value) => {
            out.put_u8(2);
            out.put_flag(*value);
        }
        Literal::Int(value) => {
            out.put_u8(3);
            out.put_signed(i64::from(*value));
        }
        Literal::Long(value) => {
            out.put_u8(4);
            out.put_signed(*value);
        }
        Literal::Double(value) => {
            out.put_u8(5);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Literal::Text(value) => {
            out.put_u8(6);
            out.put_str(value);
        }
        Literal::Bytes(value) => {
            out.put_u8(7);
            out.put_bytes(value);
        }
    }
}

impl From<Over> for Undecodable {
    fn from(over: Over) -> Undecodable {
        match over {
            Over::Nodes => Undecodable("filter nodes"),
            Over::Depth => Undecodable("filter depth"),
        }
    }
}

struct Decoder<'a> {
    reader: Reader<'a>,
    budget: Budget,
}

impl Decoder<'_> {
    fn predicate(&mut self, depth: usize) -> Result<Predicate, Undecodable> {
        self.budget.spend(1, depth)?;
        match self.reader.u8()? {
            1 => Ok(Predicate::Constant(match self.reader.u8()? {
                0 => Some(false),
                1 => Some(true),
                2 => None,
                _ => return Err(Undecodable("filter constant")),
            })),
            2 => Ok(Predicate::Not(Box::new(self.predicate(depth + 1)?))),
            3 => Ok(Predicate::And(self.parts(depth)?)),
            4 => Ok(Predicate::Or(self.parts(depth)?)),
            5 => {
                let comparison = match self.reader.u8()? {
                    1 => Comparison::Equal,
                    2 => Comparison::NotEqual,
                    3 => Comparison::Less,
                    4 => Comparison::LessOrEqual,
                    5 => Comparison::Greater,
                    6 => Comparison::GreaterOrEqual,
                    _ => return Err(Undecodable("filter comparison")),
                };
                let left = self.operand(depth + 1)?;
                let right = self.operand(depth + 1)?;
                Ok(Predicate::Compare {
                    left,
                    comparison,
                    right,
                })
            }
            6 => Ok(Predicate::Holds(self.operand(depth + 1)?)),
            7 => {
                let operand = self.operand(depth + 1)?;
                let pattern = self.reader.str()?.into();
                let escape = self.reader.option(|reader| {
                    char::from_u32(reader.u32()?).ok_or(Undecodable("filter escape"))
                })?;
                Ok(Predicate::Like {
                    operand,
                    pattern,
                    escape,
                })
            }
            8 => {
                let operand = self.operand(depth + 1)?;
                let count = self.reader.count()?;
                self.budget.spend(count, depth)?;
                let texts = (0..count)
                    .map(|_| self.reader.str().map(Box::from))
                    .collect::<Result<_, _>>()?;
                Ok(Predicate::In { operand, texts })
            }
            9 => Ok(Predicate::IsUnknown(self.operand(depth + 1)?)),
            10 => {
                let rule = match self.reader.u8()? {
                    1 => HeaderRule::All,
                    2 => HeaderRule::Any,
                    _ => return Err(Undecodable("filter header rule")),
                };
                let count = self.reader.count()?;
                self.budget.spend(count, depth)?;
                let criteria = (0..count)
                    .map(|_| self.criterion())
                    .collect::<Result<_, _>>()?;
                Ok(Predicate::Headers { rule, criteria })
            }
            _ => Err(Undecodable("filter predicate")),
        }
    }

    fn parts(&mut self, depth: usize) -> Result<Vec<Predicate>, Undecodable> {
        let count = self.reader.count()?;
        (0..count).map(|_| self.predicate(depth + 1)).collect()
    }

    fn criterion(&mut self) -> Result<Criterion, Undecodable> {
        let name = self.reader.str()?.into();
        let value = self.reader.option(literal)?;
        Ok(Criterion { name, value })
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, Undecodable> {
        self.budget.spend(1, depth)?;
        match self.reader.u8()? {
            1 => Ok(Operand::Literal(literal(&mut self.reader)?)),
            2 => Ok(Operand::Property(self.reader.str()?.into())),
            3 => Ok(Operand::Truth(Box::new(self.predicate(depth + 1)?))),
            4 => Ok(Operand::Negate(Box::new(self.operand(depth + 1)?))),
            5 => {
                let operator = match self.reader.u8()? {
                    1 => Arithmetic::Add,
                    2 => Arithmetic::Subtract,
                    3 => Arithmetic::Multiply,
                    4 => Arithmetic::Divide,
                    5 => Arithmetic::Remainder,
                    _ => return Err(Undecodable("filter operator")),
                };
                let left = Box::new(self.operand(depth + 1)?);
                let right = Box::new(self.operand(depth + 1)?);
                Ok(Operand::Arithmetic {
                    left,
                    operator,
                    right,
                })
            }
            _ => Err(Undecodable("filter operand")),
        }
    }
}

fn literal(reader: &mut Reader<'_>) -> Result<Literal, Undecodable> {
    Ok(match reader.u8()? {
        1 => Literal::Null,
        2 => Literal::Bool(reader.flag()?),
        3 => {
            let value = reader.signed()?;
            Literal::Int(i32::try_from(value).map_err(|_| Undecodable("filter int"))?)
        }
        4 => Literal::Long(reader.signed()?),
        5 => {
            let bytes = reader
                .take(8)?
                .try_into()
                .map_err(|_| Undecodable("filter double"))?;
            Literal::Double(f64::from_bits(u64::from_le_bytes(bytes)))
        }
        6 => Literal::Text(reader.str()?.into()),
        7 => Literal::Bytes(reader.bytes()?.into()),
        _ => return Err(Undecodable("filter literal")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of everything.
    fn whole() -> Predicate {
        let p = Operand::property;
        let literal = Operand::Literal;
        Predicate::Or(vec![
            Predicate::Constant(None).negated(),
            Predicate::compare(
                Operand::arithmetic(
                    Operand::Negate(Box::new(p("a"))),
                    Arithmetic::Remainder,
                    literal(Literal::Double(1.5)),
                ),
                Comparison::LessOrEqual,
                literal(Literal::Long(-3)),
            ),
            Predicate::Holds(Operand::Truth(Box::new(Predicate::And(vec![])))),
            Predicate::Like {
                operand: p("b"),
                pattern: "x!%".into(),
                escape: Some('!'),
            },
            Predicate::In {
                operand: p("c"),
                texts: vec!["r".into(), "".into()],
            },
            Predicate::IsUnknown(literal(Literal::Null)),
            Predicate::Headers {
                rule: HeaderRule::Any,
                criteria: vec![
                    Criterion {
                        name: "h".into(),
                        value: None,
                    },
                    Criterion {
                        name: "i".into(),
                        value: Some(Literal::Bool(true)),
                    },
                    Criterion {
                        name: "j".into(),
                        value: Some(Literal::Bytes([0, 255].into())),
                    },
                    Criterion {
                        name: "k".into(),
                        value: Some(Literal::Int(-1)),
                    },
                    Criterion {
                        name: "l".into(),
                        value: Some(Literal::Text("é".into())),
                    },
                ],
            },
        ])
    }

    const GOLDEN: &str = "0104070201020504050504020161010500000000000\
        0f83f0104050603030007020162037821250121080201630201720009010\
        10a02050168000169010201016a01070200ff016b010301016c010602c3a9";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_stay_the_same() {
        let mut bytes = Vec::new();
        whole().encode(&mut bytes);
        assert_eq!(hex(&bytes), GOLDEN);
        assert_eq!(Predicate::decode(&bytes, Limits::STORED), Ok(whole()));
    }

    #[test]
    fn a_cut_or_longer_predicate_is_undecodable() {
        let mut bytes = Vec::new();
        whole().encode(&mut bytes);
        for end in 0..bytes.len() {
            assert!(
                Predicate::decode(&bytes[..end], Limits::STORED).is_err(),
                "cut at {end}"
            );
        }
        bytes.push(0);
        assert_eq!(
            Predicate::decode(&bytes, Limits::STORED),
            Err(Undecodable("filter end"))
        );
    }

    #[test]
    fn hostile_bytes_meet_the_limits() {
        let mut deep = vec![VERSION];
        deep.extend(std::iter::repeat_n(2, 1_000_000));
        assert_eq!(
            Predicate::decode(&deep, Limits::STORED),
            Err(Undecodable("filter depth"))
        );
        let mut wide = vec![VERSION, 3];
        wide.put_number(5000);
        wide.extend(std::iter::repeat_n([1, 1], 5000).flatten());
        assert_eq!(
            Predicate::decode(&wide, Limits::STORED),
            Err(Undecodable("filter nodes"))
        );
    }
}
