//! The NameServer: routes, registrations, key-value configuration.

use super::{Text, headers};

headers! {
    /// 105 GET_ROUTEINFO_BY_TOPIC.
    RouteInfo<'a> {
        "topic" topic: Text<'a>,
        "acceptStandardJsonOnly" accept_standard_json_only: Option<bool>,
    }

    /// 103 REGISTER_BROKER.
    RegisterBroker<'a> {
        "brokerName" broker_name: Text<'a>,
        "brokerAddr" broker_addr: Text<'a>,
        "clusterName" cluster_name: Text<'a>,
        "haServerAddr" ha_server_addr: Text<'a>,
        "brokerId" broker_id: i64,
        "heartbeatTimeoutMillis" heartbeat_timeout_millis: Option<i64>,
        "enableActingMaster" enable_acting_master: Option<bool>,
        "compressed" compressed: Option<bool>,
        "bodyCrc32" body_crc32: Option<i32>,
    }

    /// The answer to 103.
    RegisterBrokerResponse<'a> {
        "haServerAddr" ha_server_addr: Option<Text<'a>>,
        "masterAddr" master_addr: Option<Text<'a>>,
    }

    /// 104 UNREGISTER_BROKER.
    UnregisterBroker<'a> {
        "brokerName" broker_name: Text<'a>,
        "brokerAddr" broker_addr: Text<'a>,
        "clusterName" cluster_name: Text<'a>,
        "brokerId" broker_id: i64,
    }

    /// 322 QUERY_DATA_VERSION.
    QueryDataVersion<'a> {
        "brokerName" broker_name: Text<'a>,
        "brokerAddr" broker_addr: Text<'a>,
        "clusterName" cluster_name: Text<'a>,
        "brokerId" broker_id: i64,
    }

    /// The answer to 322.
    QueryDataVersionResponse {
        "changed" changed: bool,
    }

    /// 904 BROKER_HEARTBEAT.
    BrokerHeartbeat<'a> {
        "clusterName" cluster_name: Text<'a>,
        "brokerAddr" broker_addr: Text<'a>,
        "brokerName" broker_name: Text<'a>,
        "brokerId" broker_id: Option<i64>,
        "epoch" epoch: Option<i32>,
        "maxOffset" max_offset: Option<i64>,
        "confirmOffset" confirm_offset: Option<i64>,
        "heartbeatTimeoutMills" heartbeat_timeout_mills: Option<i64>,
        "electionPriority" election_priority: Option<i32>,
    }

    /// 901 GET_BROKER_MEMBER_GROUP.
    MemberGroup<'a> {
        "clusterName" cluster_name: Text<'a>,
        "brokerName" broker_name: Text<'a>,
    }

    /// 100 PUT_KV_CONFIG.
    PutKvConfig<'a> {
        "namespace" namespace: Text<'a>,
        "key" key: Text<'a>,
        "value" value: Text<'a>,
    }

    /// 101 GET_KV_CONFIG and 102 DELETE_KV_CONFIG.
    KvKey<'a> {
        "namespace" namespace: Text<'a>,
        "key" key: Text<'a>,
    }

    /// The answer to 101.
    KvValue<'a> {
        "value" value: Option<Text<'a>>,
    }

    /// 219 GET_KVLIST_BY_NAMESPACE.
    KvNamespace<'a> {
        "namespace" namespace: Text<'a>,
    }

    /// 205 WIPE_WRITE_PERM_OF_BROKER and 327 ADD_WRITE_PERM_OF_BROKER.
    BrokerName<'a> {
        "brokerName" broker_name: Text<'a>,
    }

    /// The answer to 205.
    WipeWritePermResponse {
        "wipeTopicCount" wipe_topic_count: i32,
    }

    /// The answer to 327.
    AddWritePermResponse {
        "addTopicCount" add_topic_count: i32,
    }

    /// 216 DELETE_TOPIC_IN_NAMESRV.
    DeleteTopic<'a> {
        "topic" topic: Text<'a>,
        "clusterName" cluster_name: Option<Text<'a>>,
    }

    /// 224 GET_TOPICS_BY_CLUSTER.
    Cluster<'a> {
        "cluster" cluster: Text<'a>,
    }

    /// 905 NOTIFY_MIN_BROKER_ID_CHANGE, to brokers.
    MinBrokerIdChange<'a> {
        "minBrokerId" min_broker_id: i64,
        "brokerName" broker_name: Option<Text<'a>>,
        "minBrokerAddr" min_broker_addr: Option<Text<'a>>,
        "offlineBrokerAddr" offline_broker_addr: Option<Text<'a>>,
        "haBrokerAddr" ha_broker_addr: Option<Text<'a>>,
    }
}
