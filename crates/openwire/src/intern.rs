//! Names that come again and again: ids and destinations of one connection.

use crate::text::{JavaStr, JavaString};

/// Slots of the table; a client talks about a handful of ids and destinations at a time.
const SLOTS: usize = 16;

/// Longer names are not worth keeping alive.
const NAME_BYTES_MAX: usize = 128;

/// Hands out shared copies of recent names, so that a steady stream of messages allocates none.
///
/// Direct-mapped: a name that collides with another replaces it. At most 2 KB stay alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    /// Empty until the first name, so that an idle connection costs nothing.
    slots: Vec<JavaString>,
}

impl Interner {
    pub(crate) fn intern(&mut self, text: JavaStr<'_>) -> JavaString {
        let bytes = text.as_bytes();
        if bytes.len() > NAME_BYTES_MAX {
            return text.to_owned();
        }
        if self.slots.is_empty() {
            self.slots = vec![JavaString::default(); SLOTS];
        }
        let Some(slot) = self.slots.get_mut(slot_of(bytes)) else {
            return text.to_owned();
        };
        if slot.as_bytes() != bytes {
            *slot = text.to_owned();
        }
        slot.clone()
    }
}

fn slot_of(bytes: &[u8]) -> usize {
    // The Fibonacci multiplier of 64-bit hashing; the tail of a name differs most.
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word.iter_mut()
            .zip(chunk)
            .for_each(|(to, from)| *to = *from);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    (hash >> 60) as usize % SLOTS
}
