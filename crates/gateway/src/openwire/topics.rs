//! Topics that somebody has used. A topic is but a key and nothing is kept of it elsewhere; this
//! register is what advisories tell newcomers.
//!
//! Caveat: it is of this process. After a restart it knows the topics of durable subscriptions,
//! and others again when they are used.

use std::collections::BTreeSet;

use broker::topology::Target;
use openwire::{DestinationInfo, DestinationKind};

use super::OpenwireDoor;
use super::connection::Connection;
use super::destination::{Place, is_wildcard};
use super::limits::TOPICS_MAX;
use super::names::{SUBSCRIPTION, TOPICS};
use crate::door::Context;

/// The names of topics that were used, and not removed since.
#[derive(Default)]
pub(super) struct Topics(BTreeSet<Box<str>>);

impl Topics {
    /// Whether this is the first that is heard of it. What is beyond the limit is not told of.
    fn learn(&mut self, name: &str) -> bool {
        !self.0.contains(name) && self.0.len() < TOPICS_MAX && self.0.insert(name.into())
    }
}

impl OpenwireDoor {
    /// Somebody uses a topic: watchers hear of it the first time.
    pub(super) fn meet(&mut self, conn: &mut Connection, place: &Place, cx: &mut Context<'_>) {
        let is_topic = place.kind == DestinationKind::Topic;
        if is_topic
            && !place.is_wildcard()
            && !place.is_advisory()
            && self.topics.learn(&place.name)
        {
            self.advise_topic(conn, &place.name, DestinationInfo::ADD, cx);
        }
    }

    /// A topic is removed. Nobody hears of one that nobody has used.
    pub(super) fn forget(&mut self, conn: &mut Connection, place: &Place, cx: &mut Context<'_>) {
        if self.topics.0.remove(&*place.name) {
            self.advise_topic(conn, &place.name, DestinationInfo::REMOVE, cx);
        }
    }

    /// Everything that is known now, for a newcomer.
    pub(super) fn known_topics(&self, cx: &Context<'_>) -> BTreeSet<Box<str>> {
        let mut known = self.topics.0.clone();
        let Some(topics) = cx.topology.address(TOPICS).map(|address| address.id) else {
            return known;
        };
        let durable = cx
            .topology
            .queues()
            .filter(|queue| queue.spec.name.starts_with(SUBSCRIPTION));
        for queue in durable {
            let bound = cx.topology.bindings_to(Target::Queue(queue.id));
            let keys = bound
                .iter()
                .filter(|binding| binding.spec.source == topics)
                .map(|binding| &*binding.spec.key)
                .filter(|key| !key.contains('#') && !is_wildcard(key));
            known.extend(keys.map(Box::from));
        }
        known
    }
}
