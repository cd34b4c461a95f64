//! Sending: 10, 310 and 320. The order of the checks is Apache's; an answer goes out when the
//! message is stored.

use std::fmt::Write;
use std::sync::Arc;

use broker::id::{MessageRef, PartitionId, Position};
use broker::pass::{Destination, Publish};
use broker::record::Envelope;
use broker::topology::{Address, Partitions, Topology};
use remoting::header::send::{SendMessage, SendMessageResponse};
use remoting::message::properties::{Properties, name};
use remoting::message::{BODY_BYTES_MAX, OffsetMessageId, PROPERTIES_BYTES_MAX, sys_flag};
use remoting::{RequestCode, ResponseCode, Version};

use super::asker::Asker;
use super::creation::{Need, Stop};
use super::dispatch::Request;
use super::half::Half;
use super::message::{Due, Marks, body_range, with_property};
use super::refusals::Refused;
use super::storing::{Draft, REGION, usual};
use super::topic::{self, Found};
use super::unique::Unique;
use super::{RemotingDoor, What, group};
use crate::access::{Action, Resource};
use crate::door::Context;
use crate::language;
use crate::partition::{Order, tag_hash};

/// A sent message that is not stored yet.
#[derive(Debug)]
pub struct Sent {
    queue_id: i32,
    unique: Unique,
    /// Given if it is a half message.
    half: Option<Box<Half>>,
}

impl Sent {
    pub fn is_half(&self) -> bool {
        self.half.is_some()
    }
}

impl RemotingDoor {
    pub(super) fn send(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let asker = request.asker;
        let mut header = SendMessage::parse_as(request.code, &request.command.ext)?;
        let is_batch = request.code == RequestCode::SendBatchMessage || header.batch == Some(true);
        if let Some(fault) = topic::fault(&header.topic) {
            return Err(Refused::invalid(asker.version, fault).into());
        }
        if topic::is_forbidden(&header.topic) {
            let remark = format!("Sending message to topic[{}] is forbidden.", header.topic);
            return Err(Refused::new(ResponseCode::NoPermission, remark).into());
        }
        self.allow(&asker, Action::Write, Resource::Address(&header.topic), cx)?;
        // A retry is how a consumer is done with a message: it goes on under an alarm.
        if !header.topic.starts_with(topic::RETRY_PREFIX)
            && let Some(refused) = Refused::of_alarms(self.alarms)
        {
            return Err(refused.into());
        }
        let topology = cx.topology;
        let (mut address, mut partitions) = match topic::find(topology, &header.topic) {
            Found::Topic(address, partitions) => (address, partitions),
            Found::Taken => return Err(self.taken(&header.topic).into()),
            Found::Absent => return Err(self.absent(&header, topology)),
        };
        if header.queue_id >= partitions.read.max(partitions.write) as i32 {
            let remark = format!(
                "request queueId[{}] is illegal, topic[{}] has {} to read and {} to write",
                header.queue_id, header.topic, partitions.read, partitions.write
            );
            return Err(Refused::invalid(asker.version, remark).into());
        }
        let mut is_dead = false;
        if header.topic.starts_with(topic::RETRY_PREFIX) {
            if is_batch {
                let remark = "batch request does not support retry group";
                return Err(Refused::new(ResponseCode::MessageIllegal, remark).into());
            }
            if let Some(dead) = self.dead_letter_topic(request, &header, cx)? {
                match topic::find(topology, &dead) {
                    Found::Topic(found, queues) => (address, partitions) = (found, queues),
                    Found::Taken => return Err(self.taken(&dead).into()),
                    Found::Absent => {
                        let need = Need::topic(&dead, 1, topic::READ | topic::WRITE);
                        return Err(Stop::Needs(Box::new(need)));
                    }
                }
                header.queue_id = 0;
                header.topic = dead.into();
                is_dead = true;
            }
        }
        let partition = self.partition_of(address, partitions, header.queue_id)?;
        if is_batch {
            return self.send_batch(request, &header, address, partition, cx);
        }
        check_size(
            request.command.body,
            header.properties.as_deref().unwrap_or_default(),
        )?;
        let given = header.properties.as_deref().unwrap_or_default();
        let mut marks = Marks::of(given);
        // Only the broker hands out receipts; a dead letter waits for nothing.
        let mut cleaned = None;
        if marks.has_receipt {
            cleaned = Some(Properties::new(given).without(name::POP_CK));
        }
        if is_dead && marks.delay_level() > 0 {
            let text = cleaned.as_deref().unwrap_or(given);
            cleaned = Some(with_property(text, name::DELAY, "0"));
        }
        if let Some(text) = &cleaned {
            marks = Marks::of(text);
        }
        let reconsume_times = header.reconsume_times.unwrap_or(0);
        let is_retry = reconsume_times > 0 && marks.delay_level() > 0;
        let draft = Draft {
            asker,
            address,
            partition,
            topic: &header.topic,
            flag: header.flag,
            sys_flag: sys_flag::with_transaction(header.sys_flag, 0),
            born_timestamp: header.born_timestamp,
            reconsume_times,
            body: request.command.body,
            properties: cleaned.as_deref().unwrap_or(given),
            marks,
        };
        if marks.is_half && !is_retry {
            self.send_half(&draft, cx)?;
        } else {
            self.send_plain(&draft, cx)?;
        }
        Ok(())
    }

