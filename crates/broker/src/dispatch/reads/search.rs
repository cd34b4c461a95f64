//! The search of a partition by time: bisection over the records' own times.

use super::Work;
use super::answer::Step;
use crate::event::{Answer, Load, Records};
use crate::id::{Millis, PartitionId, Position};
use crate::ledger::{Ledger, Lookup};
use crate::pass::Side;
use crate::record::Record;

/// What is searched lies in `low..=high`.
#[derive(Clone, Debug)]
pub(super) struct Search {
    partition: PartitionId,
    time: Millis,
    side: Side,
    low: Position,
    high: Position,
}

impl Search {
    pub fn begin(partition: PartitionId, time: Millis, side: Side, ledger: &Ledger) -> Search {
        let (low, high) = match ledger.partition(partition) {
            Some((pages, first)) => (
                pages.page_before(threshold(time, side)).max(first),
                pages.next(),
            ),
            None => (Position(0), Position(0)),
        };
        Search {
            partition,
            time,
            side,
            low,
            high,
        }
    }

    pub fn step(mut self, ledger: &Ledger, records: &dyn Records) -> Step {
        let threshold = threshold(self.time, self.side);
        let Some((pages, first)) = ledger.partition(self.partition) else {
            return Step::Done(Ok(Answer::Offset(None)));
        };
        while self.low < self.high {
            let middle = Position(self.low.0 + (self.high.0 - self.low.0) / 2);
            let entry = match pages.get(middle) {
                Lookup::Entry(entry) => entry,
                Lookup::Spilled(slot) => {
                    return Step::Load(Load::Page(slot), Work::Search(self));
                }
                // Trimmed meanwhile.
                Lookup::Absent => {
                    self.low = middle.next();
                    continue;
                }
            };
            let message = ledger.message(entry);
            let Some(bytes) = records.record(message) else {
                return Step::Load(Load::Records(vec![message]), Work::Search(self));
            };
            let received = Record::decode(bytes)
                .map(|record| record.envelope.received)
                .unwrap_or(Millis(0));
            if received < threshold {
                self.low = middle.next();
            } else {
                self.high = middle;
            }
        }
        let found = match self.side {
            Side::Lower => self.low,
            Side::Upper => Position(self.low.0.saturating_sub(1)),
        };
        Step::Done(Ok(Answer::Offset(Some(found.clamp(first, pages.next())))))
    }
}

/// What is searched: the first one that is not older than this.
fn threshold(time: Millis, side: Side) -> Millis {
    match side {
        Side::Lower => time,
        // The first one after it; the one before that is the answer.
        Side::Upper => time.plus(1),
    }
}
