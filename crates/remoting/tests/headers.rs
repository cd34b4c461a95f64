//! Every typed header: what is written is read, what is required is missed.

use std::fmt::Debug;

use remoting::header::{
    Header, HeaderError, admin, client, directory, offset, pop, pull, send, topic,
};
use remoting::{
    CommandRef, Decoder, FrameWriter, Opaque, Prefix, RequestCode, Serialization, Version,
};

const FORMS: [Serialization; 2] = [Serialization::Json, Serialization::Binary];

fn prefix(form: Serialization) -> Prefix<'static> {
    Prefix::request(RequestCode::SendMessage, Opaque(1), Version::V5_3_3).serialization(form)
}

fn decode(frame: &[u8]) -> CommandRef<'static> {
    // Leaked so that headers of one lifetime can be compared across frames.
    let frame = frame.to_vec().leak();
    Decoder::default()
        .feed(frame)
        .expect("decodes")
        .expect("is complete")
        .1
}

fn with_fields<'f>(
    form: Serialization,
    fields: impl Iterator<Item = (&'f str, String)>,
) -> CommandRef<'static> {
    let mut out = Vec::new();
    let mut frame = FrameWriter::begin(&mut out, prefix(form));
    for (key, value) in fields {
        frame.field(key, &value);
    }
    frame.finish().expect("fits");
    decode(&out)
}

fn check<H: Header<'static> + Default + Debug + PartialEq>() {
    let sample = |at: usize| (at + 41).to_string();
    let all = || {
        H::FIELDS
            .iter()
            .enumerate()
            .map(|(at, key)| (*key, sample(at)))
    };
    for form in FORMS {
        let full = with_fields(form, all());
        let header = H::parse(&full.ext).expect("is full");
        let mut out = Vec::new();
        FrameWriter::begin(&mut out, prefix(form))
            .header(&header)
            .finish()
            .expect("fits");
        let written = decode(&out);
        assert_eq!(H::parse(&written.ext), Ok(header));
        // A number is not a boolean, so those come back as false; all else as it was.
        let values: Vec<_> = written.ext.iter().collect();
        assert_eq!(values.len(), H::FIELDS.len());
        for ((key, value), (expected_key, expected)) in values.into_iter().zip(all()) {
            assert_eq!(key, expected_key);
            assert!(value == expected || value == "false", "{key}: {value}");
        }
        for missing in H::FIELDS {
            let command = with_fields(form, all().filter(|(key, _)| key != missing));
            if let Err(error) = H::parse(&command.ext) {
                assert_eq!(error, HeaderError::Missing { field: missing });
            }
        }
    }
}

