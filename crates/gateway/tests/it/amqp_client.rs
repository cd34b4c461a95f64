//! A client of AMQP for transcripts: what it says are methods, what it hears are lines.

use amqp::{
    BasicProperties, ChannelNumber, Content, DeliveryTag, Event, FrameMax, Limits, Machine, Method,
    Step, Table, TableRef, encode, tune::Tuning,
};
use broker::id::SessionId;
use gateway::amqp::{AmqpDoor, Settings};
use gateway::door::{Door, Wire};

use crate::world::World;

pub struct Client {
    pub session: SessionId,
    machine: Machine,
    unread: Vec<u8>,
}

/// A world with this door only.
pub fn world() -> World {
    World::new(doors())
}

pub fn doors() -> Vec<(Wire, Box<dyn Door>)> {
    vec![(Wire::Amqp, Box::new(AmqpDoor::new(Settings::default())))]
}

impl Client {
    /// A connection on which nothing has been said.
    pub fn connect(world: &mut World) -> Client {
        let session = world.connect(Wire::Amqp);
        let limits = Limits {
            message_size_max: 1 << 30,
            lookahead_max: 1 << 30,
        };
        Client {
            session,
            machine: Machine::client(limits),
            unread: Vec::new(),
        }
    }

    /// A connection behind its handshake, with channel 1 open.
    pub fn open(world: &mut World) -> Client {
        let mut client = Client::connect(world);
        world.send(client.session, b"AMQP\x00\x00\x09\x01");
        client.shake_hands(world, &[]);
        let heard = client.say(world, 1, &[Method::ChannelOpen]);
        assert_eq!(heard, ["1 channel.open-ok"]);
        client
    }

    /// From start-ok to open-ok, with these capabilities.
    pub fn shake_hands(&mut self, world: &mut World, capabilities: &[&'static str]) {
        let capabilities = capabilities
            .iter()
            .fold(Table::new(), |table, name| table.with(name, true));
        let properties = Table::new().with("capabilities", capabilities).to_bytes();
        let tuning = Tuning {
            channel_max: 2047,
            frame_max: FrameMax::DEFAULT,
            heartbeat_s: 60,
        };
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::parse(&properties).unwrap(),
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
        };
        let heard = self.say(world, 0, &[start_ok]);
        assert_eq!(
            heard,
            ["0 connection.start", "0 connection.tune 2047 131072 60"]
        );
        self.machine.tuned(&tuning);
        self.machine.opened();
        let heard = self.say(
            world,
            0,
            &[tuning.tune_ok(), Method::ConnectionOpen { vhost: "/" }],
        );
        assert_eq!(heard, ["0 connection.open-ok"]);
    }

