//! A selector cut into tokens.

use super::Unparsable;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Word(Word),
    Identifier(Box<str>),
    Text(Box<str>),
    /// Magnitude of a whole number; a sign is an operator.
    Whole(u128),
    Fraction(f64),
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Over,
    Percent,
    Open,
    Close,
    Comma,
}

/// A keyword; never an identifier, however it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    And,
    Or,
    Not,
    Is,
    In,
    Between,
    Like,
    Escape,
    Null,
    True,
    False,
    Xpath,
    Xquery,
}

const WORDS: [(&str, Word); 13] = [
    ("AND", Word::And),
    ("OR", Word::Or),
    ("NOT", Word::Not),
    ("IS", Word::Is),
    ("IN", Word::In),
    ("BETWEEN", Word::Between),
    ("LIKE", Word::Like),
    ("ESCAPE", Word::Escape),
    ("NULL", Word::Null),
    ("TRUE", Word::True),
    ("FALSE", Word::False),
    ("XPATH", Word::Xpath),
    ("XQUERY", Word::Xquery),
];

/// A token and where it begins.
pub(super) type Located = (usize, Token);

pub(super) fn tokens(text: &str) -> Result<Vec<Located>, Unparsable> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) -> Result<(), Unparsable> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let blanks = rest.len() - trimmed.len();
            let skip = if trimmed.starts_with("--") {
                blanks + trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                let reason = "comment has no end";
                let end = trimmed.find("*/").ok_or(Unparsable {
                    at: self.at,
                    reason,
                })?;
                blanks + end + 2
            } else {
                self.at += blanks;
                return Ok(());
            };
            self.at += skip;
        }
    }

    fn next(&mut self) -> Result<Option<Located>, Unparsable> {
        self.skip_blanks()?;
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let (length, token) = match first {
            '\'' => text(rest).ok_or(Unparsable {
                at: start,
                reason: "text has no end",
            })?,
            '0'..='9' => number(rest).ok_or(Unparsable {
                at: start,
                reason: "bad number",
            })?,
            '.' => number(rest).ok_or(Unparsable {
                at: start,
                reason: "bad number",
            })?,
            'a'..='z' | 'A'..='Z' | '_' | '$' => word(rest),
            _ => {
                let reason = "unexpected character";
                symbol(rest).ok_or(Unparsable { at: start, reason })?
            }
        };
        self.at += length;
        Ok(Some((start, token)))
    }
}

fn symbol(rest: &str) -> Option<(usize, Token)> {
    let table = [
        ("<>", Token::NotEqual),
        ("<=", Token::LessOrEqual),
        (">=", Token::GreaterOrEqual),
        ("<", Token::Less),
        (">", Token::Greater),
        ("=", Token::Equal),
        ("+", Token::Plus),
        ("-", Token::Minus),
        ("*", Token::Times),
        ("/", Token::Over),
        ("%", Token::Percent),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ];
    let (sign, token) = table.into_iter().find(|(sign, _)| rest.starts_with(sign))?;
    Some((sign.len(), token))
}

/// A quote is written twice inside a text.
fn text(rest: &str) -> Option<(usize, Token)> {
    let mut value = String::new();
    let mut at = 1;
    loop {
        let end = at + rest[at..].find('\'')?;
        value.push_str(&rest[at..end]);
        if !rest[end + 1..].starts_with('\'') {
            return Some((end + 1, Token::Text(value.into())));
        }
        value.push('\'');
        at = end + 2;
    }
}

fn word(rest: &str) -> (usize, Token) {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
    let name = &rest[..length];
    let known = WORDS
        .iter()
        .find(|(spelling, _)| spelling.eq_ignore_ascii_case(name));
    let token = match known {
        Some((_, word)) => Token::Word(*word),
        None => Token::Identifier(name.into()),
    };
    (length, token)
}

/// `12`, `12L`, `0x1F`, `017`, `5.`, `.5`, `5.1E-3`, `5E10`.
fn number(rest: &str) -> Option<(usize, Token)> {
    let digits = |text: &str, radix| {
        text.find(|c: char| !c.is_digit(radix))
            .unwrap_or(text.len())
    };
    let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
    if let Some(hex) = hex {
        let length = digits(hex, 16);
        let value = u128::from_str_radix(&hex[..length], 16).ok()?;
        return Some((2 + length, Token::Whole(value)));
    }
    let whole = digits(rest, 10);
    let mut length = whole;
    let mut is_fraction = false;
    if rest[length..].starts_with('.') {
        let behind = digits(&rest[length + 1..], 10);
        if whole + behind == 0 {
            return None;
        }
        length += 1 + behind;
        is_fraction = true;
    }
    if rest[length..].starts_with(['e', 'E']) {
        let after = &rest[length + 1..];
        let sign = usize::from(after.starts_with(['+', '-']));
        let exponent = digits(&after[sign..], 10);
        if exponent > 0 {
            length += 1 + sign + exponent;
            is_fraction = true;
        }
    }
    if is_fraction {
        return Some((length, Token::Fraction(rest[..length].parse().ok()?)));
    }
    let is_octal = whole > 1 && rest.starts_with('0');
    let radix = if is_octal { 8 } else { 10 };
    let value = u128::from_str_radix(&rest[..whole], radix).ok()?;
    let suffix = usize::from(rest[whole..].starts_with(['l', 'L']));
    Some((whole + suffix, Token::Whole(value)))
}
