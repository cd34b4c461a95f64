//! One connection: where it stands, its channels, what it waits for. Each class of methods has a
//! file of its own; this one holds the state and what all of them share.

use std::collections::BTreeMap;

use amqp::frame::{Frame, FrameKind, Split};
use amqp::tune::Tuning;
use amqp::{ChannelNumber, Event, FrameMax, Machine, Method, encode};
use broker::id::{ConsumerId, Millis, Position, QueueId, SessionId, Token};
use broker::map::IdMap;
use broker::pass::Command;
use broker::topology::RouteCache;

use super::channel::{Channel, Consumer};
use super::fault::Fault;
use super::settings::Settings;
use super::waiting::{Waiting, What};
use crate::access::{Action, Resource, User};
use crate::door::{Context, Peer};
use crate::partition::Chooser;

/// What a conversation may use while it works on something.
pub(super) struct Turn<'a, 'c> {
    pub cx: &'a mut Context<'c>,
    pub settings: &'a Settings,
    pub routing: &'a mut Routing,
    /// Whether publishers are to be blocked, and why.
    pub alarm: Option<&'a str>,
}

/// What finding the way of a message needs; one for all connections.
#[derive(Default)]
pub(super) struct Routing {
    pub cache: RouteCache,
    pub chooser: Chooser,
    pub destinations: Vec<broker::pass::Destination>,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Greeting,
    /// connection.start is sent.
    Starting,
    /// connection.tune is sent.
    Tuning,
    /// tune-ok has come.
    Opening,
    Running,
    /// We have sent connection.close.
    Closing,
    /// Nothing more is read or said.
    Over,
}

/// What a client says that it understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Capabilities {
    pub consumer_cancel_notify: bool,
    pub connection_blocked: bool,
    pub authentication_failure_close: bool,
}

/// What the wire machine is to be told once it is free.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Notice {
    Tuned(Tuning),
    Opened,
    ChannelClosed(ChannelNumber),
    CloseSent,
}

pub(super) struct Conversation {
    pub session: SessionId,
    pub peer: Peer,
    pub stage: Stage,
    pub user: Option<User>,
    pub capabilities: Capabilities,
    pub tuning: Tuning,
    pub channels: BTreeMap<u16, Channel>,
    pub consumers: IdMap<ConsumerId, Consumer>,
    /// Input rests until this is answered.
    pub waiting: Option<Waiting>,
    /// Consumers that a queue.delete took along on its own channel; told behind its answer.
    pub cancelled_tags: Vec<Box<str>>,
    /// Holds what basic.get fetches.
    pub getter: Option<ConsumerId>,
    pub notices: Vec<Notice>,
    /// Publishing has been stopped by an alarm.
    pub blocked: bool,
    /// When the peer was heard last.
    pub heard: Millis,
    /// Something was sent since the timer went off last.
    pub sent: bool,
    pub timer: Option<Millis>,
    /// Something is to be written when the pass ends.
    pub has_collected: bool,
    /// Something was published since a barrier was answered last.
    pub published: bool,
    /// [`Command::End`] was given.
    pub ended: bool,
    tokens: u64,
    lives: u16,
    pub(super) accepted: Vec<(QueueId, Vec<Position>)>,
    pub(super) regranted: Vec<ConsumerId>,
    pub(super) confirming: Vec<u16>,
    pub(super) windows: Vec<u16>,
}

impl Conversation {
    pub fn new(session: SessionId, peer: Peer, now: Millis, settings: &Settings) -> Conversation {
        let tuning = Tuning {
            channel_max: 1,
            frame_max: FrameMax::BEFORE_TUNE,
            heartbeat_s: 0,
        };
        Conversation {
            session,
            peer,
            stage: Stage::Greeting,
            user: None,
            capabilities: Capabilities::default(),
            tuning,
            channels: BTreeMap::new(),
            consumers: IdMap::default(),
            waiting: None,
            cancelled_tags: Vec::new(),
            getter: None,
            notices: Vec::new(),
            blocked: false,
            heard: now,
            sent: false,
            timer: Some(now.plus(settings.handshake_limit_ms)),
            has_collected: false,
            published: false,
            ended: false,
            tokens: 0,
            lives: 0,
            accepted: Vec::new(),
            regranted: Vec::new(),
            confirming: Vec::new(),
            windows: Vec::new(),
        }
    }

