//! Messages on their way in: where each goes, and how it is laid out for the log.

use std::ops::Range;
use std::sync::Arc;

use broker::id::{Durability, Millis, SessionId, Token};
use broker::pass::{Command as Ask, Producer as Numbered, Publish};
use broker::record::Envelope;
use broker::strand::{Strand, StrandKey, StrandStep};
use broker::topology::{Change, QueueSpec, Topology};
use openwire::{Command, DestinationKind, ExceptionClass, Message, ProducerAck, encode_canonical};

use super::connection::{Awaited, Connection};
use super::destination::{Place, is_plain, places};
use super::failure::Failure;
use super::names::{TOPICS, queue_options};
use super::retained::Retain;
use super::view::View;
use super::{OpenwireDoor, Step};
use crate::access::{Action, Resource};
use crate::door::Context;
use crate::language;
use crate::partition::{self, Order};

/// A message for one destination.
pub(super) struct Outgoing {
    pub place: Place,
    /// As it is stored.
    pub record: Vec<u8>,
    pub body: Range<usize>,
    pub persistent: bool,
    pub priority: u8,
    pub expires: Option<Millis>,
    /// The producer's name and the number of the message, if a resent one shall be recognized.
    pub producer: Option<(Arc<str>, u64)>,
    /// Messages of one group keep their order where there are partitions, and go to one consumer
    /// at a time where there is a queue.
    pub group: Option<Box<str>>,
    pub strand: Option<Strand>,
    pub retain: Retain,
}

impl Place {
    /// The name of a queue that must be created before something is sent to it.
    pub fn missing_queue(&self, topology: &Topology) -> Option<Arc<str>> {
        let missing = self.kind == DestinationKind::Queue && topology.queue(&self.name).is_none();
        missing.then(|| Arc::clone(&self.name))
    }
}

/// Of a message with a group: the number 1 gives the group to a new consumer, and a negative one
/// closes it.
fn strand(message: &Message<'_>) -> Option<Strand> {
    let group = message.group_id.as_ref()?;
    Some(Strand {
        key: StrandKey::of(group.as_bytes()),
        step: match message.group_sequence {
            1 => StrandStep::Opens,
            0.. => StrandStep::Continues,
            i32::MIN..0 => StrandStep::Closes,
        },
    })
}

impl OpenwireDoor {
    /// Creates a queue as JMS does, by using it. The command is tried again when it is there.
    pub(super) fn create_queue(&mut self, conn: &mut Connection, name: &str, cx: &mut Context<'_>) {
        let spec = QueueSpec {
            name: name.into(),
            durability: Durability::Durable,
            auto_delete: false,
            owner: None,
            implicit: true,
            options: queue_options(name),
            arguments: [].into(),
        };
        self.change(conn, Change::DeclareQueue(spec), cx);
    }

    /// Asks for a change; the command is tried again when it is made.
    pub(super) fn change(&mut self, conn: &mut Connection, change: Change, cx: &mut Context<'_>) {
        let token = conn.barrier(Awaited::Again, 0);
        cx.pass.push(conn.session, Ask::Change { token, change });
    }

    pub(super) fn send(
        &mut self,
        conn: &mut Connection,
        message: &mut Message<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let Some(destination) = message.destination.clone() else {
            return Err(Failure::new(
                ExceptionClass::InvalidDestination,
                "No destination specified.",
            ));
        };
        let known = conn
            .recent
            .as_ref()
            .filter(|(recent, _)| *recent == destination);
        let plain = match known {
            Some((_, place)) => Some(place.clone()),
            None => destination
                .physical_name
                .as_str()
                .filter(|name| is_plain(name))
                .map(|name| Place::new(destination.kind, name)),
        };
        match plain {
            Some(place) => {
                if self.prepare(conn, std::slice::from_ref(&place), cx)? == Step::Again {
                    return Ok(Step::Again);
                }
                if known_is_other(conn, &destination) {
                    conn.recent = Some((destination, place.clone()));
                }
                let outgoing = self.outgoing(conn, message, place, 0, cx.now)?;
                self.take(conn, message, outgoing, cx)?;
            }
            None => {
                let (targets, _) = places(&destination)?;
                if self.prepare(conn, &targets, cx)? == Step::Again {
                    return Ok(Step::Again);
                }
                self.send_copies(conn, message, targets, cx)?;
            }
        }
        self.acknowledge_window(conn, message, cx);
        Ok(Step::Taken)
    }

