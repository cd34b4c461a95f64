//! Clients come, stay and go: 34, 35; who they are: 38, 203, 204; change notices: 40; locks of
//! orderly consumers: 41, 42; and what a client may subscribe to: 46.

use remoting::body::{
    CheckClientBody, Connection, ConsumerConnection, ConsumerData, ConsumerIdList, HeartbeatData,
    LockBatchBody, LockBatchResponse, ProducerConnection, from_slice, to_vec,
};
use remoting::header::Header;
use remoting::header::client::{ConsumerGroup, HeartbeatResponse, ProducerGroup, UnregisterClient};
use remoting::{RequestCode, ResponseCode};

use super::RemotingDoor;
use super::clients::Client;
use super::creation::{Need, Stop};
use super::dispatch::Request;
use super::group;
use super::refusals::Refused;
use super::topic::{self, Found};
use crate::access::{Action, Resource};
use crate::door::Context;

impl RemotingDoor {
    /// 34. Answered when the groups and their retry topics exist.
    pub(super) fn heartbeat(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let asker = request.asker;
        let beat: HeartbeatData = from_slice(request.command.body).map_err(unreadable)?;
        self.clients
            .check_room(asker.session, &beat)
            .map_err(Refused::busy)?;
        let mut welcome = Vec::with_capacity(beat.consumer_data_set.len());
        for data in &beat.consumer_data_set {
            if self.prepare_group(request, data, cx)? {
                welcome.push(data);
            }
        }
        let Some(connection) = self.connections.get(&asker.session) else {
            return Ok(());
        };
        let client = Client {
            id: beat.client_id.as_str().into(),
            address: connection.peer.remote,
            language: asker.language,
            version: asker.version,
            last_beat: cx.now,
        };
        // A heartbeat without a fingerprint says everything every time; Apache answers it with yes.
        let mut must_say_again = beat.heartbeat_fingerprint == 0;
        for data in welcome {
            must_say_again |= self.clients.consumes(
                asker.session,
                client.clone(),
                data,
                beat.heartbeat_fingerprint,
                beat.without_sub,
            );
        }
        for data in beat
            .producer_data_set
            .iter()
            .filter(|data| group::is_legal(&data.group_name))
        {
            self.clients
                .produces(&data.group_name, asker.session, client.clone());
        }
        // Who has to give queues away hears of it before the newcomer may take them, as in Apache.
        self.notify_changed_groups(cx);
        let header = HeartbeatResponse {
            is_support_heart_beat_v2: Some(true),
            is_sub_change: Some(must_say_again),
        };
        asker.fields(&header, cx);
        Ok(())
    }

    /// Sees to a consumer group and its retry topic; answers whether the group may be joined. One
    /// that cannot be had is passed over, as in Apache.
    fn prepare_group(
        &mut self,
        request: &Request<'_>,
        data: &ConsumerData,
        cx: &mut Context<'_>,
    ) -> Result<bool, Stop> {
        let name = &data.group_name;
        let resource = Resource::Group(name);
        if self
            .allow(&request.asker, Action::Read, resource, cx)
            .is_err()
        {
            return Ok(false);
        }
        if request.refusal_of(&format!("group {name}")).is_some() {
            return Ok(false);
        }
        let group = match group::find(cx.topology, name, self.settings.auto_create_groups) {
            Ok(group) => group,
            Err(Stop::Refused(_)) => return Ok(false),
            Err(needs) => return Err(needs),
        };
        let config = self.configs.of(group);
        let retry = format!("{}{name}", topic::RETRY_PREFIX);
        let queues = u32::try_from(config.retry_queue_nums).unwrap_or(0);
        if queues > 0
            && let Found::Absent = topic::find(cx.topology, &retry)
        {
            let need = Need::topic(&retry, queues, topic::READ | topic::WRITE);
            if request.refusal_of(&need.key).is_none() {
                return Err(Stop::Needs(Box::new(need)));
            }
        }
        Ok(true)
    }

    /// 35.
    pub(super) fn unregister(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = UnregisterClient::parse(&request.command.ext)?;
        let (producer, consumer) = (&header.producer_group, &header.consumer_group);
        self.clients.unregister(
            request.asker.session,
            producer.as_deref(),
            consumer.as_deref(),
        );
        request.asker.done(cx);
        Ok(())
    }

