//! The one clock that the broker hears: the system's, never going back.

use std::time::{SystemTime, UNIX_EPOCH};

use broker::id::Millis;

/// Wall-clock time that stands still while the system's clock is set back.
#[derive(Debug, Default)]
pub struct Clock {
    last: Millis,
}

impl Clock {
    /// A clock that shows nothing before `floor`, the newest time that the log has seen.
    pub fn not_before(floor: Millis) -> Clock {
        Clock { last: floor }
    }

    pub fn now(&mut self) -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.last = self.last.max(now);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let ahead = Millis(u64::MAX / 2);
        assert_eq!(Clock::not_before(ahead).now(), ahead);
        let mut clock = Clock::default();
        let first = clock.now();
        assert!(first.0 > 1_700_000_000_000 && clock.now() >= first);
    }
}
