//! Sending back: 36. What a consumer could not deal with becomes a new message in the retry topic
//! of its group, due later each time; past the maximum, in the dead-letter topic.

use std::borrow::Cow;

use broker::event::Answer;
use broker::id::MessageRef;
use broker::pass::Command;
use broker::record::Record;
use broker::refusal::Refusal;
use remoting::header::Header;
use remoting::header::send::ConsumerSendMsgBack;
use remoting::message::Record as Stored;
use remoting::message::properties::{Properties, append, name};
use remoting::{ResponseCode, Version};

use super::asker::Asker;
use super::creation::{Aside, Need, Stop, What as AsideWhat};
use super::dispatch::Request;
use super::message::{Due, Marks, delay_ms};
use super::refusals::Refused;
use super::storing::Way;
use super::topic::{self, Found};
use super::{RemotingDoor, What, delivery, group};
use crate::access::{Action, Resource};
use crate::convert::to_remoting::Place;
use crate::door::Context;
use crate::partition::Order;

/// The first delay level of a retry: ten seconds.
const FIRST_LEVEL: i32 = 3;

/// A message on its way back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendBack {
    message: MessageRef,
    group: Box<str>,
    /// 0 leaves it to the broker, a negative one gives up.
    delay_level: i32,
    reconsumes_max: i32,
}

impl RemotingDoor {
    pub(super) fn send_back(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = ConsumerSendMsgBack::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(&asker, Action::Read, Resource::Group(&header.group), cx)?;
        let group = group::find(cx.topology, &header.group, self.settings.auto_create_groups)?;
        let config = self.configs.of(group);
        let Some(queues) = u32::try_from(config.retry_queue_nums)
            .ok()
            .filter(|n| *n > 0)
        else {
            asker.done(cx);
            return Ok(());
        };
        let retry = format!("{}{}", topic::RETRY_PREFIX, header.group);
        match topic::find(cx.topology, &retry) {
            Found::Topic(..) => {}
            Found::Taken => return Err(self.taken(&retry).into()),
            Found::Absent => {
                let need = Need::topic(&retry, queues, topic::READ | topic::WRITE);
                return Err(Stop::Needs(Box::new(need)));
            }
        }
        let message = u64::try_from(header.offset)
            .ok()
            .and_then(MessageRef::from_u64);
        let message = message.ok_or_else(|| unreadable(header.offset))?;
        let reconsumes_max = match header.max_reconsume_times {
            Some(max) if asker.version >= Version::V3_4_9 => max,
            Some(_) | None => config.retry_max_times,
        };
        let back = SendBack {
            message,
            group: header.group.as_ref().into(),
            delay_level: header.delay_level,
            reconsumes_max,
        };
        self.find_original(asker, back, cx)?;
        Ok(())
    }

    fn find_original(
        &mut self,
        asker: Asker,
        back: SendBack,
        cx: &mut Context<'_>,
    ) -> Result<(), Refused> {
        let message = back.message;
        let token = self.wait(asker, What::SendBack(Box::new(back)))?;
        cx.pass
            .push(asker.session, Command::Find { token, message });
        Ok(())
    }

    /// The topic that it waited for is there, or is not to be had.
    pub(super) fn send_back_again(
        &mut self,
        asker: Asker,
        back: SendBack,
        refused: Vec<(Box<str>, Refused)>,
        cx: &mut Context<'_>,
    ) {
        let result = match refused.into_iter().next() {
            Some((_, refused)) => Err(refused),
            None => self.find_original(asker, back, cx),
        };
        if let Err(refused) = result {
            asker.refuse(&refused, cx);
        }
    }

    pub(super) fn original_found(
        &mut self,
        asker: Asker,
        back: SendBack,
        result: Result<Answer, Refusal>,
        cx: &mut Context<'_>,
    ) {
        let stop = match result {
            Ok(Answer::Message(_)) => self.store_back(asker, &back, cx),
            Ok(_) | Err(_) => Err(unreadable(back.message.as_u64() as i64).into()),
        };
        match stop {
            Ok(()) => {}
            Err(Stop::Refused(refused)) => asker.refuse(&refused, cx),
            Err(Stop::Needs(need)) => {
                let what = AsideWhat::SendBack(Box::new(back));
                self.set_aside(
                    *need,
                    Aside {
                        asker,
                        what,
                        refused: Vec::new(),
                    },
                    cx,
                );
            }
        }
    }

