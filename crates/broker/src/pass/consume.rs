//! How messages are received, and how each delivery ends.

use std::sync::Arc;

use crate::filter::Predicate;
use crate::id::{Millis, Position, Token};
use crate::topology::DeadLetter;

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
    Active(TakeOver),
}

/// From whom a consumer takes the place of the only one served when it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TakeOver {
    FromNobody,
    /// From one of a lower priority.
    FromLower,
    FromAnybody,
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

impl Outcome {
    /// Whether the message can be handed out again from where it stood.
    pub fn gives_back(&self) -> bool {
        matches!(
            self,
            Outcome::Release | Outcome::ReleaseCounted | Outcome::ReleaseUntouched
        )
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
