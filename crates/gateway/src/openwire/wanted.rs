//! What a consumer asks for: where its messages come from, and which of them it wants.

use std::sync::Arc;

use broker::filter::{Literal, Predicate};
use broker::id::QueueId;
use broker::topology::Pattern;
use openwire::{ConsumerInfo, DestinationKind, ExceptionClass};

use super::connection::Connection;
use super::destination::{Options, Place, pattern};
use super::failure::Failure;
use super::limits::PARTS_MAX;
use super::names::SUBSCRIPTION;
use super::view::SENDER;
use crate::door::Context;
use crate::selector;

/// Where a consumer's messages come from, by kinds.
pub(super) struct Wanted {
    pub queues: Vec<Place>,
    pub topics: Vec<Place>,
    pub advisories: Vec<Place>,
}

impl Wanted {
    pub fn sort(places: Vec<Place>) -> Wanted {
        let (advisories, others): (Vec<_>, Vec<_>) =
            places.into_iter().partition(Place::is_advisory);
        let (topics, queues) = others.into_iter().partition(|place| place.kind.is_topic());
        Wanted {
            queues,
            topics,
            advisories,
        }
    }
}

pub(super) fn foreign(kind: &str) -> Failure {
    let message =
        format!("Subscribing to a temporary {kind} created by another connection is not permitted");
    Failure::new(ExceptionClass::InvalidDestination, message)
}

/// The queues that a place stands for. A wildcard does not see those of subscriptions.
pub(super) fn matching(place: &Place, cx: &Context<'_>) -> Vec<(QueueId, Place)> {
    if !place.is_wildcard() {
        let queue = cx.topology.queue(&place.name);
        return queue
            .map(|queue| (queue.id, place.clone()))
            .into_iter()
            .collect();
    }
    let pattern = Pattern::new(pattern(&place.name));
    cx.topology
        .queues()
        .filter(|queue| is_followed(&queue.spec) && pattern.matches(&queue.spec.name))
        .take(PARTS_MAX)
        .map(|queue| {
            (
                queue.id,
                Place::new(DestinationKind::Queue, &queue.spec.name),
            )
        })
        .collect()
}

/// Whether wildcards see a queue.
pub(super) fn is_followed(spec: &broker::topology::QueueSpec) -> bool {
    spec.owner.is_none() && !spec.name.starts_with(SUBSCRIPTION)
}

/// Java clients apply options themselves; others may leave it to us.
pub(super) fn apply(options: &Options, info: &mut ConsumerInfo) {
    let number = |name: &str| options.consumer(name).and_then(|text| text.parse().ok());
    let flag = |name: &str| options.consumer(name).map(|text| text == "true");
    info.prefetch_size = number("prefetchSize").unwrap_or(info.prefetch_size);
    info.priority = number("priority")
        .and_then(|priority| i8::try_from(priority).ok())
        .unwrap_or(info.priority);
    info.maximum_pending_message_limit =
        number("maximumPendingMessageLimit").unwrap_or(info.maximum_pending_message_limit);
    info.exclusive = flag("exclusive").unwrap_or(info.exclusive);
    info.retroactive = flag("retroactive").unwrap_or(info.retroactive);
    info.no_local = flag("noLocal").unwrap_or(info.no_local);
    if let Some(selector) = options.consumer("selector") {
        info.selector = Some(selector.into());
    }
}

/// Selector and noLocal as one predicate.
pub(super) fn filter(
    conn: &Connection,
    info: &ConsumerInfo,
) -> Result<Option<Arc<Predicate>>, Failure> {
    let mut found = None;
    if let Some(text) = &info.selector {
        let text = text.to_str();
        found = selector::parse(&text)
            .map_err(|_| Failure::new(ExceptionClass::InvalidSelector, text.as_ref()))?;
    }
    if info.no_local {
        let own = Literal::Text((&*conn.id().value.to_str()).into());
        let foreign = Predicate::differs(SENDER, own);
        found = Some(match found {
            Some(selected) => selected.and(foreign),
            None => foreign,
        });
    }
    Ok(found.map(Arc::new))
}
