//! How often the reactor turns under load.
//!
//! Four fifths of the cost of a small message are system calls, and most of those are wake-ups
//! that find one or two messages. Under dense traffic a reactor that rests until 100 µs have gone
//! by since its last turn finds a batch instead: a sixth less CPU per message in the prototypes.
//! Traffic is dense by its rate, not by what a turn finds: eight producers that wait for each
//! answer fill every turn and still have nothing to gain, since each of them has one message on
//! its way; rests cost them a fifth of what they reached. So these do not rest:
//!
//! - traffic below some hundred thousand commands a second, for which there is CPU enough, and
//!   whose latency the rest would be;
//! - a turn after a long wait: nothing was missed;
//! - a turn that found a large batch: an efficient client would be capped by the rest.

use std::time::{Duration, Instant};

/// The least time between two turns under load. `thread::sleep` adds up to 50 µs of its own.
const TURN_MIN: Duration = Duration::from_micros(100);
/// Turns further apart than this are no load.
const IDLE_GAP: Duration = Duration::from_millis(1);
/// A turn that has read as much found its batch already.
const LARGE_BYTES: usize = 64 << 10;
/// The rate is looked at so often.
const WINDOW: Duration = Duration::from_millis(1);
/// Commands in a window from which on traffic is dense.
const DENSE_COMMANDS: u128 = 96;

/// What a turn did, as far as the pace depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    /// Commands that it found, by a rough count.
    pub gathered: usize,
    pub read_bytes: usize,
}

/// Decides how long to rest after each turn.
#[derive(Debug)]
pub struct Pace {
    previous_start: Instant,
    window_start: Instant,
    gathered: u128,
    dense: bool,
}

impl Pace {
    pub fn new(now: Instant) -> Pace {
        Pace {
            previous_start: now,
            window_start: now,
            gathered: 0,
            dense: false,
        }
    }

    /// How long to rest after a turn that started at `start` and ends `now`.
    pub fn rest(&mut self, start: Instant, now: Instant, turn: Turn) -> Option<Duration> {
        let gap = start.saturating_duration_since(self.previous_start);
        self.previous_start = start;
        if gap > IDLE_GAP {
            *self = Pace::new(start);
        }
        self.gathered += turn.gathered as u128;
        let window = start.saturating_duration_since(self.window_start);
        if window >= WINDOW {
            // gathered / window >= DENSE_COMMANDS / WINDOW, in whole numbers.
            let needed = DENSE_COMMANDS * window.as_nanos();
            self.dense = self.gathered * WINDOW.as_nanos() >= needed;
            self.window_start = start;
            self.gathered = 0;
        }
        if turn.read_bytes >= LARGE_BYTES || !self.dense {
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

    const fn turn(gathered: usize) -> Turn {
        Turn {
            gathered,
            read_bytes: gathered * 1100,
        }
    }

    #[test]
    fn a_few_commands_at_a_time_are_never_held_up() {
        for gathered in [1, 2] {
            assert!(!rests(&[turn(gathered); 200]).contains(&true), "{gathered}");
        }
    }

    #[test]
    fn dense_traffic_is_gathered() {
        let rests = rests(&[turn(4); 100]);
        assert!(!rests[0] && rests[99]);
    }

    #[test]
    fn a_large_batch_is_not_followed_by_a_rest() {
        let mut turns = [turn(4); 100];
        turns[60] = turn(200);
        let rests = rests(&turns);
        assert!(!rests[60] && rests[61]);
    }

    #[test]
    fn load_is_forgotten_when_idle() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut at = start;
        for _ in 0..100 {
            at += Duration::from_micros(30);
            pace.rest(at, at, turn(4));
        }
        assert!(pace.dense);
        at += Duration::from_millis(2);
        assert_eq!(pace.rest(at, at, turn(4)), None);
    }
}
