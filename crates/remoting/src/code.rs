//! The numbers of the wire: request and response codes, languages, versions.

/// Declares an enum whose variants have a number and a name on the wire.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $text] $variant,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            pub fn to_wire(self) -> i32 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            fn exact(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name that the reference implementation gives it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

numbered! {
    /// What a command asks for.
    RequestCode {
        SendMessage = 10 "SEND_MESSAGE",
        PullMessage = 11 "PULL_MESSAGE",
        QueryMessage = 12 "QUERY_MESSAGE",
        QueryConsumerOffset = 14 "QUERY_CONSUMER_OFFSET",
        UpdateConsumerOffset = 15 "UPDATE_CONSUMER_OFFSET",
        UpdateAndCreateTopic = 17 "UPDATE_AND_CREATE_TOPIC",
        UpdateAndCreateTopicList = 18 "UPDATE_AND_CREATE_TOPIC_LIST",
        GetAllTopicConfig = 21 "GET_ALL_TOPIC_CONFIG",
        UpdateBrokerConfig = 25 "UPDATE_BROKER_CONFIG",
        GetBrokerConfig = 26 "GET_BROKER_CONFIG",
        GetBrokerRuntimeInfo = 28 "GET_BROKER_RUNTIME_INFO",
        SearchOffsetByTimestamp = 29 "SEARCH_OFFSET_BY_TIMESTAMP",
        GetMaxOffset = 30 "GET_MAX_OFFSET",
        GetMinOffset = 31 "GET_MIN_OFFSET",
        GetEarliestMsgStoreTime = 32 "GET_EARLIEST_MSG_STORETIME",
        ViewMessageById = 33 "VIEW_MESSAGE_BY_ID",
        HeartBeat = 34 "HEART_BEAT",
        UnregisterClient = 35 "UNREGISTER_CLIENT",
        ConsumerSendMsgBack = 36 "CONSUMER_SEND_MSG_BACK",
        EndTransaction = 37 "END_TRANSACTION",
        GetConsumerListByGroup = 38 "GET_CONSUMER_LIST_BY_GROUP",
        CheckTransactionState = 39 "CHECK_TRANSACTION_STATE",
        NotifyConsumerIdsChanged = 40 "NOTIFY_CONSUMER_IDS_CHANGED",
        LockBatchMq = 41 "LOCK_BATCH_MQ",
        UnlockBatchMq = 42 "UNLOCK_BATCH_MQ",
        GetAllConsumerOffset = 43 "GET_ALL_CONSUMER_OFFSET",
        GetAllDelayOffset = 45 "GET_ALL_DELAY_OFFSET",
        CheckClientConfig = 46 "CHECK_CLIENT_CONFIG",
        UpdateAndCreateAclConfig = 50 "UPDATE_AND_CREATE_ACL_CONFIG",
        DeleteAclConfig = 51 "DELETE_ACL_CONFIG",
        GetBrokerClusterAclInfo = 52 "GET_BROKER_CLUSTER_ACL_INFO",
        UpdateGlobalWhiteAddrsConfig = 53 "UPDATE_GLOBAL_WHITE_ADDRS_CONFIG",
        GetBrokerClusterAclConfig = 54 "GET_BROKER_CLUSTER_ACL_CONFIG",
        GetTimerCheckPoint = 60 "GET_TIMER_CHECK_POINT",
        GetTimerMetrics = 61 "GET_TIMER_METRICS",
        PutKvConfig = 100 "PUT_KV_CONFIG",
        GetKvConfig = 101 "GET_KV_CONFIG",
        DeleteKvConfig = 102 "DELETE_KV_CONFIG",
        RegisterBroker = 103 "REGISTER_BROKER",
        UnregisterBroker = 104 "UNREGISTER_BROKER",
        GetRouteInfoByTopic = 105 "GET_ROUTEINFO_BY_TOPIC",
        GetBrokerClusterInfo = 106 "GET_BROKER_CLUSTER_INFO",
        UpdateAndCreateSubscriptionGroup = 200 "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP",
        GetAllSubscriptionGroupConfig = 201 "GET_ALL_SUBSCRIPTIONGROUP_CONFIG",
        GetTopicStatsInfo = 202 "GET_TOPIC_STATS_INFO",
        GetConsumerConnectionList = 203 "GET_CONSUMER_CONNECTION_LIST",
        GetProducerConnectionList = 204 "GET_PRODUCER_CONNECTION_LIST",
        WipeWritePermOfBroker = 205 "WIPE_WRITE_PERM_OF_BROKER",
        GetAllTopicListFromNameServer = 206 "GET_ALL_TOPIC_LIST_FROM_NAMESERVER",
        DeleteSubscriptionGroup = 207 "DELETE_SUBSCRIPTIONGROUP",
        GetConsumeStats = 208 "GET_CONSUME_STATS",
        DeleteTopicInBroker = 215 "DELETE_TOPIC_IN_BROKER",
        DeleteTopicInNameServer = 216 "DELETE_TOPIC_IN_NAMESRV",
        RegisterTopicInNameServer = 217 "REGISTER_TOPIC_IN_NAMESRV",
        GetKvListByNamespace = 219 "GET_KVLIST_BY_NAMESPACE",
        ResetConsumerClientOffset = 220 "RESET_CONSUMER_CLIENT_OFFSET",
        GetConsumerStatusFromClient = 221 "GET_CONSUMER_STATUS_FROM_CLIENT",
        InvokeBrokerToResetOffset = 222 "INVOKE_BROKER_TO_RESET_OFFSET",
        InvokeBrokerToGetConsumerStatus = 223 "INVOKE_BROKER_TO_GET_CONSUMER_STATUS",
        GetTopicsByCluster = 224 "GET_TOPICS_BY_CLUSTER",
        UpdateAndCreateSubscriptionGroupList = 225 "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST",
        QueryTopicConsumeByWho = 300 "QUERY_TOPIC_CONSUME_BY_WHO",
        QueryConsumeTimeSpan = 303 "QUERY_CONSUME_TIME_SPAN",
        GetSystemTopicListFromNameServer = 304 "GET_SYSTEM_TOPIC_LIST_FROM_NS",
        GetSystemTopicListFromBroker = 305 "GET_SYSTEM_TOPIC_LIST_FROM_BROKER",
        CleanExpiredConsumeQueue = 306 "CLEAN_EXPIRED_CONSUMEQUEUE",
        GetConsumerRunningInfo = 307 "GET_CONSUMER_RUNNING_INFO",
        QueryCorrectionOffset = 308 "QUERY_CORRECTION_OFFSET",
        ConsumeMessageDirectly = 309 "CONSUME_MESSAGE_DIRECTLY",
        SendMessageV2 = 310 "SEND_MESSAGE_V2",
        GetUnitTopicList = 311 "GET_UNIT_TOPIC_LIST",
        GetHasUnitSubTopicList = 312 "GET_HAS_UNIT_SUB_TOPIC_LIST",
        GetHasUnitSubUnunitTopicList = 313 "GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST",
        CloneGroupOffset = 314 "CLONE_GROUP_OFFSET",
        ViewBrokerStatsData = 315 "VIEW_BROKER_STATS_DATA",
        CleanUnusedTopic = 316 "CLEAN_UNUSED_TOPIC",
        GetBrokerConsumeStats = 317 "GET_BROKER_CONSUME_STATS",
        UpdateNameServerConfig = 318 "UPDATE_NAMESRV_CONFIG",
        GetNameServerConfig = 319 "GET_NAMESRV_CONFIG",
        SendBatchMessage = 320 "SEND_BATCH_MESSAGE",
        QueryConsumeQueue = 321 "QUERY_CONSUME_QUEUE",
        QueryDataVersion = 322 "QUERY_DATA_VERSION",
        ResumeCheckHalfMessage = 323 "RESUME_CHECK_HALF_MESSAGE",
        SendReplyMessage = 324 "SEND_REPLY_MESSAGE",
        SendReplyMessageV2 = 325 "SEND_REPLY_MESSAGE_V2",
        PushReplyMessageToClient = 326 "PUSH_REPLY_MESSAGE_TO_CLIENT",
        AddWritePermOfBroker = 327 "ADD_WRITE_PERM_OF_BROKER",
        GetAllProducerInfo = 328 "GET_ALL_PRODUCER_INFO",
        DeleteExpiredCommitLog = 329 "DELETE_EXPIRED_COMMITLOG",
        QueryTopicsByConsumer = 343 "QUERY_TOPICS_BY_CONSUMER",
        QuerySubscriptionByConsumer = 345 "QUERY_SUBSCRIPTION_BY_CONSUMER",
        GetTopicConfig = 351 "GET_TOPIC_CONFIG",
        GetSubscriptionGroupConfig = 352 "GET_SUBSCRIPTIONGROUP_CONFIG",
        UpdateAndGetGroupForbidden = 353 "UPDATE_AND_GET_GROUP_FORBIDDEN",
        CheckRocksdbCqWriteProgress = 354 "CHECK_ROCKSDB_CQ_WRITE_PROGRESS",
        ExportRocksdbConfigToJson = 355 "EXPORT_ROCKSDB_CONFIG_TO_JSON",
        LitePullMessage = 361 "LITE_PULL_MESSAGE",
        RecallMessage = 370 "RECALL_MESSAGE",
        QueryAssignment = 400 "QUERY_ASSIGNMENT",
        SetMessageRequestMode = 401 "SET_MESSAGE_REQUEST_MODE",
        GetAllMessageRequestMode = 402 "GET_ALL_MESSAGE_REQUEST_MODE",
        UpdateAndCreateStaticTopic = 513 "UPDATE_AND_CREATE_STATIC_TOPIC",
        GetBrokerMemberGroup = 901 "GET_BROKER_MEMBER_GROUP",
        AddBroker = 902 "ADD_BROKER",
        RemoveBroker = 903 "REMOVE_BROKER",
        BrokerHeartbeat = 904 "BROKER_HEARTBEAT",
        NotifyMinBrokerIdChange = 905 "NOTIFY_MIN_BROKER_ID_CHANGE",
        ExchangeBrokerHaInfo = 906 "EXCHANGE_BROKER_HA_INFO",
        GetBrokerHaStatus = 907 "GET_BROKER_HA_STATUS",
        ResetMasterFlushOffset = 908 "RESET_MASTER_FLUSH_OFFSET",
        ControllerAlterSyncStateSet = 1001 "CONTROLLER_ALTER_SYNC_STATE_SET",
        ControllerElectMaster = 1002 "CONTROLLER_ELECT_MASTER",
        ControllerRegisterBroker = 1003 "CONTROLLER_REGISTER_BROKER",
        ControllerGetReplicaInfo = 1004 "CONTROLLER_GET_REPLICA_INFO",
        ControllerGetMetadataInfo = 1005 "CONTROLLER_GET_METADATA_INFO",
        ControllerGetSyncStateData = 1006 "CONTROLLER_GET_SYNC_STATE_DATA",
        GetBrokerEpochCache = 1007 "GET_BROKER_EPOCH_CACHE",
        NotifyBrokerRoleChanged = 1008 "NOTIFY_BROKER_ROLE_CHANGED",
        UpdateControllerConfig = 1009 "UPDATE_CONTROLLER_CONFIG",
        GetControllerConfig = 1010 "GET_CONTROLLER_CONFIG",
        CleanBrokerData = 1011 "CLEAN_BROKER_DATA",
        ControllerGetNextBrokerId = 1012 "CONTROLLER_GET_NEXT_BROKER_ID",
        ControllerApplyBrokerId = 1013 "CONTROLLER_APPLY_BROKER_ID",
        UpdateColdDataFlowCtrConfig = 2001 "UPDATE_COLD_DATA_FLOW_CTR_CONFIG",
        RemoveColdDataFlowCtrConfig = 2002 "REMOVE_COLD_DATA_FLOW_CTR_CONFIG",
        GetColdDataFlowCtrInfo = 2003 "GET_COLD_DATA_FLOW_CTR_INFO",
        SetCommitLogReadMode = 2004 "SET_COMMITLOG_READ_MODE",
        AuthCreateUser = 3001 "AUTH_CREATE_USER",
        AuthUpdateUser = 3002 "AUTH_UPDATE_USER",
        AuthDeleteUser = 3003 "AUTH_DELETE_USER",
        AuthGetUser = 3004 "AUTH_GET_USER",
        AuthListUser = 3005 "AUTH_LIST_USER",
        AuthCreateAcl = 3006 "AUTH_CREATE_ACL",
        AuthUpdateAcl = 3007 "AUTH_UPDATE_ACL",
        AuthDeleteAcl = 3008 "AUTH_DELETE_ACL",
        AuthGetAcl = 3009 "AUTH_GET_ACL",
        AuthListAcl = 3010 "AUTH_LIST_ACL",
        PopMessage = 200_050 "POP_MESSAGE",
        AckMessage = 200_051 "ACK_MESSAGE",
        PeekMessage = 200_052 "PEEK_MESSAGE",
        ChangeMessageInvisibleTime = 200_053 "CHANGE_MESSAGE_INVISIBLETIME",
        Notification = 200_054 "NOTIFICATION",
        PollingInfo = 200_055 "POLLING_INFO",
        PopRollback = 200_056 "POP_ROLLBACK",
        BatchAckMessage = 200_151 "BATCH_ACK_MESSAGE",
    }
}

