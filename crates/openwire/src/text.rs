//! Java strings as they travel: modified UTF-8, kept as bytes.
//!
//! Java writes U+0000 as `C0 80` and supplementary characters as two three-byte surrogates, and
//! a Java string may hold a lone surrogate, which no Rust string can. Both types here keep the
//! wire bytes, so what came in goes out unchanged; `to_str` translates for everyone who compares,
//! logs or stores names.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::malformed::Malformed;

/// A borrowed string in modified UTF-8.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JavaStr<'a>(&'a [u8]);

/// An owned string in modified UTF-8; cloning shares the bytes.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JavaString(Arc<[u8]>);

impl<'a> JavaStr<'a> {
    /// Checks that `bytes` are well-formed modified UTF-8.
    pub fn from_modified(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.is_ascii() || is_well_formed(bytes) {
            Ok(Self(bytes))
        } else {
            Err(Malformed::Text)
        }
    }

    /// The wire bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text itself when both encodings agree on it, which is nearly always.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// The text, lone surrogates replaced by U+FFFD.
    pub fn to_str(self) -> Cow<'a, str> {
        match std::str::from_utf8(self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(
                char::decode_utf16(units(self.0))
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            ),
        }
    }

    /// The length in UTF-16 units, which is what Java calls the length.
    pub fn utf16_length(self) -> usize {
        self.0.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
    }

    pub fn to_owned(self) -> JavaString {
        JavaString(Arc::from(self.0))
    }

    /// Whether every character is in 01–7F, the tight encoding's notion of ASCII.
    pub(crate) fn is_tight_ascii(self) -> bool {
        self.0.is_ascii() && !self.0.contains(&0)
    }
}

impl JavaString {
    /// Checks and copies modified UTF-8.
    pub fn from_modified(bytes: &[u8]) -> Result<Self, Malformed> {
        JavaStr::from_modified(bytes).map(JavaStr::to_owned)
    }

    pub fn as_java_str(&self) -> JavaStr<'_> {
        JavaStr(&self.0)
    }

    /// The wire bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// See [`JavaStr::as_str`].
    pub fn as_str(&self) -> Option<&str> {
        self.as_java_str().as_str()
    }

    /// See [`JavaStr::to_str`].
    pub fn to_str(&self) -> Cow<'_, str> {
        self.as_java_str().to_str()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for JavaString {
    fn from(text: &str) -> Self {
        Self(Arc::from(&*to_modified(text)))
    }
}

impl From<String> for JavaString {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<JavaStr<'_>> for JavaString {
    fn from(text: JavaStr<'_>) -> Self {
        text.to_owned()
    }
}

impl PartialEq<str> for JavaStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == &*to_modified(other)
    }
}

impl PartialEq<&str> for JavaStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<str> for JavaString {
    fn eq(&self, other: &str) -> bool {
        self.as_java_str() == *other
    }
}

impl PartialEq<&str> for JavaString {
    fn eq(&self, other: &&str) -> bool {
        self.as_java_str() == **other
    }
}

impl fmt::Display for JavaStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.to_str(), f)
    }
}

impl fmt::Debug for JavaStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.to_str(), f)
    }
}

impl fmt::Display for JavaString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_java_str(), f)
    }
}

impl fmt::Debug for JavaString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_java_str(), f)
    }
}

/// Modified UTF-8 of `text`; borrowed when it is the same as UTF-8.
pub fn to_modified(text: &str) -> Cow<'_, [u8]> {
    if !text.bytes().any(|byte| byte == 0 || byte >= 0xF0) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len() + 8);
    for unit in text.encode_utf16() {
        match unit {
            0x0001..=0x007F => bytes.push(unit as u8),
            0x0000 | 0x0080..=0x07FF => {
                bytes.extend([0xC0 | (unit >> 6) as u8, 0x80 | (unit & 0x3F) as u8]);
            }
            0x0800..=0xFFFF => bytes.extend([
                0xE0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3F) as u8,
                0x80 | (unit & 0x3F) as u8,
            ]),
        }
    }
    Cow::Owned(bytes)
}

/// The same rules as Java's `DataInput.readUTF`: one to three bytes a unit, no four-byte form.
fn is_well_formed(mut bytes: &[u8]) -> bool {
    loop {
        bytes = match bytes {
            [] => return true,
            [0x00..=0x7F, rest @ ..] => rest,
            [0xC0..=0xDF, 0x80..=0xBF, rest @ ..] => rest,
            [0xE0..=0xEF, 0x80..=0xBF, 0x80..=0xBF, rest @ ..] => rest,
            _ => return false,
        };
    }
}

/// The UTF-16 units of well-formed modified UTF-8.
fn units(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (unit, after) = match rest {
            [a @ 0x00..=0x7F, after @ ..] => (u16::from(*a), after),
            [a @ 0xC0..=0xDF, b, after @ ..] => {
                (u16::from(a & 0x1F) << 6 | u16::from(b & 0x3F), after)
            }
            [a, b, c, after @ ..] => (
                u16::from(a & 0x0F) << 12 | u16::from(b & 0x3F) << 6 | u16::from(c & 0x3F),
                after,
            ),
            _ => return None,
        };
        rest = after;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_forms_survive_both_ways() {
        for text in ["", "hello", "a\0b", "é", "\u{20AC}", "x😀y"] {
            let java = JavaString::from(text);
            assert_eq!(java.to_str(), text);
            assert_eq!(java, text);
            assert_eq!(JavaString::from_modified(java.as_bytes()), Ok(java.clone()));
            assert_eq!(
                java.as_java_str().utf16_length(),
                text.encode_utf16().count()
            );
        }
        assert_eq!(
            JavaString::from("😀").as_bytes(),
            [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80]
        );
        assert_eq!(JavaString::from("\0").as_bytes(), [0xC0, 0x80]);
    }

    #[test]
    fn lone_surrogates_are_kept_and_shown_replaced() {
        let java = JavaString::from_modified(&[b'a', 0xED, 0xA0, 0xBD]).expect("one lone unit");
        assert_eq!(java.to_str(), "a\u{FFFD}");
        assert_ne!(java, "a\u{FFFD}");
        assert_eq!(java.as_bytes(), [b'a', 0xED, 0xA0, 0xBD]);
    }

    #[test]
    fn broken_sequences_are_refused() {
        for bytes in [
            &[0x80][..],
            &[0xC0],
            &[0xE2, 0x82],
            &[0xF0, 0x9F, 0x98, 0x80],
            &[0xC3, 0x28],
        ] {
            assert_eq!(
                JavaStr::from_modified(bytes),
                Err(Malformed::Text),
                "{bytes:x?}"
            );
        }
    }
}
