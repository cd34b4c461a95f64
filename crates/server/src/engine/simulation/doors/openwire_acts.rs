//! What a client of OpenWire says.

use openwire::{
    BaseCommand, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Destination,
    DestinationInfo, Message, MessageId, MessageKind, MessagePull, ProducerId, RemoveInfo,
    SessionId, SessionInfo, body,
};

use super::client::Scene;
use super::message::{self, NEWS, QUEUES, Queue, SUBSCRIBER, SUBSCRIPTION, Target};
use super::openwire::{Ask, Consumer, ConsumerPhase, Mode, Phase, Sending, Talk};

const CONSUMERS_MAX: usize = 4;
const SENDING_MAX: usize = 6;
const COLLECTED_MAX: usize = 1_000;
/// The client does not know what its application has seen.
const UNKNOWN: i64 = -2;
/// A pull that does not wait.
const AT_ONCE: i64 = -1;

/// Which producer sends: at once, or in transactions.
#[derive(Clone, Copy)]
pub(super) enum Producer {
    AtOnce,
    Transacted,
}

impl Talk {
    /// The first words after the negotiation.
    pub fn introduce(&mut self, scene: &mut Scene<'_>) {
        self.phase = Phase::Connecting;
        let info = ConnectionInfo {
            connection_id: Some(self.connection_id()),
            client_id: Some(format!("client-{}", self.id).into()),
            fault_tolerant: self.survives,
            ..ConnectionInfo::default()
        };
        self.ask(Ask::Connect, scene, |base| {
            Command::ConnectionInfo(ConnectionInfo { base, ..info })
        });
        let session_id = SessionId {
            connection_id: self.id.as_str().into(),
            value: 1,
        };
        self.ask(Ask::Session, scene, |base| {
            Command::SessionInfo(SessionInfo {
                base,
                session_id: Some(session_id),
            })
        });
    }

