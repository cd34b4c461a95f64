//! What a NameServer is asked: 105, 106, 206, 224, 304, 305, and its key-value tables, which are
//! empty.

use std::collections::BTreeMap;

use remoting::RequestCode;
use remoting::ResponseCode;
use remoting::body::{
    BrokerData, ClusterInfo, QueueData, TopicList, TopicRouteData, to_standard_vec, to_vec,
};
use remoting::header::Header;
use remoting::header::directory::{Cluster, RouteInfo};

use super::RemotingDoor;
use super::creation::Stop;
use super::dispatch::Request;
use super::refusals::Refused;
use super::topic::{self, Extras, Found};
use crate::door::Context;

/// The id of a master.
const MASTER: i64 = 0;

impl RemotingDoor {
    fn broker_data(&self) -> BrokerData {
        BrokerData {
            broker_addrs: BTreeMap::from([(MASTER, self.settings.host().to_string())]),
            broker_name: self.settings.broker.to_string(),
            cluster: self.settings.cluster.to_string(),
            enable_acting_master: false,
            zone_name: None,
        }
    }

    /// 105.
    pub(super) fn route_of(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = RouteInfo::parse(&request.command.ext)?;
        let partitions = match topic::find(cx.topology, &header.topic) {
            Found::Topic(_, partitions) => partitions,
            Found::Taken => return Err(self.taken(&header.topic).into()),
            Found::Absent => {
                let remark = format!(
                    "No topic route info in name server for the topic: {}",
                    header.topic
                );
                return Err(Refused::new(ResponseCode::TopicNotExist, remark).into());
            }
        };
        let data = TopicRouteData {
            broker_datas: vec![self.broker_data()],
            filter_server_table: BTreeMap::new(),
            order_topic_conf: None,
            queue_datas: vec![QueueData {
                broker_name: self.settings.broker.to_string(),
                perm: partitions.permissions as i32,
                read_queue_nums: partitions.read as i32,
                topic_sys_flag: Extras::of(partitions).sys_flag,
                write_queue_nums: partitions.write as i32,
            }],
        };
        let body = if request.command.accepts_standard_json_only() {
            to_standard_vec(&data)
        } else {
            to_vec(&data)
        };
        request.asker.body(&body, cx);
        Ok(())
    }

    /// 106.
    pub(super) fn cluster_info(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let data = self.broker_data();
        let (broker, cluster) = (data.broker_name.clone(), data.cluster.clone());
        let info = ClusterInfo {
            broker_addr_table: BTreeMap::from([(broker.clone(), data)]),
            cluster_addr_table: BTreeMap::from([(cluster, vec![broker])]),
        };
        request.asker.body(&to_vec(&info), cx);
        Ok(())
    }

    /// 206 and 224.
    pub(super) fn topic_list(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let is_ours = match request.code {
            RequestCode::GetTopicsByCluster => {
                *Cluster::parse(&request.command.ext)?.cluster == *self.settings.cluster
            }
            _ => true,
        };
        let topics = topic::all(cx.topology).filter(|_| is_ours);
        let topic_list = topics
            .map(|(address, _)| address.spec.name.to_string())
            .collect();
        request.asker.body(
            &to_vec(&TopicList {
                broker_addr: None,
                topic_list,
            }),
            cx,
        );
        Ok(())
    }

    /// 304 and 305: what tools hide.
    pub(super) fn system_topics(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let of_broker = request.code == RequestCode::GetSystemTopicListFromBroker;
        let mut topic_list: Vec<String> = topic::all(cx.topology)
            .filter(|(_, partitions)| of_broker && partitions.system)
            .map(|(address, _)| address.spec.name.to_string())
            .collect();
        if !of_broker {
            topic_list.push(self.settings.cluster.to_string());
            topic_list.push(self.settings.broker.to_string());
        }
        let broker_addr = (!of_broker).then(|| self.settings.host().to_string());
        request.asker.body(
            &to_vec(&TopicList {
                broker_addr,
                topic_list,
            }),
            cx,
        );
        Ok(())
    }

    /// 101 and 219. Nothing can be put there yet, so nothing is there.
    pub(super) fn kv_config(&mut self, request: &Request<'_>) -> Result<(), Stop> {
        let text = |key: &str| request.command.ext.get(key).unwrap_or_default();
        let remark = match request.code {
            RequestCode::GetKvConfig => {
                format!(
                    "No config item, Namespace: {} Key: {}",
                    text("namespace"),
                    text("key")
                )
            }
            _ => format!("No config item, Namespace: {}", text("namespace")),
        };
        Err(Refused::new(ResponseCode::QueryNotFound, remark).into())
    }
}
