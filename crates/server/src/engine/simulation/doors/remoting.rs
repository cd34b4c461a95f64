//! A client of RocketMQ: it sends, pulls, and says where its group stands.

use std::collections::BTreeMap;

use gateway::door::Wire;
use remoting::message::Records;
use remoting::{Decoder, FrameWriter, Opaque, Prefix, RequestCode, ResponseCode, Version};

use super::super::world::{Verdict, ensure};
use super::client::{Client, Scene, unexpected};
use super::judge::Sender;
use super::message::{Queue, TICKS, number_of};
use super::partitions::PARTITIONS;
use super::remoting_acts::AT_ONCE;
use super::remoting_halves::Half;

pub(super) const WHO: &str = "a RocketMQ client";
/// Requests that are not answered.
const ASKS_MAX: usize = 12;
/// A request that is not answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Beat,
    /// Nobody else hears of it yet: the topic is made by it.
    Found(u64),
    Send {
        number: u64,
        partition: u32,
    },
    Half {
        number: u64,
    },
    Decide {
        number: u64,
    },
    Pull {
        partition: u32,
        offset: u64,
        /// Behind the last message that was known then.
        end: u64,
    },
    Stand {
        partition: u32,
        place: usize,
    },
    Where {
        partition: u32,
        since: usize,
    },
    End {
        end: u64,
    },
}

pub(super) struct Remoting {
    pub group: u64,
    /// Half messages that are not known to be decided; the program remembers them.
    pub halves: BTreeMap<u64, Half>,
    pub asks: BTreeMap<i32, Ask>,
    is_open: bool,
    opaque: i32,
    pub sender: Option<Sender>,
    /// Where it reads next.
    pub next: [u64; PARTITIONS as usize],
    /// It reads everything from the beginning.
    collects: bool,
    unread: Vec<u8>,
}

impl Remoting {
    pub fn new(group: u64) -> Remoting {
        Remoting {
            group,
            halves: BTreeMap::new(),
            asks: BTreeMap::new(),
            is_open: false,
            opaque: 0,
            sender: None,
            next: [0; PARTITIONS as usize],
            collects: false,
            unread: Vec::new(),
        }
    }

    pub fn group(&self) -> String {
        format!("G{}", self.group)
    }

    /// The name of its group of producers.
    pub fn producers(&self) -> String {
        format!("PG{}", self.group)
    }

    pub fn ask(
        &mut self,
        ask: Ask,
        code: RequestCode,
        fields: &[(&str, &str)],
        body: &[u8],
        scene: &mut Scene<'_>,
    ) {
        self.opaque += 1;
        self.asks.insert(self.opaque, ask);
        let prefix = Prefix::request(code, Opaque(self.opaque), Version::V5_3_3);
        write(prefix, fields, body, scene);
    }

    /// Says what is not answered.
    pub fn tell(&mut self, code: RequestCode, fields: &[(&str, &str)], scene: &mut Scene<'_>) {
        self.opaque += 1;
        let prefix = Prefix::oneway(code, Opaque(self.opaque), Version::V5_3_3);
        write(prefix, fields, &[], scene);
    }

    fn answer(&mut self, answer: &Answer, scene: &mut Scene<'_>) -> Verdict {
        let Some(ask) = self.asks.remove(&answer.opaque) else {
            return Err(unexpected(WHO, answer));
        };
        let code = |code: ResponseCode| answer.code == code.to_wire();
        let is_refused = code(ResponseCode::SystemBusy) || code(ResponseCode::ServiceNotAvailable);
        match ask {
            Ask::Beat if answer.code == 0 => {
                self.is_open = true;
                self.decide_again(scene);
                Ok(())
            }
            Ask::Found(number) if answer.code == 0 => {
                scene
                    .partitions
                    .answered(number, 0, answer.number("queueOffset")?)
            }
            Ask::Send { number, partition } if answer.code == 0 => {
                scene.counts.note("RocketMQ answer");
                let told = answer.number("queueId")?;
                ensure(told == u64::from(partition), || {
                    format!("{ask:?}: {answer:?}")
                })?;
                scene.judge.confirmed(number, &[Queue::Notes])?;
                scene
                    .partitions
                    .answered(number, partition, answer.number("queueOffset")?)
            }
            Ask::Send { number, .. } if is_refused => {
                scene.counts.note("RocketMQ refusal");
                scene.partitions.refused(number)?;
                scene.judge.refused(number)
            }
            Ask::Half { number } if answer.code == 0 || is_refused => {
                self.half_answered(number, answer, scene)
            }
            Ask::Decide { number } if answer.code == 0 => self.decided(number, scene),
            // It tries again.
            Ask::Decide { .. } if is_refused => Ok(()),
            Ask::Pull {
                partition, offset, ..
            } if answer.code == 0 => {
                scene.counts.note("RocketMQ read");
                let next = read(answer, partition, offset, scene)?;
                self.next[partition as usize] = next;
                if self.collects {
                    self.pull_from(partition, next, AT_ONCE, scene);
                }
                Ok(())
            }
            Ask::Pull { offset, end, .. } if code(ResponseCode::PullNotFound) => {
                ensure(offset >= end, || format!("{ask:?}: {answer:?}"))
            }
            Ask::Pull { offset, end, .. } if code(ResponseCode::PullOffsetMoved) => {
                ensure(offset > end, || format!("{ask:?}: {answer:?}"))
            }
            Ask::Stand { partition, place } if answer.code == 0 => {
                scene.counts.note("RocketMQ offset kept");
                scene.partitions.kept(self.group, partition, place);
                Ok(())
            }
            Ask::Where { partition, since } if answer.code == 0 => {
                let offset = Some(answer.number("offset")?);
                scene.partitions.told(self.group, partition, since, offset)
            }
            Ask::Where { partition, since } if code(ResponseCode::QueryNotFound) => {
                scene.partitions.told(self.group, partition, since, None)
            }
            Ask::End { end } if answer.code == 0 => {
                let told = answer.number("offset")?;
                ensure(told >= end, || format!("{ask:?}: {answer:?}"))
            }
            ask => Err(unexpected(WHO, (ask, answer))),
        }
    }
}

