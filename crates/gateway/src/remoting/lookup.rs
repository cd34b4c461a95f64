//! One message by its name: 33. The broker knows where a message lies, but not at which offset of
//! its queue: that is looked for around the time at which it came.

use broker::event::{Answer, ReadOutcome, ReadResult};
use broker::id::{MessageRef, PartitionId, Position};
use broker::pass::{Command, Read, Side};
use broker::record::Record;
use broker::refusal::Refusal;
use remoting::ResponseCode;
use remoting::header::Header;
use remoting::header::pull::ViewMessageById;

use super::asker::Asker;
use super::creation::Stop;
use super::dispatch::Request;
use super::refusals::Refused;
use super::{RemotingDoor, What, delivery};
use crate::convert::to_remoting::Place;
use crate::door::Context;

/// A message's offset is looked for in so many reads of so many messages around its time.
const VIEW_READS_MAX: u32 = 64;
const VIEW_MESSAGES_MAX: u32 = 1024;
const VIEW_BYTES_MAX: u32 = 4 << 20;

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

    fn look_last(&mut self, asker: Asker, view: View, cx: &mut Context<'_>) -> Result<(), Refused> {
        let stage = Stage::Last;
        self.look(asker, View { stage, ..view }, cx)
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
            (Stage::Time(_) | Stage::Read { .. }, Ok(_)) => self.look_last(asker, view, cx),
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
        let place = cx.record(message).and_then(|record| {
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
            Stage::Find | Stage::Time(_) | Stage::Read { .. } | Stage::Last => {
                self.look_last(asker, view, cx)
            }
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
