//! A consumer: the queues it is attached to, its window, and what it was given and has not
//! acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;

use broker::filter::Predicate;
use broker::id::{ConsumerId as Attached, Millis, Position, QueueId};
use broker::pass::{Mode, Sharing, TakeOver};
use broker::topology::Pattern;
use openwire::{
    BaseCommand, ConsumerId, ConsumerInfo, Destination, DestinationRef, JavaString, MessageId,
    MessageIdRef,
};

use super::failure::Failure;
use super::limits::{PREFETCH_MAX, UNACKNOWLEDGED_MAX};

/// Session and number; both are the client's.
pub(super) type ConsumerKey = (i64, i64);

pub(super) struct Consumer {
    pub id: ConsumerId,
    pub info: Box<ConsumerInfo>,
    pub parts: Vec<Part>,
    /// Queues that it follows, also future ones.
    pub follows: Vec<Follow>,
    pub filter: Option<Arc<Predicate>>,
    pub window: Window,
    /// Given and not acknowledged, in the order of dispatch; of consumers of queues and durable
    /// subscriptions.
    pub dispatched: VecDeque<Dispatched>,
    /// How many were given and not acknowledged, of all others.
    pub outstanding: u32,
    /// Whether what it is given must be acknowledged one by one.
    pub keeps_list: bool,
    /// Whether it is told advisories.
    pub watches: bool,
    /// Whether its window is shared by several queues.
    pub shares: bool,
    pub pulls: VecDeque<Pull>,
    /// Acknowledgements before the first dispatch are left over from another connection.
    pub was_given: bool,
    pub touched: bool,
    /// While it is opened: attachments that are not answered, and why one was refused.
    pub opening: Option<Opening>,
}

/// A consumer on its way.
pub(super) struct Opening {
    pub base: BaseCommand,
    pub left: u32,
    pub failure: Option<Failure>,
}

/// Queues of this name or pattern.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Follow {
    pub name: Arc<str>,
    pub pattern: Pattern,
}

/// One queue that a consumer is attached to.
pub(super) struct Part {
    pub attached: Attached,
    pub queue: QueueId,
    pub source: Source,
    pub mode: Mode,
    /// What the broker may still give without being asked again.
    pub credit: u32,
    /// A fetch would find something.
    pub is_ready: bool,
    /// Behind the last message that was given or left out, where they are settled at once.
    pub next: Position,
}

/// What a part stands for towards the client.
pub(super) enum Source {
    Queue(Destination),
    /// A subscription: the topic is that of the message. The last one is kept, as it mostly comes
    /// again.
    Topic {
        last: Option<Destination>,
    },
}

impl Source {
    /// The destination of a message that comes out of this part.
    pub fn destination(&mut self, of_message: Option<DestinationRef<'_>>) -> Option<Destination> {
        match self {
            Source::Queue(destination) => Some(destination.clone()),
            Source::Topic { last } => {
                let named = of_message?;
                let same = |known: &&Destination| {
                    known.kind == named.kind
                        && known.physical_name.as_bytes() == named.physical_name.as_bytes()
                };
                if let Some(known) = last.as_ref().filter(same) {
                    return Some(known.clone());
                }
                *last = Some(named.to_owned());
                last.clone()
            }
        }
    }
}

/// A pull that waits; at its end it is answered without a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pull {
    pub until: Option<Millis>,
}

/// A message that was given and is not acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Dispatched {
    pub id: DispatchedId,
    /// Our own number, growing from dispatch to dispatch.
    pub sequence: i64,
    /// Where it is held; nothing for what is settled already.
    pub held: Option<(QueueId, Position)>,
    pub in_group: bool,
    /// The commit of which it waits for.
    pub is_committing: bool,
}

/// What makes two message ids the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct DispatchedId {
    pub connection: JavaString,
    pub session: i64,
    pub producer: i64,
    pub sequence: i64,
}

impl DispatchedId {
    /// `like` is an id whose text is shared if it is the same, as it mostly is.
    pub fn of(id: MessageIdRef<'_>, like: Option<&DispatchedId>) -> DispatchedId {
        let Some(producer) = id.producer_id else {
            return DispatchedId {
                sequence: id.producer_sequence_id,
                ..DispatchedId::default()
            };
        };
        let same = |known: &&DispatchedId| {
            known.connection.as_bytes() == producer.connection_id.as_bytes()
        };
        let connection = match like.filter(same) {
            Some(known) => known.connection.clone(),
            None => producer.connection_id.to_owned(),
        };
        DispatchedId {
            connection,
            session: producer.session_id,
            producer: producer.value,
            sequence: id.producer_sequence_id,
        }
    }