    /// Says methods on a channel, all at once, and hears what comes.
    pub fn say(&mut self, world: &mut World, channel: u16, methods: &[Method<'_>]) -> Vec<String> {
        let mut bytes = Vec::new();
        for method in methods {
            encode::method(&mut bytes, ChannelNumber(channel), method);
        }
        world.send(self.session, &bytes);
        self.hear(world)
    }

    /// Publishes on channel 1.
    pub fn publish(
        &mut self,
        world: &mut World,
        exchange: &str,
        routing_key: &str,
        properties: &BasicProperties<'_>,
        body: &[u8],
    ) -> Vec<String> {
        let method = Method::BasicPublish {
            exchange,
            routing_key,
            mandatory: true,
            immediate: false,
        };
        let mut bytes = Vec::new();
        let properties = properties.to_bytes().unwrap();
        let frame_max = self.machine.frame_max();
        encode::content(
            &mut bytes,
            ChannelNumber(1),
            &method,
            &properties,
            body,
            frame_max,
        );
        world.send(self.session, &bytes);
        self.hear(world)
    }

    /// Everything that has come since.
    pub fn hear(&mut self, world: &mut World) -> Vec<String> {
        self.unread.extend(world.take(self.session));
        let mut lines = Vec::new();
        loop {
            match self.machine.step(&self.unread) {
                Step::Event { consumed, event } => {
                    lines.push(line(&event));
                    self.unread.drain(..consumed);
                }
                Step::NeedMore { consumed, .. } => {
                    self.unread.drain(..consumed);
                    return lines;
                }
            }
        }
    }
}

/// A line per event: channel, name, and what a reader wants to know.
fn line(event: &Event<'_>) -> String {
    match event {
        Event::ProtocolHeader(header) => format!("{header:?}"),
        Event::Heartbeat => "heartbeat".into(),
        Event::Method { channel, method } => {
            format!("{} {}{}", channel.0, method.name(), fields(method))
        }
        Event::Content(Content {
            channel,
            method,
            properties,
            body,
        }) => {
            let shown = properties.to_properties();
            let mut extra = String::new();
            if let Some(headers) = shown.headers {
                extra = format!(" {headers:?}");
            }
            format!(
                "{} {}{}{extra}: {}",
                channel.0,
                method.name(),
                fields(method),
                String::from_utf8_lossy(body)
            )
        }
        Event::MessageTooLarge(refused) => refused.explanation(),
        Event::Malformed(violation) => violation.text(),
    }
}

fn fields(method: &Method<'_>) -> String {
    let tag = |tag: &DeliveryTag| tag.0;
    let again = |redelivered: &bool| if *redelivered { "again" } else { "new" };
    match method {
        Method::ConnectionTune {
            channel_max,
            frame_max,
            heartbeat,
        } => {
            format!(" {channel_max} {frame_max} {heartbeat}")
        }
        Method::ConnectionClose {
            reply_code,
            reply_text,
            class_id,
            method_id,
        }
        | Method::ChannelClose {
            reply_code,
            reply_text,
            class_id,
            method_id,
        } => {
            format!(" {reply_code} {reply_text} ({class_id}/{method_id})")
        }
        Method::ConnectionBlocked { reason } => format!(" {reason}"),
        Method::QueueDeclareOk {
            queue,
            message_count,
            consumer_count,
        } => {
            format!(" {queue} {message_count} {consumer_count}")
        }
        Method::QueueDeleteOk { message_count } | Method::QueuePurgeOk { message_count } => {
            format!(" {message_count}")
        }
        Method::BasicConsumeOk { consumer_tag }
        | Method::BasicCancelOk { consumer_tag }
        | Method::BasicCancel { consumer_tag, .. } => format!(" {consumer_tag}"),
        Method::BasicDeliver {
            consumer_tag,
            delivery_tag,
            redelivered,
            exchange,
            routing_key,
        } => {
            let (number, state) = (tag(delivery_tag), again(redelivered));
            format!(" {consumer_tag} {number} {state} {exchange:?} {routing_key}")
        }
        Method::BasicGetOk {
            delivery_tag,
            redelivered,
            exchange,
            routing_key,
            message_count,
        } => {
            let (number, state) = (tag(delivery_tag), again(redelivered));
            format!(" {number} {state} {exchange:?} {routing_key} left={message_count}")
        }
        Method::BasicReturn {
            reply_code,
            reply_text,
            exchange,
            routing_key,
        } => {
            format!(" {reply_code} {reply_text} {exchange:?} {routing_key}")
        }
        Method::BasicAck {
            delivery_tag,
            multiple: false,
        } => format!(" {}", tag(delivery_tag)),
        Method::BasicAck {
            delivery_tag,
            multiple: true,
        } => format!(" <={}", tag(delivery_tag)),
        Method::BasicNack { delivery_tag, .. } => format!(" {}", tag(delivery_tag)),
        _ => String::new(),
    }
}

pub fn declare(queue: &str) -> Method<'_> {
    declare_with(queue, TableRef::EMPTY)
}

/// A durable queue with arguments.
pub fn declare_with<'a>(queue: &'a str, arguments: TableRef<'a>) -> Method<'a> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments,
    }
}

pub fn exclusive(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: false,
        exclusive: true,
        auto_delete: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn passive(queue: &str) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn exchange<'a>(exchange: &'a str, kind: &'a str) -> Method<'a> {
    Method::ExchangeDeclare {
        exchange,
        kind,
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn bind<'a>(queue: &'a str, exchange: &'a str, routing_key: &'a str) -> Method<'a> {
    Method::QueueBind {
        queue,
        exchange,
        routing_key,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn consume<'a>(queue: &'a str, consumer_tag: &'a str) -> Method<'a> {
    Method::BasicConsume {
        queue,
        consumer_tag,
        no_local: false,
        no_ack: false,
        exclusive: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}

pub fn get(queue: &str) -> Method<'_> {
    Method::BasicGet {
        queue,
        no_ack: false,
    }
}

pub fn ack(tag: u64) -> Method<'static> {
    Method::BasicAck {
        delivery_tag: DeliveryTag(tag),
        multiple: false,
    }
}

pub fn qos(prefetch_count: u16, global: bool) -> Method<'static> {
    Method::BasicQos {
        prefetch_size: 0,
        prefetch_count,
        global,
    }
}

pub const PLAIN: BasicProperties<'static> = BasicProperties {
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

pub const PERSISTENT: BasicProperties<'static> = BasicProperties {
    delivery_mode: Some(2),
    ..PLAIN
};
