//! A client of OpenWire: where its connection and its consumers stand, and what it makes of what
//! it hears. What it says is in `openwire_acts`.

use std::collections::{BTreeMap, VecDeque};

use gateway::door::Wire;
use openwire::{
    Command, Decoder, Encoder, Limits, MessageDispatch, MessageId, MessageKind, Throwable,
    WireFormatOptions, body, negotiate,
};

use super::super::world::{Verdict, ensure};
use super::client::{Client, Scene, unexpected};
use super::judge::{Got, Handed, Holder, Key, Receiver, Sender};
use super::message::{Queue, Target};

const WHO: &str = "an OpenWire client";
const BODY_BYTES_MAX: usize = 1 << 20;
const FRAME_BYTES_MAX: i64 = 104_857_600;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Away,
    Negotiating,
    Connecting,
    Open,
    Leaving,
    Over,
}

/// How the deliveries of a consumer are acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// CLIENT: everything up to one.
    Ranges,
    /// INDIVIDUAL.
    Single,
    /// In transactions only.
    Transacted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConsumerPhase {
    Opening,
    Open,
    Closing,
}

#[derive(Clone, Debug)]
pub(super) struct Given {
    pub got: Got,
    pub id: MessageId,
    /// The broker's number of the dispatch.
    pub sequence: i64,
    /// Acknowledged in the transaction that is open.
    pub enlisted: bool,
}

pub(super) struct Consumer {
    pub queue: Queue,
    pub receiver: Receiver,
    pub mode: Mode,
    /// 0 is given nothing but what it pulls.
    pub prefetch: usize,
    /// Not answered; each is, be it by an empty dispatch.
    pub pulls: usize,
    pub given: VecDeque<Given>,
    pub phase: ConsumerPhase,
}

/// A command that is answered.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Connect,
    Session,
    Destination,
    /// By the number that its producer gave the message.
    Send(i64),
    Settle(Vec<Key>),
    Begin,
    /// What its deal is, and the consumers whose deliveries are in it.
    Commit(usize),
    Rollback,
    Consume(i64),
    Unconsume(i64),
    Leave,
}

/// A message that was sent and is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub number: u64,
    pub target: Target,
    /// It was sent over another connection before.
    pub again: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Transaction {
    pub number: i64,
    pub deal: usize,
    pub sender: Sender,
}

pub(super) struct Talk {
    pub id: String,
    pub phase: Phase,
    /// Survives the loss of a connection, as a failover client does: it sends again what was not
    /// answered, and the broker knows it by its number.
    pub survives: bool,
    pub encoder: Encoder,
    pub commands: i32,
    pub asks: BTreeMap<i32, Ask>,
    pub holder: Option<Holder>,
    pub sender: Option<Sender>,
    pub consumers: BTreeMap<i64, Consumer>,
    pub next_consumer: i64,
    /// Numbers of messages: of those sent at once, and of those sent in transactions.
    pub sequences: [i64; 2],
    pub sending: BTreeMap<i64, Sending>,
    pub transaction: Option<Transaction>,
    pub next_transaction: i64,
    /// Acknowledged without asking for an answer, by command.
    pub quiet: Vec<(i32, Key)>,
}

pub(super) struct Openwire {
    pub talk: Talk,
    decoder: Decoder,
    options: WireFormatOptions,
    unread: Vec<u8>,
}

fn broker_options() -> WireFormatOptions {
    WireFormatOptions::broker("5.18.3", "test", FRAME_BYTES_MAX)
}

fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.allow_frames_of(1 << 20);
    decoder
}

impl Openwire {
    pub fn new(number: u64, survives: bool) -> Openwire {
        Openwire {
            talk: Talk {
                id: format!("ID:story-{number}"),
                phase: Phase::Away,
                survives,
                encoder: Encoder::new(),
                commands: 0,
                asks: BTreeMap::new(),
                holder: None,
                sender: None,
                consumers: BTreeMap::new(),
                next_consumer: 0,
                sequences: [0, 0],
                sending: BTreeMap::new(),
                transaction: None,
                next_transaction: 0,
                quiet: Vec::new(),
            },
            decoder: decoder(),
            options: broker_options(),
            unread: Vec::new(),
        }
    }
}

impl Client for Openwire {
    fn wire(&self) -> Wire {
        Wire::Openwire
    }

    fn connected(&mut self, scene: &mut Scene<'_>) {
        self.decoder = decoder();
        self.unread.clear();
        self.options = WireFormatOptions {
            tight_encoding_enabled: scene.once_in(2),
            cache_enabled: scene.once_in(2),
            stack_trace_enabled: false,
            max_inactivity_duration: 0,
            ..broker_options()
        };
        let talk = &mut self.talk;
        talk.encoder = Encoder::new();
        talk.holder = Some(scene.judge.holder());
        if !talk.survives || talk.sending.is_empty() {
            talk.sender = Some(scene.judge.sender());
        }
        talk.phase = Phase::Negotiating;
        let info = Command::WireFormatInfo(self.options.to_info());
        talk.encoder.encode(&info, scene.out).expect("short");
    }

