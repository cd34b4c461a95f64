//! Frames in both serializations, whole and in pieces; every typed header read from their fields; and each frame
//! written again in both forms.

use remoting::header::Header;
use remoting::header::{admin, client, directory, offset, pop, pull, send, topic};
use remoting::{CommandRef, Decoder, FrameWriter, Prefix, Serialization};

pub fn run(data: &[u8]) {
    let Some((pieces, bytes)) = data.split_first() else {
        return;
    };
    let whole = converse(bytes, bytes.len().max(1));
    let cut = converse(bytes, bytes.len() / 32 + usize::from(*pieces) + 1);
    assert_eq!(whole, cut, "what is read must not depend on how it was cut");
}

fn converse(bytes: &[u8], piece: usize) -> Vec<String> {
    let decoder = Decoder::default();
    let mut heard = Vec::new();
    let mut unread = Vec::new();
    for piece in bytes.chunks(piece) {
        unread.extend_from_slice(piece);
        loop {
            let consumed = match decoder.feed(&unread) {
                Ok(Some((consumed, command))) => {
                    heard.push(words(&command));
                    headers(&command);
                    write(&command);
                    consumed
                }
                Ok(None) => break,
                Err(error) => {
                    heard.push(error.to_string());
                    return heard;
                }
            };
            unread.drain(..consumed);
        }
    }
    heard
}

/// Everything but the serialization, which a written frame may have changed.
fn words(command: &CommandRef<'_>) -> String {
    let fields: Vec<_> = command.ext.iter().collect();
    let CommandRef {
        code,
        language,
        version,
        opaque,
        flag,
        remark,
        body,
        ..
    } = command;
    format!("{code} {language:?} {version:?} {opaque:?} {flag:?} {remark:?} {fields:?} {body:?}")
}

fn write(command: &CommandRef<'_>) {
    for serialization in [Serialization::Json, Serialization::Binary] {
        let prefix = Prefix {
            code: command.code,
            language: command.language,
            version: command.version,
            opaque: command.opaque,
            flag: command.flag,
            remark: command.remark.as_deref(),
            serialization,
        };
        let mut out = Vec::new();
        let mut writer = FrameWriter::begin(&mut out, prefix);
        for (key, value) in command.ext.iter() {
            writer.field(&key, &value);
        }
        if writer.finish_with(command.body).is_err() {
            assert!(
                out.is_empty(),
                "a frame that cannot be written leaves nothing behind"
            );
            continue;
        }
        let fits = i16::try_from(command.code).is_ok() && i16::try_from(command.version.0).is_ok();
        if let Ok(Some((consumed, again))) = Decoder::default().feed(&out) {
            assert_eq!(consumed, out.len());
            assert!(!fits || again.code == command.code);
            assert_eq!(again.body, command.body);
        }
    }
}

fn headers(command: &CommandRef<'_>) {
    fn read<'a, H: Header<'a>>(command: &CommandRef<'a>) {
        let _ = H::parse(&command.ext);
    }
    read::<admin::BrokerConfigResponse>(command);
    read::<admin::ViewBrokerStats>(command);
    read::<admin::BrokerConsumeStats>(command);
    read::<admin::CheckRocksdbCqWriteProgress>(command);
    read::<admin::ExportRocksdbConfig>(command);
    read::<admin::ResetMasterFlushOffset>(command);
    read::<admin::CommitLogReadMode>(command);
    read::<admin::AddBroker>(command);
    read::<admin::RemoveBroker>(command);
    read::<admin::User>(command);
    read::<admin::UserFilter>(command);
    read::<admin::Subject>(command);
    read::<admin::DeleteAcl>(command);
    read::<admin::AclFilter>(command);
    read::<admin::CreateAccessConfig>(command);
    read::<admin::DeleteAccessConfig>(command);
    read::<admin::GlobalWhiteAddresses>(command);
    read::<admin::AclInfoResponse>(command);
    read::<client::HeartbeatResponse>(command);
    read::<client::UnregisterClient>(command);
    read::<client::ConsumerGroup>(command);
    read::<client::ProducerGroup>(command);
    read::<client::Group>(command);
    read::<client::GroupAndTopic>(command);
    read::<client::DeleteSubscriptionGroup>(command);
    read::<client::GroupForbidden>(command);
    read::<client::ConsumerRunningInfo>(command);
    read::<client::ConsumeMessageDirectly>(command);
    read::<client::AllSubscriptionGroups>(command);
    read::<client::AllSubscriptionGroupsResponse>(command);
    read::<directory::RouteInfo>(command);
    read::<directory::RegisterBroker>(command);
    read::<directory::RegisterBrokerResponse>(command);
    read::<directory::UnregisterBroker>(command);
    read::<directory::QueryDataVersion>(command);
    read::<directory::QueryDataVersionResponse>(command);
    read::<directory::BrokerHeartbeat>(command);
    read::<directory::MemberGroup>(command);
    read::<directory::PutKvConfig>(command);
    read::<directory::KvKey>(command);
    read::<directory::KvValue>(command);
    read::<directory::KvNamespace>(command);
    read::<directory::BrokerName>(command);
    read::<directory::WipeWritePermResponse>(command);
    read::<directory::AddWritePermResponse>(command);
    read::<directory::DeleteTopic>(command);
    read::<directory::Cluster>(command);
    read::<directory::MinBrokerIdChange>(command);
    read::<offset::QueryConsumerOffset>(command);
    read::<offset::UpdateConsumerOffset>(command);
    read::<offset::SearchOffset>(command);
    read::<offset::MaxOffset>(command);
    read::<offset::QueueOfTopic>(command);
    read::<offset::OffsetResponse>(command);
    read::<offset::TimestampResponse>(command);
    read::<offset::ConsumeStats>(command);
    read::<offset::ResetOffset>(command);
    read::<offset::ResetClientOffset>(command);
    read::<offset::ConsumerStatusFromClient>(command);
    read::<offset::ConsumerStatus>(command);
    read::<offset::CorrectionOffset>(command);
    read::<offset::CloneGroupOffset>(command);
    read::<offset::ConsumeTimeSpan>(command);
    read::<pop::PopMessage>(command);
    read::<pop::PopMessageResponse>(command);
    read::<pop::PeekMessage>(command);
    read::<pop::AckMessage>(command);
    read::<pop::ChangeInvisibleTime>(command);
    read::<pop::ChangeInvisibleTimeResponse>(command);
    read::<pop::Notification>(command);
    read::<pop::NotificationResponse>(command);
    read::<pop::PollingInfo>(command);
    read::<pop::PollingInfoResponse>(command);
    read::<pull::PullMessage>(command);
    read::<pull::PullMessageResponse>(command);
    read::<pull::QueryMessage>(command);
    read::<pull::QueryMessageResponse>(command);
    read::<pull::ViewMessageById>(command);
    read::<pull::QueryConsumeQueue>(command);
    read::<send::SendMessage>(command);
    read::<send::SendMessageResponse>(command);
    read::<send::ConsumerSendMsgBack>(command);
    read::<send::EndTransaction>(command);
    read::<send::CheckTransactionState>(command);
    read::<send::ResumeCheckHalfMessage>(command);
    read::<send::RecallMessage>(command);
    read::<send::RecallMessageResponse>(command);
    read::<send::PushReplyMessage>(command);
    read::<topic::CreateTopic>(command);
    read::<topic::Topic>(command);
    read::<topic::TopicConfigOf>(command);
    read::<topic::AllTopicConfig>(command);
    read::<topic::AllTopicConfigResponse>(command);
}
