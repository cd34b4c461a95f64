//! What a client of AMQP says.

use amqp::{BasicProperties, ChannelNumber, Method, Table, TableRef, encode};

use super::amqp::{Ask, Asked, Channel, ChannelPhase, Confirms, Consumer, Phase, Talk};
use super::client::Scene;
use super::message::{NEWS, QUEUES, Queue, TICKS, Target, body};

const CHANNELS_MAX: u16 = 3;
const CONSUMERS_MAX: usize = 3;
/// Publishes that are not answered, and unsettled deliveries of a client that only fetches.
const WAITING_MAX: usize = 30;

const PLAIN: BasicProperties<'static> = BasicProperties {
    content_type: None,
    content_encoding: None,
    headers: None,
    delivery_mode: None,
    priority: None,
    correlation_id: None,
    reply_to: None,
    expiration: None,
    message_id: None,
    timestamp: None,
    kind: None,
    user_id: None,
    app_id: None,
    cluster_id: None,
};

impl Talk {
    pub fn say(&self, channel: u16, method: &Method<'_>, scene: &mut Scene<'_>) {
        encode::method(scene.out, ChannelNumber(channel), method);
    }

    pub fn open_channel(&mut self, number: u16, scene: &mut Scene<'_>) {
        let mut channel = Channel::new(scene);
        channel.ask(Ask::Open);
        self.channels.insert(number, channel);
        self.say(number, &Method::ChannelOpen, scene);
        // Most have a limit; without one somebody takes everything.
        if number > 1 || scene.once_in(2) {
            self.limit(number, scene);
        }
    }

    /// Makes the queues of the story, and binds one of them.
    pub fn found(&mut self, scene: &mut Scene<'_>) {
        let arguments = Table::new()
            .with("x-dead-letter-exchange", "")
            .with("x-dead-letter-routing-key", Queue::Dead.name())
            .to_bytes();
        let dying = TableRef::parse(&arguments).expect("just written");
        for (queue, arguments) in [
            (Queue::Orders, TableRef::EMPTY),
            (Queue::Invoices, TableRef::EMPTY),
            (Queue::Notes, TableRef::EMPTY),
            (Queue::Dead, TableRef::EMPTY),
            (Queue::Jobs, dying),
        ] {
            self.channel(1).ask(Ask::Declare);
            let declare = Method::QueueDeclare {
                queue: queue.name(),
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                nowait: false,
                arguments,
            };
            self.say(1, &declare, scene);
        }
        for (exchange, routing_key) in [("amq.topic", "news.#"), (TICKS, "#")] {
            self.channel(1).ask(Ask::Bind);
            let bind = Method::QueueBind {
                queue: Queue::Notes.name(),
                exchange,
                routing_key,
                nowait: false,
                arguments: TableRef::EMPTY,
            };
            self.say(1, &bind, scene);
        }
    }

    pub fn act(&mut self, scene: &mut Scene<'_>) {
        if scene.once_in(90) {
            return self.say_goodbye(scene);
        }
        let open = |(number, channel): (&u16, &Channel)| {
            (channel.phase == ChannelPhase::Open).then_some(*number)
        };
        let numbers: Vec<u16> = self.channels.iter().filter_map(open).collect();
        let Some(number) = scene.pick(&numbers) else {
            let free = (1..=CHANNELS_MAX).find(|number| !self.channels.contains_key(number));
            if let Some(number) = free {
                self.open_channel(number, scene);
            }
            return;
        };
        match scene.dice.below(100) {
            0..36 => {
                for _ in 0..1 + scene.dice.below(4) {
                    self.publish(number, scene);
                }
            }
            36..66 => {
                for _ in 0..1 + scene.dice.below(12) {
                    self.settle(number, scene);
                }
            }
            66..74 => self.consume(number, scene),
            74..82 => self.get(number, scene),
            82..85 => self.cancel(number, scene),
            85..88 => self.limit(number, scene),
            88..90 => self.recover(number, scene),
            90..93 => self.count(number, scene),
            93..96 => {
                // Only what is answered for is gone for good.
                for _ in 0..scene.dice.below(8) {
                    self.settle(number, scene);
                }
                self.close_channel(number, scene);
            }
            _ => {
                let number = 1 + scene.dice.below(u64::from(CHANNELS_MAX)) as u16;
                if !self.channels.contains_key(&number) {
                    self.open_channel(number, scene);
                }
            }
        }
    }

