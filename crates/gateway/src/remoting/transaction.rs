//! Transactions. A half message lies in [`topic::HALF`], a decision in [`topic::OP_HALF`]; the
//! real message of a commit and its decision are one frame of the log, so that a crash leaves both
//! or neither. Producers that say nothing are asked; who never answers loses the message to
//! [`topic::CHECKED_OUT`].

use broker::event::Answer;
use broker::id::{MessageRef, Millis, PartitionId, Position, SessionId, Token};
use broker::pass::{Command, Destination, Publish};
use broker::record::{Envelope, Language as RecordLanguage};
use broker::refusal::Refusal;
use remoting::header::Header;
use remoting::header::send::{CheckTransactionState, EndTransaction};
use remoting::message::properties::name;
use remoting::message::{Patch, Record as Stored, copy_patched, sys_flag};
use remoting::{Language, Opaque, RequestCode, ResponseCode, Serialization};

use super::asker::Asker;
use super::creation::Stop;
use super::dispatch::Request;
use super::half::{Ends, Note, Phase};
use super::message::{Due, Marks};
use super::refusals::Refused;
use super::storing::Way;
use super::topic::{self, Found};
use super::{RemotingDoor, What};
use crate::door::Context;
use crate::partition::Order;

/// The session in which half messages are looked after.
pub const CARETAKER: SessionId = super::own_session(2);
/// The group whose cursors say how far both partitions are done with. Apache has it, too.
pub const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// When something failed that is tried again.
const RETRY_MS: u64 = 5_000;
/// The most producers that are asked in one round.
const CHECKS_MAX: usize = 10_000;
/// A decision is in no language: it is the door's own note.
const OWN: RecordLanguage = RecordLanguage(0);

/// What a transaction waits for.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    HalvesCursor,
    DecisionsCursor {
        halves: Position,
    },
    ReadHalves {
        decisions: Position,
    },
    ReadDecisions,
    DecisionsEnd,
    HalvesEnd {
        decisions: Position,
    },
    /// The half message is being fetched for its decision.
    Fetch {
        position: Position,
        decision: Decision,
    },
    /// The decision is being written.
    Decide {
        position: Position,
    },
    /// The half message is being fetched for its producer.
    Check {
        position: Position,
    },
}

/// What becomes of a half message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    Commit,
    Rollback,
    CheckedOut,
}

impl RemotingDoor {
    pub(super) fn caretaker(&self) -> Asker {
        Asker {
            session: CARETAKER,
            opaque: Opaque(0),
            serialization: Serialization::Json,
            oneway: true,
            version: self.settings.version,
            language: Language::Java,
            persona: self.settings.version,
        }
    }

    pub(super) fn own_partition(name: &str, cx: &Context<'_>) -> Option<PartitionId> {
        match topic::find(cx.topology, name) {
            Found::Topic(address, _) => Some(PartitionId {
                address: address.id,
                number: 0,
            }),
            Found::Taken | Found::Absent => None,
        }
    }

    /// Asks the broker something on behalf of the transactions.
    pub(super) fn step(
        &mut self,
        step: Step,
        cx: &mut Context<'_>,
        command: impl FnOnce(Token) -> Command,
    ) {
        let asker = self.caretaker();
        match self.wait(asker, What::Transaction(step)) {
            Ok(token) => cx.pass.push(CARETAKER, command(token)),
            Err(_) => self.abandon(step, cx),
        }
    }

    /// What could not be done now is done later.
    fn abandon(&mut self, step: Step, cx: &mut Context<'_>) {
        match step {
            Step::HalvesCursor
            | Step::DecisionsCursor { .. }
            | Step::ReadHalves { .. }
            | Step::ReadDecisions => self.sleep(cx.now),
            Step::Fetch { position, .. } | Step::Decide { position } => {
                if let Some((_, half)) = self.halves.undecided.get_mut(&position) {
                    half.is_deciding = false;
                }
            }
            // The next round does them.
            Step::DecisionsEnd | Step::HalvesEnd { .. } | Step::Check { .. } => {}
        }
    }

    pub(super) fn sleep(&mut self, now: Millis) {
        self.halves.phase = Phase::Asleep;
        self.halves.next_round = now.plus(RETRY_MS);
    }

