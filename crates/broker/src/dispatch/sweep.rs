//! The slow sweep: messages that expire behind one that does not are found without anybody
//! asking for them. A page that lies in the page file only is read if it may hold one; the
//! directory of pages knows. They are read one by one, at a pace that leaves the disk to others.
//!
//! Caveat: a page of which something has expired and something lives is read in every sweep.

use super::{Dispatch, Fate};
use crate::event::Effects;
use crate::id::{Millis, Position, QueueId};
use crate::ledger::{Ledger, Lookup};

/// From the end of one sweep to the next.
const EVERY_MS: u64 = 30_000;
/// Between two steps of a sweep.
const STEP_MS: u64 = 10;
/// Between two pages that must be loaded.
const PAGE_MS: u64 = 50;
/// One step looks at no more entries than this.
const LOOKS_MAX: u32 = 1024;

/// What stopped the sweep of a queue.
enum Stop {
    End,
    /// Enough was looked at for one step, or too much is on its way out.
    Step,
    /// A page is on its way.
    Page,
}

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
    pub(super) fn advance_sweep(&mut self, ledger: &Ledger, now: Millis, effects: &mut Effects) {
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
            let pause_ms = match self.sweep_queue(queue, ledger, now, &mut looks, effects) {
                Stop::End => {
                    self.sweep.at = (QueueId(queue.0 + 1), Position(0));
                    continue;
                }
                Stop::Step => STEP_MS,
                Stop::Page => PAGE_MS,
            };
            self.sweep.next = Some(now.plus(pause_ms));
            return;
        }
    }

    fn sweep_queue(
        &mut self,
        queue: QueueId,
        ledger: &Ledger,
        now: Millis,
        looks: &mut u32,
        effects: &mut Effects,
    ) -> Stop {
        loop {
            if *looks == 0 || self.wanted.is_burdened() {
                return Stop::Step;
            }
            *looks -= 1;
            let live = ledger.queue(queue).map(|known| &known.pages);
            let Some((pages, position)) =
                live.and_then(|pages| Some((pages, pages.next_live(self.sweep.at.1)?)))
            else {
                return Stop::End;
            };
            self.sweep.at.1 = match pages.get(position) {
                Lookup::Entry(entry) => {
                    if entry.has_expired(now) && self.is_free(queue, position, ledger) {
                        self.doom(queue, position, Fate::EXPIRED, ledger);
                    }
                    position.next()
                }
                Lookup::Spilled(slot) if pages.may_have_expired(position, now) => {
                    self.asked.page(slot, now, effects);
                    return Stop::Page;
                }
                Lookup::Spilled(_) => pages.page_end(position),
                Lookup::Absent => position.next(),
            };
        }
    }

    fn is_free(&mut self, queue: QueueId, position: Position, ledger: &Ledger) -> bool {
        Self::queue(&mut self.queues, queue, ledger)
            .is_some_and(|(state, _)| state.is_free(position))
    }
}
