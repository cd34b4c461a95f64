//! Messages that were kept until they are due: from their buckets back on their way.
//!
//! Three things happen in a step. Finest buckets that time has reached are read, into an ordered set
//! of what comes due next. If there is room for more, coarse buckets that time has reached are
//! carried into finer ones, the earliest first: also after a long absence only as many are opened as
//! are needed next. What is due is taken from the front of the set, routed, and stored like any
//! message that the broker moves. Each of them is bounded, asks for a page or a record that it needs,
//! and goes on in the next step.
//!
//! Messages fire in the order of their due times, as long as those that come due within 64 ms are
//! no more than the set holds; else page by page. Nothing fires before it is due, and nothing
//! before what may stand in front of it in a bucket that is not yet carried or read.
//!
//! Caveat: if the clock is set back, time is that of the last frame until the clock has caught up.

use std::collections::BTreeMap;

use super::Node;
use crate::dispatch::RECORDS_MAX;
use crate::entry::Entry;
use crate::event::{Effects, Records};
use crate::id::{Index, MessageRef, Millis, Position, ShardId};
use crate::ledger::{Bucket, Fact, Ledger, Lookup, PAGE_ENTRIES, Pages};
use crate::record::Record;

/// Messages that are put in order before they fire: 1 MB.
const READY_MAX: usize = 32 * PAGE_ENTRIES;
/// Messages that are on their way from one bucket to another at a time.
const CARRIED_MAX: usize = 16 * PAGE_ENTRIES;
/// Messages that may be carried until a checkpoint writes down the pages they have filled: 4 MB.
const OPENED_MAX: usize = 512 * PAGE_ENTRIES;
/// Messages that have fired and are not yet stored anew.
const FIRED_MAX: usize = 4096;
/// Pages of one bucket that are asked for at a time.
const PAGES_AHEAD: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Timing {
    ready: BTreeMap<Due, Place>,
    /// Up to where buckets have been read that time has reached.
    read: BTreeMap<Bucket, Position>,
    /// Decided and not applied.
    fired: usize,
    carried: usize,
    /// Carried since the last checkpoint.
    opened: usize,
}

/// A message, in the order in which it fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Due {
    at: Millis,
    index: Index,
    slot: u16,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    bucket: Bucket,
    position: Position,
}

/// How far finest buckets were read.
enum Reading {
    Done,
    /// No more can be put in order now.
    Full,
    /// A page is waited for; what stands in front of it can fire.
    Waits {
        before: Millis,
    },
}

impl Due {
    const fn not_before(at: Millis) -> Due {
        Due {
            at,
            index: Index(0),
            slot: 0,
        }
    }

    fn message(self) -> MessageRef {
        MessageRef::new(ShardId::LOG, self.index, self.slot)
    }
}

impl Place {
    fn fired(self) -> Fact {
        Fact::Fired {
            bucket: self.bucket,
            range: self.position..self.position.next(),
        }
    }
}

impl Timing {
    /// When the next step is due; what was due at the last one is on its way.
    pub fn deadline(&self, ledger: &Ledger, advanced: Millis) -> Option<Millis> {
        let time = advanced.max(ledger.time());
        let later = Due::not_before(time.plus(1));
        let ready = self.ready.range(later..).next().map(|(due, _)| due.at);
        let reached = ledger.timers().next_start_after(time);
        ready.into_iter().chain(reached).min()
    }

    /// Facts are applied; tells from which buckets they take something.
    pub fn applied(&mut self, facts: &[Fact]) -> Vec<Bucket> {
        let mut buckets = Vec::new();
        for fact in facts {
            let bucket = match fact {
                Fact::Fired { bucket, range } => {
                    self.fired -= (range.end.0 - range.start.0) as usize;
                    bucket
                }
                Fact::Rescheduled {
                    bucket, entries, ..
                } => {
                    self.carried -= entries.len();
                    self.opened += entries.len();
                    bucket
                }
                Fact::Settled { .. }
                | Fact::Returned { .. }
                | Fact::Offered { .. }
                | Fact::Trimmed { .. }
                | Fact::Cursor { .. }
                | Fact::Producer { .. }
                | Fact::Prepared { .. }
                | Fact::Decided { .. }
                | Fact::Finished { .. }
                | Fact::Forwarded { .. }
                | Fact::Topology(_) => continue,
            };
            buckets.push(*bucket);
        }
        buckets
    }

    /// Forgets how far buckets were read that are gone: should one come again, its positions begin
    /// anew.
    pub fn forget_gone(&mut self, buckets: &[Bucket], ledger: &Ledger) {
        for bucket in buckets {
            if ledger.timers().bucket(*bucket).is_none() {
                self.read.remove(bucket);
            }
        }
    }

    /// Whether so much was carried that its pages should go to the page file.
    pub fn wants_checkpoint(&self) -> bool {
        self.opened >= OPENED_MAX
    }

    pub fn checkpointed(&mut self) {
        self.opened = 0;
    }

    /// Takes a message that cannot be read any more.
    fn take(&mut self, message: MessageRef) -> Option<Place> {
        let (due, _) = self
            .ready
            .iter()
            .find(|(due, _)| due.message() == message)?;
        let due = *due;
        self.ready.remove(&due)
    }
}

