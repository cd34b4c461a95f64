//! Conversations with the doors: each peer speaks through its own wire crate to a real node in a
//! world without sockets and clocks.

mod abuse;
mod amqp_client;
mod amqp_consuming;
mod amqp_handshake;
mod amqp_interop;
mod amqp_publishing;
mod amqp_topology;
mod fuzz_corpus;
mod openwire_alarms;
mod openwire_captures;
mod openwire_client;
mod openwire_consuming;
mod openwire_groups;
mod openwire_interop;
mod openwire_returning;
mod openwire_sessions;
mod openwire_topics;
mod openwire_transactions;
mod remoting_alarms;
mod remoting_and_amqp;
mod remoting_client;
mod remoting_consuming;
mod remoting_limits;
mod remoting_sending;
mod remoting_transactions;
mod world;
