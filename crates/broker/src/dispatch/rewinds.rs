//! Where the scan positions of a queue's consumers must go back to. Each of them hears of it when it
//! is its turn: there may be very many, and most of them never look.

use std::collections::VecDeque;

use super::consumers::Consumer;
use crate::id::Position;

/// Beyond it the two oldest become one: who missed the older one only goes back further than it must.
const REWINDS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Rewinds {
    last: u64,
    /// By number; positions grow, as one that is followed by a lower one does not matter.
    kept: VecDeque<(u64, Position)>,
}

impl Rewinds {
    /// Everybody goes back to this position, if he is beyond it.
    pub fn push(&mut self, position: Position) {
        while self.kept.back().is_some_and(|(_, at)| *at >= position) {
            self.kept.pop_back();
        }
        self.last += 1;
        self.kept.push_back((self.last, position));
        if self.kept.len() > REWINDS_MAX
            && let Some((_, lower)) = self.kept.pop_front()
            && let Some((_, at)) = self.kept.front_mut()
        {
            *at = lower;
        }
    }

    /// Moves a consumer's scan position back by what it has not heard of.
    pub fn catch_up(&self, consumer: &mut Consumer) {
        if consumer.rewinds_heard == self.last {
            return;
        }
        if let Some(position) = self.since(consumer.rewinds_heard) {
            consumer.scan = consumer.scan.min(position);
        }
        consumer.rewinds_heard = self.last;
    }

    /// The lowest position behind a number.
    fn since(&self, heard: u64) -> Option<Position> {
        let first = self.kept.partition_point(|(number, _)| *number <= heard);
        self.kept.get(first).map(|(_, position)| *position)
    }

    /// The number of the last one, for whoever comes now.
    pub fn last(&self) -> u64 {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody misses a position that he has to go back to, and who looks often goes back no further
    /// than he must.
    #[test]
    fn everybody_hears_of_every_rewind() {
        let mut random = 7_u64;
        let mut rewinds = Rewinds::default();
        // Of each: when it listens, how far it has heard, and the lowest position since then.
        let mut listeners: Vec<_> = [1, 3, 10, 100].map(|every| (every, 0, None)).into();
        for round in 1..5_000_u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let position = Position((random >> 33) % 1000);
            rewinds.push(position);
            for (every, heard, lowest) in &mut listeners {
                *lowest = Some(lowest.map_or(position, |at: Position| at.min(position)));
                if round % *every == 0 {
                    let back = rewinds.since(*heard).expect("something was pushed");
                    let must = lowest.take().expect("something was pushed");
                    assert!(back == must || *every > REWINDS_MAX as u64 && back < must);
                    *heard = rewinds.last();
                }
            }
            assert!(rewinds.kept.len() <= REWINDS_MAX);
        }
    }

    #[test]
    fn who_looks_seldom_goes_back_further() {
        let mut rewinds = Rewinds::default();
        (10..=50).map(Position).for_each(|at| rewinds.push(at));
        assert_eq!(rewinds.since(0), Some(Position(10)));
        assert_eq!(
            rewinds.since(1),
            Some(Position(10)),
            "11, if it were remembered"
        );
        assert_eq!(rewinds.since(40), Some(Position(50)));
        assert_eq!(rewinds.since(41), None);
    }
}
