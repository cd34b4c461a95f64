//! Advisories: what the broker says about itself, as messages on topics of its own. They are
//! rendered when something happens and somebody watches; none is ever stored.
//!
//! Those of temporary destinations are what Java clients cannot do without: a client that has not
//! heard of one does not send to it. They are written to every watcher before the creator is
//! answered, are replayed to newcomers, and are left out for nobody: neither a window nor noLocal
//! holds them back.

use std::borrow::Cow;
use std::sync::Arc;

use broker::id::{QueueId, SessionId};
use broker::topology::Pattern;
use openwire::primitive::{Value, encode_map};
use openwire::{
    AnyStructure, Command, Destination, DestinationInfo, DestinationKind, JavaString, Message,
    MessageDispatch, MessageId, MessageKind, ProducerId, RemoveInfo,
};

use super::OpenwireDoor;
use super::connection::Connection;
use super::consumer::{Consumer, ConsumerKey, Dispatched, DispatchedId};
use super::destination::{ADVISORY, Place, pattern, places};
use super::limits::{ADVISORY_UNSENT_BYTES_MAX, UNSENT_BYTES_MAX};
use super::wanted::is_followed;
use crate::door::{Closing, Context};

pub(super) const TEMP_QUEUE: &str = "ActiveMQ.Advisory.TempQueue";
pub(super) const TEMP_TOPIC: &str = "ActiveMQ.Advisory.TempTopic";
const QUEUE: &str = "ActiveMQ.Advisory.Queue";
const TOPIC: &str = "ActiveMQ.Advisory.Topic";
const CONNECTION: &str = "ActiveMQ.Advisory.Connection";

/// One advisory.
struct Advisory<'a> {
    topic: String,
    about: AnyStructure<'a>,
    count: Option<(&'static str, i32)>,
}

impl<'a> Advisory<'a> {
    fn new(topic: &str, about: AnyStructure<'a>) -> Advisory<'a> {
        Advisory {
            topic: topic.to_owned(),
            about,
            count: None,
        }
    }

    /// One that also tells how many of the kind there are now.
    fn counting(
        topic: String,
        about: AnyStructure<'a>,
        count: (&'static str, i32),
    ) -> Advisory<'a> {
        Advisory {
            topic,
            about,
            count: Some(count),
        }
    }

    fn is_about_temporary(&self) -> bool {
        self.topic == TEMP_QUEUE || self.topic == TEMP_TOPIC
    }
}

/// What advisories of consumers and producers are called. A comma would make a composite of it.
fn of_kind(what: &str, place: &Place) -> String {
    let kind = if place.kind.is_topic() {
        "Topic"
    } else {
        "Queue"
    };
    format!(
        "{ADVISORY}{what}.{kind}.{}",
        place.name.replace(',', "&sbquo;")
    )
}

/// That a queue or topic has come or gone.
fn destination_info(destination: Destination, operation: i8) -> AnyStructure<'static> {
    let info = DestinationInfo {
        destination: Some(destination),
        operation_type: operation,
        ..DestinationInfo::default()
    };
    Command::DestinationInfo(info).into()
}

fn temporary_topic(kind: DestinationKind) -> &'static str {
    if kind.is_topic() {
        TEMP_TOPIC
    } else {
        TEMP_QUEUE
    }
}

