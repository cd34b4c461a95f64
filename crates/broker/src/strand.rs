//! A strand: messages of one queue that go to one consumer at a time, in their order, while other
//! strands go to other consumers. Its sender names it; the name itself stays in the message.

use crate::bytes::{Reader, Undecodable, Writer};

/// Stands for the name of a strand: a hash, so that what is kept of one has a fixed size. Two
/// names with one key share their consumer, which costs spread and never order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StrandKey(pub u64);

impl StrandKey {
    /// FNV-1a. It is in the log: it must not change.
    pub fn of(name: &[u8]) -> StrandKey {
        let start = 0xcbf2_9ce4_8422_2325u64;
        StrandKey(name.iter().fold(start, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }
}

/// What a message does to its strand when it is handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StrandStep {
    /// Gives the strand to whoever is at hand, also if somebody has it.
    Opens,
    Continues,
    /// The strand is nobody's when its consumer has got this one.
    Closes,
}

/// The strand of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strand {
    pub key: StrandKey,
    pub step: StrandStep,
}

impl Strand {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        out.put_number(self.key.0);
        out.put_u8(match self.step {
            StrandStep::Opens => 1,
            StrandStep::Continues => 2,
            StrandStep::Closes => 3,
        });
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Strand, Undecodable> {
        let key = StrandKey(reader.number()?);
        let step = match reader.u8()? {
            1 => StrandStep::Opens,
            2 => StrandStep::Continues,
            3 => StrandStep::Closes,
            _ => return Err(Undecodable("strand step")),
        };
        Ok(Strand { key, step })
    }
}

/// What a consumer learns about the strand of a message it is handed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InStrand {
    /// It is in none.
    No,
    /// The strand became the consumer's with this message.
    First,
    Later,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_for_ever() {
        assert_eq!(StrandKey::of(b""), StrandKey(0xcbf2_9ce4_8422_2325));
        assert_eq!(StrandKey::of(b"a"), StrandKey(0xaf63_dc4c_8601_ec8c));
    }
}
