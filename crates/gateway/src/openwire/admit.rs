//! Coming in and going: negotiation, login, client ids, sessions, producers, and how each ends.

use broker::pass::Command as Ask;
use openwire::{
    BrokerInfo, Command, ConnectionControl, ConnectionInfo, ExceptionClass, Identity, JavaString,
    ProducerInfo, RemoveInfo, SessionInfo, WireFormatInfo, WireFormatOptions, negotiate,
};

use super::connection::{Connection, Phase, Producer};
use super::failure::Failure;
use super::limits::{NAME_SHOWN_MAX, PRODUCERS_MAX, REFUSED_MS, SESSIONS_MAX};
use super::opening::OWN_SESSION;
use super::returning::{Seen, give_back};
use super::{OpenwireDoor, Step};
use crate::access::Denied;
use crate::door::{Closing, Context};

impl OpenwireDoor {
    /// Both sides' options are known: everything that follows is encoded as agreed.
    pub(super) fn negotiated(
        &mut self,
        conn: &mut Connection,
        info: &WireFormatInfo,
        cx: &mut Context<'_>,
    ) {
        if conn.phase != Phase::Negotiating {
            return;
        }
        let Ok(theirs) = WireFormatOptions::parse(info) else {
            self.hang_up(conn, Closing::Now, cx);
            return;
        };
        let agreed = negotiate(&self.options, &theirs);
        conn.negotiated = agreed;
        conn.decoder.switch(&agreed);
        conn.encoder.switch(&agreed);
        conn.phase = Phase::Connecting;
        let initial = agreed.inactivity_initial_delay_millis.max(0) as u64;
        let now = cx.now;
        if let Some(handshake) = conn.check.take() {
            self.checks.remove(&(handshake, conn.session));
        }
        if agreed.inactivity_millis_max > 0 {
            self.check_at(conn, now.plus(initial.max(1)));
        }
        let ours = &self.settings;
        let info = BrokerInfo::of(&ours.broker_id, &ours.broker_name, &ours.broker_url);
        conn.send(&Command::BrokerInfo(info), cx);
    }

    pub(super) fn connect(
        &mut self,
        conn: &mut Connection,
        info: ConnectionInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let base = info.base;
        let id = info
            .connection_id
            .clone()
            .ok_or_else(|| Failure::illegal_state("Connection ID is null"))?;
        let client = info.client_id.clone().filter(|client| !client.is_empty());
        let Some(client) = client else {
            let message = "No clientID specified for connection request";
            return Err(Failure::new(ExceptionClass::InvalidClientId, message));
        };
        let user = self.authenticate(conn, &info, cx)?;
        // A client that lost its connection comes back while we still have the old one.
        if let Some(old) = self.by_connection.get(&id.value).copied()
            && old != conn.session
        {
            self.replace(conn, old, cx);
        }
        if let Some(session) = self.by_client.get(&client).copied() {
            let known = match session == conn.session {
                true => Some(conn.peer.remote),
                false => self
                    .connections
                    .get(&session)
                    .map(|other| other.peer.remote),
            };
            let address = known
                .map(|remote| format!("tcp://{remote}"))
                .unwrap_or_default();
            let broker = &self.settings.broker_name;
            let message =
                format!("Broker: {broker} - Client: {client} already connected from {address}");
            return Err(Failure::new(ExceptionClass::InvalidClientId, message));
        }
        self.by_connection.insert(id.value, conn.session);
        self.by_client.insert(client, conn.session);
        conn.user = Some(user);
        conn.phase = Phase::Open;
        cx.links.admit(conn.session);
        conn.sessions.insert(OWN_SESSION);
        let frame_bytes_max = conn
            .negotiated
            .frame_bytes_max
            .min(self.settings.frame_bytes_max);
        conn.decoder.allow_frames_of(frame_bytes_max);
        let manageable = info.manageable;
        conn.info = ConnectionInfo {
            password: None,
            ..info
        };
        conn.respond(base, cx);
        if manageable {
            let control = ConnectionControl {
                connected_brokers: Some("".into()),
                reconnect_to: Some("".into()),
                ..ConnectionControl::default()
            };
            conn.send(&Command::ConnectionControl(control), cx);
        }
        self.advise_connection(conn, cx);
        Ok(Step::Taken)
    }