impl RequestCode {
    /// The request a wire number names, also when a binary header kept only its low 16 bits.
    pub fn from_wire(number: i32) -> Option<Self> {
        // 200,050 is 3 × 65,536 + 3,442; no code below 65,536 lies in the folded range.
        Self::exact(number).or_else(|| match number {
            3_442..=3_448 | 3_543 => Self::exact(number + 3 * 65_536),
            _ => None,
        })
    }
}

numbered! {
    /// How a request ended.
    ResponseCode {
        Success = 0 "SUCCESS",
        SystemError = 1 "SYSTEM_ERROR",
        SystemBusy = 2 "SYSTEM_BUSY",
        RequestCodeNotSupported = 3 "REQUEST_CODE_NOT_SUPPORTED",
        TransactionFailed = 4 "TRANSACTION_FAILED",
        FlushDiskTimeout = 10 "FLUSH_DISK_TIMEOUT",
        SlaveNotAvailable = 11 "SLAVE_NOT_AVAILABLE",
        FlushSlaveTimeout = 12 "FLUSH_SLAVE_TIMEOUT",
        MessageIllegal = 13 "MESSAGE_ILLEGAL",
        ServiceNotAvailable = 14 "SERVICE_NOT_AVAILABLE",
        VersionNotSupported = 15 "VERSION_NOT_SUPPORTED",
        NoPermission = 16 "NO_PERMISSION",
        TopicNotExist = 17 "TOPIC_NOT_EXIST",
        TopicExistAlready = 18 "TOPIC_EXIST_ALREADY",
        PullNotFound = 19 "PULL_NOT_FOUND",
        PullRetryImmediately = 20 "PULL_RETRY_IMMEDIATELY",
        PullOffsetMoved = 21 "PULL_OFFSET_MOVED",
        QueryNotFound = 22 "QUERY_NOT_FOUND",
        SubscriptionParseFailed = 23 "SUBSCRIPTION_PARSE_FAILED",
        SubscriptionNotExist = 24 "SUBSCRIPTION_NOT_EXIST",
        SubscriptionNotLatest = 25 "SUBSCRIPTION_NOT_LATEST",
        SubscriptionGroupNotExist = 26 "SUBSCRIPTION_GROUP_NOT_EXIST",
        FilterDataNotExist = 27 "FILTER_DATA_NOT_EXIST",
        FilterDataNotLatest = 28 "FILTER_DATA_NOT_LATEST",
        InvalidParameter = 29 "INVALID_PARAMETER",
        TransactionShouldCommit = 200 "TRANSACTION_SHOULD_COMMIT",
        TransactionShouldRollback = 201 "TRANSACTION_SHOULD_ROLLBACK",
        TransactionStateUnknown = 202 "TRANSACTION_STATE_UNKNOW",
        TransactionStateGroupWrong = 203 "TRANSACTION_STATE_GROUP_WRONG",
        NoBuyerId = 204 "NO_BUYER_ID",
        NotInCurrentUnit = 205 "NOT_IN_CURRENT_UNIT",
        ConsumerNotOnline = 206 "CONSUMER_NOT_ONLINE",
        ConsumeMsgTimeout = 207 "CONSUME_MSG_TIMEOUT",
        NoMessage = 208 "NO_MESSAGE",
        PollingFull = 209 "POLLING_FULL",
        PollingTimeout = 210 "POLLING_TIMEOUT",
        BrokerNotExist = 211 "BROKER_NOT_EXIST",
        BrokerDispatchNotComplete = 212 "BROKER_DISPATCH_NOT_COMPLETE",
        BroadcastConsumption = 213 "BROADCAST_CONSUMPTION",
        FlowControl = 215 "FLOW_CONTROL",
        NotLeaderForQueue = 501 "NOT_LEADER_FOR_QUEUE",
        IllegalOperation = 604 "ILLEGAL_OPERATION",
        GoAway = 1500 "GO_AWAY",
        UserNotExist = 3001 "USER_NOT_EXIST",
        PolicyNotExist = 3002 "POLICY_NOT_EXIST",
    }
}

