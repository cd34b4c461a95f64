//! Routes that were found before. One cache belongs to one thread and one topology: a hot key
//! then costs two look-ups and a reference count.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Address, Route, Topology};
use crate::id::{AddressId, QueueId};
use crate::properties::Properties;

/// Where a message goes, to be shared by all that go the same way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedRoute {
    /// Sorted, each once.
    pub queues: Arc<[QueueId]>,
    pub partitioned: Arc<[AddressId]>,
}

/// Routes by address and key, for one version of a topology. Emptied when the version changes
/// and when it is full. Looked up only, so that the order of its maps reaches nothing.
pub struct RouteCache {
    version: u64,
    routes: HashMap<AddressId, HashMap<Box<str>, CachedRoute>>,
    bytes: usize,
    scratch: Route,
    nowhere: CachedRoute,
}

impl RouteCache {
    /// What the keys and targets in one cache may take.
    pub const BYTES_MAX: usize = 8 << 20;
    /// A single route to more targets than this takes is found anew each time.
    const ROUTE_BYTES_MAX: usize = Self::BYTES_MAX / 8;
    /// Roughly what a route takes beside its key and targets.
    const OVERHEAD_BYTES: usize = 128;

    pub fn new() -> RouteCache {
        RouteCache {
            version: 0,
            routes: HashMap::new(),
            bytes: 0,
            scratch: Route::default(),
            nowhere: CachedRoute {
                queues: [].into(),
                partitioned: [].into(),
            },
        }
    }

    /// The way of a message with one key. It is kept unless a filter was asked.
    pub fn route(
        &mut self,
        topology: &Topology,
        address: &Address,
        key: &str,
        properties: &dyn Properties,
    ) -> CachedRoute {
        if self.version != topology.version() {
            self.clear();
            self.version = topology.version();
        }
        if let Some(found) = self.routes.get(&address.id).and_then(|keys| keys.get(key)) {
            return found.clone();
        }
        topology.route(address, &[key], properties, &mut self.scratch);
        let found = self.shared();
        if !self.scratch.depends_on_properties {
            self.keep(address.id, key, &found);
        }
        found
    }

    /// The way of a message with several keys; it is not kept.
    pub fn route_keys(
        &mut self,
        topology: &Topology,
        address: &Address,
        keys: &[&str],
        properties: &dyn Properties,
    ) -> CachedRoute {
        match keys {
            [key] => self.route(topology, address, key, properties),
            _ => {
                topology.route(address, keys, properties, &mut self.scratch);
                self.shared()
            }
        }
    }

    /// What is held, against [`RouteCache::BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn clear(&mut self) {
        self.routes.clear();
        self.bytes = 0;
    }

    fn shared(&self) -> CachedRoute {
        let nowhere = &self.nowhere;
        let Route {
            queues,
            partitioned,
            ..
        } = &self.scratch;
        CachedRoute {
            queues: match queues.as_slice() {
                [] => Arc::clone(&nowhere.queues),
                some => some.into(),
            },
            partitioned: match partitioned.as_slice() {
                [] => Arc::clone(&nowhere.partitioned),
                some => some.into(),
            },
        }
    }

    fn keep(&mut self, address: AddressId, key: &str, found: &CachedRoute) {
        let targets = size_of_val(&*found.queues) + size_of_val(&*found.partitioned);
        let bytes = Self::OVERHEAD_BYTES + key.len() + targets;
        if bytes > Self::ROUTE_BYTES_MAX {
            return;
        }
        if self.bytes + bytes > Self::BYTES_MAX {
            self.clear();
        }
        self.bytes += bytes;
        self.routes
            .entry(address)
            .or_default()
            .insert(key.into(), found.clone());
    }
}

impl CachedRoute {
    /// Whether the message goes nowhere.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.partitioned.is_empty()
    }
}

impl Default for RouteCache {
    fn default() -> RouteCache {
        RouteCache::new()
    }
}
