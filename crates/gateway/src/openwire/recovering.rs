//! A durable subscription that is made retroactively gets first what other durable subscriptions
//! still hold of its topics: as in the original, whose store keeps a message until every durable
//! subscription has acknowledged it, and shows a retroactive newcomer all that is there.
//!
//! The other subscriptions are browsed, and what is found is stored again for the new one alone,
//! in the order in which it came, before its consumer is opened. What was routed to the new one
//! meanwhile is left out.
//!
//! Caveat: if the connection breaks meanwhile, the subscription is there and recovers nothing.

use std::collections::{BTreeMap, BTreeSet};

use broker::event::Delivery;
use broker::id::{ConsumerId as Attached, MessageRef, QueueId};
use broker::pass::{Command as Ask, ConsumerOptions, Credit, Destination, Mode, Publish, Sharing};
use broker::record::Record;
use broker::topology::{Pattern, Target};

use super::OpenwireDoor;
use super::connection::{Awaited, Connection};
use super::consumer::ConsumerKey;
use super::destination::is_wildcard;
use super::durable::Subscription;
use super::failure::Failure;
use super::limits::{PARTS_MAX, RECOVERED_BYTES_MAX};
use super::names::{SUBSCRIPTION, TOPICS};
use crate::door::Context;

/// What one connection recovers: it opens one consumer at a time.
pub(super) struct Recovering {
    key: ConsumerKey,
    queue: Option<QueueId>,
    topics: Vec<Pattern>,
    /// Those that have not seen everything yet.
    browsers: BTreeSet<Attached>,
    /// The one that looks what is in the new subscription already.
    own: Option<Attached>,
    /// By the first name that the message had, whatever copies were made of it.
    found: BTreeMap<MessageRef, Box<[u8]>>,
    there: BTreeSet<MessageRef>,
    bytes: usize,
    is_done: bool,
}

impl Recovering {
    /// For a subscription that is being made.
    pub fn of(key: ConsumerKey) -> Box<Recovering> {
        Box::new(Recovering {
            key,
            queue: None,
            topics: Vec::new(),
            browsers: BTreeSet::new(),
            own: None,
            found: BTreeMap::new(),
            there: BTreeSet::new(),
            bytes: 0,
            is_done: false,
        })
    }
}

impl OpenwireDoor {
    /// Whether everything is recovered; until then the command waits.
    pub(super) fn recover_durable(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        subscription: &Subscription,
        queue: QueueId,
        cx: &mut Context<'_>,
    ) -> Result<bool, Failure> {
        let Some(mut recovering) = conn.recovering.take_if(|found| found.key == key) else {
            return Ok(true);
        };
        if recovering.bytes > RECOVERED_BYTES_MAX {
            // It would be made without what it asks for: it is not made at all.
            let token = Awaited::Nothing.token(0);
            cx.pass.push(conn.session, subscription.deletion(token));
            let what = "openwire-recovered-bytes";
            return Err(Failure::limit(what, RECOVERED_BYTES_MAX));
        }
        if recovering.is_done {
            return Ok(true);
        }
        let keys: Vec<&str> = subscription.keys().collect();
        recovering.queue = Some(queue);
        recovering.topics = keys.iter().map(|key| Pattern::new(*key)).collect();
        for source in sources(queue, &keys, cx) {
            let browser = cx.new_consumer();
            recovering.browsers.insert(browser);
            if source == queue {
                recovering.own = Some(browser);
            }
            let options = ConsumerOptions {
                mode: Mode::Browse,
                sharing: Sharing::Shared,
                priority: 0,
                filter: subscription.filter(),
                credit: Credit::Unlimited,
            };
            cx.pass.push(
                conn.session,
                Ask::Attach {
                    token: Awaited::Attach.token(browser.0),
                    consumer: browser,
                    queue: source,
                    options,
                },
            );
        }
        if recovering.browsers.is_empty() {
            return Ok(true);
        }
        conn.barriers += 1;
        conn.recovering = Some(recovering);
        Ok(false)
    }

