//! Consumers: dispatches in, standard acknowledgements out.

use ::openwire::{
    AckType, BaseCommand, Command, ConnectionId, ConsumerId, Destination, Encoder, MessageAck,
    MessageId,
};

use super::talk::{Wires, other};
use crate::bench::payload::Nanos;
use crate::bench::tally::Tally;
use crate::bench::worker::Conversation;

/// Deliveries that are acknowledged together: all of one consumer, in order.
pub struct Pending {
    consumer_id: Option<ConsumerId>,
    destination: Option<Destination>,
    first: Option<MessageId>,
    last: Option<MessageId>,
    count: i32,
}

impl Pending {
    fn acknowledge(self, encoder: &mut Encoder, out: &mut Vec<u8>) -> Result<(), String> {
        let ack = Command::MessageAck(MessageAck {
            base: BaseCommand::one_way(0),
            destination: self.destination,
            consumer_id: self.consumer_id,
            ack_type: AckType::Standard.to_wire(),
            first_message_id: self.first,
            last_message_id: self.last,
            message_count: self.count,
            ..MessageAck::default()
        });
        encoder.encode(&ack, out).map_err(|e| e.to_string())
    }
}

/// One session that receives.
pub struct Consumer {
    pub wires: Wires,
    pub ack_every: i32,
    pub pending: Option<Pending>,
    pub in_flight: usize,
    pub connection_id: ConnectionId,
}

impl Conversation for Consumer {
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let (ack_every, pending) = (self.ack_every, &mut self.pending);
        let consumed = self.wires.hear_all(input, out, |encoder, command, out| {
            let Command::MessageDispatch(dispatch) = command else {
                return other(&command);
            };
            // Without a message it is the end of a browse or a pull, which nobody asked for.
            let Some(message) = dispatch.message else {
                return Ok(());
            };
            let body = message.content.as_deref().unwrap_or_default();
            tally.delivered(body, dispatch.redelivery_counter > 0, now);
            if let Some(other) = pending.take_if(|p| p.consumer_id != dispatch.consumer_id) {
                other.acknowledge(encoder, out)?;
            }
            let last = message.message_id;
            let together = match pending.take() {
                Some(pending) => Pending {
                    last,
                    count: pending.count + 1,
                    ..pending
                },
                None => Pending {
                    consumer_id: dispatch.consumer_id,
                    destination: dispatch.destination,
                    first: last.clone(),
                    last,
                    count: 1,
                },
            };
            if together.count >= ack_every {
                return together.acknowledge(encoder, out);
            }
            *pending = Some(together);
            Ok(())
        })?;
        if let Some(rest) = self.pending.take() {
            rest.acknowledge(self.wires.encoder(), out)?;
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
        self.wires.beat(out);
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        self.wires.leave(&self.connection_id, out);
    }
}
