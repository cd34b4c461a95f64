//! One connection: its codec, who is behind it, and everything it has opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use broker::id::{ConsumerId as Attached, Millis, SessionId, Token};
use broker::pass::{Command as Ask, DeleteCondition};
use broker::refusal::Refusal;
use openwire::{
    BaseCommand, Command, ConnectionError, ConnectionId, ConnectionInfo, Decoder, Destination,
    Encoder, ExceptionResponse, JavaString, Limits, Negotiated, ProducerInfo, Response,
};

use super::consumer::{Consumer, ConsumerKey};
use super::destination::Place;
use super::failure::Failure;
use super::recovering::Recovering;
use super::returning::Returning;
use super::transaction::Transaction;
use super::withheld::Withheld;
use crate::access::User;
use crate::door::{Context, Peer};

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The peer's WireFormatInfo is awaited.
    Negotiating,
    /// The peer's ConnectionInfo is awaited.
    Connecting,
    Open,
    /// It was not admitted and hears so until it is closed.
    Refused,
    /// It has removed itself: everything it had is gone.
    Removed,
}

/// What the answer to a command means. Together with a number it is the command's token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// Nothing.
    Nothing,
    /// The command with this id is answered.
    Response,
    /// The command in front of which the connection stopped is tried again.
    Again,
    /// The connection goes on, whatever the answer was.
    Onward,
    /// This consumer is attached to a queue.
    Attach,
    /// The transaction that this command commits.
    Commit,
    /// What this consumer pulled.
    Pull,
    /// What a closed consumer had seen went back; the rest may follow.
    Returned,
    /// How much waits for this consumer.
    Waiting,
}

impl Awaited {
    const ALL: [Awaited; 9] = [
        Awaited::Nothing,
        Awaited::Response,
        Awaited::Again,
        Awaited::Onward,
        Awaited::Attach,
        Awaited::Commit,
        Awaited::Pull,
        Awaited::Returned,
        Awaited::Waiting,
    ];

    pub fn token(self, number: u64) -> Token {
        Token((self as u64) << 56 | number)
    }

    pub fn response(base: BaseCommand) -> Token {
        Awaited::Response.token(u64::from(base.command_id.cast_unsigned()))
    }

    pub fn of(token: Token) -> (Awaited, u64) {
        let kind = Awaited::ALL.get((token.0 >> 56) as usize).copied();
        (kind.unwrap_or(Awaited::Nothing), token.0 & ((1 << 56) - 1))
    }
}

/// A producer that was announced.
pub(super) struct Producer {
    pub info: ProducerInfo,
    /// Its id as text: what its sequences are remembered by.
    pub name: Arc<str>,
}

pub(super) struct Connection {
    pub session: SessionId,
    pub peer: Peer,
    pub phase: Phase,
    pub decoder: Decoder,
    pub encoder: Encoder,
    pub negotiated: Negotiated,
    pub user: Option<User>,
    /// Without the password.
    pub info: ConnectionInfo,
    pub sessions: BTreeSet<i64>,
    /// By session and number.
    pub producers: HashMap<(i64, i64), Producer>,
    pub consumers: BTreeMap<ConsumerKey, Consumer>,
    /// What is attached to queues, and for which consumer.
    pub attached: BTreeMap<Attached, ConsumerKey>,
    pub transactions: BTreeMap<i64, Transaction>,
    /// Bytes held by all transactions.
    pub transaction_bytes: usize,
    /// Transactions on their way into the log, by the command that commits them.
    pub committing: BTreeMap<u64, Transaction>,
    /// What closed consumers held and goes back behind what they had seen.
    pub returning: Returning,
    pub temporaries: usize,
    /// The destination of the last message, taken apart: it mostly comes again.
    pub recent: Option<(Destination, Place)>,
    /// While a retroactive subscription is made.
    pub recovering: Option<Box<Recovering>>,
    /// Answers without which the next command is not looked at.
    pub barriers: u32,
    /// The command at the front of the input waits for an answer and is tried again.
    pub is_retrying: bool,
    /// Sends that wait for an alarm to end.
    pub withheld: Withheld,
    /// Why the command in front of which the connection stopped cannot be carried out.
    pub refused: Option<Refusal>,
    /// The browser that waits for what its connection sent before it.
    pub browsing: Option<ConsumerKey>,
    /// The queue whose deletion the next command waits for.
    pub removing: Option<Box<str>>,
    /// Consumers whose window has changed in this pass.
    pub touched: Vec<ConsumerKey>,
    pub heard: Millis,
    pub spoke: Millis,
    /// When the connection is looked at next; also in the door's timers.
    pub check: Option<Millis>,
    /// When a refused connection is closed.
    pub close_at: Option<Millis>,
    pub ended: bool,
    pub closing: bool,
}

