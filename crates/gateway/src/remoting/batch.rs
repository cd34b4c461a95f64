//! Batches: 320. Each item is a message of its own.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

use broker::id::{MessageRef, PartitionId, Position};
use broker::topology::Address;
use remoting::ResponseCode;
use remoting::header::send::{SendMessage, SendMessageResponse};
use remoting::message::properties::{Properties, append};
use remoting::message::{BatchItems, sys_flag};

use super::asker::Asker;
use super::creation::Stop;
use super::dispatch::Request;
use super::message::{Due, Marks};
use super::pending::{self, PARTS_MAX};
use super::refusals::Refused;
use super::send::check_size;
use super::storing::{Draft, REGION, usual};
use super::unique::Unique;
use super::{RemotingDoor, What};
use crate::door::Context;

/// A batch of which not every message is stored yet.
#[derive(Debug)]
pub struct SentBatch {
    queue_id: i32,
    unique: Unique,
    messages: Vec<Option<MessageRef>>,
    left: usize,
    first: Position,
}

impl SentBatch {
    /// Notes a part; answers whether it was the last.
    pub fn is_whole_with(
        &mut self,
        part: usize,
        message: MessageRef,
        at: Option<(PartitionId, Position)>,
    ) -> bool {
        if let Some(place @ None) = self.messages.get_mut(part) {
            *place = Some(message);
            self.left -= 1;
            if part == 0 {
                self.first = at.map(|(_, position)| position).unwrap_or_default();
            }
        }
        self.left == 0
    }
}

impl RemotingDoor {
    pub(super) fn send_batch(
        &mut self,
        request: &Request<'_>,
        header: &SendMessage<'_>,
        address: &Address,
        partition: PartitionId,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let outer = header.properties.as_deref().unwrap_or_default();
        check_size(request.command.body, outer)?;
        // A bad batch is refused whole, so it is walked before anything is stored.
        let mut count = 0;
        for item in BatchItems::new(request.command.body) {
            let illegal = |remark: String| Refused::new(ResponseCode::MessageIllegal, remark);
            let item = item.map_err(|error| illegal(error.to_string()))?;
            let marks = Marks::of(item.properties);
            if marks.is_half || marks.delay_level() > 0 || marks.is_timed() {
                return Err(
                    illegal("a batch takes no delayed or transactional message".into()).into(),
                );
            }
            count += 1;
        }
        if count == 0 || count > PARTS_MAX {
            let remark = format!("a batch of {count} messages");
            return Err(Refused::new(ResponseCode::MessageIllegal, remark).into());
        }
        let asker = request.asker;
        let token = if asker.oneway {
            None
        } else {
            let batch = SentBatch {
                queue_id: partition.number as i32,
                unique: Unique::new(Marks::of(outer).unique.unwrap_or_default()),
                messages: vec![None; count],
                left: count,
                first: Position(0),
            };
            Some(self.wait(asker, What::Batch(batch))?)
        };
        let settings = Arc::clone(&self.settings);
        let mut native = std::mem::take(&mut self.scratch);
        for (part, item) in BatchItems::new(request.command.body).flatten().enumerate() {
            let properties = joined(item.properties, outer);
            let marks = Marks::of(&properties);
            let draft = Draft {
                asker,
                address,
                topic: &header.topic,
                partition,
                flag: item.flag,
                sys_flag: sys_flag::with_transaction(header.sys_flag, 0),
                born_timestamp: header.born_timestamp,
                reconsume_times: header.reconsume_times.unwrap_or(0),
                body: item.body,
                properties: &properties,
                marks,
            };
            let unique = self.unique_of(&marks, cx);
            let added = usual(&settings, &marks, &unique);
            if let Err(refused) = self.encode(&draft, added.as_slice(), cx.now, &mut native) {
                // What was stored before it stays, as in a batch that is cut by a crash.
                self.scratch = native;
                if let Some(token) = token {
                    self.take(token);
                }
                return Err(refused.into());
            }
            let token = token.map(|token| pending::with_part(token, part));
            self.store(&draft.way(Due::Now), token, &native, cx);
        }
        self.scratch = native;
        Ok(())
    }

    pub(super) fn sent_batch(&mut self, asker: Asker, batch: &SentBatch, cx: &mut Context<'_>) {
        self.text.clear();
        for (at, message) in batch.messages.iter().flatten().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let id = self.offset_id(*message);
            let _ = write!(self.text, "{comma}{id}");
        }
        let header = SendMessageResponse {
            msg_id: self.text.as_str().into(),
            queue_id: batch.queue_id,
            queue_offset: batch.first.0 as i64,
            transaction_id: Some(batch.unique.as_str().into()),
            msg_region: Some(REGION.into()),
            trace_on: Some("true".into()),
            ..SendMessageResponse::default()
        };
        asker.fields(&header, cx);
    }
}

/// An item's properties, and those of the batch that the item lacks.
fn joined(own: &str, outer: &str) -> String {
    let mut text = String::with_capacity(own.len() + outer.len() + 1);
    text.push_str(own);
    // Both texts have room for thousands of keys, and the item for thousands of neighbours.
    let mine: HashSet<&str> = Properties::new(own).iter().map(|(key, _)| key).collect();
    for (key, value) in Properties::new(outer).iter() {
        if !mine.contains(key) {
            append(&mut text, key, value);
        }
    }
    text
}
