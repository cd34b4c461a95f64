//! Conversations with the doors: each peer speaks through its own wire crate to a real node in a
//! world without sockets and clocks.

mod amqp_client;
mod amqp_consuming;
mod amqp_handshake;
mod amqp_publishing;
mod amqp_topology;
mod remoting_client;
mod remoting_consuming;
mod remoting_sending;
mod remoting_transactions;
mod world;
