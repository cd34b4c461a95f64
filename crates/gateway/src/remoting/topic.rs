//! Topics: their names, and what of their configuration the broker carries without reading it.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::bytes::{Reader, Undecodable, Writer};
use broker::id::Durability;
use broker::topology::{Address, AddressSpec, Partitions, Router, Topology};
use remoting::body::{TopicConfig, TopicFilterType};

/// The permission bits of a topic.
pub const READ: u32 = 4;
pub const WRITE: u32 = 2;
pub const INHERIT: u32 = 1;

/// The template of automatic topics.
pub const TEMPLATE: &str = "TBW102";
pub const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
pub const OP_HALF: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Where half messages go that no producer would decide.
pub const CHECKED_OUT: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
pub const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";

pub const RETRY_PREFIX: &str = "%RETRY%";
pub const DEAD_PREFIX: &str = "%DLQ%";

/// The longest name that a client may give.
pub const NAME_BYTES_MAX: usize = 127;
/// The most queues of a topic: statistics and routes walk them.
pub const QUEUES_MAX: i32 = 16_384;

/// Clients may not send to these.
const FORBIDDEN: &[&str] = &[
    SCHEDULE,
    HALF,
    OP_HALF,
    CHECKED_OUT,
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

pub fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.contains(&name)
}

/// Whether a name has only the letters that topics and groups may have.
pub fn is_legal(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"%|_-".contains(&byte))
}

/// What is wrong with a topic's name, in Apache's words.
pub fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("The specified topic is blank.")
    } else if !is_legal(name) {
        Some("The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
    } else if name.len() > NAME_BYTES_MAX {
        Some("The specified topic is longer than topic max length.")
    } else {
        None
    }
}

/// What a name leads to.
pub enum Found<'t> {
    Topic(&'t Arc<Address>, &'t Partitions),
    /// An address of another router has the name.
    Taken,
    Absent,
}

pub fn find<'t>(topology: &'t Topology, name: &str) -> Found<'t> {
    match topology.address(name) {
        None => Found::Absent,
        Some(address) => match &address.spec.partitions {
            Some(partitions) => Found::Topic(address, partitions),
            None => Found::Taken,
        },
    }
}

/// The topics among the addresses, by name.
pub fn all(topology: &Topology) -> impl Iterator<Item = (&Arc<Address>, &Partitions)> {
    topology
        .addresses()
        .filter_map(|address| Some((address, address.spec.partitions.as_ref()?)))
}

/// A topic to be declared.
pub fn spec(name: &str, partitions: Partitions) -> AddressSpec {
    AddressSpec {
        name: name.into(),
        router: Router::Partitioned,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: false,
        alternate: None,
        partitions: Some(partitions),
        owner: None,
        arguments: [].into(),
    }
}

/// Partitions with as many queues to read as to write, and nothing special.
pub fn plain(queues: u32, permissions: u32) -> Partitions {
    Partitions {
        read: queues,
        write: queues,
        permissions,
        ordered: false,
        system: false,
        attributes: Extras::default().encode(),
    }
}

/// The rest of a topic's configuration, which only this door reads: version, filter type, system
/// flag, attributes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extras {
    pub multi_tag: bool,
    pub sys_flag: i32,
    pub attributes: BTreeMap<String, String>,
}

const EXTRAS_VERSION: u8 = 1;

impl Extras {
    pub fn encode(&self) -> Arc<[u8]> {
        let mut out = vec![EXTRAS_VERSION];
        out.put_flag(self.multi_tag);
        out.put_signed(i64::from(self.sys_flag));
        out.put_number(self.attributes.len() as u64);
        for (key, value) in &self.attributes {
            out.put_str(key);
            out.put_str(value);
        }
        out.into()
    }

    /// What cannot be read, which a newer version has written, has its defaults.
    pub fn of(partitions: &Partitions) -> Extras {
        Extras::decode(&partitions.attributes).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Result<Extras, Undecodable> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != EXTRAS_VERSION {
            return Err(Undecodable("topic extras version"));
        }
        let multi_tag = reader.flag()?;
        let sys_flag = i32::try_from(reader.signed()?).map_err(|_| Undecodable("system flag"))?;
        let mut attributes = BTreeMap::new();
        for _ in 0..reader.count()? {
            attributes.insert(reader.str()?.to_owned(), reader.str()?.to_owned());
        }
        Ok(Extras {
            multi_tag,
            sys_flag,
            attributes,
        })
    }
}

/// A topic as tools see it.
pub fn config(name: &str, partitions: &Partitions) -> TopicConfig {
    let extras = Extras::of(partitions);
    let filter = if extras.multi_tag {
        TopicFilterType::MultiTag
    } else {
        TopicFilterType::SingleTag
    };
    TopicConfig {
        attributes: extras.attributes,
        order: partitions.ordered,
        perm: partitions.permissions as i32,
        read_queue_nums: partitions.read as i32,
        topic_filter_type: Some(filter),
        topic_name: name.to_owned(),
        topic_sys_flag: extras.sys_flag,
        write_queue_nums: partitions.write as i32,
    }
}

/// Applies what request 17 says of attributes: `+key=value` and `-key`, separated by commas. A new
/// topic has nothing to take away from.
pub fn alter_attributes(
    attributes: &mut BTreeMap<String, String>,
    text: &str,
    is_new: bool,
) -> Result<(), &'static str> {
    const KNOWN: &[&str] = &[
        "queue.type",
        "cleanup.policy",
        "message.type",
        "reserve.time",
    ];
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let unknown = "kv string format wrong.";
        if let Some(pair) = part.strip_prefix('+') {
            let (key, value) = pair.split_once('=').ok_or(unknown)?;
            let (key, value) = (key.trim(), value.trim());
            if !KNOWN.contains(&key) {
                return Err("unsupported key: an attribute that no topic has");
            }
            let unserved = match key {
                "queue.type" => value != "SimpleCQ",
                "cleanup.policy" => value != "DELETE",
                _ => false,
            };
            if unserved {
                return Err(
                    "value is not in set: this broker has neither batch queues nor compaction",
                );
            }
            attributes.insert(key.to_owned(), value.to_owned());
        } else if let Some(key) = part.strip_prefix('-') {
            if is_new {
                return Err("only add attribute is supported while creating topic.");
            }
            attributes.remove(key.trim());
        } else {
            return Err(unknown);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(fault("Topic_1-%|"), None);
        assert!(fault("").is_some() && fault("a.b").is_some() && fault("ü").is_some());
        assert!(fault(&"x".repeat(127)).is_none() && fault(&"x".repeat(128)).is_some());
    }

    #[test]
    fn extras_come_back() {
        let mut extras = Extras {
            multi_tag: true,
            sys_flag: -3,
            attributes: BTreeMap::new(),
        };
        alter_attributes(
            &mut extras.attributes,
            "+message.type=FIFO, +reserve.time=5",
            true,
        )
        .unwrap();
        assert_eq!(Extras::decode(&extras.encode()), Ok(extras.clone()));
        assert!(alter_attributes(&mut extras.attributes, "-reserve.time", true).is_err());
        alter_attributes(&mut extras.attributes, "-reserve.time", false).unwrap();
        assert_eq!(extras.attributes.len(), 1);
        assert!(alter_attributes(&mut extras.attributes, "+queue.type=BatchCQ", false).is_err());
        assert!(Extras::decode(&[2]).is_err());
    }
}