impl ResponseCode {
    pub fn from_wire(number: i32) -> Option<Self> {
        Self::exact(number)
    }
}

numbered! {
    /// What the peer is written in.
    Language {
        Java = 0 "JAVA",
        Cpp = 1 "CPP",
        Dotnet = 2 "DOTNET",
        Python = 3 "PYTHON",
        Delphi = 4 "DELPHI",
        Erlang = 5 "ERLANG",
        Ruby = 6 "RUBY",
        Other = 7 "OTHER",
        Http = 8 "HTTP",
        Go = 9 "GO",
        Php = 10 "PHP",
        Oms = 11 "OMS",
        Rust = 12 "RUST",
        NodeJs = 13 "NODE_JS",
    }
}

impl Language {
    /// An unknown number is `Other`: nothing depends on it but a label.
    pub(crate) fn from_wire(byte: u8) -> Self {
        Self::exact(i32::from(byte)).unwrap_or(Self::Other)
    }

    pub(crate) fn to_byte(self) -> u8 {
        // The numbers above are below 256.
        self.to_wire() as u8
    }

    /// From a JSON header: the name, or an ordinal.
    pub(crate) fn from_json(text: &str) -> Self {
        Self::from_name(text)
            .or_else(|| text.parse().ok().and_then(Self::exact))
            .unwrap_or(Self::Other)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }
}

