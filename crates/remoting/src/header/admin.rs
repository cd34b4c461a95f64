//! Administration of a broker: 25, 26, 315, 317, 354, 355, 902 to 908, 2004, 3001 to 3010, 50 to 53.

use super::{Text, headers};

headers! {
    /// The answer to 26; `version` is a data version in JSON.
    BrokerConfigResponse<'a> {
        "version" version: Option<Text<'a>>,
    }

    /// 315 VIEW_BROKER_STATS_DATA.
    ViewBrokerStats<'a> {
        "statsName" stats_name: Text<'a>,
        "statsKey" stats_key: Text<'a>,
    }

    /// 317 GET_BROKER_CONSUME_STATS.
    BrokerConsumeStats {
        "isOrder" is_order: bool,
    }

    /// 354 CHECK_ROCKSDB_CQ_WRITE_PROGRESS.
    CheckRocksdbCqWriteProgress<'a> {
        "topic" topic: Text<'a>,
        "checkStoreTime" check_store_time: Option<i64>,
    }

    /// 355 EXPORT_ROCKSDB_CONFIG_TO_JSON.
    ExportRocksdbConfig<'a> {
        "configType" config_type: Text<'a>,
    }

    /// 908 RESET_MASTER_FLUSH_OFFSET.
    ResetMasterFlushOffset {
        "masterFlushOffset" master_flush_offset: i64,
    }

    /// 2004 SET_COMMITLOG_READ_MODE.
    CommitLogReadMode<'a> {
        "READ_AHEAD_MODE" read_ahead_mode: Option<Text<'a>>,
    }

    /// 902 ADD_BROKER.
    AddBroker<'a> {
        "configPath" config_path: Option<Text<'a>>,
    }

    /// 903 REMOVE_BROKER.
    RemoveBroker<'a> {
        "brokerName" broker_name: Text<'a>,
        "brokerClusterName" broker_cluster_name: Text<'a>,
        "brokerId" broker_id: i64,
    }

    /// 3001 to 3004.
    User<'a> {
        "username" username: Option<Text<'a>>,
    }

    /// 3005 AUTH_LIST_USER.
    UserFilter<'a> {
        "filter" filter: Option<Text<'a>>,
    }

    /// 3006, 3007 and 3009.
    Subject<'a> {
        "subject" subject: Option<Text<'a>>,
    }

    /// 3008 AUTH_DELETE_ACL.
    DeleteAcl<'a> {
        "subject" subject: Option<Text<'a>>,
        "policyType" policy_type: Option<Text<'a>>,
        "resource" resource: Option<Text<'a>>,
    }

    /// 3010 AUTH_LIST_ACL.
    AclFilter<'a> {
        "subjectFilter" subject_filter: Option<Text<'a>>,
        "resourceFilter" resource_filter: Option<Text<'a>>,
    }

    /// 50 UPDATE_AND_CREATE_ACL_CONFIG; lists are joined by commas.
    CreateAccessConfig<'a> {
        "accessKey" access_key: Text<'a>,
        "secretKey" secret_key: Option<Text<'a>>,
        "whiteRemoteAddress" white_remote_address: Option<Text<'a>>,
        "admin" admin: Option<bool>,
        "defaultTopicPerm" default_topic_perm: Option<Text<'a>>,
        "defaultGroupPerm" default_group_perm: Option<Text<'a>>,
        "topicPerms" topic_perms: Option<Text<'a>>,
        "groupPerms" group_perms: Option<Text<'a>>,
    }

    /// 51 DELETE_ACL_CONFIG.
    DeleteAccessConfig<'a> {
        "accessKey" access_key: Text<'a>,
    }

    /// 53 UPDATE_GLOBAL_WHITE_ADDRS_CONFIG.
    GlobalWhiteAddresses<'a> {
        "globalWhiteAddrs" global_white_addrs: Text<'a>,
        "aclFileFullPath" acl_file_full_path: Option<Text<'a>>,
    }

    /// The answer to 52.
    AclInfoResponse<'a> {
        "version" version: Text<'a>,
        "allAclFileVersion" all_acl_file_version: Option<Text<'a>>,
        "brokerName" broker_name: Text<'a>,
        "brokerAddr" broker_addr: Text<'a>,
        "clusterName" cluster_name: Text<'a>,
    }
}
