//! Offsets of groups and ends of queues: 14, 15, 29 to 32; and one message by its name: 33.

use broker::event::{Answer, ReadOutcome, ReadResult};
use broker::id::{MessageRef, Millis, PartitionId, Position};
use broker::pass::{Command, Read, Side};
use broker::record::Record;
use broker::refusal::Refusal;
use remoting::header::Header;
use remoting::header::offset::{
    OffsetResponse, QueryConsumerOffset, QueueOfTopic, SearchOffset, TimestampResponse,
    UpdateConsumerOffset,
};
use remoting::header::pull::ViewMessageById;
use remoting::{RequestCode, ResponseCode};

use super::asker::Asker;
use super::creation::Stop;
use super::dispatch::Request;
use super::refusals::Refused;
use super::topic::{self, Found};
use super::{RemotingDoor, What, delivery};
use crate::access::{Action, Resource};
use crate::convert::to_remoting::Place;
use crate::door::Context;

/// A queue with fewer messages counts as lying in memory as a whole: a new group starts at its
/// first message, as Apache lets it while that is at hand.
const NEAR_MESSAGES_MAX: u64 = 1_000_000;
/// A message's offset is looked for in so many reads of so many messages around its time.
const VIEW_READS_MAX: u32 = 64;
const VIEW_MESSAGES_MAX: u32 = 1024;
const VIEW_BYTES_MAX: u32 = 4 << 20;

/// What an offset is asked of the broker for.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// Where a group stands.
    Cursor {
        partition: PartitionId,
        zero_if_none: bool,
    },
    /// Where a group may start that never said.
    Start,
    ByTime,
    Max,
    Min,
    Earliest,
    EarliestRecord,
    /// Whether an offset is kept.
    Kept,
}

/// A message that is looked for by its name.
#[derive(Clone, Copy, Debug)]
pub struct View {
    message: MessageRef,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Is it there, and in which partition?
    Find,
    /// Where in the partition are those of its time?
    Time(PartitionId),
    Read {
        partition: PartitionId,
        reads: u32,
    },
    /// Nothing tells its offset; it is shown without.
    Last,
}

impl RemotingDoor {
    fn partition_named(&self, topic: &str, queue_id: i32, cx: &Context<'_>) -> Option<PartitionId> {
        match topic::find(cx.topology, topic) {
            Found::Topic(address, _) => Some(PartitionId {
                address: address.id,
                number: u32::try_from(queue_id).ok()?,
            }),
            Found::Taken | Found::Absent => None,
        }
    }

    /// 14.
    pub(super) fn query_offset(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = QueryConsumerOffset::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(
            &asker,
            Action::Read,
            Resource::Group(&header.consumer_group),
            cx,
        )?;
        let partition = self.partition_named(&header.topic, header.queue_id, cx);
        let Some(partition) = partition else {
            return Err(Refused::never_said().into());
        };
        let zero_if_none = header.set_zero_if_not_found != Some(false);
        match cx.topology.group(&header.consumer_group) {
            Some(group) => {
                let group = group.id;
                let asked = Asked::Cursor {
                    partition,
                    zero_if_none,
                };
                let token = self.wait(asker, What::Offset(asked))?;
                cx.pass.push(
                    asker.session,
                    Command::Cursor {
                        token,
                        group,
                        partition,
                    },
                );
            }
            None if zero_if_none => {
                let token = self.wait(asker, What::Offset(Asked::Start))?;
                cx.pass
                    .push(asker.session, Command::Bounds { token, partition });
            }
            None => return Err(Refused::not_set_to_zero().into()),
        }
        Ok(())
    }

    /// 15.
    pub(super) fn update_offset(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = UpdateConsumerOffset::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(
            &asker,
            Action::Read,
            Resource::Group(&header.consumer_group),
            cx,
        )?;
        let Some(group) = cx.topology.group(&header.consumer_group) else {
            return Err(Refused::no_group(&header.consumer_group).into());
        };
        let (group, topology) = (group.id, cx.topology);
        let (address, partitions) = match topic::find(topology, &header.topic) {
            Found::Topic(address, partitions) => (address.id, partitions),
            Found::Taken | Found::Absent => return Err(Refused::no_topic(&header.topic).into()),
        };
        let number = u32::try_from(header.queue_id)
            .ok()
            .filter(|id| *id < partitions.read.max(partitions.write));
        let offset = u64::try_from(header.commit_offset).ok();
        let (Some(number), Some(offset)) = (number, offset) else {
            let remark = format!(
                "queueId[{}] or offset[{}] is illegal",
                header.queue_id, header.commit_offset
            );
            return Err(Refused::invalid(asker.version, remark).into());
        };
        let partition = PartitionId { address, number };
        let offset = Position(offset);
        cx.pass.push(
            asker.session,
            Command::SetCursor {
                group,
                partition,
                offset,
            },
        );
        // Who waits for the answer may ask for the offset next.
        if !asker.oneway {
            let token = self.wait(asker, What::Offset(Asked::Kept))?;
            cx.pass.push(asker.session, Command::Barrier { token });
        }
        Ok(())
    }