/// The ordinal of a release in the reference implementation's list; compare, never count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub i32);

impl Version {
    pub const V3_0_11: Self = Self(37);
    pub const V3_1_8_SNAPSHOT: Self = Self(62);
    pub const V3_4_9: Self = Self(121);
    pub const V4_1_0: Self = Self(233);
    pub const V4_4_0: Self = Self(293);
    pub const V4_5_1: Self = Self(315);
    pub const V4_6_0: Self = Self(333);
    pub const V4_7_0: Self = Self(353);
    pub const V4_8_0: Self = Self(373);
    pub const V4_9_0: Self = Self(393);
    pub const V4_9_3: Self = Self(399);
    pub const V4_9_4: Self = Self(401);
    pub const V4_9_7: Self = Self(407);
    pub const V5_0_0: Self = Self(413);
    pub const V5_1_0: Self = Self(433);
    pub const V5_1_4: Self = Self(441);
    pub const V5_2_0: Self = Self(453);
    pub const V5_3_0: Self = Self(473);
    pub const V5_3_1: Self = Self(475);
    pub const V5_3_2: Self = Self(477);
    pub const V5_3_3: Self = Self(479);
    pub const HIGHER: Self = Self(612);

    /// The name that tools show for the versions above, such as `V5_3_3`.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: &[(Version, &str)] = &[
            (Version::V3_0_11, "V3_0_11"),
            (Version::V3_1_8_SNAPSHOT, "V3_1_8_SNAPSHOT"),
            (Version::V3_4_9, "V3_4_9"),
            (Version::V4_1_0, "V4_1_0"),
            (Version::V4_4_0, "V4_4_0"),
            (Version::V4_5_1, "V4_5_1"),
            (Version::V4_6_0, "V4_6_0"),
            (Version::V4_7_0, "V4_7_0"),
            (Version::V4_8_0, "V4_8_0"),
            (Version::V4_9_0, "V4_9_0"),
            (Version::V4_9_3, "V4_9_3"),
            (Version::V4_9_4, "V4_9_4"),
            (Version::V4_9_7, "V4_9_7"),
            (Version::V5_0_0, "V5_0_0"),
            (Version::V5_1_0, "V5_1_0"),
            (Version::V5_1_4, "V5_1_4"),
            (Version::V5_2_0, "V5_2_0"),
            (Version::V5_3_0, "V5_3_0"),
            (Version::V5_3_1, "V5_3_1"),
            (Version::V5_3_2, "V5_3_2"),
            (Version::V5_3_3, "V5_3_3"),
            (Version::HIGHER, "HIGHER_VERSION"),
        ];
        NAMES
            .iter()
            .find(|(version, _)| *version == self)
            .map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in RequestCode::ALL {
            assert_eq!(RequestCode::from_wire(code.to_wire()), Some(*code));
            // The binary header keeps 16 bits.
            let folded = i32::from(code.to_wire() as i16);
            assert_eq!(
                RequestCode::from_wire(folded),
                Some(*code),
                "{}",
                code.name()
            );
        }
        for code in ResponseCode::ALL {
            assert_eq!(ResponseCode::from_wire(code.to_wire()), Some(*code));
        }
        for language in Language::ALL {
            assert_eq!(Language::from_wire(language.to_byte()), *language);
            assert_eq!(Language::from_json(language.name()), *language);
        }
        assert_eq!(RequestCode::from_wire(13), None);
        assert_eq!(RequestCode::from_wire(3_449), None);
        assert_eq!(Language::from_json("9"), Language::Go);
        assert_eq!(Language::from_json("COBOL"), Language::Other);
    }
}
