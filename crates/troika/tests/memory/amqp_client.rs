//! A client of AMQP that says little and waits for its answers.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use amqp::{
    BasicProperties, ChannelNumber, DeliveryTag, Event, FrameMax, Limits, Machine, Method, Step,
    Table, TableRef, encode, tune::Tuning,
};

/// Messages that are sent before their confirms are waited for.
const BATCH: u64 = 512;
/// A server that answers nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

pub struct Amqp {
    stream: TcpStream,
    machine: Machine,
    unread: Vec<u8>,
    /// Published on this connection.
    published: u64,
    confirms: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Durable,
    Exclusive,
}

impl Amqp {
    /// A connection behind its handshake, with channel 1 open.
    pub fn open(port: u16) -> Amqp {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        let limits = Limits {
            message_size_max: 1 << 20,
            lookahead_max: 1 << 20,
        };
        let mut client = Amqp {
            stream,
            machine: Machine::client(limits),
            unread: Vec::new(),
            published: 0,
            confirms: false,
        };
        let properties = Table::new().to_bytes();
        let start_ok = Method::ConnectionStartOk {
            client_properties: TableRef::parse(&properties).unwrap(),
            mechanism: "PLAIN",
            response: b"\0guest\0guest",
            locale: "en_US",
        };
        let tuning = Tuning {
            channel_max: 2047,
            frame_max: FrameMax::DEFAULT,
            heartbeat_s: 0,
        };
        client.stream.write_all(b"AMQP\x00\x00\x09\x01").unwrap();
        client.say(0, &start_ok);
        client.until(|method| matches!(method, Method::ConnectionTune { .. }));
        client.machine.tuned(&tuning);
        client.machine.opened();
        client.say(0, &tuning.tune_ok());
        client.say(0, &Method::ConnectionOpen { vhost: "/" });
        client.until(|method| matches!(method, Method::ConnectionOpenOk));
        client.open_channel(1);
        client
    }

    pub fn open_channel(&mut self, channel: u16) {
        self.say(channel, &Method::ChannelOpen);
        self.until(|method| matches!(method, Method::ChannelOpenOk));
    }

    pub fn declare(&mut self, queue: &str, life: Life) {
        self.declare_as(queue, false, life);
    }

    /// Messages ready in a queue.
    pub fn count(&mut self, queue: &str) -> u64 {
        self.declare_as(queue, true, Life::Durable)
    }

    /// Something that the server has to answer.
    pub fn round_trip(&mut self) {
        self.say(
            1,
            &Method::BasicQos {
                prefetch_size: 0,
                prefetch_count: 1,
                global: false,
            },
        );
        self.until(|method| matches!(method, Method::BasicQosOk));
    }

    fn declare_as(&mut self, queue: &str, passive: bool, life: Life) -> u64 {
        self.say(
            1,
            &Method::QueueDeclare {
                queue,
                passive,
                durable: life == Life::Durable,
                exclusive: life == Life::Exclusive,
                auto_delete: false,
                nowait: false,
                arguments: TableRef::EMPTY,
            },
        );
        let mut count = 0;
        self.until(|method| match method {
            Method::QueueDeclareOk { message_count, .. } => {
                count = u64::from(*message_count);
                true
            }
            _ => false,
        });
        count
    }

    /// Publishes so many persistent messages to these queues in turn; all are confirmed.
    pub fn fill(&mut self, queues: &[String], messages: u64, body_bytes: usize) {
        let persistent = BasicProperties {
            delivery_mode: Some(2),
            ..BasicProperties::default()
        };
        let frames: Vec<Vec<u8>> = queues
            .iter()
            .map(|queue| publish(queue, &persistent, body_bytes))
            .collect();
        self.confirm();
        let end = self.published + messages;
        let mut batch = Vec::new();
        while self.published < end {
            batch.clear();
            let count = BATCH.min(end - self.published);
            for number in self.published..self.published + count {
                batch.extend_from_slice(&frames[(number % frames.len() as u64) as usize]);
            }
            self.stream.write_all(&batch).unwrap();
            let first = self.published + 1;
            self.published += count;
            self.until_confirmed(first);
        }
    }

