//! What can be declared, and the changes and facts that speak of it.

use std::sync::Arc;

use crate::filter::Predicate;
use crate::id::{AddressId, BindingId, Durability, GroupId, QueueId, SessionId};

/// How an address picks targets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Router {
    /// The binding's key equals the message's.
    Direct,
    /// Every binding.
    Fanout,
    /// The binding's key is a [`Pattern`](crate::topology::Pattern) of words.
    Pattern,
    /// The binding's filter holds for the message's properties.
    Headers,
    /// Into a partition, and to every binding whose pattern fits the key.
    Partitioned,
}

impl Router {
    pub fn name(self) -> &'static str {
        match self {
            Router::Direct => "direct",
            Router::Fanout => "fanout",
            Router::Pattern => "pattern",
            Router::Headers => "headers",
            Router::Partitioned => "partitioned",
        }
    }
}

/// An address as declared.
#[derive(Clone, PartialEq, Debug)]
pub struct AddressSpec {
    pub name: Arc<str>,
    pub router: Router,
    pub durability: Durability,
    /// Removed when its last outgoing binding goes, never before a first one.
    pub auto_delete: bool,
    /// Fed by bindings only.
    pub internal: bool,
    /// Belongs to the broker: cannot be deleted.
    pub reserved: bool,
    /// Where a message goes that no binding wants.
    pub alternate: Option<Arc<str>>,
    /// Given exactly if the router is [`Router::Partitioned`].
    pub partitions: Option<Partitions>,
    /// A temporary address goes with its session.
    pub owner: Option<SessionId>,
    /// The declarer's own words, opaque in here.
    pub arguments: Arc<[u8]>,
}

/// The partitions of an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partitions {
    pub read: u32,
    pub write: u32,
    /// The declarer's permission bits, opaque in here.
    pub permissions: u32,
    pub ordered: bool,
    /// Hidden from foreign doors: it is no address that others may bind or publish to.
    pub system: bool,
    /// The declarer's own words, opaque in here.
    pub attributes: Arc<[u8]>,
}

/// A queue as declared.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueSpec {
    pub name: Arc<str>,
    pub durability: Durability,
    /// Removed when its last consumer goes, never before a first one.
    pub auto_delete: bool,
    /// Exclusive to a session and removed with it.
    pub owner: Option<SessionId>,
    /// Born by being used, not declared: the first explicit declaration adopts it.
    pub implicit: bool,
    pub options: QueueOptions,
    /// The declarer's own words, opaque in here.
    pub arguments: Arc<[u8]>,
}

/// How a queue treats its messages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueueOptions {
    pub message_ttl_ms: Option<u64>,
    /// The queue is removed after so long without consumers, declares and fetches.
    pub idle_ms: Option<u64>,
    pub dead_letter: Option<DeadLetter>,
}

/// Where messages go that were rejected or expired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    pub address: Arc<str>,
    /// Instead of the message's own key.
    pub key: Option<Arc<str>>,
    /// Messages that need not survive are dropped instead.
    pub persistent_only: bool,
    /// If the key names no queue yet, it is created, implicit and durable.
    pub create_queue: bool,
}

/// What a binding leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Target {
    Queue(QueueId),
    Address(AddressId),
}

/// An edge from an address to a queue or to another address.
#[derive(Clone, PartialEq, Debug)]
pub struct BindingSpec {
    pub source: AddressId,
    pub target: Target,
    pub key: Arc<str>,
    /// Only messages for which this holds pass; the whole rule of a headers binding.
    pub filter: Option<Arc<Predicate>>,
    /// The declarer's own words, opaque in here; part of the binding's identity.
    pub arguments: Arc<[u8]>,
}

/// A group of members that share cursors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSpec {
    pub name: Arc<str>,
    /// The declarer's own words, opaque in here.
    pub config: Arc<[u8]>,
}

/// A name that may come in, and the proof of it. The hash is made and checked outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserSpec {
    pub name: Arc<str>,
    /// Salted hash with its parameters, as text.
    pub password_hash: Arc<str>,
    pub tags: Vec<Arc<str>>,
    /// May only come from this machine.
    pub loopback_only: bool,
}

/// What a session asks of the topology. Names, not ids: the topology alone knows names.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    DeclareAddress(AddressSpec),
    /// Sets the partitions of an address that has some, or creates it.
    SetPartitions(AddressSpec),
    DeleteAddress {
        name: Arc<str>,
        condition: Unused,
    },
    DeclareQueue(QueueSpec),
    /// The queue is removed whatever it holds; "if unused" and "if empty" the shard has checked.
    DeleteQueue {
        name: Arc<str>,
    },
    Bind {
        source: Arc<str>,
        target: TargetName,
        key: Arc<str>,
        filter: Option<Arc<Predicate>>,
        arguments: Arc<[u8]>,
    },
    Unbind {
        source: Arc<str>,
        target: TargetName,
        key: Arc<str>,
        arguments: Arc<[u8]>,
    },
    SetGroup(GroupSpec),
    DeleteGroup {
        name: Arc<str>,
    },
    SetUser(UserSpec),
    DeleteUser {
        name: Arc<str>,
    },
    /// So many of the queues and addresses that a session owns go.
    EndSession {
        session: SessionId,
        at_most: usize,
    },
}

/// Whether something may be deleted while it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unused {
    Required,
    NotRequired,
}

/// A binding's target by name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TargetName {
    Queue(Arc<str>),
    Address(Arc<str>),
}

/// What has changed. Applying facts in order is the only way in which a topology changes; those
/// of [`Durability::Durable`] things are logged.
#[derive(Clone, PartialEq, Debug)]
pub enum TopologyFact {
    /// Created, or its partitions set anew.
    AddressSet {
        id: AddressId,
        spec: AddressSpec,
    },
    /// Its bindings, both ways, go with it.
    AddressRemoved {
        id: AddressId,
        durability: Durability,
    },
    /// Created, or adopted by its first explicit declaration.
    QueueSet {
        id: QueueId,
        spec: QueueSpec,
    },
    /// Its bindings go with it.
    QueueRemoved {
        id: QueueId,
    },
    Bound {
        id: BindingId,
        binding: BindingSpec,
        durability: Durability,
    },
    Unbound {
        id: BindingId,
        durability: Durability,
    },
    GroupSet {
        id: GroupId,
        spec: GroupSpec,
    },
    GroupRemoved {
        id: GroupId,
    },
    UserSet(UserSpec),
    UserRemoved {
        name: Arc<str>,
    },
}
