//! OpenWire: one connection per producer and consumer, each with one session, as JMS programs with
//! a template per thread have it.
//!
//! Wire format, ids and acknowledgements are those of the Java client: tight, cached, one standard
//! acknowledgement per message unless `--ack-every` says otherwise. A persistent send asks for a
//! response; with a window of 1 that is the synchronous send.

mod consuming;
mod producing;
mod talk;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::Range;

use ::openwire::{
    Command, ConsumerId, ConsumerInfo, Destination, DestinationInfo, DestinationKind, Message,
    MessageId, MessageKind, ProducerId, ProducerInfo,
};

use self::consuming::Consumer;
use self::producing::Producer;
use self::talk::Opened;
use super::link::Link;
use super::options::{Churn, Options};
use super::payload::{self, RunId};
use super::source::Source;
use super::worker::Seat;
use super::{Cycle, Wire};

const SESSION: i64 = 1;
const PRIORITY: i8 = 4;

pub struct OpenWire {
    options: Options,
    target: SocketAddr,
    run: RunId,
}

impl OpenWire {
    pub fn new(options: Options, target: SocketAddr, run: RunId) -> OpenWire {
        OpenWire {
            options,
            target,
            run,
        }
    }

    /// Connects under an id of its own: `role` and `number` tell the connections of a run apart.
    fn open(&self, role: &str, number: usize) -> Result<Opened, String> {
        let id = format!("ID:troika-bench-{:x}-{role}-{number}", self.run.0);
        Opened::connect(&self.options, self.target, &id)
    }
}

impl Wire for OpenWire {
    /// Queues come into being by being used.
    fn prepare(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn producers(&self, numbers: Range<usize>) -> Result<Vec<Seat>, String> {
        let producer = |number: usize| {
            let mut opened = self.open("producer", number)?;
            let producer_id = ProducerId {
                connection_id: opened.connection_id.value.clone(),
                value: 1,
                session_id: SESSION,
            };
            let names = self.options.queue_names(number, self.options.producers);
            let queues: Vec<_> = names.into_iter().map(Destination::queue).collect();
            opened.request(|base| {
                Command::ProducerInfo(ProducerInfo {
                    base,
                    producer_id: Some(producer_id.clone()),
                    // One that serves several destinations belongs to none.
                    destination: queues.first().filter(|_| queues.len() == 1).cloned(),
                    ..ProducerInfo::default()
                })
            })?;
            let first = opened.last_command + 1;
            let source = Source::new(&self.options, number..number + 1, first as u64);
            let message = Message {
                kind: MessageKind::Bytes,
                producer_id: Some(producer_id.clone()),
                message_id: Some(MessageId {
                    producer_id: Some(producer_id),
                    ..MessageId::default()
                }),
                persistent: !self.options.transient,
                priority: PRIORITY,
                content: Some(Cow::Owned(payload::body(self.options.size))),
                ..Message::default()
            };
            Ok(Seat {
                conversation: Box::new(Producer {
                    wires: opened.wires,
                    message: Command::Message(message),
                    queues,
                    sent: 0,
                    run: self.run,
                    source,
                    connection_id: opened.connection_id,
                }),
                link: Link::new(opened.dialogue)?,
            })
        };
        numbers.map(producer).collect()
    }

    fn consumer(&self, number: usize) -> Result<Seat, String> {
        let mut opened = self.open("consumer", number)?;
        let prefetch = self.options.prefetch();
        let queues = self.options.queue_names(number, self.options.consumers);
        for (place, queue) in queues.iter().enumerate() {
            let consumer_id = ConsumerId {
                connection_id: opened.connection_id.value.clone(),
                session_id: SESSION,
                value: place as i64 + 1,
            };
            let base = opened.next_base();
            // Nobody waits for the answer, so that deliveries begin in the measured part.
            opened.say(&Command::ConsumerInfo(ConsumerInfo {
                base,
                consumer_id: Some(consumer_id),
                destination: Some(Destination::queue(queue.as_str())),
                prefetch_size: prefetch.into(),
                dispatch_async: true,
                ..ConsumerInfo::default()
            }))?;
        }
        Ok(Seat {
            conversation: Box::new(Consumer {
                wires: opened.wires,
                ack_every: self.options.ack_every as i32,
                pending: None,
                in_flight: usize::from(prefetch) * queues.len(),
                connection_id: opened.connection_id,
            }),
            link: Link::new(opened.dialogue)?,
        })
    }

    fn clear(&mut self) -> Result<(), String> {
        let mut opened = self.open("clear", 0)?;
        for number in 0..self.options.queues {
            let queue = Destination::queue(self.options.queue_name(number));
            // Not every broker lets clients remove queues; then it is left there, empty.
            let _ = opened.change_destination(queue, DestinationInfo::REMOVE);
        }
        opened.close();
        Ok(())
    }

    fn cycle(&self, number: usize, churn: Churn) -> Result<Cycle, String> {
        let parts = OpenWire::new(self.options.clone(), self.target, self.run);
        let mut turn = 0;
        match churn {
            Churn::Connections => Ok(Box::new(move || {
                turn += 1;
                parts.open(&format!("churn-{turn}"), number)?.close();
                Ok(())
            })),
            Churn::Queues => {
                let mut opened = parts.open("churn", number)?;
                Ok(Box::new(move || {
                    turn += 1;
                    let name = format!("{}:{turn}", opened.connection_id.value);
                    let queue = Destination::new(DestinationKind::TempQueue, name);
                    opened.change_destination(queue.clone(), DestinationInfo::ADD)?;
                    opened.change_destination(queue, DestinationInfo::REMOVE)
                }))
            }
        }
    }
}
