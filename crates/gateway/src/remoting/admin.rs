//! Topics and groups as tools make, change, list and remove them: 17, 21, 215, 351; 200, 201, 207,
//! 352.

use broker::topology::{Change, GroupSpec, Partitions, Unused};
use remoting::body::{
    DataVersion, SubscriptionGroupConfig, SubscriptionGroupWrapper, TopicConfigAndMapping,
    from_slice, to_vec,
};
use remoting::header::Header;
use remoting::header::client::{AllSubscriptionGroupsResponse, DeleteSubscriptionGroup, Group};
use remoting::header::topic::{AllTopicConfigResponse, CreateTopic, Topic};
use remoting::{ResponseCode, Version};

use super::RemotingDoor;
use super::creation::{Need, Stop, Waiter};
use super::dispatch::Request;
use super::group;
use super::heartbeat::unreadable;
use super::refusals::Refused;
use super::topic::{self, Extras, Found, QUEUES_MAX};
use crate::access::{Action, Resource};
use crate::door::Context;

/// The permissions that a topic can have.
const PERMISSIONS: i32 = 15;

impl RemotingDoor {
    /// 17.
    pub(super) fn update_topic(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = CreateTopic::parse(&request.command.ext)?;
        let asker = request.asker;
        if let Some(fault) = topic::fault(&header.topic) {
            return Err(Refused::invalid(asker.version, fault).into());
        }
        self.allow(
            &asker,
            Action::Configure,
            Resource::Address(&header.topic),
            cx,
        )?;
        let known = match topic::find(cx.topology, &header.topic) {
            Found::Topic(address, _) if address.spec.reserved => {
                return Err(conflict(asker.version, &header.topic).into());
            }
            Found::Topic(_, partitions) => Some(partitions),
            Found::Taken => return Err(self.taken(&header.topic).into()),
            Found::Absent => None,
        };
        let queues = |count: i32| {
            u32::try_from(count)
                .ok()
                .filter(|_| count <= QUEUES_MAX)
                .ok_or_else(|| {
                    let remark = format!("{count} queues: a topic has 0 to {QUEUES_MAX}");
                    Refused::invalid(asker.version, remark)
                })
        };
        if header.perm & !PERMISSIONS != 0 {
            let remark = format!("the permission {} does not exist", header.perm);
            return Err(Refused::invalid(asker.version, remark).into());
        }
        let mut extras = known.map(Extras::of).unwrap_or_default();
        if let Some(attributes) = header.attributes.as_deref() {
            topic::alter_attributes(&mut extras.attributes, attributes, known.is_none())
                .map_err(|remark| Refused::new(ResponseCode::SystemError, remark))?;
        }
        extras.multi_tag = header.topic_filter_type == "MULTI_TAG";
        extras.sys_flag = header.topic_sys_flag.unwrap_or(0);
        let partitions = Partitions {
            read: queues(header.read_queue_nums)?,
            write: queues(header.write_queue_nums)?,
            permissions: header.perm as u32,
            ordered: header.order,
            system: false,
            attributes: extras.encode(),
        };
        let change = Change::SetPartitions(topic::spec(&header.topic, partitions));
        let key = format!("update {}", header.topic).into();
        self.change(Need { key, change }, Waiter::Asked(asker), cx);
        Ok(())
    }

    /// 215. Offsets go with the topic: one of the same name is another address.
    pub(super) fn delete_topic(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = Topic::parse(&request.command.ext)?;
        let asker = request.asker;
        if header.topic.is_empty() {
            return Err(Refused::invalid(asker.version, "The specified topic is blank.").into());
        }
        self.allow(
            &asker,
            Action::Configure,
            Resource::Address(&header.topic),
            cx,
        )?;
        match topic::find(cx.topology, &header.topic) {
            Found::Topic(address, _) if address.spec.reserved => {
                Err(conflict(asker.version, &header.topic).into())
            }
            Found::Topic(..) => {
                let name = header.topic.as_ref().into();
                let change = Change::DeleteAddress {
                    name,
                    condition: Unused::NotRequired,
                };
                let key = format!("delete {}", header.topic).into();
                self.change(Need { key, change }, Waiter::Asked(asker), cx);
                Ok(())
            }
            // An exchange is not a tool's of this wire to delete.
            Found::Taken => Err(self.taken(&header.topic).into()),
            Found::Absent => {
                asker.done(cx);
                Ok(())
            }
        }
    }

