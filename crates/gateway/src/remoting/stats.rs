//! Where queues end and where groups stand: 202 and 208; who stands somewhere in a topic: 300. Each
//! is many questions to the broker and one answer.

use std::collections::{BTreeMap, BTreeSet};

use broker::event::{Answer, Bounds};
use broker::id::{AddressId, GroupId, PartitionId, Position};
use broker::pass::Command;
use broker::refusal::Refusal;
use remoting::ResponseCode;
use remoting::body::{
    ConsumeStats, GroupList, MessageQueue, OffsetWrapper, TopicOffset, TopicStatsTable, to_vec,
};
use remoting::header::Header;
use remoting::header::offset::ConsumeStats as ConsumeStatsOf;
use remoting::header::topic::Topic;

use super::asker::Asker;
use super::creation::Stop;
use super::dispatch::Request;
use super::pending::{self, PARTS_MAX};
use super::refusals::Refused;
use super::topic::{self, Found};
use super::{RemotingDoor, What};
use crate::access::{Action, Resource};
use crate::door::Context;

/// An answer that is put together.
#[derive(Debug)]
pub struct Gather {
    kind: Kind,
    /// What 300 asks about.
    topic: Box<str>,
    rows: Vec<Row>,
    left: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Topic,
    /// Of the topics that are asked for by name.
    Group,
    /// Of the topics in which the group stands somewhere.
    GroupWhereItStands,
    /// Rows are of groups, not of queues.
    Groups,
}

#[derive(Debug)]
struct Row {
    /// Whose cursor it is, where several groups are looked at.
    group: Box<str>,
    queue: MessageQueue,
    bounds: Bounds,
    cursor: Option<Position>,
}

impl Gather {
    /// Takes an answer to a part: even ones are ends, odd ones cursors. Answers whether it was the
    /// last.
    pub fn is_whole_with(&mut self, part: usize, result: &Result<Answer, Refusal>) -> bool {
        if let Some(row) = self.rows.get_mut(part / 2) {
            match result {
                Ok(Answer::Bounds(bounds)) => row.bounds = *bounds,
                Ok(Answer::Offset(cursor)) => row.cursor = *cursor,
                // What went away meanwhile counts as empty.
                Ok(_) | Err(_) => {}
            }
        }
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }
}

impl RemotingDoor {
    fn rows_of(
        &self,
        name: &str,
        count: u32,
        address: AddressId,
        group: &str,
    ) -> Vec<(Row, PartitionId)> {
        let row = |number: u32| {
            let queue = MessageQueue {
                broker_name: self.settings.broker.to_string(),
                queue_id: number as i32,
                topic: name.to_owned(),
            };
            let row = Row {
                group: group.into(),
                queue,
                bounds: Bounds::default(),
                cursor: None,
            };
            (row, PartitionId { address, number })
        };
        (0..count).map(row).collect()
    }

    /// 202.
    pub(super) fn topic_stats(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = Topic::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(&asker, Action::Read, Resource::Address(&header.topic), cx)?;
        let rows = match topic::find(cx.topology, &header.topic) {
            Found::Topic(address, partitions) => {
                let count = partitions.read.max(partitions.write);
                self.rows_of(&header.topic, count, address.id, "")
            }
            Found::Taken | Found::Absent => {
                let remark = format!("topic[{}] not exist", header.topic);
                return Err(Refused::new(ResponseCode::TopicNotExist, remark).into());
            }
        };
        let (rows, partitions): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let gather = Gather {
            kind: Kind::Topic,
            topic: Box::default(),
            left: rows.len(),
            rows,
        };
        if partitions.is_empty() {
            self.gathered(asker, gather, cx);
            return Ok(());
        }
        let token = self.wait(asker, What::Gather(Box::new(gather)))?;
        for (at, partition) in partitions.into_iter().enumerate() {
            let token = pending::with_part(token, at * 2);
            cx.pass
                .push(asker.session, Command::Bounds { token, partition });
        }
        Ok(())
    }