    /// One message with a header by which it can be chosen.
    pub fn publish_wanted(&mut self, queue: &str) {
        let headers = Table::new().with("wanted", "yes").to_bytes();
        let properties = BasicProperties {
            delivery_mode: Some(2),
            headers: Some(TableRef::parse(&headers).unwrap()),
            ..BasicProperties::default()
        };
        self.confirm();
        self.stream
            .write_all(&publish(queue, &properties, 16))
            .unwrap();
        self.published += 1;
        self.until_confirmed(self.published);
    }

    fn confirm(&mut self) {
        if !self.confirms {
            self.confirms = true;
            self.say(1, &Method::ConfirmSelect { nowait: false });
            self.until(|method| matches!(method, Method::ConfirmSelectOk));
        }
    }

    /// Waits for the confirms of everything published from this number on; they may come in any order.
    fn until_confirmed(&mut self, first: u64) {
        let mut open: BTreeSet<u64> = (first..=self.published).collect();
        self.until(|method| match method {
            Method::BasicAck {
                delivery_tag: DeliveryTag(tag),
                multiple,
            } => {
                if *multiple {
                    open = open.split_off(&(tag + 1));
                } else {
                    open.remove(tag);
                }
                open.is_empty()
            }
            Method::BasicNack { .. } => panic!("a message was refused"),
            _ => false,
        });
    }

    /// Consumes with manual acknowledgements, none of which is ever sent. A prefetch of 0 is unlimited.
    pub fn consume(&mut self, queue: &str, prefetch_count: u16) {
        self.say(
            1,
            &Method::BasicQos {
                prefetch_size: 0,
                prefetch_count,
                global: false,
            },
        );
        self.until(|method| matches!(method, Method::BasicQosOk));
        self.say(
            1,
            &Method::BasicConsume {
                queue,
                consumer_tag: "c",
                no_local: false,
                no_ack: false,
                exclusive: false,
                nowait: true,
                arguments: TableRef::EMPTY,
            },
        );
    }

    pub fn receive(&mut self, messages: u64) {
        let mut left = messages;
        self.read(|event| {
            if let Event::Content(_) = event {
                left -= 1;
            }
            left == 0
        });
    }

    fn say(&mut self, channel: u16, method: &Method<'_>) {
        let mut bytes = Vec::new();
        encode::method(&mut bytes, ChannelNumber(channel), method);
        self.stream.write_all(&bytes).unwrap();
    }

    fn until(&mut self, mut is_it: impl FnMut(&Method<'_>) -> bool) {
        self.read(|event| match event {
            Event::Method {
                method: Method::ChannelClose { reply_text, .. },
                ..
            }
            | Event::Method {
                method: Method::ConnectionClose { reply_text, .. },
                ..
            } => panic!("{reply_text}"),
            Event::Method { method, .. } => is_it(method),
            _ => false,
        });
    }

    /// Reads events until one is what is waited for.
    fn read(&mut self, mut is_it: impl FnMut(&Event<'_>) -> bool) {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let mut at = 0;
            let found = loop {
                match self.machine.step(&self.unread[at..]) {
                    Step::Event { consumed, event } => {
                        let found = is_it(&event);
                        at += consumed;
                        if found {
                            break true;
                        }
                    }
                    Step::NeedMore { consumed, .. } => {
                        at += consumed;
                        break false;
                    }
                }
            };
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

fn publish(queue: &str, properties: &BasicProperties<'_>, body_bytes: usize) -> Vec<u8> {
    let method = Method::BasicPublish {
        exchange: "",
        routing_key: queue,
        mandatory: false,
        immediate: false,
    };
    let mut bytes = Vec::new();
    let properties = properties.to_bytes().unwrap();
    encode::content(
        &mut bytes,
        ChannelNumber(1),
        &method,
        &properties,
        &vec![b'x'; body_bytes],
        FrameMax::DEFAULT,
    );
    bytes
}