    pub fn from_wire(id: &MessageId) -> DispatchedId {
        match &id.producer_id {
            None => DispatchedId {
                sequence: id.producer_sequence_id,
                ..DispatchedId::default()
            },
            Some(producer) => DispatchedId {
                connection: producer.connection_id.clone(),
                session: producer.session_id,
                producer: producer.value,
                sequence: id.producer_sequence_id,
            },
        }
    }
}

/// How many messages a consumer wants: `in flight − extension < prefetch`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    pub prefetch: u32,
    /// What was delivered to the application and not acknowledged makes room for as much.
    pub extension: u32,
}

impl Window {
    pub fn new(prefetch: i32) -> Window {
        Window {
            prefetch: clamp(prefetch),
            extension: 0,
        }
    }

    pub fn resize(&mut self, prefetch: i32) {
        self.prefetch = clamp(prefetch);
    }

    /// Extensions mean nothing to who pulls.
    pub fn extend(&mut self, count: u32) {
        if self.prefetch > 0 {
            let room = UNACKNOWLEDGED_MAX.saturating_sub(self.prefetch);
            self.extension = self.extension.saturating_add(count).min(room);
        }
    }

    pub fn contract(&mut self, count: u32) {
        self.extension = self.extension.saturating_sub(count);
    }
}

fn clamp(prefetch: i32) -> u32 {
    u32::try_from(prefetch).unwrap_or(0).min(PREFETCH_MAX)
}

impl Consumer {
    pub fn is_durable(&self) -> bool {
        self.info.subscription_name.is_some()
    }

    pub fn in_flight(&self) -> u32 {
        if self.keeps_list {
            self.dispatched.len() as u32
        } else {
            self.outstanding
        }
    }

    /// How many more it may be given.
    pub fn room(&self) -> u32 {
        if self.window.prefetch == 0 {
            return self.pulls.len() as u32;
        }
        (self.window.prefetch + self.window.extension).saturating_sub(self.in_flight())
    }

    pub fn part(&mut self, attached: Attached) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.attached == attached)
    }

    /// How it takes from queues; a subscription knows its own way.
    pub fn queue_mode(&self) -> Mode {
        if self.info.browser {
            Mode::Browse
        } else {
            Mode::Lease
        }
    }

    /// Of those that compete for a queue.
    pub fn sharing(&self) -> Sharing {
        if self.is_durable() {
            Sharing::Sole
        } else if self.info.exclusive {
            Sharing::Active(match self.info.priority {
                i8::MAX => TakeOver::FromAnybody,
                _ => TakeOver::FromLower,
            })
        } else {
            Sharing::Shared
        }
    }

    /// A message was sent to the client.
    pub fn given(&mut self, dispatched: Dispatched) {
        self.was_given = true;
        if self.window.prefetch == 0 {
            self.pulls.pop_front();
        }
        if self.keeps_list {
            self.dispatched.push_back(dispatched);
        } else {
            self.outstanding = self.outstanding.saturating_add(1);
        }
    }

    /// Where a message stands in the list. The first is the likeliest.
    pub fn find(&self, id: &DispatchedId) -> Option<usize> {
        self.dispatched.iter().position(|one| one.id == *id)
    }

    /// Where our own number stands in the list.
    pub fn find_sequence(&self, sequence: i64) -> Option<usize> {
        let at = self
            .dispatched
            .partition_point(|one| one.sequence < sequence);
        self.dispatched
            .get(at)
            .filter(|one| one.sequence == sequence)
            .map(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_extended_by_what_was_delivered() {
        let mut window = Window::new(10);
        window.extend(5);
        window.contract(2);
        assert_eq!(
            window,
            Window {
                prefetch: 10,
                extension: 3
            }
        );
        window.contract(9);
        assert_eq!(window.extension, 0);
        let mut pulls = Window::new(-1);
        pulls.extend(5);
        assert_eq!(
            pulls,
            Window {
                prefetch: 0,
                extension: 0
            }
        );
        assert_eq!(Window::new(i32::MAX).prefetch, PREFETCH_MAX);
        window.extend(u32::MAX);
        assert_eq!(window.prefetch + window.extension, UNACKNOWLEDGED_MAX);
    }
}
