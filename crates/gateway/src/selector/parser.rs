//! The grammar, one function for each of its rules.

use broker::filter::{Arithmetic, Comparison, Limits, Literal, Operand, Predicate};

use super::Unparsable;
use super::lexer::{Located, Token, Word};

/// Rules inside rules; each round of parentheses or signs is one.
const NESTING_MAX: usize = Limits::STORED.depth / 2;

/// What a rule has found: something true or false, or something with a value.
enum Expression {
    Truth(Predicate),
    Value(Operand),
}

pub(super) fn parse(tokens: &[Located]) -> Result<Predicate, Unparsable> {
    let mut parser = Parser {
        tokens,
        next: 0,
        nesting: 0,
    };
    let found = parser.or()?;
    if parser.next < tokens.len() {
        return Err(parser.error("unexpected words behind the selector"));
    }
    parser.truth(found)
}

struct Parser<'a> {
    tokens: &'a [Located],
    next: usize,
    nesting: usize,
}

impl Parser<'_> {
    fn error(&self, reason: &'static str) -> Unparsable {
        let last = self.tokens.last().map_or(0, |(at, _)| *at);
        let at = self.tokens.get(self.next).map_or(last, |(at, _)| *at);
        Unparsable { at, reason }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn take_word(&mut self, word: Word) -> bool {
        self.take(&Token::Word(word))
    }

    fn expect(&mut self, wanted: &Token, reason: &'static str) -> Result<(), Unparsable> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.error(reason))
        }
    }

    fn text(&mut self) -> Result<Box<str>, Unparsable> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => Err(self.error("a text in quotes is expected")),
        }
    }

    /// A lone identifier is true if it holds a boolean true.
    fn truth(&self, expression: Expression) -> Result<Predicate, Unparsable> {
        match expression {
            Expression::Truth(predicate) => Ok(predicate),
            Expression::Value(operand @ Operand::Property(_)) => Ok(Predicate::Holds(operand)),
            Expression::Value(Operand::Literal(Literal::Bool(truth))) => {
                Ok(Predicate::Constant(Some(truth)))
            }
            Expression::Value(Operand::Literal(Literal::Null)) => Ok(Predicate::Constant(None)),
            Expression::Value(_) => Err(self.error("something true or false is expected")),
        }
    }

    fn or(&mut self) -> Result<Expression, Unparsable> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.error("selector is nested too deep"));
        }
        let mut left = self.and()?;
        while self.take_word(Word::Or) {
            let right = self.and()?;
            left = Expression::Truth(self.truth(left)?.or(self.truth(right)?));
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, Unparsable> {
        let mut left = self.equality()?;
        while self.take_word(Word::And) {
            let right = self.equality()?;
            left = Expression::Truth(self.truth(left)?.and(self.truth(right)?));
        }
        Ok(left)
    }

    fn equality(&mut self) -> Result<Expression, Unparsable> {
        let mut left = self.comparison()?;
        loop {
            let comparison = match self.peek() {
                Some(Token::Equal) => Comparison::Equal,
                Some(Token::NotEqual) => Comparison::NotEqual,
                Some(Token::Word(Word::Is)) => {
                    self.next += 1;
                    let negated = self.take_word(Word::Not);
                    self.expect(&Token::Word(Word::Null), "NULL is expected")?;
                    let unknown = Predicate::IsUnknown(operand(left));
                    left = Expression::Truth(if negated { unknown.negated() } else { unknown });
                    continue;
                }
                _ => return Ok(left),
            };
            self.next += 1;
            let right = operand(self.comparison()?);
            let before = operand(left);
            if is_null(&before) || is_null(&right) {
                return Err(self.error("nothing equals NULL; IS NULL is meant"));
            }
            if let (Operand::Literal(a), Operand::Literal(b)) = (&before, &right)
                && matches!(a, Literal::Bool(_)) != matches!(b, Literal::Bool(_))
            {
                return Err(self.error("a truth value never equals another literal"));
            }
            left = Expression::Truth(Predicate::compare(before, comparison, right));
        }
    }

    fn comparison(&mut self) -> Result<Expression, Unparsable> {
        let mut left = self.sum()?;
        loop {
            let comparison = match self.peek() {
                Some(Token::Less) => Some(Comparison::Less),
                Some(Token::LessOrEqual) => Some(Comparison::LessOrEqual),
                Some(Token::Greater) => Some(Comparison::Greater),
                Some(Token::GreaterOrEqual) => Some(Comparison::GreaterOrEqual),
                _ => None,
            };
            if let Some(comparison) = comparison {
                self.next += 1;
                let before = self.ordered(left)?;
                let right = self.sum()?;
                let right = self.ordered(right)?;
                left = Expression::Truth(Predicate::compare(before, comparison, right));
                continue;
            }
            let negated = self.peek() == Some(&Token::Word(Word::Not));
            let word = self
                .tokens
                .get(self.next + usize::from(negated))
                .map(|(_, token)| token);
            let Some(Token::Word(word @ (Word::Like | Word::Between | Word::In))) = word else {
                return Ok(left);
            };
            let word = *word;
            self.next += 1 + usize::from(negated);
            let found = match word {
                Word::Like => self.like(operand(left))?,
                Word::Between => self.between(left)?,
                _ => self.is_in(operand(left))?,
            };
            left = Expression::Truth(if negated { found.negated() } else { found });
        }
    }

    fn like(&mut self, operand: Operand) -> Result<Predicate, Unparsable> {
        let pattern = self.text()?;
        let mut escape = None;
        if self.take_word(Word::Escape) {
            let text = self.text()?;
            let mut letters = text.chars();
            escape = letters.next();
            if escape.is_none() || letters.next().is_some() {
                return Err(self.error("ESCAPE takes one character"));
            }
        }
        Ok(Predicate::Like {
            operand,
            pattern,
            escape,
        })
    }

    fn between(&mut self, left: Expression) -> Result<Predicate, Unparsable> {
        let operand = self.ordered(left)?;
        let low = self.sum()?;
        let low = self.ordered(low)?;
        self.expect(&Token::Word(Word::And), "AND is expected")?;
        let high = self.sum()?;
        let high = self.ordered(high)?;
        Ok(Predicate::between(operand, low, high))
    }

    fn is_in(&mut self, operand: Operand) -> Result<Predicate, Unparsable> {
        if !matches!(operand, Operand::Property(_)) {
            return Err(self.error("IN is asked of an identifier"));
        }
        self.expect(&Token::Open, "( is expected")?;
        let mut texts = vec![self.text()?];
        while self.take(&Token::Comma) {
            texts.push(self.text()?);
        }
        self.expect(&Token::Close, ") is expected")?;
        Ok(Predicate::In { operand, texts })
    }

    /// What has an order as far as can be seen: neither a text nor a truth value.
    fn ordered(&self, expression: Expression) -> Result<Operand, Unparsable> {
        match expression {
            Expression::Truth(_)
            | Expression::Value(Operand::Literal(
                Literal::Text(_) | Literal::Bool(_) | Literal::Null,
            )) => Err(self.error("only numbers and identifiers have an order")),
            Expression::Value(operand) => Ok(operand),
        }
    }

    fn sum(&mut self) -> Result<Expression, Unparsable> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Some(Token::Plus) => Arithmetic::Add,
                Some(Token::Minus) => Arithmetic::Subtract,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = operand(self.product()?);
            left = Expression::Value(Operand::arithmetic(operand(left), operator, right));
        }
    }

    fn product(&mut self) -> Result<Expression, Unparsable> {
        let mut left = self.unary()?;
        loop {
            let operator = match self.peek() {
                Some(Token::Times) => Arithmetic::Multiply,
                Some(Token::Over) => Arithmetic::Divide,
                Some(Token::Percent) => Arithmetic::Remainder,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = operand(self.unary()?);
            left = Expression::Value(Operand::arithmetic(operand(left), operator, right));
        }
    }

    fn unary(&mut self) -> Result<Expression, Unparsable> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.error("selector is nested too deep"));
        }
        let found = match self.peek() {
            Some(Token::Plus) => {
                self.next += 1;
                self.unary()?
            }
            Some(Token::Minus) => {
                self.next += 1;
                // The sign belongs to the number: the smallest long has no positive twin.
                if let Some(Token::Whole(magnitude)) = self.peek() {
                    let magnitude = *magnitude;
                    self.next += 1;
                    let negative = i128::try_from(magnitude).map(|m| whole_literal(-m));
                    let literal = negative.unwrap_or_else(|_| f64_of(magnitude, -1.0));
                    Expression::Value(Operand::Literal(literal))
                } else {
                    Expression::Value(Operand::Negate(Box::new(operand(self.unary()?))))
                }
            }
            Some(Token::Word(Word::Not)) => {
                self.next += 1;
                let inner = self.unary()?;
                Expression::Truth(self.truth(inner)?.negated())
            }
            _ => self.primary()?,
        };
        self.nesting -= 1;
        Ok(found)
    }

    fn primary(&mut self) -> Result<Expression, Unparsable> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.error("the selector ends too early"));
        };
        self.next += 1;
        let literal = match token {
            Token::Open => {
                let inner = self.or()?;
                self.expect(&Token::Close, ") is expected")?;
                return Ok(inner);
            }
            Token::Identifier(name) => {
                if self.peek() == Some(&Token::Open) {
                    return Err(self.error("functions are not supported"));
                }
                return Ok(Expression::Value(Operand::Property(name)));
            }
            Token::Text(text) => Literal::Text(text),
            Token::Whole(magnitude) => {
                i128::try_from(magnitude).map_or(f64_of(magnitude, 1.0), whole_literal)
            }
            Token::Fraction(value) => Literal::Double(value),
            Token::Word(Word::True) => Literal::Bool(true),
            Token::Word(Word::False) => Literal::Bool(false),
            Token::Word(Word::Null) => Literal::Null,
            Token::Word(Word::Xpath | Word::Xquery) => {
                return Err(self.error("XPATH and XQUERY are not supported"));
            }
            _ => {
                self.next -= 1;
                return Err(self.error("a value is expected"));
            }
        };
        Ok(Expression::Value(Operand::Literal(literal)))
    }
}

fn f64_of(magnitude: u128, sign: f64) -> Literal {
    Literal::Double(magnitude as f64 * sign)
}

/// The narrowest type that holds the number.
fn whole_literal(value: i128) -> Literal {
    if let Ok(int) = i32::try_from(value) {
        Literal::Int(int)
    } else if let Ok(long) = i64::try_from(value) {
        Literal::Long(long)
    } else {
        Literal::Double(value as f64)
    }
}

fn operand(expression: Expression) -> Operand {
    match expression {
        Expression::Truth(predicate) => Operand::Truth(Box::new(predicate)),
        Expression::Value(operand) => operand,
    }
}

fn is_null(operand: &Operand) -> bool {
    matches!(operand, Operand::Literal(Literal::Null))
}
