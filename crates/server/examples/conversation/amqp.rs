//! AMQP: publisher confirms, a consumer with prefetch, acknowledgements of whole batches.

use std::time::Instant;

use amqp::{
    BasicProperties, ChannelNumber, DeliveryTag, FrameMax, Method, Table, TableRef, encode,
    tune::Tuning,
};
use gateway::amqp::{AmqpDoor, Settings};
use gateway::door::Wire;

use crate::world::World;
use crate::{BATCH, BODY, patch, places};

/// Stands in a template where a delivery tag will.
const MARKER: u64 = 0x7a7b_7c7d_7e7f_0102;
/// How often something that is timed is done.
const TIMED: u32 = 2_000;
/// The keys with which one queue is bound.
const KEYS: u64 = 100;

pub fn exchange_messages(count: u64) {
    let mut world = opened();
    let confirm = Method::ConfirmSelect { nowait: false };
    let qos = Method::BasicQos {
        prefetch_size: 0,
        prefetch_count: 1000,
        global: false,
    };
    say(
        &mut world,
        &[
            declare("q", Life::Durable),
            confirm,
            qos,
            consume("q", Acks::Manual),
        ],
    );
    let persistent = BasicProperties {
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    let mut batch = Vec::new();
    let ack = Method::BasicAck {
        delivery_tag: DeliveryTag(MARKER),
        multiple: true,
    };
    encode::method(&mut batch, ChannelNumber(1), &ack);
    let tag = places(&batch, MARKER);
    assert_eq!(tag.len(), 1);
    let acks_end = batch.len();
    for _ in 0..BATCH {
        batch.extend(publish("", "q", &persistent));
    }
    let mut heard = 0;
    for number in 0..count / BATCH {
        // The first time there is nothing to acknowledge.
        let from = if number == 0 { acks_end } else { 0 };
        patch(&mut batch, &tag, number * BATCH);
        world.forget();
        world.send(&batch[from..]);
        heard += world.heard().len();
    }
    let least = (count / BATCH * BATCH) as usize * BODY;
    assert!(heard > least, "{heard} bytes came of {least}");
}

/// Nanoseconds of a publish through an exchange of this type with so many bindings, of which one matches.
pub fn route(kind: &str, bindings: u64) -> u64 {
    let mut world = opened();
    let exchange = Method::ExchangeDeclare {
        exchange: "many",
        kind,
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    };
    say(&mut world, &[exchange]);
    for number in 0..bindings {
        let queue = format!("q{}", number / KEYS);
        if number % KEYS == 0 {
            say(
                &mut world,
                &[
                    declare(&queue, Life::Durable),
                    consume(&queue, Acks::Automatic),
                ],
            );
        }
        // One word of a topic's key is left open.
        let key = if kind == "topic" {
            format!("k.{number}.*")
        } else {
            format!("k.{number}.x")
        };
        let bind = Method::QueueBind {
            queue: &queue,
            exchange: "many",
            routing_key: &key,
            nowait: false,
            arguments: TableRef::EMPTY,
        };
        say(&mut world, &[bind]);
    }
    let plain = BasicProperties {
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    let batches: Vec<Vec<u8>> = (0..TIMED)
        .map(|number| {
            let key = |n: u64| {
                format!(
                    "k.{}.x",
                    (u64::from(number) * 7919 + n * 104_729) % bindings
                )
            };
            (0..BATCH)
                .flat_map(|n| publish("many", &key(n), &plain))
                .collect()
        })
        .collect();
    timed(&mut world, &batches, BATCH as usize * BODY) / BATCH
}

/// Nanoseconds of declaring and deleting an exclusive queue while so many others exist.
pub fn temporary(queues: u64) -> u64 {
    let mut world = opened();
    for number in 0..queues {
        say(
            &mut world,
            &[declare(&format!("other-{number}"), Life::Exclusive)],
        );
    }
    let cycles: Vec<Vec<u8>> = (0..TIMED)
        .map(|number| {
            let name = format!("reply-{number}");
            let delete = Method::QueueDelete {
                queue: &name,
                if_unused: false,
                if_empty: false,
                nowait: false,
            };
            encoded(&[declare(&name, Life::Exclusive), delete])
        })
        .collect();
    // A declare-ok and a delete-ok.
    timed(&mut world, &cycles, 24)
}

/// The median of how long the node works on one of these, each of which is answered with at least so many bytes.
fn timed(world: &mut World, sayings: &[Vec<u8>], answer_bytes_min: usize) -> u64 {
    let mut times: Vec<u64> = Vec::with_capacity(sayings.len());
    for bytes in sayings {
        world.forget();
        let start = Instant::now();
        world.send(bytes);
        times.push(start.elapsed().as_nanos() as u64);
        assert!(
            world.heard().len() >= answer_bytes_min,
            "{} bytes were answered",
            world.heard().len()
        );
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// A connection behind its handshake, with channel 1 open.
fn opened() -> World {
    let mut world = World::new(Wire::Amqp, Box::new(AmqpDoor::new(Settings::default())));
    world.send(b"AMQP\x00\x00\x09\x01");
    let properties = Table::new().to_bytes();
    let tuning = Tuning {
        channel_max: 2047,
        frame_max: FrameMax::DEFAULT,
        heartbeat_s: 0,
    };
    let start_ok = Method::ConnectionStartOk {
        client_properties: TableRef::parse(&properties).expect("an empty table"),
        mechanism: "PLAIN",
        response: b"\0guest\0guest",
        locale: "en_US",
    };
    let mut bytes = Vec::new();
    for method in [
        start_ok,
        tuning.tune_ok(),
        Method::ConnectionOpen { vhost: "/" },
    ] {
        encode::method(&mut bytes, ChannelNumber(0), &method);
    }
    world.send(&bytes);
    say(&mut world, &[Method::ChannelOpen]);
    world
}

/// Says methods on channel 1, which are answered.
fn say(world: &mut World, methods: &[Method<'_>]) {
    world.forget();
    world.send(&encoded(methods));
    assert!(!world.heard().is_empty(), "no answer to {methods:?}");
}

fn encoded(methods: &[Method<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for method in methods {
        encode::method(&mut bytes, ChannelNumber(1), method);
    }
    bytes
}

fn publish(exchange: &str, routing_key: &str, properties: &BasicProperties<'_>) -> Vec<u8> {
    let method = Method::BasicPublish {
        exchange,
        routing_key,
        mandatory: false,
        immediate: false,
    };
    let properties = properties.to_bytes().expect("small properties");
    let mut bytes = Vec::new();
    encode::content(
        &mut bytes,
        ChannelNumber(1),
        &method,
        &properties,
        &[b'x'; BODY],
        FrameMax::DEFAULT,
    );
    bytes
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Durable,
    Exclusive,
}

fn declare(queue: &str, life: Life) -> Method<'_> {
    Method::QueueDeclare {
        queue,
        passive: false,
        durable: life == Life::Durable,
        exclusive: life == Life::Exclusive,
        auto_delete: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Acks {
    Manual,
    Automatic,
}

fn consume(queue: &str, acks: Acks) -> Method<'_> {
    Method::BasicConsume {
        queue,
        consumer_tag: "",
        no_local: false,
        no_ack: acks == Acks::Automatic,
        exclusive: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    }
}
