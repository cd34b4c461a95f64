//! Consumers on their way: what is asked of them, what must be there first, and when the client
//! hears that they are open.

use std::collections::VecDeque;
use std::sync::Arc;

use broker::filter::Predicate;
use broker::id::{ConsumerId as Attached, QueueId};
use broker::pass::{Command as Ask, Mode};
use broker::refusal::Refusal;
use broker::topology::Pattern;
use openwire::{ConsumerId, ConsumerInfo, DestinationKind, ExceptionClass};

use super::connection::{Awaited, Connection};
use super::consumer::{Consumer, ConsumerKey, Follow, Opening, Source, Window};
use super::destination::{Place, pattern, places};
use super::durable::Subscription;
use super::failure::{During, Failure};
use super::limits::CONSUMERS_MAX;
use super::produce::authorize;
use super::returning::Seen;
use super::wanted::{Wanted, apply, filter, foreign, matching};
use super::{OpenwireDoor, Step};
use crate::access::Action;
use crate::birth::birth;
use crate::door::Context;

/// The session that every connection has without opening it: the library's own consumer of
/// advisories lives there.
pub(super) const OWN_SESSION: i64 = -1;

impl OpenwireDoor {
    pub(super) fn open_consumer(
        &mut self,
        conn: &mut Connection,
        mut info: ConsumerInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let id = info
            .consumer_id
            .clone()
            .ok_or_else(|| Failure::jms("Consumer ID is null"))?;
        let key = (id.session_id, id.value);
        if !conn.sessions.contains(&id.session_id) {
            let session = id.session();
            return Err(Failure::illegal_state(format!(
                "Cannot add a consumer to a session that had not been registered: {session}"
            )));
        }
        if conn.consumers.contains_key(&key) {
            conn.respond(info.base, cx);
            return Ok(Step::Taken);
        }
        if conn.consumers.len() >= CONSUMERS_MAX {
            return Err(Failure::limit("openwire-consumers", CONSUMERS_MAX));
        }
        let destination = info.destination.as_ref().ok_or_else(|| {
            Failure::new(
                ExceptionClass::InvalidDestination,
                "No destination specified.",
            )
        })?;
        let (places, options) = places(destination)?;
        apply(&options, &mut info);
        let filter = filter(conn, &info)?;
        for place in places.iter().filter(|place| !place.is_advisory()) {
            authorize(conn, Action::Read, place, "read from", cx)?;
        }
        let wanted = Wanted::sort(places);
        let is_durable = info.subscription_name.is_some();
        if is_durable && (!wanted.advisories.is_empty() || !wanted.queues.is_empty()) {
            let what = match wanted.queues.is_empty() {
                true => "an advisory Topic",
                false => "a queue",
            };
            return Err(Failure::jms(format!(
                "Cannot create a durable subscription for {what}"
            )));
        }
        for place in &wanted.queues {
            if self.prepare_queue(conn, place, cx)? == Step::Again {
                return Ok(Step::Again);
            }
        }
        // A browser sees what is there when it opens: what was sent before it must be.
        if info.browser && conn.browsing.replace(key) != Some(key) {
            let token = conn.barrier(Awaited::Again, 0);
            cx.pass.push(conn.session, Ask::Barrier { token });
            return Ok(Step::Again);
        }
        conn.browsing = None;
        // A composite brings no topic into being.
        if let ([place], true) = (&*wanted.topics, wanted.queues.is_empty()) {
            self.meet(conn, place, cx);
        }
        let subscribed = if wanted.topics.is_empty() {
            None
        } else {
            let subscription = Subscription::of(conn, &info, &wanted.topics, filter.clone())?;
            match self.prepare_subscription(conn, key, &subscription, cx)? {
                Some(queue) => {
                    if !self.recover_durable(conn, key, &subscription, queue, cx)? {
                        return Ok(Step::Again);
                    }
                    Some((queue, subscription.mode()))
                }
                None => return Ok(Step::Again),
            }
        };
        self.attach_consumer(conn, id, info, filter, wanted, subscribed, cx)?;
        Ok(Step::Taken)
    }

    /// A queue that is consumed exists from then on.
    fn prepare_queue(
        &mut self,
        conn: &mut Connection,
        place: &Place,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        if place.kind == DestinationKind::TempQueue {
            let owner = cx.topology.queue(&place.name).map(|queue| queue.spec.owner);
            return match owner {
                Some(owner) if owner == Some(conn.session) => Ok(Step::Taken),
                Some(_) => Err(foreign("queue")),
                None => Err(Failure::new(
                    ExceptionClass::InvalidDestination,
                    format!("The destination {} does not exist.", place.qualified()),
                )),
            };
        }
        match place.missing_queue(cx.topology) {
            // A wildcard below a virtual topic is a queue of its own, too, which is born bound to
            // all topics that the wildcard stands for.
            Some(name) if !place.is_wildcard() || birth(&name).is_some() => {
                self.create_queue(conn, &name, cx);
                Ok(Step::Again)
            }
            Some(_) | None => Ok(Step::Taken),
        }
    }