    pub fn channel(&mut self, number: u16) -> &mut Channel {
        self.channels.get_mut(&number).expect("it is open")
    }

    fn publish(&mut self, number: u16, scene: &mut Scene<'_>) {
        let target = match scene.dice.below(10) {
            0 | 1 => Target::News,
            2 => Target::Ticks,
            3 | 4 => Target::Queue(Queue::Jobs),
            5 => Target::Queue(Queue::Parcels),
            6 => Target::Queue(Queue::Invoices),
            _ => Target::Queue(Queue::Orders),
        };
        let mut select = scene.once_in(3);
        let channel = self.channel(number);
        if let Some(confirms) = &channel.confirms {
            select = false;
            if confirms.waiting.len() >= WAITING_MAX {
                return;
            }
        }
        if select {
            channel.confirms = Some(Confirms::default());
            channel.ask(Ask::Select);
            self.say(number, &Method::ConfirmSelect { nowait: false }, scene);
        }
        let persistent = target == Target::Ticks || !scene.once_in(6);
        let message = scene.judge.number();
        let sender = self.sender.expect("it is connected");
        for queue in target.queues() {
            scene.judge.sent((queue, message), sender, persistent);
        }
        if target == Target::Ticks {
            scene.partitions.sent(message, sender);
        }
        if let Some(confirms) = &mut self.channel(number).confirms {
            confirms.last += 1;
            confirms.waiting.insert(confirms.last, (message, target));
        }
        let (exchange, routing_key) = match target {
            Target::Queue(queue) => ("", queue.name()),
            Target::News => ("amq.topic", NEWS),
            Target::Ticks => (TICKS, "tag"),
            Target::Both(..) => unreachable!("AMQP has no such thing"),
        };
        let method = Method::BasicPublish {
            exchange,
            routing_key,
            mandatory: true,
            immediate: false,
        };
        let properties = BasicProperties {
            delivery_mode: persistent.then_some(2),
            // As text to others, or as bytes.
            content_type: message.is_multiple_of(2).then_some(&b"text/plain"[..]),
            ..PLAIN
        };
        let properties = properties.to_bytes().expect("short");
        let (channel, body) = (ChannelNumber(number), body(message));
        let frame_max = self.tuning.frame_max;
        encode::content(
            scene.out,
            channel,
            &method,
            &properties,
            body.as_bytes(),
            frame_max,
        );
    }

    fn consume(&mut self, number: u16, scene: &mut Scene<'_>) {
        let Some(queue) = scene.pick(&QUEUES) else {
            return;
        };
        let receiver = scene.judge.receiver();
        let channel = self.channel(number);
        // Its limit is what holds when it is heard.
        let limits = |asked: &Asked| matches!(asked.what, Ask::Qos(_) | Ask::Window(_));
        let is_settled = !channel.asks.iter().any(limits);
        if channel.consumers.len() >= CONSUMERS_MAX || !is_settled {
            return;
        }
        channel.consumer_count += 1;
        let tag = format!("c{}", channel.consumer_count);
        let consumer = Consumer {
            queue,
            receiver,
            prefetch: channel.prefetch,
            held: 0,
        };
        channel.consumers.insert(tag.clone(), consumer);
        channel.queues.push(queue);
        channel.ask(Ask::Consume(tag.clone()));
        let method = Method::BasicConsume {
            queue: queue.name(),
            consumer_tag: &tag,
            no_local: false,
            no_ack: false,
            exclusive: false,
            nowait: false,
            arguments: TableRef::EMPTY,
        };
        self.say(number, &method, scene);
    }

    fn get(&mut self, number: u16, scene: &mut Scene<'_>) {
        let Some(queue) = scene.pick(&QUEUES) else {
            return;
        };
        let channel = self.channel(number);
        if channel.unsettled.len() >= WAITING_MAX {
            return;
        }
        channel.queues.push(queue);
        channel.ask(Ask::Get(queue));
        let method = Method::BasicGet {
            queue: queue.name(),
            no_ack: false,
        };
        self.say(number, &method, scene);
    }