    fn partition_of(
        &mut self,
        address: &Address,
        partitions: &Partitions,
        queue_id: i32,
    ) -> Result<PartitionId, Refused> {
        if let Ok(number) = u32::try_from(queue_id) {
            return Ok(PartitionId {
                address: address.id,
                number,
            });
        }
        self.chooser
            .choose(address.id, partitions, Order::Free)
            .ok_or_else(|| {
                let remark = format!("topic[{}] has no queue to write to", address.spec.name);
                Refused::new(ResponseCode::SystemError, remark)
            })
    }

    /// A topic that does not exist comes into being by its template, or it is refused.
    fn absent(&self, header: &SendMessage<'_>, topology: &Topology) -> Stop {
        let name: &str = &header.topic;
        if name.starts_with(topic::RETRY_PREFIX) {
            return Stop::Needs(Box::new(Need::topic(name, 1, topic::READ | topic::WRITE)));
        }
        match topic::find(topology, &header.default_topic) {
            Found::Topic(_, template)
                if self.settings.auto_create_topics
                    && template.permissions & topic::INHERIT != 0 =>
            {
                let asked = u32::try_from(header.default_topic_queue_nums).unwrap_or(0);
                let queues = asked.min(template.write).max(1);
                let permissions = template.permissions & !topic::INHERIT;
                Stop::Needs(Box::new(Need::topic(name, queues, permissions)))
            }
            Found::Topic(..) | Found::Taken | Found::Absent => Refused::no_topic(name).into(),
        }
    }

    /// An exchange has the name that a topic should have.
    pub(super) fn taken(&mut self, name: &str) -> Refused {
        self.note(format!(
            "topic \"{name}\" is refused: an exchange has its name"
        ));
        Refused::no_topic(name)
    }

    /// A retry that was tried too often goes to the dead letters of its group: their topic.
    fn dead_letter_topic(
        &mut self,
        request: &Request<'_>,
        header: &SendMessage<'_>,
        cx: &Context<'_>,
    ) -> Result<Option<String>, Stop> {
        let name = header
            .topic
            .strip_prefix(topic::RETRY_PREFIX)
            .unwrap_or_default();
        let group = group::find(cx.topology, name, self.settings.auto_create_groups)?;
        let config = self.configs.of(group);
        let max = match header.max_reconsume_times {
            Some(max) if request.asker.version >= Version::V3_4_9 => max,
            Some(_) | None => config.retry_max_times,
        };
        let is_dead = header.reconsume_times.unwrap_or(0) > max;
        Ok(is_dead.then(|| format!("{}{name}", topic::DEAD_PREFIX)))
    }

    fn send_plain(&mut self, draft: &Draft<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let due = draft.marks.due(&self.settings, cx.now)?;
        let unique = self.unique_of(&draft.marks, cx);
        let unique = draft.marks.unique.unwrap_or(&unique);
        let settings = Arc::clone(&self.settings);
        let mut added = usual(&settings, &draft.marks, unique);
        let (number, timer_out);
        match due {
            Due::Now => {}
            Due::Delayed(at) | Due::Timed(at) => {
                if let Due::Timed(_) = due {
                    timer_out = at.0.to_string();
                    added.push(name::TIMER_OUT_MS, &timer_out);
                }
                number = draft.partition.number.to_string();
                added.push(name::REAL_TOPIC, draft.topic);
                added.push(name::REAL_QUEUE_ID, &number);
            }
        }
        let mut native = std::mem::take(&mut self.scratch);
        let encoded = self.encode(draft, added.as_slice(), cx.now, &mut native);
        let result = encoded.and_then(|()| {
            let token = if draft.asker.oneway {
                None
            } else {
                let sent = Sent {
                    queue_id: draft.partition.number as i32,
                    unique: Unique::new(unique),
                    half: None,
                };
                Some(self.wait(draft.asker, What::Send(sent))?)
            };
            self.store(&draft.way(due), token, &native, cx);
            Ok(())
        });
        self.scratch = native;
        result.map_err(Stop::from)
    }

