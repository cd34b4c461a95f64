//! The addresses that exist from the start, at every door and for ever.

use broker::id::Durability;
use broker::topology::{AddressSpec, Router};

/// In this order, which fixes their ids: a new one goes to the end. The one without a name routes
/// to the queue that the key names; topics of JMS are keys on `amq.topic`.
pub fn predeclared() -> Vec<AddressSpec> {
    let named = |(name, router): (&str, Router)| AddressSpec {
        name: name.into(),
        router,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: true,
        alternate: None,
        partitions: None,
        owner: None,
        arguments: [].into(),
    };
    [
        ("", Router::Direct),
        ("amq.direct", Router::Direct),
        ("amq.fanout", Router::Fanout),
        ("amq.topic", Router::Pattern),
        ("amq.headers", Router::Headers),
        ("amq.match", Router::Headers),
    ]
    .map(named)
    .into()
}