    fn is_open(&self) -> bool {
        self.talk.phase == Phase::Open
    }

    fn act(&mut self, scene: &mut Scene<'_>) {
        self.talk.act(scene);
    }

    fn hear(&mut self, bytes: &[u8], scene: &mut Scene<'_>) -> Verdict {
        self.unread.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let received = self.decoder.feed(&self.unread[at..]);
            let received = received.map_err(|broken| unexpected(WHO, broken))?;
            let Some(received) = received else {
                self.unread.drain(..at);
                return Ok(());
            };
            at += received.consumed;
            match received.command {
                None => {}
                Some(Command::WireFormatInfo(_)) => {
                    let agreed = negotiate(&broker_options(), &self.options);
                    self.decoder.switch(&agreed);
                    self.talk.encoder.switch(&agreed);
                    self.talk.introduce(scene);
                }
                Some(command) => self.talk.command(&command, scene)?,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.talk.phase == Phase::Over
    }

    fn lost(&mut self, scene: &mut Scene<'_>) {
        let talk = &mut self.talk;
        if let Some(holder) = talk.holder.take() {
            scene.judge.lost(holder);
        }
        for consumer in std::mem::take(&mut talk.consumers).into_values() {
            scene.judge.left(consumer.receiver, &[consumer.queue]);
        }
        talk.asks.clear();
        talk.quiet.clear();
        if let Some(transaction) = talk.transaction.take() {
            let undone = scene.judge.came_to_nothing(transaction.deal);
            assert!(undone.is_ok(), "nobody has asked for it");
        }
        match talk.survives {
            true => talk.sending.values_mut().for_each(|one| one.again = true),
            false => talk.sending.clear(),
        }
        talk.phase = Phase::Away;
    }

    fn unanswered(&self) -> Option<String> {
        let talk = &self.talk;
        let settled_down = matches!(talk.phase, Phase::Open | Phase::Over | Phase::Away);
        let asks: Vec<_> = talk.asks.values().collect();
        let pulls: usize = talk.consumers.values().map(|known| known.pulls).sum();
        let is_idle = settled_down && asks.is_empty() && pulls == 0;
        (!is_idle).then(|| format!("{:?}: {asks:?}, {pulls} pulls", talk.phase))
    }

    fn takes_from(&self) -> Vec<Queue> {
        let has_room = |known: &&Consumer| {
            known.phase == ConsumerPhase::Open && known.given.len() < known.prefetch
        };
        let consumers = self.talk.consumers.values().filter(has_room);
        consumers.map(|known| known.queue).collect()
    }

    fn collect(&mut self, scene: &mut Scene<'_>) {
        self.talk.collect(scene);
    }

    fn settle_all(&mut self, scene: &mut Scene<'_>) -> bool {
        self.talk.settle_all(scene)
    }

    fn leave(&mut self, scene: &mut Scene<'_>) {
        self.talk.leave(scene);
    }
}

impl Talk {
    fn command(&mut self, command: &Command<'_>, scene: &mut Scene<'_>) -> Verdict {
        if self.phase == Phase::Over {
            return Ok(());
        }
        match command {
            Command::BrokerInfo(_) | Command::KeepAliveInfo(_) | Command::ConnectionControl(_) => {
                Ok(())
            }
            // The server stops.
            Command::ShutdownInfo(_) => {
                self.phase = Phase::Over;
                Ok(())
            }
            Command::Response(response) => self.granted(response.correlation_id, scene),
            Command::ExceptionResponse(response) => self.denied(
                response.correlation_id,
                response.exception.as_deref(),
                scene,
            ),
            Command::MessageDispatch(dispatch) => self.dispatched(dispatch, scene),
            other => Err(unexpected(WHO, other)),
        }
    }

