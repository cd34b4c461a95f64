//! Reads of partitions: no command, no lease. What is there is answered at once; who asks at the
//! end may wait for more.

use std::collections::{BTreeMap, BTreeSet};

use super::Fate;
use super::asked::Asked;
use crate::event::{
    Answer, Bounds, Effects, Event, Load, PageSlot, ReadOutcome, ReadResult, Records,
};
use crate::id::{MessageRef, Millis, PartitionId, Position, QueueId, SessionId, Token};
use crate::ledger::{Ledger, Lookup, Pages};
use crate::pass::{Read, Side};
use crate::record::Record;
use crate::refusal::Refusal;

/// One read scans no more entries than this; the rest is for the next one.
const SCAN_MAX: u32 = 4096;
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
    /// Messages to be doomed as soon as their page is there.
    doomed: Vec<DoomedLater>,
}

/// A message that is doomed and whose reference is not known yet.
#[derive(Debug)]
pub struct DoomedLater {
    pub slot: PageSlot,
    pub serial: u64,
    pub queue: QueueId,
    pub position: Position,
    pub fate: Fate,
    pub attempts: u32,
}

#[derive(Clone, Debug)]
enum Work {
    Read(Read),
    Search {
        partition: PartitionId,
        time: Millis,
        side: Side,
        low: Position,
        high: Position,
    },
    Find(MessageRef),
    /// What was to be found is in the log no more.
    Gone,
    Bounds(PartitionId),
}

enum Step {
    Answer(Event),
    /// Not everything is in memory.
    Load(Work),
    Wait(Read),
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

    /// Starts a search by time, by bisection over the records.
    pub fn offset_at(
        &mut self,
        session: SessionId,
        token: Token,
        partition: PartitionId,
        time: Millis,
        side: Side,
        ledger: &Ledger,
    ) {
        let (low, high) = match ledger.partition(partition) {
            Some((pages, first)) => (
                pages.page_before(side.threshold(time)).max(first),
                pages.next(),
            ),
            None => (Position(0), Position(0)),
        };
        let work = Work::Search {
            partition,
            time,
            side,
            low,
            high,
        };
        self.ready.push((session, token, work));
    }

    fn bounds(partition: PartitionId, ledger: &Ledger) -> Bounds {
        let Some((pages, first)) = ledger.partition(partition) else {
            return Bounds::default();
        };
        let earliest = match pages.get(first) {
            Lookup::Entry(entry) => Some(ledger.message(entry)),
            Lookup::Absent | Lookup::Spilled(_) => None,
        };
        Bounds {
            first,
            next: pages.next(),
            earliest,
        }
    }

    pub fn doom_later(&mut self, doomed: DoomedLater) {
        self.doomed.push(doomed);
    }

    /// Those whose page is there, or gone.
    pub fn page_loaded(&mut self, slot: PageSlot) -> Vec<DoomedLater> {
        let all = std::mem::take(&mut self.doomed);
        let (here, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.slot == slot);
        self.doomed = rest;
        here
    }

    /// The serials of what waits for a page of a queue that is gone.
    pub fn queue_removed(&mut self, queue: QueueId) -> Vec<u64> {
        let all = std::mem::take(&mut self.doomed);
        let (gone, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|d| d.queue == queue);
        self.doomed = rest;
        gone.into_iter().map(|doomed| doomed.serial).collect()
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
        for doomed in &self.doomed {
            asked.page(doomed.slot, now, effects);
        }
        while let Some((until, partition, number)) = self.patience.first().copied()
            && until <= now
        {
            self.take_waiting((partition, number));
        }
        let mut work = std::mem::take(&mut self.loading);
        work.append(&mut self.ready);
        for (session, token, work) in work {
            let mut missing = Missing { loads: Vec::new() };
            match step(session, token, work, ledger, now, records, &mut missing) {
                Step::Answer(event) => effects.events.push(event),
                Step::Load(work) => {
                    for load in missing.loads {
                        match load {
                            Load::Records(messages) => asked.records(messages, now, effects),
                            Load::Page(slot) => asked.page(slot, now, effects),
                        }
                    }
                    self.loading.push((session, token, work));
                }
                Step::Wait(read) if self.waiting.len() < WAITING_MAX => {
                    self.wait(session, token, read);
                }
                Step::Wait(read) => {
                    let bounds = Self::bounds(read.partition, ledger);
                    let (outcome, next) = (ReadOutcome::AtEnd, read.offset);
                    let result = ReadResult {
                        outcome,
                        next,
                        bounds,
                        messages: Vec::new(),
                    };
                    effects.events.push(Event::Read {
                        session,
                        token,
                        result,
                    });
                }
            }
        }
    }
}

