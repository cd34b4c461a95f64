//! From the protocol header to connection.open, and the connection class after it.

use amqp::error::{Severity, Violation};
use amqp::{Method, ProtocolHeader, ReplyCode, TableRef, encode};
use broker::pass::Command;

use super::conversation::{At, Capabilities, Conversation, Notice, Stage, Turn};
use super::fault::{Fault, VHOST};
use super::sasl::{self, MECHANISMS};
use super::settings::{CLOSE_GRACE_MS, SILENT_GRACE_MS};
use super::waiting::What;
use crate::door::Closing;

const LOCALES: &[u8] = b"en_US";

impl Conversation {
    pub fn greet(&mut self, header: ProtocolHeader, turn: &mut Turn<'_, '_>) {
        if let Some(answer) = header.refusal() {
            turn.cx.links.out(self.session).extend_from_slice(&answer);
            self.stage = Stage::Over;
            turn.cx.links.close(self.session, Closing::Sent);
            return;
        }
        let properties = turn.settings.server_properties();
        let start = Method::ConnectionStart {
            version_major: 0,
            version_minor: 9,
            server_properties: TableRef::parse(&properties).unwrap_or_default(),
            mechanisms: MECHANISMS,
            locales: LOCALES,
        };
        self.stage = Stage::Starting;
        self.send(0, &start, turn);
    }

    pub fn connection_method(
        &mut self,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        match (self.stage, method) {
            (
                Stage::Starting,
                Method::ConnectionStartOk {
                    client_properties,
                    mechanism,
                    response,
                    locale: _,
                },
            ) => {
                self.capabilities = capabilities(*client_properties);
                self.authenticate(mechanism, response, turn);
                Ok(())
            }
            (
                Stage::Tuning,
                Method::ConnectionTuneOk {
                    channel_max,
                    frame_max,
                    heartbeat,
                },
            ) => {
                let settled = turn
                    .settings
                    .offer()
                    .settle(*channel_max, *frame_max, *heartbeat);
                let tuning = settled.map_err(|refusal| Fault::not_allowed(refusal.to_string()))?;
                self.tuning = tuning;
                self.notices.push(Notice::Tuned(tuning));
                self.stage = Stage::Opening;
                Ok(())
            }
            (Stage::Opening, Method::ConnectionOpen { vhost }) => {
                if *vhost != VHOST {
                    return Err(Fault::not_allowed(format!("vhost {vhost} not found")));
                }
                self.notices.push(Notice::Opened);
                self.stage = Stage::Running;
                self.timer = self.half_interval_ms().map(|half| turn.cx.now.plus(half));
                self.send(0, &Method::ConnectionOpenOk, turn);
                Ok(())
            }
            (Stage::Running, Method::ConnectionUpdateSecret { .. }) => {
                // As RabbitMQ's internal users: a new secret is taken and has no effect.
                self.send(0, &Method::ConnectionUpdateSecretOk, turn);
                Ok(())
            }
            (Stage::Running | Stage::Opening | Stage::Tuning, Method::ConnectionClose { .. }) => {
                self.leave(method.ids(), turn);
                Ok(())
            }
            // Both sides close: theirs is answered, and ours need not be waited for.
            (Stage::Closing, Method::ConnectionClose { .. }) => {
                self.send(0, &Method::ConnectionCloseOk, turn);
                Ok(())
            }
            (Stage::Closing, Method::ConnectionCloseOk) => {
                self.stage = Stage::Over;
                turn.cx.links.close(self.session, Closing::Sent);
                Ok(())
            }
            (Stage::Closing | Stage::Over, _) => Ok(()),
            (stage, _) => Err(Fault::channel_error(format!(
                "unexpected method in connection state {}",
                name_of(stage)
            ))),
        }
    }

