//! The slow sweep: messages that expire behind one that does not are found without anybody
//! asking for them.
//!
//! Caveat: entries on pages that lie in the page file only are left to their delivery.

use super::{Dispatch, Fate};
use crate::id::{Millis, Position, QueueId};
use crate::ledger::{Ledger, Lookup};

/// From the end of one sweep to the next.
const EVERY_MS: u64 = 30_000;
/// Between two steps of a sweep.
const STEP_MS: u64 = 10;
/// One step looks at no more entries than this.
const LOOKS_MAX: u32 = 1024;

#[derive(Debug)]
pub(super) struct Sweep {
    next: Option<Millis>,
    /// Where the next step goes on.
    at: (QueueId, Position),
}

impl Sweep {
    pub const REST: Sweep = Sweep {
        next: None,
        at: (QueueId(0), Position(0)),
    };

    pub fn deadline(&self) -> Option<Millis> {
        self.next
    }
}

impl Dispatch {
    pub(super) fn advance_sweep(&mut self, ledger: &Ledger, now: Millis) {
        if ledger.expiring(QueueId(0)).next().is_none() {
            self.sweep = Sweep::REST;
            return;
        }
        if *self.sweep.next.get_or_insert(now.plus(EVERY_MS)) > now {
            return;
        }
        let mut looks = LOOKS_MAX;
        loop {
            let (from, _) = self.sweep.at;
            let Some(queue) = ledger.expiring(from).next() else {
                self.sweep.at = Sweep::REST.at;
                self.sweep.next = Some(now.plus(EVERY_MS));
                return;
            };
            if queue != from {
                self.sweep.at = (queue, Position(0));
            }
            self.sweep_queue(queue, ledger, now, &mut looks);
            if looks == 0 || self.wanted.is_burdened() {
                self.sweep.next = Some(now.plus(STEP_MS));
                return;
            }
            self.sweep.at = (QueueId(queue.0 + 1), Position(0));
        }
    }

    fn sweep_queue(&mut self, queue: QueueId, ledger: &Ledger, now: Millis, looks: &mut u32) {
        let Some(known) = ledger.queue(queue) else {
            return;
        };
        *looks -= 1;
        while *looks > 0
            && !self.wanted.is_burdened()
            && let Some(position) = known.pages.next_live(self.sweep.at.1)
        {
            *looks -= 1;
            self.sweep.at.1 = match known.pages.get(position) {
                Lookup::Entry(entry) => {
                    if entry.has_expired(now) && self.is_free(queue, position, ledger) {
                        self.doom(queue, position, Fate::EXPIRED, ledger);
                    }
                    position.next()
                }
                Lookup::Spilled(_) => known.pages.page_end(position),
                Lookup::Absent => position.next(),
            };
        }
    }

    fn is_free(&mut self, queue: QueueId, position: Position, ledger: &Ledger) -> bool {
        Self::queue(&mut self.queues, queue, ledger)
            .is_some_and(|(state, _)| state.is_free(position))
    }
}
