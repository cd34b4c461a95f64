//! Local transactions: what was sent and acknowledged waits here until it is committed, and then
//! goes into the log as one batch.
//!
//! A rollback drops it. What the consumers were given stays theirs: the client gives it to its
//! application again, from its own memory, and acknowledges it in a later transaction.

use broker::pass::{Outcome, Positions};
use openwire::{
    BaseCommand, Command, DataArrayResponse, ExceptionClass, TransactionId, TransactionInfo,
    TransactionStep,
};

use super::connection::{Awaited, Connection};
use super::consumer::ConsumerKey;
use super::failure::Failure;
use super::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_STEPS_MAX, TRANSACTIONS_MAX};
use super::produce::Outgoing;
use super::{OpenwireDoor, Step};
use crate::door::Context;

/// What one transaction will do.
#[derive(Default)]
pub(super) struct Transaction {
    pub sends: Vec<Outgoing>,
    /// What was acknowledged, by consumer and our own number.
    pub acknowledged: Vec<(ConsumerKey, i64)>,
    pub bytes: usize,
    /// Something in it failed that nobody was told of in time: it cannot be committed.
    pub only_rollback: bool,
}

impl Transaction {
    fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.acknowledged.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.sends.len() + self.acknowledged.len() < TRANSACTION_STEPS_MAX
    }
}

/// The number of a transaction of this connection.
pub(super) fn local(id: &TransactionId) -> Result<i64, Failure> {
    match id {
        TransactionId::Local(local) => Ok(local.value),
        TransactionId::Xa(_) => Err(Failure::xa()),
    }
}

fn not_started(id: &TransactionId) -> Failure {
    Failure::jms(format!("Transaction '{id}' has not been started."))
}

impl Connection {
    /// An open transaction.
    pub fn transaction(&mut self, id: &TransactionId) -> Result<&mut Transaction, Failure> {
        let number = local(id)?;
        self.transactions
            .get_mut(&number)
            .ok_or_else(|| not_started(id))
    }

    /// Keeps a message until its transaction is committed.
    pub fn hold(&mut self, id: &TransactionId, outgoing: Outgoing) -> Result<(), Failure> {
        let bytes = outgoing.record.len();
        if self.transaction_bytes + bytes > TRANSACTION_BYTES_MAX {
            return Err(Failure::limit(
                "openwire-transaction-bytes",
                TRANSACTION_BYTES_MAX,
            ));
        }
        let transaction = self.transaction(id)?;
        if !transaction.has_room() {
            return Err(Failure::limit(
                "openwire-transaction-steps",
                TRANSACTION_STEPS_MAX,
            ));
        }
        transaction.bytes += bytes;
        transaction.sends.push(outgoing);
        self.transaction_bytes += bytes;
        Ok(())
    }

    /// What fails in a transaction without an answer makes the commit fail.
    pub fn spoil(&mut self, id: Option<&TransactionId>) {
        if let Some(id) = id
            && let Ok(transaction) = self.transaction(id)
        {
            transaction.only_rollback = true;
        }
    }

    fn end_transaction(&mut self, id: &TransactionId) -> Result<Transaction, Failure> {
        let number = local(id)?;
        let ended = self
            .transactions
            .remove(&number)
            .ok_or_else(|| not_started(id))?;
        self.transaction_bytes -= ended.bytes;
        Ok(ended)
    }
}

impl OpenwireDoor {
    pub(super) fn transact(
        &mut self,
        conn: &mut Connection,
        info: &TransactionInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let step = TransactionStep::from_wire(info.step)
            .ok_or_else(|| Failure::jms(format!("Unknown transaction info type: {}", info.step)))?;
        // Nothing is ever prepared, so that there is truly nothing to recover.
        if step == TransactionStep::Recover {
            let nothing = DataArrayResponse::to(info.base.command_id, Vec::new());
            conn.send(&Command::DataArrayResponse(nothing), cx);
            return Ok(Step::Taken);
        }
        let id = info
            .transaction_id
            .as_ref()
            .ok_or_else(|| Failure::jms("Transaction ID is null"))?;
        let number = local(id)?;
        match step {
            TransactionStep::Begin => {
                if conn.transactions.len() >= TRANSACTIONS_MAX {
                    return Err(Failure::limit("openwire-transactions", TRANSACTIONS_MAX));
                }
                // A failover client begins again what it does not know to be begun.
                conn.transactions.entry(number).or_default();
                conn.respond(info.base, cx);
                Ok(Step::Taken)
            }
            TransactionStep::CommitOnePhase | TransactionStep::CommitTwoPhase => {
                self.commit(conn, info.base, id, cx)
            }
            TransactionStep::Rollback | TransactionStep::Forget => {
                let ended = conn.end_transaction(id)?;
                for (key, _) in ended.acknowledged {
                    conn.touch(key);
                }
                self.note_touched(conn);
                conn.respond(info.base, cx);
                Ok(Step::Taken)
            }
            TransactionStep::End => {
                conn.respond(info.base, cx);
                Ok(Step::Taken)
            }
            TransactionStep::Prepare | TransactionStep::Recover => Err(Failure::xa()),
        }
    }

