//! What a message carries: a stamp that tells whose it is and when it was due, then filling.

use std::time::Instant;

/// Run and due time, 8 bytes each.
pub const STAMP_BYTES: usize = 16;

/// A moment of this process, in nanoseconds since its clock was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    pub const MICRO: u64 = 1_000;
    pub const MILLI: u64 = 1_000_000;
    pub const SECOND: u64 = 1_000_000_000;

    /// How long ago `earlier` was, in nanoseconds; 0 if it is yet to come.
    pub fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn plus(self, nanos: u64) -> Nanos {
        Nanos(self.0.saturating_add(nanos))
    }
}

/// The clock of a run; copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    pub fn start() -> Clock {
        Clock {
            epoch: Instant::now(),
        }
    }

    pub fn now(self) -> Nanos {
        // 584 years fit.
        Nanos(self.epoch.elapsed().as_nanos() as u64)
    }
}

/// Tells the messages of one run from those of others that lie in the same queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(pub u64);

/// Overwrites the stamp at the front of a body.
pub fn stamp(body: &mut [u8], run: RunId, due: Nanos) {
    if let Some(front) = body.first_chunk_mut::<STAMP_BYTES>() {
        front[..8].copy_from_slice(&run.0.to_be_bytes());
        front[8..].copy_from_slice(&due.0.to_be_bytes());
    }
}

/// When a message of this run was due; `None` for another's.
pub fn read_stamp(body: &[u8], run: RunId) -> Option<Nanos> {
    let (owner, rest) = body.split_first_chunk::<8>()?;
    let due = rest.first_chunk::<8>()?;
    (u64::from_be_bytes(*owner) == run.0).then(|| Nanos(u64::from_be_bytes(*due)))
}

/// A body without a stamp. The filling does not compress, so that a broker or a file system that
/// tries gains nothing.
pub fn body(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_names_its_run_and_moment() {
        let mut bytes = body(20);
        let tail = bytes[16..].to_vec();
        stamp(&mut bytes, RunId(7), Nanos(99));
        assert_eq!(read_stamp(&bytes, RunId(7)), Some(Nanos(99)));
        assert_eq!(read_stamp(&bytes, RunId(8)), None);
        assert_eq!(bytes[16..], tail);
        assert_eq!(read_stamp(&bytes[..15], RunId(7)), None);
    }
}
