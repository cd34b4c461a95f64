//! A parsed value, and the resolution of references in it.

use std::borrow::Cow;

use super::JsonError;
use super::lexer::Lexer;

/// What a body may contain. The bytes themselves are limited by the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub depth_max: usize,
    /// Keys, values and copies made for references, together.
    pub values_max: usize,
}

impl Default for Limits {
    /// Enough for a registration of ten thousand topics; at most some 60 MB while parsing.
    fn default() -> Self {
        Self {
            depth_max: 32,
            values_max: 500_000,
        }
    }
}

/// One JSON value. Texts borrow from the input unless they contained an escape.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// A number as written, or any other bare word.
    Bare(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    /// Keys are texts, bare words, or objects; order and duplicates are kept.
    Map(Vec<(Value<'a>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Parses a whole text; empty input is null, as an absent body is.
    pub fn parse(bytes: &'a [u8], limits: Limits) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
        let mut parser = Parser {
            lexer: Lexer::new(text),
            limits,
            values: 0,
            references: false,
        };
        if parser.lexer.peek()?.is_none() {
            return Ok(Self::Null);
        }
        let mut value = parser.value(0)?;
        parser.lexer.end()?;
        if parser.references {
            let root = value.clone();
            parser.resolve(&mut value, &root)?;
        }
        Ok(value)
    }

    /// The text of a string or bare word.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bare(word) => Some(word),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The last member under a textual key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        match self {
            Self::Map(members) => members
                .iter()
                .rev()
                .find(|(name, _)| name.as_text() == Some(key))
                .map(|(_, value)| value),
            Self::Null | Self::Bool(_) | Self::Bare(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    fn at(&self, index: usize) -> Option<&Value<'a>> {
        match self {
            Self::List(items) => items.get(index),
            Self::Null | Self::Bool(_) | Self::Bare(_) | Self::Text(_) | Self::Map(_) => None,
        }
    }

    /// The path of a reference object.
    fn reference(&self) -> Option<&str> {
        match self {
            Self::Map(members) => match members.as_slice() {
                [(Self::Text(key), Self::Text(path))] if key == "$ref" => Some(path),
                _ => None,
            },
            Self::Null | Self::Bool(_) | Self::Bare(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// Keys and values in this tree, itself included, and one more per 64 bytes of text, so that
    /// references cannot multiply a long text; stops counting beyond `most`.
    fn count(&self, most: usize) -> usize {
        let mut count = 1;
        match self {
            Self::List(items) => {
                for item in items {
                    if count > most {
                        break;
                    }
                    count += item.count(most.saturating_sub(count));
                }
            }
            Self::Map(members) => {
                for (key, value) in members {
                    if count > most {
                        break;
                    }
                    count += key.count(most.saturating_sub(count));
                    count += value.count(most.saturating_sub(count));
                }
            }
            Self::Text(text) => count += text.len() / 64,
            Self::Bare(word) => count += word.len() / 64,
            Self::Null | Self::Bool(_) => {}
        }
        count
    }

    /// Follows `$.name[0].name`; names may be escaped with backslashes.
    fn follow(&self, path: &str) -> Option<&Value<'a>> {
        let mut rest = path.strip_prefix('$')?;
        let mut here = self;
        while !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix('[') {
                let (inside, after) = tail.split_once(']')?;
                here = match inside.parse() {
                    Ok(index) => here.at(index)?,
                    Err(_) => here.get(inside.trim_matches(['"', '\'']))?,
                };
                rest = after;
            } else {
                let (name, after) = path_name(rest.strip_prefix('.')?);
                here = here.get(&name)?;
                rest = after;
            }
        }
        Some(here)
    }
}

/// The first name of a path, unescaped, and what follows it.
fn path_name(path: &str) -> (String, &str) {
    let mut name = String::new();
    let mut letters = path.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, path.get(at..).unwrap_or_default()),
            _ => name.push(letter),
        }
    }
    (name, "")
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    limits: Limits,
    values: usize,
    references: bool,
}

impl<'a> Parser<'a> {
    fn charge(&mut self, values: usize) -> Result<(), JsonError> {
        self.values = self.values.saturating_add(values);
        if self.values > self.limits.values_max {
            return Err(JsonError::TooManyValues {
                values_max: self.limits.values_max,
            });
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.charge(1)?;
        match self.lexer.peek()? {
            Some(b'{') => self.map(self.deeper(depth)?),
            Some(b'[') => self.list(self.deeper(depth)?),
            Some(quote @ (b'"' | b'\'')) => self.lexer.string(quote).map(Value::Text),
            Some(_) => self.word(),
            None => Err(JsonError::Cut),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, JsonError> {
        let depth_max = self.limits.depth_max;
        if depth >= depth_max {
            return Err(JsonError::TooDeep { depth_max });
        }
        Ok(depth + 1)
    }

    /// A value that is not quoted: a number or one of the three words. fastjson also writes
    /// `undefined` and `NaN` in old versions; both mean null.
    fn word(&mut self) -> Result<Value<'a>, JsonError> {
        let at = self.lexer.at();
        let word = self.lexer.bare()?;
        Ok(match word {
            "null" | "undefined" | "NaN" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number
                if number
                    .starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) =>
            {
                Value::Bare(number)
            }
            other => {
                let byte = other.bytes().next().unwrap_or_default();
                return Err(JsonError::Unexpected { byte, at });
            }
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.lexer.bump();
        let mut items = Vec::new();
        let mut separated = true;
        loop {
            match self.lexer.peek()? {
                Some(b']') => {
                    self.lexer.bump();
                    return Ok(Value::List(items));
                }
                Some(b',') => {
                    self.lexer.bump();
                    separated = true;
                }
                Some(_) if separated => {
                    items.push(self.value(depth)?);
                    separated = false;
                }
                _ => return Err(self.lexer.unexpected()),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.lexer.bump();
        let mut members = Vec::new();
        let mut separated = true;
        loop {
            match self.lexer.peek()? {
                Some(b'}') => {
                    self.lexer.bump();
                    let map = Value::Map(members);
                    self.references |= map.reference().is_some();
                    return Ok(map);
                }
                Some(b',') => {
                    self.lexer.bump();
                    separated = true;
                }
                Some(_) if separated => {
                    let key = self.key(depth)?;
                    self.lexer.expect(b':')?;
                    let value = self.value(depth)?;
                    members.push((key, value));
                    separated = false;
                }
                _ => return Err(self.lexer.unexpected()),
            }
        }
    }

    fn key(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        match self.lexer.peek()? {
            Some(b'{' | b'[' | b'"' | b'\'') => self.value(depth),
            _ => {
                self.charge(1)?;
                self.lexer.bare().map(Value::Bare)
            }
        }
    }

    /// Replaces references by copies of what they name. A copy's own references are left as they
    /// are, which reads as an object without known members; fastjson never nests them.
    fn resolve(&mut self, value: &mut Value<'a>, root: &Value<'a>) -> Result<(), JsonError> {
        if let Some(path) = value.reference() {
            let target = root.follow(path).unwrap_or(&Value::Null);
            self.charge(target.count(self.limits.values_max))?;
            *value = target.clone();
            return Ok(());
        }
        match value {
            Value::List(items) => {
                for item in items {
                    self.resolve(item, root)?;
                }
            }
            Value::Map(members) => {
                for (key, member) in members {
                    self.resolve(key, root)?;
                    self.resolve(member, root)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Bare(_) | Value::Text(_) => {}
        }
        Ok(())
    }
}
