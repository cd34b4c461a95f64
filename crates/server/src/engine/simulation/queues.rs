//! The queues of a story, and what becomes of a message that leaves one.
//!
//! No two ways lead to the same queue: so a message that was sent to several queues can be told
//! apart by the queue it is found in.

use broker::id::{Durability, QueueId};
use broker::topology::{DeadLetter, QueueOptions, QueueSpec};

/// A queue of the story.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Queue {
    /// Nothing special; some of its messages are forwarded to the archive.
    Plain,
    Archive,
    /// What is rejected goes to the grave.
    Strict,
    Grave,
    /// What lives too long goes to the tomb.
    Mortal,
    Tomb,
    /// Lives in memory; what is rejected goes to the ash.
    Fleeting,
    Ash,
    /// Where delayed messages come.
    Late,
    /// Is deleted and declared again.
    Passing,
}

pub(super) const QUEUES: [Queue; 10] = [
    Queue::Plain,
    Queue::Archive,
    Queue::Strict,
    Queue::Grave,
    Queue::Mortal,
    Queue::Tomb,
    Queue::Fleeting,
    Queue::Ash,
    Queue::Late,
    Queue::Passing,
];

/// How long a message lives in [`Queue::Mortal`].
pub(super) const MORTAL_MS: u64 = 5_000;

impl Queue {
    pub fn name(self) -> &'static str {
        match self {
            Queue::Plain => "plain",
            Queue::Archive => "archive",
            Queue::Strict => "strict",
            Queue::Grave => "grave",
            Queue::Mortal => "mortal",
            Queue::Tomb => "tomb",
            Queue::Fleeting => "fleeting",
            Queue::Ash => "ash",
            Queue::Late => "late",
            Queue::Passing => "passing",
        }
    }

    /// Where its messages were first, and whether they still are there.
    pub fn root(self) -> (Queue, Place) {
        match self {
            Queue::Archive => (Queue::Plain, Place::Sink),
            Queue::Grave => (Queue::Strict, Place::Sink),
            Queue::Tomb => (Queue::Mortal, Place::Sink),
            Queue::Ash => (Queue::Fleeting, Place::Sink),
            Queue::Plain
            | Queue::Strict
            | Queue::Mortal
            | Queue::Fleeting
            | Queue::Late
            | Queue::Passing => (self, Place::Root),
        }
    }

    /// Where its messages go when they are rejected or expire.
    fn dead_letters(self) -> Option<Queue> {
        match self {
            Queue::Strict => Some(Queue::Grave),
            Queue::Mortal => Some(Queue::Tomb),
            Queue::Fleeting => Some(Queue::Ash),
            Queue::Plain
            | Queue::Archive
            | Queue::Grave
            | Queue::Tomb
            | Queue::Ash
            | Queue::Late
            | Queue::Passing => None,
        }
    }

    pub fn buries(self) -> bool {
        self.dead_letters().is_some()
    }

    pub fn durability(self) -> Durability {
        match self {
            Queue::Fleeting => Durability::Volatile,
            Queue::Plain
            | Queue::Archive
            | Queue::Strict
            | Queue::Grave
            | Queue::Mortal
            | Queue::Tomb
            | Queue::Ash
            | Queue::Late
            | Queue::Passing => Durability::Durable,
        }
    }

    pub fn spec(self) -> QueueSpec {
        let dead_letter = self.dead_letters().map(|target| DeadLetter {
            address: "".into(),
            key: Some(target.name().into()),
            persistent_only: false,
            create_queue: false,
        });
        QueueSpec {
            name: self.name().into(),
            durability: self.durability(),
            auto_delete: false,
            owner: None,
            implicit: false,
            options: QueueOptions {
                message_ttl_ms: (self == Queue::Mortal).then_some(MORTAL_MS),
                idle_ms: None,
                dead_letter,
            },
            arguments: [].into(),
        }
    }
}

/// Where on its way a message is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Root,
    Sink,
    /// On its way from the one to the other, or there already.
    Either,
}

/// The queues that exist.
#[derive(Default)]
pub(super) struct Ids([Option<QueueId>; QUEUES.len()]);

impl Ids {
    pub fn set(&mut self, queue: Queue, id: Option<QueueId>) {
        self.0[queue as usize] = id;
    }

    pub fn id(&self, queue: Queue) -> Option<QueueId> {
        self.0[queue as usize]
    }

    pub fn queue(&self, id: QueueId) -> Option<Queue> {
        QUEUES.into_iter().find(|queue| self.id(*queue) == Some(id))
    }
}