    fn authenticate(
        &self,
        conn: &Connection,
        info: &ConnectionInfo,
        cx: &Context<'_>,
    ) -> Result<crate::access::User, Failure> {
        let text = |text: &Option<JavaString>| {
            text.as_ref()
                .map(|text| text.to_str().into_owned())
                .unwrap_or_default()
        };
        let (name, password) = (text(&info.user_name), text(&info.password));
        let from_loopback = conn.peer.is_loopback();
        let admitted = if name.is_empty() && password.is_empty() {
            cx.access.anonymous(from_loopback)
        } else {
            cx.access
                .authenticate(&name, password.as_bytes(), from_loopback)
        };
        admitted.map_err(|Denied| {
            // What a stranger calls itself is as long as it likes; its answer is not.
            let name: String = name.chars().take(NAME_SHOWN_MAX).collect();
            let message = format!("User name [{name}] or password is invalid.");
            Failure::new(ExceptionClass::Security, message)
        })
    }

    /// The same client on a new socket: the old one goes first, with everything it had.
    fn replace(&mut self, conn: &mut Connection, old: broker::id::SessionId, cx: &mut Context<'_>) {
        if let Some(mut gone) = self.connections.remove(&old) {
            self.dissolve(&mut gone, Seen::Unknown, cx);
            gone.closing = true;
            self.connections.insert(old, gone);
        }
        cx.links.close(old, Closing::Now);
        // What the old one owned goes with the same batch; names are free when this is answered.
        let token = conn.barrier(super::connection::Awaited::Onward, 0);
        cx.pass.push(conn.session, Ask::Barrier { token });
    }

    /// The peer hears what is wrong and is closed a little later.
    pub(super) fn turn_away(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        conn.phase = Phase::Refused;
        let at = cx.now.plus(REFUSED_MS);
        conn.close_at = Some(at);
        self.check_at(conn, at);
    }

    pub(super) fn open_session(
        &mut self,
        conn: &mut Connection,
        info: &SessionInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let id = info
            .session_id
            .as_ref()
            .ok_or_else(|| Failure::jms("Session ID is null"))?;
        if conn.sessions.len() >= SESSIONS_MAX {
            return Err(Failure::limit("openwire-sessions", SESSIONS_MAX));
        }
        conn.sessions.insert(id.value);
        conn.respond(info.base, cx);
        Ok(Step::Taken)
    }

    pub(super) fn open_producer(
        &mut self,
        conn: &mut Connection,
        info: ProducerInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let id = info
            .producer_id
            .clone()
            .ok_or_else(|| Failure::jms("Producer ID is null"))?;
        if !conn.sessions.contains(&id.session_id) {
            let session = id.session();
            return Err(Failure::illegal_state(format!(
                "Cannot add a producer to a session that had not been registered: {session}"
            )));
        }
        let key = (id.session_id, id.value);
        let base = info.base;
        if !conn.producers.contains_key(&key) {
            if conn.producers.len() >= PRODUCERS_MAX {
                return Err(Failure::limit("openwire-producers", PRODUCERS_MAX));
            }
            // A producer for one queue brings it into being.
            let place = info
                .destination
                .as_ref()
                .and_then(|named| super::destination::single(named).ok());
            if let Some(place) = &place
                && !place.is_wildcard()
                && let Some(name) = place.missing_queue(cx.topology)
            {
                self.create_queue(conn, &name, cx);
                return Ok(Step::Again);
            }
            if let Some(place) = &place {
                self.meet(conn, place, cx);
            }
            self.advise_producer(conn, &info, 1, cx);
            conn.producers.insert(
                key,
                Producer {
                    info,
                    name: id.to_string().into(),
                },
            );
        }
        conn.respond(base, cx);
        Ok(Step::Taken)
    }

