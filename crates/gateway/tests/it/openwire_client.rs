//! A client of OpenWire for transcripts: what it says are commands, what it hears are lines.

use broker::id::SessionId;
use gateway::door::{Door, Wire};
use gateway::openwire::{OpenwireDoor, Settings};
use openwire::*;

use crate::world::World;

pub struct Client {
    pub session: SessionId,
    pub id: String,
    decoder: Decoder,
    encoder: Encoder,
    unread: Vec<u8>,
    next_command: i32,
    next_message: i64,
    /// Everything dispatched so far.
    pub given: Vec<Given>,
}

/// A message that was dispatched.
#[derive(Clone, Debug)]
pub struct Given {
    pub consumer: ConsumerId,
    pub destination: Destination,
    pub message: Message<'static>,
}

pub fn settings() -> Settings {
    Settings {
        broker_name: "localhost".to_owned(),
        broker_id: "ID:troika-1".to_owned(),
        broker_url: "tcp://localhost:61616".to_owned(),
        frame_bytes_max: Settings::FRAME_BYTES_MAX,
        provider_version: "5.18.3".to_owned(),
    }
}

pub fn doors() -> Vec<(Wire, Box<dyn Door>)> {
    vec![(Wire::Openwire, Box::new(OpenwireDoor::new(settings())))]
}

pub fn world() -> World {
    World::new(doors())
}

pub fn queue(name: &str) -> Destination {
    Destination::queue(name)
}

pub fn topic(name: &str) -> Destination {
    Destination::topic(name)
}

impl Client {
    /// A socket, negotiated with these options.
    pub fn negotiate(world: &mut World, id: &str, options: &WireFormatOptions) -> Client {
        let session = world.connect(Wire::Openwire);
        let mut client = Client {
            session,
            id: id.to_owned(),
            decoder: Decoder::new(Limits::default()),
            encoder: Encoder::new(),
            unread: Vec::new(),
            next_command: 0,
            next_message: 0,
            given: Vec::new(),
        };
        client.decoder.allow_frames_of(1 << 24);
        assert_eq!(client.hear(world), ["WireFormatInfo 12"]);
        client.tell(world, &Command::WireFormatInfo(options.to_info()));
        let ours = WireFormatOptions::broker("5.18.3", "test", 104_857_600);
        let agreed = negotiate(&ours, options);
        client.decoder.switch(&agreed);
        client.encoder.switch(&agreed);
        assert_eq!(client.hear(world), ["BrokerInfo localhost"]);
        client
    }

    /// Plain options: loose, no cache.
    pub fn plain() -> WireFormatOptions {
        WireFormatOptions {
            tight_encoding_enabled: false,
            cache_enabled: false,
            stack_trace_enabled: false,
            ..WireFormatOptions::broker("5.18.3", "test", 104_857_600)
        }
    }

    /// A connection with a session 1 and a producer 1 in it, client id as the connection's.
    pub fn open(world: &mut World, id: &str) -> Client {
        let mut client = Client::negotiate(world, id, &Client::plain());
        assert_eq!(client.connect(world), ["Response 1"]);
        client.say(world, [client.session_info(1)]);
        assert_eq!(client.hear(world), Vec::<String>::new());
        client
    }

    pub fn connect(&mut self, world: &mut World) -> Vec<String> {
        let info = self.connection_info();
        self.ask(world, Command::ConnectionInfo(info))
    }

    pub fn connection_info(&self) -> ConnectionInfo {
        ConnectionInfo {
            connection_id: Some(ConnectionId {
                value: self.id.as_str().into(),
            }),
            client_id: Some(format!("client-{}", self.id).into()),
            ..ConnectionInfo::default()
        }
    }

