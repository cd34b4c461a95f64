//! Offsets of groups and ends of queues: 14, 15, 29 to 32.

use broker::event::Answer;
use broker::id::{Millis, PartitionId, Position};
use broker::pass::{Command, Side};
use broker::refusal::Refusal;
use remoting::RequestCode;
use remoting::header::Header;
use remoting::header::offset::{
    OffsetResponse, QueryConsumerOffset, QueueOfTopic, SearchOffset, TimestampResponse,
    UpdateConsumerOffset,
};

use super::asker::Asker;
use super::creation::Stop;
use super::dispatch::Request;
use super::refusals::Refused;
use super::topic::{self, Found};
use super::{RemotingDoor, What};
use crate::access::{Action, Resource};
use crate::door::Context;

/// A queue with fewer messages counts as lying in memory as a whole: a new group starts at its
/// first message, as Apache lets it while that is at hand.
const NEAR_MESSAGES_MAX: u64 = 1_000_000;
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

impl RemotingDoor {
    pub(super) fn partition_named(
        &self,
        topic: &str,
        queue_id: i32,
        cx: &Context<'_>,
    ) -> Option<PartitionId> {
        match topic::find(cx.topology, topic) {
            Found::Topic(address, _) => Some(PartitionId {
                address: address.id,
                number: u32::try_from(queue_id).ok()?,
            }),
            Found::Taken | Found::Absent => None,
        }
    }

    fn ask_bounds(
        &mut self,
        asker: Asker,
        asked: Asked,
        partition: PartitionId,
        cx: &mut Context<'_>,
    ) -> Result<(), Refused> {
        let token = self.wait(asker, What::Offset(asked))?;
        cx.pass
            .push(asker.session, Command::Bounds { token, partition });
        Ok(())
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
                self.ask_bounds(asker, Asked::Start, partition, cx)?;
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
            Some(partition) => self.ask_bounds(asker, asked, partition, cx)?,
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
            ) => {
                if let Err(refused) = self.ask_bounds(asker, Asked::Start, partition, cx) {
                    asker.refuse(&refused, cx);
                }
            }
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
                let received = cx.record(message).map(|record| record.envelope.received);
                let timestamp = received.map_or(-1, |received| received.0 as i64);
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
}
