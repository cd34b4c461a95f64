//! The three doors: which machine speaks which wire, and at which listener.

use std::net::{Ipv4Addr, SocketAddr};

use broker::id::{Millis, SessionId};
use gateway::amqp::AmqpDoor;
use gateway::door::{Door, Wire};
use gateway::openwire::OpenwireDoor;
use gateway::remoting::RemotingDoor;

use crate::config::{Config, Listeners};

/// What the operator says about the RocketMQ door. Its clients are told an address and dial it,
/// so a broker that listens everywhere has to be told which of its addresses they reach.
pub(crate) fn remoting_settings(config: &Config) -> gateway::remoting::Settings {
    let bind = config.listeners.bind;
    let reachable = if bind.is_unspecified() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        bind
    };
    gateway::remoting::Settings {
        broker: config.broker.name.as_str().into(),
        cluster: config.broker.cluster.as_str().into(),
        advertised_ip: config.broker.advertised_host.unwrap_or(reachable),
        broker_port: config.listeners.remoting,
        ..gateway::remoting::Settings::default()
    }
}

/// Makes the doors, in the order of [`Wire`]. `identity` is the data directory's.
pub fn doors(config: &Config, identity: u128) -> [Box<dyn Door>; 3] {
    let amqp = AmqpDoor::new(gateway::amqp::Settings::default());
    let openwire = OpenwireDoor::new(gateway::openwire::Settings {
        broker_name: "localhost".into(),
        broker_id: format!("ID:troika-{identity:032x}"),
        broker_url: format!("tcp://{}", config.listeners.at(config.listeners.openwire)),
        frame_bytes_max: gateway::openwire::Settings::FRAME_BYTES_MAX,
        provider_version: "5.18.3".into(),
    });
    let remoting = RemotingDoor::new(remoting_settings(config));
    [Box::new(amqp), Box::new(openwire), Box::new(remoting)]
}

/// The doors of a reactor by their wire.
pub(crate) struct Doors([Box<dyn Door>; 3]);

impl Doors {
    pub fn new(doors: [Box<dyn Door>; 3]) -> Doors {
        Doors(doors)
    }

    pub fn at(&mut self, wire: Wire) -> &mut dyn Door {
        let number = match wire {
            Wire::Amqp => 0,
            Wire::Openwire => 1,
            Wire::Remoting => 2,
        };
        &mut *self.0[number]
    }

    /// The door of a session that a connection has.
    pub fn of(&mut self, session: SessionId) -> &mut dyn Door {
        self.at(Wire::of(session).expect("connections have sessions of a wire"))
    }

    pub fn each(&mut self) -> impl Iterator<Item = &mut Box<dyn Door>> {
        self.0.iter_mut()
    }

    pub fn deadline(&self) -> Option<Millis> {
        self.0.iter().filter_map(|door| door.deadline()).min()
    }
}

/// Where one wire is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entrance {
    /// As in the configuration.
    pub name: &'static str,
    pub wire: Wire,
    pub at: SocketAddr,
}

/// All entrances of a configuration.
pub(crate) fn entrances(listeners: &Listeners) -> [Entrance; 5] {
    [
        ("amqp", Wire::Amqp, listeners.amqp),
        ("openwire", Wire::Openwire, listeners.openwire),
        ("nameserver", Wire::Remoting, listeners.nameserver),
        ("remoting", Wire::Remoting, listeners.remoting),
        ("remoting_vip", Wire::Remoting, listeners.remoting_vip),
    ]
    .map(|(name, wire, port)| Entrance {
        name,
        wire,
        at: listeners.at(port),
    })
}