    fn authenticate(&mut self, mechanism: &str, response: &[u8], turn: &mut Turn<'_, '_>) {
        let Ok(credentials) = sasl::credentials(mechanism, response) else {
            self.drop_silently(turn);
            return;
        };
        let from_loopback = self.peer.is_loopback();
        let known = if credentials.password.is_empty() {
            None
        } else {
            let (name, password) = (credentials.name, credentials.password);
            turn.cx
                .access
                .authenticate(name, password, from_loopback)
                .ok()
        };
        match known {
            Some(user) => {
                self.user = Some(user);
                turn.cx.links.admit(self.session);
                self.stage = Stage::Tuning;
                self.send(0, &turn.settings.offer().tune(), turn);
            }
            None if self.capabilities.authentication_failure_close => {
                let text = format!(
                    "Login was refused using authentication mechanism {mechanism}. For details \
                     see the broker logfile."
                );
                self.close(Fault::refused(text), (0, 0), turn);
            }
            None => self.drop_silently(turn),
        }
    }

    /// Somebody who is not known yet hears nothing, and may not try again at once.
    fn drop_silently(&mut self, turn: &mut Turn<'_, '_>) {
        self.stage = Stage::Over;
        self.timer = None;
        turn.cx.links.close(
            self.session,
            Closing::Grace {
                limit_ms: SILENT_GRACE_MS,
            },
        );
    }

    /// The wire is broken.
    pub fn broken(&mut self, violation: &Violation, turn: &mut Turn<'_, '_>) {
        match self.stage {
            Stage::Greeting | Stage::Starting | Stage::Tuning => self.drop_silently(turn),
            Stage::Opening | Stage::Running => {
                encode::close_for(turn.cx.links.out(self.session), violation);
                self.close_sent(turn);
            }
            Stage::Closing | Stage::Over => {}
        }
    }

    /// Ends the channel or the connection, as the code demands.
    pub fn fail(&mut self, channel: u16, ids: (u16, u16), fault: Fault, turn: &mut Turn<'_, '_>) {
        match (self.stage, fault.code.severity()) {
            (Stage::Greeting | Stage::Starting, _) => self.drop_silently(turn),
            // Only what is wrong with the numbers is told before the connection is open.
            (Stage::Tuning, _) if fault.code != ReplyCode::NotAllowed => self.drop_silently(turn),
            (Stage::Running, Severity::Soft) if channel != 0 => {
                self.close_channel(channel, ids, &fault, turn);
            }
            (Stage::Tuning | Stage::Opening | Stage::Running, Severity::Soft | Severity::Hard) => {
                self.close(fault, ids, turn);
            }
            (Stage::Closing | Stage::Over, _) => {}
        }
    }

    /// Sends connection.close and discards what comes until its answer.
    pub fn close(
        &mut self,
        fault: Fault,
        (class_id, method_id): (u16, u16),
        turn: &mut Turn<'_, '_>,
    ) {
        let text = fault.code.text(&fault.text);
        let (reply_code, reply_text) = (fault.code.code(), text.as_str());
        let close = Method::ConnectionClose {
            reply_code,
            reply_text,
            class_id,
            method_id,
        };
        self.send(0, &close, turn);
        self.close_sent(turn);
    }

    fn close_sent(&mut self, turn: &mut Turn<'_, '_>) {
        self.stage = Stage::Closing;
        self.notices.push(Notice::CloseSent);
        self.waiting = None;
        if std::mem::take(&mut self.blocked) {
            turn.cx.links.read_again(self.session);
        }
        self.end(turn);
        let heartbeat_ms = u64::from(self.tuning.heartbeat_s) * 1000;
        let limit_ms = match heartbeat_ms {
            0 => CLOSE_GRACE_MS,
            some => some.min(CLOSE_GRACE_MS),
        };
        self.timer = None;
        turn.cx
            .links
            .close(self.session, Closing::Grace { limit_ms });
    }

    /// The session is over for the broker: what it holds is released, what it owns goes.
    pub fn end(&mut self, turn: &mut Turn<'_, '_>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.channels.clear();
        self.consumers.clear();
        self.command(Command::End { token: None }, turn);
    }

