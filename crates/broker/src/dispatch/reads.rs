//! Reads of partitions: no command, no lease. What is there is answered at once; who asks at the
//! end may wait for more.

use std::collections::BTreeMap;

use super::Fate;
use crate::event::{Answer, Bounds, Effects, Event, Load, PageSlot, ReadOutcome, ReadResult, Records};
use crate::id::{MessageRef, Millis, PartitionId, Position, QueueId, SessionId, Token};
use crate::ledger::{Ledger, Lookup, Pages};
use crate::pass::{Read, Side};
use crate::record::Record;

/// One read scans no more entries than this; the rest is for the next one.
const SCAN_MAX: u32 = 4096;
/// A session has no more reads waiting than this; a further one is answered at once.
const WAITING_MAX: usize = 4096;

#[derive(Debug, Default)]
pub struct Reads {
    /// To be looked at in the next step.
    ready: Vec<(SessionId, Token, Work)>,
    /// Wait for a record or a page.
    loading: Vec<(SessionId, Token, Work)>,
    /// Wait for messages.
    waiting: BTreeMap<PartitionId, Vec<(SessionId, Token, Read)>>,
    waiting_count: usize,
    /// Messages to be doomed as soon as their page is there.
    doomed: Vec<(PageSlot, QueueId, Position, Fate, u32)>,
    loads: Vec<PageSlot>,
}

#[derive(Clone, Debug)]
enum Work {
    Read(Read),
    Search { partition: PartitionId, time: Millis, side: Side, low: Position, high: Position },
    Find(MessageRef),
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
            Some((pages, first)) => (pages.page_before(time).max(first), pages.next()),
            None => (Position(0), Position(0)),
        };
        let work = Work::Search { partition, time, side, low, high };
        self.ready.push((session, token, work));
    }

    pub fn bounds(partition: PartitionId, ledger: &Ledger) -> Bounds {
        let Some((pages, first)) = ledger.partition(partition) else { return Bounds::default() };
        let earliest = match pages.get(first) {
            Lookup::Entry(entry) => Some(ledger.message(entry)),
            Lookup::Absent | Lookup::Spilled(_) => None,
        };
        Bounds { first, next: pages.next(), earliest }
    }

    pub fn doom_later(
        &mut self,
        slot: PageSlot,
        queue: QueueId,
        position: Position,
        fate: Fate,
        attempts: u32,
    ) {
        self.doomed.push((slot, queue, position, fate, attempts));
        self.loads.push(slot);
    }

    pub fn page_loaded(&mut self, slot: PageSlot) -> Vec<(QueueId, Position, Fate, u32)> {
        let all = std::mem::take(&mut self.doomed);
        let (here, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(s, ..)| *s == slot);
        self.doomed = rest;
        here.into_iter().map(|(_, queue, at, fate, attempts)| (queue, at, fate, attempts)).collect()
    }

    /// A partition has new messages.
    pub fn grown(&mut self, partition: PartitionId) {
        let Some(waiting) = self.waiting.remove(&partition) else { return };
        self.waiting_count -= waiting.len();
        let work = waiting.into_iter().map(|(s, t, read)| (s, t, Work::Read(read)));
        self.ready.extend(work);
    }

    pub fn end(&mut self, session: SessionId) {
        self.ready.retain(|(s, ..)| *s != session);
        self.loading.retain(|(s, ..)| *s != session);
        for waiting in self.waiting.values_mut() {
            let before = waiting.len();
            waiting.retain(|(s, ..)| *s != session);
            self.waiting_count -= before - waiting.len();
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
    }

    pub fn deadline(&self) -> Option<Millis> {
        let waits = self.waiting.values().flatten().filter_map(|(_, _, read)| read.wait_until);
        if self.ready.is_empty() { waits.min() } else { Some(Millis(0)) }
    }

    pub fn advance(
        &mut self,
        ledger: &Ledger,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        effects.loads.extend(self.loads.drain(..).map(Load::Page));
        let over = |read: &Read| read.wait_until.is_some_and(|until| until <= now);
        for waiting in self.waiting.values_mut() {
            let (due, rest): (Vec<_>, Vec<_>) =
                std::mem::take(waiting).into_iter().partition(|(_, _, read)| over(read));
            *waiting = rest;
            self.waiting_count -= due.len();
            let due = due.into_iter().map(|(s, t, read)| (s, t, Work::Read(read)));
            self.ready.extend(due);
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        // What was loaded is tried again with everything else; what is still missing was asked
        // for already and is asked for again only if it was dropped meanwhile.
        let mut work = std::mem::take(&mut self.loading);
        let first_time = work.len();
        work.append(&mut self.ready);
        for (at, (session, token, work)) in work.into_iter().enumerate() {
            let mut missing = Missing { loads: Vec::new() };
            match step(session, token, work, ledger, now, records, &mut missing) {
                Step::Answer(event) => effects.events.push(event),
                Step::Load(work) => {
                    if at >= first_time || missing.moved_on(&work) {
                        effects.loads.append(&mut missing.loads);
                    }
                    self.loading.push((session, token, work));
                }
                Step::Wait(read) if self.waiting_count < WAITING_MAX => {
                    self.waiting_count += 1;
                    self.waiting.entry(read.partition).or_default().push((session, token, read));
                }
                Step::Wait(read) => {
                    let bounds = Self::bounds(read.partition, ledger);
                    let (outcome, next) = (ReadOutcome::AtEnd, read.offset);
                    let result = ReadResult { outcome, next, bounds, messages: Vec::new() };
                    effects.events.push(Event::Read { session, token, result });
                }
            }
        }
    }
}

/// What a step could not see.
struct Missing {
    loads: Vec<Load>,
}

impl Missing {
    /// A bisection and a scan over pages ask for something new each time.
    fn moved_on(&self, work: &Work) -> bool {
        !self.loads.is_empty() && !matches!(work, Work::Find(_))
    }
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
                return Step::Answer(Event::Done { session, token, result });
            }
            missing.loads.push(Load::Records(vec![message]));
            Step::Load(Work::Find(message))
        }
        Work::Read(read) => read_step(session, token, read, ledger, now, records, missing),
        Work::Search { partition, time, side, low, high } => {
            search_step(session, token, (partition, time, side, low, high), ledger, records, missing)
        }
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
        let result = ReadResult { outcome, next, bounds, messages };
        Step::Answer(Event::Read { session, token, result })
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
        if read.tags.as_ref().is_none_or(|tags| tags.contains(&entry.aux())) {
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
    let Some(filter) = &read.filter else { return true };
    let mut wants = false;
    if let Ok(record) = Record::decode(bytes) {
        let mut look = |properties: &dyn crate::properties::Properties| {
            wants = filter.matches(properties);
        };
        records.with_properties(&record, &mut look);
    }
    wants
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
    // The first one at or after `time`; for the upper side, the first one after it.
    let threshold = match side {
        Side::Lower => time,
        Side::Upper => time.plus(1),
    };
    let Some((pages, first)) = ledger.partition(partition) else {
        let result = Ok(Answer::Offset(None));
        return Step::Answer(Event::Done { session, token, result });
    };
    while low < high {
        let middle = Position(low.0 + (high.0 - low.0) / 2);
        let again = Work::Search { partition, time, side, low, high };
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
        let received = Record::decode(bytes).map(|r| r.envelope.received).unwrap_or(Millis(0));
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
    Step::Answer(Event::Done { session, token, result })
}
