//! What is undecided, read again at the start, and how far that has to go back.

use broker::bytes::Undecodable;
use broker::event::{ReadOutcome, ReadResult};
use broker::id::Position;
use broker::pass::{Command, Read};
use broker::record::Record;
use remoting::message::Record as Stored;

use super::RemotingDoor;
use super::asker::Asker;
use super::creation::{Aside, Need, Waiter, What as AsideWhat};
use super::half::{Half, Note, Phase};
use super::message::Marks;
use super::refusals::Refused;
use super::topic;
use super::transaction::{CARETAKER, GROUP, Step};
use crate::door::Context;

/// How much is read at once.
const READ_MESSAGES_MAX: u32 = 1024;
const READ_BYTES_MAX: u32 = 4 << 20;

impl RemotingDoor {
    /// Reads again what is undecided.
    pub(super) fn start_transactions(
        &mut self,
        refused: &[(Box<str>, Refused)],
        cx: &mut Context<'_>,
    ) {
        let known = (
            Self::own_partition(topic::HALF, cx),
            cx.topology.group(GROUP),
        );
        match known {
            (Some(partition), Some(group)) => {
                self.halves.phase = Phase::Waking;
                let group = group.id;
                self.step(Step::HalvesCursor, cx, |token| Command::Cursor {
                    token,
                    group,
                    partition,
                });
            }
            (Some(_), None) if refused.is_empty() => {
                self.halves.phase = Phase::Waking;
                let asker = self.caretaker();
                let what = AsideWhat::Transactions;
                let aside = Aside {
                    asker,
                    what,
                    refused: Vec::new(),
                };
                self.change(Need::group(GROUP), Waiter::Again(aside), cx);
            }
            (Some(_) | None, Some(_) | None) => self.sleep(cx.now),
        }
    }

    pub(super) fn read_on(
        &mut self,
        step: Step,
        name: &str,
        offset: Position,
        cx: &mut Context<'_>,
    ) {
        let Some(partition) = Self::own_partition(name, cx) else {
            self.sleep(cx.now);
            return;
        };
        let read = Read {
            partition,
            offset,
            messages_max: READ_MESSAGES_MAX,
            bytes_max: READ_BYTES_MAX,
            tags: None,
            filter: None,
            wait_until: None,
        };
        self.step(step, cx, |token| Command::Read { token, read });
    }

    /// A part of one of the two partitions was read.
    pub(super) fn transaction_read(
        &mut self,
        _asker: Asker,
        step: Step,
        result: &ReadResult,
        cx: &mut Context<'_>,
    ) {
        let records = cx.records;
        let goes_on = match result.outcome {
            ReadOutcome::Found | ReadOutcome::NoneWanted | ReadOutcome::BeforeFirst => true,
            ReadOutcome::AtEnd | ReadOutcome::PastEnd | ReadOutcome::Empty => false,
        };
        let native = result.messages.iter().filter_map(|(position, message)| {
            let record = Record::decode(records.record(*message)?).ok()?;
            Some((*position, *message, record))
        });
        match step {
            Step::ReadHalves { decisions } => {
                for (position, message, record) in native {
                    if let Ok((stored, _)) = Stored::decode(record.native) {
                        let marks = Marks::of(stored.properties);
                        let received = record.envelope.received;
                        let half = Half::new(&marks, stored.born_timestamp, received);
                        self.halves.add(position, message, half);
                    }
                }
                self.halves.next = self.halves.next.max(result.bounds.next);
                if goes_on {
                    self.read_on(step, topic::HALF, result.next, cx);
                } else {
                    self.read_on(Step::ReadDecisions, topic::OP_HALF, decisions, cx);
                }
            }
            Step::ReadDecisions => {
                for (_, _, record) in native {
                    match Note::decode(record.native) {
                        Ok(Note::Decided(position)) => {
                            self.halves.undecided.remove(&position);
                        }
                        Ok(Note::Checked(position, checks)) => {
                            if let Some((_, half)) = self.halves.undecided.get_mut(&position) {
                                half.checks = checks;
                            }
                        }
                        Err(Undecodable(_)) => {}
                    }
                }
                if goes_on {
                    self.read_on(step, topic::OP_HALF, result.next, cx);
                } else {
                    self.halves.phase = Phase::Awake;
                    self.halves.next_round =
                        cx.now.plus(self.settings.transactions.check_interval_ms);
                }
            }
            // Nothing else reads.
            Step::HalvesCursor
            | Step::DecisionsCursor { .. }
            | Step::DecisionsEnd
            | Step::HalvesEnd { .. }
            | Step::Fetch { .. }
            | Step::Decide { .. }
            | Step::Check { .. } => {}
        }
    }

    pub(super) fn store_cursors(&mut self, cx: &mut Context<'_>) {
        let known = (
            Self::own_partition(topic::HALF, cx),
            Self::own_partition(topic::OP_HALF, cx),
            cx.topology.group(GROUP),
        );
        if let (Some(halves), Some(decisions), Some(group)) = known
            && let Some(ends) = self.halves.cursors()
        {
            let group = group.id;
            for (partition, offset) in [(halves, ends.halves), (decisions, ends.decisions)] {
                cx.pass.push(
                    CARETAKER,
                    Command::SetCursor {
                        group,
                        partition,
                        offset,
                    },
                );
            }
            self.halves.cursors_stored(ends);
        }
    }
}
