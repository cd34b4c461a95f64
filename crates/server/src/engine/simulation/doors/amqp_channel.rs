//! What a channel of an AMQP client makes of what it hears.

use amqp::Method;

use super::super::world::{Verdict, ensure};
use super::amqp::{Ask, Asked, Channel, ChannelPhase, Consumer, Unsettled, WHO};
use super::client::{Scene, unexpected};
use super::judge::{Got, Handed};
use super::message::{Queue, Target};

impl Channel {
    pub fn confirmed(&mut self, tag: u64, multiple: bool, scene: &mut Scene<'_>) -> Verdict {
        let confirms = self.confirms.as_mut().ok_or_else(|| unexpected(WHO, tag))?;
        let first = if multiple { 0 } else { tag };
        let told: Vec<u64> = confirms
            .waiting
            .range(first..=tag)
            .map(|(tag, _)| *tag)
            .collect();
        ensure(told.last() == Some(&tag), || {
            format!("{WHO} is told that {tag} is confirmed, again or before it was published")
        })?;
        for tag in told {
            let (number, target) = confirms.waiting.remove(&tag).expect("just found");
            scene.counts.note("AMQP confirm");
            scene.judge.confirmed(number, &target.queues())?;
            if target == Target::Ticks {
                scene.partitions.confirmed(number)?;
            }
        }
        Ok(())
    }

    pub fn refused(&mut self, tag: u64, scene: &mut Scene<'_>) -> Verdict {
        let confirms = self.confirms.as_mut().ok_or_else(|| unexpected(WHO, tag))?;
        let Some((number, target)) = confirms.waiting.remove(&tag) else {
            return Err(unexpected(WHO, ("a nack", tag)));
        };
        scene.counts.note("AMQP refusal");
        if target == Target::Ticks {
            scene.partitions.refused(number)?;
        }
        scene.judge.refused(number)
    }

    /// An answer has come; tells whether that was the last one.
    pub fn answer(&mut self, method: &Method<'_>, scene: &mut Scene<'_>) -> Verdict<bool> {
        let Some(Asked { what, settled }) = self.asks.pop_front() else {
            return Err(unexpected(WHO, method));
        };
        match (&what, method) {
            (Ask::Open, Method::ChannelOpenOk) => {
                if self.phase == ChannelPhase::Opening {
                    self.phase = ChannelPhase::Open;
                }
            }
            (Ask::Qos(prefetch), Method::BasicQosOk) => {
                self.prefetch = *prefetch;
                self.window = 0;
            }
            (Ask::Window(window), Method::BasicQosOk) => self.window = *window,
            (Ask::Cancel(tag), Method::BasicCancelOk { consumer_tag }) if tag == consumer_tag => {
                if let Some(consumer) = self.consumers.remove(tag) {
                    scene.judge.left(consumer.receiver, &[consumer.queue]);
                }
            }
            (Ask::Consume(tag), Method::BasicConsumeOk { consumer_tag }) if tag == consumer_tag => {
            }
            (Ask::Declare, Method::QueueDeclareOk { .. })
            | (Ask::Bind, Method::QueueBindOk)
            | (Ask::Select, Method::ConfirmSelectOk)
            | (Ask::Count, Method::QueueDeclareOk { .. })
            | (Ask::Recover, Method::BasicRecoverOk)
            | (Ask::Get(_), Method::BasicGetOk { .. } | Method::BasicGetEmpty) => {}
            (Ask::Close, Method::ChannelCloseOk) => {
                scene.counts.note("AMQP channel closed");
                scene.judge.gone(&self.settled)?;
                scene.judge.lost(self.holder);
                scene.judge.left(self.getter, &self.queues);
                return Ok(true);
            }
            _ => return Err(unexpected(WHO, (what, method))),
        }
        scene.judge.settled(&self.settled[..settled]);
        Ok(false)
    }

    pub fn handed(
        &mut self,
        consumer: Option<&str>,
        tag: u64,
        redelivered: bool,
        body: &[u8],
        scene: &mut Scene<'_>,
    ) -> Verdict {
        ensure(tag == self.last_tag + 1, || {
            format!("{WHO} gets the tag {tag} behind {}", self.last_tag)
        })?;
        self.last_tag = tag;
        if self.phase == ChannelPhase::Closing {
            // A client that has said so looks at nothing but the answer.
            return Ok(());
        }
        let (queue, receiver) = match consumer {
            None => match self.asks.front() {
                Some(Asked {
                    what: Ask::Get(queue),
                    ..
                }) => (*queue, self.getter),
                _ => return Err(unexpected(WHO, "what it has not fetched")),
            },
            Some(name) => {
                let Some(known) = self.consumers.get_mut(name) else {
                    return Err(unexpected(WHO, ("a delivery to", name)));
                };
                known.held += 1;
                ensure(known.prefetch == 0 || known.held <= known.prefetch, || {
                    format!("{WHO} gets {} of {}", known.held, known.prefetch)
                })?;
                let (queue, receiver) = (known.queue, known.receiver);
                let given = self.given();
                ensure(self.window == 0 || given < usize::from(self.window), || {
                    format!("{WHO} holds {given} and gets more than {}", self.window)
                })?;
                (queue, receiver)
            }
        };
        if redelivered {
            scene.counts.note("AMQP redelivery");
        }
        let got = scene.judge.delivered(&Handed {
            queue,
            body,
            redelivered,
            receiver,
            holder: self.holder,
        })?;
        let consumer = consumer.map(str::to_owned);
        self.unsettled.insert(tag, Unsettled { got, consumer });
        Ok(())
    }

    /// How many of its consumers' deliveries are not settled.
    fn given(&self) -> usize {
        let given = self.unsettled.values();
        given.filter(|one| one.consumer.is_some()).count()
    }

    pub fn takes_from(&self) -> Vec<Queue> {
        let has_room = |known: &&Consumer| known.prefetch == 0 || known.held < known.prefetch;
        match self.window == 0 || self.given() < usize::from(self.window) {
            true => self
                .consumers
                .values()
                .filter(has_room)
                .map(|known| known.queue)
                .collect(),
            false => Vec::new(),
        }
    }

    /// Lets go of a delivery.
    pub fn take(&mut self, tag: u64) -> Option<Got> {
        let Unsettled { got, consumer } = self.unsettled.remove(&tag)?;
        if let Some(known) = consumer.and_then(|name| self.consumers.get_mut(&name)) {
            known.held -= 1;
        }
        Some(got)
    }
}
