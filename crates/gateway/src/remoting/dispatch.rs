//! The table of requests.

use broker::id::SessionId;
use remoting::{CommandRef, RequestCode, ResponseCode};

use super::RemotingDoor;
use super::asker::Asker;
use super::creation::{Aside, Stop, What};
use super::refusals::Refused;
use crate::access::{Action, Resource};
use crate::door::Context;

/// A request under way.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    pub asker: Asker,
    pub code: RequestCode,
    pub command: &'r CommandRef<'r>,
    /// What it needed before and did not get.
    pub refused: &'r [(Box<str>, Refused)],
}

impl Request<'_> {
    /// Why something that the request needs is not there, if it was tried already.
    pub fn refusal_of(&self, key: &str) -> Option<&Refused> {
        self.refused
            .iter()
            .find(|(tried, _)| **tried == *key)
            .map(|(_, refused)| refused)
    }
}

impl RemotingDoor {
    /// One frame of a peer.
    pub(super) fn command(
        &mut self,
        session: SessionId,
        frame: &[u8],
        command: &CommandRef<'_>,
        cx: &mut Context<'_>,
    ) {
        // We ask nothing that is answered.
        if command.is_response() {
            return;
        }
        let asker = Asker::new(session, command, self.settings.version);
        if let Err(refused) = self.admit(session, command) {
            asker.refuse(&refused, cx);
            return;
        }
        self.carry_out(asker, frame, command, Vec::new(), cx);
    }

    /// Goes on with a request that was kept aside.
    pub(super) fn again(&mut self, aside: Aside, cx: &mut Context<'_>) {
        let Aside {
            asker,
            what,
            refused,
        } = aside;
        match what {
            What::Frame(frame) => {
                // It was decoded before, with limits that were not wider.
                if let Ok(Some((_, command))) = remoting::Decoder::default().feed(&frame) {
                    self.carry_out(asker, &frame, &command, refused, cx);
                }
            }
            What::SendBack(back) => self.send_back_again(asker, *back, refused, cx),
            What::Transactions => self.start_transactions(&refused, cx),
        }
    }

    fn carry_out(
        &mut self,
        asker: Asker,
        frame: &[u8],
        command: &CommandRef<'_>,
        refused: Vec<(Box<str>, Refused)>,
        cx: &mut Context<'_>,
    ) {
        let result = match command.request_code() {
            Some(code) => {
                let request = Request {
                    asker,
                    code,
                    command,
                    refused: &refused,
                };
                self.dispatch(&request, cx)
            }
            None => Err(unsupported(command.code).into()),
        };
        match result {
            Ok(()) => {}
            Err(Stop::Refused(refused)) => asker.refuse(&refused, cx),
            Err(Stop::Needs(need)) => {
                let aside = Aside {
                    asker,
                    what: What::Frame(frame.to_vec()),
                    refused,
                };
                self.set_aside(*need, aside, cx);
            }
        }
    }

    /// Who may ask at all. A signature promises that we check it, and we cannot yet.
    fn admit(&self, session: SessionId, command: &CommandRef<'_>) -> Result<(), Refused> {
        let is_known = self
            .connections
            .get(&session)
            .is_some_and(|known| known.user.is_some());
        if !is_known {
            let remark = "anonymous access is allowed from this machine only";
            return Err(Refused::new(ResponseCode::NoPermission, remark));
        }
        if command
            .ext
            .iter()
            .any(|(key, _)| key == "AccessKey" || key == "Signature")
        {
            let remark = "this broker does not check signatures yet: send without credentials";
            return Err(Refused::new(ResponseCode::NoPermission, remark));
        }
        Ok(())
    }

    /// Whether the peer may do something.
    pub(super) fn allow(
        &self,
        asker: &Asker,
        action: Action,
        resource: Resource<'_>,
        cx: &Context<'_>,
    ) -> Result<(), Refused> {
        let user = self
            .connections
            .get(&asker.session)
            .and_then(|known| known.user.as_ref());
        if user.is_some_and(|user| cx.access.authorize(user, action, resource)) {
            return Ok(());
        }
        let name = match resource {
            Resource::Address(name) | Resource::Queue(name) | Resource::Group(name) => name,
        };
        Err(Refused::new(
            ResponseCode::NoPermission,
            format!("no permission on {name}"),
        ))
    }