impl Node {
    /// Sends on what was kept and is due.
    pub(super) fn fire(&mut self, now: Millis, records: &dyn Records, effects: &mut Effects) {
        let time = now.max(self.log.ledger.time());
        let timers = self.log.ledger.timers();
        let mut coarse: Vec<_> = timers
            .coarse_reached(time)
            .map(|(bucket, _)| bucket)
            .collect();
        coarse.sort_unstable_by_key(|bucket| bucket.start());
        // What a coarse bucket holds comes before what is due from its start on.
        let carried = coarse.first().map_or(time.plus(1), |bucket| bucket.start());
        let before = match self.read_reached(time, carried, now, effects) {
            Reading::Done => {
                self.carry(&coarse, now, effects);
                carried
            }
            Reading::Full => carried,
            Reading::Waits { before } => before,
        };
        while let Some((due, place)) = self.timing.ready.first_key_value()
            && due.at < before
            && self.timing.fired < FIRED_MAX
            && !self.moves.is_full()
        {
            let (due, place) = (*due, *place);
            let Some(bytes) = records.record(due.message()) else {
                return self.ask_for_due(before, now, records, effects);
            };
            self.timing.ready.remove(&due);
            self.timing.fired += 1;
            self.moves.fact(place.fired());
            if let Ok(record) = Record::decode(bytes) {
                self.set_off(&record, now, records);
            }
        }
    }

    /// Routes a message that is due.
    fn set_off(&mut self, record: &Record<'_>, now: Millis, records: &dyn Records) {
        let mut envelope = record.envelope.clone();
        envelope.received = now;
        let destinations = self.route(&envelope, record.native, records);
        if !destinations.is_empty() {
            let tag_hash = (self.tag_hash)(envelope.key);
            let native = record.native;
            self.moves.store(
                ShardId::LOG,
                &envelope,
                native,
                tag_hash,
                &destinations,
                None,
            );
        }
    }

    /// Asks for the record of the next message, and of some behind it.
    fn ask_for_due(
        &mut self,
        before: Millis,
        now: Millis,
        records: &dyn Records,
        effects: &mut Effects,
    ) {
        let due = self.timing.ready.range(..Due::not_before(before));
        let ahead = due.take(RECORDS_MAX).map(|(due, _)| due.message());
        let missing = ahead.filter(|m| records.record(*m).is_none()).collect();
        self.asked.records(missing, now, effects);
    }

    /// A kept message is in the log no more: it goes nowhere.
    pub(super) fn due_gone(&mut self, message: MessageRef) {
        if let Some(place) = self.timing.take(message) {
            self.timing.fired += 1;
            self.moves.fact(place.fired());
        }
    }

    /// Carries coarse buckets that time has reached into finer ones, the earliest first.
    fn carry(&mut self, reached: &[Bucket], now: Millis, effects: &mut Effects) {
        for bucket in reached {
            let Some(pages) = self.log.ledger.timers().bucket(*bucket) else {
                continue;
            };
            let from = self.timing.read.entry(*bucket).or_default();
            while let Some(first) = pages.next_live(*from)
                && self.timing.carried < CARRIED_MAX
            {
                let entries = run(pages, first, CARRIED_MAX - self.timing.carried);
                if entries.is_empty() {
                    for slot in pages.unread_from(first).take(PAGES_AHEAD) {
                        self.asked.page(slot, now, effects);
                    }
                    return;
                }
                *from = Position(first.0 + entries.len() as u64);
                self.timing.carried += entries.len();
                self.moves.fact(Fact::Rescheduled {
                    bucket: *bucket,
                    first,
                    entries: entries.into(),
                });
            }
        }
    }

    /// Reads the finest buckets that time has reached and that begin before a time.
    fn read_reached(
        &mut self,
        time: Millis,
        before: Millis,
        now: Millis,
        effects: &mut Effects,
    ) -> Reading {
        for (bucket, pages) in self.log.ledger.timers().finest_reached(time) {
            if bucket.start() >= before {
                break;
            }
            let from = self.timing.read.entry(bucket).or_default();
            while let Some(position) = pages.next_live(*from) {
                if self.timing.ready.len() >= READY_MAX {
                    return Reading::Full;
                }
                match pages.get(position) {
                    Lookup::Entry(entry) => {
                        let due = Due {
                            at: bucket.due(entry),
                            index: entry.index(),
                            slot: entry.slot(),
                        };
                        self.timing.ready.insert(due, Place { bucket, position });
                        *from = position.next();
                    }
                    Lookup::Spilled(_) => {
                        for slot in pages.unread_from(position).take(PAGES_AHEAD) {
                            self.asked.page(slot, now, effects);
                        }
                        let before = bucket.start();
                        return Reading::Waits { before };
                    }
                    Lookup::Absent => unreachable!("found live"),
                }
            }
        }
        Reading::Done
    }
}

/// Live entries that stand one behind the other, as far as they are in memory; of one page at most.
fn run(pages: &Pages, first: Position, entries_max: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    let end = pages
        .page_end(first)
        .min(Position(first.0 + entries_max as u64));
    for number in first.0..end.0 {
        match pages.get(Position(number)) {
            Lookup::Entry(entry) => entries.push(entry),
            Lookup::Absent | Lookup::Spilled(_) => break,
        }
    }
    entries
}
