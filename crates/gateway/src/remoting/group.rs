//! Consumer groups as the topology keeps them: a name, and the configuration as the JSON text that
//! tools send and read.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::id::GroupId;
use broker::topology::{Group, Topology};
use remoting::body::{SubscriptionGroupConfig, from_slice};

use super::creation::{Need, Stop};
use super::refusals::Refused;
use super::topic;

/// The longest name of a group: that of its retry topic is an address.
pub const NAME_BYTES_MAX: usize = 255 - topic::RETRY_PREFIX.len();

/// Configurations that were read before; one is read again when its group changes.
#[derive(Debug, Default)]
pub struct Configs {
    read: BTreeMap<GroupId, Arc<SubscriptionGroupConfig>>,
}

impl Configs {
    pub fn of(&mut self, group: &Group) -> Arc<SubscriptionGroupConfig> {
        let read = || {
            let config = from_slice(&group.spec.config).unwrap_or_default();
            Arc::new(SubscriptionGroupConfig {
                group_name: group.spec.name.to_string(),
                ..config
            })
        };
        Arc::clone(self.read.entry(group.id).or_insert_with(read))
    }

    pub fn forget(&mut self, group: GroupId) {
        self.read.remove(&group);
    }
}

pub fn is_legal(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && topic::is_legal(name)
}

/// The group, or what must happen first.
pub fn find<'t>(
    topology: &'t Topology,
    name: &str,
    auto_create: bool,
) -> Result<&'t Arc<Group>, Stop> {
    match topology.group(name) {
        Some(group) => Ok(group),
        None if auto_create && is_legal(name) => Err(Stop::Needs(Box::new(Need::group(name)))),
        None => Err(Refused::no_group(name).into()),
    }
}
