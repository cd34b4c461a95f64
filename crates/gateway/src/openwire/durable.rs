//! Subscriptions to topics: a queue bound to the topics' address, by its patterns and filter.
//!
//! A durable one keeps its queue, named after client and subscription; the binding remembers in
//! its arguments what was subscribed to, so that a subscription of another kind is recognized
//! and made anew. One that is not durable has a queue of its connection that goes with it.

use std::sync::Arc;

use broker::filter::Predicate;
use broker::id::{Durability, QueueId, SessionId, Token};
use broker::pass::{Command as Ask, DeleteCondition, Mode};
use broker::topology::{Change, QueueOptions, QueueSpec, Target, TargetName};
use openwire::{ConsumerInfo, DestinationKind, ExceptionClass, RemoveSubscriptionInfo};

use super::connection::Connection;
use super::consumer::ConsumerKey;
use super::destination::{Place, pattern};
use super::failure::{During, Failure};
use super::names::{LISTENER, TOPICS, queue_options, subscription_queue};
use super::recovering::Recovering;
use super::wanted::foreign;
use super::{OpenwireDoor, Step};
use crate::door::Context;

/// What a consumer of topics is attached to.
pub(super) struct Subscription {
    queue: Arc<str>,
    durability: Durability,
    owner: Option<SessionId>,
    /// Sources and keys.
    edges: Vec<(Arc<str>, Arc<str>)>,
    filter: Option<Arc<Predicate>>,
    /// In the words of the subscriber.
    words: Arc<[u8]>,
    /// Whether it gets what others of its kind hold, when it is made.
    recovers: bool,
}

impl Subscription {
    pub fn of(
        conn: &Connection,
        info: &ConsumerInfo,
        topics: &[Place],
        filter: Option<Arc<Predicate>>,
    ) -> Result<Subscription, Failure> {
        let edges = topics
            .iter()
            .map(|place| match place.kind {
                DestinationKind::TempTopic => (Arc::from(&*place.name), Arc::from("")),
                _ => (Arc::from(TOPICS), Arc::from(pattern(&place.name))),
            })
            .collect();
        let Some(name) = &info.subscription_name else {
            let consumer = info.consumer_id.clone().unwrap_or_default();
            let (session, value) = (consumer.session_id, consumer.value);
            let queue = format!("{LISTENER}{:x}.{session}.{value}", conn.session.0);
            return Ok(Subscription {
                queue: queue.into(),
                durability: Durability::Volatile,
                owner: Some(conn.session),
                edges,
                filter,
                words: [].into(),
                recovers: false,
            });
        };
        let client = conn.client_id().ok_or_else(|| {
            Failure::jms(
                "You cannot create a durable subscriber without specifying a unique clientID",
            )
        })?;
        if topics
            .iter()
            .any(|place| place.kind == DestinationKind::TempTopic)
        {
            return Err(Failure::jms(
                "Cannot create a durable subscription for a temporary topic",
            ));
        }
        let mut words = Vec::new();
        words.push(u8::from(info.no_local));
        for place in topics {
            words.extend_from_slice(place.name.as_bytes());
            words.push(b'\n');
        }
        if let Some(selector) = &info.selector {
            words.extend_from_slice(selector.as_bytes());
        }
        Ok(Subscription {
            queue: subscription_queue(&client.to_str(), &name.to_str()).into(),
            durability: Durability::Durable,
            owner: None,
            edges,
            filter,
            words: words.into(),
            recovers: info.retroactive,
        })
    }

    /// What is not durable is settled as it is handed out.
    pub fn mode(&self) -> Mode {
        match self.durability {
            Durability::Durable => Mode::Lease,
            Durability::Volatile => Mode::Settled,
        }
    }