    /// Makes sure that everything is there and allowed, or says that the message must wait.
    fn prepare(
        &mut self,
        conn: &mut Connection,
        targets: &[Place],
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        for place in targets {
            authorize(conn, Action::Write, place, "write to", cx)?;
            let unknown = match place.kind {
                DestinationKind::Queue | DestinationKind::Topic => false,
                DestinationKind::TempQueue => cx.topology.queue(&place.name).is_none(),
                DestinationKind::TempTopic => cx.topology.address(&place.name).is_none(),
            };
            if unknown {
                let class = ExceptionClass::DestinationDoesNotExist;
                return Err(Failure::new(class, place.qualified()));
            }
            self.meet(conn, place, cx);
        }
        for place in targets {
            if let Some(name) = place.missing_queue(cx.topology) {
                self.create_queue(conn, &name, cx);
                return Ok(Step::Again);
            }
        }
        Ok(Step::Taken)
    }

    /// Lays a message out for one destination. Copy 0 is the message itself.
    fn outgoing(
        &mut self,
        conn: &Connection,
        message: &mut Message<'_>,
        place: Place,
        copy: usize,
        now: Millis,
    ) -> Result<Outgoing, Failure> {
        let mut record = std::mem::take(&mut self.scratch);
        record.clear();
        // Selectors of subscribers may ask for it.
        message.broker_in_time = now.0.cast_signed();
        let retain = self.retained.asked(message, &place)?;
        let body = encode_canonical(message, &mut record)
            .map_err(|error| Failure::jms(format!("The message cannot be stored: {error}")))?;
        let resendable = message.persistent && conn.info.fault_tolerant;
        let producer = resendable.then(|| numbered(conn, message, copy)).flatten();
        Ok(Outgoing {
            place,
            record,
            body,
            persistent: message.persistent,
            priority: message.priority.clamp(0, 9) as u8,
            expires: u64::try_from(message.expiration)
                .ok()
                .filter(|at| *at > 0)
                .map(Millis),
            producer,
            group: message.group_id.as_ref().map(|group| group.to_str().into()),
            strand: strand(message),
            retain,
        })
    }

    /// Stores a message, or keeps it for its transaction.
    fn take(
        &mut self,
        conn: &mut Connection,
        message: &Message<'_>,
        outgoing: Outgoing,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        if let Some(id) = &message.transaction_id {
            conn.hold(id, outgoing)?;
            conn.respond(message.base, cx);
            return Ok(());
        }
        let token = message
            .base
            .response_required
            .then(|| Awaited::response(message.base));
        if !self.publish(conn.session, &outgoing, token, cx) {
            conn.respond(message.base, cx);
        }
        self.scratch = outgoing.record;
        Ok(())
    }

    /// One copy for each part of a composite destination, all or none.
    fn send_copies(
        &mut self,
        conn: &mut Connection,
        message: &mut Message<'_>,
        targets: Vec<Place>,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let composite = message.destination.clone();
        let is_composite = targets.len() > 1;
        let mut copies = Vec::new();
        for (copy, place) in targets.into_iter().enumerate() {
            message.destination = Some(place.destination());
            if is_composite {
                message.original_destination = composite.clone();
            }
            // What one copy loses of its properties the next one still has.
            let properties = message.marshalled_properties.clone();
            copies.push(self.outgoing(conn, message, place, copy, cx.now)?);
            message.marshalled_properties = properties;
        }
        if let Some(id) = &message.transaction_id {
            for copy in copies {
                conn.hold(id, copy)?;
            }
            conn.respond(message.base, cx);
            return Ok(());
        }
        cx.pass.begin(conn.session);
        for copy in &copies {
            self.publish(conn.session, copy, None, cx);
        }
        let token = match message.base.response_required {
            true => Awaited::response(message.base),
            false => Awaited::Nothing.token(0),
        };
        cx.pass.commit(conn.session, token);
        Ok(())
    }

