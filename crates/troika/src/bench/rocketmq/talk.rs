//! A connection to a NameServer or broker during setup, and what both setup and run say.

use std::net::SocketAddr;

use ::remoting::body::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, ProducerData,
    SubscriptionData, to_vec,
};
use ::remoting::header::Header;
use ::remoting::header::client::UnregisterClient;
use ::remoting::header::offset::OffsetResponse;
use ::remoting::{
    CommandRef, Decoder, ExtFields, FrameWriter, Opaque, Prefix, RequestCode, ResponseCode, Version,
};

use super::{CONSUMERS, PRODUCERS};
use crate::bench::link::{Dialogue, Taken};

/// Opaques from here on are tickets of messages; smaller ones belong to everything else.
pub const FIRST_MESSAGE_OPAQUE: u64 = 1 << 20;
/// What the generator says it is.
pub const VERSION: Version = Version::V5_3_3;

pub struct Talk {
    dialogue: Dialogue,
    opaque: i32,
}

/// An answer whose frame is gone.
pub struct Answer {
    pub code: i32,
    remark: String,
    /// The frame, for its fields.
    frame: Vec<u8>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        self.code == ResponseCode::Success.to_wire()
    }

    pub fn or_refused(self, what: &str) -> Result<Answer, String> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(format!("{what}: {}", refusal(self.code, &self.remark)))
        }
    }

    /// The offset that was asked for.
    pub fn offset(&self) -> Result<i64, String> {
        match Decoder::default().feed(&self.frame) {
            Ok(Some((_, command))) => OffsetResponse::parse(&command.ext)
                .map(|answer| answer.offset)
                .map_err(|e| e.to_string()),
            Ok(None) => Err("an answer was cut".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Code and remark of an answer that is no success.
pub fn refusal(code: i32, remark: &str) -> String {
    let name = ResponseCode::from_wire(code).map_or("unknown", ResponseCode::name);
    format!("the broker refused: {code} {name} {remark}")
}

impl Talk {
    pub fn connect(target: SocketAddr) -> Result<Talk, String> {
        Ok(Talk {
            dialogue: Dialogue::connect(target)?,
            opaque: 0,
        })
    }

    /// Sends a request and waits for its answer, whatever its code.
    pub fn ask<'h>(
        &mut self,
        code: RequestCode,
        header: &impl Header<'h>,
        body: &[u8],
    ) -> Result<Answer, String> {
        self.opaque += 1;
        let opaque = Opaque(self.opaque);
        let writer = FrameWriter::begin(
            &mut self.dialogue.out,
            Prefix::request(code, opaque, VERSION),
        );
        let written = writer.header(header).finish_with(body);
        written.map_err(|e| e.to_string())?;
        self.dialogue.ask(code.name(), |input| {
            let fed = Decoder::default().feed(input).map_err(|e| e.to_string())?;
            let Some((consumed, command)) = fed else {
                return Ok(Taken {
                    consumed: 0,
                    answer: None,
                });
            };
            let is_ours = command.is_response() && command.opaque == opaque;
            let frame = input.get(..consumed).unwrap_or_default();
            Ok(Taken {
                consumed,
                answer: is_ours.then(|| Answer {
                    code: command.code,
                    remark: command.remark.clone().unwrap_or_default().into_owned(),
                    frame: frame.to_vec(),
                    body: command.body.to_vec(),
                }),
            })
        })
    }

    pub fn beat_as_producer(&mut self, id: &str) -> Result<(), String> {
        self.beat(&producer_beat(id))
    }

    pub fn beat_as_consumer(&mut self, id: &str, topics: &[String]) -> Result<(), String> {
        self.beat(&consumer_beat(id, topics))
    }

    fn beat(&mut self, beat: &HeartbeatData) -> Result<(), String> {
        let answer = self.ask(RequestCode::HeartBeat, &Nothing, &to_vec(beat))?;
        answer.or_refused("a heartbeat").map(drop)
    }

    pub fn unregister(&mut self, id: &str) -> Result<(), String> {
        let header = UnregisterClient {
            client_id: id.into(),
            producer_group: Some(PRODUCERS.into()),
            consumer_group: None,
        };
        let answer = self.ask(RequestCode::UnregisterClient, &header, &[])?;
        answer.or_refused("leaving").map(drop)
    }

    pub fn into_dialogue(self) -> Dialogue {
        self.dialogue
    }

    pub fn close(self) {
        self.dialogue.close();
    }
}

/// The header of a request without fields.
pub struct Nothing;

impl<'a> Header<'a> for Nothing {
    const FIELDS: &'static [&'static str] = &[];

    fn parse(_: &ExtFields<'a>) -> Result<Self, ::remoting::header::HeaderError> {
        Ok(Nothing)
    }

    fn emit(&self, _: &mut FrameWriter<'_, '_>) {}
}

pub fn producer_beat(id: &str) -> HeartbeatData {
    HeartbeatData {
        client_id: id.to_owned(),
        producer_data_set: vec![ProducerData {
            group_name: PRODUCERS.to_owned(),
        }],
        ..HeartbeatData::default()
    }
}

pub fn consumer_beat(id: &str, topics: &[String]) -> HeartbeatData {
    let subscription = |topic: &String| SubscriptionData {
        sub_string: "*".to_owned(),
        topic: topic.clone(),
        ..SubscriptionData::default()
    };
    HeartbeatData {
        client_id: id.to_owned(),
        consumer_data_set: vec![ConsumerData {
            consume_from_where: Some(ConsumeFromWhere::LastOffset),
            consume_type: Some(ConsumeType::Passively),
            group_name: CONSUMERS.to_owned(),
            message_model: Some(MessageModel::Clustering),
            subscription_data_set: topics.iter().map(subscription).collect(),
            unit_mode: false,
        }],
        ..HeartbeatData::default()
    }
}

/// Appends a request that nobody answers, or whose answer nobody waits for.
pub fn append<'h>(
    prefix: Prefix<'_>,
    header: &impl Header<'h>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let writer = FrameWriter::begin(out, prefix).header(header);
    let written = writer.finish_with(body);
    written.map(drop).map_err(|e| e.to_string())
}

/// Decodes all that has come; returns the bytes that are done with.
pub fn hear_all(
    input: &[u8],
    mut hear: impl FnMut(&CommandRef<'_>) -> Result<(), String>,
) -> Result<usize, String> {
    let decoder = Decoder::default();
    let mut done = 0;
    loop {
        let fed = decoder.feed(input.get(done..).unwrap_or_default());
        let Some((consumed, command)) = fed.map_err(|e| e.to_string())? else {
            return Ok(done);
        };
        // Brokers also ask: to look at the members of a group anew, say. Nothing needs an answer.
        if command.is_response() {
            hear(&command)?;
        }
        done += consumed;
    }
}
