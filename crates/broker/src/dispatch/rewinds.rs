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
        let heard = self
            .kept
            .partition_point(|(number, _)| *number <= consumer.rewinds_heard);
        if let Some((_, position)) = self.kept.get(heard) {
            consumer.scan = consumer.scan.min(*position);
        }
        consumer.rewinds_heard = self.last;
    }

    /// The number of the last one, for whoever comes now.
    pub fn last(&self) -> u64 {
        self.last
    }
}
