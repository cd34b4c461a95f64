//! How often the reactor turns under load.
//!
//! Four fifths of the cost of a small message are system calls, and most of those are wake-ups
//! that find one or two messages. A reactor that rests until 100 µs have gone by since its last
//! turn finds a batch instead: a sixth less CPU per message in the prototypes. Three cases must
//! not rest:
//!
//! - a lone message, whose latency the rest would be: turns that find one command at a time, as
//!   a client that waits for each answer makes them, are no load, however many there are;
//! - a turn after a long wait: nothing was missed;
//! - a turn that found a large batch: an efficient client would be capped by the rest.

use std::time::{Duration, Instant};

/// The least time between two turns under load. `thread::sleep` adds up to 50 µs of its own.
const TURN_MIN: Duration = Duration::from_micros(100);
/// Turns further apart than this are no load.
const IDLE_GAP: Duration = Duration::from_millis(1);
/// A turn that has read as much found its batch already.
const LARGE_BYTES: usize = 64 << 10;
/// Below two commands per turn on average there is nothing to gather; in eighths.
const LOAD_MIN_EIGHTHS: u32 = 2 * 8;

/// What a turn did, as far as the pace depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    pub gathered: usize,
    pub read_bytes: usize,
}

/// Decides how long to rest after each turn.
#[derive(Debug)]
pub struct Pace {
    previous_start: Instant,
    /// Commands per turn that read anything, in eighths, weighted towards the last eight.
    load_eighths: u32,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace {
            previous_start: now,
            load_eighths: 0,
        }
    }

    /// How long to rest after a turn that started at `start` and ends `now`.
    pub fn rest(&mut self, start: Instant, now: Instant, turn: Turn) -> Option<Duration> {
        let gap = start.saturating_duration_since(self.previous_start);
        self.previous_start = start;
        if gap > IDLE_GAP {
            self.load_eighths = 0;
        }
        if turn.read_bytes > 0 {
            let gathered = turn.gathered.min(1024) as u32;
            self.load_eighths = self.load_eighths - self.load_eighths / 8 + gathered;
        }
        if turn.read_bytes >= LARGE_BYTES || self.load_eighths < LOAD_MIN_EIGHTHS {
            return None;
        }
        let spent = now.saturating_duration_since(start);
        TURN_MIN.checked_sub(spent).filter(|rest| !rest.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns every 30 µs of 10 µs each; returns which of them were followed by a rest.
    fn rests(turns: &[Turn]) -> Vec<bool> {
        let mut at = Instant::now();
        let mut pace = Pace::new(at);
        let mut rests = Vec::new();
        for turn in turns {
            at += Duration::from_micros(30);
            let rest = pace.rest(at, at + Duration::from_micros(10), *turn);
            assert!(rest.is_none_or(|rest| rest == Duration::from_micros(90)));
            rests.push(rest.is_some());
        }
        rests
    }

    #[test]
    fn one_command_at_a_time_is_never_held_up() {
        assert!(
            !rests(
                &[Turn {
                    gathered: 1,
                    read_bytes: 1100
                }; 100]
            )
            .contains(&true)
        );
    }

    #[test]
    fn small_batches_in_a_row_are_gathered() {
        let rests = rests(
            &[Turn {
                gathered: 4,
                read_bytes: 4400,
            }; 20],
        );
        assert!(!rests[0] && rests[19]);
    }

    #[test]
    fn a_large_batch_is_not_followed_by_a_rest() {
        let mut turns = [Turn {
            gathered: 4,
            read_bytes: 4400,
        }; 20];
        turns[10] = Turn {
            gathered: 200,
            read_bytes: 200 << 10,
        };
        let rests = rests(&turns);
        assert!(!rests[10] && rests[11]);
    }

    #[test]
    fn load_is_forgotten_when_idle() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let small = Turn {
            gathered: 4,
            read_bytes: 4400,
        };
        let mut at = start;
        for _ in 0..20 {
            at += Duration::from_micros(30);
            pace.rest(at, at, small);
        }
        at += Duration::from_millis(2);
        assert_eq!(pace.rest(at, at, small), None);
    }
}
