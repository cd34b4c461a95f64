//! The frames of one pass in the making.

use std::collections::BTreeMap;

use super::shard::{Assembly, Shard};
use crate::event::{Answer, Effects, Event};
use crate::id::{Durability, Millis, SessionId, Token};
use crate::ledger::Fact;
use crate::pass::Batch;
use crate::refusal::Refusal;

/// The frames of one pass in the making.
pub(super) struct Work<'a> {
    pub log: Lane,
    pub volatile: Lane,
    pub transaction: Option<Transaction>,
    pub effects: &'a mut Effects,
    pub now: Millis,
}

/// The frames for one shard in the making.
pub(super) struct Lane {
    pub batches: Vec<Batch>,
    /// The batch whose messages the assembly holds.
    pub current: Option<u32>,
    pub assembly: Assembly,
    /// The last sequence of each producer with a message in the assembly.
    pub producers: BTreeMap<Box<str>, u64>,
}

/// A transaction of the pass.
#[derive(Default)]
pub(super) struct Transaction {
    /// Held back until the last frame of the transaction.
    pub facts: Vec<Fact>,
    /// Its producers' last sequences: they hold only if it is committed.
    pub producers: BTreeMap<Box<str>, u64>,
    /// Given when a part had to be prepared.
    pub prepared: Option<u64>,
    /// A message of it lies in the current batch.
    pub in_batch: bool,
    /// A message of it goes elsewhere, once its record has been read.
    pub dooms: bool,
}

impl Work<'_> {
    pub fn lane(&mut self, durability: Durability) -> &mut Lane {
        match durability {
            Durability::Durable => &mut self.log,
            Durability::Volatile => &mut self.volatile,
        }
    }

    /// Adds a fact for the log: to the open transaction, if there is one.
    pub fn fact(&mut self, fact: Fact) {
        match &mut self.transaction {
            Some(transaction) => transaction.facts.push(fact),
            None => self.log.assembly.fact(fact),
        }
    }

    /// Answers at once.
    pub fn answer(&mut self, session: SessionId, token: Token, result: Result<Answer, Refusal>) {
        self.effects.events.push(Event::Done {
            session,
            token,
            result,
        });
    }

    /// Answers when the facts that were decided before are applied.
    pub fn answer_behind(
        &mut self,
        session: SessionId,
        token: Token,
        result: Result<Answer, Refusal>,
    ) {
        self.log.assembly.done.push((session, token, result));
    }
}

impl Lane {
    pub fn new(batches: Vec<Batch>) -> Lane {
        Lane {
            batches,
            current: None,
            assembly: Assembly::default(),
            producers: BTreeMap::new(),
        }
    }

    /// Closes the frame.
    pub fn flush(&mut self, shard: &mut Shard, now: Millis, effects: &mut Effects) {
        let mut assembly = std::mem::take(&mut self.assembly);
        for (name, sequence) in std::mem::take(&mut self.producers) {
            assembly.facts.push(Fact::Producer { name, sequence });
        }
        shard.flush(assembly, now, effects);
    }
}