/// What a step could not see.
struct Missing {
    loads: Vec<Load>,
}

fn step(
    session: SessionId,
    token: Token,
    work: Work,
    ledger: &Ledger,
    now: Millis,
    records: &dyn Records,
    missing: &mut Missing,
) -> Step {
    match work {
        Work::Find(message) => {
            if records.record(message).is_some() {
                let result = Ok(Answer::Message(message));
                return Step::Answer(Event::Done {
                    session,
                    token,
                    result,
                });
            }
            missing.loads.push(Load::Records(vec![message]));
            Step::Load(Work::Find(message))
        }
        Work::Gone => Step::Answer(Event::Done {
            session,
            token,
            result: Err(Refusal::NoMessage),
        }),
        Work::Bounds(partition) => {
            let bounds = Reads::bounds(partition, ledger);
            if let Some((pages, first)) = ledger.partition(partition)
                && let Lookup::Spilled(slot) = pages.get(first)
            {
                missing.loads.push(Load::Page(slot));
                return Step::Load(Work::Bounds(partition));
            }
            let result = Ok(Answer::Bounds(bounds));
            Step::Answer(Event::Done {
                session,
                token,
                result,
            })
        }
        Work::Read(read) => read_step(session, token, read, ledger, now, records, missing),
        Work::Search {
            partition,
            time,
            side,
            low,
            high,
        } => search_step(
            session,
            token,
            (partition, time, side, low, high),
            ledger,
            records,
            missing,
        ),
    }
}

fn read_step(
    session: SessionId,
    token: Token,
    read: Read,
    ledger: &Ledger,
    now: Millis,
    records: &dyn Records,
    missing: &mut Missing,
) -> Step {
    let bounds = Reads::bounds(read.partition, ledger);
    let answer = |outcome, next, messages| {
        let result = ReadResult {
            outcome,
            next,
            bounds,
            messages,
        };
        Step::Answer(Event::Read {
            session,
            token,
            result,
        })
    };
    let waits = read.wait_until.is_some_and(|until| until > now);
    let Some((pages, first)) = ledger.partition(read.partition) else {
        return if waits && read.offset == Position(0) {
            Step::Wait(read)
        } else {
            answer(ReadOutcome::Empty, Position(0), Vec::new())
        };
    };
    if read.offset < first {
        return answer(ReadOutcome::BeforeFirst, first, Vec::new());
    }
    if read.offset > pages.next() {
        return answer(ReadOutcome::PastEnd, pages.next(), Vec::new());
    }
    if read.offset == pages.next() {
        return if waits {
            Step::Wait(read)
        } else {
            answer(ReadOutcome::AtEnd, read.offset, Vec::new())
        };
    }
    match scan(&read, pages, ledger, records, missing) {
        None => Step::Load(Work::Read(read)),
        Some((next, messages)) if messages.is_empty() => {
            answer(ReadOutcome::NoneWanted, next, Vec::new())
        }
        Some((next, messages)) => answer(ReadOutcome::Found, next, messages),
    }
}