    /// A half message lies in the broker's own topic until it is decided; its record is already
    /// what will be delivered.
    fn send_half(&mut self, draft: &Draft<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let Found::Topic(half_topic, _) = topic::find(cx.topology, topic::HALF) else {
            return Err(Refused::no_topic(topic::HALF).into());
        };
        self.halves.check_room()?;
        let unique = self.unique_of(&draft.marks, cx);
        let unique = draft.marks.unique.unwrap_or(&unique);
        let number = draft.partition.number.to_string();
        let settings = Arc::clone(&self.settings);
        let mut added = usual(&settings, &draft.marks, unique);
        added.push(name::REAL_TOPIC, draft.topic);
        added.push(name::REAL_QUEUE_ID, &number);
        added.push(name::TRANSACTION_ID, unique);
        let mut native = std::mem::take(&mut self.scratch);
        let encoded = self.encode(draft, added.as_slice(), cx.now, &mut native);
        let half = Half::new(&draft.marks, draft.born_timestamp, cx.now);
        let result = encoded.and_then(|()| {
            let sent = Sent {
                queue_id: draft.partition.number as i32,
                unique: Unique::new(unique),
                half: Some(Box::new(half)),
            };
            // Also a one-way half message is looked after.
            let token = self.wait(draft.asker, What::Send(sent))?;
            let partition = PartitionId {
                address: half_topic.id,
                number: 0,
            };
            let key = draft.marks.key();
            let envelope = Envelope {
                persistent: true,
                partition: Some(0),
                body: body_range(&native),
                ..Envelope::new(language::REMOTING, topic::HALF, key, cx.now)
            };
            let publish = Publish {
                token: Some(token),
                envelope: &envelope,
                destinations: &[Destination::Partition(partition)],
                tag_hash: tag_hash(key),
                producer: None,
            };
            self.traffic.put(native.len(), cx.now);
            cx.pass.publish(draft.asker.session, publish, &[&native]);
            Ok(())
        });
        self.scratch = native;
        result.map_err(Stop::from)
    }

    /// A message is stored: the sender is told its name and place.
    pub(super) fn sent(
        &mut self,
        asker: Asker,
        sent: Sent,
        message: MessageRef,
        at: Option<(PartitionId, Position)>,
        cx: &mut Context<'_>,
    ) {
        let position = at.map(|(_, position)| position).unwrap_or_default();
        if let Some(half) = sent.half {
            self.halves.add(position, message, *half);
        }
        self.text.clear();
        // Writing into a string cannot fail.
        let _ = write!(self.text, "{}", self.offset_id(message));
        let header = SendMessageResponse {
            msg_id: self.text.as_str().into(),
            queue_id: sent.queue_id,
            queue_offset: position.0 as i64,
            transaction_id: Some(sent.unique.as_str().into()),
            msg_region: Some(REGION.into()),
            trace_on: Some("true".into()),
            ..SendMessageResponse::default()
        };
        asker.fields(&header, cx);
    }

    /// The id under which clients ask for a stored message.
    pub(super) fn offset_id(&self, message: MessageRef) -> OffsetMessageId {
        OffsetMessageId {
            host: self.settings.host(),
            physical_offset: message.as_u64() as i64,
        }
    }
}

pub fn check_size(body: &[u8], properties: &str) -> Result<(), Refused> {
    if body.is_empty() || body.len() > BODY_BYTES_MAX || properties.len() > PROPERTIES_BYTES_MAX {
        let remark = format!(
            "the message is illegal, maybe msg body or properties length not matched. msg body \
             length limit {BODY_BYTES_MAX}B, msg properties length limit 32KB."
        );
        return Err(Refused::new(ResponseCode::MessageIllegal, remark));
    }
    Ok(())
}