    fn commit(
        &mut self,
        conn: &mut Connection,
        base: BaseCommand,
        id: &TransactionId,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let transaction = conn.transaction(id)?;
        if transaction.only_rollback {
            conn.end_transaction(id)?;
            let message = format!("Transaction '{id}' has been rolled back");
            return Err(Failure::new(ExceptionClass::TransactionRolledBack, message));
        }
        // A queue may have been removed since the message for it was sent.
        let missing = transaction
            .sends
            .iter()
            .find_map(|send| send.place.missing_queue(cx.topology));
        if let Some(name) = missing {
            self.create_queue(conn, &name, cx);
            return Ok(Step::Again);
        }
        let transaction = conn.end_transaction(id)?;
        if transaction.is_empty() {
            conn.respond(base, cx);
            return Ok(Step::Taken);
        }
        cx.pass.begin(conn.session);
        for send in &transaction.sends {
            self.publish(conn.session, send, None, cx);
        }
        settle_all(conn, &transaction.acknowledged, cx);
        let number =
            u64::from(base.command_id.cast_unsigned()) << 1 | u64::from(base.response_required);
        cx.pass.commit(conn.session, Awaited::Commit.token(number));
        conn.committing.insert(number, transaction);
        Ok(Step::Taken)
    }

    /// The batch is in the log, or was refused.
    pub(super) fn committed(
        &mut self,
        conn: &mut Connection,
        number: u64,
        result: Result<(), Failure>,
        cx: &mut Context<'_>,
    ) {
        let Some(transaction) = conn.committing.remove(&number) else {
            return;
        };
        for (key, sequence) in transaction.acknowledged {
            let Some(consumer) = conn.consumers.get_mut(&key) else {
                continue;
            };
            let Some(at) = consumer.find_sequence(sequence) else {
                continue;
            };
            match result {
                Ok(()) => {
                    consumer.dispatched.remove(at);
                    consumer.window.contract(1);
                }
                Err(_) => consumer.dispatched[at].is_committing = false,
            }
            conn.touch(key);
        }
        self.note_touched(conn);
        let base = BaseCommand {
            command_id: ((number >> 1) as u32).cast_signed(),
            response_required: number & 1 == 1,
        };
        match result {
            Ok(()) => conn.respond(base, cx),
            Err(failure) => conn.fail(base, &failure, cx),
        }
    }
}

/// Settles what was acknowledged, neighbours of one queue together. What its consumer has lost
/// in the meantime went back to its queue and is not taken from there.
fn settle_all(conn: &mut Connection, acknowledged: &[(ConsumerKey, i64)], cx: &mut Context<'_>) {
    let mut run = None;
    let mut positions = Vec::new();
    for (key, sequence) in acknowledged {
        let Some(consumer) = conn.consumers.get_mut(key) else {
            continue;
        };
        let Some(at) = consumer.find_sequence(*sequence) else {
            continue;
        };
        let Some(one) = consumer.dispatched.get_mut(at) else {
            continue;
        };
        one.is_committing = true;
        let Some((queue, position)) = one.held else {
            continue;
        };
        if run.is_some_and(|run| run != queue) {
            flush(conn, &mut run, &mut positions, cx);
        }
        run = Some(queue);
        positions.push(position);
    }
    flush(conn, &mut run, &mut positions, cx);
}

fn flush(
    conn: &Connection,
    run: &mut Option<broker::id::QueueId>,
    positions: &mut Vec<broker::id::Position>,
    cx: &mut Context<'_>,
) {
    if let Some(queue) = run.take() {
        let positions = Positions::Many(std::mem::take(positions));
        cx.settle(conn.session, queue, positions, Outcome::Accept);
    }
}
