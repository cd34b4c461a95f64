//! What one reactor pass hands over: the messages it has read, already laid out as the log will
//! keep them, and the commands of every session in the order in which they came.

mod batch;
mod command;
mod consume;

pub use batch::{Batch, Destination, Destinations, Head, Summary, record_ranges};
pub use command::{Command, DeleteCondition, Read, Side};
pub use consume::{ConsumerOptions, Credit, Forward, Mode, Outcome, Positions, Sharing, TakeOver};

use crate::id::{Durability, SessionId, Token};
use crate::record::Envelope;

/// Everything that one pass of a reactor asks for.
#[derive(Debug, Default)]
pub struct Pass {
    pub(crate) commands: Vec<(SessionId, Command)>,
    pub(crate) durable: Vec<Batch>,
    pub(crate) volatile: Vec<Batch>,
    /// Inside [`Pass::begin`] … [`Pass::commit`].
    in_transaction: bool,
}

/// A message to store, its route already found.
#[derive(Clone, Copy, Debug)]
pub struct Publish<'a> {
    /// Answered by [`Event::Stored`](crate::event::Event::Stored) if given.
    pub token: Option<Token>,
    pub envelope: &'a Envelope<'a>,
    /// Not empty: what no binding wants is the door's to return or to drop.
    pub destinations: &'a [Destination],
    pub tag_hash: u32,
    /// A message whose sequence is not above its producer's last is not stored again.
    pub producer: Option<Producer<'a>>,
}

/// A producer that numbers its messages, so that a resent one is recognized.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer<'a> {
    pub name: &'a str,
    pub sequence: u64,
}

impl Pass {
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub fn push(&mut self, session: SessionId, command: Command) {
        self.commands.push((session, command));
    }

    /// Stores a message in all its destinations. `native` is the message in its own language, in
    /// parts that are laid back to back; `envelope.body` is a range of them.
    pub fn publish(&mut self, session: SessionId, publish: Publish<'_>, native: &[&[u8]]) {
        let envelope = publish.envelope;
        let summary = Summary::of(envelope, publish.tag_hash);
        let mut placed = [None, None];
        for (place, durability) in placed
            .iter_mut()
            .zip([Durability::Durable, Durability::Volatile])
        {
            let Some(destinations) = Destinations::within(publish.destinations, durability) else {
                continue;
            };
            let batches = match durability {
                Durability::Durable => &mut self.durable,
                Durability::Volatile => &mut self.volatile,
            };
            // A transaction starts in a fresh batch and goes on in it past the byte limit, so
            // that it is one frame unless it has more messages than a frame can hold.
            let full = batches.last().is_none_or(|batch| {
                batch.heads.len() >= Batch::MESSAGES_MAX
                    || (batch.is_full() && !self.in_transaction)
            });
            if full {
                batches.push(Batch::default());
            }
            let number = batches.len() - 1;
            let slot = batches[number].push(envelope, native, summary, destinations);
            *place = Some(Placed {
                batch: number as u32,
                slot,
            });
        }
        let producer = publish.producer.map(|p| (Box::from(p.name), p.sequence));
        let [durable, volatile] = placed;
        self.push(
            session,
            Command::Publish {
                token: publish.token,
                durable,
                volatile,
                producer,
            },
        );
    }

    /// Opens a transaction: everything pushed for any session until [`Pass::commit`] belongs to
    /// it, so nothing else may be pushed in between.
    pub fn begin(&mut self, session: SessionId) {
        assert!(!self.in_transaction, "transactions do not nest");
        self.in_transaction = true;
        if self
            .durable
            .last()
            .is_some_and(|batch| !batch.heads.is_empty())
        {
            self.durable.push(Batch::default());
        }
        self.push(session, Command::Begin);
    }

    /// Closes it; answered by [`Event::Done`](crate::event::Event::Done) when it is durable.
    pub fn commit(&mut self, session: SessionId, token: Token) {
        assert!(self.in_transaction, "commit closes a transaction");
        self.in_transaction = false;
        self.push(session, Command::Commit { token });
    }
}

/// Where a message of this pass lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    pub(crate) batch: u32,
    pub(crate) slot: u16,
}