    fn cancel(&mut self, number: u16, scene: &mut Scene<'_>) {
        let channel = self.channel(number);
        let is_asked = |tag: &String| {
            channel
                .asks
                .iter()
                .any(|a| a.what == Ask::Cancel(tag.clone()))
        };
        let tags: Vec<String> = channel
            .consumers
            .keys()
            .filter(|t| !is_asked(t))
            .cloned()
            .collect();
        let Some(tag) = scene.pick(&tags) else { return };
        let channel = self.channel(number);
        channel.ask(Ask::Cancel(tag.clone()));
        let consumer = &channel.consumers[&tag];
        scene.judge.leaving(consumer.receiver, &[consumer.queue]);
        let method = Method::BasicCancel {
            consumer_tag: &tag,
            nowait: false,
        };
        self.say(number, &method, scene);
    }

    fn limit(&mut self, number: u16, scene: &mut Scene<'_>) {
        let prefetch_count = scene.dice.below(12) as u16;
        let channel = self.channel(number);
        // What was given before a limit may exceed it.
        let mut asks = channel.asks.iter();
        let has_none = channel.consumers.is_empty() && asks.all(|a| a.what == Ask::Open);
        let global = has_none && scene.once_in(2);
        channel.ask(match global {
            true => Ask::Window(prefetch_count),
            false => Ask::Qos(prefetch_count),
        });
        let method = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count,
            global,
        };
        self.say(number, &method, scene);
    }

    fn count(&mut self, number: u16, scene: &mut Scene<'_>) {
        let Some(queue) = scene.pick(&QUEUES) else {
            return;
        };
        self.channel(number).ask(Ask::Count);
        self.say(number, &passive(queue), scene);
    }

    fn close_channel(&mut self, number: u16, scene: &mut Scene<'_>) {
        let channel = self.channel(number);
        channel.give_up(scene);
        channel.ask(Ask::Close);
        let close = Method::ChannelClose {
            reply_code: 200,
            reply_text: "",
            class_id: 0,
            method_id: 0,
        };
        self.say(number, &close, scene);
    }

    fn say_goodbye(&mut self, scene: &mut Scene<'_>) {
        let close = Method::ConnectionClose {
            reply_code: 200,
            reply_text: "",
            class_id: 0,
            method_id: 0,
        };
        for channel in self.channels.values_mut() {
            channel.give_up(scene);
        }
        self.phase = Phase::Leaving;
        self.say(0, &close, scene);
    }

    pub fn collect(&mut self, scene: &mut Scene<'_>) {
        let Some(channel) = self.channels.get_mut(&1) else {
            return;
        };
        for queue in QUEUES {
            channel.consumer_count += 1;
            let tag = format!("c{}", channel.consumer_count);
            let consumer = Consumer {
                queue,
                receiver: scene.judge.receiver(),
                prefetch: 0,
                held: 0,
            };
            channel.consumers.insert(tag.clone(), consumer);
            channel.queues.push(queue);
            channel.ask(Ask::Consume(tag.clone()));
            let method = Method::BasicConsume {
                queue: queue.name(),
                consumer_tag: &tag,
                no_local: false,
                no_ack: false,
                exclusive: false,
                nowait: false,
                arguments: TableRef::EMPTY,
            };
            encode::method(scene.out, ChannelNumber(1), &method);
        }
    }

    pub fn leave(&mut self, scene: &mut Scene<'_>) {
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for number in numbers {
            self.close_channel(number, scene);
        }
        // Close-ok of the channels comes first; the connection is just hung up.
    }
}

impl Channel {
    fn new(scene: &mut Scene<'_>) -> Channel {
        Channel {
            phase: ChannelPhase::Opening,
            holder: scene.judge.holder(),
            getter: scene.judge.receiver(),
            confirms: None,
            consumers: std::collections::BTreeMap::new(),
            unsettled: std::collections::BTreeMap::new(),
            last_tag: 0,
            settled: Vec::new(),
            asks: std::collections::VecDeque::new(),
            prefetch: 0,
            window: 0,
            queues: Vec::new(),
            consumer_count: 0,
        }
    }

    /// What it holds goes back, and what still comes is not looked at.
    fn give_up(&mut self, scene: &mut Scene<'_>) {
        self.phase = ChannelPhase::Closing;
        let tags: Vec<u64> = self.unsettled.keys().copied().collect();
        for tag in tags {
            let got = self.take(tag).expect("it is unsettled");
            scene.judge.released(got.key);
        }
        scene.judge.leaving(self.getter, &self.queues);
    }

    pub fn ask(&mut self, what: Ask) {
        let settled = self.settled.len();
        self.asks.push_back(Asked { what, settled });
    }
}

fn passive(queue: Queue) -> Method<'static> {
    Method::QueueDeclare {
        queue: queue.name(),
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}
