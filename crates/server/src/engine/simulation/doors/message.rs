//! Messages of the story: numbers, from which their bodies follow, and the places where they go.

/// A queue of the story, as every door names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Queue {
    /// Declared by AMQP, nothing special.
    Orders,
    Invoices,
    /// Bound to the topics `news.#` and to the RocketMQ topic.
    Notes,
    /// What is rejected goes to [`Queue::Dead`].
    Jobs,
    Dead,
    /// Born by being used by JMS; what dies goes to [`Queue::DeadLetters`].
    Parcels,
    DeadLetters,
    /// Of a durable subscription to `news.>`.
    Forecasts,
}

/// The queues of which everybody takes.
pub(super) const QUEUES: [Queue; 7] = [
    Queue::Orders,
    Queue::Invoices,
    Queue::Notes,
    Queue::Jobs,
    Queue::Dead,
    Queue::Parcels,
    Queue::DeadLetters,
];

/// What senders send to: a message goes to each of these queues, and to a partition or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Queue(Queue),
    /// Two queues at once, as only JMS can.
    Both(Queue, Queue),
    /// A JMS topic, or a key of `amq.topic`.
    News,
    /// The RocketMQ topic, or its exchange.
    Ticks,
}

/// Who has the subscription, and what he calls it.
pub(super) const SUBSCRIBER: &str = "ID:story-1";
pub(super) const SUBSCRIPTION: &str = "forecasts";
/// The key of [`Target::News`].
pub(super) const NEWS: &str = "news.today";
/// The RocketMQ topic.
pub(super) const TICKS: &str = "Ticks";

impl Queue {
    pub fn name(self) -> &'static str {
        match self {
            Queue::Orders => "orders",
            Queue::Invoices => "invoices",
            Queue::Notes => "notes",
            Queue::Jobs => "jobs",
            Queue::Dead => "dead",
            Queue::Parcels => "parcels",
            Queue::DeadLetters => "ActiveMQ.DLQ",
            Queue::Forecasts => "amq.sub.client-ID%3Astory-1.forecasts",
        }
    }

    /// Where it goes what is rejected over AMQP; nowhere means that it is dropped.
    pub fn grave(self) -> Option<Queue> {
        match self {
            Queue::Jobs => Some(Queue::Dead),
            Queue::Parcels => Some(Queue::DeadLetters),
            Queue::Orders
            | Queue::Invoices
            | Queue::Notes
            | Queue::Dead
            | Queue::Forecasts
            | Queue::DeadLetters => None,
        }
    }

    /// Where it goes what JMS gives up.
    pub fn grave_of_poison(self) -> Option<Queue> {
        match self {
            Queue::DeadLetters => None,
            Queue::Jobs => Some(Queue::Dead),
            Queue::Orders
            | Queue::Invoices
            | Queue::Notes
            | Queue::Dead
            | Queue::Parcels
            | Queue::Forecasts => Some(Queue::DeadLetters),
        }
    }
}

impl Target {
    pub fn queues(self) -> Vec<Queue> {
        match self {
            Target::Queue(queue) => vec![queue],
            Target::Both(one, other) => vec![one, other],
            Target::News => vec![Queue::Notes, Queue::Forecasts],
            Target::Ticks => vec![Queue::Notes],
        }
    }
}

/// The body of a message, which every language keeps as it is.
pub(super) fn body(number: u64) -> String {
    let padding = match number % 23 {
        0 => 9_000,
        1 | 2 => 700,
        some => some as usize,
    };
    format!("{number}:{}", "x".repeat(padding))
}

/// The number of a body that is as it was sent.
pub(super) fn number_of(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number = text.split_once(':')?.0.parse().ok()?;
    (text == body(number)).then_some(number)
}