    /// Time has passed.
    pub(super) fn tend_transactions(&mut self, cx: &mut Context<'_>) {
        if self.halves.next_round > cx.now {
            return;
        }
        match self.halves.phase {
            Phase::Asleep => self.start_transactions(&[], cx),
            Phase::Waking => {}
            Phase::Awake => self.round(cx),
        }
    }

    /// Asks every producer that has been silent for too long, and moves the cursors on.
    fn round(&mut self, cx: &mut Context<'_>) {
        let settings = self.settings.transactions;
        self.halves.next_round = cx.now.plus(settings.check_interval_ms);
        if let Some(partition) = Self::own_partition(topic::OP_HALF, cx) {
            // The decisions first: what they decide was stored before.
            self.step(Step::DecisionsEnd, cx, |token| Command::Bounds {
                token,
                partition,
            });
        }
        let mut notes = Vec::new();
        let due = self.halves.due(&settings, cx.now);
        for position in due.into_iter().take(CHECKS_MAX) {
            let Some((message, half)) = self.halves.undecided.get_mut(&position) else {
                continue;
            };
            let message = *message;
            let step = if half.checks >= settings.checks_max {
                half.is_deciding = true;
                Step::Fetch {
                    position,
                    decision: Decision::CheckedOut,
                }
            } else {
                half.checks += 1;
                notes.push(Note::Checked(position, half.checks));
                Step::Check { position }
            };
            self.step(step, cx, |token| Command::Find { token, message });
        }
        // How often one was asked outlives the process, so that nobody is asked for ever.
        notes
            .into_iter()
            .for_each(|note| self.write_note(note, None, cx));
    }

    /// 37: a producer has decided.
    pub(super) fn end_transaction(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = EndTransaction::parse(&request.command.ext)?;
        let asker = request.asker;
        let decision = match header.commit_or_rollback {
            sys_flag::COMMIT => Decision::Commit,
            sys_flag::ROLLBACK => Decision::Rollback,
            // The producer does not know yet; it is asked again.
            _ => {
                asker.done(cx);
                return Ok(());
            }
        };
        let wrong = |remark: &'static str| Refused::new(ResponseCode::SystemError, remark);
        if self.halves.phase != Phase::Awake {
            return Err(Refused::busy("transactions are being read again").into());
        }
        let position = Position(u64::try_from(header.tran_state_table_offset).unwrap_or(u64::MAX));
        let Some((message, half)) = self.halves.undecided.get_mut(&position) else {
            if position < self.halves.next {
                // Decided before: saying it again does no harm.
                asker.done(cx);
                return Ok(());
            }
            return Err(wrong("Find prepared transaction message failed").into());
        };
        let message = *message;
        if i64::try_from(message.as_u64()) != Ok(header.commit_log_offset) {
            return Err(wrong("The commit log offset wrong").into());
        }
        if *half.producer_group != *header.producer_group {
            return Err(wrong("The producer group wrong").into());
        }
        let is_late = half
            .immunity_ms
            .is_some_and(|immunity| cx.now.since(half.born) > immunity);
        if is_late && header.from_transaction_check != Some(true) {
            let remark = "Message commit fail [producer end]. currentTimeMillis - bornTime > \
                          checkImmunityTime";
            return Err(Refused::new(ResponseCode::IllegalOperation, remark).into());
        }
        // An answer would promise what is not in the log yet.
        if half.is_deciding {
            return Err(Refused::busy("this transaction is being decided").into());
        }
        let is_kept = decision == Decision::Commit;
        let step = if is_kept {
            Step::Fetch { position, decision }
        } else {
            Step::Decide { position }
        };
        half.is_deciding = true;
        let token = match self.wait(asker, What::Transaction(step)) {
            Ok(token) => token,
            Err(refused) => {
                self.abandon(step, cx);
                return Err(refused.into());
            }
        };
        if is_kept {
            // In the caretaker's session: the decision outlives the connection.
            cx.pass.push(CARETAKER, Command::Find { token, message });
        } else {
            self.write_decision(position, Some(token), cx);
        }
        Ok(())
    }

