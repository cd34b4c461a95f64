//! Names that mean something between this wire and the broker.

use broker::topology::{DeadLetter, QueueOptions};

/// The address on which JMS topics are keys.
pub(super) const TOPICS: &str = "amq.topic";
/// Where dead messages of JMS queues go.
pub(super) const DEAD_LETTERS: &str = "ActiveMQ.DLQ";
/// Names of queues behind subscriptions begin like this; no wildcard of a queue follows them.
pub(super) const SUBSCRIPTION: &str = "amq.sub.";
/// The same of those that are not durable.
pub(super) const LISTENER: &str = "amq.con.";

/// Where poison and expired messages go. Those that need not survive are dropped.
pub(super) fn dead_letter() -> DeadLetter {
    DeadLetter {
        address: "".into(),
        key: Some(DEAD_LETTERS.into()),
        persistent_only: true,
        create_queue: true,
    }
}

/// How a queue treats its messages that JMS creates by using it.
pub(super) fn queue_options(name: &str) -> QueueOptions {
    let dead_letter = (name != DEAD_LETTERS).then(dead_letter);
    QueueOptions {
        dead_letter,
        ..QueueOptions::default()
    }
}

/// The queue of a durable subscription.
pub(super) fn subscription_queue(client: &str, name: &str) -> String {
    let mut queue = SUBSCRIPTION.to_owned();
    escape(client, &mut queue);
    queue.push('.');
    escape(name, &mut queue);
    queue
}

/// Everything but letters, digits, `-` and `_` as `%` and two digits, byte by byte, so that the
/// point between client and name is the only one.
fn escape(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_has_one_queue_of_its_own() {
        for (client, name, queue) in [
            ("cid1", "sub1", "amq.sub.cid1.sub1"),
            ("a.b", "c", "amq.sub.a%2Eb.c"),
            ("a", "b.c", "amq.sub.a.b%2Ec"),
            ("ID:x", "é%", "amq.sub.ID%3Ax.%C3%A9%25"),
        ] {
            assert_eq!(subscription_queue(client, name), queue);
        }
    }
}