    fn dispatch(&mut self, request: &Request<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        use RequestCode as Code;
        match request.code {
            Code::SendMessage | Code::SendMessageV2 | Code::SendBatchMessage => {
                let result = self.send(request, cx);
                if let Err(Stop::Refused(_)) = &result {
                    self.traffic.put_failed(cx.now);
                }
                result
            }
            Code::PullMessage | Code::LitePullMessage => self.pull(request, cx),
            Code::ViewMessageById => self.view(request, cx),
            Code::ConsumerSendMsgBack => self.send_back(request, cx),
            Code::EndTransaction => self.end_transaction(request, cx),

            Code::QueryConsumerOffset => self.query_offset(request, cx),
            Code::UpdateConsumerOffset => self.update_offset(request, cx),
            Code::SearchOffsetByTimestamp => self.search_offset(request, cx),
            Code::GetMaxOffset | Code::GetMinOffset | Code::GetEarliestMsgStoreTime => {
                self.end_offset(request, cx)
            }

            Code::HeartBeat => self.heartbeat(request, cx),
            Code::UnregisterClient => self.unregister(request, cx),
            Code::CheckClientConfig => self.check_client(request, cx),
            Code::GetConsumerListByGroup => self.consumer_list(request, cx),
            Code::GetConsumerConnectionList => self.consumer_connections(request, cx),
            Code::GetProducerConnectionList => self.producer_connections(request, cx),
            Code::QueryTopicConsumeByWho => self.consumers_of_topic(request, cx),
            Code::QueryAssignment => self.query_assignment(request, cx),
            Code::LockBatchMq => self.lock_queues(request, cx),
            Code::UnlockBatchMq => self.unlock_queues(request, cx),

            Code::GetRouteInfoByTopic => self.route_of(request, cx),
            Code::GetBrokerClusterInfo => self.cluster_info(request, cx),
            Code::GetAllTopicListFromNameServer | Code::GetTopicsByCluster => {
                self.topic_list(request, cx)
            }
            Code::GetSystemTopicListFromNameServer | Code::GetSystemTopicListFromBroker => {
                self.system_topics(request, cx)
            }
            Code::GetKvConfig | Code::GetKvListByNamespace => self.kv_config(request),
            // What the broker has dropped is in no route.
            Code::DeleteTopicInNameServer | Code::DeleteKvConfig => {
                request.asker.done(cx);
                Ok(())
            }

            Code::UpdateAndCreateTopic => self.update_topic(request, cx),
            Code::DeleteTopicInBroker => self.delete_topic(request, cx),
            Code::GetAllTopicConfig => self.all_topics(request, cx),
            Code::GetTopicConfig => self.topic_config(request, cx),
            Code::UpdateAndCreateSubscriptionGroup => self.update_group(request, cx),
            Code::DeleteSubscriptionGroup => self.delete_group(request, cx),
            Code::GetAllSubscriptionGroupConfig => self.all_groups(request, cx),
            Code::GetSubscriptionGroupConfig => self.group_config(request, cx),
            Code::GetTopicStatsInfo => self.topic_stats(request, cx),
            Code::GetConsumeStats => self.consume_stats(request, cx),
            Code::GetBrokerRuntimeInfo => self.runtime_info(request, cx),

            Code::QueryMessage
            | Code::UpdateAndCreateTopicList
            | Code::UpdateBrokerConfig
            | Code::GetBrokerConfig
            | Code::CheckTransactionState
            | Code::NotifyConsumerIdsChanged
            | Code::GetAllConsumerOffset
            | Code::GetAllDelayOffset
            | Code::UpdateAndCreateAclConfig
            | Code::DeleteAclConfig
            | Code::GetBrokerClusterAclInfo
            | Code::UpdateGlobalWhiteAddrsConfig
            | Code::GetBrokerClusterAclConfig
            | Code::GetTimerCheckPoint
            | Code::GetTimerMetrics
            | Code::PutKvConfig
            | Code::RegisterBroker
            | Code::UnregisterBroker
            | Code::WipeWritePermOfBroker
            | Code::RegisterTopicInNameServer
            | Code::ResetConsumerClientOffset
            | Code::GetConsumerStatusFromClient
            | Code::InvokeBrokerToResetOffset
            | Code::InvokeBrokerToGetConsumerStatus
            | Code::UpdateAndCreateSubscriptionGroupList
            | Code::QueryConsumeTimeSpan
            | Code::CleanExpiredConsumeQueue
            | Code::GetConsumerRunningInfo
            | Code::QueryCorrectionOffset
            | Code::ConsumeMessageDirectly
            | Code::GetUnitTopicList
            | Code::GetHasUnitSubTopicList
            | Code::GetHasUnitSubUnunitTopicList
            | Code::CloneGroupOffset
            | Code::ViewBrokerStatsData
            | Code::CleanUnusedTopic
            | Code::GetBrokerConsumeStats
            | Code::UpdateNameServerConfig
            | Code::GetNameServerConfig
            | Code::QueryConsumeQueue
            | Code::QueryDataVersion
            | Code::ResumeCheckHalfMessage
            | Code::SendReplyMessage
            | Code::SendReplyMessageV2
            | Code::PushReplyMessageToClient
            | Code::AddWritePermOfBroker
            | Code::GetAllProducerInfo
            | Code::DeleteExpiredCommitLog
            | Code::QueryTopicsByConsumer
            | Code::QuerySubscriptionByConsumer
            | Code::UpdateAndGetGroupForbidden
            | Code::CheckRocksdbCqWriteProgress
            | Code::ExportRocksdbConfigToJson
            | Code::RecallMessage
            | Code::SetMessageRequestMode
            | Code::GetAllMessageRequestMode
            | Code::UpdateAndCreateStaticTopic
            | Code::GetBrokerMemberGroup
            | Code::AddBroker
            | Code::RemoveBroker
            | Code::BrokerHeartbeat
            | Code::NotifyMinBrokerIdChange
            | Code::ExchangeBrokerHaInfo
            | Code::GetBrokerHaStatus
            | Code::ResetMasterFlushOffset
            | Code::ControllerAlterSyncStateSet
            | Code::ControllerElectMaster
            | Code::ControllerRegisterBroker
            | Code::ControllerGetReplicaInfo
            | Code::ControllerGetMetadataInfo
            | Code::ControllerGetSyncStateData
            | Code::GetBrokerEpochCache
            | Code::NotifyBrokerRoleChanged
            | Code::UpdateControllerConfig
            | Code::GetControllerConfig
            | Code::CleanBrokerData
            | Code::ControllerGetNextBrokerId
            | Code::ControllerApplyBrokerId
            | Code::UpdateColdDataFlowCtrConfig
            | Code::RemoveColdDataFlowCtrConfig
            | Code::GetColdDataFlowCtrInfo
            | Code::SetCommitLogReadMode
            | Code::AuthCreateUser
            | Code::AuthUpdateUser
            | Code::AuthDeleteUser
            | Code::AuthGetUser
            | Code::AuthListUser
            | Code::AuthCreateAcl
            | Code::AuthUpdateAcl
            | Code::AuthDeleteAcl
            | Code::AuthGetAcl
            | Code::AuthListAcl
            | Code::PopMessage
            | Code::AckMessage
            | Code::PeekMessage
            | Code::ChangeMessageInvisibleTime
            | Code::Notification
            | Code::PollingInfo
            | Code::PopRollback
            | Code::BatchAckMessage => Err(unsupported(request.command.code).into()),
        }
    }
}

fn unsupported(code: i32) -> Refused {
    let remark = format!(" request type {code} not supported");
    Refused::new(ResponseCode::RequestCodeNotSupported, remark)
}
