//! Acknowledgement, refusal, return.

use std::collections::BTreeMap;

use amqp::{DeliveryTag, Method};
use broker::id::{Position, QueueId};
use broker::pass::{Outcome, Positions};

use super::channel::Channel;
use super::conversation::{Conversation, Turn};
use super::fault::Fault;
use super::unsettled::{Held, Unsettled};

/// Positions of several queues, each queue once.
#[derive(Default)]
struct PerQueue(BTreeMap<QueueId, Vec<Position>>);

impl PerQueue {
    fn add(&mut self, held: Held) {
        self.0.entry(held.queue).or_default().push(held.position);
    }
}

impl Conversation {
    pub fn settling_method(
        &mut self,
        number: u16,
        method: &Method<'_>,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        match *method {
            Method::BasicAck {
                delivery_tag,
                multiple: false,
            } => {
                let held = self.take(number, delivery_tag)?;
                self.collect_accept(held.queue, held.position);
                self.settled(number, held);
                Ok(())
            }
            Method::BasicAck {
                delivery_tag,
                multiple: true,
            } => {
                // Lent out, so that many acks of a few deliveries allocate nothing.
                let mut unsettled = std::mem::take(&mut self.channel_mut(number)?.unsettled);
                let taken = take_many(&mut unsettled, delivery_tag, |held| {
                    self.collect_accept(held.queue, held.position);
                    self.settled(number, held);
                });
                self.channel_mut(number)?.unsettled = unsettled;
                taken
            }
            Method::BasicReject {
                delivery_tag,
                requeue,
            }
            | Method::BasicNack {
                delivery_tag,
                multiple: false,
                requeue,
            } => {
                let held = self.take(number, delivery_tag)?;
                let positions = Positions::One(held.position);
                self.settle(held.queue, positions, returned(requeue), turn);
                self.settled(number, held);
                Ok(())
            }
            Method::BasicNack {
                delivery_tag,
                multiple: true,
                requeue,
            } => self.give_back(number, delivery_tag, requeue, turn),
            Method::BasicRecover { requeue: false }
            | Method::BasicRecoverAsync { requeue: false } => {
                Err(Fault::not_implemented("requeue=false"))
            }
            Method::BasicRecover { requeue: true } => {
                self.give_back(number, DeliveryTag(0), true, turn)?;
                self.send(number, &Method::BasicRecoverOk, turn);
                Ok(())
            }
            Method::BasicRecoverAsync { requeue: true } => {
                self.give_back(number, DeliveryTag(0), true, turn)
            }
            _ => unreachable!("the caller gives methods of this kind only"),
        }
    }

    /// Settles behind what was acknowledged before.
    pub fn settle(
        &mut self,
        queue: QueueId,
        positions: Positions,
        outcome: Outcome,
        turn: &mut Turn<'_, '_>,
    ) {
        self.flush_accepted(turn);
        turn.cx.settle(self.session, queue, positions, outcome);
    }

    fn take(&mut self, number: u16, tag: DeliveryTag) -> Result<Held, Fault> {
        self.channel_mut(number)?
            .unsettled
            .take(tag.0)
            .map_err(|_| unknown(tag))
    }

    fn settled(&mut self, number: u16, held: Held) {
        let Some(consumer) = held.consumer else {
            return;
        };
        self.collect_room(number);
        self.collect_credit(consumer);
    }

    fn give_back(
        &mut self,
        number: u16,
        tag: DeliveryTag,
        requeue: bool,
        turn: &mut Turn<'_, '_>,
    ) -> Result<(), Fault> {
        let mut all = Vec::new();
        take_many(&mut self.channel_mut(number)?.unsettled, tag, |held| {
            all.push(held)
        })?;
        let mut queues = PerQueue::default();
        all.iter().for_each(|held| queues.add(*held));
        for (queue, positions) in queues.0 {
            self.settle(queue, Positions::Many(positions), returned(requeue), turn);
        }
        all.into_iter().for_each(|held| self.settled(number, held));
        Ok(())
    }

    /// A channel is gone: what was delivered on it goes back, as redelivered.
    pub fn release_all(&mut self, channel: &mut Channel, turn: &mut Turn<'_, '_>) {
        let mut queues = PerQueue::default();
        channel.unsettled.take_all(|held| queues.add(held));
        for (queue, positions) in queues.0 {
            self.settle(queue, Positions::Many(positions), Outcome::Release, turn);
        }
    }
}

/// Takes everything up to a tag; all there is for tag 0.
fn take_many(
    unsettled: &mut Unsettled,
    tag: DeliveryTag,
    taken: impl FnMut(Held),
) -> Result<(), Fault> {
    if tag == DeliveryTag(0) {
        unsettled.take_all(taken);
        return Ok(());
    }
    unsettled.take_up_to(tag.0, taken).map_err(|_| unknown(tag))
}

/// A returned message of this language is marked redelivered and its attempts are not counted, as
/// in a classic queue.
fn returned(requeue: bool) -> Outcome {
    if requeue {
        Outcome::Release
    } else {
        Outcome::Reject {
            fallback: None,
            cause: None,
        }
    }
}

fn unknown(tag: DeliveryTag) -> Fault {
    Fault::precondition(format!("unknown delivery tag {}", tag.0))
}
