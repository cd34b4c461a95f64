//! Pulling: 11 and 361. A pull is a read; one that finds nothing at the end waits, if it may, and
//! is answered when something comes that it wants.

use std::sync::Arc;

use broker::event::{ReadOutcome, ReadResult};
use broker::id::{Millis, PartitionId, Position};
use broker::pass::{Command, Read};
use remoting::ResponseCode;
use remoting::header::Header;
use remoting::header::pull::{PullMessage, PullMessageResponse, pull_flag};

use super::asker::Asker;
use super::clients;
use super::connection::UNSENT_BYTES_MAX;
use super::creation::Stop;
use super::dispatch::Request;
use super::refusals::Refused;
use super::topic::{self, Found};
use super::{RemotingDoor, What, delivery, group};
use crate::access::{Action, Resource};
use crate::convert::to_remoting::Place;
use crate::door::Context;

/// What one pull answers at most, whatever it asks for; the first message always fits.
const MESSAGES_MAX: u32 = 32;
const BYTES_MAX: u32 = 256 * 1024;
/// How long a pull may wait.
const HOLD_MS_MAX: u64 = 120_000;

/// A pull under way.
#[derive(Debug)]
pub struct Pull {
    partition: PartitionId,
    /// The name of the topic.
    topic: Arc<str>,
    offset: Position,
    messages_max: u32,
    bytes_max: u32,
    tags: Option<Arc<[u32]>>,
    /// It may wait until then.
    hold_until: Option<Millis>,
    is_held: bool,
    topic_sys_flag: i32,
    group_sys_flag: i32,
}

impl RemotingDoor {
    pub(super) fn pull(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        match self.start_pull(request, cx) {
            // Clients decode the fields before they look at the code.
            Err(Stop::Refused(refused)) => {
                refuse(request.asker, &refused, cx);
                Ok(())
            }
            other => other,
        }
    }

    fn start_pull(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let asker = request.asker;
        let header = PullMessage::parse(&request.command.ext)?;
        let group_name: &str = &header.consumer_group;
        self.allow(&asker, Action::Read, Resource::Group(group_name), cx)?;
        self.allow(&asker, Action::Read, Resource::Address(&header.topic), cx)?;
        let group = group::find(cx.topology, group_name, self.settings.auto_create_groups)?;
        let config = self.configs.of(group);
        if !config.consume_enable {
            let remark = format!("subscription group no permission, {group_name}");
            return Err(Refused::new(ResponseCode::NoPermission, remark).into());
        }
        let (address, partitions) = match topic::find(cx.topology, &header.topic) {
            Found::Topic(address, partitions) => (address, partitions),
            Found::Taken => return Err(self.taken(&header.topic).into()),
            Found::Absent => return Err(Refused::no_topic(&header.topic).into()),
        };
        if partitions.permissions & topic::READ == 0 {
            let remark = format!("the topic[{}] pulling message is forbidden", header.topic);
            return Err(Refused::new(ResponseCode::NoPermission, remark).into());
        }
        let number = u32::try_from(header.queue_id)
            .ok()
            .filter(|id| *id < partitions.read);
        let Some(number) = number else {
            let remark = format!(
                "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}]",
                header.queue_id, header.topic, partitions.read
            );
            return Err(Refused::invalid(asker.version, remark).into());
        };
        let tags = self.wanted_tags(&header, config.consume_broadcast_enable)?;
        let partition = PartitionId {
            address: address.id,
            number,
        };
        if header.sys_flag & pull_flag::COMMIT_OFFSET != 0
            && let Ok(offset) = u64::try_from(header.commit_offset)
        {
            let offset = Position(offset);
            let command = Command::SetCursor {
                group: group.id,
                partition,
                offset,
            };
            cx.pass.push(asker.session, command);
        }
        let may_wait = header.sys_flag & pull_flag::SUSPEND != 0;
        let hold_ms = u64::try_from(header.suspend_timeout_millis)
            .unwrap_or(0)
            .min(HOLD_MS_MAX);
        let bytes_max = header.max_msg_bytes.and_then(|max| u32::try_from(max).ok());
        let pull = Pull {
            partition,
            topic: Arc::clone(&address.spec.name),
            offset: Position(u64::try_from(header.queue_offset).unwrap_or(0)),
            messages_max: u32::try_from(header.max_msg_nums)
                .unwrap_or(1)
                .clamp(1, MESSAGES_MAX),
            bytes_max: bytes_max.unwrap_or(BYTES_MAX).clamp(1, BYTES_MAX),
            tags,
            hold_until: may_wait.then(|| cx.now.plus(hold_ms)),
            is_held: false,
            topic_sys_flag: topic::Extras::of(partitions).sys_flag,
            group_sys_flag: config.group_sys_flag,
        };
        self.ask_for(asker, pull, cx)?;
        Ok(())
    }