    /// 208: the topics that are named, or those in which the group has an offset; while it is
    /// online, only what it wants.
    pub(super) fn consume_stats(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = ConsumeStatsOf::parse(&request.command.ext)?;
        let asker = request.asker;
        let name: &str = &header.consumer_group;
        self.allow(&asker, Action::Read, Resource::Group(name), cx)?;
        let named: Vec<String> = [header.topic.as_deref(), header.topic_list.as_deref()]
            .into_iter()
            .flatten()
            .flat_map(|text| text.split(';'))
            .filter(|topic| !topic.is_empty())
            .map(str::to_owned)
            .collect();
        let kind = match named.is_empty() {
            true => Kind::GroupWhereItStands,
            false => Kind::Group,
        };
        let online = self.clients.consumer_group(name);
        let wants = |topic: &str| {
            header.topic_list.is_some()
                || online.is_none_or(|group| {
                    group.subscriptions.is_empty() || group.subscriptions.contains_key(topic)
                })
        };
        let mut topics = match kind {
            Kind::GroupWhereItStands => topic::all(cx.topology)
                .filter(|(_, partitions)| !partitions.system)
                .map(|(address, _)| address.spec.name.to_string())
                .collect(),
            Kind::Group | Kind::Topic | Kind::Groups => named,
        };
        topics.retain(|topic| wants(topic));
        let group = cx.topology.group(name).map(|group| group.id);
        let mut rows = Vec::new();
        if group.is_some() {
            for topic in topics {
                if let Found::Topic(address, partitions) = topic::find(cx.topology, &topic) {
                    // A header has room for a large topic many thousand times.
                    if (rows.len() + partitions.read as usize) * 2 > PARTS_MAX {
                        return Err(Refused::busy("queues of one question").into());
                    }
                    rows.extend(self.rows_of(&topic, partitions.read, address.id, ""));
                }
            }
        }
        let (rows, partitions): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let gather = Gather {
            kind,
            topic: Box::default(),
            left: rows.len() * 2,
            rows,
        };
        let (Some(group), false) = (group, partitions.is_empty()) else {
            self.gathered(asker, gather, cx);
            return Ok(());
        };
        let token = self.wait(asker, What::Gather(Box::new(gather)))?;
        for (at, partition) in partitions.into_iter().enumerate() {
            let bounds = pending::with_part(token, at * 2);
            cx.pass.push(
                asker.session,
                Command::Bounds {
                    token: bounds,
                    partition,
                },
            );
            let cursor = pending::with_part(token, at * 2 + 1);
            cx.pass.push(
                asker.session,
                Command::Cursor {
                    token: cursor,
                    group,
                    partition,
                },
            );
        }
        Ok(())
    }

    /// 300: who is online and wants the topic, or has an offset in it.
    pub(super) fn consumers_of_topic(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = Topic::parse(&request.command.ext)?;
        let asker = request.asker;
        let mut rows = Vec::new();
        let mut questions: Vec<(GroupId, PartitionId)> = Vec::new();
        if let Found::Topic(address, partitions) = topic::find(cx.topology, &header.topic) {
            for group in cx.topology.groups() {
                if (rows.len() + partitions.read as usize) * 2 > PARTS_MAX {
                    return Err(Refused::busy("queues of one question").into());
                }
                let name = &group.spec.name;
                for (row, partition) in
                    self.rows_of(&header.topic, partitions.read, address.id, name)
                {
                    rows.push(row);
                    questions.push((group.id, partition));
                }
            }
        }
        let gather = Gather {
            kind: Kind::Groups,
            topic: (&*header.topic).into(),
            left: rows.len(),
            rows,
        };
        if questions.is_empty() {
            self.gathered(asker, gather, cx);
            return Ok(());
        }
        let token = self.wait(asker, What::Gather(Box::new(gather)))?;
        for (at, (group, partition)) in questions.into_iter().enumerate() {
            let token = pending::with_part(token, at * 2 + 1);
            cx.pass.push(
                asker.session,
                Command::Cursor {
                    token,
                    group,
                    partition,
                },
            );
        }
        Ok(())
    }

    pub(super) fn gathered(&mut self, asker: Asker, gather: Gather, cx: &mut Context<'_>) {
        let body = match gather.kind {
            Kind::Topic => {
                let table: BTreeMap<_, _> = gather
                    .rows
                    .into_iter()
                    .map(|row| {
                        let offset = TopicOffset {
                            // When the last message came, nobody has noted.
                            last_update_timestamp: 0,
                            max_offset: row.bounds.next.0 as i64,
                            min_offset: row.bounds.first.0 as i64,
                        };
                        (row.queue, offset)
                    })
                    .collect();
                to_vec(&TopicStatsTable {
                    offset_table: table,
                    topic_put_tps: Some(0.0),
                })
            }
            Kind::Groups => {
                let online = self.clients.consumer_groups();
                let online =
                    online.filter(|(_, group)| group.subscriptions.contains_key(&*gather.topic));
                let mut names: BTreeSet<String> = online.map(|(name, _)| name.to_owned()).collect();
                let standing = gather.rows.into_iter().filter(|row| row.cursor.is_some());
                names.extend(standing.map(|row| row.group.into_string()));
                to_vec(&GroupList {
                    group_list: names.into_iter().collect(),
                })
            }
            Kind::Group | Kind::GroupWhereItStands => {
                let stands: BTreeSet<String> = gather
                    .rows
                    .iter()
                    .filter(|row| row.cursor.is_some())
                    .map(|row| row.queue.topic.clone())
                    .collect();
                let is_named = gather.kind == Kind::Group;
                let table: BTreeMap<_, _> = gather
                    .rows
                    .into_iter()
                    .filter(|row| is_named || stands.contains(&row.queue.topic))
                    .map(|row| {
                        let cursor = row.cursor.unwrap_or_default().0 as i64;
                        let offset = OffsetWrapper {
                            broker_offset: row.bounds.next.0 as i64,
                            consumer_offset: cursor,
                            last_timestamp: 0,
                            pull_offset: Some(cursor),
                        };
                        (row.queue, offset)
                    })
                    .collect();
                to_vec(&ConsumeStats {
                    consume_tps: 0.0,
                    offset_table: table,
                })
            }
        };
        asker.body(&body, cx);
    }
}