    fn data_version(cx: &Context<'_>) -> DataVersion {
        let counter = i64::try_from(cx.topology.version()).unwrap_or(i64::MAX);
        DataVersion {
            counter,
            ..DataVersion::default()
        }
    }

    /// 21.
    pub(super) fn all_topics(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let table: std::collections::BTreeMap<_, _> = topic::all(cx.topology)
            .map(|(address, partitions)| {
                let name = address.spec.name.to_string();
                let config = topic::config(&name, partitions);
                (name, config)
            })
            .collect();
        let total = i32::try_from(table.len()).ok();
        let body = to_vec(&TopicConfigAndMapping {
            data_version: Self::data_version(cx),
            mapping_data_version: Some(Self::data_version(cx)),
            topic_config_table: table,
            ..TopicConfigAndMapping::default()
        });
        let header = AllTopicConfigResponse {
            total_topic_num: total,
        };
        request
            .asker
            .fields_and_body(None, &header, cx, |out, _| out.extend_from_slice(&body));
        Ok(())
    }

    /// 351.
    pub(super) fn topic_config(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = Topic::parse(&request.command.ext)?;
        match topic::find(cx.topology, &header.topic) {
            Found::Topic(_, partitions) => {
                let body = to_vec(&topic::config(&header.topic, partitions));
                request.asker.body(&body, cx);
                Ok(())
            }
            Found::Taken | Found::Absent => {
                let remark = format!("No topic in this broker. topic: {}", header.topic);
                Err(Refused::new(ResponseCode::TopicNotExist, remark).into())
            }
        }
    }

    /// 200.
    pub(super) fn update_group(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let asker = request.asker;
        let config: SubscriptionGroupConfig =
            from_slice(request.command.body).map_err(unreadable)?;
        if !group::is_legal(&config.group_name) {
            let remark = "the specified group is blank, too long or contains illegal characters, \
                          allowing only ^[%|a-zA-Z0-9_-]+$";
            return Err(Refused::invalid(asker.version, remark).into());
        }
        self.allow(
            &asker,
            Action::Configure,
            Resource::Group(&config.group_name),
            cx,
        )?;
        let name = config.group_name.as_str();
        let spec = GroupSpec {
            name: name.into(),
            config: to_vec(&config).into(),
        };
        let key = format!("update group {name}").into();
        let change = Change::SetGroup(spec);
        self.change(Need { key, change }, Waiter::Asked(asker), cx);
        Ok(())
    }

    /// Request 207. The group's offsets go with it, whatever `cleanOffset` says: one of the same
    /// name is another group.
    pub(super) fn delete_group(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = DeleteSubscriptionGroup::parse(&request.command.ext)?;
        let asker = request.asker;
        self.allow(
            &asker,
            Action::Configure,
            Resource::Group(&header.group_name),
            cx,
        )?;
        let key = format!("delete group {}", header.group_name).into();
        let change = Change::DeleteGroup {
            name: header.group_name.as_ref().into(),
        };
        self.change(Need { key, change }, Waiter::Asked(asker), cx);
        Ok(())
    }

    /// 201.
    pub(super) fn all_groups(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let table: std::collections::BTreeMap<_, _> = cx
            .topology
            .groups()
            .map(|group| {
                (
                    group.spec.name.to_string(),
                    (*self.configs.of(group)).clone(),
                )
            })
            .collect();
        let total = i32::try_from(table.len()).ok();
        let body = to_vec(&SubscriptionGroupWrapper {
            data_version: Self::data_version(cx),
            forbidden_table: Some(std::collections::BTreeMap::new()),
            subscription_group_table: table,
        });
        let header = AllSubscriptionGroupsResponse {
            total_group_num: total,
        };
        request
            .asker
            .fields_and_body(None, &header, cx, |out, _| out.extend_from_slice(&body));
        Ok(())
    }

    /// 352.
    pub(super) fn group_config(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let header = Group::parse(&request.command.ext)?;
        let group = group::find(cx.topology, &header.group, self.settings.auto_create_groups)?;
        let body = to_vec(&*self.configs.of(group));
        request.asker.body(&body, cx);
        Ok(())
    }
}

fn conflict(version: Version, topic: &str) -> Refused {
    let remark = format!("The topic[{topic}] is conflict with system topic.");
    Refused::invalid(version, remark)
}
