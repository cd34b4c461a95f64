//! Consumers: one long poll per message queue, each carrying the offset that is committed.

use ::remoting::body::to_vec;
use ::remoting::header::Header;
use ::remoting::header::client::UnregisterClient;
use ::remoting::header::offset::UpdateConsumerOffset;
use ::remoting::header::pull::{PullMessage, PullMessageResponse, pull_flag};
use ::remoting::message::Records;
use ::remoting::{CommandRef, Opaque, Prefix, RequestCode, ResponseCode};

use super::CONSUMERS;
use super::talk::{VERSION, append, consumer_beat, hear_all, refusal};
use crate::bench::payload::Nanos;
use crate::bench::tally::Tally;
use crate::bench::worker::Conversation;

/// How long a broker keeps a pull that finds nothing; the default of Apache's client.
const SUSPEND_MILLIS: i64 = 15_000;

/// A message queue and where reading begins.
pub struct Start {
    pub topic: String,
    pub queue_id: i32,
    pub offset: i64,
}

/// One consumer of the group.
pub struct Puller {
    id: String,
    topics: Vec<String>,
    /// The offset is the next to read. A pull's opaque is its place here, from 1 on.
    queues: Vec<Start>,
    messages_max: i32,
}

impl Puller {
    pub fn new(id: String, topics: Vec<String>, queues: Vec<Start>, messages_max: i32) -> Puller {
        Puller {
            id,
            topics,
            queues,
            messages_max: messages_max.max(1),
        }
    }

    /// Asks for messages of all queues.
    pub fn begin(&self, out: &mut Vec<u8>) -> Result<(), String> {
        (0..self.queues.len()).try_for_each(|place| self.pull(place, out))
    }

    fn pull(&self, place: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let queue = &self.queues[place];
        let opaque = Opaque(place as i32 + 1);
        let prefix = Prefix::request(RequestCode::PullMessage, opaque, VERSION);
        let header = PullMessage {
            consumer_group: CONSUMERS.into(),
            topic: queue.topic.as_str().into(),
            queue_id: queue.queue_id,
            queue_offset: queue.offset,
            max_msg_nums: self.messages_max,
            sys_flag: pull_flag::COMMIT_OFFSET | pull_flag::SUSPEND | pull_flag::SUBSCRIPTION,
            commit_offset: queue.offset,
            suspend_timeout_millis: SUSPEND_MILLIS,
            subscription: Some("*".into()),
            expression_type: Some("TAG".into()),
            ..PullMessage::default()
        };
        append(prefix, &header, &[], out)
    }

    /// Takes the answer to a pull; tells where the queue goes on.
    fn take(
        command: &CommandRef<'_>,
        offset: i64,
        now: Nanos,
        tally: &mut Tally,
    ) -> Result<i64, String> {
        use ResponseCode::{
            FlowControl, PullNotFound, PullOffsetMoved, PullRetryImmediately, Success, SystemBusy,
        };
        match command.response_code() {
            Some(Success) => {
                for record in Records::new(command.body) {
                    let record = record.map_err(|e| e.to_string())?;
                    tally.delivered(record.body, record.reconsume_times > 0, now);
                }
            }
            Some(PullNotFound | PullRetryImmediately | PullOffsetMoved) => {}
            // It asks for patience; the next pull is as good as any.
            Some(SystemBusy | FlowControl) => return Ok(offset),
            Some(_) | None => {
                let remark = command.remark.as_deref().unwrap_or_default();
                return Err(refusal(command.code, remark));
            }
        }
        let answer = PullMessageResponse::parse(&command.ext).map_err(|e| e.to_string())?;
        Ok(answer.next_begin_offset)
    }
}

impl Conversation for Puller {
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        hear_all(input, |command| {
            let place = usize::try_from(command.opaque.0 - 1);
            let Some(place) = place.ok().filter(|place| *place < self.queues.len()) else {
                return Ok(());
            };
            let offset = self.queues[place].offset;
            self.queues[place].offset = Puller::take(command, offset, now, tally)?;
            self.pull(place, out)
        })
    }

    fn speak(&mut self, _: Nanos, _: &mut Tally, _: &mut Vec<u8>) -> Result<bool, String> {
        Ok(false)
    }

    fn due(&mut self, _: Nanos) -> Option<Nanos> {
        None
    }

    fn in_flight_max(&self) -> usize {
        self.queues.len() * self.messages_max as usize
    }

    fn beat(&mut self, out: &mut Vec<u8>) {
        let prefix = Prefix::request(RequestCode::HeartBeat, Opaque(0), VERSION);
        let beat = to_vec(&consumer_beat(&self.id, &self.topics));
        append(prefix, &super::talk::Nothing, &beat, out).expect("a heartbeat of one group");
    }

    fn leave(&mut self, out: &mut Vec<u8>) {
        for queue in &self.queues {
            let prefix = Prefix::oneway(RequestCode::UpdateConsumerOffset, Opaque(0), VERSION);
            let header = UpdateConsumerOffset {
                consumer_group: CONSUMERS.into(),
                topic: queue.topic.as_str().into(),
                queue_id: queue.queue_id,
                commit_offset: queue.offset,
            };
            append(prefix, &header, &[], out).expect("four short fields");
        }
        let prefix = Prefix::request(RequestCode::UnregisterClient, Opaque(0), VERSION);
        let header = UnregisterClient {
            client_id: self.id.as_str().into(),
            producer_group: None,
            consumer_group: Some(CONSUMERS.into()),
        };
        append(prefix, &header, &[], out).expect("three short fields");
    }
}