    fn write_decision(&mut self, position: Position, token: Option<Token>, cx: &mut Context<'_>) {
        self.write_note(Note::Decided(position), token, cx);
    }

    fn write_note(&mut self, written: Note, token: Option<Token>, cx: &mut Context<'_>) {
        let Some(partition) = Self::own_partition(topic::OP_HALF, cx) else {
            return;
        };
        let mut note = Vec::new();
        written.encode(&mut note);
        let envelope = Envelope {
            persistent: true,
            partition: Some(0),
            body: 0..note.len() as u32,
            ..Envelope::new(OWN, topic::OP_HALF, "", cx.now)
        };
        let destinations = [Destination::Partition(partition)];
        let publish = Publish {
            token,
            envelope: &envelope,
            destinations: &destinations,
            tag_hash: 0,
            producer: None,
        };
        cx.pass.publish(CARETAKER, publish, &[&note]);
    }

    /// A decision without a message is stored.
    pub(super) fn transaction_stored(
        &mut self,
        asker: Asker,
        step: Step,
        _message: MessageRef,
        _at: Option<(PartitionId, Position)>,
        cx: &mut Context<'_>,
    ) {
        if let Step::Decide { position } = step {
            self.halves.undecided.remove(&position);
            asker.done(cx);
        }
    }

    pub(super) fn transaction_done(
        &mut self,
        asker: Asker,
        step: Step,
        result: Result<Answer, Refusal>,
        cx: &mut Context<'_>,
    ) {
        match (step, result) {
            (Step::HalvesCursor, Ok(Answer::Offset(halves))) => {
                let halves = halves.unwrap_or_default();
                let known = (
                    Self::own_partition(topic::OP_HALF, cx),
                    cx.topology.group(GROUP),
                );
                let (Some(partition), Some(group)) = known else {
                    self.sleep(cx.now);
                    return;
                };
                let group = group.id;
                self.step(Step::DecisionsCursor { halves }, cx, |token| {
                    Command::Cursor {
                        token,
                        group,
                        partition,
                    }
                });
            }
            (Step::DecisionsCursor { halves }, Ok(Answer::Offset(decisions))) => {
                let decisions = decisions.unwrap_or_default();
                self.halves.cursors_stored(Ends { decisions, halves });
                self.read_on(Step::ReadHalves { decisions }, topic::HALF, halves, cx);
            }
            (Step::DecisionsEnd, Ok(Answer::Bounds(bounds))) => {
                if let Some(partition) = Self::own_partition(topic::HALF, cx) {
                    let step = Step::HalvesEnd {
                        decisions: bounds.next,
                    };
                    self.step(step, cx, |token| Command::Bounds { token, partition });
                }
            }
            (Step::HalvesEnd { decisions }, Ok(Answer::Bounds(bounds))) => {
                self.halves.note_ends(Ends {
                    decisions,
                    halves: bounds.next,
                });
                self.store_cursors(cx);
            }
            (Step::Fetch { position, decision }, Ok(Answer::Message(message))) => {
                self.decide(asker, position, decision, message, cx);
            }
            // The half message is gone, by age: there is nothing left to decide.
            (Step::Fetch { position, .. } | Step::Check { position }, Err(Refusal::NoMessage)) => {
                self.halves.undecided.remove(&position);
                self.write_decision(position, None, cx);
                let remark = "Find prepared transaction message failed";
                asker.refuse(&Refused::new(ResponseCode::SystemError, remark), cx);
            }
            (Step::Decide { position }, Ok(_)) => {
                self.halves.undecided.remove(&position);
                asker.done(cx);
            }
            (Step::Check { position }, Ok(Answer::Message(message))) => {
                self.check_producer(position, message, cx);
            }
            (step, Err(refusal)) => {
                self.abandon(step, cx);
                asker.refuse(&(&refusal).into(), cx);
            }
            // Each step has one kind of answer.
            (step, Ok(_)) => self.abandon(step, cx),
        }
    }

    /// Writes the real message and the decision, both or neither.
    fn decide(
        &mut self,
        asker: Asker,
        position: Position,
        decision: Decision,
        message: MessageRef,
        cx: &mut Context<'_>,
    ) {
        match self.write_decided(asker, position, decision, message, cx) {
            Ok(()) => {}
            Err(refused) => {
                self.abandon(Step::Decide { position }, cx);
                asker.refuse(&refused, cx);
            }
        }
    }