    /// 29.
    pub(super) fn search_offset(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = SearchOffset::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(&asker, Action::Read, Resource::Address(&header.topic), cx)?;
        let Some(partition) = self.partition_named(&header.topic, header.queue_id, cx) else {
            asker.fields(&OffsetResponse { offset: 0 }, cx);
            return Ok(());
        };
        let time = Millis(u64::try_from(header.timestamp).unwrap_or(0));
        let side = match header.boundary_type.as_deref() {
            Some(text) if text.eq_ignore_ascii_case("upper") => Side::Upper,
            Some(_) | None => Side::Lower,
        };
        let token = self.wait(asker, What::Offset(Asked::ByTime))?;
        cx.pass.push(
            asker.session,
            Command::OffsetAt {
                token,
                partition,
                time,
                side,
            },
        );
        Ok(())
    }

    /// 30, 31 and 32.
    pub(super) fn end_offset(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = QueueOfTopic::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(&asker, Action::Read, Resource::Address(&header.topic), cx)?;
        let asked = match request.code {
            RequestCode::GetMaxOffset => Asked::Max,
            RequestCode::GetEarliestMsgStoreTime => Asked::Earliest,
            _ => Asked::Min,
        };
        match self.partition_named(&header.topic, header.queue_id, cx) {
            Some(partition) => {
                let token = self.wait(asker, What::Offset(asked))?;
                cx.pass
                    .push(asker.session, Command::Bounds { token, partition });
            }
            None if request.code == RequestCode::GetEarliestMsgStoreTime => {
                asker.fields(&TimestampResponse { timestamp: -1 }, cx);
            }
            None => asker.fields(&OffsetResponse { offset: 0 }, cx),
        }
        Ok(())
    }

    pub(super) fn offset_answered(
        &mut self,
        asker: Asker,
        asked: Asked,
        result: Result<Answer, Refusal>,
        cx: &mut Context<'_>,
    ) {
        let answer = match result {
            Ok(answer) => answer,
            Err(refusal) => {
                asker.refuse(&(&refusal).into(), cx);
                return;
            }
        };
        let offset = |position: Position| OffsetResponse {
            offset: position.0 as i64,
        };
        match (asked, answer) {
            (Asked::Cursor { .. }, Answer::Offset(Some(at))) => asker.fields(&offset(at), cx),
            (
                Asked::Cursor {
                    partition,
                    zero_if_none: true,
                },
                Answer::Offset(None),
            ) => match self.wait(asker, What::Offset(Asked::Start)) {
                Ok(token) => {
                    cx.pass
                        .push(asker.session, Command::Bounds { token, partition });
                }
                Err(refused) => asker.refuse(&refused, cx),
            },
            (Asked::Start, Answer::Bounds(bounds))
                if bounds.first == Position(0)
                    && (1..NEAR_MESSAGES_MAX).contains(&bounds.next.0) =>
            {
                asker.fields(&offset(Position(0)), cx);
            }
            (Asked::Kept, Answer::Done) => asker.done(cx),
            (Asked::ByTime, Answer::Offset(found)) => {
                asker.fields(&offset(found.unwrap_or_default()), cx);
            }
            (Asked::Max, Answer::Bounds(bounds)) => asker.fields(&offset(bounds.next), cx),
            (Asked::Min, Answer::Bounds(bounds)) => asker.fields(&offset(bounds.first), cx),
            (Asked::Earliest, Answer::Bounds(bounds)) => {
                let Some(message) = bounds.earliest else {
                    asker.fields(&TimestampResponse { timestamp: -1 }, cx);
                    return;
                };
                match self.wait(asker, What::Offset(Asked::EarliestRecord)) {
                    Ok(token) => cx
                        .pass
                        .push(asker.session, Command::Find { token, message }),
                    Err(refused) => asker.refuse(&refused, cx),
                }
            }
            (Asked::EarliestRecord, Answer::Message(message)) => {
                let record = cx
                    .records
                    .record(message)
                    .and_then(|b| Record::decode(b).ok());
                let timestamp = record.map_or(-1, |record| record.envelope.received.0 as i64);
                asker.fields(&TimestampResponse { timestamp }, cx);
            }
            (
                Asked::Cursor {
                    zero_if_none: false,
                    ..
                },
                Answer::Offset(None),
            ) => asker.refuse(&Refused::not_set_to_zero(), cx),
            // A group that never said where it stands decides for itself where it starts.
            (_, _) => asker.refuse(&Refused::never_said(), cx),
        }
    }

    /// 33.
    pub(super) fn view(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let header = ViewMessageById::parse(&request.command.ext)?;
        let message = u64::try_from(header.offset)
            .ok()
            .and_then(MessageRef::from_u64);
        let message = message.ok_or_else(|| no_message(header.offset))?;
        let view = View {
            message,
            stage: Stage::Find,
        };
        self.look(request.asker, view, cx)?;
        Ok(())
    }

