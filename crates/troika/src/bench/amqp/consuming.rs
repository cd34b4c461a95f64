//! Consumers: deliveries in, acknowledgements out.

use ::amqp::{Content, DeliveryTag, Event, Machine, Method, encode};

use super::CHANNEL;
use super::talk::{encode_close, hear_all, other};
use crate::bench::payload::Nanos;
use crate::bench::tally::Tally;
use crate::bench::worker::Conversation;

/// One channel that consumes.
pub struct Consumer {
    pub machine: Machine,
    /// 0 if deliveries need no acknowledgement.
    pub ack_every: u32,
    pub unacked: u32,
    pub last: DeliveryTag,
    pub in_flight: usize,
}

impl Conversation for Consumer {
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let (ack_every, unacked, last) = (self.ack_every, &mut self.unacked, &mut self.last);
        let consumed = hear_all(&mut self.machine, input, |event| {
            let Event::Content(Content {
                method:
                    Method::BasicDeliver {
                        delivery_tag,
                        redelivered,
                        ..
                    },
                body,
                ..
            }) = event
            else {
                return other(event);
            };
            tally.delivered(body, redelivered, now);
            if ack_every == 1 {
                encode::ack_one(out, CHANNEL, delivery_tag);
            } else if ack_every > 1 {
                (*unacked, *last) = (*unacked + 1, delivery_tag);
                if *unacked == ack_every {
                    encode::ack_up_to(out, CHANNEL, delivery_tag);
                    *unacked = 0;
                }
            }
            Ok(())
        })?;
        if *unacked > 0 {
            encode::ack_up_to(out, CHANNEL, *last);
            *unacked = 0;
        }
        Ok(consumed)
    }

    fn speak(&mut self, _: Nanos, _: &mut Tally, _: &mut Vec<u8>) -> Result<bool, String> {
        Ok(false)
    }

    fn due(&mut self, _: Nanos) -> Option<Nanos> {
        None
    }

    fn in_flight_max(&self) -> usize {
        self.in_flight
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        encode::heartbeat(out);
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        encode_close(out);
    }
}
