//! What a node is made with: the addresses that exist before anybody has declared anything, and
//! the rules of names that the broker itself does not know.

use broker::node;
use broker::topology::Limits;

use crate::config::Config;
use crate::doors::remoting_settings;

/// The order of the addresses is part of every data directory: a new one goes to the end.
pub(crate) fn founding(config: &Config) -> node::Config {
    let mut addresses = gateway::predeclared::predeclared();
    addresses.extend(gateway::remoting::predeclared(&remoting_settings(config)));
    node::Config {
        addresses,
        birth: gateway::birth::birth,
        tag_hash: gateway::partition::tag_hash,
        limits: Limits::default(),
    }
}
