//! Producers: one message, with what changes overwritten, confirmed by command id.

use std::borrow::Cow;

use ::openwire::{BaseCommand, Command, ConnectionId, Destination};

use super::talk::{Wires, other, said};
use crate::bench::payload::{self, Nanos, RunId};
use crate::bench::source::Source;
use crate::bench::tally::Tally;
use crate::bench::wall_millis;
use crate::bench::worker::Conversation;

/// The wall clock is read for one send in so many; nothing depends on JMSTimestamp here.
const CLOCK_EVERY: u64 = 16;

/// One session that sends.
pub struct Producer {
    pub wires: Wires,
    /// The message, with what changes overwritten for each send.
    pub message: Command<'static>,
    pub queues: Vec<Destination>,
    pub sent: u64,
    pub run: RunId,
    pub source: Source,
    pub connection_id: ConnectionId,
}

impl Conversation for Producer {
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let source = &mut self.source;
        self.wires
            .hear_all(input, out, |_, command, _| match &command {
                Command::Response(response) => {
                    if let Some(due) = source.land(ticket(response.correlation_id)) {
                        tally.confirmed(due, now);
                    }
                    Ok(())
                }
                Command::ExceptionResponse(refused) => {
                    match source.land(ticket(refused.correlation_id)) {
                        Some(_) => {
                            tally.refused(|| said(refused.exception.as_deref()));
                            Ok(())
                        }
                        None => other(&command),
                    }
                }
                command => other(command),
            })
    }

    fn speak(&mut self, now: Nanos, tally: &mut Tally, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(departure) = self.source.depart(now) else {
            return Ok(false);
        };
        let Command::Message(message) = &mut self.message else {
            return Err("the template is no message".into());
        };
        let command_id = i32::try_from(departure.ticket);
        message.base = BaseCommand {
            command_id: command_id.map_err(|_| "out of command ids")?,
            response_required: self.source.is_answered(),
        };
        if self.sent == 0 || self.queues.len() > 1 {
            let queue = self.sent as usize % self.queues.len();
            message.destination = Some(self.queues[queue].clone());
        }
        self.sent += 1;
        if let Some(id) = &mut message.message_id {
            id.producer_sequence_id = self.sent as i64;
        }
        if tally.counts.sent.is_multiple_of(CLOCK_EVERY) || message.timestamp == 0 {
            message.timestamp = wall_millis();
        }
        if let Some(Cow::Owned(body)) = &mut message.content {
            payload::stamp(body, self.run, departure.due);
        }
        self.wires.say(&self.message, out)?;
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
        self.wires.beat(out);
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        self.wires.leave(&self.connection_id, out);
    }
}

/// Command ids of sends are tickets; no other answer has one.
fn ticket(correlation_id: i32) -> u64 {
    u64::try_from(correlation_id).unwrap_or(0)
}