fn write(prefix: Prefix<'_>, fields: &[(&str, &str)], body: &[u8], scene: &mut Scene<'_>) {
    let mut writer = FrameWriter::begin(scene.out, prefix);
    for (key, value) in fields {
        writer.field(key, value);
    }
    writer.finish_with(body).expect("it is short");
}

/// A command as it came, owned.
#[derive(Debug)]
pub(super) struct Answer {
    pub code: i32,
    pub opaque: i32,
    pub fields: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub fn number(&self, field: &str) -> Verdict<u64> {
        let text = self.fields.get(field).and_then(|text| text.parse().ok());
        text.ok_or_else(|| unexpected(WHO, (field, self)))
    }
}

/// Judges what was read, and tells where it goes on.
fn read(answer: &Answer, partition: u32, offset: u64, scene: &mut Scene<'_>) -> Verdict<u64> {
    let mut next = offset;
    for record in Records::new(&answer.body) {
        let record = record.map_err(|broken| unexpected(WHO, broken))?;
        let place = (record.queue_id, record.queue_offset);
        ensure(place == (partition as i32, next as i64), || {
            format!("{place:?} comes where {next} of {partition} is due")
        })?;
        let Some(number) = number_of(record.body) else {
            return Err(unexpected(WHO, "other bytes than were sent"));
        };
        scene.partitions.stands(partition, next, number)?;
        // Both were stored at one moment.
        if let Some(copy) = scene.judge.copies.get_mut(&(Queue::Notes, number)) {
            copy.promised = true;
        }
        next += 1;
    }
    ensure(
        next > offset && answer.number("nextBeginOffset")? == next,
        || format!("read {offset}..{next} of {partition}: {:?}", answer.fields),
    )?;
    Ok(next)
}

impl Client for Remoting {
    fn wire(&self) -> Wire {
        Wire::Remoting
    }

    fn connected(&mut self, scene: &mut Scene<'_>) {
        self.unread.clear();
        self.sender = Some(scene.judge.sender());
        let body = format!(
            r#"{{"clientID":"c{0}","producerDataSet":[{{"groupName":"PG{0}"}}],"consumerDataSet":[{{
            "groupName":"G{0}","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",
            "consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","subscriptionDataSet":[{{
            "topic":"{TICKS}","subString":"*","subVersion":1,"expressionType":"TAG"}}]}}]}}"#,
            self.group
        );
        self.ask(
            Ask::Beat,
            RequestCode::HeartBeat,
            &[],
            body.as_bytes(),
            scene,
        );
    }

    fn is_open(&self) -> bool {
        self.is_open
    }

    fn act(&mut self, scene: &mut Scene<'_>) {
        if self.asks.len() >= ASKS_MAX {
            return;
        }
        match scene.dice.below(100) {
            0..36 => {
                for _ in 0..1 + scene.dice.below(4) {
                    self.send(scene);
                }
            }
            36..40 => self.send_half(scene),
            40..48 => self.decide(scene),
            48..70 => self.pull(scene),
            70..82 => self.stand(scene),
            82..92 => self.where_it_stands(scene),
            _ => self.end(scene),
        }
    }

    fn hear(&mut self, bytes: &[u8], scene: &mut Scene<'_>) -> Verdict {
        self.unread.extend_from_slice(bytes);
        loop {
            let unread = std::mem::take(&mut self.unread);
            let fed = Decoder::default().feed(&unread);
            let fed = fed.map_err(|broken| unexpected(WHO, broken))?;
            let Some((size, command)) = fed else {
                self.unread = unread;
                return Ok(());
            };
            let fields = command.ext.iter();
            let is_answer = command.is_response();
            let heard = Answer {
                code: command.code,
                opaque: command.opaque.0,
                fields: fields
                    .map(|(key, value)| (key.into_owned(), value.into_owned()))
                    .collect(),
                body: command.body.to_vec(),
            };
            self.unread = unread[size..].to_vec();
            // The broker asks clients, too: what became of a half message; and tells them that
            // members have changed.
            if is_answer {
                self.answer(&heard, scene)?;
            } else if heard.code == RequestCode::CheckTransactionState.to_wire() {
                self.asked_back(&heard, scene)?;
            }
        }
    }

    /// There is no goodbye on this wire.
    fn is_done(&self) -> bool {
        false
    }

    fn lost(&mut self, _scene: &mut Scene<'_>) {
        self.is_open = false;
        self.asks.clear();
    }

    fn unanswered(&self) -> Option<String> {
        (!self.asks.is_empty()).then(|| format!("{:?}", self.asks))
    }

    /// It reads partitions.
    fn takes_from(&self) -> Vec<Queue> {
        Vec::new()
    }

    fn collect(&mut self, scene: &mut Scene<'_>) {
        self.collects = true;
        for partition in 0..PARTITIONS {
            self.pull_from(partition, 0, AT_ONCE, scene);
        }
    }

    fn settle_all(&mut self, _scene: &mut Scene<'_>) -> bool {
        false
    }

    fn leave(&mut self, _scene: &mut Scene<'_>) {}
}
