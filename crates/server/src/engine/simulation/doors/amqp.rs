//! A client of AMQP: where its connection and its channels stand, and what it makes of what it
//! hears. What it says is in `amqp_acts`.

use std::collections::{BTreeMap, VecDeque};

use amqp::tune::Tuning;
use amqp::{ChannelNumber, Content, Event, FrameMax, Limits, Machine, Method, Step, TableRef};
use gateway::door::Wire;

use super::super::world::Verdict;
use super::client::{Client, Scene, unexpected};
use super::judge::{Got, Holder, Key, Receiver, Sender};
use super::message::{Queue, Target};

pub(super) const WHO: &str = "an AMQP client";
/// The server stops.
const CONNECTION_FORCED: u16 = 320;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Away,
    Greeting,
    Tuning,
    Opening,
    Open,
    Leaving,
    /// Nothing more is said.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ChannelPhase {
    Opening,
    Open,
    Closing,
}

/// A method that is answered; the answers on a channel come in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Open,
    Declare,
    Bind,
    Select,
    Qos(u16),
    /// A limit for all consumers of the channel together.
    Window(u16),
    Consume(String),
    Cancel(String),
    Get(Queue),
    Count,
    Recover,
    Close,
}

pub(super) struct Asked {
    pub what: Ask,
    /// How many settlements were said before.
    pub settled: usize,
}

pub(super) struct Consumer {
    pub queue: Queue,
    pub receiver: Receiver,
    /// 0 is no limit.
    pub prefetch: u16,
    pub held: u16,
}

/// A delivery that is not settled.
#[derive(Clone)]
pub(super) struct Unsettled {
    pub got: Got,
    pub consumer: Option<String>,
}

/// What was published in confirm mode and not answered, by its number on the channel.
#[derive(Default)]
pub(super) struct Confirms {
    pub last: u64,
    pub waiting: BTreeMap<u64, (u64, Target)>,
}

pub(super) struct Channel {
    pub phase: ChannelPhase,
    pub holder: Holder,
    /// Of what is fetched.
    pub getter: Receiver,
    pub confirms: Option<Confirms>,
    pub consumers: BTreeMap<String, Consumer>,
    pub unsettled: BTreeMap<u64, Unsettled>,
    pub last_tag: u64,
    /// What was settled on it, in order.
    pub settled: Vec<Key>,
    pub asks: VecDeque<Asked>,
    pub prefetch: u16,
    /// What all its consumers may hold together; 0 is no limit.
    pub window: u16,
    pub queues: Vec<Queue>,
    pub consumer_count: u64,
}

/// What is said and heard on one connection.
pub(super) struct Talk {
    pub phase: Phase,
    pub tuning: Tuning,
    pub sender: Option<Sender>,
    pub channels: BTreeMap<u16, Channel>,
}

pub(super) struct Amqp {
    pub talk: Talk,
    machine: Machine,
    unread: Vec<u8>,
}

impl Amqp {
    pub fn new() -> Amqp {
        Amqp {
            talk: Talk {
                phase: Phase::Away,
                tuning: Tuning {
                    channel_max: 2047,
                    frame_max: FrameMax::DEFAULT,
                    heartbeat_s: 0,
                },
                sender: None,
                channels: BTreeMap::new(),
            },
            machine: machine(),
            unread: Vec::new(),
        }
    }
}

fn machine() -> Machine {
    Machine::client(Limits {
        message_size_max: 1 << 20,
        lookahead_max: 1 << 20,
    })
}

impl Client for Amqp {
    fn wire(&self) -> Wire {
        Wire::Amqp
    }

