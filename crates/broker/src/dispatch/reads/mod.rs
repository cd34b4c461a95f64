//! Reads of partitions: no command, no lease. What is there is answered at once; who asks at the
//! end may wait for more.

mod answer;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use super::asked::Asked;
use crate::event::{Effects, Event, Load, Records};
use crate::id::{MessageRef, Millis, PartitionId, SessionId, Token};
use crate::ledger::Ledger;
use crate::pass::{Read, Side};
use answer::Step;
use search::Search;

/// No more reads than this wait for messages; a further one is answered at once.
const WAITING_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub struct Reads {
    /// To be looked at in the next step.
    ready: Vec<(SessionId, Token, Work)>,
    /// Wait for a record or a page.
    loading: Vec<(SessionId, Token, Work)>,
    /// Wait for messages, in the order in which they came.
    waiting: BTreeMap<(PartitionId, u64), (SessionId, Token, Read)>,
    /// Until when.
    patience: BTreeSet<(Millis, PartitionId, u64)>,
    next_waiting: u64,
}

#[derive(Clone, Debug)]
enum Work {
    Read(Read),
    Search(Search),
    Find(MessageRef),
    /// What was to be found is in the log no more.
    Gone,
    Bounds(PartitionId),
}

impl Reads {
    pub fn read(&mut self, session: SessionId, token: Token, read: Read) {
        self.ready.push((session, token, Work::Read(read)));
    }

    pub fn find(&mut self, session: SessionId, token: Token, message: MessageRef) {
        self.ready.push((session, token, Work::Find(message)));
    }

    /// Asks for the ends of a partition, the name of its first message included.
    pub fn ask_bounds(&mut self, session: SessionId, token: Token, partition: PartitionId) {
        self.ready.push((session, token, Work::Bounds(partition)));
    }

    /// Starts a search by time.
    pub fn offset_at(
        &mut self,
        session: SessionId,
        token: Token,
        partition: PartitionId,
        time: Millis,
        side: Side,
        ledger: &Ledger,
    ) {
        let search = Search::begin(partition, time, side, ledger);
        self.ready.push((session, token, Work::Search(search)));
    }

    /// A record can never be read again: whoever asked for it by name is told with the next step.
    pub fn record_gone(&mut self, message: MessageRef) {
        for (_, _, work) in &mut self.loading {
            if matches!(work, Work::Find(wanted) if *wanted == message) {
                *work = Work::Gone;
            }
        }
    }

    /// A partition has new messages.
    pub fn grown(&mut self, partition: PartitionId) {
        while let Some((key, _)) = self
            .waiting
            .range((partition, 0)..=(partition, u64::MAX))
            .next()
        {
            let key = *key;
            self.take_waiting(key);
        }
    }

    fn take_waiting(&mut self, key: (PartitionId, u64)) {
        let Some((session, token, read)) = self.waiting.remove(&key) else {
            return;
        };
        if let Some(until) = read.wait_until {
            self.patience.remove(&(until, key.0, key.1));
        }
        self.ready.push((session, token, Work::Read(read)));
    }

    fn wait(&mut self, session: SessionId, token: Token, read: Read) {
        let key = (read.partition, self.next_waiting);
        self.next_waiting += 1;
        if let Some(until) = read.wait_until {
            self.patience.insert((until, key.0, key.1));
        }
        self.waiting.insert(key, (session, token, read));
    }

    /// The session is gone.
    pub fn end(&mut self, session: SessionId) {
        self.ready.retain(|(s, ..)| *s != session);
        self.loading.retain(|(s, ..)| *s != session);
        let patience = &mut self.patience;
        self.waiting.retain(|key, (s, _, read)| {
            let stays = *s != session;
            if let (false, Some(until)) = (stays, read.wait_until) {
                patience.remove(&(until, key.0, key.1));
            }
            stays
        });
    }

    pub fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn deadline(&self) -> Option<Millis> {
        self.patience.first().map(|(until, ..)| *until)
    }

    pub(super) fn advance(
        &mut self,
        ledger: &Ledger,
        now: Millis,
        records: &dyn Records,
        asked: &mut Asked,
        effects: &mut Effects,
    ) {
        while let Some((until, partition, number)) = self.patience.first().copied()
            && until <= now
        {
            self.take_waiting((partition, number));
        }
        let mut work = std::mem::take(&mut self.loading);
        work.append(&mut self.ready);
        for (session, token, work) in work {
            let result = match work.step(ledger, now, records) {
                Step::Load(load, work) => {
                    match load {
                        Load::Records(messages) => asked.records(messages, now, effects),
                        Load::Page(slot) => asked.page(slot, now, effects),
                    }
                    self.loading.push((session, token, work));
                    continue;
                }
                Step::Wait(read) if self.waiting.len() < WAITING_MAX => {
                    self.wait(session, token, read);
                    continue;
                }
                Step::Wait(read) => answer::at_end(&read, ledger),
                Step::Read(result) => result,
                Step::Done(result) => {
                    effects.events.push(Event::Done {
                        session,
                        token,
                        result,
                    });
                    continue;
                }
            };
            effects.events.push(Event::Read {
                session,
                token,
                result,
            });
        }
    }
}