    fn granted(&mut self, to: i32, scene: &mut Scene<'_>) -> Verdict {
        let Some(ask) = self.asks.remove(&to) else {
            return Err(unexpected(WHO, ("an answer to", to)));
        };
        match ask {
            Ask::Connect | Ask::Destination | Ask::Begin | Ask::Rollback => {}
            Ask::Session => {
                self.phase = Phase::Open;
                self.send_again(scene);
            }
            Ask::Send(sequence) => {
                let Some(sent) = self.sending.remove(&sequence) else {
                    // In a transaction, an answer means nothing yet.
                    return Ok(());
                };
                scene.counts.note("OpenWire answer");
                scene.judge.confirmed(sent.number, &sent.target.queues())?;
            }
            Ask::Settle(keys) => {
                let before = self.quiet.iter().filter(|(command, _)| *command < to);
                let before: Vec<Key> = before.map(|(_, key)| *key).collect();
                self.quiet.retain(|(command, _)| *command >= to);
                scene.judge.gone(&before)?;
                scene.judge.gone(&keys)?;
            }
            Ask::Commit(deal) => {
                scene.counts.note("OpenWire commit");
                scene.judge.happened(deal)?;
                for consumer in self.consumers.values_mut() {
                    consumer.given.retain(|given| !given.enlisted);
                }
                self.transaction = None;
            }
            Ask::Consume(value) => {
                let known = self.consumers.get_mut(&value);
                let is_opening = |known: &&mut Consumer| known.phase == ConsumerPhase::Opening;
                if let Some(consumer) = known.filter(is_opening) {
                    consumer.phase = ConsumerPhase::Open;
                }
            }
            Ask::Unconsume(value) => {
                if let Some(consumer) = self.consumers.remove(&value) {
                    scene.judge.left(consumer.receiver, &[consumer.queue]);
                }
            }
            Ask::Leave => {
                scene.counts.note("OpenWire goodbye");
                self.phase = Phase::Over;
            }
        }
        Ok(())
    }

    fn denied(&mut self, to: i32, why: Option<&Throwable>, scene: &mut Scene<'_>) -> Verdict {
        let text = |text: &Throwable| format!("{:?}: {:?}", text.class, text.message);
        let words = why.map(text).unwrap_or_default();
        let ask = self.asks.remove(&to);
        let is_full = words.contains("disk");
        match ask {
            Some(Ask::Send(sequence)) if is_full => {
                scene.counts.note("OpenWire refusal");
                match self.sending.remove(&sequence) {
                    // The first time it may have been taken.
                    Some(sent) if sent.again => Ok(()),
                    Some(sent) => scene.judge.refused(sent.number),
                    None => Err(unexpected(WHO, words)),
                }
            }
            Some(Ask::Commit(deal)) if is_full => {
                scene.counts.note("OpenWire commit refused");
                scene.judge.came_to_nothing(deal)?;
                // What was acknowledged in it is still the client's.
                for consumer in self.consumers.values_mut() {
                    for given in consumer.given.iter_mut().filter(|given| given.enlisted) {
                        given.enlisted = false;
                        scene.judge.copy(given.got.key).held = self.holder;
                    }
                }
                self.transaction = None;
                Ok(())
            }
            ask => Err(unexpected(WHO, (ask, words))),
        }
    }

    fn dispatched(&mut self, dispatch: &MessageDispatch<'_>, scene: &mut Scene<'_>) -> Verdict {
        let value = dispatch.consumer_id.as_ref().map_or(0, |id| id.value);
        let Some(consumer) = self.consumers.get_mut(&value) else {
            return Err(unexpected(WHO, ("a dispatch to", value)));
        };
        if consumer.phase == ConsumerPhase::Closing {
            return Ok(());
        }
        if consumer.prefetch == 0 {
            let Some(left) = consumer.pulls.checked_sub(1) else {
                return Err(unexpected(WHO, "what it has not pulled"));
            };
            consumer.pulls = left;
        } else {
            ensure(consumer.given.len() < consumer.prefetch, || {
                format!("{WHO} gets more than {}", consumer.prefetch)
            })?;
        }
        let (message, holder) = match (&dispatch.message, self.holder) {
            (Some(message), Some(holder)) => (message, holder),
            _ if consumer.prefetch == 0 => {
                scene.counts.note("OpenWire empty pull");
                return Ok(());
            }
            _ => return Err(unexpected(WHO, "an empty dispatch")),
        };
        let content = message.plain_content(BODY_BYTES_MAX);
        let content = content.ok().flatten().unwrap_or_default();
        let text = match message.kind {
            MessageKind::Text => body::decode_text(&content)
                .map(|text| text.to_string().into_bytes())
                .map_err(|broken| unexpected(WHO, broken))?,
            _ => content.into_owned(),
        };
        scene.counts.note("OpenWire dispatch");
        let redelivered = dispatch.redelivery_counter > 0;
        if redelivered {
            scene.counts.note("OpenWire redelivery");
        }
        let got = scene.judge.delivered(&Handed {
            queue: consumer.queue,
            body: &text,
            redelivered,
            receiver: consumer.receiver,
            holder,
        })?;
        let id = message.message_id.clone().unwrap_or_default();
        let sequence = id.broker_sequence_id;
        consumer.given.push_back(Given {
            got,
            id,
            sequence,
            enlisted: false,
        });
        Ok(())
    }
}