impl OpenwireDoor {
    /// A consumer of advisories has come: it hears of everything that is there.
    pub(super) fn watch(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        topics: &[Place],
        cx: &mut Context<'_>,
    ) {
        for place in topics {
            self.watchers.add(&place.name, conn.session, key);
        }
        let patterns: Vec<Pattern> = topics
            .iter()
            .map(|place| Pattern::new(pattern(&place.name)))
            .collect();
        let wants = |topic: &str| patterns.iter().any(|pattern| pattern.matches(topic));
        let mut replayed: Vec<Advisory<'_>> = Vec::new();
        for info in self.temporaries.values() {
            let kind = info
                .destination
                .as_ref()
                .map(|destination| destination.kind);
            let topic = temporary_topic(kind.unwrap_or_default());
            if wants(topic) {
                let about = Command::DestinationInfo(info.clone()).into();
                replayed.push(Advisory::new(topic, about));
            }
        }
        let is_for_temporaries = topics
            .iter()
            .all(|place| *place.name == *TEMP_QUEUE || *place.name == *TEMP_TOPIC);
        if !is_for_temporaries {
            if wants(TOPIC) {
                replayed.extend(self.known_topics(cx).iter().map(|name| {
                    let destination = Destination::topic(&**name);
                    Advisory::new(TOPIC, destination_info(destination, DestinationInfo::ADD))
                }));
            }
            if wants(QUEUE) {
                self.watched_queues = cx
                    .topology
                    .queues()
                    .filter(|queue| is_followed(&queue.spec))
                    .map(|queue| (queue.id, queue.spec.name.clone()))
                    .collect();
                replayed.extend(self.watched_queues.values().map(|name| {
                    let destination = Destination::queue(&**name);
                    Advisory::new(QUEUE, destination_info(destination, DestinationInfo::ADD))
                }));
            }
            for other in self
                .connections
                .values()
                .map(|other| &**other)
                .chain([&*conn])
            {
                replay_connection(other, &wants, &mut replayed);
            }
        }
        for advisory in replayed {
            self.tell(conn, key, &advisory, Targeted::Newcomer, cx);
        }
    }

    pub(super) fn unwatch(&mut self, session: SessionId, key: ConsumerKey, consumer: &Consumer) {
        if consumer.watches {
            self.watchers.remove(session, key);
            if self.watchers.of(QUEUE).is_empty() {
                self.watched_queues.clear();
            }
        }
    }

    /// Tells everybody who watches. `conn` is the connection at hand, which the door does not
    /// have among its others now.
    fn advise(&mut self, conn: &mut Connection, advisory: &Advisory<'_>, cx: &mut Context<'_>) {
        for (session, key) in self.watchers.of(&advisory.topic) {
            if session == conn.session {
                self.tell(conn, key, advisory, Targeted::Everybody, cx);
            } else if let Some(mut other) = self.connections.remove(&session) {
                self.tell(&mut other, key, advisory, Targeted::Everybody, cx);
                self.connections.insert(session, other);
            }
        }
    }