impl Connection {
    pub fn new(session: SessionId, peer: Peer, now: Millis) -> Connection {
        Connection {
            session,
            peer,
            phase: Phase::Negotiating,
            decoder: Decoder::new(Limits::default()),
            encoder: Encoder::new(),
            negotiated: Negotiated::CANONICAL,
            user: None,
            info: ConnectionInfo::default(),
            sessions: BTreeSet::new(),
            producers: HashMap::new(),
            consumers: BTreeMap::new(),
            attached: BTreeMap::new(),
            transactions: BTreeMap::new(),
            transaction_bytes: 0,
            committing: BTreeMap::new(),
            returning: Returning::default(),
            temporaries: 0,
            recent: None,
            recovering: None,
            barriers: 0,
            is_retrying: false,
            withheld: Withheld::default(),
            refused: None,
            browsing: None,
            removing: None,
            touched: Vec::new(),
            heard: now,
            spoke: now,
            check: None,
            close_at: None,
            ended: false,
            closing: false,
        }
    }

    pub fn id(&self) -> ConnectionId {
        self.info.connection_id.clone().unwrap_or_default()
    }

    pub fn client_id(&self) -> Option<&JavaString> {
        self.info.client_id.as_ref()
    }

    pub fn send(&mut self, command: &Command<'_>, cx: &mut Context<'_>) {
        self.spoke = cx.now;
        // What we say ourselves fits every peer: names are bounded and exceptions are cut.
        let _ = self.encoder.encode(command, cx.links.out(self.session));
    }

    pub fn respond(&mut self, base: BaseCommand, cx: &mut Context<'_>) {
        if base.response_required {
            self.answer(base.command_id, cx);
        }
    }

    pub fn answer(&mut self, command_id: i32, cx: &mut Context<'_>) {
        self.send(&Command::Response(Response::to(command_id)), cx);
    }

    /// An exception as an answer, or as an error of the connection where none was asked for.
    pub fn fail(&mut self, base: BaseCommand, failure: &Failure, cx: &mut Context<'_>) {
        let throwable = failure.throwable();
        let command = if base.response_required {
            Command::ExceptionResponse(ExceptionResponse::to(base.command_id, throwable))
        } else {
            Command::ConnectionError(ConnectionError::on(self.id(), throwable))
        };
        self.send(&command, cx);
    }

    /// A token whose answer the next command waits for.
    pub fn barrier(&mut self, awaited: Awaited, number: u64) -> Token {
        self.barriers += 1;
        awaited.token(number)
    }

    /// Deletes a queue that nobody consumes; the command at the front is tried again behind it.
    pub fn delete_queue(&mut self, name: Arc<str>, cx: &mut Context<'_>) {
        let token = self.barrier(Awaited::Again, 0);
        let condition = DeleteCondition {
            if_unused: true,
            if_empty: false,
        };
        cx.pass.push(
            self.session,
            Ask::DeleteQueue {
                token,
                name,
                condition,
            },
        );
    }

    /// Marks a consumer whose window may have opened.
    pub fn touch(&mut self, key: ConsumerKey) {
        if let Some(consumer) = self.consumers.get_mut(&key)
            && !consumer.touched
        {
            consumer.touched = true;
            self.touched.push(key);
        }
    }
}
