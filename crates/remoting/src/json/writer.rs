//! Writing JSON text.

use crate::java::{Decimal, append_double};

/// Which JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// What fastjson writes by default: bare numeric keys, raw object keys, raw non-ASCII.
    Fast,
    /// What peers read that accept only standard JSON: every key quoted, ASCII only, `/` escaped.
    Standard,
}

/// Appends JSON to a buffer; it places the commas.
#[derive(Debug)]
pub struct Writer<'out> {
    out: &'out mut Vec<u8>,
    dialect: Dialect,
    /// Whether the next member or item needs a comma before it.
    comma: bool,
}

impl<'out> Writer<'out> {
    pub fn new(out: &'out mut Vec<u8>, dialect: Dialect) -> Self {
        Self {
            out,
            dialect,
            comma: false,
        }
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = false;
    }

    /// Writes `{`, what `members` writes, `}`.
    pub fn map(&mut self, members: impl FnOnce(&mut Self)) {
        self.enclose(b'{', b'}', members);
    }

    /// Writes `[`, what `items` writes, `]`.
    pub fn list(&mut self, items: impl FnOnce(&mut Self)) {
        self.enclose(b'[', b']', items);
    }

    fn enclose(&mut self, open: u8, close: u8, inner: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(open);
        inner(self);
        self.out.push(close);
        self.comma = true;
    }

    /// A quoted key and its colon.
    pub fn key(&mut self, key: &str) {
        self.text(key);
        self.colon();
    }

    /// A numeric key: bare in the dialect, quoted in the standard form.
    pub fn key_int(&mut self, key: i64) {
        match self.dialect {
            Dialect::Fast => self.int(key),
            Dialect::Standard => self.text(Decimal::new(key).as_str()),
        }
        self.colon();
    }

    /// A key that is a value itself: raw in the dialect, its text quoted in the standard form.
    pub fn key_value(&mut self, write: impl FnOnce(&mut Writer<'_>)) {
        match self.dialect {
            Dialect::Fast => write(self),
            Dialect::Standard => {
                let mut text = Vec::new();
                write(&mut Writer::new(&mut text, Dialect::Fast));
                self.text(&String::from_utf8_lossy(&text));
            }
        }
        self.colon();
    }

    fn colon(&mut self) {
        self.out.push(b':');
        self.comma = false;
    }

    pub fn text(&mut self, text: &str) {
        self.separate();
        match self.dialect {
            Dialect::Fast => append_quoted(text, self.out),
            Dialect::Standard => append_quoted_ascii(text, self.out),
        }
        self.comma = true;
    }

    pub fn int(&mut self, number: i64) {
        self.separate();
        self.out
            .extend_from_slice(Decimal::new(number).as_str().as_bytes());
        self.comma = true;
    }

    pub fn double(&mut self, number: f64) {
        self.separate();
        append_double(number, self.out);
        self.comma = true;
    }

    pub fn boolean(&mut self, value: bool) {
        self.separate();
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
        self.comma = true;
    }

    pub fn null(&mut self) {
        self.separate();
        self.out.extend_from_slice(b"null");
        self.comma = true;
    }
}

/// Appends a quoted text as fastjson does: `/` and non-ASCII stay raw.
pub(crate) fn append_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    // All that needs an escape is ASCII control, quote, backslash, or starts with one of two bytes.
    while let Some(at) = rest.bytes().position(may_need_escape) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.extend_from_slice(plain.as_bytes());
        let mut letters = tail.chars();
        if let Some(letter) = letters.next() {
            append_letter(letter, out);
        }
        rest = letters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// 0xc2 begins U+0080–009F, 0xe2 begins U+2028 and U+2029; most letters behind them stay raw.
fn may_need_escape(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f | 0xc2 | 0xe2)
}

fn append_letter(letter: char, out: &mut Vec<u8>) {
    if append_short_escape(letter, out) {
        return;
    }
    match letter {
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            append_unit(letter as u16, out);
        }
        _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn append_quoted_ascii(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '/' => out.extend_from_slice(b"\\/"),
            _ if append_short_escape(letter, out) => {}
            ' '..='~' => out.push(letter as u8),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    append_unit(*unit, out);
                }
            }
        }
    }
    out.push(b'"');
}

fn append_short_escape(letter: char, out: &mut Vec<u8>) -> bool {
    let code = match letter {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => return false,
    };
    out.extend_from_slice(&[b'\\', code]);
    true
}

fn append_unit(unit: u16, out: &mut Vec<u8>) {
    let digit = |shift: u16| {
        let nibble = (unit >> shift & 15) as u8;
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'A' + nibble - 10
        }
    };
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}
