//! What exists before anybody has declared anything, and the rules of names that the broker
//! itself does not know: they come from the three worlds' own customs.

use std::sync::Arc;

use broker::id::Durability;
use broker::node::Config;
use broker::topology::{AddressSpec, BirthBinding, Limits, Router};

/// Where JMS topics are keys.
const TOPICS: &str = "amq.topic";
const CONSUMER: &str = "Consumer.";
const VIRTUAL_TOPIC: &str = "VirtualTopic.";

/// What a node is made with. The order of the addresses is part of every data directory: a new
/// one goes to the end.
pub(crate) fn founding() -> Config {
    let addresses = [
        ("", Router::Direct),
        ("amq.direct", Router::Direct),
        ("amq.fanout", Router::Fanout),
        (TOPICS, Router::Pattern),
        ("amq.headers", Router::Headers),
        ("amq.match", Router::Headers),
    ];
    let addresses = addresses.map(|(name, router)| AddressSpec {
        name: name.into(),
        router,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: true,
        alternate: None,
        partitions: None,
        owner: None,
        arguments: Arc::default(),
    });
    Config {
        addresses: addresses.into(),
        birth: born_bound,
        tag_hash,
        limits: Limits::default(),
    }
}

/// ActiveMQ's virtual topics: a queue `Consumer.A.VirtualTopic.x` gets what is sent to the topic
/// `VirtualTopic.x`, whichever door creates it.
fn born_bound(queue: &str) -> Option<BirthBinding> {
    let (_, topic) = queue.strip_prefix(CONSUMER)?.split_once('.')?;
    topic.starts_with(VIRTUAL_TOPIC).then(|| BirthBinding {
        source: TOPICS.into(),
        key: topic.into(),
    })
}

/// Java's `String.hashCode`, by which RocketMQ clients ask for tags. No tag hashes to 0.
fn tag_hash(tag: &str) -> u32 {
    tag.encode_utf16().fold(0u32, |sum, unit| {
        sum.wrapping_mul(31).wrapping_add(unit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consumer_queues_of_virtual_topics_are_born_bound() {
        for (queue, key) in [
            ("Consumer.A.VirtualTopic.x", Some("VirtualTopic.x")),
            ("Consumer.A.VirtualTopic.x.y", Some("VirtualTopic.x.y")),
            ("Consumer.A.Other.x", None),
            ("Consumer.VirtualTopic.x", None),
            ("VirtualTopic.x", None),
            ("orders", None),
        ] {
            assert_eq!(
                born_bound(queue).map(|binding| binding.key).as_deref(),
                key,
                "{queue}"
            );
        }
    }

    #[test]
    fn tags_hash_as_java_does() {
        for (tag, hash) in [
            ("", 0),
            ("TagA", 2_598_919),
            ("*", 42),
            ("größe", 98_762_257),
        ] {
            assert_eq!(tag_hash(tag), hash, "{tag}");
        }
        assert_eq!(tag_hash("TagTagTagTag") as i32, java("TagTagTagTag"));
    }

    /// The definition, in Java's own signed arithmetic.
    fn java(text: &str) -> i32 {
        let mut hash = 0i32;
        for unit in text.encode_utf16() {
            hash = hash.wrapping_mul(31).wrapping_add(i32::from(unit));
        }
        hash
    }
}
