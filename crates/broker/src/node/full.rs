//! A full disk: what would add messages to the log is refused, everything else goes on.
//!
//! Settlements, cursors and changes of the topology are small and go into the room that the log
//! keeps for them; so do messages that the broker itself moves, since it settles the original with
//! it. A transaction that publishes is refused whole: what it settles stays unsettled.
//!
//! A publish without a token that comes all the same is stored: nobody could be told that it was
//! refused, and what is taken is never dropped. Doors see to it that few of these come, as they stop
//! reading from such a publisher as soon as they hear of the full disk.
//!
//! Caveat: the few have to find room beside the settlements, and so has what is refused, or sent
//! again, in one pass with them.

use std::vec::IntoIter;

use super::Node;
use super::work::Work;
use crate::id::{Durability, SessionId, Token};
use crate::pass::{Command, Destinations, Placed};
use crate::refusal::Refusal;

impl Node {
    /// From the next pass on, new messages for the log are refused, or taken again.
    pub fn disk_full(&mut self, is_full: bool) {
        self.disk_full = is_full;
    }

    /// Refuses a publish, or the transaction that begins here, to its end.
    pub(super) fn refuse(
        &mut self,
        session: SessionId,
        command: Command,
        rest: &mut IntoIter<(SessionId, Command)>,
        work: &mut Work<'_>,
    ) {
        if let Command::Publish {
            token,
            durable,
            volatile,
            ..
        } = command
        {
            drop_durable(durable, work);
            self.drop_volatile(volatile, work);
            if let Some(token) = token {
                tell(session, token, work);
            }
            return;
        }
        // The other parts of a transaction have no answers of their own.
        for (session, command) in rest.by_ref() {
            if let Command::Commit { token } = command {
                return tell(session, token, work);
            }
            if let Command::Publish {
                durable, volatile, ..
            } = command
            {
                drop_durable(durable, work);
                self.drop_volatile(volatile, work);
            }
        }
    }

    /// Whether a command adds messages to the log, and somebody hears when it is refused. `rest` is
    /// what follows it in its pass: a transaction is judged by all of its parts. What a producer
    /// sends again adds nothing; it is answered as stored.
    pub(super) fn needs_disk(&self, command: &Command, rest: &[(SessionId, Command)]) -> bool {
        let is_stored = |command: &Command| match command {
            Command::Publish {
                durable, producer, ..
            } => durable.is_some() && !self.is_known(producer.as_ref()),
            _ => false,
        };
        let is_answered = |command: &Command| matches!(command, Command::Publish { token, .. } if token.is_some());
        is_stored(command) && is_answered(command)
            || matches!(command, Command::Begin)
                && rest
                    .iter()
                    .take_while(|(_, part)| !matches!(part, Command::Commit { .. }))
                    .any(|(_, part)| is_stored(part))
    }

    /// A copy for volatile queues was placed already; it goes nowhere.
    fn drop_volatile(&mut self, placed: Option<Placed>, work: &mut Work<'_>) {
        if let Some(placed) = placed {
            self.enter_batch(placed.batch, Durability::Volatile, work);
            let heads = &mut work.volatile.assembly.batch.heads;
            heads[usize::from(placed.slot)].destinations = Destinations::nowhere();
        }
    }
}

/// What was placed in a batch that something else brings into the log goes nowhere there.
fn drop_durable(placed: Option<Placed>, work: &mut Work<'_>) {
    let Some(placed) = placed else { return };
    let batch = match work.log.current == Some(placed.batch) {
        true => &mut work.log.assembly.batch,
        false => &mut work.log.batches[placed.batch as usize],
    };
    batch.heads[usize::from(placed.slot)].destinations = Destinations::nowhere();
}

fn tell(session: SessionId, token: Token, work: &mut Work<'_>) {
    work.answer(session, token, Err(Refusal::DiskFull));
}