    pub(super) fn remove(
        &mut self,
        conn: &mut Connection,
        info: &RemoveInfo,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let last_delivered = info.last_delivered_sequence_id;
        let unknown = |what: &str, id: String| {
            Err(Failure::illegal_state(format!(
                "Cannot remove {what} that had not been registered: {id}"
            )))
        };
        match &info.object_id {
            Some(Identity::Consumer(id)) => {
                let key = (id.session_id, id.value);
                if !conn.consumers.contains_key(&key) {
                    return unknown("a consumer", id.to_string());
                }
                self.close_consumer(conn, key, Seen::of_consumer(last_delivered), cx);
            }
            Some(Identity::Producer(id)) => {
                match conn.producers.remove(&(id.session_id, id.value)) {
                    Some(gone) => self.advise_producer(conn, &gone.info, -1, cx),
                    None => return unknown("a producer", id.to_string()),
                }
            }
            Some(Identity::Session(id)) => {
                if !conn.sessions.remove(&id.value) {
                    return unknown("a session", id.to_string());
                }
                let consumers: Vec<_> = conn
                    .consumers
                    .range((id.value, i64::MIN)..=(id.value, i64::MAX))
                    .map(|(key, _)| *key)
                    .collect();
                for key in consumers {
                    self.close_consumer(conn, key, Seen::of_several(last_delivered), cx);
                }
                let producers: Vec<_> = conn
                    .producers
                    .keys()
                    .filter(|(session, _)| *session == id.value)
                    .copied()
                    .collect();
                for key in producers {
                    if let Some(gone) = conn.producers.remove(&key) {
                        self.advise_producer(conn, &gone.info, -1, cx);
                    }
                }
            }
            Some(Identity::Connection(_)) => {
                self.dissolve(conn, Seen::of_several(last_delivered), cx);
                conn.phase = Phase::Removed;
            }
            Some(Identity::Destination(_) | Identity::Transaction(_) | Identity::Broker(_))
            | None => {
                return Err(Failure::jms("Unknown object to remove"));
            }
        }
        self.settle_then_respond(conn, info.base, cx);
        Ok(Step::Taken)
    }

    /// Everything that a connection has goes. What its consumers held goes back first, as far as
    /// it must be told apart; the rest is the broker's doing.
    pub(super) fn dissolve(&mut self, conn: &mut Connection, seen: Seen, cx: &mut Context<'_>) {
        if conn.ended {
            conn.return_now(cx);
            return;
        }
        conn.ended = true;
        let consumers = std::mem::take(&mut conn.consumers);
        conn.attached.clear();
        for consumer in consumers.values() {
            for part in &consumer.parts {
                let token = super::connection::Awaited::Nothing.token(0);
                cx.pass.push(
                    conn.session,
                    Ask::Detach {
                        token,
                        consumer: part.attached,
                    },
                );
            }
        }
        let mut rest = Vec::new();
        for (key, consumer) in &consumers {
            rest.append(&mut give_back(conn, consumer, seen, cx));
            self.unwatch(conn.session, *key, consumer);
            self.followers.remove(&(conn.session, *key));
        }
        // The end releases what is still held, as seen: it must not overtake the rest.
        conn.return_later(rest, cx);
        if seen == Seen::Unknown {
            conn.return_now(cx);
        }
        conn.end(cx);
        conn.transactions.clear();
        conn.transaction_bytes = 0;
        for consumer in consumers
            .values()
            .filter(|consumer| consumer.opening.is_none())
        {
            self.advise_consumer_closed(conn, consumer, cx);
        }
        for (_, producer) in std::mem::take(&mut conn.producers) {
            self.advise_producer(conn, &producer.info, -1, cx);
        }
        self.drop_temporaries(conn, cx);
        conn.sessions.clear();
        let connection = conn.id().value;
        if self.by_connection.get(&connection) == Some(&conn.session) {
            self.by_connection.remove(&connection);
        }
        if let Some(client) = &conn.info.client_id
            && self.by_client.get(client) == Some(&conn.session)
        {
            self.by_client.remove(client);
        }
        if conn.user.is_some() {
            self.advise_connection_gone(conn, cx);
        }
    }

    pub(super) fn hang_up(&mut self, conn: &mut Connection, how: Closing, cx: &mut Context<'_>) {
        conn.closing = true;
        cx.links.close(conn.session, how);
    }
}
