//! Sends that wait for an alarm to end.
//!
//! While the server is short of memory or disk, a message is kept here in its stored form instead
//! of being stored, and with it the answer that its sender waits for: a Response, or the
//! ProducerAck of a window. So is the commit of a transaction that sends, and a connection's
//! leave behind what it sent. Everything else is carried out, acknowledgements above all: a client
//! whose send is blocked must be able to free what it has consumed. When the alarm ends, what was
//! kept is carried out in its order, before anything that comes after it.
//!
//! Senders that wait for no answer go on sending, so what is kept has a limit, and behind it the
//! socket is read no further, as in the original.

use std::collections::VecDeque;

use openwire::{
    Command, Identity, Message, RemoveInfo, TransactionInfo, TransactionStep, decode_canonical,
    encode_canonical,
};

use super::connection::Connection;
use super::failure::Failure;
use super::limits::{WITHHELD_AWAITED_BYTES_MAX, WITHHELD_UNAWAITED_BYTES_MAX};
use super::transaction::local;
use super::{OpenwireDoor, Step};
use crate::door::Context;

/// What one connection has to wait with.
#[derive(Default)]
pub(super) struct Withheld {
    kept: VecDeque<Kept>,
    /// Of messages that are answered, each of which blocks its sender.
    awaited_bytes: usize,
    unawaited_bytes: usize,
    /// Its commands are being carried out.
    is_released: bool,
    /// There is too much of it: the socket is not read.
    pub rests: bool,
}

enum Kept {
    Message { record: Vec<u8>, is_awaited: bool },
    Commit(TransactionInfo),
    Leave(RemoveInfo),
}

impl Withheld {
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn push(&mut self, kept: Kept) {
        if let Some(bytes) = self.bytes_of(&kept) {
            *bytes.0 += bytes.1;
        }
        self.kept.push_back(kept);
    }

    fn pop(&mut self) -> Option<Kept> {
        let kept = self.kept.pop_front()?;
        if let Some(bytes) = self.bytes_of(&kept) {
            *bytes.0 -= bytes.1;
        }
        Some(kept)
    }

    fn put_back(&mut self, kept: Kept) {
        if let Some(bytes) = self.bytes_of(&kept) {
            *bytes.0 += bytes.1;
        }
        self.kept.push_front(kept);
    }

    /// Which count something is in, and its size.
    fn bytes_of(&mut self, kept: &Kept) -> Option<(&mut usize, usize)> {
        match kept {
            Kept::Message { record, is_awaited } => {
                let count = match is_awaited {
                    true => &mut self.awaited_bytes,
                    false => &mut self.unawaited_bytes,
                };
                Some((count, record.len()))
            }
            Kept::Commit(_) | Kept::Leave(_) => None,
        }
    }

    fn is_full(&self) -> bool {
        self.unawaited_bytes > WITHHELD_UNAWAITED_BYTES_MAX
            || self.awaited_bytes > WITHHELD_AWAITED_BYTES_MAX
    }
}

impl OpenwireDoor {
    /// Whether what adds messages has to wait.
    pub(super) fn withholds(&self, conn: &Connection) -> bool {
        !conn.withheld.is_released && (self.alarms.any() || !conn.withheld.is_empty())
    }

    /// Keeps a message.
    pub(super) fn withhold(
        &mut self,
        conn: &mut Connection,
        message: &Message<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let mut record = Vec::new();
        encode_canonical(message, &mut record)
            .map_err(|error| Failure::jms(format!("The message cannot be stored: {error}")))?;
        conn.withheld.push(Kept::Message {
            record,
            is_awaited: message.base.response_required,
        });
        if conn.withheld.is_full() && !conn.withheld.rests {
            conn.withheld.rests = true;
            cx.links.stop_reading(conn.session);
        }
        Ok(Step::Taken)
    }

    /// Keeps a command that must not overtake the sends before it, or is one itself; tells
    /// whether it did.
    pub(super) fn withhold_behind(&mut self, conn: &mut Connection, command: &Command<'_>) -> bool {
        if !self.withholds(conn) {
            return false;
        }
        match command {
            Command::TransactionInfo(info) if commits_sends(conn, info) => {
                conn.withheld.push(Kept::Commit(info.clone()));
                true
            }
            Command::RemoveInfo(info)
                if !conn.withheld.is_empty()
                    && matches!(info.object_id, Some(Identity::Connection(_))) =>
            {
                conn.withheld.push(Kept::Leave(info.clone()));
                true
            }
            _ => false,
        }
    }

    /// Carries out what was kept, as far as nothing of it has to wait for an answer. A command
    /// that came before it and is tried again goes first.
    pub(super) fn release(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        if self.alarms.any() || conn.withheld.is_empty() {
            return;
        }
        while conn.barriers == 0
            && !conn.is_retrying
            && !conn.closing
            && let Some(kept) = conn.withheld.pop()
        {
            conn.withheld.is_released = true;
            let step = match &kept {
                // What was just encoded can be decoded.
                Kept::Message { record, .. } => decode_canonical(record)
                    .map_or(Step::Taken, |message| {
                        self.obey(conn, Command::Message(message), cx)
                    }),
                Kept::Commit(info) => self.obey(conn, Command::TransactionInfo(info.clone()), cx),
                Kept::Leave(info) => self.obey(conn, Command::RemoveInfo(info.clone()), cx),
            };
            conn.withheld.is_released = false;
            match step {
                Step::Taken => {}
                Step::Again => conn.withheld.put_back(kept),
            }
        }
        if conn.withheld.rests && conn.withheld.is_empty() {
            conn.withheld.rests = false;
            cx.links.read_again(conn.session);
        }
    }
}

/// Whether this commits a transaction with messages in it.
fn commits_sends(conn: &Connection, info: &TransactionInfo) -> bool {
    let commits = match TransactionStep::from_wire(info.step) {
        Some(TransactionStep::CommitOnePhase | TransactionStep::CommitTwoPhase) => true,
        Some(
            TransactionStep::Begin
            | TransactionStep::Prepare
            | TransactionStep::Rollback
            | TransactionStep::Recover
            | TransactionStep::Forget
            | TransactionStep::End,
        )
        | None => false,
    };
    let number = info.transaction_id.as_ref().and_then(|id| local(id).ok());
    let transaction = number.and_then(|number| conn.transactions.get(&number));
    commits && transaction.is_some_and(|transaction| !transaction.sends.is_empty())
}
