//! What dispatch wants logged, and which messages are on their way out of their queues.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::event::PageSlot;
use crate::id::{MessageRef, Position, QueueId, SessionId};
use crate::ledger::{Fact, Ledger, Lookup, Reason};
use crate::pass::Forward;
use crate::record::DeathReason;
use crate::topology::DeadLetter;

/// Messages that are on their way out at a time; further ones expire when there is room again.
const DOOMED_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub facts: Vec<Fact>,
    /// Somebody waits for one of the facts.
    pub must_sync: bool,
    pub doomed: Vec<Doomed>,
    /// Wait for the page that says which messages they are.
    unread: Vec<Unread>,
    last_serial: u64,
    /// The serials of doomed messages of which it is not decided yet where they go.
    undecided: BTreeSet<u64>,
}

/// A message that shall leave its queue for another place, or for none.
#[derive(Clone, PartialEq, Debug)]
pub struct Doomed {
    /// In the order in which they were doomed.
    pub serial: u64,
    pub queue: QueueId,
    pub position: Position,
    pub message: MessageRef,
    pub fate: Fate,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Fate {
    Died {
        reason: DeathReason,
        fallback: Option<DeadLetter>,
        cause: Option<Box<str>>,
    },
    /// With the session that is told of it.
    Forward(Forward, SessionId),
}

impl Fate {
    pub(super) const EXPIRED: Fate = Fate::Died {
        reason: DeathReason::Expired,
        fallback: None,
        cause: None,
    };
}

/// A doomed message of which only the position is in memory.
#[derive(Debug)]
struct Unread {
    slot: PageSlot,
    serial: u64,
    queue: QueueId,
    position: Position,
    fate: Fate,
}

impl Wanted {
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.doomed.is_empty()
    }

    /// The mark is moved: what is below it may be handed out once that is applied, so it must be
    /// synced before. It happens once in thousands of messages.
    pub fn offer(&mut self, queue: QueueId, below: Position) {
        self.facts.push(Fact::Offered { queue, below });
        self.must_sync = true;
    }

    pub fn settle(&mut self, queue: QueueId, range: Range<Position>, reason: Reason) {
        Fact::Settled {
            queue,
            range,
            reason,
        }
        .join(&mut self.facts);
    }

    fn next_serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.undecided.insert(self.last_serial);
        self.last_serial
    }

    /// A message begins to leave.
    pub fn doom(&mut self, queue: QueueId, position: Position, message: MessageRef, fate: Fate) {
        let serial = self.next_serial();
        self.doomed.push(Doomed {
            serial,
            queue,
            position,
            message,
            fate,
        });
    }

    /// The same, for a message whose page must be loaded first.
    pub fn doom_unread(&mut self, slot: PageSlot, queue: QueueId, position: Position, fate: Fate) {
        let serial = self.next_serial();
        self.unread.push(Unread {
            slot,
            serial,
            queue,
            position,
            fate,
        });
    }

    /// The pages that doomed messages wait for.
    pub fn unread_pages(&self) -> impl Iterator<Item = PageSlot> + '_ {
        self.unread.iter().map(|unread| unread.slot)
    }

    /// A page is there, or went meanwhile.
    pub fn page_came(&mut self, slot: PageSlot, ledger: &Ledger) {
        for unread in self.unread.extract_if(.., |unread| unread.slot == slot) {
            let Unread {
                slot: _,
                serial,
                queue,
                position,
                fate,
            } = unread;
            let entry = ledger.queue(queue).map(|known| known.pages.get(position));
            if let Some(Lookup::Entry(entry)) = entry {
                self.doomed.push(Doomed {
                    serial,
                    queue,
                    position,
                    message: ledger.message(entry),
                    fate,
                });
            } else {
                self.undecided.remove(&serial);
            }
        }
    }

    /// What waits for a page of this queue goes nowhere.
    pub fn queue_removed(&mut self, queue: QueueId) {
        for gone in self.unread.extract_if(.., |unread| unread.queue == queue) {
            self.undecided.remove(&gone.serial);
        }
    }

    /// It is decided where a doomed message goes.
    pub fn decided(&mut self, serial: u64) {
        self.undecided.remove(&serial);
    }

    pub fn last_serial(&self) -> u64 {
        self.last_serial
    }

    pub fn is_undecided_up_to(&self, serial: u64) -> bool {
        self.undecided.first().is_some_and(|first| *first <= serial)
    }

    /// Too many are on their way out for more to expire.
    pub fn is_burdened(&self) -> bool {
        self.undecided.len() >= DOOMED_MAX
    }
}
