//! The payload of 320 SEND_BATCH_MESSAGE.
//!
//! ```text
//! repeated: i32 total size, i32 magic (0), i32 crc (0), i32 flag,
//!           i32 length, body, i16 length, properties
//! ```

use super::properties::Properties;
use super::{MessageError, PROPERTIES_BYTES_MAX};
use crate::bytes::Cursor;

/// The most items in one batch. An item has at least 22 bytes, so this is reached by no batch that
/// keeps the limit of a body; it bounds what a broker does for one request.
pub const ITEMS_MAX: usize = 200_000;

/// One message of a batch; topic, queue and the rest are the request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchItem<'a> {
    pub flag: i32,
    pub body: &'a [u8],
    pub properties: &'a str,
}

impl<'a> BatchItem<'a> {
    pub fn properties(&self) -> Properties<'a> {
        Properties::new(self.properties)
    }

    /// Appends the item; on an error nothing is appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        let properties_length =
            i16::try_from(self.properties.len()).map_err(|_| MessageError::PropertiesTooLong {
                bytes: self.properties.len(),
            })?;
        let too_long = MessageError::BodyTooLong {
            bytes: self.body.len(),
        };
        let total = i32::try_from(22 + self.body.len() + self.properties.len());
        let total = total.map_err(|_| too_long)?;
        let body_length = i32::try_from(self.body.len()).map_err(|_| too_long)?;
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.flag.to_be_bytes());
        out.extend_from_slice(&body_length.to_be_bytes());
        out.extend_from_slice(self.body);
        out.extend_from_slice(&properties_length.to_be_bytes());
        out.extend_from_slice(self.properties.as_bytes());
        Ok(())
    }
}

/// The items of a batch in order. Ends at the first error; a broker that must refuse a bad batch
/// whole walks it once before it stores anything.
#[derive(Clone, Debug)]
pub struct BatchItems<'a> {
    cursor: Cursor<'a>,
    items: usize,
}

impl<'a> BatchItems<'a> {
    pub fn new(payload: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(payload),
            items: 0,
        }
    }

    fn item(&mut self) -> Result<BatchItem<'a>, MessageError> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(MessageError::TooManyItems {
                items_max: ITEMS_MAX,
            });
        }
        let total = self.cursor.i32().ok_or(MessageError::Cut)?;
        let bad_size = MessageError::BadSize { total };
        let inner = usize::try_from(total)
            .ok()
            .and_then(|size| size.checked_sub(4));
        let inner = self
            .cursor
            .take(inner.ok_or(bad_size)?)
            .ok_or(MessageError::Cut)?;
        let mut cursor = Cursor::new(inner);
        let mut parts = || {
            // Magic and sum are zero and mean nothing.
            cursor.take(8)?;
            Some((cursor.i32()?, cursor.sized32()?, cursor.sized16()?))
        };
        let (flag, body, properties) = parts().ok_or(bad_size)?;
        if !cursor.is_empty() {
            return Err(bad_size);
        }
        debug_assert!(properties.len() <= PROPERTIES_BYTES_MAX);
        let properties = std::str::from_utf8(properties).map_err(|_| MessageError::BadText)?;
        Ok(BatchItem {
            flag,
            body,
            properties,
        })
    }
}

impl<'a> Iterator for BatchItems<'a> {
    type Item = Result<BatchItem<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let item = self.item();
        if item.is_err() {
            self.cursor = Cursor::new(&[]);
        }
        Some(item)
    }
}