/// Collects what a read wants; `None` if something must be loaded first.
fn scan(
    read: &Read,
    pages: &Pages,
    ledger: &Ledger,
    records: &dyn Records,
    missing: &mut Missing,
) -> Option<(Position, Vec<(Position, MessageRef)>)> {
    let mut messages = Vec::new();
    let mut absent = Vec::new();
    let mut bytes = 0u64;
    let mut at = read.offset;
    for _ in 0..SCAN_MAX {
        if at >= pages.next() || messages.len() as u32 >= read.messages_max {
            break;
        }
        let entry = match pages.get(at) {
            Lookup::Entry(entry) => entry,
            Lookup::Spilled(slot) if messages.is_empty() && absent.is_empty() => {
                missing.loads.push(Load::Page(slot));
                return None;
            }
            // What was found so far is answered; the page is for the next read.
            Lookup::Spilled(_) | Lookup::Absent => break,
        };
        if read
            .tags
            .as_ref()
            .is_none_or(|tags| tags.contains(&entry.aux()))
        {
            if !messages.is_empty() && bytes + u64::from(entry.size()) > u64::from(read.bytes_max) {
                break;
            }
            let message = ledger.message(entry);
            match records.record(message) {
                None => {
                    absent.push(message);
                    bytes += u64::from(entry.size());
                    messages.push((at, message));
                }
                Some(record) => {
                    if wants(read, record, records) {
                        bytes += u64::from(entry.size());
                        messages.push((at, message));
                    }
                }
            }
        }
        at = at.next();
    }
    if absent.is_empty() {
        return Some((at, messages));
    }
    missing.loads.push(Load::Records(absent));
    None
}

fn wants(read: &Read, bytes: &[u8], records: &dyn Records) -> bool {
    let Some(filter) = &read.filter else {
        return true;
    };
    let mut wants = false;
    if let Ok(record) = Record::decode(bytes) {
        let mut look = |properties: &dyn crate::properties::Properties| {
            wants = filter.matches(properties);
        };
        records.with_properties(&record, &mut look);
    }
    wants
}

impl Side {
    /// What is searched: the first one at or after a time, and for the upper side, after it.
    fn threshold(self, time: Millis) -> Millis {
        match self {
            Side::Lower => time,
            Side::Upper => time.plus(1),
        }
    }
}

/// Bisects `low..high` for the first position whose record is not older than `time`.
fn search_step(
    session: SessionId,
    token: Token,
    search: (PartitionId, Millis, Side, Position, Position),
    ledger: &Ledger,
    records: &dyn Records,
    missing: &mut Missing,
) -> Step {
    let (partition, time, side, mut low, mut high) = search;
    let threshold = side.threshold(time);
    let Some((pages, first)) = ledger.partition(partition) else {
        let result = Ok(Answer::Offset(None));
        return Step::Answer(Event::Done {
            session,
            token,
            result,
        });
    };
    while low < high {
        let middle = Position(low.0 + (high.0 - low.0) / 2);
        let again = Work::Search {
            partition,
            time,
            side,
            low,
            high,
        };
        let entry = match pages.get(middle) {
            Lookup::Entry(entry) => entry,
            Lookup::Spilled(slot) => {
                missing.loads.push(Load::Page(slot));
                return Step::Load(again);
            }
            // Trimmed meanwhile.
            Lookup::Absent => {
                low = middle.next();
                continue;
            }
        };
        let message = ledger.message(entry);
        let Some(bytes) = records.record(message) else {
            missing.loads.push(Load::Records(vec![message]));
            return Step::Load(again);
        };
        let received = Record::decode(bytes)
            .map(|r| r.envelope.received)
            .unwrap_or(Millis(0));
        if received < threshold {
            low = middle.next();
        } else {
            high = middle;
        }
    }
    let found = match side {
        Side::Lower => low,
        Side::Upper => Position(low.0.saturating_sub(1)),
    };
    let result = Ok(Answer::Offset(Some(found.clamp(first, pages.next()))));
    Step::Answer(Event::Done {
        session,
        token,
        result,
    })
}
