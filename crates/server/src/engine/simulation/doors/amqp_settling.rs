//! What a client of AMQP does with what it was given.

use amqp::{DeliveryTag, Method};

use super::amqp::{Ask, Channel, Talk};
use super::client::Scene;

/// What may be done with a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settling {
    Ack,
    AckAll,
    Requeue,
    Reject,
}

impl Talk {
    pub fn recover(&mut self, number: u16, scene: &mut Scene<'_>) {
        let channel = self.channel(number);
        // What comes meanwhile would have come before or after; a client waits.
        if !channel.asks.is_empty() || !channel.consumers.is_empty() {
            return;
        }
        let tags: Vec<u64> = channel.unsettled.keys().copied().collect();
        for tag in tags {
            let got = channel.take(tag).expect("it is unsettled");
            scene.judge.released(got.key);
        }
        channel.ask(Ask::Recover);
        self.say(number, &Method::BasicRecover { requeue: true }, scene);
    }

    pub fn settle(&mut self, number: u16, scene: &mut Scene<'_>) {
        let channel = self.channel(number);
        let tags: Vec<u64> = channel.unsettled.keys().copied().collect();
        let Some(tag) = scene.pick(&tags) else { return };
        let way = match scene.dice.below(10) {
            0 => Settling::AckAll,
            1 => Settling::Requeue,
            2 | 3 => Settling::Reject,
            _ => Settling::Ack,
        };
        self.settle_so(number, tag, way, scene);
    }

    fn settle_so(&mut self, number: u16, tag: u64, way: Settling, scene: &mut Scene<'_>) {
        let channel = self.channel(number);
        let key = channel.unsettled[&tag].got.key;
        let holder = channel.holder;
        let grave = key.0.grave();
        if way == Settling::Reject && grave.is_some_and(|to| !scene.judge.can_be_buried(key, to)) {
            return;
        }
        let first = if way == Settling::AckAll { 0 } else { tag };
        let tags: Vec<u64> = channel
            .unsettled
            .range(first..=tag)
            .map(|(tag, _)| *tag)
            .collect();
        for tag in tags {
            let key = channel.take(tag).expect("it is unsettled").key;
            match (way, grave) {
                (Settling::Requeue, _) => {
                    scene.judge.released(key);
                    continue;
                }
                (Settling::Reject, Some(grave)) => {
                    scene.counts.note("AMQP burial");
                    scene.judge.ask_to_bury(key, grave, holder);
                }
                _ => scene.judge.ask_to_settle(key, holder),
            }
            channel.settled.push(key);
        }
        let delivery_tag = DeliveryTag(tag);
        let method = match way {
            Settling::Ack | Settling::AckAll => Method::BasicAck {
                delivery_tag,
                multiple: way == Settling::AckAll,
            },
            Settling::Requeue => Method::BasicNack {
                delivery_tag,
                multiple: false,
                requeue: true,
            },
            Settling::Reject => Method::BasicReject {
                delivery_tag,
                requeue: false,
            },
        };
        self.say(number, &method, scene);
    }

    pub fn settle_all(&mut self, scene: &mut Scene<'_>) -> bool {
        let last = |channel: &Channel| channel.unsettled.keys().next_back().copied();
        let all: Vec<(u16, u64)> = self
            .channels
            .iter()
            .filter_map(|(number, channel)| Some((*number, last(channel)?)))
            .collect();
        for (number, tag) in &all {
            self.settle_so(*number, *tag, Settling::AckAll, scene);
        }
        !all.is_empty()
    }
}