    fn tell(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        advisory: &Advisory<'_>,
        targeted: Targeted,
        cx: &mut Context<'_>,
    ) {
        let unsent = cx.links.unsent(conn.session);
        if unsent > UNSENT_BYTES_MAX {
            cx.links.close(conn.session, Closing::Now);
            return;
        }
        if unsent > ADVISORY_UNSENT_BYTES_MAX && !advisory.is_about_temporary() {
            return;
        }
        let sequence = self.next_sequence();
        self.advisories += 1;
        let number = self.advisories;
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            return;
        };
        let id = consumer.id.clone();
        consumer.given(Dispatched {
            id: DispatchedId {
                connection: self.producer.connection_id.clone(),
                sequence: number,
                ..DispatchedId::default()
            },
            sequence,
            held: None,
            in_group: false,
            is_committing: false,
        });
        let destination = Destination::topic(advisory.topic.as_str());
        let message = Message {
            kind: MessageKind::Plain,
            producer_id: Some(self.producer.clone()),
            destination: Some(destination.clone()),
            message_id: Some(MessageId {
                text_view: None,
                producer_id: Some(self.producer.clone()),
                producer_sequence_id: number,
                broker_sequence_id: sequence,
            }),
            message_type: Some("Advisory".into()),
            marshalled_properties: Some(Cow::Owned(self.properties(advisory))),
            data_structure: Some(Box::new(advisory.about.clone())),
            target_consumer_id: match targeted {
                Targeted::Newcomer => Some(id.clone()),
                Targeted::Everybody => None,
            },
            broker_in_time: cx.now.0.cast_signed(),
            broker_out_time: cx.now.0.cast_signed(),
            ..Message::default()
        };
        let dispatch = MessageDispatch {
            consumer_id: Some(id),
            destination: Some(destination),
            message: Some(message),
            ..MessageDispatch::default()
        };
        conn.send(&Command::MessageDispatch(dispatch), cx);
    }

    fn properties(&self, advisory: &Advisory<'_>) -> Vec<u8> {
        let text = |text: &str| Value::String(text.into());
        let mut properties: Vec<(JavaString, Value)> = vec![
            ("originBrokerURL".into(), text(&self.settings.broker_url)),
            ("originBrokerId".into(), text(&self.settings.broker_id)),
            ("originBrokerName".into(), text(&self.settings.broker_name)),
        ];
        if let Some((name, count)) = advisory.count {
            properties.push((name.into(), Value::Int(count)));
        }
        let mut bytes = Vec::new();
        encode_map(&properties, &mut bytes);
        bytes
    }

    pub(super) fn advise_temporary(
        &mut self,
        conn: &mut Connection,
        info: &DestinationInfo,
        cx: &mut Context<'_>,
    ) {
        let kind = info
            .destination
            .as_ref()
            .map(|destination| destination.kind);
        let topic = temporary_topic(kind.unwrap_or_default());
        let about = Command::DestinationInfo(info.clone()).into();
        self.advise(conn, &Advisory::new(topic, about), cx);
    }

    /// A topic was used for the first time, or is removed.
    pub(super) fn advise_topic(
        &mut self,
        conn: &mut Connection,
        name: &str,
        operation: i8,
        cx: &mut Context<'_>,
    ) {
        if self.watchers.watch_others() {
            let info = DestinationInfo {
                connection_id: Some(conn.id().clone()),
                destination: Some(Destination::topic(name)),
                operation_type: operation,
                ..DestinationInfo::default()
            };
            let about = Command::DestinationInfo(info).into();
            self.advise(conn, &Advisory::new(TOPIC, about), cx);
        }
    }

    /// A queue that anybody may use is there. It may have been there before, as another.
    pub(super) fn advise_queue_set(&mut self, id: QueueId, name: &Arc<str>, cx: &mut Context<'_>) {
        if self.watchers.of(QUEUE).is_empty() {
            return;
        }
        if self.watched_queues.insert(id, Arc::clone(name)).is_none() {
            self.advise_queue(name, DestinationInfo::ADD, cx);
        }
    }

    pub(super) fn advise_queue_removed(&mut self, id: QueueId, cx: &mut Context<'_>) {
        if let Some(name) = self.watched_queues.remove(&id) {
            self.advise_queue(&name, DestinationInfo::REMOVE, cx);
        }
    }

    fn advise_queue(&mut self, name: &str, operation: i8, cx: &mut Context<'_>) {
        let destination = Destination::queue(name);
        let advisory = Advisory::new(QUEUE, destination_info(destination, operation));
        for (session, key) in self.watchers.of(QUEUE) {
            if let Some(mut other) = self.connections.remove(&session) {
                self.tell(&mut other, key, &advisory, Targeted::Everybody, cx);
                self.connections.insert(session, other);
            }
        }
    }

    pub(super) fn advise_connection(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        if self.watchers.watch_others() {
            let about = Command::ConnectionInfo(conn.info.clone()).into();
            self.advise(conn, &Advisory::new(CONNECTION, about), cx);
        }
    }

    pub(super) fn advise_connection_gone(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        if self.watchers.watch_others() {
            let about = removed(conn.id().into(), 0);
            self.advise(conn, &Advisory::new(CONNECTION, about), cx);
        }
    }

    pub(super) fn advise_consumer_opened(
        &mut self,
        conn: &mut Connection,
        key: ConsumerKey,
        cx: &mut Context<'_>,
    ) {
        let Some(consumer) = conn.consumers.get(&key) else {
            return;
        };
        let about: AnyStructure<'_> = Command::ConsumerInfo((*consumer.info).clone()).into();
        for place in watched(consumer.info.destination.as_ref()) {
            let topic = of_kind("Consumer", &place);
            let count = self.consumers.count(&place, 1);
            if self.watchers.watch_others() {
                let about = about.clone();
                let count = ("consumerCount", count);
                self.advise(conn, &Advisory::counting(topic, about, count), cx);
            }
        }
    }

    pub(super) fn advise_consumer_closed(
        &mut self,
        conn: &mut Connection,
        consumer: &Consumer,
        cx: &mut Context<'_>,
    ) {
        for place in watched(consumer.info.destination.as_ref()) {
            let count = self.consumers.count(&place, -1);
            if self.watchers.watch_others() {
                let topic = of_kind("Consumer", &place);
                let about = removed(consumer.id.clone().into(), 0);
                let count = ("consumerCount", count);
                self.advise(conn, &Advisory::counting(topic, about, count), cx);
            }
        }
    }

    /// A producer has come, or with `change` −1 it goes.
    pub(super) fn advise_producer(
        &mut self,
        conn: &mut Connection,
        info: &openwire::ProducerInfo,
        change: i32,
        cx: &mut Context<'_>,
    ) {
        for place in watched(info.destination.as_ref()) {
            let count = self.producers.count(&place, change);
            if self.watchers.watch_others() {
                let topic = of_kind("Producer", &place);
                let about = match (change, &info.producer_id) {
                    (-1, Some(id)) => removed(id.clone().into(), 0),
                    _ => Command::ProducerInfo(info.clone()).into(),
                };
                let count = ("producerCount", count);
                self.advise(conn, &Advisory::counting(topic, about, count), cx);
            }
        }
    }
}

