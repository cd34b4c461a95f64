//! What one reactor pass hands over: the messages it has read, already laid out as the log will
//! keep them, and the commands of every session in the order in which they came.

use std::ops::Range;
use std::sync::Arc;

use crate::entry::EntryFlags;
use crate::filter::Predicate;
use crate::id::{
    ConsumerId, Durability, GroupId, MessageRef, Millis, PartitionId, Position, QueueId, SessionId,
    Token,
};
use crate::record::Envelope;
use crate::topology::{Change, DeadLetter};

/// Where one copy of a message goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Destination {
    Queue(QueueId),
    Partition(PartitionId),
    /// Kept until then, and routed by its envelope's address and key when it is due.
    Timer(Millis),
}

impl Destination {
    pub fn durability(self) -> Durability {
        match self {
            Destination::Queue(queue) => queue.durability(),
            Destination::Partition(_) | Destination::Timer(_) => Durability::Durable,
        }
    }
}

/// What the index keeps of a message, beside its destinations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub flags: EntryFlags,
    pub expires: Option<Millis>,
    /// Decides whether a reader of a partition wants the message; no part of a queue.
    pub tag_hash: u32,
}

/// A message of a batch: where its record ends, and where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub size: u32,
    pub summary: Summary,
    pub destinations: Destinations,
}

/// One destination without an allocation, or many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destinations {
    One(Destination),
    Many(Box<[Destination]>),
}

impl Destinations {
    pub fn as_slice(&self) -> &[Destination] {
        match self {
            Destinations::One(one) => std::slice::from_ref(one),
            Destinations::Many(many) => many,
        }
    }
}

impl FromIterator<Destination> for Destinations {
    /// # Panics
    /// If there is none: a message without a destination is not stored.
    fn from_iter<I: IntoIterator<Item = Destination>>(iter: I) -> Destinations {
        let mut iter = iter.into_iter();
        let first = iter.next().expect("a stored message has a destination");
        match iter.next() {
            None => Destinations::One(first),
            Some(second) => Destinations::Many([first, second].into_iter().chain(iter).collect()),
        }
    }
}

/// Up to 4096 messages, their records back to back: what becomes one frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    pub records: Vec<u8>,
    pub heads: Vec<Head>,
}

impl Batch {
    /// Slots are 12 bits.
    pub const MESSAGES_MAX: usize = 4096;
    /// A batch is closed when it has grown past this; one message may be larger.
    pub const BYTES_MAX: usize = 8 << 20;

    fn is_full(&self) -> bool {
        self.heads.len() >= Self::MESSAGES_MAX || self.records.len() >= Self::BYTES_MAX
    }

    fn push(
        &mut self,
        envelope: &Envelope<'_>,
        native: &[&[u8]],
        summary: Summary,
        destinations: Destinations,
    ) -> u16 {
        let start = self.records.len();
        envelope.encode(&mut self.records);
        for part in native {
            self.records.extend_from_slice(part);
        }
        let size = u32::try_from(self.records.len() - start).expect("a record fits 4 GB");
        self.heads.push(Head {
            size,
            summary,
            destinations,
        });
        (self.heads.len() - 1) as u16
    }
}

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
        let mut flags = EntryFlags::default();
        if envelope.persistent {
            flags = flags.with(EntryFlags::PERSISTENT);
        }
        if envelope.attempts > 0 {
            flags = flags.with(EntryFlags::ATTEMPTED);
        }
        let summary = Summary {
            flags,
            expires: envelope.expires,
            tag_hash: publish.tag_hash,
        };
        let mut placed = [None, None];
        for (place, durability) in placed
            .iter_mut()
            .zip([Durability::Durable, Durability::Volatile])
        {
            let mut mine = publish
                .destinations
                .iter()
                .copied()
                .filter(|d| d.durability() == durability);
            let Some(first) = mine.next() else { continue };
            let destinations = std::iter::once(first).chain(mine).collect();
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

/// What a session asks. Commands of one session are carried out in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Made by [`Pass::publish`].
    Publish {
        token: Option<Token>,
        durable: Option<Placed>,
        volatile: Option<Placed>,
        producer: Option<(Box<str>, u64)>,
    },
    /// Answered by `Done` when everything that this session asked before it is durable.
    Barrier {
        token: Token,
    },
    /// Made by [`Pass::begin`].
    Begin,
    /// Made by [`Pass::commit`].
    Commit {
        token: Token,
    },

    /// Changes the topology. A barrier: send nothing more until it is answered by `Done`.
    Change {
        token: Token,
        change: Change,
    },
    /// Deletes a queue under conditions that only its shard can check. A barrier.
    DeleteQueue {
        token: Token,
        name: Arc<str>,
        condition: DeleteCondition,
    },
    /// Removes what is ready; answered with how many messages that were.
    Purge {
        token: Token,
        queue: QueueId,
    },
    /// Answered with [`Answer::Status`](crate::event::Answer::Status); counts as a use of the
    /// queue for its idle limit.
    Status {
        token: Token,
        queue: QueueId,
    },

    /// Attaches a receiver. Answered by `Done` before its first delivery.
    Attach {
        token: Token,
        consumer: ConsumerId,
        queue: QueueId,
        options: ConsumerOptions,
    },
    /// Ends it: no delivery follows the answer. What it holds stays held until it is settled.
    Detach {
        token: Token,
        consumer: ConsumerId,
    },
    /// How many more messages it may be given.
    Credit {
        consumer: ConsumerId,
        credit: Credit,
    },
    /// Gives up to `count` messages now; what is not there now is not owed. A consumer with
    /// [`Credit::None`] is told by `Ready` when a fetch that came short would find more.
    Fetch {
        consumer: ConsumerId,
        count: u32,
    },
    /// One message for a holder that need not be attached; answered by `Got`.
    Get {
        token: Token,
        queue: QueueId,
        holder: ConsumerId,
        mode: Mode,
    },
    /// Settles positions, held or not; one that is settled already is passed over.
    Settle {
        queue: QueueId,
        positions: Positions,
        outcome: Outcome,
    },

    /// Reads a partition from an offset; answered by `Read`.
    Read {
        token: Token,
        read: Read,
    },
    /// Answered with [`Answer::Bounds`](crate::event::Answer::Bounds).
    Bounds {
        token: Token,
        partition: PartitionId,
    },
    /// The first offset stored at or after a time, or the last at or before it; answered with
    /// [`Answer::Offset`](crate::event::Answer::Offset).
    OffsetAt {
        token: Token,
        partition: PartitionId,
        time: Millis,
        side: Side,
    },
    /// Where a group stands; answered with `Offset`, `None` if it never said.
    Cursor {
        token: Token,
        group: GroupId,
        partition: PartitionId,
    },
    /// Where a group shall go on. Not answered.
    SetCursor {
        group: GroupId,
        partition: PartitionId,
        offset: Position,
    },
    /// One stored message by its name; answered with `Message` or refused with `NoMessage`.
    Find {
        token: Token,
        message: MessageRef,
    },

    /// The session can take no more for now; deliveries stop until `Resume`.
    Hold,
    Resume,
    /// The session is gone: everything attached is detached, what it owned is deleted, what it
    /// held is released. Its door has settled before what must be counted.
    End,
}