    /// The client leaves. Before it hears that it is gone, what it has acknowledged is kept, what it
    /// held is there for others, and what it owned is gone.
    fn leave(&mut self, ids: (u16, u16), turn: &mut Turn<'_, '_>) {
        self.ended = true;
        self.channels.clear();
        self.consumers.clear();
        self.ask(At { channel: 0, ids }, What::Farewell, turn, |token| {
            Command::End { token: Some(token) }
        });
    }

    /// Answers connection.close.
    pub fn part(&mut self, turn: &mut Turn<'_, '_>) {
        self.send(0, &Method::ConnectionCloseOk, turn);
        self.stage = Stage::Over;
        self.timer = None;
        self.end(turn);
        turn.cx.links.close(self.session, Closing::Sent);
    }

    /// Half the heartbeat interval; `None` without heartbeats.
    pub fn half_interval_ms(&self) -> Option<u64> {
        let seconds = u64::from(self.tuning.heartbeat_s);
        (seconds > 0).then_some(seconds * 500)
    }

    /// The timer has gone off.
    pub fn ring(&mut self, turn: &mut Turn<'_, '_>) {
        self.timer = None;
        match self.stage {
            Stage::Greeting | Stage::Starting | Stage::Tuning | Stage::Opening => {
                self.stage = Stage::Over;
                turn.cx.links.close(self.session, Closing::Now);
            }
            Stage::Running => {
                let Some(half) = self.half_interval_ms() else {
                    return;
                };
                // While we do not read, silence is not the peer's.
                let is_silent = turn.cx.now.since(self.heard) > 4 * half;
                if is_silent && !self.blocked && self.waiting.is_none() {
                    self.stage = Stage::Over;
                    turn.cx.links.close(self.session, Closing::Now);
                    return;
                }
                if !self.sent {
                    encode::heartbeat(turn.cx.links.out(self.session));
                }
                self.sent = false;
                self.timer = Some(turn.cx.now.plus(half));
            }
            Stage::Closing | Stage::Over => {}
        }
    }

    /// Under an alarm a connection that publishes is stopped before the message that shows it.
    pub fn block_publisher(&mut self, turn: &mut Turn<'_, '_>) {
        let Some(reason) = turn.alarm else { return };
        if self.blocked || self.stage != Stage::Running {
            return;
        }
        self.blocked = true;
        turn.cx.links.stop_reading(self.session);
        if self.capabilities.connection_blocked {
            self.send(0, &Method::ConnectionBlocked { reason }, turn);
        }
    }

    pub fn unblock(&mut self, turn: &mut Turn<'_, '_>) {
        if !std::mem::take(&mut self.blocked) {
            return;
        }
        self.heard = turn.cx.now;
        if self.capabilities.connection_blocked {
            self.send(0, &Method::ConnectionUnblocked, turn);
        }
        turn.cx.links.read_again(self.session);
    }

    /// The server stops.
    pub fn stop(&mut self, turn: &mut Turn<'_, '_>) {
        match self.stage {
            Stage::Greeting | Stage::Starting | Stage::Tuning => self.drop_silently(turn),
            Stage::Opening | Stage::Running => {
                let text = "broker forced connection closure with reason 'shutdown'";
                self.close(Fault::new(ReplyCode::ConnectionForced, text), (0, 0), turn);
            }
            Stage::Closing | Stage::Over => {}
        }
    }
}

fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Greeting => "pre_init",
        Stage::Starting => "starting",
        Stage::Tuning => "tuning",
        Stage::Opening => "opening",
        Stage::Running => "running",
        Stage::Closing => "closing",
        Stage::Over => "closed",
    }
}

fn capabilities(client_properties: TableRef<'_>) -> Capabilities {
    let table = client_properties
        .find("capabilities")
        .and_then(|value| value.as_table());
    let has = |name: &str| {
        table
            .and_then(|table| table.find(name))
            .and_then(|value| value.as_bool())
            == Some(true)
    };
    Capabilities {
        consumer_cancel_notify: has("consumer_cancel_notify"),
        connection_blocked: has("connection.blocked"),
        authentication_failure_close: has("authentication_failure_close"),
    }
}