    fn look(&mut self, asker: Asker, view: View, cx: &mut Context<'_>) -> Result<(), Refused> {
        let message = view.message;
        let token = self.wait(asker, What::View(Box::new(view)))?;
        cx.pass
            .push(asker.session, Command::Find { token, message });
        Ok(())
    }

    pub(super) fn viewed(
        &mut self,
        asker: Asker,
        view: View,
        result: Result<Answer, Refusal>,
        cx: &mut Context<'_>,
    ) {
        let next = match (view.stage, result) {
            (Stage::Find, Ok(Answer::Message(message))) => self.view_found(asker, message, cx),
            (Stage::Time(partition), Ok(Answer::Offset(Some(offset)))) => {
                self.view_from(asker, view.message, partition, offset, 0, cx)
            }
            (Stage::Last, Ok(Answer::Message(message))) => {
                self.show(asker, message, None, cx);
                Ok(())
            }
            (Stage::Time(_) | Stage::Read { .. }, Ok(_)) => self.look(
                asker,
                View {
                    stage: Stage::Last,
                    ..view
                },
                cx,
            ),
            (_, Ok(_) | Err(_)) => Err(no_message(view.message.as_u64() as i64)),
        };
        if let Err(refused) = next {
            asker.refuse(&refused, cx);
        }
    }

    /// The message is there; its offset is looked for among those of its time.
    fn view_found(
        &mut self,
        asker: Asker,
        message: MessageRef,
        cx: &mut Context<'_>,
    ) -> Result<(), Refused> {
        let records = cx.records;
        let record = records
            .record(message)
            .and_then(|bytes| Record::decode(bytes).ok());
        let place = record.as_ref().and_then(|record| {
            let number = i32::try_from(record.envelope.partition?).ok()?;
            let partition = self.partition_named(record.envelope.address, number, cx)?;
            Some((partition, record.envelope.received))
        });
        match place {
            Some((partition, time)) => {
                let view = View {
                    message,
                    stage: Stage::Time(partition),
                };
                let token = self.wait(asker, What::View(Box::new(view)))?;
                let side = Side::Lower;
                cx.pass.push(
                    asker.session,
                    Command::OffsetAt {
                        token,
                        partition,
                        time,
                        side,
                    },
                );
            }
            None => self.show(asker, message, None, cx),
        }
        Ok(())
    }

    fn view_from(
        &mut self,
        asker: Asker,
        message: MessageRef,
        partition: PartitionId,
        offset: Position,
        reads: u32,
        cx: &mut Context<'_>,
    ) -> Result<(), Refused> {
        let view = View {
            message,
            stage: Stage::Read { partition, reads },
        };
        let token = self.wait(asker, What::View(Box::new(view)))?;
        let read = Read {
            partition,
            offset,
            messages_max: VIEW_MESSAGES_MAX,
            bytes_max: VIEW_BYTES_MAX,
            tags: None,
            filter: None,
            wait_until: None,
        };
        cx.pass.push(asker.session, Command::Read { token, read });
        Ok(())
    }

    pub(super) fn view_read(
        &mut self,
        asker: Asker,
        view: View,
        result: &ReadResult,
        cx: &mut Context<'_>,
    ) {
        let found = result
            .messages
            .iter()
            .find(|(_, message)| *message == view.message);
        if let Some((position, message)) = found {
            self.show(asker, *message, Some(*position), cx);
            return;
        }
        let next = match view.stage {
            Stage::Read { partition, reads }
                if reads < VIEW_READS_MAX && result.outcome == ReadOutcome::Found =>
            {
                self.view_from(asker, view.message, partition, result.next, reads + 1, cx)
            }
            Stage::Find | Stage::Time(_) | Stage::Read { .. } | Stage::Last => self.look(
                asker,
                View {
                    stage: Stage::Last,
                    ..view
                },
                cx,
            ),
        };
        if let Err(refused) = next {
            asker.refuse(&refused, cx);
        }
    }

    fn show(
        &mut self,
        asker: Asker,
        message: MessageRef,
        position: Option<Position>,
        cx: &mut Context<'_>,
    ) {
        let host = self.settings.host();
        let records = cx.records;
        let record = records
            .record(message)
            .and_then(|b| Some((b, Record::decode(b).ok()?)));
        let Some((bytes, record)) = record else {
            asker.refuse(&no_message(message.as_u64() as i64), cx);
            return;
        };
        let place = Place {
            topic: record.envelope.address,
            queue_id: record.envelope.partition.unwrap_or(0) as i32,
            queue_offset: position.unwrap_or_default().0 as i64,
            message,
            host,
        };
        let mut body = Vec::with_capacity(bytes.len());
        delivery::append(bytes, &place, &mut body);
        asker.body(&body, cx);
    }
}

fn no_message(offset: i64) -> Refused {
    let remark = format!("can not find message by the offset, {offset}");
    Refused::new(ResponseCode::SystemError, remark)
}