    /// A message that a browser came upon; answers whether the delivery was one's.
    pub(super) fn recovered(
        &mut self,
        conn: &mut Connection,
        delivery: &Delivery,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(recovering) = &mut conn.recovering else {
            return false;
        };
        if !recovering.browsers.contains(&delivery.consumer) {
            return false;
        }
        let Some(bytes) = cx.records.record(delivery.message) else {
            return true;
        };
        let Ok(Record { envelope, .. }) = Record::decode(bytes) else {
            return true;
        };
        let name = envelope.origin.unwrap_or(delivery.message);
        if recovering.own == Some(delivery.consumer) {
            recovering.there.insert(name);
            return true;
        }
        let is_wanted = envelope.address == TOPICS
            && recovering
                .topics
                .iter()
                .any(|topic| topic.matches(envelope.key));
        if is_wanted && !recovering.found.contains_key(&name) {
            recovering.bytes += bytes.len();
            // Beyond the limit nothing more is kept, and the subscription is refused at the end.
            if recovering.bytes <= RECOVERED_BYTES_MAX {
                recovering.found.insert(name, bytes.into());
            }
        }
        true
    }

    /// A browser has seen everything, or its queue is gone.
    pub(super) fn recovered_one(
        &mut self,
        conn: &mut Connection,
        browser: Attached,
        cx: &mut Context<'_>,
    ) {
        let Some(recovering) = &mut conn.recovering else {
            return;
        };
        if !recovering.browsers.remove(&browser) {
            return;
        }
        cx.pass.push(
            conn.session,
            Ask::Detach {
                token: Awaited::Nothing.token(0),
                consumer: browser,
            },
        );
        if !recovering.browsers.is_empty() {
            return;
        }
        recovering.is_done = true;
        let found = std::mem::take(&mut recovering.found);
        let there = std::mem::take(&mut recovering.there);
        let queue = recovering
            .queue
            .filter(|_| recovering.bytes <= RECOVERED_BYTES_MAX);
        let destinations: Vec<_> = queue.map(Destination::Queue).into_iter().collect();
        let missing = found.iter().filter(|(name, _)| !there.contains(name));
        // One barrier is taken away when the log has the copies.
        let token = Awaited::Again.token(0);
        cx.pass.begin(conn.session);
        for (name, bytes) in missing {
            let Ok(record) = Record::decode(bytes) else {
                continue;
            };
            let mut envelope = record.envelope.clone();
            envelope.origin = Some(*name);
            envelope.attempts = 0;
            let publish = Publish {
                token: None,
                envelope: &envelope,
                destinations: &destinations,
                tag_hash: 0,
                producer: None,
            };
            if !destinations.is_empty() {
                cx.pass.publish(conn.session, publish, &[record.native]);
            }
        }
        cx.pass.commit(conn.session, token);
    }
}

/// The durable subscriptions that may hold messages of these topics, and the new one itself.
fn sources(queue: QueueId, keys: &[&str], cx: &Context<'_>) -> Vec<QueueId> {
    let Some(topics) = cx.topology.address(TOPICS).map(|address| address.id) else {
        return Vec::new();
    };
    let patterned = |key: &str| key.contains('#') || is_wildcard(key);
    let meets = |one: &str, other: &str| match (patterned(one), patterned(other)) {
        (false, false) => one == other,
        (true, false) => Pattern::new(one).matches(other),
        (false, true) => Pattern::new(other).matches(one),
        // What is found is looked at anyway.
        (true, true) => true,
    };
    let durable = cx
        .topology
        .queues()
        .filter(|queue| queue.spec.name.starts_with(SUBSCRIPTION));
    durable
        .map(|queue| queue.id)
        .filter(|id| {
            let bound = cx.topology.bindings_to(Target::Queue(*id));
            let mut bound = bound.iter().filter(|one| one.spec.source == topics);
            *id == queue || bound.any(|one| keys.iter().any(|key| meets(key, &one.spec.key)))
        })
        .take(PARTS_MAX)
        .collect()
}