    /// Finds the way of a message and stores it there; false if nobody wants it.
    pub(super) fn publish(
        &mut self,
        session: SessionId,
        outgoing: &Outgoing,
        token: Option<Token>,
        cx: &mut Context<'_>,
    ) -> bool {
        let name = &*outgoing.place.name;
        self.retained.sent(name, &outgoing.retain);
        let (address, key) = match outgoing.place.kind {
            DestinationKind::Queue | DestinationKind::TempQueue => ("", name),
            DestinationKind::Topic => (TOPICS, name),
            DestinationKind::TempTopic => (name, ""),
        };
        let Some(routed) = cx.topology.address(address) else {
            return false;
        };
        let view = View::new(&outgoing.record);
        let route = self.routes.route(cx.topology, routed, key, &view);
        self.destinations.clear();
        let order = outgoing.group.as_deref().map_or(Order::Free, Order::Key);
        self.chooser
            .place(&route, cx.topology, None, order, &mut self.destinations);
        if self.destinations.is_empty() {
            return false;
        }
        let envelope = Envelope {
            persistent: outgoing.persistent,
            priority: outgoing.priority,
            expires: outgoing.expires,
            strand: outgoing.strand,
            body: outgoing.body.start as u32..outgoing.body.end as u32,
            ..Envelope::new(language::OPENWIRE, address, key, cx.now)
        };
        let tag_hash = match route.partitioned.is_empty() {
            true => 0,
            false => partition::tag_hash(key),
        };
        let producer = outgoing.producer.as_ref();
        let publish = Publish {
            token,
            envelope: &envelope,
            destinations: &self.destinations,
            tag_hash,
            producer: producer.map(|(name, sequence)| Numbered {
                name,
                sequence: *sequence,
            }),
        };
        cx.pass.publish(session, publish, &[&outgoing.record]);
        true
    }

    /// Gives a producer with a window its room back. It counts messages that ask for no answer.
    fn acknowledge_window(
        &mut self,
        conn: &mut Connection,
        message: &Message<'_>,
        cx: &mut Context<'_>,
    ) {
        if message.base.response_required {
            return;
        }
        let Some(id) = &message.producer_id else {
            return;
        };
        let windowed = conn
            .producers
            .get(&(id.session_id, id.value))
            .is_some_and(|producer| producer.info.window_size > 0);
        if windowed {
            let size = i32::try_from(message.window_bytes()).unwrap_or(i32::MAX);
            let ack = ProducerAck {
                producer_id: Some(id.clone()),
                size,
                ..ProducerAck::default()
            };
            conn.send(&Command::ProducerAck(ack), cx);
        }
    }
}

fn known_is_other(conn: &Connection, destination: &openwire::Destination) -> bool {
    conn.recent
        .as_ref()
        .is_none_or(|(recent, _)| recent != destination)
}

/// By what a resent message is recognized. The copies of one message have one number.
fn numbered(conn: &Connection, message: &Message<'_>, copy: usize) -> Option<(Arc<str>, u64)> {
    let id = message.message_id.as_ref()?;
    let producer = id.producer_id.as_ref()?;
    let sequence = u64::try_from(id.producer_sequence_id).ok()?;
    let known = conn.producers.get(&(producer.session_id, producer.value));
    let name = match (known, copy) {
        (Some(known), 0) => known.name.clone(),
        (Some(known), copy) => format!("{}#{copy}", known.name).into(),
        (None, 0) => producer.to_string().into(),
        (None, copy) => format!("{producer}#{copy}").into(),
    };
    Some((name, sequence))
}

pub(super) fn authorize(
    conn: &Connection,
    action: Action,
    place: &Place,
    what: &str,
    cx: &Context<'_>,
) -> Result<(), Failure> {
    let resource = match place.kind {
        DestinationKind::Queue => Resource::Queue(&place.name),
        DestinationKind::Topic => Resource::Address(TOPICS),
        // Whoever knows the name of a temporary destination may use it.
        DestinationKind::TempQueue | DestinationKind::TempTopic => return Ok(()),
    };
    let allowed = conn
        .user
        .as_ref()
        .is_some_and(|user| cx.access.authorize(user, action, resource));
    if allowed {
        return Ok(());
    }
    let user = conn.user.as_ref().map_or("", |user| &user.name);
    let message = format!(
        "User {user} is not authorized to {what}: {}",
        place.qualified()
    );
    Err(Failure::new(ExceptionClass::Security, message))
}