    /// 40, once for each group that changed with a heartbeat or otherwise in this pass.
    pub(super) fn notify_changed_groups(&mut self, cx: &mut Context<'_>) {
        let persona = self.settings.version;
        for name in self.clients.take_changed() {
            let wants = cx
                .topology
                .group(&name)
                .is_none_or(|group| self.configs.of(group).notify_consumer_ids_changed_enable);
            let Some(group) = self.clients.consumer_group(&name) else {
                continue;
            };
            if !wants || group.is_broadcasting() {
                continue;
            }
            let header = ConsumerGroup {
                consumer_group: (&*name).into(),
            };
            for session in group.members.keys() {
                if let Some(connection) = self.connections.get_mut(session) {
                    let code = RequestCode::NotifyConsumerIdsChanged;
                    connection.tell(*session, code, &header, &[], persona, cx);
                }
            }
        }
    }

    /// 46.
    pub(super) fn check_client(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let body: CheckClientBody = from_slice(request.command.body).map_err(unreadable)?;
        let kind = body.subscription_data.and_then(|data| data.expression_type);
        match kind.as_deref() {
            None | Some("" | "TAG") => {
                request.asker.done(cx);
                Ok(())
            }
            Some(other) => {
                let remark =
                    format!("The broker does not support consumer to filter message by {other}");
                Err(Refused::new(ResponseCode::SystemError, remark).into())
            }
        }
    }

    /// 38: in an order that is the same for everybody who asks.
    pub(super) fn consumer_list(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = ConsumerGroup::parse(&request.command.ext)?;
        let group = self
            .clients
            .consumer_group(&header.consumer_group)
            .ok_or_else(|| {
                let remark = format!("no consumer for this group, {}", header.consumer_group);
                Refused::new(ResponseCode::SystemError, remark)
            })?;
        let consumer_id_list = group.client_ids();
        request
            .asker
            .body(&to_vec(&ConsumerIdList { consumer_id_list }), cx);
        Ok(())
    }

    /// 203.
    pub(super) fn consumer_connections(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = ConsumerGroup::parse(&request.command.ext)?;
        let group = self
            .clients
            .consumer_group(&header.consumer_group)
            .ok_or_else(|| {
                let remark = format!("the consumer group[{}] not online", header.consumer_group);
                Refused::new(ResponseCode::ConsumerNotOnline, remark)
            })?;
        let subscriptions = group.subscriptions.iter();
        let body = ConsumerConnection {
            connection_set: group.members.values().map(shown).collect(),
            consume_from_where: group.from_where,
            consume_type: group.consume_type,
            message_model: group.model,
            subscription_table: subscriptions
                .map(|(topic, known)| (topic.to_string(), known.data.clone()))
                .collect(),
        };
        request.asker.body(&to_vec(&body), cx);
        Ok(())
    }

    /// 204.
    pub(super) fn producer_connections(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = ProducerGroup::parse(&request.command.ext)?;
        let members = self
            .clients
            .producer_group(&header.producer_group)
            .ok_or_else(|| {
                let remark = format!("the producer group[{}] not exist", header.producer_group);
                Refused::new(ResponseCode::SystemError, remark)
            })?;
        let body = ProducerConnection {
            connection_set: members.values().map(shown).collect(),
        };
        request.asker.body(&to_vec(&body), cx);
        Ok(())
    }

    /// 41.
    pub(super) fn lock_queues(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let body: LockBatchBody = from_slice(request.command.body).map_err(unreadable)?;
        self.allow(
            &request.asker,
            Action::Read,
            Resource::Group(&body.consumer_group),
            cx,
        )?;
        let LockBatchBody {
            client_id,
            consumer_group,
            mq_set,
            ..
        } = body;
        let held = mq_set
            .into_iter()
            .filter(|mq| {
                self.locks
                    .lock(&consumer_group, &mq.topic, mq.queue_id, &client_id, cx.now)
            })
            .collect();
        request.asker.body(
            &to_vec(&LockBatchResponse {
                lock_ok_mq_set: held,
            }),
            cx,
        );
        Ok(())
    }

    /// 42.
    pub(super) fn unlock_queues(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let body: LockBatchBody = from_slice(request.command.body).map_err(unreadable)?;
        for mq in &body.mq_set {
            self.locks.unlock(
                &body.consumer_group,
                &mq.topic,
                mq.queue_id,
                &body.client_id,
            );
        }
        request.asker.done(cx);
        Ok(())
    }
}

fn shown(client: &Client) -> Connection {
    Connection {
        client_addr: client.address.to_string(),
        client_id: client.id.to_string(),
        language: client.language.name().to_owned(),
        version: client.version.0,
    }
}

pub fn unreadable(error: impl std::fmt::Display) -> Refused {
    Refused::new(
        ResponseCode::SystemError,
        format!("the body of the request: {error}"),
    )
}
