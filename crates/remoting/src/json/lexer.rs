//! A cursor over JSON text that knows strings, bare words and how to skip a value.

use std::borrow::Cow;

use super::JsonError;

/// How deep a skipped value may nest; it is skipped without recursion, so this only names abuse.
const SKIPPED_DEPTH_MAX: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is neither space nor comment.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, JsonError> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x08) => self.at += 1,
                Some(b'/') => self.comment()?,
                other => return Ok(other),
            }
        }
    }

    fn comment(&mut self) -> Result<(), JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
            return Ok(());
        }
        if !rest.starts_with("/*") {
            return Err(JsonError::Unexpected {
                byte: b'/',
                at: self.at,
            });
        }
        let end = rest
            .get(2..)
            .and_then(|inner| inner.find("*/"))
            .ok_or(JsonError::Cut)?;
        self.at += end + 4;
        Ok(())
    }

    pub(crate) fn bump(&mut self) {
        self.at += 1;
    }

    pub(crate) fn unexpected(&self) -> JsonError {
        match self.byte() {
            Some(byte) => JsonError::Unexpected { byte, at: self.at },
            None => JsonError::Cut,
        }
    }

    pub(crate) fn expect(&mut self, wanted: u8) -> Result<(), JsonError> {
        if self.peek()? != Some(wanted) {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    /// Refuses anything but space after the value.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(JsonError::Trailing { at: self.at }),
        }
    }

    /// Inside an object: the next key and its colon, or the closing brace. Extra commas are passed
    /// over, as fastjson does.
    pub(crate) fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        while self.peek()? == Some(b',') {
            self.at += 1;
        }
        let key = match self.peek()? {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(quote @ (b'"' | b'\'')) => self.string(quote)?,
            Some(_) => Cow::Borrowed(self.bare()?),
            None => return Err(JsonError::Cut),
        };
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// A string, number or bare word as text; null is `None`.
    pub(crate) fn scalar(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        match self.peek()? {
            Some(quote @ (b'"' | b'\'')) => self.string(quote).map(Some),
            Some(b'{' | b'[') => Err(self.unexpected()),
            Some(_) => {
                let word = self.bare()?;
                Ok((word != "null").then_some(Cow::Borrowed(word)))
            }
            None => Err(JsonError::Cut),
        }
    }

    /// As [`Lexer::scalar`], but an object or list stands for its own text.
    pub(crate) fn scalar_or_raw(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        match self.peek()? {
            Some(b'{' | b'[') => self.skip_value().map(|raw| Some(Cow::Borrowed(raw))),
            _ => self.scalar(),
        }
    }

    /// A run of bytes up to the next mark of structure; never empty.
    pub(crate) fn bare(&mut self) -> Result<&'a str, JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let is_mark = |byte: u8| {
            matches!(
                byte,
                b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"' | b'\'' | b'/'
            ) || byte <= b' '
        };
        let length = rest.bytes().position(is_mark).unwrap_or(rest.len());
        match rest.get(..length) {
            Some(word) if !word.is_empty() => {
                self.at += length;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A quoted string; the lexer stands at its opening quote.
    pub(crate) fn string(&mut self, quote: u8) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let stop = rest
            .bytes()
            .position(|byte| byte == quote || byte == b'\\')
            .ok_or(JsonError::Cut)?;
        // A quote or backslash is a whole character, so the cut is on a boundary.
        let head = rest.get(..stop).unwrap_or_default();
        self.at = start + stop;
        if self.byte() == Some(quote) {
            self.at += 1;
            return Ok(Cow::Borrowed(head));
        }
        self.escaped(head, quote).map(Cow::Owned)
    }

    /// The rest of a string from its first backslash on.
    fn escaped(&mut self, head: &str, quote: u8) -> Result<String, JsonError> {
        let mut owned = String::with_capacity(head.len() + 16);
        owned.push_str(head);
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let stop = rest
                .bytes()
                .position(|byte| byte == quote || byte == b'\\')
                .ok_or(JsonError::Cut)?;
            owned.push_str(rest.get(..stop).unwrap_or_default());
            self.at += stop + 1;
            if rest.as_bytes().get(stop) == Some(&quote) {
                return Ok(owned);
            }
            let one = self.escape()?;
            owned.push(one);
        }
    }

    /// Checks a string without keeping it.
    fn skip_string(&mut self, quote: u8) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let stop = rest
                .iter()
                .position(|byte| *byte == quote || *byte == b'\\')
                .ok_or(JsonError::Cut)?;
            self.at += stop + 1;
            if rest.get(stop) == Some(&quote) {
                return Ok(());
            }
            self.escape()?;
        }
    }

    /// The text between an earlier position and this one.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// One escape, the lexer standing behind its backslash. Half a surrogate pair becomes U+FFFD.
    fn escape(&mut self) -> Result<char, JsonError> {
        let bad = JsonError::BadEscape { at: self.at };
        let byte = self.byte().ok_or(JsonError::Cut)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\'' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' | b'F' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'v' => '\u{b}',
            b'0'..=b'7' => char::from(byte - b'0'),
            b'x' => self.hex(2).and_then(char::from_u32).ok_or(bad)?,
            b'u' => {
                let unit = self.hex(4).ok_or(bad)?;
                self.surrogate(unit)
            }
            _ => return Err(bad),
        })
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text = self.text.get(self.at..self.at + digits)?;
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += digits;
        u32::from_str_radix(text, 16).ok()
    }

    fn surrogate(&mut self, unit: u32) -> char {
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let before = self.at;
        if self.text.get(self.at..self.at + 2) == Some("\\u") {
            self.at += 2;
            if let Some(low @ 0xdc00..0xe000) = self.hex(4) {
                let point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
        }
        self.at = before;
        char::REPLACEMENT_CHARACTER
    }

    /// Passes over one value and returns its text. Strings are checked, structure only counted.
    pub(crate) fn skip_value(&mut self) -> Result<&'a str, JsonError> {
        self.peek()?;
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                Some(quote @ (b'"' | b'\'')) => self.skip_string(quote)?,
                Some(b'{' | b'[') => {
                    self.at += 1;
                    depth += 1;
                    if depth > SKIPPED_DEPTH_MAX {
                        return Err(JsonError::TooDeep {
                            depth_max: SKIPPED_DEPTH_MAX,
                        });
                    }
                }
                Some(b'}' | b']') => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.unexpected())?;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => self.at += 1,
                Some(_) => {
                    self.bare()?;
                }
                None => return Err(JsonError::Cut),
            }
            if depth == 0 {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
        }
    }
}