    /// Whether input must rest.
    pub fn is_paused(&self) -> bool {
        self.waiting.is_some() || self.blocked || self.stage == Stage::Over
    }

    /// What the wire machine may look at next while publishers rest: one frame, and none that
    /// brings content. `None` shows a publisher: the frame stays where it is, since each of very
    /// many connections could otherwise fill room that is needed for draining.
    pub fn admit<'b>(&self, input: &'b [u8], frame_max: FrameMax) -> Option<&'b [u8]> {
        if self.stage != Stage::Running {
            return Some(input);
        }
        let Ok(Split::Whole { frame, consumed }) = Frame::split(input, frame_max) else {
            // The machine waits for the rest, or says what is wrong.
            return Some(input);
        };
        let kind = frame.kind();
        let brings_content = match kind {
            Ok(FrameKind::Method) => frame.payload.starts_with(&BASIC_PUBLISH),
            Ok(FrameKind::Header | FrameKind::Body) => true,
            Ok(FrameKind::Heartbeat) | Err(_) => false,
        };
        // What comes for a channel that is closed is dropped; its close-ok may be behind that.
        let is_open = self.channels.contains_key(&frame.channel.0);
        match brings_content && is_open {
            true => None,
            false => Some(input.get(..consumed).unwrap_or(input)),
        }
    }

    /// Works on one event of the wire.
    pub fn hear(&mut self, event: Event<'_>, turn: &mut Turn<'_, '_>) {
        match event {
            Event::ProtocolHeader(header) => self.greet(header, turn),
            Event::Heartbeat => {}
            Event::Method { channel, method } => self.method(channel, &method, turn),
            Event::Content(content) => {
                let ids = content.method.ids();
                if let Err(fault) = self.publish(&content, turn) {
                    self.fail(content.channel.0, ids, fault, turn);
                }
            }
            Event::MessageTooLarge(refused) => {
                let fault = match self.channels.contains_key(&refused.channel.0) {
                    true => Fault::precondition(refused.explanation()),
                    false => Fault::channel_error("expected 'channel.open'"),
                };
                let ids = (refused.class_id, refused.method_id);
                self.fail(refused.channel.0, ids, fault, turn);
            }
            Event::Malformed(violation) => self.broken(&violation, turn),
        }
    }

    fn method(&mut self, channel: ChannelNumber, method: &Method<'_>, turn: &mut Turn<'_, '_>) {
        let done = if channel == ChannelNumber::CONNECTION {
            self.connection_method(method, turn)
        } else {
            self.channel_method(channel.0, method, turn)
        };
        if let Err(fault) = done {
            self.fail(channel.0, method.ids(), fault, turn);
        }
    }

    fn channel_method(
        &mut self,
        number: u16,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        match method {
            Method::ChannelOpen => return self.open_channel(number, turn),
            // A close that crossed ours: the machine lets these two through.
            Method::ChannelCloseOk => return Ok(()),
            Method::ChannelClose { .. } if !self.channels.contains_key(&number) => {
                self.send(number, &Method::ChannelCloseOk, turn);
                return Ok(());
            }
            _ if !self.channels.contains_key(&number) => {
                return Err(Fault::channel_error("expected 'channel.open'"));
            }
            _ => {}
        }
        let at = At {
            channel: number,
            ids: method.ids(),
        };
        match method {
            Method::ChannelClose { .. } => self.leave_channel(at, turn),
            Method::ChannelFlow { active: true } => {
                self.send(number, &Method::ChannelFlowOk { active: true }, turn);
                Ok(())
            }
            Method::ChannelFlow { active: false } => Err(Fault::not_implemented("active=false")),
            Method::ChannelFlowOk { .. } => Ok(()),
            Method::AccessRequest { .. } => {
                self.send(number, &Method::AccessRequestOk { ticket: 1 }, turn);
                Ok(())
            }
            Method::ExchangeDeclare { .. }
            | Method::ExchangeDelete { .. }
            | Method::ExchangeBind { .. }
            | Method::ExchangeUnbind { .. } => self.exchange_method(at, method, turn),
            Method::QueueDeclare { .. }
            | Method::QueueBind { .. }
            | Method::QueueUnbind { .. }
            | Method::QueuePurge { .. }
            | Method::QueueDelete { .. } => self.queue_method(at, method, turn),
            Method::BasicQos { .. }
            | Method::BasicConsume { .. }
            | Method::BasicCancel { .. }
            | Method::BasicGet { .. } => self.consuming_method(at, method, turn),
            Method::BasicCancelOk { .. } => Ok(()),
            Method::BasicAck { .. }
            | Method::BasicReject { .. }
            | Method::BasicNack { .. }
            | Method::BasicRecover { .. }
            | Method::BasicRecoverAsync { .. } => self.settling_method(number, method, turn),
            Method::ConfirmSelect { nowait } => {
                self.channel_mut(number)?.confirms.get_or_insert_default();
                self.send_unless(*nowait, number, &Method::ConfirmSelectOk, turn);
                Ok(())
            }
            Method::TxSelect if self.channel_mut(number)?.confirms.is_some() => {
                Err(Fault::precondition("cannot switch from confirm to tx mode"))
            }
            Method::TxSelect => Err(Fault::not_implemented("tx.select is not supported yet")),
            Method::TxCommit | Method::TxRollback => {
                Err(Fault::precondition("channel is not transactional"))
            }
            Method::ConnectionStart { .. }
            | Method::ConnectionStartOk { .. }
            | Method::ConnectionSecure { .. }
            | Method::ConnectionSecureOk { .. }
            | Method::ConnectionTune { .. }
            | Method::ConnectionTuneOk { .. }
            | Method::ConnectionOpen { .. }
            | Method::ConnectionOpenOk
            | Method::ConnectionClose { .. }
            | Method::ConnectionCloseOk
            | Method::ConnectionBlocked { .. }
            | Method::ConnectionUnblocked
            | Method::ConnectionUpdateSecret { .. }
            | Method::ConnectionUpdateSecretOk
            | Method::ChannelOpen
            | Method::ChannelOpenOk
            | Method::ChannelCloseOk
            | Method::AccessRequestOk { .. }
            | Method::ExchangeDeclareOk
            | Method::ExchangeDeleteOk
            | Method::ExchangeBindOk
            | Method::ExchangeUnbindOk
            | Method::QueueDeclareOk { .. }
            | Method::QueueBindOk
            | Method::QueueUnbindOk
            | Method::QueuePurgeOk { .. }
            | Method::QueueDeleteOk { .. }
            | Method::BasicQosOk
            | Method::BasicConsumeOk { .. }
            | Method::BasicPublish { .. }
            | Method::BasicReturn { .. }
            | Method::BasicDeliver { .. }
            | Method::BasicGetOk { .. }
            | Method::BasicGetEmpty
            | Method::BasicRecoverOk
            | Method::ConfirmSelectOk
            | Method::TxSelectOk
            | Method::TxCommitOk
            | Method::TxRollbackOk => Err(Fault::new(
                amqp::ReplyCode::CommandInvalid,
                "unimplemented method",
            )),
        }
    }

    fn open_channel(&mut self, number: u16, turn: &mut Turn<'_, '_>) -> Result<(), Fault> {
        if self.channels.contains_key(&number) {
            return Err(Fault::channel_error("second 'channel.open' seen"));
        }
        let (open, most) = (self.channels.len(), self.tuning.channel_max);
        if open >= usize::from(most) {
            return Err(Fault::not_allowed(format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({most})"
            )));
        }
        self.lives = self.lives.wrapping_add(1) & LIFE_MAX;
        let channel = Channel {
            life: self.lives,
            ..Channel::default()
        };
        self.channels.insert(number, channel);
        self.send(number, &Method::ChannelOpenOk, turn);
        Ok(())
    }

    /// # Errors
    /// 504, if the channel is not open.
    pub fn channel_mut(&mut self, number: u16) -> Result<&mut Channel, Fault> {
        let unopened = || Fault::channel_error("expected 'channel.open'");
        self.channels.get_mut(&number).ok_or_else(unopened)
    }

    pub fn send(&mut self, channel: u16, method: &Method<'_>, turn: &mut Turn<'_, '_>) {
        self.sent = true;
        encode::method(
            turn.cx.links.out(self.session),
            ChannelNumber(channel),
            method,
        );
    }

    /// Sends the answer of a method whose sender wants one.
    pub fn send_unless(
        &mut self,
        nowait: bool,
        channel: u16,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) {
        if !nowait {
            self.send(channel, method, turn);
        }
    }

    /// # Errors
    /// 403, in RabbitMQ's words.
    pub fn authorize(
        &self,
        action: Action,
        resource: Resource<'_>,
        turn: &Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let allowed = self
            .user
            .as_ref()
            .is_some_and(|user| turn.cx.access.authorize(user, action, resource));
        if allowed {
            return Ok(());
        }
        let what = match action {
            Action::Configure => "configure",
            Action::Write => "write",
            Action::Read => "read",
        };
        let thing = match resource {
            Resource::Address("") => super::fault::exchange("amq.default"),
            Resource::Address(name) => super::fault::exchange(name),
            Resource::Queue(name) => super::fault::queue(name),
            Resource::Group(name) => format!("group '{name}'"),
        };
        let user = self.user.as_ref().map_or("", |user| &user.name);
        Err(Fault::refused(format!(
            "{what} access to {thing} refused for user '{user}'"
        )))
    }

    pub fn new_token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    /// Gives a command, behind the settlements collected before it.
    pub fn command(&mut self, command: Command, turn: &mut Turn<'_, '_>) {
        self.flush_accepted(turn);
        turn.cx.pass.push(self.session, command);
    }

    /// Gives a command that is answered, and rests until then.
    pub fn ask(
        &mut self,
        at: At,
        what: What,
        turn: &mut Turn<'_, '_>,
        command: impl FnOnce(Token) -> Command,
    ) {
        let token = self.new_token();
        self.waiting = Some(Waiting {
            first: token,
            left: 1,
            at,
            what,
        });
        self.command(command(token), turn);
    }

    /// The same, behind everything that was published before: what is published can be counted
    /// and fetched at once, as clients expect who publish and get on one channel.
    pub fn ask_behind(
        &mut self,
        at: At,
        what: What,
        turn: &mut Turn<'_, '_>,
        command: impl FnOnce(Token) -> Command + Send + 'static,
    ) {
        if !self.published {
            return self.ask(at, what, turn, command);
        }
        let (what, command) = (Box::new(what), Box::new(command));
        self.ask(at, What::Behind { what, command }, turn, |token| {
            Command::Barrier { token }
        });
    }

    /// Tells the wire machine what it must know.
    pub fn tend(&mut self, machine: &mut Machine) {
        for notice in self.notices.drain(..) {
            match notice {
                Notice::Tuned(tuning) => machine.tuned(&tuning),
                Notice::Opened => machine.opened(),
                Notice::ChannelClosed(number) => machine.discard_channel(number),
                Notice::CloseSent => machine.close_sent(),
            }
        }
    }
}

/// Which method something is about: where its answer or its error goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct At {
    pub channel: u16,
    /// Class and method.
    pub ids: (u16, u16),
}

/// Class and method of basic.publish, as they lie on the wire.
const BASIC_PUBLISH: [u8; 4] = [0, 60, 0, 40];

/// Lives of a channel number are counted in this many bits of a token.
pub(super) const LIFE_MAX: u16 = (1 << 15) - 1;
