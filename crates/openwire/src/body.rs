//! What the content of a message means, by its kind.
//!
//! | kind | content | compressed |
//! |---|---|---|
//! | text | `i32` length, modified UTF-8; absent for null text | zlib of the same |
//! | bytes | as they are | `i32` length when inflated, then zlib of at least as much |
//! | map | a primitive map | zlib |
//! | stream | tagged primitives back to back: [`crate::primitive::Items::stream`] | zlib |
//! | object | a Java serialization stream, opaque | zlib |
//!
//! A broker passes content through untouched. It looks inside only to translate a message for
//! another protocol, or for a selector that asks about the body.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::Malformed;
use crate::commands::{Message, MessageKind};
use crate::input::Input;
use crate::reader::check_limit;
use crate::text::{JavaStr, to_modified};

/// Inflates compressed content, refusing to produce more than `bytes_max`.
pub fn inflate(kind: MessageKind, content: &[u8], bytes_max: usize) -> Result<Vec<u8>, Malformed> {
    match kind {
        MessageKind::Bytes => inflate_announced(content, bytes_max),
        MessageKind::Plain
        | MessageKind::Map
        | MessageKind::Object
        | MessageKind::Stream
        | MessageKind::Text
        | MessageKind::Blob => {
            // One byte more than allowed tells a body that fits from one that does not.
            let plain = inflate_at_most(content, bytes_max.saturating_add(1))?;
            check_limit("inflated body", plain.len(), bytes_max)?;
            Ok(plain)
        }
    }
}

/// Java clients deflate the whole buffer behind a bytes message, stale bytes at its end included;
/// only the announced length counts.
fn inflate_announced(content: &[u8], bytes_max: usize) -> Result<Vec<u8>, Malformed> {
    let mut input = Input::new(content);
    let length = input.i32()?;
    let bytes = usize::try_from(length).map_err(|_| Malformed::NegativeLength { length })?;
    check_limit("inflated body", bytes, bytes_max)?;
    let plain = inflate_at_most(input.rest(), bytes)?;
    if plain.len() < bytes {
        Err(Malformed::Deflate)
    } else {
        Ok(plain)
    }
}

fn inflate_at_most(deflated: &[u8], bytes_max: usize) -> Result<Vec<u8>, Malformed> {
    let mut plain = Vec::new();
    ZlibDecoder::new(deflated)
        .take(bytes_max as u64)
        .read_to_end(&mut plain)
        .map_err(|_| Malformed::Deflate)?;
    Ok(plain)
}

impl Message<'_> {
    /// The content without compression.
    pub fn plain_content(&self, bytes_max: usize) -> Result<Option<Cow<'_, [u8]>>, Malformed> {
        match self.content.as_deref() {
            None => Ok(None),
            Some(content) if self.compressed => {
                inflate(self.kind, content, bytes_max).map(|plain| Some(Cow::Owned(plain)))
            }
            Some(content) => Ok(Some(Cow::Borrowed(content))),
        }
    }
}

/// The text in the plain content of a text message.
pub fn decode_text(plain: &[u8]) -> Result<JavaStr<'_>, Malformed> {
    let mut input = Input::new(plain);
    let text = JavaStr::from_modified(input.sized_bytes()?)?;
    match input.remaining() {
        0 => Ok(text),
        bytes => Err(Malformed::Trailing { bytes }),
    }
}

/// The plain content of a text message.
pub fn encode_text(text: &str) -> Vec<u8> {
    let text = to_modified(text);
    let mut content = Vec::with_capacity(size_of::<i32>() + text.len());
    content.extend((text.len() as i32).to_be_bytes());
    content.extend_from_slice(&text);
    content
}