    /// The tags that a pull wants: its own words, or what its group has subscribed to.
    fn wanted_tags(
        &self,
        header: &PullMessage<'_>,
        broadcast_enabled: bool,
    ) -> Result<Option<Arc<[u32]>>, Refused> {
        let unserved = |kind: &str| {
            let remark =
                format!("The broker does not support consumer to filter message by {kind}");
            Refused::new(ResponseCode::SystemError, remark)
        };
        if header.sys_flag & pull_flag::CLASS_FILTER != 0 {
            return Err(unserved("class filter"));
        }
        if header.sys_flag & pull_flag::SUBSCRIPTION != 0 {
            match header.expression_type.as_deref() {
                None | Some("" | "TAG") => {}
                Some(other) => return Err(unserved(other)),
            }
            let text = header.subscription.as_deref().unwrap_or_default();
            return clients::tags_of(text).map_err(|_| {
                let remark = "parse the consumer's subscription failed";
                Refused::new(ResponseCode::SubscriptionParseFailed, remark)
            });
        }
        let group = self
            .clients
            .consumer_group(&header.consumer_group)
            .ok_or_else(|| {
                let remark = "the consumer's group info not exist";
                Refused::new(ResponseCode::SubscriptionNotExist, remark)
            })?;
        if group.is_broadcasting() && !broadcast_enabled {
            let remark = format!(
                "the consumer group[{}] can not consume by broadcast way",
                header.consumer_group
            );
            return Err(Refused::new(ResponseCode::NoPermission, remark));
        }
        let known = group.subscriptions.get(&*header.topic).ok_or_else(|| {
            let remark = "the consumer's subscription not exist";
            Refused::new(ResponseCode::SubscriptionNotExist, remark)
        })?;
        match known.data.expression_type.as_deref() {
            // The client wants something that its heartbeat has not told us. Apache refuses with 25,
            // and a client of 5.x whose two heartbeats met a second after its start (it drops the
            // one behind a rebalance then) stands still until the next, 30 s later. Every client
            // picks by tag again what it gets, so all is always right.
            None | Some("" | "TAG") if known.data.sub_version < header.sub_version => Ok(None),
            None | Some("" | "TAG") => Ok(known.tags.clone()),
            Some(other) => Err(unserved(other)),
        }
    }

    fn ask_for(&mut self, asker: Asker, pull: Pull, cx: &mut Context<'_>) -> Result<(), Refused> {
        let read = Read {
            partition: pull.partition,
            offset: pull.offset,
            messages_max: pull.messages_max,
            bytes_max: pull.bytes_max,
            tags: pull.tags.clone(),
            filter: None,
            wait_until: if pull.is_held { pull.hold_until } else { None },
        };
        let token = self.wait(asker, What::Pull(Box::new(pull)))?;
        cx.pass.push(asker.session, Command::Read { token, read });
        Ok(())
    }

