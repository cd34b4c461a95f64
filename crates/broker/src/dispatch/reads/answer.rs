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
        Err(load) => Step::Load(load, Work::Read(read)),
        Ok((next, messages)) if messages.is_empty() => {
            answer(ReadOutcome::NoneWanted, next, messages)
        }
        Ok((next, messages)) => answer(ReadOutcome::Found, next, messages),
    }
}

/// What a scan found, and where to read on.
type Scanned = (Position, Vec<(Position, MessageRef)>);

/// Collects what a read wants, or tells what must be loaded first.
fn scan(
    read: &Read,
    pages: &Pages,
    ledger: &Ledger,
    records: &dyn Records,
) -> Result<Scanned, Load> {
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
                return Err(Load::Page(slot));
            }
            // What was found so far is answered; the page is for the next read.
            Lookup::Spilled(_) | Lookup::Absent => break,
        };
        let tags = read.tags.as_deref();
        if tags.is_none_or(|tags| tags.contains(&entry.aux())) {
            let size = u64::from(entry.size());
            if !messages.is_empty() && bytes + size > u64::from(read.bytes_max) {
                break;
            }
            let message = ledger.message(entry);
            let record = records.record(message);
            let wanted = match (record, read.filter.as_deref()) {
                (None, _) => {
                    absent.push(message);
                    true
                }
                (Some(record), Some(filter)) => lets_through(filter, record, records),
                (Some(_), None) => true,
            };
            if wanted {
                bytes += size;
                messages.push((at, message));
            }
        }
        at = at.next();
    }
    if absent.is_empty() {
        Ok((at, messages))
    } else {
        Err(Load::Records(absent))
    }
}