    /// Everything that the consumer needs is there.
    fn attach_consumer(
        &mut self,
        conn: &mut Connection,
        id: ConsumerId,
        info: ConsumerInfo,
        filter: Option<Arc<Predicate>>,
        wanted: Wanted,
        subscribed: Option<(QueueId, Mode)>,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let key = (id.session_id, id.value);
        let base = info.base;
        let follows: Vec<Follow> = wanted
            .queues
            .iter()
            .filter(|place| place.kind == DestinationKind::Queue)
            .map(|place| Follow {
                name: place.name.clone(),
                pattern: Pattern::new(pattern(&place.name)),
            })
            .collect();
        let has_wildcard = wanted.queues.iter().any(Place::is_wildcard);
        let seats = wanted.queues.len() + usize::from(subscribed.is_some());
        let holds =
            !wanted.queues.is_empty() || subscribed.is_some_and(|(_, mode)| mode == Mode::Lease);
        let consumer = Consumer {
            window: Window::new(info.prefetch_size),
            keeps_list: holds && !info.browser,
            watches: !wanted.advisories.is_empty(),
            shares: seats > 1 || has_wildcard,
            id,
            info: Box::new(info),
            parts: Vec::new(),
            follows,
            filter,
            dispatched: VecDeque::new(),
            outstanding: 0,
            pulls: VecDeque::new(),
            was_given: false,
            touched: false,
            opening: Some(Opening {
                base,
                left: 0,
                failure: None,
            }),
        };
        let mode = consumer.queue_mode();
        conn.consumers.insert(key, consumer);
        if !wanted.advisories.is_empty() {
            self.watch(conn, key, &wanted.advisories, cx);
        }
        for place in &wanted.queues {
            for (queue, place) in matching(place, cx) {
                let source = Source::Queue(place.destination());
                self.attach(conn, key, queue, source, mode, cx);
            }
        }
        if let Some((queue, mode)) = subscribed {
            self.attach(conn, key, queue, Source::Topic { last: None }, mode, cx);
        }
        if has_wildcard {
            self.followers.insert((conn.session, key));
        }
        let waits = conn
            .consumers
            .get(&key)
            .and_then(|consumer| consumer.opening.as_ref())
            .is_some_and(|opening| opening.left > 0);
        if waits {
            // One barrier for all of them; the last answer takes it away.
            conn.barriers += 1;
        } else {
            self.opened_consumer(conn, key, cx);
        }
        Ok(())
    }

    /// One attachment was answered.
    pub(super) fn attached(
        &mut self,
        conn: &mut Connection,
        attached: Attached,
        refusal: Option<Refusal>,
        cx: &mut Context<'_>,
    ) {
        let Some(key) = conn.attached.get(&attached).copied() else {
            if refusal.is_some() {
                self.recovered_one(conn, attached, cx);
            }
            return;
        };
        let client = conn
            .client_id()
            .map(|id| id.to_str().into_owned())
            .unwrap_or_default();
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return;
        };
        if refusal.is_some() {
            consumer.parts.retain(|part| part.attached != attached);
            conn.attached.remove(&attached);
        }
        let Some(opening) = &mut consumer.opening else {
            return;
        };
        opening.left -= 1;
        if let Some(refusal) = refusal {
            let name = consumer
                .info
                .subscription_name
                .as_ref()
                .map(|name| name.to_str());
            let during = match &name {
                Some(name) => During::Subscribing {
                    client: &client,
                    name,
                },
                None => During::Other,
            };
            opening
                .failure
                .get_or_insert_with(|| Failure::of(&refusal, during));
        }
        if opening.left == 0 {
            conn.barriers -= 1;
            cx.links.resume(conn.session);
            self.opened_consumer(conn, key, cx);
        }
    }

    /// Everything about the opening of a consumer is answered: the client hears of it.
    fn opened_consumer(&mut self, conn: &mut Connection, key: ConsumerKey, cx: &mut Context<'_>) {
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return;
        };
        let Some(opening) = &mut consumer.opening else {
            return;
        };
        let base = opening.base;
        match opening.failure.take() {
            Some(failure) => {
                self.close_consumer(conn, key, Seen::Nothing, cx);
                conn.fail(base, &failure, cx);
            }
            None => {
                consumer.opening = None;
                self.advise_consumer_opened(conn, key, cx);
                self.recover(conn, key, cx);
                self.touch(conn, key);
                conn.respond(base, cx);
            }
        }
    }
}