/// For whom an advisory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Targeted {
    Everybody,
    /// What was there before it came.
    Newcomer,
}

/// The destinations of which it is told that somebody uses them: no advisories about advisories.
fn watched(destination: Option<&Destination>) -> Vec<Place> {
    let found = destination.and_then(|destination| places(destination).ok());
    let mut found = found.map(|(places, _)| places).unwrap_or_default();
    found.retain(|place| !place.is_advisory());
    found
}

fn removed(object: openwire::Identity, last_delivered_sequence_id: i64) -> AnyStructure<'static> {
    let info = RemoveInfo {
        object_id: Some(object),
        last_delivered_sequence_id,
        ..RemoveInfo::default()
    };
    Command::RemoveInfo(info).into()
}

fn replay_connection(
    other: &Connection,
    wants: &dyn Fn(&str) -> bool,
    out: &mut Vec<Advisory<'static>>,
) {
    if wants(CONNECTION) && other.user.is_some() {
        let about = Command::ConnectionInfo(other.info.clone()).into();
        out.push(Advisory {
            topic: CONNECTION.to_owned(),
            about,
            count: None,
        });
    }
    for consumer in other
        .consumers
        .values()
        .filter(|consumer| consumer.opening.is_none())
    {
        for place in watched(consumer.info.destination.as_ref()) {
            let topic = of_kind("Consumer", &place);
            if wants(&topic) {
                let about = Command::ConsumerInfo((*consumer.info).clone()).into();
                out.push(Advisory {
                    topic,
                    about,
                    count: None,
                });
            }
        }
    }
    for producer in other.producers.values() {
        for place in watched(producer.info.destination.as_ref()) {
            let topic = of_kind("Producer", &place);
            if wants(&topic) {
                let about = Command::ProducerInfo(producer.info.clone()).into();
                out.push(Advisory {
                    topic,
                    about,
                    count: None,
                });
            }
        }
    }
}

/// The producer of every advisory.
pub(super) fn producer(broker_id: &str) -> ProducerId {
    ProducerId {
        connection_id: format!("{broker_id}:1").into(),
        value: 0,
        session_id: 0,
    }
}