    fn store_back(
        &mut self,
        asker: Asker,
        back: &SendBack,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let gone = || unreadable(back.message.as_u64() as i64);
        let records = cx.records;
        let bytes = records.record(back.message).ok_or_else(gone)?;
        let record = Record::decode(bytes).map_err(|_| gone())?;
        // As its consumer saw it, also if another language wrote it.
        let place = Place {
            topic: record.envelope.address,
            queue_id: record.envelope.partition.unwrap_or(0) as i32,
            queue_offset: 0,
            message: back.message,
            host: self.settings.host(),
        };
        let mut seen = Vec::with_capacity(bytes.len());
        delivery::append(bytes, &place, &mut seen);
        let (original, _) = Stored::decode(&seen).map_err(|_| gone())?;

        let reconsumes = original.reconsume_times;
        let is_dead = reconsumes >= back.reconsumes_max || back.delay_level < 0;
        let prefix = if is_dead {
            topic::DEAD_PREFIX
        } else {
            topic::RETRY_PREFIX
        };
        let target = format!("{prefix}{}", back.group);
        let topology = cx.topology;
        let (address, partitions) = match topic::find(topology, &target) {
            Found::Topic(address, partitions) => (address, partitions),
            Found::Taken => return Err(self.taken(&target).into()),
            Found::Absent => {
                let need = Need::topic(&target, 1, topic::READ | topic::WRITE);
                return Err(Stop::Needs(Box::new(need)));
            }
        };
        let partition = self.chooser.choose(address.id, partitions, Order::Free);
        let partition = partition.ok_or_else(|| Refused::no_topic(&target))?;
        let level = match back.delay_level {
            _ if is_dead => 0,
            0 => FIRST_LEVEL.saturating_add(reconsumes),
            chosen => chosen,
        };
        let delay = usize::try_from(level)
            .ok()
            .and_then(|level| delay_ms(&self.settings, level));
        let due = delay.map_or(Due::Now, |delay| Due::Delayed(cx.now.plus(delay)));
        let origin_id = self.offset_id(back.message).to_string();
        let properties = self.returned_properties(
            &original,
            &origin_id,
            &target,
            partition.number,
            level,
            is_dead,
        );
        let returned = Stored {
            topic: &target,
            queue_id: partition.number as i32,
            queue_offset: 0,
            physical_offset: 0,
            store_timestamp: cx.now.0 as i64,
            store_host: self.settings.host(),
            reconsume_times: reconsumes.saturating_add(1),
            prepared_transaction_offset: 0,
            properties: &properties,
            ..original
        };
        let mut native = Vec::with_capacity(returned.encoded_bytes());
        returned
            .encode(&mut native)
            .map_err(|error| Refused::new(ResponseCode::MessageIllegal, error.to_string()))?;
        let marks = Marks::of(&properties);
        let way = Way {
            session: asker.session,
            address,
            partition,
            key: marks.key(),
            order: marks.sharding_key.map_or(Order::Free, Order::Key),
            due,
            origin: Some(back.message),
        };
        let token = if asker.oneway {
            None
        } else {
            Some(self.wait(asker, What::SentBack)?)
        };
        self.store(&way, token, &native, cx);
        Ok(())
    }

    fn returned_properties(
        &self,
        original: &Stored<'_>,
        origin_id: &str,
        target: &str,
        queue: u32,
        level: i32,
        is_dead: bool,
    ) -> String {
        const REPLACED: &[&str] = &[
            name::DELAY,
            name::REAL_TOPIC,
            name::REAL_QUEUE_ID,
            name::WAIT,
            name::POP_CK,
        ];
        let old = Properties::new(original.properties);
        let mut text = String::with_capacity(original.properties.len() + 128);
        for (key, value) in old.iter().filter(|(key, _)| !REPLACED.contains(key)) {
            append(&mut text, key, value);
        }
        if old.get(name::RETRY_TOPIC).is_none() {
            append(&mut text, name::RETRY_TOPIC, original.topic);
        }
        if old.get(name::ORIGIN_MESSAGE_ID).is_none() {
            append(&mut text, name::ORIGIN_MESSAGE_ID, origin_id);
        }
        append(&mut text, name::WAIT, "false");
        append(&mut text, name::DELAY, &level.to_string());
        if is_dead {
            let first = Cow::Borrowed(old.get(name::RETRY_TOPIC).unwrap_or(original.topic));
            for (key, value) in [
                (name::DLQ_ORIGIN_TOPIC, first.as_ref()),
                (
                    name::DLQ_ORIGIN_MESSAGE_ID,
                    old.get(name::ORIGIN_MESSAGE_ID).unwrap_or(origin_id),
                ),
            ] {
                if old.get(key).is_none() {
                    append(&mut text, key, value);
                }
            }
        } else {
            append(&mut text, name::REAL_TOPIC, target);
            append(&mut text, name::REAL_QUEUE_ID, &queue.to_string());
        }
        text
    }
}

fn unreadable(offset: i64) -> Refused {
    let remark = format!("look message by offset failed, {offset}");
    Refused::new(ResponseCode::SystemError, remark)
}