    fn write_decided(
        &mut self,
        asker: Asker,
        position: Position,
        decision: Decision,
        message: MessageRef,
        cx: &mut Context<'_>,
    ) -> Result<(), Refused> {
        let unreadable = || {
            let remark = "Find prepared transaction message failed";
            Refused::new(ResponseCode::SystemError, remark)
        };
        let record = cx.record(message).ok_or_else(unreadable)?;
        let (stored, _) = Stored::decode(record.native).map_err(|_| unreadable())?;
        let marks = Marks::of(stored.properties);
        let topology = cx.topology;
        let (target, number, due) = match decision {
            // A rollback leaves nothing but its decision, and fetches nothing.
            Decision::Commit | Decision::Rollback => {
                let number = u32::try_from(stored.queue_id).unwrap_or(0);
                let due = marks.due(&self.settings, cx.now).unwrap_or(Due::Now);
                (stored.topic, number, due)
            }
            Decision::CheckedOut => (topic::CHECKED_OUT, 0, Due::Now),
        };
        let Found::Topic(address, _) = topic::find(topology, target) else {
            return Err(Refused::no_topic(target));
        };
        let token = self.wait(asker, What::Transaction(Step::Decide { position }))?;
        let patch = Patch {
            sys_flag: Some(sys_flag::with_transaction(
                stored.sys_flag,
                sys_flag::COMMIT,
            )),
            prepared_transaction_offset: Some(message.as_u64() as i64),
            ..Patch::default()
        };
        let mut native = std::mem::take(&mut self.scratch);
        native.clear();
        let copied = copy_patched(record.native, &patch, &mut native);
        debug_assert!(copied.is_ok(), "the record was decoded above");
        cx.pass.begin(CARETAKER);
        let way = Way {
            session: CARETAKER,
            address,
            partition: PartitionId {
                address: address.id,
                number,
            },
            key: marks.key(),
            order: marks.sharding_key.map_or(Order::Free, Order::Key),
            due,
            origin: Some(message),
        };
        self.store(&way, None, &native, cx);
        self.write_decision(position, None, cx);
        cx.pass.commit(CARETAKER, token);
        self.scratch = native;
        Ok(())
    }

    /// 39: asks one living producer of the group what became of its transaction.
    fn check_producer(&mut self, position: Position, message: MessageRef, cx: &mut Context<'_>) {
        let Some((_, half)) = self.halves.undecided.get(&position) else {
            return;
        };
        let checks = half.checks.to_string();
        // Another one each time, since one may be alive and yet not know.
        let turn = half.checks as usize;
        let group = self.clients.producer_group(&half.producer_group);
        let session = group
            .and_then(|members| members.keys().nth(turn % members.len().max(1)))
            .copied();
        let Some(session) = session else { return };
        let Some(record) = cx.record(message) else {
            return;
        };
        let Ok((stored, _)) = Stored::decode(record.native) else {
            return;
        };
        let offset_id = self.offset_id(message).to_string();
        let shown = Stored {
            queue_offset: position.0 as i64,
            physical_offset: message.as_u64() as i64,
            store_timestamp: record.envelope.received.0 as i64,
            ..stored
        };
        let mut body = Vec::new();
        let times = [(name::TRANSACTION_CHECK_TIMES, checks.as_str())];
        if shown.encode_appending(&times, &mut body).is_err() {
            body.clear();
            if shown.encode(&mut body).is_err() {
                return;
            }
        }
        let unique = Marks::of(stored.properties).unique.unwrap_or_default();
        let header = CheckTransactionState {
            topic: Some(stored.topic.into()),
            tran_state_table_offset: position.0 as i64,
            commit_log_offset: message.as_u64() as i64,
            msg_id: Some(unique.into()),
            transaction_id: Some(unique.into()),
            offset_msg_id: Some(offset_id.into()),
        };
        let persona = self.settings.version;
        if let Some(connection) = self.connections.get_mut(&session) {
            let code = RequestCode::CheckTransactionState;
            connection.tell(session, code, &header, &body, persona, cx);
        }
    }
}
