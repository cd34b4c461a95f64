//! Which message is next: for whoever takes all, for a filter, for a browser.

use super::consumers::Consumer;
use super::pump::Step;
use super::strands::Asker;
use super::{Fate, Out, QueueDispatch, Stall, lets_through};
use crate::entry::{Entry, EntryFlags};
use crate::id::{ConsumerId, Position, ShardId};
use crate::ledger::Lookup;
use crate::record::Record;
use crate::strand::Strand;

/// The mark is moved again when fewer positions are left below it.
const OFFERED_LEFT_MIN: u64 = 2048;

pub(super) enum Next {
    Found(Found),
    Nothing,
    /// A record, a page, the offered mark or the next step is waited for.
    Stalled,
}

/// A free message that may be handed out.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub position: Position,
    pub entry: Entry,
    pub strand: Option<Strand>,
    /// Nothing fresh is left behind it.
    pub is_foremost: bool,
}

pub(super) enum Look {
    Entry(Entry),
    /// It had expired.
    Gone,
    Stalled,
}

impl<'a> Step<'a> {
    pub fn next_for(
        &mut self,
        queue: &mut QueueDispatch,
        id: ConsumerId,
        consumer: &mut Consumer,
    ) -> Next {
        if !consumer.browses() {
            queue.rewinds.catch_up(consumer);
        }
        let asker = match queue.line.active() {
            Some(active) if active == id => Asker::Only(id),
            Some(_) | None => Asker::Consumer(id),
        };
        if consumer.takes_all() {
            self.next_plain(queue, asker, &mut consumer.scan)
        } else if consumer.browses() {
            self.next_browsed(queue, consumer)
        } else {
            self.next_filtered(queue, asker, consumer)
        }
    }

    /// What whoever takes all gets next. What is in strands of others is left behind `scan`.
    pub fn next_plain(
        &mut self,
        queue: &mut QueueDispatch,
        asker: Asker,
        scan: &mut Position,
    ) -> Next {
        while self.looks > 0 {
            let Some(position) = queue.next_free(self.known, *scan) else {
                return Next::Nothing;
            };
            match self.look(queue, position) {
                Look::Gone => {}
                Look::Stalled => return Next::Stalled,
                Look::Entry(entry) => {
                    let Some(bytes) = self.record(queue, position, entry) else {
                        return Next::Stalled;
                    };
                    let strand = strand_of(entry, bytes);
                    if !admits(queue, asker, strand, position) {
                        *scan = position.next();
                        continue;
                    }
                    if !self.may_offer(queue, position) {
                        return Next::Stalled;
                    }
                    return Next::Found(Found {
                        position,
                        entry,
                        strand,
                        is_foremost: *scan <= queue.cursor,
                    });
                }
            }
        }
        Next::Stalled
    }

    /// What a consumer with a filter gets next; moves its scan position up to it.
    fn next_filtered(
        &mut self,
        queue: &mut QueueDispatch,
        asker: Asker,
        consumer: &mut Consumer,
    ) -> Next {
        let filter = consumer.options.filter.as_deref();
        let filter = filter.expect("only filtered consumers come here");
        while self.looks > 0 {
            let Some(position) = queue.next_free(self.known, consumer.scan) else {
                return Next::Nothing;
            };
            match self.look(queue, position) {
                Look::Gone => {}
                Look::Stalled => return Next::Stalled,
                Look::Entry(entry) => {
                    let Some(bytes) = self.record(queue, position, entry) else {
                        return Next::Stalled;
                    };
                    let strand = strand_of(entry, bytes);
                    if lets_through(filter, bytes, self.records)
                        && admits(queue, asker, strand, position)
                    {
                        if !self.may_offer(queue, position) {
                            return Next::Stalled;
                        }
                        return Next::Found(Found {
                            position,
                            entry,
                            strand,
                            is_foremost: false,
                        });
                    }
                    consumer.scan = position.next();
                }
            }
        }
        Next::Stalled
    }

    /// What a browser sees next, whoever holds it.
    fn next_browsed(&mut self, queue: &mut QueueDispatch, consumer: &mut Consumer) -> Next {
        let filter = consumer.options.filter.as_deref();
        while self.looks > 0 {
            let position = match self.known.pages.next_live(consumer.scan) {
                Some(position) if position < consumer.end => position,
                Some(_) | None => return Next::Nothing,
            };
            self.looks -= 1;
            let entry = match self.known.pages.get(position) {
                Lookup::Entry(entry) => entry,
                Lookup::Spilled(slot) => {
                    self.stall(queue, Stall::Page(slot), position);
                    return Next::Stalled;
                }
                Lookup::Absent => unreachable!("found live"),
            };
            let Some(bytes) = self.record(queue, position, entry) else {
                return Next::Stalled;
            };
            let settling = matches!(queue.out.get(&position), Some(Out::Settling));
            if !settling
                && !entry.has_expired(self.now)
                && filter.is_none_or(|filter| lets_through(filter, bytes, self.records))
            {
                return Next::Found(Found {
                    position,
                    entry,
                    strand: None,
                    is_foremost: false,
                });
            }
            consumer.scan = position.next();
        }
        Next::Stalled
    }

    /// The entry at a free position, unless its page must be loaded or it has expired, which
    /// dooms it.
    pub fn look(&mut self, queue: &mut QueueDispatch, position: Position) -> Look {
        self.looks = self.looks.saturating_sub(1);
        match self.known.pages.get(position) {
            Lookup::Entry(entry) if !queue.is_over(position, entry, self.now) => Look::Entry(entry),
            Lookup::Entry(_) if self.wanted.is_burdened() => Look::Stalled,
            Lookup::Entry(entry) => {
                queue.take_out(position, Out::Settling);
                let message = self.ledger.message(entry);
                self.wanted.doom(self.id, position, message, Fate::EXPIRED);
                Look::Gone
            }
            Lookup::Spilled(slot) => {
                self.stall(queue, Stall::Page(slot), position);
                Look::Stalled
            }
            Lookup::Absent => unreachable!("a free position is live"),
        }
    }

    /// The record of a message, unless the queue must wait for it.
    fn record(
        &mut self,
        queue: &mut QueueDispatch,
        position: Position,
        entry: Entry,
    ) -> Option<&'a [u8]> {
        let message = self.ledger.message(entry);
        let record = self.records.record(message);
        if record.is_none() {
            self.stall(queue, Stall::Record(message), position);
        }
        record
    }

    /// Whether a position may be handed out as far as the offered mark is concerned. The mark is
    /// moved ahead of time, so that this waits for the log only when a backlog is first met.
    fn may_offer(&mut self, queue: &mut QueueDispatch, position: Position) -> bool {
        if self.shard == ShardId::VOLATILE {
            return true;
        }
        let left = queue.offered_wanted.0.saturating_sub(position.0);
        if left < OFFERED_LEFT_MIN {
            self.wanted.offer(self.id, queue.offer_beyond(position));
        }
        position < self.known.offered()
    }
}

/// The strand of a message. A record that cannot be read is in none.
fn strand_of(entry: Entry, bytes: &[u8]) -> Option<Strand> {
    if !entry.flags().has(EntryFlags::STRAND) {
        return None;
    }
    Record::decode(bytes).ok()?.envelope.strand
}

/// Whether the strand of a message is for whoever asks.
fn admits(
    queue: &mut QueueDispatch,
    asker: Asker,
    strand: Option<Strand>,
    position: Position,
) -> bool {
    match (strand, &mut queue.strands) {
        (Some(strand), Some(strands)) => strands.admits(asker, strand, position),
        (None, _) | (Some(_), None) => true,
    }
}
