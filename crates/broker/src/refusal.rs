//! Refusals: what was understood and is not allowed or not possible. A closed list, so that
//! every door must map each of them to its own codes and texts.

use std::fmt;

/// What a refused command was about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Address,
    Queue,
    Group,
}

/// Why a command was refused. `name` is the thing it was refused for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    NotFound {
        kind: Kind,
        name: Box<str>,
    },
    /// The name is taken by an address of another router, or by one with partitions.
    AddressTaken {
        name: Box<str>,
    },
    /// Redeclared with a field that differs. Values are in the words of the declarer.
    Inequivalent {
        kind: Kind,
        name: Box<str>,
        field: Field,
        received: Box<str>,
        current: Box<str>,
    },
    /// Opaque arguments differ; the door that declares compares them and words the answer.
    ArgumentsDiffer {
        kind: Kind,
        name: Box<str>,
    },
    /// The queue belongs to another session.
    Locked {
        name: Box<str>,
    },
    /// A consumer asked to be, or already is, the only one.
    ExclusiveUse {
        name: Box<str>,
    },
    InUse {
        kind: Kind,
        name: Box<str>,
    },
    NotEmpty {
        name: Box<str>,
    },
    /// The thing belongs to the broker itself.
    Reserved {
        kind: Kind,
        name: Box<str>,
    },
    /// A limit with a name was reached.
    LimitReached {
        limit: &'static str,
        max: u64,
    },
    /// The disk is full: nothing but settling goes on.
    DiskFull,
    /// The transaction is unknown or was rolled back.
    NoTransaction,
    /// The message is gone, or not one that this can be done with.
    NoMessage,
}

/// A field compared when something is declared again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    Router,
    Durable,
    AutoDelete,
    Internal,
    Exclusive,
    Alternate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotFound { kind, name } => write!(f, "no {kind} \"{name}\""),
            Refusal::AddressTaken { name } => {
                write!(f, "the name \"{name}\" is taken by another kind of address")
            }
            Refusal::Inequivalent {
                kind,
                name,
                field,
                received,
                current,
            } => write!(
                f,
                "{kind} \"{name}\" has {field:?} {current}, not {received}, as declared again"
            ),
            Refusal::ArgumentsDiffer { kind, name } => {
                write!(f, "{kind} \"{name}\" was declared with other arguments")
            }
            Refusal::Locked { name } => {
                write!(f, "queue \"{name}\" is exclusive to another session")
            }
            Refusal::ExclusiveUse { name } => write!(f, "queue \"{name}\" is in exclusive use"),
            Refusal::InUse { kind, name } => write!(f, "{kind} \"{name}\" is in use"),
            Refusal::NotEmpty { name } => write!(f, "queue \"{name}\" is not empty"),
            Refusal::Reserved { kind, name } => {
                write!(f, "{kind} \"{name}\" belongs to the broker")
            }
            Refusal::LimitReached { limit, max } => write!(f, "{limit} has reached {max}"),
            Refusal::DiskFull => f.write_str("the disk is full"),
            Refusal::NoTransaction => f.write_str("no such transaction"),
            Refusal::NoMessage => f.write_str("no such message"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Address => "address",
            Kind::Queue => "queue",
            Kind::Group => "group",
        })
    }
}
