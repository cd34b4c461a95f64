//! Queues that are born bound: a queue named `Consumer.A.VirtualTopic.x` gets what is sent to the
//! topic `VirtualTopic.x`, whoever creates it and through whichever door.

use broker::topology::BirthBinding;

/// The address on which topics are keys.
const TOPICS: &str = "amq.topic";
const CONSUMER: &str = "Consumer.";
const VIRTUAL: &str = "VirtualTopic.";

/// The binding with which a queue of this name is born. The consumer's part is one word, so a
/// name in which it has more is an ordinary one.
pub fn birth(name: &str) -> Option<BirthBinding> {
    let (consumer, topic) = name.strip_prefix(CONSUMER)?.split_once('.')?;
    let virtual_name = topic.strip_prefix(VIRTUAL)?;
    if consumer.is_empty() || virtual_name.is_empty() {
        return None;
    }
    // A trailing `>` follows every topic below.
    let key = match topic.strip_suffix('>') {
        Some(prefix) if prefix.ends_with('.') => format!("{prefix}#"),
        Some(_) | None => topic.to_owned(),
    };
    Some(BirthBinding {
        source: TOPICS.to_owned(),
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consumers_of_virtual_topics_are_born_bound() {
        for (queue, key) in [
            (
                "Consumer.A.VirtualTopic.orders",
                Some("VirtualTopic.orders"),
            ),
            ("Consumer.A.VirtualTopic.a.b", Some("VirtualTopic.a.b")),
            ("Consumer.A.VirtualTopic.>", Some("VirtualTopic.#")),
            ("Consumer.A.VirtualTopic.", None),
            ("Consumer.A.B.VirtualTopic.x", None),
            ("Consumer..VirtualTopic.x", None),
            ("Consumer.A.Topic.x", None),
            ("VirtualTopic.x", None),
            ("Consumer.VirtualTopic.x", None),
            ("orders", None),
        ] {
            assert_eq!(birth(queue).map(|born| born.key).as_deref(), key, "{queue}");
        }
    }
}