    pub(super) fn pulled(
        &mut self,
        asker: Asker,
        mut pull: Pull,
        result: &ReadResult,
        cx: &mut Context<'_>,
    ) {
        let may_wait = pull.hold_until.is_some_and(|until| until > cx.now);
        let waits = match result.outcome {
            ReadOutcome::AtEnd => may_wait,
            ReadOutcome::Empty => may_wait && pull.offset == Position(0),
            // Woken by what it does not want, it goes on waiting behind that.
            ReadOutcome::NoneWanted => may_wait && pull.is_held,
            ReadOutcome::Found | ReadOutcome::PastEnd | ReadOutcome::BeforeFirst => false,
        };
        // Something that waited as long as it could is not asked again within the same moment.
        if waits && !(pull.is_held && result.outcome != ReadOutcome::NoneWanted) {
            if result.outcome == ReadOutcome::NoneWanted {
                pull.offset = result.next;
            }
            pull.is_held = true;
            if let Err(refused) = self.ask_for(asker, pull, cx) {
                refuse(asker, &refused, cx);
            }
            return;
        }
        self.answer_pull(asker, &pull, result, cx);
    }

    fn answer_pull(
        &mut self,
        asker: Asker,
        pull: &Pull,
        result: &ReadResult,
        cx: &mut Context<'_>,
    ) {
        use ResponseCode::{PullNotFound, PullOffsetMoved, PullRetryImmediately, Success};
        self.traffic.pulled(result.messages.len(), cx.now);
        let bounds = &result.bounds;
        let (code, remark, next) = match result.outcome {
            ReadOutcome::Found => (Success, "FOUND", result.next),
            ReadOutcome::NoneWanted => (PullRetryImmediately, "NO_MATCHED_MESSAGE", result.next),
            ReadOutcome::AtEnd => (PullNotFound, "OFFSET_OVERFLOW_ONE", pull.offset),
            ReadOutcome::PastEnd => (PullOffsetMoved, "OFFSET_OVERFLOW_BADLY", bounds.next),
            ReadOutcome::BeforeFirst => (PullOffsetMoved, "OFFSET_TOO_SMALL", bounds.first),
            ReadOutcome::Empty if pull.offset == Position(0) => {
                (PullNotFound, "NO_MESSAGE_IN_QUEUE", Position(0))
            }
            // A topic that was made anew: the client's offset is of its former life.
            ReadOutcome::Empty => (PullOffsetMoved, "NO_MESSAGE_IN_QUEUE", Position(0)),
        };
        let header = PullMessageResponse {
            suggest_which_broker_id: 0,
            next_begin_offset: next.0 as i64,
            max_offset: bounds.next.0 as i64,
            min_offset: bounds.first.0 as i64,
            // Only static topics have one.
            offset_delta: None,
            topic_sys_flag: Some(pull.topic_sys_flag),
            group_sys_flag: Some(pull.group_sys_flag),
            forbidden_type: None,
        };
        if code != Success {
            asker.fields_under(code, Some(remark), &header, cx);
            return;
        }
        if cx.links.unsent(asker.session) > UNSENT_BYTES_MAX {
            refuse(
                asker,
                &Refused::busy("bytes that this connection does not read"),
                cx,
            );
            return;
        }
        let host = self.settings.host();
        asker.fields_and_body(Some(remark), &header, cx, |out, records| {
            for (position, message) in &result.messages {
                let place = Place {
                    topic: &pull.topic,
                    queue_id: pull.partition.number as i32,
                    queue_offset: position.0 as i64,
                    message: *message,
                    host,
                };
                if let Some(bytes) = records.record(*message) {
                    delivery::append(bytes, &place, out);
                }
            }
        });
    }
}

/// A refusal with the fields that every answer to a pull must have.
fn refuse(asker: Asker, refused: &Refused, cx: &mut Context<'_>) {
    let header = PullMessageResponse::default();
    asker.fields_under(refused.code, Some(&refused.remark), &header, cx);
}
