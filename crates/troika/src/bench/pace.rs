//! How long a worker rests between two turns.
//!
//! Most of what a small message costs are the system calls of both sides, so a generator that woke
//! for each message would load its machine more than the broker it measures. It rests only while
//! enough is in flight that nobody waits for it: with small windows every answer is taken up at
//! once, as a client that waits for it would.

use std::time::Duration;

use super::payload::Nanos;

/// Below so many sends or deliveries in flight the broker would run dry during a rest.
const IN_FLIGHT_MIN: usize = 256;
/// What a turn must have moved to count as load.
const MOVED_MIN: u64 = 2;
/// A turn that read as much has found its batch.
const LARGE_BYTES: usize = 128 << 10;

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    turn_nanos_min: u64,
}

/// What a turn has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Messages sent, answered and received.
    pub moved: u64,
    pub read_bytes: usize,
}

impl Pace {
    /// `in_flight` is how much may be in flight at once over all connections of the worker.
    pub fn new(pause: Duration, in_flight: usize) -> Pace {
        let nanos = if in_flight < IN_FLIGHT_MIN {
            0
        } else {
            pause.as_nanos() as u64
        };
        Pace {
            turn_nanos_min: nanos,
        }
    }

    /// How long to rest after a turn that began at `start`.
    pub fn rest(&self, start: Nanos, now: Nanos, turn: Turn) -> Option<Duration> {
        if turn.moved < MOVED_MIN || turn.read_bytes >= LARGE_BYTES {
            return None;
        }
        let left = self.turn_nanos_min.saturating_sub(now.since(start));
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loaded_worker_with_much_in_flight_rests() {
        let rest = |in_flight, moved, read_bytes, spent: u64| {
            let pace = Pace::new(Duration::from_micros(100), in_flight);
            let rest = pace.rest(Nanos(7), Nanos(7 + spent), Turn { moved, read_bytes });
            rest.map(|rest| rest.as_micros())
        };
        assert_eq!(rest(1000, 50, 4096, 30_000), Some(70));
        assert_eq!(rest(1000, 50, 4096, 100_000), None);
        assert_eq!(rest(1000, 1, 4096, 0), None);
        assert_eq!(rest(1000, 200, 200 << 10, 0), None);
        assert_eq!(rest(64, 50, 4096, 0), None);
    }
}
