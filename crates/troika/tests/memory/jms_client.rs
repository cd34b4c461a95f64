//! A consumer as JMS makes it, with a selector.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openwire::{
    BaseCommand, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, Decoder,
    Destination, Encoder, Limits, SessionId, SessionInfo, WireFormatOptions,
};

const CONNECTION: &str = "ID:memory-1";

pub struct Consumer {
    stream: TcpStream,
    decoder: Decoder,
    unread: Vec<u8>,
}

impl Consumer {
    pub fn open(port: u16, queue: &str, selector: &str) -> Consumer {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut consumer = Consumer {
            stream,
            decoder: Decoder::new(Limits::default()),
            unread: Vec::new(),
        };
        let options = WireFormatOptions {
            tight_encoding_enabled: false,
            cache_enabled: false,
            ..WireFormatOptions::broker("5.18.3", "memory", 104_857_600)
        };
        let answered = |id| BaseCommand {
            command_id: id,
            response_required: true,
        };
        let mut encoder = Encoder::new();
        let mut bytes = Vec::new();
        let offer = Command::WireFormatInfo(options.to_info());
        encoder.encode(&offer, &mut bytes).unwrap();
        consumer.stream.write_all(&bytes).unwrap();
        let agreed = openwire::negotiate(
            &WireFormatOptions::broker("5.18.3", "memory", 104_857_600),
            &options,
        );
        encoder.switch(&agreed);
        consumer.until(|command| matches!(command, Command::WireFormatInfo(_)));
        consumer.decoder.switch(&agreed);
        consumer.decoder.allow_frames_of(1 << 24);
        let commands = [
            Command::ConnectionInfo(ConnectionInfo {
                base: answered(1),
                connection_id: Some(ConnectionId {
                    value: CONNECTION.into(),
                }),
                client_id: Some(CONNECTION.into()),
                ..ConnectionInfo::default()
            }),
            Command::SessionInfo(SessionInfo {
                base: answered(2),
                session_id: Some(SessionId {
                    connection_id: CONNECTION.into(),
                    value: 1,
                }),
            }),
            Command::ConsumerInfo(ConsumerInfo {
                base: answered(3),
                consumer_id: Some(ConsumerId {
                    connection_id: CONNECTION.into(),
                    session_id: 1,
                    value: 1,
                }),
                destination: Some(Destination::queue(queue)),
                selector: Some(selector.to_owned().into()),
                prefetch_size: 1000,
                ..ConsumerInfo::default()
            }),
        ];
        bytes.clear();
        for command in &commands {
            encoder.encode(command, &mut bytes).unwrap();
        }
        consumer.stream.write_all(&bytes).unwrap();
        consumer.until(|command| match command {
            Command::Response(response) => response.correlation_id == 3,
            Command::ExceptionResponse(_) | Command::ConnectionError(_) => panic!("{command:?}"),
            _ => false,
        });
        consumer
    }

    /// Waits for one message.
    pub fn receive(&mut self, at_most: Duration) {
        self.stream.set_read_timeout(Some(at_most)).unwrap();
        self.until(|command| matches!(command, Command::MessageDispatch(_)));
    }

    fn until(&mut self, is_it: impl Fn(&Command<'_>) -> bool) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let mut at = 0;
            let mut found = false;
            while !found && let Some(received) = self.decoder.feed(&self.unread[at..]).unwrap() {
                at += received.consumed;
                found = received.command.as_ref().is_some_and(&is_it);
            }
            self.unread.drain(..at);
            if found {
                return;
            }
            let count = self.stream.read(&mut buffer).expect("the server answers");
            assert!(count > 0, "the server has closed the connection");
            self.unread.extend_from_slice(&buffer[..count]);
        }
    }
}