/// When a queue may be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeleteCondition {
    pub if_unused: bool,
    pub if_empty: bool,
}

/// How a consumer receives.
#[derive(Clone, PartialEq, Debug)]
pub struct ConsumerOptions {
    pub mode: Mode,
    pub sharing: Sharing,
    /// Higher first; those with less get only what these cannot take.
    pub priority: i32,
    pub filter: Option<Arc<Predicate>>,
    pub credit: Credit,
}

/// What becomes of a message that is handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Held until settled.
    Lease,
    /// Settled as it is handed out.
    Settled,
    /// Read and left where it is, also if another holds it; ends with `BrowseEnded`.
    Browse,
}

/// Whom a consumer suffers beside itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    Shared,
    /// Refused if another is attached, and then refuses every other.
    Sole,
    /// Of those that ask for it one is served, the others wait in the order of their priority
    /// and coming; those that do not ask get nothing while one is there.
    Active,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credit {
    /// Nothing unless fetched.
    None,
    Set(u32),
    Add(u32),
    Unlimited,
}

/// Positions of one queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Positions {
    One(Position),
    Many(Vec<Position>),
}

impl Positions {
    pub fn as_slice(&self) -> &[Position] {
        match self {
            Positions::One(one) => std::slice::from_ref(one),
            Positions::Many(many) => many,
        }
    }
}

/// How a delivery ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Accept,
    /// Back to where it stood, as redelivered.
    Release,
    /// The same, and its attempts go up by one.
    ReleaseCounted,
    /// Back to where it stood, as if never handed out.
    ReleaseUntouched,
    /// To the queue's dead-letter address, else to the fallback, else dropped. The cause is the
    /// consumer's own words.
    Reject {
        fallback: Option<DeadLetter>,
        cause: Option<Box<str>>,
    },
    /// The consumer found it expired.
    Expired,
    /// Sent on to where it says, then settled, in one frame.
    Forward(Forward),
}

/// Where and how a stored message is sent on: with a fresh time, its native bytes unchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forward {
    pub address: Arc<str>,
    pub key: Arc<str>,
    pub partition: Option<u32>,
    /// Kept until then first.
    pub due: Option<Millis>,
    /// Answered by `Stored` when done, or by a refusal.
    pub token: Option<Token>,
    pub attempts: u32,
}

/// A read of a partition.
#[derive(Clone, PartialEq, Debug)]
pub struct Read {
    pub partition: PartitionId,
    pub offset: Position,
    pub messages_max: u32,
    pub bytes_max: u32,
    /// Only entries whose tag hash is one of these.
    pub tags: Option<Arc<[u32]>>,
    pub filter: Option<Arc<Predicate>>,
    /// If there is nothing at the end of the partition, until when to wait for more.
    pub wait_until: Option<Millis>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Lower,
    Upper,
}

/// The ranges of records in a batch.
pub fn record_ranges(heads: &[Head]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    heads.iter().map(move |head| {
        let end = start + head.size as usize;
        let range = start..end;
        start = end;
        range
    })
}
