//! Where topics are: the answers of the NameServer.

use std::collections::BTreeMap;

use crate::json::body;

body! {
    /// A broker group: addresses by broker id, 0 being the master.
    pub struct BrokerData {
        "brokerAddrs" broker_addrs: BTreeMap<i64, String>,
        "brokerName" broker_name: String,
        "cluster" cluster: String,
        "enableActingMaster" enable_acting_master: bool,
        "zoneName" zone_name: Option<String>,
    }
}

body! {
    /// How many queues of a topic a broker group has.
    pub struct QueueData {
        "brokerName" broker_name: String,
        "perm" perm: i32,
        "readQueueNums" read_queue_nums: i32,
        "topicSysFlag" topic_sys_flag: i32,
        "writeQueueNums" write_queue_nums: i32,
    }
}

body! {
    /// The answer to 105. Write it with `to_standard_vec` when
    /// [`accepts_standard_json_only`](crate::CommandRef::accepts_standard_json_only) says so.
    pub struct TopicRouteData {
        "brokerDatas" broker_datas: Vec<BrokerData>,
        "filterServerTable" filter_server_table: BTreeMap<String, Vec<String>>,
        "orderTopicConf" order_topic_conf: Option<String>,
        "queueDatas" queue_datas: Vec<QueueData>,
    }
}

body! {
    /// The answer to 106.
    pub struct ClusterInfo {
        "brokerAddrTable" broker_addr_table: BTreeMap<String, BrokerData>,
        "clusterAddrTable" cluster_addr_table: BTreeMap<String, Vec<String>>,
    }
}

body! {
    /// The members of one broker group.
    pub struct MemberGroup {
        "brokerAddrs" broker_addrs: BTreeMap<i64, String>,
        "brokerName" broker_name: String,
        "cluster" cluster: String,
    }
}

body! {
    /// The answer to 901.
    pub struct MemberGroupBody {
        "brokerMemberGroup" broker_member_group: Option<MemberGroup>,
    }
}
