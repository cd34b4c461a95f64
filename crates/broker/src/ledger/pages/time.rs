//! Pages by time: where a search begins, and what retention may take.

use super::{PAGE_ENTRIES, Pages};
use crate::id::{Millis, Position};

impl Pages {
    /// Where the last page begins whose first entry was stored before `time`, else the first page:
    /// a search for the first entry at or after `time` need not look further back.
    pub fn page_before(&self, time: Millis) -> Position {
        if !self.tail.is_empty() && self.tail_time < time {
            return self.tail_first;
        }
        let Some((oldest, _)) = self.closed.first_key_value() else {
            return self.tail_first;
        };
        // Pages of a partition are in the order of time and without gaps.
        let page = |number: u64| oldest.0 + number * PAGE_ENTRIES as u64;
        let (mut low, mut high) = (0, (self.tail_first.0 - oldest.0) / PAGE_ENTRIES as u64);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match self.page_of(Position(page(middle))) {
                Some((_, found)) if found.time < time => low = middle,
                Some(_) | None => high = middle,
            }
        }
        Position(page(low))
    }

    /// Where a retained log may begin now: pages go whole, the oldest first, those whose last
    /// entry was stored before `stored_after` and those that are too much for `bytes_max`. The
    /// page that grows stays. Looks at `pages_max` pages at most.
    pub fn retained_from(
        &self,
        stored_after: Millis,
        bytes_max: u64,
        pages_max: usize,
    ) -> Option<Position> {
        let mut bytes = self.closed_bytes;
        let mut from = None;
        let mut pages = self.closed.iter().peekable();
        for _ in 0..pages_max {
            let Some((first, page)) = pages.next() else {
                break;
            };
            // The last entry of a page is not younger than the first of the next one.
            let ended = match (pages.peek(), self.tail.is_empty()) {
                (Some((_, next)), _) => next.time,
                (None, false) => self.tail_time,
                (None, true) => Millis(u64::MAX),
            };
            if ended >= stored_after && bytes <= bytes_max {
                break;
            }
            bytes -= page.bytes;
            from = Some(Position(first.0 + PAGE_ENTRIES as u64));
        }
        from
    }
}
