//! AMQP 0-9-1: one connection and one channel per producer and consumer.
//!
//! A publish is the same octets every time but for the stamp, so it is encoded once per queue and
//! copied from then on.

mod consuming;
mod publishing;
mod talk;

use std::net::SocketAddr;
use std::ops::Range;

use ::amqp::{ChannelNumber, DeliveryTag, Method, TableRef, encode};

use self::consuming::Consumer;
use self::publishing::{Producer, Publish};
use self::talk::Opened;
use super::link::Link;
use super::options::{Churn, Options};
use super::payload::RunId;
use super::source::Source;
use super::worker::Seat;
use super::{Cycle, Wire};

/// The only channel of each connection.
const CHANNEL: ChannelNumber = ChannelNumber(1);

pub struct Amqp {
    options: Options,
    target: SocketAddr,
    run: RunId,
}

impl Amqp {
    pub fn new(options: Options, target: SocketAddr, run: RunId) -> Amqp {
        Amqp {
            options,
            target,
            run,
        }
    }

    fn open(&self) -> Result<Opened, String> {
        let mut opened = Opened::connect(&self.options, self.target)?;
        opened.call(&Method::ChannelOpen, |method| {
            matches!(method, Method::ChannelOpenOk).then_some(())
        })?;
        Ok(opened)
    }
}

impl Wire for Amqp {
    fn prepare(&mut self) -> Result<(), String> {
        let mut opened = self.open()?;
        for number in 0..self.options.queues {
            let declare = Method::QueueDeclare {
                queue: &self.options.queue_name(number),
                passive: false,
                durable: !self.options.volatile_queues,
                exclusive: false,
                auto_delete: false,
                nowait: false,
                arguments: TableRef::default(),
            };
            opened.call(&declare, |method| {
                matches!(method, Method::QueueDeclareOk { .. }).then_some(())
            })?;
        }
        opened.close();
        Ok(())
    }

    fn producers(&self, numbers: Range<usize>) -> Result<Vec<Seat>, String> {
        let producer = |number: usize| {
            let mut opened = self.open()?;
            let source = Source::new(&self.options, number..number + 1, 1);
            if source.is_answered() {
                opened.call(&Method::ConfirmSelect { nowait: false }, |method| {
                    matches!(method, Method::ConfirmSelectOk).then_some(())
                })?;
            }
            let names = self.options.queue_names(number, self.options.producers);
            let frame_max = opened.machine.frame_max();
            let publish = |queue: &String| Publish::new(queue, &self.options, frame_max);
            let producer = Producer {
                machine: opened.machine,
                publishes: names.iter().map(publish).collect(),
                turn: 0,
                run: self.run,
                source,
            };
            Ok(Seat {
                link: Link::new(opened.dialogue)?,
                conversation: Box::new(producer),
            })
        };
        numbers.map(producer).collect()
    }

    fn consumer(&self, number: usize) -> Result<Seat, String> {
        let mut opened = self.open()?;
        let prefetch_count = self.options.prefetch();
        let qos = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count,
            global: false,
        };
        opened.call(&qos, |method| {
            matches!(method, Method::BasicQosOk).then_some(())
        })?;
        let queues = self.options.queue_names(number, self.options.consumers);
        for queue in &queues {
            // Nobody waits for the answer, so that deliveries begin in the measured part.
            let consume = Method::BasicConsume {
                queue,
                consumer_tag: queue,
                no_local: false,
                no_ack: self.options.auto_ack,
                exclusive: false,
                nowait: true,
                arguments: TableRef::default(),
            };
            encode::method(&mut opened.dialogue.out, CHANNEL, &consume);
        }
        let in_flight = if self.options.auto_ack || prefetch_count == 0 {
            usize::MAX
        } else {
            usize::from(prefetch_count) * queues.len()
        };
        let consumer = Consumer {
            machine: opened.machine,
            ack_every: if self.options.auto_ack {
                0
            } else {
                self.options.ack_every
            },
            unacked: 0,
            last: DeliveryTag(0),
            in_flight,
        };
        Ok(Seat {
            link: Link::new(opened.dialogue)?,
            conversation: Box::new(consumer),
        })
    }

    fn clear(&mut self) -> Result<(), String> {
        let mut opened = self.open()?;
        for number in 0..self.options.queues {
            let delete = Method::QueueDelete {
                queue: &self.options.queue_name(number),
                if_unused: false,
                if_empty: false,
                nowait: false,
            };
            opened.call(&delete, |method| {
                matches!(method, Method::QueueDeleteOk { .. }).then_some(())
            })?;
        }
        opened.close();
        Ok(())
    }

    fn cycle(&self, number: usize, churn: Churn) -> Result<Cycle, String> {
        let parts = Amqp::new(self.options.clone(), self.target, self.run);
        match churn {
            Churn::Connections => Ok(Box::new(move || {
                parts.open()?.close();
                Ok(())
            })),
            Churn::Queues => {
                let mut opened = parts.open()?;
                let name = format!("{}-churn-{:x}-{number}", parts.options.queue, parts.run.0);
                Ok(Box::new(move || opened.declare_and_delete(&name)))
            }
        }
    }
}
