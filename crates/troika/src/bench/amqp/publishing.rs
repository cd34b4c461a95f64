//! Producers: copies of one encoded publish, confirmed by tag.

use ::amqp::{BasicProperties, Event, FrameMax, Machine, Method, encode};

use super::CHANNEL;
use super::talk::{encode_close, hear_all, other};
use crate::bench::options::Options;
use crate::bench::payload::{self, Nanos, RunId, STAMP_BYTES};
use crate::bench::source::Source;
use crate::bench::tally::Tally;
use crate::bench::worker::Conversation;

const DELIVERY_MODE_TRANSIENT: u8 = 1;
const DELIVERY_MODE_PERSISTENT: u8 = 2;

/// basic.publish to one queue with its content, encoded.
pub struct Publish {
    octets: Vec<u8>,
    stamp_at: usize,
}

impl Publish {
    pub fn new(queue: &str, options: &Options, frame_max: FrameMax) -> Publish {
        let delivery_mode = if options.transient {
            DELIVERY_MODE_TRANSIENT
        } else {
            DELIVERY_MODE_PERSISTENT
        };
        let properties = BasicProperties {
            delivery_mode: Some(delivery_mode),
            ..BasicProperties::default()
        };
        let properties = properties.to_bytes().expect("no strings in it");
        let publish = Method::BasicPublish {
            exchange: "",
            routing_key: queue,
            mandatory: false,
            immediate: false,
        };
        let mut octets = Vec::new();
        encode::content(&mut octets, CHANNEL, &publish, &properties, &[], frame_max);
        // Type, channel and size of the first body frame.
        let stamp_at = octets.len() + 7;
        octets.clear();
        let body = payload::body(options.size);
        encode::content(
            &mut octets,
            CHANNEL,
            &publish,
            &properties,
            &body,
            frame_max,
        );
        Publish { octets, stamp_at }
    }

    fn append(&self, run: RunId, due: Nanos, out: &mut Vec<u8>) {
        let start = out.len() + self.stamp_at;
        out.extend_from_slice(&self.octets);
        payload::stamp(&mut out[start..start + STAMP_BYTES], run, due);
    }
}

/// One channel that publishes.
pub struct Producer {
    pub machine: Machine,
    pub publishes: Vec<Publish>,
    /// Which of them is next.
    pub turn: usize,
    pub run: RunId,
    pub source: Source,
}

impl Conversation for Producer {
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        _out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let source = &mut self.source;
        hear_all(&mut self.machine, input, |event| {
            let (tag, multiple, is_taken) = match event {
                Event::Method {
                    method:
                        Method::BasicAck {
                            delivery_tag,
                            multiple,
                        },
                    ..
                } => (delivery_tag.0, multiple, true),
                Event::Method {
                    method:
                        Method::BasicNack {
                            delivery_tag,
                            multiple,
                            ..
                        },
                    ..
                } => (delivery_tag.0, multiple, false),
                event => return other(event),
            };
            let mut landed = |due: Nanos| {
                if is_taken {
                    tally.confirmed(due, now);
                } else {
                    tally.refused(|| format!("basic.nack of publish {tag}"));
                }
            };
            if multiple {
                source.land_up_to(tag, landed);
            } else if let Some(due) = source.land(tag) {
                landed(due);
            }
            Ok(())
        })
    }

    fn speak(&mut self, now: Nanos, tally: &mut Tally, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(departure) = self.source.depart(now) else {
            return Ok(false);
        };
        self.publishes[self.turn].append(self.run, departure.due, out);
        self.turn = (self.turn + 1) % self.publishes.len();
        tally.counts.sent += 1;
        if !self.source.is_answered() {
            tally.unanswered();
        }
        Ok(true)
    }

    fn due(&mut self, now: Nanos) -> Option<Nanos> {
        self.source.due(now)
    }

    fn in_flight_max(&self) -> usize {
        self.source.window()
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        encode::heartbeat(out);
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        encode_close(out);
    }
}
