//! The way of a message out.

use amqp::{ChannelNumber, DeliveryTag, Method, encode};
use broker::event::Delivery;
use broker::id::{ConsumerId, Token};
use broker::pass::{Mode, Outcome, Positions};
use broker::record::Record;

use super::channel::Settling;
use super::conversation::{Conversation, Turn};
use super::rendering;
use super::unsettled::Held;
use super::waiting::{Ticket, Waiting, What};

impl Conversation {
    pub fn deliver(&mut self, delivery: &Delivery, turn: &mut Turn<'_, '_>) {
        let Some(consumer) = self.consumers.get_mut(&delivery.consumer) else {
            // Its channel was closed while this was under way.
            return self.release_unseen(delivery, turn);
        };
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return self.release_unseen(delivery, turn);
        };
        let tag = channel.next_tag();
        if let Settling::Manual { unsettled, .. } = &mut consumer.settling {
            *unsettled += 1;
            if let Some(window) = &mut channel.window {
                window.unsettled += 1;
            }
            let (queue, position) = (delivery.queue, delivery.position);
            let held = Held {
                queue,
                position,
                consumer: Some(delivery.consumer),
            };
            channel.unsettled.push(tag, held);
        }
        self.sent = true;
        let record = stored(delivery, turn);
        let out = turn.cx.links.out(self.session);
        rendering::with_native(&record, |properties, body| {
            encode::encode_deliver(
                out,
                ChannelNumber(consumer.channel),
                consumer.tag.as_bytes(),
                DeliveryTag(tag),
                delivery.redelivered,
                record.envelope.address.as_bytes(),
                record.envelope.key.as_bytes(),
                properties,
                body,
                self.tuning.frame_max,
            );
        });
    }

    /// A get was answered.
    pub fn got(
        &mut self,
        token: Token,
        delivery: Option<Delivery>,
        ready: u64,
        turn: &mut Turn<'_, '_>,
    ) {
        if let Ticket::Window(consumer) = Ticket::of(token) {
            return self.got_for_window(consumer, delivery, turn);
        }
        let is_awaited = |waiting: &mut Waiting| {
            waiting.first == token && matches!(waiting.what, What::Get { .. })
        };
        let Some(waiting) = self.waiting.take_if(is_awaited) else {
            if let Some(delivery) = delivery {
                self.release_unseen(&delivery, turn);
            }
            return;
        };
        match delivery {
            None => self.send(waiting.at.channel, &Method::BasicGetEmpty, turn),
            Some(delivery) => self.hand_over(&waiting, &delivery, ready, turn),
        }
        turn.cx.links.resume(self.session);
    }

    fn hand_over(
        &mut self,
        waiting: &Waiting,
        delivery: &Delivery,
        ready: u64,
        turn: &mut Turn<'_, '_>,
    ) {
        let number = waiting.at.channel;
        let Some(channel) = self.channels.get_mut(&number) else {
            return self.release_unseen(delivery, turn);
        };
        let tag = channel.next_tag();
        match waiting.what {
            What::Get {
                mode: Mode::Settled | Mode::Browse,
            } => {}
            _ => {
                let (queue, position) = (delivery.queue, delivery.position);
                channel.unsettled.push(
                    tag,
                    Held {
                        queue,
                        position,
                        consumer: None,
                    },
                );
            }
        }
        self.sent = true;
        let record = stored(delivery, turn);
        let get_ok = Method::BasicGetOk {
            delivery_tag: DeliveryTag(tag),
            redelivered: delivery.redelivered,
            exchange: record.envelope.address,
            routing_key: record.envelope.key,
            message_count: u32::try_from(ready).unwrap_or(u32::MAX),
        };
        let (out, frame_max) = (turn.cx.links.out(self.session), self.tuning.frame_max);
        rendering::with_native(&record, |properties, body| {
            encode::content(
                out,
                ChannelNumber(number),
                &get_ok,
                properties,
                body,
                frame_max,
            );
        });
    }

    fn got_for_window(
        &mut self,
        consumer: ConsumerId,
        delivery: Option<Delivery>,
        turn: &mut Turn<'_, '_>,
    ) {
        let wanted = self.window_answered(consumer, delivery.is_some(), turn);
        match delivery {
            None => {}
            Some(delivery) if wanted => self.deliver(&delivery, turn),
            Some(delivery) => self.release_unseen(&delivery, turn),
        }
    }

    /// Gives a message back that the peer never saw.
    fn release_unseen(&mut self, delivery: &Delivery, turn: &mut Turn<'_, '_>) {
        if self.ended {
            return;
        }
        let (queue, positions) = (delivery.queue, Positions::One(delivery.position));
        self.settle(queue, positions, Outcome::ReleaseUntouched, turn);
    }
}

/// # Panics
/// If the record cannot be read: what an event names can be read while it is handled, and what is
/// stored was checked on its way in.
fn stored<'c>(delivery: &Delivery, turn: &Turn<'_, 'c>) -> Record<'c> {
    let records = turn.cx.records;
    let bytes = records
        .record(delivery.message)
        .expect("a delivered record can be read");
    Record::decode(bytes).expect("a stored record can be decoded")
}
