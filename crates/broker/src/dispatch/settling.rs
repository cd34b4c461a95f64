//! Settling: what becomes of messages that were handed out, and of those that leave otherwise.

use super::{Dispatch, Doomed, Fate, Out};
use crate::id::{Position, QueueId, SessionId};
use crate::ledger::{Fact, Ledger, Lookup, Reason, Settled};
use crate::pass::Outcome;
use crate::record::DeathReason;

impl Dispatch {
    /// Settles one position in one of the ways in which a consumer can.
    pub fn settle(
        &mut self,
        session: SessionId,
        queue: QueueId,
        position: Position,
        outcome: &Outcome,
        ledger: &Ledger,
    ) {
        let Some((state, known)) = Self::queue(&mut self.queues, queue, ledger) else {
            return;
        };
        let lease = match state.out.get(&position) {
            Some(Out::Settling | Out::Returning) => return,
            Some(Out::Leased {
                session: holder, ..
            }) if *holder != session => return,
            Some(Out::Leased { redelivered, .. }) => Some(*redelivered),
            None if known.pages.is_live(position) => None,
            None => return,
        };
        match outcome {
            Outcome::Accept => {
                state.take_out(position, Out::Settling);
                let range = position..position.next();
                self.wanted.settle(queue, range, Reason::Accepted);
            }
            Outcome::Release | Outcome::ReleaseUntouched => {
                let Some(redelivered) = lease else { return };
                let touched = *outcome == Outcome::Release;
                state.give_back(position, redelivered || touched);
                self.mark_dirty(queue, ledger);
            }
            Outcome::ReleaseCounted => {
                if lease.is_none() {
                    return;
                }
                state.set_out(position, Some(Out::Returning));
                if let Some(strands) = &mut state.strands {
                    strands.returning(position);
                }
                let attempts = known.attempts(position) + 1;
                self.wanted.facts.push(Fact::Returned {
                    queue,
                    position,
                    attempts,
                });
            }
            Outcome::Reject { fallback, cause } => {
                let fate = Fate::Died {
                    reason: DeathReason::Rejected,
                    fallback: fallback.clone(),
                    cause: cause.clone(),
                };
                self.doom(queue, position, fate, ledger);
            }
            Outcome::Expired => self.doom(queue, position, Fate::EXPIRED, ledger),
            Outcome::Forward(forward) => {
                let fate = Fate::Forward(forward.clone(), session);
                self.doom(queue, position, fate, ledger);
            }
        }
    }

    /// Takes a live position out for good; the node says where it goes. If its page is not in
    /// memory, the reference is found when the page has been loaded.
    pub(super) fn doom(&mut self, queue: QueueId, position: Position, fate: Fate, ledger: &Ledger) {
        let (state, known) =
            Self::queue(&mut self.queues, queue, ledger).expect("a live position has a queue");
        match known.pages.get(position) {
            Lookup::Entry(entry) => {
                state.take_out(position, Out::Settling);
                self.wanted
                    .doom(queue, position, ledger.message(entry), fate);
            }
            Lookup::Spilled(slot) => {
                state.take_out(position, Out::Settling);
                self.wanted.doom_unread(slot, queue, position, fate);
            }
            Lookup::Absent => {}
        }
    }

    /// Takes everything that is ready out of a queue; tells how much that was.
    pub fn purge(&mut self, queue: QueueId, ledger: &Ledger) -> u64 {
        let Some((state, known)) = Self::queue(&mut self.queues, queue, ledger) else {
            return 0;
        };
        let ready = state.ready(known);
        for position in std::mem::take(&mut state.returned).into_keys() {
            if position < state.cursor {
                self.wanted
                    .settle(queue, position..position.next(), Reason::Purged);
            }
        }
        let end = known.pages.next();
        let mut start = std::mem::replace(&mut state.cursor, end);
        let mut holes: Vec<_> = state
            .out
            .keys()
            .filter(|at| **at >= start)
            .copied()
            .collect();
        holes.sort_unstable();
        for hole in holes.into_iter().chain([end]) {
            if start < hole {
                self.wanted.settle(queue, start..hole, Reason::Purged);
            }
            start = hole.next();
        }
        state.purging += ready;
        ready
    }

    /// A range was settled in the ledger.
    pub fn settled(&mut self, settled: Settled) {
        let Settled {
            queue,
            range,
            reason,
            count,
        } = settled;
        let Some(state) = self.queues.get_mut(&queue) else {
            return;
        };
        let was_out = state.out.len();
        if range.end.0 - range.start.0 <= state.out.len() as u64 {
            for position in range.start.0..range.end.0 {
                state.forget(Position(position));
            }
        } else {
            let mut gone: Vec<_> = state.out.keys().copied().collect();
            gone.retain(|position| range.contains(position));
            gone.into_iter().for_each(|at| state.forget(at));
        }
        if reason == Reason::Purged {
            let others = count.saturating_sub((was_out - state.out.len()) as u64);
            state.purging = state.purging.saturating_sub(others);
        }
        while let Some((position, _)) = state.returned.range(range.clone()).next() {
            let position = *position;
            state.returned.remove(&position);
        }
    }

    /// A counted release was logged.
    pub fn returned(&mut self, queue: QueueId, position: Position, ledger: &Ledger) {
        if let Some(state) = self.queues.get_mut(&queue)
            && state.out.get(&position) == Some(&Out::Returning)
        {
            state.give_back(position, true);
        }
        self.mark_dirty(queue, ledger);
    }

    /// The serial of the last message that was doomed.
    pub fn last_doomed(&self) -> u64 {
        self.wanted.last_serial()
    }

    /// Whether a message with this serial, or one doomed before, is still on its way out.
    pub fn is_dooming(&self, serial: u64) -> bool {
        self.wanted.is_undecided_up_to(serial)
    }

    /// It is decided where a doomed message goes.
    pub fn doom_decided(&mut self, serial: u64) {
        self.wanted.decided(serial);
    }

    /// A doomed message could not go where it should and is free again.
    pub fn reprieve(&mut self, doomed: &Doomed, ledger: &Ledger) {
        self.doom_decided(doomed.serial);
        if let Some(state) = self.queues.get_mut(&doomed.queue) {
            state.give_back(doomed.position, true);
        }
        self.mark_dirty(doomed.queue, ledger);
    }

    /// Settles a doomed message that goes nowhere.
    pub fn settle_now(&mut self, doomed: &Doomed, reason: Reason) {
        let range = doomed.position..doomed.position.next();
        self.wanted.settle(doomed.queue, range, reason);
    }
}