    fn connected(&mut self, scene: &mut Scene<'_>) {
        self.machine = machine();
        self.unread.clear();
        // Bodies come in several frames, or not.
        self.talk.tuning.frame_max = match scene.once_in(2) {
            true => FrameMax::new(4096).expect("the least that is allowed"),
            false => FrameMax::DEFAULT,
        };
        self.talk.phase = Phase::Greeting;
        self.talk.sender = Some(scene.judge.sender());
        amqp::encode::protocol_header(scene.out);
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
            match self.machine.step(&self.unread[at..]) {
                Step::Event { consumed, event } => {
                    self.talk.event(&event, scene)?;
                    at += consumed;
                    if self.talk.phase == Phase::Opening {
                        self.machine.tuned(&self.talk.tuning);
                        self.machine.opened();
                    }
                }
                Step::NeedMore { consumed, .. } => {
                    self.unread.drain(..at + consumed);
                    return Ok(());
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.talk.phase == Phase::Over
    }

    fn lost(&mut self, scene: &mut Scene<'_>) {
        for channel in std::mem::take(&mut self.talk.channels).into_values() {
            scene.judge.lost(channel.holder);
            scene.judge.left(channel.getter, &channel.queues);
            for consumer in channel.consumers.values() {
                scene.judge.left(consumer.receiver, &[]);
            }
        }
        self.talk.phase = Phase::Away;
    }

    fn unanswered(&self) -> Option<String> {
        let settled_down = matches!(self.talk.phase, Phase::Open | Phase::Over | Phase::Away);
        if !settled_down {
            return Some(format!("{:?}", self.talk.phase));
        }
        let waits = |(number, channel): (&u16, &Channel)| {
            let confirms = channel.confirms.iter().flat_map(|c| c.waiting.values());
            let asks: Vec<_> = channel.asks.iter().map(|asked| &asked.what).collect();
            let confirms: Vec<_> = confirms.collect();
            let is_idle = asks.is_empty() && confirms.is_empty();
            (!is_idle).then(|| format!("channel {number}: {asks:?}, {confirms:?}"))
        };
        self.talk.channels.iter().find_map(waits)
    }

    fn takes_from(&self) -> Vec<Queue> {
        let open = |channel: &&Channel| channel.phase == ChannelPhase::Open;
        let channels = self.talk.channels.values().filter(open);
        channels.flat_map(Channel::takes_from).collect()
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
    fn event(&mut self, event: &Event<'_>, scene: &mut Scene<'_>) -> Verdict {
        if self.phase == Phase::Over {
            return Ok(());
        }
        match event {
            Event::Heartbeat => Ok(()),
            Event::Method { channel, method } if *channel == ChannelNumber::CONNECTION => {
                self.connection_method(method, scene)
            }
            Event::Method { channel, method } => self.channel_method(channel.0, method, scene),
            Event::Content(content) => self.content(content, scene),
            Event::ProtocolHeader(_) | Event::MessageTooLarge(_) | Event::Malformed(_) => {
                Err(unexpected(WHO, event))
            }
        }
    }

    fn connection_method(&mut self, method: &Method<'_>, scene: &mut Scene<'_>) -> Verdict {
        match (self.phase, method) {
            (Phase::Greeting, Method::ConnectionStart { .. }) => {
                self.phase = Phase::Tuning;
                let start_ok = Method::ConnectionStartOk {
                    client_properties: TableRef::EMPTY,
                    mechanism: "PLAIN",
                    response: b"\0guest\0guest",
                    locale: "en_US",
                };
                self.say(0, &start_ok, scene);
            }
            (Phase::Tuning, Method::ConnectionTune { .. }) => {
                self.phase = Phase::Opening;
                self.say(0, &self.tuning.tune_ok(), scene);
                self.say(0, &Method::ConnectionOpen { vhost: "/" }, scene);
            }
            (Phase::Opening, Method::ConnectionOpenOk) => {
                self.phase = Phase::Open;
                self.open_channel(1, scene);
            }
            (Phase::Leaving, Method::ConnectionCloseOk) => {
                scene.counts.note("AMQP goodbye");
                for channel in self.channels.values() {
                    scene.judge.gone(&channel.settled)?;
                }
                self.phase = Phase::Over;
            }
            (_, Method::ConnectionClose { reply_code, .. }) if *reply_code == CONNECTION_FORCED => {
                self.phase = Phase::Over;
            }
            _ => return Err(unexpected(WHO, method)),
        }
        Ok(())
    }

    fn channel_method(
        &mut self,
        number: u16,
        method: &Method<'_>,
        scene: &mut Scene<'_>,
    ) -> Verdict {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Err(unexpected(WHO, (number, method)));
        };
        match method {
            Method::BasicAck {
                delivery_tag,
                multiple,
            } => channel.confirmed(delivery_tag.0, *multiple, scene),
            Method::BasicNack {
                delivery_tag,
                multiple: false,
                ..
            } => channel.refused(delivery_tag.0, scene),
            _ => {
                if channel.answer(method, scene)? {
                    self.channels.remove(&number);
                }
                Ok(())
            }
        }
    }

    fn content(&mut self, content: &Content<'_>, scene: &mut Scene<'_>) -> Verdict {
        let Some(channel) = self.channels.get_mut(&content.channel.0) else {
            return Err(unexpected(WHO, (content.channel, content.method)));
        };
        match content.method {
            Method::BasicDeliver {
                consumer_tag,
                delivery_tag,
                redelivered,
                ..
            } => {
                scene.counts.note("AMQP delivery");
                let consumer = Some(consumer_tag);
                channel.handed(consumer, delivery_tag.0, redelivered, content.body, scene)
            }
            Method::BasicGetOk {
                delivery_tag,
                redelivered,
                ..
            } => {
                scene.counts.note("AMQP get");
                channel.handed(None, delivery_tag.0, redelivered, content.body, scene)?;
                channel.answer(&content.method, scene).map(drop)
            }
            method => Err(unexpected(WHO, method)),
        }
    }
}
