//! What the operator says about this door, and the topics that exist before anybody asks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use broker::id::Durability;
use broker::topology::{AddressSpec, Partitions, Router};
use remoting::Version;

use super::topic::{self, Extras};

/// The settings of a [`RemotingDoor`](super::RemotingDoor). The default is what RocketMQ has out of
/// the box, on this machine alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub broker: Box<str>,
    pub cluster: Box<str>,
    /// Where clients reach the broker: in routes, and inside every offset message id.
    pub advertised_ip: IpAddr,
    pub broker_port: u16,
    /// The release that we claim to be.
    pub version: Version,
    /// Topics come into being when somebody sends to them.
    pub auto_create_topics: bool,
    /// Groups come into being when somebody consumes.
    pub auto_create_groups: bool,
    /// How many queues of each kind an automatic topic may have; clients ask for fewer.
    pub template_queues: u32,
    /// What `DELAY` = 1, 2, … means, in milliseconds.
    pub delay_levels_ms: Vec<u64>,
    pub transactions: Transactions,
}

/// How half messages are looked after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transactions {
    /// How old an undecided message is before its producer is asked.
    pub timeout_ms: u64,
    /// How often undecided messages are looked at.
    pub check_interval_ms: u64,
    /// How often a producer is asked before the message is put aside.
    pub checks_max: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        const SECOND: u64 = 1_000;
        const MINUTE: u64 = 60 * SECOND;
        let minutes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 60, 120].map(|m| m * MINUTE);
        let seconds = [SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND];
        Settings {
            broker: "broker-a".into(),
            cluster: "DefaultCluster".into(),
            advertised_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            broker_port: 10_911,
            version: Version::V5_3_3,
            auto_create_topics: true,
            auto_create_groups: true,
            template_queues: 8,
            delay_levels_ms: seconds.into_iter().chain(minutes).collect(),
            transactions: Transactions::default(),
        }
    }
}

impl Default for Transactions {
    fn default() -> Transactions {
        Transactions {
            timeout_ms: 6_000,
            check_interval_ms: 30_000,
            checks_max: 15,
        }
    }
}

impl Settings {
    /// The address that clients dial.
    pub fn host(&self) -> SocketAddr {
        SocketAddr::new(self.advertised_ip, self.broker_port)
    }
}

/// The addresses that belong to the broker, in an order that must not change: a new one goes to
/// the end, since their ids are their places. The names of cluster and broker are part of it.
pub fn predeclared(settings: &Settings) -> Vec<AddressSpec> {
    let template = settings.template_queues;
    let cluster = &settings.cluster;
    let broker = &settings.broker;
    let every = topic::READ | topic::WRITE | topic::INHERIT;
    let some = topic::READ | topic::WRITE;
    let all = [
        (topic::TEMPLATE.to_owned(), template, every),
        ("SELF_TEST_TOPIC".to_owned(), 1, some),
        ("BenchmarkTest".to_owned(), 1024, some),
        (cluster.to_string(), 16, every),
        (broker.to_string(), 1, every),
        ("OFFSET_MOVED_EVENT".to_owned(), 1, some),
        (topic::SCHEDULE.to_owned(), 18, some),
        (topic::HALF.to_owned(), 1, some),
        (topic::OP_HALF.to_owned(), 1, some),
        (topic::CHECKED_OUT.to_owned(), 1, some),
        (format!("{cluster}_REPLY_TOPIC"), 1, some),
    ];
    let mut specs: Vec<AddressSpec> = Vec::with_capacity(all.len());
    for (name, queues, permissions) in all {
        // A cluster may be called like its broker; the first keeps the name.
        if specs.iter().any(|known| *known.name == *name) {
            continue;
        }
        specs.push(AddressSpec {
            name: name.into(),
            router: Router::Partitioned,
            durability: Durability::Durable,
            auto_delete: false,
            internal: false,
            reserved: true,
            alternate: None,
            partitions: Some(Partitions {
                read: queues,
                write: queues,
                permissions,
                ordered: false,
                system: true,
                attributes: Extras::default().encode(),
            }),
            owner: None,
            arguments: [].into(),
        });
    }
    specs
}