#[test]
fn every_header_round_trips() {
    check::<admin::BrokerConfigResponse<'_>>();
    check::<admin::ViewBrokerStats<'_>>();
    check::<admin::BrokerConsumeStats>();
    check::<admin::CheckRocksdbCqWriteProgress<'_>>();
    check::<admin::ExportRocksdbConfig<'_>>();
    check::<admin::ResetMasterFlushOffset>();
    check::<admin::CommitLogReadMode<'_>>();
    check::<admin::AddBroker<'_>>();
    check::<admin::RemoveBroker<'_>>();
    check::<admin::User<'_>>();
    check::<admin::UserFilter<'_>>();
    check::<admin::Subject<'_>>();
    check::<admin::DeleteAcl<'_>>();
    check::<admin::AclFilter<'_>>();
    check::<admin::CreateAccessConfig<'_>>();
    check::<admin::DeleteAccessConfig<'_>>();
    check::<admin::GlobalWhiteAddresses<'_>>();
    check::<admin::AclInfoResponse<'_>>();
    check::<client::HeartbeatResponse>();
    check::<client::UnregisterClient<'_>>();
    check::<client::ConsumerGroup<'_>>();
    check::<client::ProducerGroup<'_>>();
    check::<client::Group<'_>>();
    check::<client::GroupAndTopic<'_>>();
    check::<client::DeleteSubscriptionGroup<'_>>();
    check::<client::GroupForbidden<'_>>();
    check::<client::ConsumerRunningInfo<'_>>();
    check::<client::ConsumeMessageDirectly<'_>>();
    check::<client::AllSubscriptionGroups<'_>>();
    check::<client::AllSubscriptionGroupsResponse>();
    check::<directory::RouteInfo<'_>>();
    check::<directory::RegisterBroker<'_>>();
    check::<directory::RegisterBrokerResponse<'_>>();
    check::<directory::UnregisterBroker<'_>>();
    check::<directory::QueryDataVersion<'_>>();
    check::<directory::QueryDataVersionResponse>();
    check::<directory::BrokerHeartbeat<'_>>();
    check::<directory::MemberGroup<'_>>();
    check::<directory::PutKvConfig<'_>>();
    check::<directory::KvKey<'_>>();
    check::<directory::KvValue<'_>>();
    check::<directory::KvNamespace<'_>>();
    check::<directory::BrokerName<'_>>();
    check::<directory::WipeWritePermResponse>();
    check::<directory::AddWritePermResponse>();
    check::<directory::DeleteTopic<'_>>();
    check::<directory::Cluster<'_>>();
    check::<directory::MinBrokerIdChange<'_>>();
    check::<offset::QueryConsumerOffset<'_>>();
    check::<offset::UpdateConsumerOffset<'_>>();
    check::<offset::SearchOffset<'_>>();
    check::<offset::MaxOffset<'_>>();
    check::<offset::QueueOfTopic<'_>>();
    check::<offset::OffsetResponse>();
    check::<offset::TimestampResponse>();
    check::<offset::ConsumeStats<'_>>();
    check::<offset::ResetOffset<'_>>();
    check::<offset::ResetClientOffset<'_>>();
    check::<offset::ConsumerStatusFromClient<'_>>();
    check::<offset::ConsumerStatus<'_>>();
    check::<offset::CorrectionOffset<'_>>();
    check::<offset::CloneGroupOffset<'_>>();
    check::<offset::ConsumeTimeSpan<'_>>();
    check::<pop::PopMessage<'_>>();
    check::<pop::PopMessageResponse<'_>>();
    check::<pop::PeekMessage<'_>>();
    check::<pop::AckMessage<'_>>();
    check::<pop::ChangeInvisibleTime<'_>>();
    check::<pop::ChangeInvisibleTimeResponse>();
    check::<pop::Notification<'_>>();
    check::<pop::NotificationResponse>();
    check::<pop::PollingInfo<'_>>();
    check::<pop::PollingInfoResponse>();
    check::<pull::PullMessage<'_>>();
    check::<pull::PullMessageResponse>();
    check::<pull::QueryMessage<'_>>();
    check::<pull::QueryMessageResponse>();
    check::<pull::ViewMessageById<'_>>();
    check::<pull::QueryConsumeQueue<'_>>();
    check::<send::SendMessage<'_>>();
    check::<send::SendMessageV2<'_>>();
    check::<send::SendMessageResponse<'_>>();
    check::<send::ConsumerSendMsgBack<'_>>();
    check::<send::EndTransaction<'_>>();
    check::<send::CheckTransactionState<'_>>();
    check::<send::ResumeCheckHalfMessage<'_>>();
    check::<send::RecallMessage<'_>>();
    check::<send::RecallMessageResponse<'_>>();
    check::<send::PushReplyMessage<'_>>();
    check::<topic::CreateTopic<'_>>();
    check::<topic::Topic<'_>>();
    check::<topic::TopicConfigOf<'_>>();
    check::<topic::AllTopicConfig<'_>>();
    check::<topic::AllTopicConfigResponse>();
}

#[test]
fn booleans_are_java_booleans() {
    for (text, value) in [("true", true), ("TRUE", true), ("1", false), ("", false)] {
        let fields = [
            ("topic", "t".to_owned()),
            ("queueId", "1".into()),
            ("committed", text.into()),
        ];
        let command = with_fields(Serialization::Json, fields.into_iter());
        let header = offset::MaxOffset::parse(&command.ext).expect("is full");
        assert_eq!(header.committed, Some(value), "{text}");
    }
}
