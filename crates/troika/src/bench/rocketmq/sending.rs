//! Producers: SEND_MESSAGE_V2 to all message queues in turn, answers matched by opaque.

use ::remoting::body::to_vec;
use ::remoting::header::client::UnregisterClient;
use ::remoting::header::send::SendMessageV2;
use ::remoting::{Opaque, Prefix, RequestCode, ResponseCode};

use super::talk::{VERSION, append, hear_all, producer_beat, refusal};
use super::{PRODUCERS, TEMPLATE};
use crate::bench::payload::{self, Nanos, RunId};
use crate::bench::source::Source;
use crate::bench::tally::Tally;
use crate::bench::wall_millis;
use crate::bench::worker::Conversation;

/// What Apache's client sets for every message: an id of its own, and that the answer is to wait
/// until the message is safe.
const UNIQUE_KEY: &str = "UNIQ_KEY\u{1}";
const WAIT: &str = "\u{2}WAIT\u{1}true\u{2}";
/// Hexadecimal digits of the unique key: 16 of the run, 16 of the message.
const KEY_DIGITS: usize = 32;
/// What the default topic's queues would be, were the topic made by the first message.
const TEMPLATE_QUEUES: i32 = 4;
/// The wall clock is read for one send in so many.
const CLOCK_EVERY: u64 = 16;

/// The producers of one client.
pub struct Sender {
    id: String,
    /// Topic and message queue of the sends, in turn.
    targets: Vec<(String, i32)>,
    turn: usize,
    body: Vec<u8>,
    /// The properties text; the digits of the key are overwritten.
    properties: Vec<u8>,
    born_millis: i64,
    run: RunId,
    source: Source,
}

impl Sender {
    pub fn new(
        id: String,
        targets: Vec<(String, i32)>,
        size: usize,
        run: RunId,
        source: Source,
    ) -> Sender {
        let key = format!("{:016X}{:016X}", run.0, 0);
        Sender {
            id,
            targets,
            turn: 0,
            body: payload::body(size),
            properties: format!("{UNIQUE_KEY}{key}{WAIT}").into_bytes(),
            born_millis: 0,
            run,
            source,
        }
    }

    fn number_key(&mut self, number: u64) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let end = UNIQUE_KEY.len() + KEY_DIGITS;
        let digits = self.properties[end - 16..end].iter_mut().rev();
        for (place, digit) in digits.enumerate() {
            *digit = DIGITS[(number >> (4 * place)) as usize & 15];
        }
    }
}

impl Conversation for Sender {
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        _out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let source = &mut self.source;
        hear_all(input, |command| {
            let ticket = u64::try_from(command.opaque.0).unwrap_or(0);
            // Heartbeats have opaques that are no tickets.
            let Some(due) = source.land(ticket) else {
                return Ok(());
            };
            if command.code == ResponseCode::Success.to_wire() {
                tally.confirmed(due, now);
            } else {
                let remark = command.remark.as_deref().unwrap_or_default();
                tally.refused(|| refusal(command.code, remark));
            }
            Ok(())
        })
    }

    fn speak(&mut self, now: Nanos, tally: &mut Tally, out: &mut Vec<u8>) -> Result<bool, String> {
        let Some(departure) = self.source.depart(now) else {
            return Ok(false);
        };
        if self.born_millis == 0 || departure.ticket.is_multiple_of(CLOCK_EVERY) {
            self.born_millis = wall_millis();
        }
        self.number_key(departure.ticket);
        payload::stamp(&mut self.body, self.run, departure.due);
        let opaque = i32::try_from(departure.ticket);
        let opaque = Opaque(opaque.map_err(|_| "out of opaques")?);
        let code = RequestCode::SendMessageV2;
        let prefix = if self.source.is_answered() {
            Prefix::request(code, opaque, VERSION)
        } else {
            Prefix::oneway(code, opaque, VERSION)
        };
        let (topic, queue_id) = &self.targets[self.turn];
        let properties = str::from_utf8(&self.properties).map_err(|e| e.to_string())?;
        let header = SendMessageV2 {
            producer_group: PRODUCERS.into(),
            topic: topic.as_str().into(),
            default_topic: TEMPLATE.into(),
            default_topic_queue_nums: TEMPLATE_QUEUES,
            queue_id: *queue_id,
            born_timestamp: self.born_millis,
            properties: Some(properties.into()),
            reconsume_times: Some(0),
            unit_mode: Some(false),
            batch: Some(false),
            ..SendMessageV2::default()
        };
        append(prefix, &header, &self.body, out)?;
        self.turn = (self.turn + 1) % self.targets.len();
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
        let prefix = Prefix::request(RequestCode::HeartBeat, Opaque(0), VERSION);
        let beat = to_vec(&producer_beat(&self.id));
        append(prefix, &super::talk::Nothing, &beat, out).expect("a heartbeat of one group");
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        let prefix = Prefix::request(RequestCode::UnregisterClient, Opaque(0), VERSION);
        let header = UnregisterClient {
            client_id: self.id.as_str().into(),
            producer_group: Some(PRODUCERS.into()),
            consumer_group: None,
        };
        append(prefix, &header, &[], out).expect("three short fields");
    }
}
