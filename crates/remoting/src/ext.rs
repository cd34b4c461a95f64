//! The string fields of a header, walked in place.

use std::borrow::Cow;

use crate::bytes::Cursor;
use crate::frame::FrameError;
use crate::json::{JsonError, Lexer};

/// The `extFields` of one command. Checked when the frame was decoded, so that walking cannot fail.
/// Cloning copies two words.
#[derive(Clone, Copy, Debug)]
pub struct ExtFields<'a> {
    form: Form<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    /// The text of the object, braces included.
    Json(&'a str),
    /// `i16 keyLen, key, i32 valueLen, value`, repeated.
    Binary(&'a [u8]),
}

impl<'a> ExtFields<'a> {
    pub const EMPTY: ExtFields<'static> = ExtFields {
        form: Form::Binary(&[]),
    };

    pub(crate) fn from_binary(bytes: &'a [u8], fields_max: usize) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(bytes);
        let mut count = 0;
        while !cursor.is_empty() {
            cursor.sized16().ok_or(FrameError::HeaderCut)?;
            cursor.sized32().ok_or(FrameError::HeaderCut)?;
            count += 1;
            if count > fields_max {
                return Err(FrameError::TooManyFields { fields_max });
            }
        }
        Ok(Self {
            form: Form::Binary(bytes),
        })
    }

    /// Takes the object that the lexer stands at, checking it on the way.
    pub(crate) fn from_json(lexer: &mut Lexer<'a>, fields_max: usize) -> Result<Self, FrameError> {
        if lexer.peek()? != Some(b'{') {
            return match lexer.scalar()? {
                None => Ok(Self::EMPTY),
                Some(_) => Err(FrameError::Json(JsonError::Expected("an object of fields"))),
            };
        }
        let start = lexer.at();
        lexer.bump();
        let mut count = 0;
        while lexer.next_key()?.is_some() {
            lexer.skip_value()?;
            count += 1;
            if count > fields_max {
                return Err(FrameError::TooManyFields { fields_max });
            }
        }
        Ok(Self {
            form: Form::Json(lexer.since(start)),
        })
    }

    /// The fields in wire order; when a key comes twice the later one counts. Null values, and in
    /// the binary form empty ones, are absent as they are in Java.
    pub fn iter(&self) -> Fields<'a> {
        match self.form {
            Form::Json(text) => {
                let mut lexer = Lexer::new(text);
                // The brace was seen when the frame was decoded.
                let _ = lexer.expect(b'{');
                Fields {
                    walk: Walk::Json(lexer),
                }
            }
            Form::Binary(bytes) => Fields {
                walk: Walk::Binary(Cursor::new(bytes)),
            },
        }
    }

    /// The last value under a key, by walking all fields. For whole headers parse a typed header.
    pub fn get(&self, key: &str) -> Option<Cow<'a, str>> {
        self.iter()
            .filter(|(name, _)| name == key)
            .last()
            .map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> IntoIterator for ExtFields<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

/// Iterator of [`ExtFields::iter`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    walk: Walk<'a>,
}

#[derive(Clone, Debug)]
enum Walk<'a> {
    Json(Lexer<'a>),
    Binary(Cursor<'a>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.walk {
            Walk::Json(lexer) => loop {
                let key = lexer.next_key().ok()??;
                if let Some(value) = lexer.scalar_or_raw().ok()? {
                    return Some((key, value));
                }
            },
            Walk::Binary(cursor) => loop {
                let key = cursor.sized16()?;
                let value = cursor.sized32()?;
                if !key.is_empty() && !value.is_empty() {
                    return Some((String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
                }
            },
        }
    }
}
