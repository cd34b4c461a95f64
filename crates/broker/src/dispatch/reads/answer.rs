//! What a read finds, as far as it is in memory.

use super::Work;
use crate::dispatch::lets_through;
use crate::event::{Answer, Bounds, Load, ReadOutcome, ReadResult, Records};
use crate::id::{MessageRef, Millis, PartitionId, Position};
use crate::ledger::{Ledger, Lookup, Pages};
use crate::pass::Read;
use crate::refusal::Refusal;

/// One read scans no more entries than this; the rest is for the next one.
const SCAN_MAX: u32 = 4096;

/// How far a piece of work has come.
pub(super) enum Step {
    Done(Result<Answer, Refusal>),
    Read(ReadResult),
    /// Not everything is in memory.
    Load(Load, Work),
    /// There is nothing yet.
    Wait(Read),
}

impl Work {
    pub fn step(self, ledger: &Ledger, now: Millis, records: &dyn Records) -> Step {
        match self {
            Work::Find(message) if records.record(message).is_some() => {
                Step::Done(Ok(Answer::Message(message)))
            }
            Work::Find(message) => Step::Load(Load::Records(vec![message]), self),
            Work::Gone => Step::Done(Err(Refusal::NoMessage)),
            Work::Bounds(partition) => {
                if let Some((pages, first)) = ledger.partition(partition)
                    && let Lookup::Spilled(slot) = pages.get(first)
                {
                    return Step::Load(Load::Page(slot), self);
                }
                Step::Done(Ok(Answer::Bounds(bounds(partition, ledger))))
            }
            Work::Read(read) => read_step(read, ledger, now, records),
            Work::Search(search) => search.step(ledger, records),
        }
    }
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

/// The answer to a read at the end of its partition for which nothing came.
pub(super) fn at_end(read: &Read, ledger: &Ledger) -> ReadResult {
    ReadResult {
        outcome: ReadOutcome::AtEnd,
        next: read.offset,
        bounds: bounds(read.partition, ledger),
        messages: Vec::new(),
    }
}

fn read_step(read: Read, ledger: &Ledger, now: Millis, records: &dyn Records) -> Step {
    let answer = |outcome, next, messages| {
        Step::Read(ReadResult {
            outcome,
            next,
            bounds: bounds(read.partition, ledger),
            messages,
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
    let next = pages.next();
    if read.offset < first {
        return answer(ReadOutcome::BeforeFirst, first, Vec::new());
    }
    if read.offset > next {
        return answer(ReadOutcome::PastEnd, next, Vec::new());
    }
    if read.offset == next {
        return if waits {
            Step::Wait(read)
        } else {
            Step::Read(at_end(&read, ledger))
        };
    }
    match scan(&read, pages, ledger, records) {
        Err((load, offset)) => Step::Load(load, Work::Read(Read { offset, ..read })),
        Ok((next, messages)) if messages.is_empty() => {
            answer(ReadOutcome::NoneWanted, next, messages)
        }
        Ok((next, messages)) => answer(ReadOutcome::Found, next, messages),
    }
}

/// What a scan found, and where to read on.
type Scanned = (Position, Vec<(Position, MessageRef)>);

/// Collects what a read wants, or tells what must be loaded first and where to go on then.
///
/// What was loaded can be read in one step for certain, and may be dropped from every cache after
/// it. So a read is content with what it has found when something is missing, and what it asks
/// for begins with the first message that it misses: then each load brings it on, however many
/// others read at the same time.
fn scan(
    read: &Read,
    pages: &Pages,
    ledger: &Ledger,
    records: &dyn Records,
) -> Result<Scanned, (Load, Position)> {
    let mut messages = Vec::new();
    let mut missing = Vec::new();
    let mut missing_from = read.offset;
    let mut bytes = 0u64;
    let mut at = read.offset;
    for _ in 0..SCAN_MAX {
        let found = messages.len() + missing.len();
        if at >= pages.next() || found as u64 >= u64::from(read.messages_max) {
            break;
        }
        let entry = match pages.get(at) {
            Lookup::Entry(entry) => entry,
            Lookup::Spilled(slot) if found == 0 => return Err((Load::Page(slot), at)),
            // What was found so far is answered; the page is for the next read.
            Lookup::Spilled(_) | Lookup::Absent => break,
        };
        let tags = read.tags.as_deref();
        if tags.is_none_or(|tags| tags.contains(&entry.aux())) {
            let size = u64::from(entry.size());
            if found > 0 && bytes + size > u64::from(read.bytes_max) {
                break;
            }
            let message = ledger.message(entry);
            match records.record(message) {
                Some(record) if missing.is_empty() => {
                    let filter = read.filter.as_deref();
                    if filter.is_none_or(|filter| lets_through(filter, record, records)) {
                        bytes += size;
                        messages.push((at, message));
                    }
                }
                None if !messages.is_empty() => break,
                Some(_) | None => {
                    if missing.is_empty() {
                        missing_from = at;
                    }
                    bytes += size;
                    missing.push(message);
                }
            }
        }
        at = at.next();
    }
    if missing.is_empty() {
        Ok((at, messages))
    } else {
        Err((Load::Records(missing), missing_from))
    }
}
