//! Which entries of a page are settled.

use super::PAGE_ENTRIES;
use crate::bytes::{Reader, Undecodable, Writer};

const WORDS: usize = PAGE_ENTRIES / 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits([u64; WORDS]);

impl Bits {
    pub fn get(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// Sets a bit; false if it was set.
    pub fn set(&mut self, at: usize) -> bool {
        let was = self.get(at);
        self.0[at / 64] |= 1 << (at % 64);
        !was
    }

    /// The first clear bit at or after `from`.
    pub fn first_clear(&self, from: usize) -> usize {
        let mut word = from / 64;
        let mut taken = if word < WORDS {
            self.0[word] | !(u64::MAX << (from % 64))
        } else {
            0
        };
        while word < WORDS {
            if taken != u64::MAX {
                return word * 64 + taken.trailing_ones() as usize;
            }
            word += 1;
            taken = if word < WORDS { self.0[word] } else { 0 };
        }
        PAGE_ENTRIES
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        for word in self.0 {
            out.put_number(word);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Result<Bits, Undecodable> {
        let mut bits = Bits::default();
        for word in &mut bits.0 {
            *word = reader.number()?;
        }
        Ok(bits)
    }
}
