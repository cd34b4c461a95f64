//! Acknowledgement, refusal, return.

use amqp::{DeliveryTag, Method};
use broker::id::{Position, QueueId};
use broker::pass::{Command, Outcome, Positions};

use super::channel::Channel;
use super::conversation::{Conversation, Turn};
use super::fault::Fault;
use super::unsettled::Held;

/// Positions of several queues, each queue once, in the order in which they were met.
#[derive(Default)]
struct PerQueue(Vec<(QueueId, Vec<Position>)>);

impl PerQueue {
    fn add(&mut self, held: Held) {
        // Nearly always one queue, and then the last one.
        match self.0.iter_mut().rev().find(|(queue, _)| *queue == held.queue) {
            Some((_, positions)) => positions.push(held.position),
            None => self.0.push((held.queue, vec![held.position])),
        }
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
            Method::BasicAck { delivery_tag, multiple: false } => {
                let held = self.take(number, delivery_tag)?;
                self.collect_accept(held.queue, held.position);
                self.settled(held);
                Ok(())
            }
            Method::BasicAck { delivery_tag, multiple: true } => {
                for held in self.take_many(number, delivery_tag)? {
                    self.collect_accept(held.queue, held.position);
                    self.settled(held);
                }
                Ok(())
            }
            Method::BasicReject { delivery_tag, requeue }
            | Method::BasicNack { delivery_tag, multiple: false, requeue } => {
                let held = self.take(number, delivery_tag)?;
                let positions = Positions::One(held.position);
                let (queue, outcome) = (held.queue, returned(requeue));
                self.command(Command::Settle { queue, positions, outcome }, turn);
                self.settled(held);
                Ok(())
            }
            Method::BasicNack { delivery_tag, multiple: true, requeue } => {
                let held = self.take_many(number, delivery_tag)?;
                self.give_back(held, requeue, turn);
                Ok(())
            }
            Method::BasicRecover { requeue: false }
            | Method::BasicRecoverAsync { requeue: false } => {
                Err(Fault::not_implemented("requeue=false"))
            }
            Method::BasicRecover { requeue: true } => {
                let held = self.take_many(number, DeliveryTag(0))?;
                self.give_back(held, true, turn);
                self.send(number, &Method::BasicRecoverOk, turn);
                Ok(())
            }
            Method::BasicRecoverAsync { requeue: true } => {
                let held = self.take_many(number, DeliveryTag(0))?;
                self.give_back(held, true, turn);
                Ok(())
            }
            _ => unreachable!("the caller gives methods of this kind only"),
        }
    }

    fn take(&mut self, number: u16, tag: DeliveryTag) -> Result<Held, Fault> {
        self.channel_mut(number)?.unsettled.take(tag.0).map_err(|_| unknown(tag))
    }

    /// Everything up to a tag; all there is for tag 0.
    fn take_many(&mut self, number: u16, tag: DeliveryTag) -> Result<Vec<Held>, Fault> {
        let unsettled = &mut self.channel_mut(number)?.unsettled;
        let mut taken = Vec::new();
        if tag == DeliveryTag(0) {
            unsettled.take_all(|held| taken.push(held));
        } else {
            unsettled.take_up_to(tag.0, |held| taken.push(held)).map_err(|_| unknown(tag))?;
        }
        Ok(taken)
    }

    fn settled(&mut self, held: Held) {
        if let Some(consumer) = held.consumer {
            self.collect_credit(consumer);
        }
    }

    fn give_back(&mut self, held: Vec<Held>, requeue: bool, turn: &mut Turn<'_, '_>) {
        let mut queues = PerQueue::default();
        held.iter().for_each(|held| queues.add(*held));
        for (queue, positions) in queues.0 {
            let (positions, outcome) = (Positions::Many(positions), returned(requeue));
            self.command(Command::Settle { queue, positions, outcome }, turn);
        }
        held.into_iter().for_each(|held| self.settled(held));
    }

    /// A channel is gone: what was delivered on it goes back, as redelivered.
    pub fn release_all(&mut self, channel: &mut Channel, turn: &mut Turn<'_, '_>) {
        let mut queues = PerQueue::default();
        channel.unsettled.take_all(|held| queues.add(held));
        for (queue, positions) in queues.0 {
            let (positions, outcome) = (Positions::Many(positions), Outcome::Release);
            self.command(Command::Settle { queue, positions, outcome }, turn);
        }
    }
}

/// A returned message of this language is marked redelivered and its attempts are not counted, as
/// in a classic queue.
fn returned(requeue: bool) -> Outcome {
    if requeue { Outcome::Release } else { Outcome::Reject { fallback: None, cause: None } }
}

fn unknown(tag: DeliveryTag) -> Fault {
    Fault::precondition(format!("unknown delivery tag {}", tag.0))
}