    pub fn session_info(&self, value: i64) -> Command<'static> {
        let connection_id = self.id.as_str().into();
        let session_id = openwire::SessionId {
            connection_id,
            value,
        };
        Command::SessionInfo(SessionInfo {
            session_id: Some(session_id),
            ..SessionInfo::default()
        })
    }

    pub fn consumer_id(&self, value: i64) -> ConsumerId {
        ConsumerId {
            connection_id: self.id.as_str().into(),
            session_id: 1,
            value,
        }
    }

    pub fn producer_id(&self) -> ProducerId {
        ProducerId {
            connection_id: self.id.as_str().into(),
            value: 1,
            session_id: 1,
        }
    }

    pub fn consumer(&self, value: i64, destination: Destination, prefetch: i32) -> ConsumerInfo {
        ConsumerInfo {
            consumer_id: Some(self.consumer_id(value)),
            destination: Some(destination),
            prefetch_size: prefetch,
            ..ConsumerInfo::default()
        }
    }

    /// Opens a consumer and returns what is heard.
    pub fn consume(
        &mut self,
        world: &mut World,
        value: i64,
        to: Destination,
        prefetch: i32,
    ) -> Vec<String> {
        let info = self.consumer(value, to, prefetch);
        self.ask(world, Command::ConsumerInfo(info))
    }

    pub fn text(&mut self, destination: Destination, text: &str) -> Message<'static> {
        self.next_message += 1;
        let producer = self.producer_id();
        Message {
            kind: MessageKind::Text,
            producer_id: Some(producer.clone()),
            destination: Some(destination),
            message_id: Some(MessageId {
                producer_id: Some(producer),
                producer_sequence_id: self.next_message,
                ..MessageId::default()
            }),
            persistent: true,
            priority: 4,
            timestamp: 1,
            content: Some(body::encode_text(text).into()),
            ..Message::default()
        }
    }

    /// Sends a text with a response and returns what is heard.
    pub fn send(&mut self, world: &mut World, destination: Destination, text: &str) -> Vec<String> {
        let message = self.text(destination, text);
        self.ask(world, Command::Message(message))
    }

    /// An acknowledgement of what was given, by its places in `given`.
    pub fn ack(&self, kind: AckType, first: usize, last: usize) -> MessageAck {
        let (from, to) = (&self.given[first], &self.given[last]);
        MessageAck {
            destination: Some(to.destination.clone()),
            consumer_id: Some(to.consumer.clone()),
            ack_type: kind.to_wire(),
            first_message_id: from.message.message_id.clone(),
            last_message_id: to.message.message_id.clone(),
            message_count: (last - first + 1) as i32,
            ..MessageAck::default()
        }
    }

    pub fn transaction(&self, value: i64) -> Option<TransactionId> {
        let connection_id = Some(ConnectionId {
            value: self.id.as_str().into(),
        });
        Some(TransactionId::Local(LocalTransactionId {
            value,
            connection_id,
        }))
    }

    pub fn step(&self, value: i64, step: TransactionStep) -> Command<'static> {
        Command::TransactionInfo(TransactionInfo {
            connection_id: Some(ConnectionId {
                value: self.id.as_str().into(),
            }),
            transaction_id: self.transaction(value),
            step: step.to_wire(),
            ..TransactionInfo::default()
        })
    }

    pub fn remove(&self, object: impl Into<Identity>, last_delivered: i64) -> Command<'static> {
        Command::RemoveInfo(RemoveInfo {
            object_id: Some(object.into()),
            last_delivered_sequence_id: last_delivered,
            ..RemoveInfo::default()
        })
    }

    pub fn temporary(&self, destination: Destination, operation: i8) -> Command<'static> {
        Command::DestinationInfo(DestinationInfo {
            connection_id: Some(ConnectionId {
                value: self.id.as_str().into(),
            }),
            destination: Some(destination),
            operation_type: operation,
            ..DestinationInfo::default()
        })
    }

    /// Says a command that wants a response.
    pub fn ask(&mut self, world: &mut World, command: Command<'_>) -> Vec<String> {
        self.put(world, command, true);
        self.hear(world)
    }

    /// Says commands that want none.
    pub fn say<'a>(&mut self, world: &mut World, commands: impl IntoIterator<Item = Command<'a>>) {
        for command in commands {
            self.put(world, command, false);
        }
    }

    fn put(&mut self, world: &mut World, mut command: Command<'_>, response_required: bool) {
        self.next_command += 1;
        let base = BaseCommand {
            command_id: self.next_command,
            response_required,
        };
        match &mut command {
            Command::Message(c) => c.base = base,
            Command::MessageAck(c) => c.base = base,
            Command::MessagePull(c) => c.base = base,
            Command::TransactionInfo(c) => c.base = base,
            Command::ProducerInfo(c) => c.base = base,
            Command::ConsumerInfo(c) => c.base = base,
            Command::RemoveInfo(c) => c.base = base,
            Command::SessionInfo(c) => c.base = base,
            Command::ConnectionInfo(c) => c.base = base,
            Command::DestinationInfo(c) => c.base = base,
            Command::RemoveSubscriptionInfo(c) => c.base = base,
            Command::ConsumerControl(c) => c.base = base,
            Command::ConnectionControl(c) => c.base = base,
            Command::KeepAliveInfo(c) => c.base = base,
            Command::ShutdownInfo(c) => c.base = base,
            other => panic!("no client says {other:?}"),
        }
        self.tell(world, &command);
    }

    /// Bytes of one frame, as it is.
    pub fn tell(&mut self, world: &mut World, command: &Command<'_>) {
        let mut bytes = Vec::new();
        self.encoder.encode(command, &mut bytes).expect("fits");
        world.send(self.session, &bytes);
    }

    /// Frames that come together, so that one pass carries them out.
    pub fn tell_together(&mut self, world: &mut World, commands: &[Command<'_>]) {
        let mut bytes = Vec::new();
        for command in commands {
            self.encoder.encode(command, &mut bytes).expect("fits");
        }
        world.send(self.session, &bytes);
    }

    /// What was heard since the last time.
    pub fn hear(&mut self, world: &mut World) -> Vec<String> {
        self.unread.extend(world.take(self.session));
        let mut lines = Vec::new();
        let mut at = 0;
        while let Some(received) = self.decoder.feed(&self.unread[at..]).expect("well-formed") {
            at += received.consumed;
            let Some(command) = received.command else {
                continue;
            };
            lines.push(line(&command));
            if let Command::MessageDispatch(dispatch) = command
                && let Some(message) = dispatch.message
            {
                let message = owned(&message);
                self.given.push(Given {
                    consumer: dispatch.consumer_id.expect("always set"),
                    destination: dispatch.destination.expect("set with a message"),
                    message,
                });
            }
        }
        self.unread.drain(..at);
        lines
    }
}

