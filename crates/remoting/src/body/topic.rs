//! Topics and what is said in the same breath: queues, versions, plain tables.

use std::collections::BTreeMap;

use crate::json::{Json, JsonError, JsonKey, Limits, Value, Writer, are_sorted, body, names};

/// One queue of a topic on one broker. It is also a key of maps.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageQueue {
    pub broker_name: String,
    pub queue_id: i32,
    pub topic: String,
}

// Written out, since a key needs an order and the shape is shared with the key form below.
impl Json for MessageQueue {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        let Value::Map(members) = value else {
            return Err(JsonError::Expected("MessageQueue"));
        };
        let mut queue = Self::default();
        for (key, value) in members {
            if value == Value::Null {
                continue;
            }
            match key.as_text() {
                Some("brokerName") => queue.broker_name = Json::read(value)?,
                Some("queueId") => queue.queue_id = Json::read(value)?,
                Some("topic") => queue.topic = Json::read(value)?,
                Some(_) | None => {}
            }
        }
        Ok(queue)
    }

    fn write(&self, out: &mut Writer<'_>) {
        const _: () = assert!(are_sorted(&["brokerName", "queueId", "topic"]));
        out.map(|out| {
            out.key("brokerName");
            out.text(&self.broker_name);
            out.key("queueId");
            out.int(i64::from(self.queue_id));
            out.key("topic");
            out.text(&self.topic);
        });
    }
}

impl JsonKey for MessageQueue {
    /// Raw, or quoted as a JSON text by writers that know no other keys.
    fn read_key(key: Value<'_>) -> Result<Self, JsonError> {
        match key {
            Value::Text(text) => Self::read(Value::parse(text.as_bytes(), Limits::default())?),
            other => Self::read(other),
        }
    }

    fn write_key(&self, out: &mut Writer<'_>) {
        out.key_value(|out| self.write(out));
    }
}

names! {
    /// Whether messages of a topic carry one tag or several; only the first is ever seen.
    pub enum TopicFilterType {
        SingleTag "SINGLE_TAG",
        MultiTag "MULTI_TAG",
    }
}

body! {
    /// A topic as a broker keeps it.
    pub struct TopicConfig {
        "attributes" attributes: BTreeMap<String, String>,
        "order" order: bool,
        "perm" perm: i32 = 6,
        "readQueueNums" read_queue_nums: i32 = 16,
        "topicFilterType" topic_filter_type: Option<TopicFilterType> =
            Some(TopicFilterType::SingleTag),
        "topicName" topic_name: String,
        "topicSysFlag" topic_sys_flag: i32,
        "writeQueueNums" write_queue_nums: i32 = 16,
    }
}

body! {
    /// 18 UPDATE_AND_CREATE_TOPIC_LIST.
    pub struct TopicConfigList {
        "topicConfigList" topic_config_list: Vec<TopicConfig>,
    }
}

body! {
    /// Which state of a table one has seen.
    pub struct DataVersion {
        "counter" counter: i64,
        "stateVersion" state_version: i64,
        "timestamp" timestamp: i64,
    }
}

/// A member that is written as an empty map and passed over on input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unmodelled;

impl Json for Unmodelled {
    fn read(_value: Value<'_>) -> Result<Self, JsonError> {
        Ok(Self)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.map(|_| {});
    }
}

body! {
    /// The answer to 21 GET_ALL_TOPIC_CONFIG, and what a broker registers. Mappings of static
    /// topics are not modelled: they are written empty.
    pub struct TopicConfigAndMapping {
        "dataVersion" data_version: DataVersion,
        "mappingDataVersion" mapping_data_version: Option<DataVersion>,
        "topicConfigTable" topic_config_table: BTreeMap<String, TopicConfig>,
        "topicQueueMappingDetailMap" topic_queue_mapping_detail_map: Unmodelled,
        "topicQueueMappingInfoMap" topic_queue_mapping_info_map: Unmodelled,
    }
}

body! {
    /// A table of texts: 28, 219, and the answer to 103.
    pub struct KvTable {
        "table" table: BTreeMap<String, String>,
    }
}

body! {
    /// Topics by name: 206, 224, 304, 305, 343.
    pub struct TopicList {
        "brokerAddr" broker_addr: Option<String>,
        "topicList" topic_list: Vec<String>,
    }
}