    /// The keys under which its messages are routed.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.edges.iter().map(|(_, key)| &**key)
    }

    pub fn filter(&self) -> Option<Arc<Predicate>> {
        self.filter.clone()
    }

    pub fn deletion(&self, token: Token) -> Ask {
        let condition = DeleteCondition {
            if_unused: true,
            if_empty: false,
        };
        Ask::DeleteQueue {
            token,
            name: Arc::clone(&self.queue),
            condition,
        }
    }

    fn spec(&self) -> QueueSpec {
        let options = match self.durability {
            Durability::Durable => queue_options(&self.queue),
            Durability::Volatile => QueueOptions::default(),
        };
        QueueSpec {
            name: Arc::clone(&self.queue),
            durability: self.durability,
            auto_delete: self.durability == Durability::Volatile,
            owner: self.owner,
            implicit: false,
            options,
            arguments: [].into(),
        }
    }
}

impl OpenwireDoor {
    /// The queue of a subscription, once it is bound as asked; until then the command waits.
    pub(super) fn prepare_subscription(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        subscription: &Subscription,
        cx: &mut Context<'_>,
    ) -> Result<Option<QueueId>, Failure> {
        for (source, _) in &subscription.edges {
            match cx.topology.address(source) {
                Some(address)
                    if &**source == TOPICS || address.spec.owner == Some(conn.session) => {}
                Some(_) => return Err(foreign("topic")),
                None => {
                    let message = format!("The destination temp-topic://{source} does not exist.");
                    return Err(Failure::new(ExceptionClass::InvalidDestination, message));
                }
            }
        }
        let mut missing = subscription.edges.clone();
        let mut fresh = true;
        if let Some(queue) = cx.topology.queue(&subscription.queue) {
            let bound = cx.topology.bindings_to(Target::Queue(queue.id));
            let mut other = false;
            for binding in &bound {
                let source = cx.topology.address_by_id(binding.spec.source);
                let source = source.map_or("", |address| &address.spec.name);
                let at = missing.iter().position(|(name, key)| {
                    **name == *source
                        && *key == binding.spec.key
                        && binding.spec.arguments == subscription.words
                });
                match at {
                    Some(at) if binding.spec.filter == subscription.filter => {
                        missing.remove(at);
                    }
                    Some(_) => {}
                    // Bound with other words: the subscription was another one.
                    None => other |= !binding.spec.arguments.is_empty(),
                }
            }
            if other {
                // A subscription with another selector or topic replaces the old one, and loses
                // what waited.
                conn.delete_queue(Arc::clone(&subscription.queue), cx);
                return Ok(None);
            }
            fresh = false;
            if missing.is_empty() {
                return Ok(Some(queue.id));
            }
        }
        if fresh {
            conn.recovering = subscription.recovers.then(|| Recovering::of(key));
            self.change(conn, Change::DeclareQueue(subscription.spec()), cx);
        }
        for (source, key) in missing {
            let bind = Change::Bind {
                source,
                target: TargetName::Queue(Arc::clone(&subscription.queue)),
                key,
                filter: subscription.filter.clone(),
                arguments: Arc::clone(&subscription.words),
            };
            self.change(conn, bind, cx);
        }
        Ok(None)
    }

    pub(super) fn remove_subscription(
        &mut self,
        conn: &mut Connection,
        info: &RemoveSubscriptionInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let name = info
            .subscription_name
            .as_ref()
            .map(|name| name.to_str())
            .unwrap_or_default();
        let client = conn.client_id().cloned().unwrap_or_default();
        let client = client.to_str();
        let queue = subscription_queue(&client, &name);
        if cx.topology.queue(&queue).is_none() {
            // Either it never was, or the deletion that this command waited for is done.
            if conn
                .removing
                .take()
                .is_some_and(|removed| *removed == *queue)
            {
                conn.respond(info.base, cx);
                return Ok(Step::Taken);
            }
            let message = format!(
                "No durable subscription exists for clientID: {client} and subscriptionName: {name}"
            );
            return Err(Failure::new(ExceptionClass::InvalidDestination, message));
        }
        conn.removing = Some(queue.as_str().into());
        conn.delete_queue(queue.into(), cx);
        Ok(Step::Again)
    }
}

/// Why a subscription could not be dropped.
pub(super) fn unsubscribing(refusal: &broker::refusal::Refusal) -> Failure {
    Failure::of(refusal, During::Unsubscribing)
}