    /// Says a command that is answered.
    pub fn ask<'a>(
        &mut self,
        ask: Ask,
        scene: &mut Scene<'_>,
        command: impl FnOnce(BaseCommand) -> Command<'a>,
    ) {
        self.commands += 1;
        self.asks.insert(self.commands, ask);
        let base = BaseCommand {
            command_id: self.commands,
            response_required: true,
        };
        self.encoder
            .encode(&command(base), scene.out)
            .expect("it is short");
    }

    /// Says a command that is not answered.
    pub fn tell<'a>(
        &mut self,
        scene: &mut Scene<'_>,
        command: impl FnOnce(BaseCommand) -> Command<'a>,
    ) {
        self.commands += 1;
        let base = BaseCommand {
            command_id: self.commands,
            response_required: false,
        };
        self.encoder
            .encode(&command(base), scene.out)
            .expect("it is short");
    }

    pub fn connection_id(&self) -> ConnectionId {
        ConnectionId {
            value: self.id.as_str().into(),
        }
    }

    pub fn consumer_id(&self, value: i64) -> ConsumerId {
        ConsumerId {
            connection_id: self.id.as_str().into(),
            session_id: 1,
            value,
        }
    }

    /// Makes a queue as JMS does.
    pub fn create(&mut self, queue: Queue, scene: &mut Scene<'_>) {
        let info = DestinationInfo {
            connection_id: Some(self.connection_id()),
            destination: Some(Destination::queue(queue.name())),
            operation_type: DestinationInfo::ADD,
            ..DestinationInfo::default()
        };
        self.ask(Ask::Destination, scene, |base| {
            Command::DestinationInfo(DestinationInfo { base, ..info })
        });
    }

    pub fn act(&mut self, scene: &mut Scene<'_>) {
        match scene.dice.below(100) {
            0 => self.leave(scene),
            1..26 => {
                for _ in 0..1 + scene.dice.below(3) {
                    self.send_one(scene);
                }
            }
            26..58 => {
                for _ in 0..1 + scene.dice.below(4) {
                    self.acknowledge(scene);
                }
            }
            58..62 => self.poison(scene),
            62..74 => self.consume(scene),
            74..78 => self.unconsume(scene),
            78..84 => self.pull(scene),
            _ => self.transact(scene),
        }
    }

    fn send_one(&mut self, scene: &mut Scene<'_>) {
        // One that may have to send again waits for each answer, as synchronous senders do.
        let most = if self.survives { 1 } else { SENDING_MAX };
        let Some(sender) = self.sender.filter(|_| self.sending.len() < most) else {
            return;
        };
        let target = match scene.dice.below(9) {
            0 => Target::News,
            1 => Target::Both(Queue::Orders, Queue::Invoices),
            2 => Target::Queue(Queue::Jobs),
            3 | 4 => Target::Queue(Queue::Parcels),
            5 => Target::Queue(Queue::Invoices),
            _ => Target::Queue(Queue::Orders),
        };
        let number = scene.judge.number();
        for queue in target.queues() {
            scene.judge.sent((queue, number), sender, true);
        }
        self.sequences[0] += 1;
        let sequence = self.sequences[0];
        let again = false;
        let sending = Sending {
            number,
            target,
            again,
        };
        self.sending.insert(sequence, sending);
        let message = self.message(number, target, Producer::AtOnce, sequence);
        self.ask(Ask::Send(sequence), scene, |base| {
            Command::Message(Message { base, ..message })
        });
    }

    /// What was not answered is sent again over a new connection, in its order.
    pub fn send_again(&mut self, scene: &mut Scene<'_>) {
        for (sequence, sent) in self.sending.clone() {
            scene.counts.note("OpenWire sent again");
            let message = self.message(sent.number, sent.target, Producer::AtOnce, sequence);
            self.ask(Ask::Send(sequence), scene, |base| {
                Command::Message(Message { base, ..message })
            });
        }
    }

    pub fn message(
        &self,
        number: u64,
        target: Target,
        producer: Producer,
        sequence: i64,
    ) -> Message<'static> {
        let destination = match target {
            Target::Queue(queue) => Destination::queue(queue.name()),
            Target::Both(one, other) => {
                Destination::queue(format!("{},queue://{}", one.name(), other.name()))
            }
            Target::News => Destination::topic(NEWS),
            Target::Ticks => unreachable!("JMS knows no topics with partitions"),
        };
        let value = match producer {
            Producer::AtOnce => 1,
            Producer::Transacted => 2,
        };
        let producer = ProducerId {
            connection_id: self.id.as_str().into(),
            value,
            session_id: 1,
        };
        // As text to others, or as bytes.
        let text = message::body(number);
        let (kind, content) = match number % 2 {
            0 => (MessageKind::Text, body::encode_text(&text)),
            _ => (MessageKind::Bytes, text.into_bytes()),
        };
        Message {
            kind,
            producer_id: Some(producer.clone()),
            destination: Some(destination),
            message_id: Some(MessageId {
                producer_id: Some(producer),
                producer_sequence_id: sequence,
                ..MessageId::default()
            }),
            persistent: true,
            priority: 4,
            timestamp: 1,
            content: Some(content.into()),
            ..Message::default()
        }
    }

    fn consume(&mut self, scene: &mut Scene<'_>) {
        if self.consumers.len() >= CONSUMERS_MAX {
            return;
        }
        let Some(queue) = scene.pick(&QUEUES) else {
            return;
        };
        let mut known = self.consumers.values();
        let is_free = known.all(|known| known.queue != Queue::Forecasts);
        let subscribes = self.id == SUBSCRIBER && is_free && scene.once_in(2);
        let queue = if subscribes { Queue::Forecasts } else { queue };
        let modes = [Mode::Ranges, Mode::Single, Mode::Transacted];
        let Some(mode) = scene.pick(&modes) else {
            return;
        };
        let prefetch = match scene.dice.below(6) {
            0 => COLLECTED_MAX,
            1 if queue != Queue::Forecasts => 0,
            _ => 1 + scene.dice.below(12) as usize,
        };
        self.attach(queue, mode, prefetch, scene);
    }

    fn attach(&mut self, queue: Queue, mode: Mode, prefetch: usize, scene: &mut Scene<'_>) {
        self.next_consumer += 1;
        let value = self.next_consumer;
        let consumer = Consumer {
            queue,
            receiver: scene.judge.receiver(),
            mode,
            prefetch,
            pulls: 0,
            given: std::collections::VecDeque::new(),
            phase: ConsumerPhase::Opening,
        };
        self.consumers.insert(value, consumer);
        let subscription = (queue == Queue::Forecasts).then(|| SUBSCRIPTION.into());
        let info = ConsumerInfo {
            consumer_id: Some(self.consumer_id(value)),
            destination: Some(source(queue)),
            prefetch_size: prefetch as i32,
            subscription_name: subscription,
            ..ConsumerInfo::default()
        };
        self.ask(Ask::Consume(value), scene, |base| {
            Command::ConsumerInfo(ConsumerInfo { base, ..info })
        });
    }

    /// Makes the durable subscription.
    pub fn subscribe(&mut self, scene: &mut Scene<'_>) {
        self.attach(Queue::Forecasts, Mode::Single, 1, scene);
    }

    /// Asks for a message on behalf of a consumer that gets none without being asked.
    fn pull(&mut self, scene: &mut Scene<'_>) {
        let pulls = |known: &Consumer| known.prefetch == 0 && known.phase == ConsumerPhase::Open;
        let all = self.consumers.iter().filter(|(_, known)| pulls(known));
        let all: Vec<i64> = all.map(|(value, _)| *value).collect();
        let Some(value) = scene.pick(&all) else {
            return;
        };
        for _ in 0..1 + scene.dice.below(3) {
            let consumer = self.consumers.get_mut(&value).expect("it is open");
            consumer.pulls += 1;
            let destination = Some(source(consumer.queue));
            let wait = scene.dice.below(2_000) as i64;
            let timeout = if scene.once_in(2) { AT_ONCE } else { 1 + wait };
            let consumer_id = Some(self.consumer_id(value));
            self.tell(scene, |base| {
                Command::MessagePull(MessagePull {
                    base,
                    consumer_id,
                    destination,
                    timeout,
                    ..MessagePull::default()
                })
            });
        }
    }

    fn unconsume(&mut self, scene: &mut Scene<'_>) {
        let is_free = |consumer: &Consumer| {
            consumer.phase == ConsumerPhase::Open
                && consumer.given.iter().all(|given| !given.enlisted)
        };
        let free = self
            .consumers
            .iter()
            .filter(|(_, consumer)| is_free(consumer));
        let free: Vec<i64> = free.map(|(value, _)| *value).collect();
        let Some(value) = scene.pick(&free) else {
            return;
        };
        let consumer = self.consumers.get_mut(&value).expect("it is open");
        consumer.phase = ConsumerPhase::Closing;
        consumer.pulls = 0;
        // What of it the application has seen.
        let seen = scene.dice.below(consumer.given.len() as u64 + 1) as usize;
        let is_unknown = seen == consumer.given.len() && scene.dice.below(2) == 0;
        let last = match seen {
            _ if is_unknown => UNKNOWN,
            0 => 0,
            some => consumer.given[some - 1].sequence,
        };
        for (place, given) in std::mem::take(&mut consumer.given).into_iter().enumerate() {
            match place < seen {
                true => scene.judge.released(given.got.key),
                false => scene.judge.released_unseen(given.got),
            }
        }
        scene.judge.leaving(consumer.receiver, &[consumer.queue]);
        let object_id = Some(self.consumer_id(value).into());
        self.ask(Ask::Unconsume(value), scene, |base| {
            Command::RemoveInfo(RemoveInfo {
                base,
                object_id,
                last_delivered_sequence_id: last,
            })
        });
    }

    /// The subscriber alone has what he has subscribed to.
    pub fn collect(&mut self, scene: &mut Scene<'_>) {
        let queues = match self.id == SUBSCRIBER {
            true => &[Queue::Forecasts][..],
            false => &QUEUES,
        };
        for queue in queues.iter().copied() {
            self.attach(queue, Mode::Single, COLLECTED_MAX, scene);
        }
    }

    pub fn leave(&mut self, scene: &mut Scene<'_>) {
        self.phase = Phase::Leaving;
        for consumer in self.consumers.values_mut() {
            consumer.phase = ConsumerPhase::Closing;
            consumer.pulls = 0;
            for given in std::mem::take(&mut consumer.given) {
                scene.judge.released(given.got.key);
            }
            scene.judge.leaving(consumer.receiver, &[consumer.queue]);
        }
        let object_id = Some(self.connection_id().into());
        self.ask(Ask::Leave, scene, |base| {
            Command::RemoveInfo(RemoveInfo {
                base,
                object_id,
                last_delivered_sequence_id: UNKNOWN,
            })
        });
    }
}

/// Whence a consumer takes.
pub(super) fn source(queue: Queue) -> Destination {
    match queue {
        Queue::Forecasts => Destination::topic("news.>"),
        Queue::Orders
        | Queue::Invoices
        | Queue::Notes
        | Queue::Jobs
        | Queue::Dead
        | Queue::Parcels
        | Queue::DeadLetters => Destination::queue(queue.name()),
    }
}
