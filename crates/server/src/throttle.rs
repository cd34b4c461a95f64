//! Lines of the log that a stranger can cause as often as it likes: some are told, the others are
//! counted.
//!
//! Caveat: those that were swallowed last are told with the next line, whenever that comes.

use std::cell::Cell;

use broker::id::Millis;

/// Lines told in one window.
const LINES_MAX: u32 = 10;
const WINDOW_MS: u64 = 10_000;

/// Decides which lines of one kind are told.
#[derive(Default)]
pub(crate) struct Throttle {
    /// Since when lines are counted.
    since: Cell<Millis>,
    told: Cell<u32>,
    untold: Cell<u64>,
}

impl Throttle {
    /// Whether to tell a line now: with how many were not told before it, or not at all.
    pub fn line(&self, now: Millis) -> Option<u64> {
        if now.since(self.since.get()) >= WINDOW_MS {
            self.since.set(now);
            self.told.set(0);
        }
        if self.told.get() == LINES_MAX {
            self.untold.set(self.untold.get() + 1);
            return None;
        }
        self.told.set(self.told.get() + 1);
        Some(self.untold.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_tells_ten_lines_and_the_next_one_how_many_it_kept() {
        let throttle = Throttle::default();
        let lines = |at, count: usize| -> Vec<u64> {
            let at = Millis(at);
            (0..count).filter_map(|_| throttle.line(at)).collect()
        };
        assert_eq!(lines(50_000, 3), [0; 3]);
        assert_eq!(lines(55_000, 500), [0; 7]);
        assert_eq!(lines(59_999, 1), [0; 0]);
        assert_eq!(lines(60_000, 2), [494, 0]);
    }
}