fn owned(message: &Message<'_>) -> Message<'static> {
    let mut bytes = Vec::new();
    let plain = Message {
        data_structure: None,
        ..message.clone()
    };
    encode_canonical(&plain, &mut bytes).expect("fits");
    let bytes: &'static [u8] = bytes.leak();
    decode_canonical(bytes).expect("just encoded")
}

/// One line for each command of a broker.
pub fn line(command: &Command<'_>) -> String {
    let thrown = |exception: &Option<Box<Throwable>>| {
        let exception = exception.as_ref().expect("always set");
        let text = |text: &Option<JavaString>| text.as_ref().map(ToString::to_string);
        let class = text(&exception.class).unwrap_or_default();
        let class = class.rsplit('.').next().unwrap_or_default().to_owned();
        format!("{class}: {}", text(&exception.message).unwrap_or_default())
    };
    match command {
        Command::WireFormatInfo(info) => format!("WireFormatInfo {}", info.version),
        Command::BrokerInfo(info) => {
            format!(
                "BrokerInfo {}",
                info.broker_name.clone().unwrap_or_default()
            )
        }
        Command::Response(response) => format!("Response {}", response.correlation_id),
        Command::ExceptionResponse(response) => {
            format!(
                "ExceptionResponse {} {}",
                response.correlation_id,
                thrown(&response.exception)
            )
        }
        Command::ConnectionError(error) => format!("ConnectionError {}", thrown(&error.exception)),
        Command::ConnectionControl(_) => "ConnectionControl".to_owned(),
        Command::KeepAliveInfo(_) => "KeepAliveInfo".to_owned(),
        Command::ShutdownInfo(_) => "ShutdownInfo".to_owned(),
        Command::ProducerAck(ack) => format!("ProducerAck {}", ack.size),
        Command::DataArrayResponse(response) => {
            let data = response.data.as_ref().map_or(-1, |data| data.len() as i64);
            format!("DataArrayResponse {} {data}", response.correlation_id)
        }
        Command::MessageDispatch(dispatch) => {
            let consumer = dispatch.consumer_id.as_ref().map_or(0, |id| id.value);
            let Some(message) = &dispatch.message else {
                return format!("Dispatch {consumer} nothing");
            };
            let destination = dispatch.destination.as_ref().expect("set with a message");
            let about = match message.data_structure.as_deref() {
                Some(AnyStructure::Command(Command::DestinationInfo(info))) => {
                    let named = info.destination.as_ref().expect("set").to_string();
                    format!(
                        "{} {named}",
                        ["add", "remove"][info.operation_type as usize]
                    )
                }
                Some(AnyStructure::Command(Command::ConsumerInfo(_))) => "consumer".to_owned(),
                Some(AnyStructure::Command(Command::ProducerInfo(_))) => "producer".to_owned(),
                Some(AnyStructure::Command(Command::ConnectionInfo(_))) => "connection".to_owned(),
                Some(AnyStructure::Command(Command::RemoveInfo(_))) => "gone".to_owned(),
                Some(other) => format!("{other:?}"),
                None => match (
                    message.kind,
                    message.plain_content(1 << 20).expect("inflates"),
                ) {
                    (MessageKind::Text, Some(content)) => {
                        body::decode_text(&content).expect("a text").to_string()
                    }
                    (kind, content) => format!("{kind:?} {content:?}"),
                },
            };
            let again = match dispatch.redelivery_counter {
                0 => String::new(),
                times => format!(" again={times}"),
            };
            format!("Dispatch {consumer} {destination} {about}{again}")
        }
        other => format!("{other:?}"),
    }
}
