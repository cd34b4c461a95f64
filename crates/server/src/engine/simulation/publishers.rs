//! What random clients send.

use std::collections::BTreeSet;

use broker::id::{SessionId, Token};
use broker::pass::{Command, Destination, Outcome, Positions, Producer, Publish};
use broker::record::Envelope;
use gateway::{language, partition::tag_hash};

use super::message::native;
use super::partitions::{PARTITIONS, tag};
use super::queues::{MORTAL_MS, Queue};
use super::story::{Ask, Copy, Key, Stage, Story};

/// Where messages are sent.
const TARGETS: [Queue; 5] = [
    Queue::Plain,
    Queue::Strict,
    Queue::Mortal,
    Queue::Fleeting,
    Queue::Passing,
];
const PRODUCER: &str = "the producer that counts";

impl Story {
    pub fn publish_some(&mut self) {
        let many = match self.world.dice.below(60) {
            0 => 600,
            1..4 => 60,
            _ => 1 + self.world.dice.below(8),
        };
        for _ in 0..many {
            let session = self.session();
            let mut queues = BTreeSet::new();
            for _ in 0..1 + self.world.dice.below(2) * self.world.dice.below(3) {
                queues.insert(TARGETS[self.world.dice.below(TARGETS.len() as u64) as usize]);
            }
            let token = self.world.token();
            let (number, copies) = self.store(session, Some(token), &queues);
            self.asks.insert(
                token,
                Ask::Stored {
                    copies,
                    partition: None,
                    number,
                    sequence: None,
                },
            );
        }
    }

    /// Publishes one message to these queues, as far as they are there.
    fn store(
        &mut self,
        session: SessionId,
        token: Option<Token>,
        queues: &BTreeSet<Queue>,
    ) -> (u64, Vec<Key>) {
        let number = self.number();
        let mut copy = Copy::new(self.world.dice.below(4) > 0);
        let mut envelope = self.envelope(copy.persistent, "");
        // What expires is sent nowhere else, since the time would hold there, too.
        let alone = queues.len() == 1 && queues.contains(&Queue::Mortal);
        if alone && self.world.once_in(2) {
            envelope.expires = Some(self.world.now.plus(self.world.dice.below(6_000)));
        }
        let mut copies = Vec::new();
        let mut destinations = Vec::new();
        for queue in queues {
            let there = *queue != Queue::Passing || !self.deleting;
            let Some(id) = self.ids.id(*queue).filter(|_| there) else {
                continue;
            };
            destinations.push(Destination::Queue(id));
            let ttl = (*queue == Queue::Mortal).then(|| self.world.now.plus(MORTAL_MS));
            copy.expires = ttl.into_iter().chain(envelope.expires).min();
            self.copies.insert((*queue, number), copy.clone());
            copies.push((*queue, number));
        }
        if destinations.is_empty() {
            let plain = self.ids.id(Queue::Plain).expect("always there");
            destinations.push(Destination::Queue(plain));
            copy.expires = None;
            self.copies.insert((Queue::Plain, number), copy);
            copies.push((Queue::Plain, number));
        }
        self.send(session, token, number, envelope, &destinations, None);
        (number, copies)
    }

    fn envelope(&self, persistent: bool, key: &'static str) -> Envelope<'static> {
        let mut envelope = Envelope::new(language::AMQP, "", key, self.world.now);
        envelope.persistent = persistent;
        envelope
    }

    fn send(
        &mut self,
        session: SessionId,
        token: Option<Token>,
        number: u64,
        mut envelope: Envelope<'_>,
        destinations: &[Destination],
        producer: Option<Producer<'_>>,
    ) {
        let (native, body) = native(number);
        envelope.body = body;
        let publish = Publish {
            token,
            envelope: &envelope,
            destinations,
            tag_hash: tag_hash(envelope.key),
            producer,
        };
        self.world.pass.publish(session, publish, &[&native]);
    }

    pub fn transaction(&mut self) {
        let session = self.session();
        self.world.pass.begin(session);
        // Now and then more than one frame can hold.
        let many = match self.world.dice.below(150) {
            0 => 4_200,
            _ => 1 + self.world.dice.below(6),
        };
        let mut copies = Vec::new();
        for _ in 0..many {
            let queue = [Queue::Plain, Queue::Strict][self.world.dice.below(2) as usize];
            let (_, more) = self.store(session, None, &BTreeSet::from([queue]));
            copies.extend(more);
        }
        let mut settled = Vec::new();
        if let Some(key) = self.pick_held(|_| true) {
            let copy = self.copies.get_mut(&key).expect("held");
            let holder = copy.held.take().expect("held");
            copy.settling = true;
            copy.stage = Stage::Asked;
            settled.push((key, holder));
            let settle = Command::Settle {
                queue: holder.queue,
                positions: Positions::One(holder.position),
                outcome: Outcome::Accept,
            };
            self.world.pass.push(holder.session, settle);
        }
        let token = self.world.token();
        self.world.pass.commit(session, token);
        self.asks.insert(token, Ask::Commit { copies, settled });
    }

    pub fn delay(&mut self) {
        let session = self.session();
        let number = self.number();
        let due = self.world.now.plus(self.world.dice.below(8_000));
        let mut copy = Copy::new(self.world.dice.below(4) > 0);
        copy.due = Some(due);
        let envelope = self.envelope(copy.persistent, Queue::Late.name());
        let token = self.world.token();
        let timer = [Destination::Timer(due)];
        self.send(session, Some(token), number, envelope, &timer, None);
        self.copies.insert((Queue::Late, number), copy);
        self.asks.insert(
            token,
            Ask::Stored {
                copies: vec![(Queue::Late, number)],
                partition: None,
                number,
                sequence: None,
            },
        );
    }

    /// The producer that numbers its messages sends one, or one of the last again.
    pub fn count_on(&mut self) {
        let number = self.number();
        self.sequence += 1;
        self.copies.insert((Queue::Plain, number), Copy::new(true));
        self.send_numbered(self.sequence, number);
        if self.world.once_in(3) {
            self.send_numbered(self.sequence, number);
        }
    }

    pub fn send_numbered(&mut self, sequence: u64, number: u64) {
        let session = self.session();
        let token = self.world.token();
        let plain = self.ids.id(Queue::Plain).expect("always there");
        let envelope = self.envelope(true, "");
        let producer = Producer {
            name: PRODUCER,
            sequence,
        };
        let to = [Destination::Queue(plain)];
        self.send(session, Some(token), number, envelope, &to, Some(producer));
        self.unconfirmed.insert(sequence, number);
        self.asks.insert(
            token,
            Ask::Stored {
                copies: vec![(Queue::Plain, number)],
                partition: None,
                number,
                sequence: Some(sequence),
            },
        );
    }

    /// Into a partition, and sometimes into a queue, too.
    pub fn append(&mut self) {
        if !self.appends {
            return;
        }
        let many = match self.world.dice.below(40) {
            0 => 300,
            _ => 1 + self.world.dice.below(6),
        };
        for _ in 0..many {
            let session = self.session();
            let number = self.number();
            let partition = self.world.dice.below(PARTITIONS as u64) as usize;
            let copy = Copy::new(self.world.dice.below(2) > 0);
            let envelope = self.envelope(copy.persistent, tag(number));
            let mut destinations = vec![Destination::Partition(self.partitions.id(partition))];
            let mut copies = Vec::new();
            if self.world.once_in(4) {
                let strict = self.ids.id(Queue::Strict).expect("always there");
                destinations.push(Destination::Queue(strict));
                self.copies.insert((Queue::Strict, number), copy);
                copies.push((Queue::Strict, number));
            }
            self.partitions.send(number, partition);
            let token = self.world.token();
            self.send(session, Some(token), number, envelope, &destinations, None);
            self.asks.insert(
                token,
                Ask::Stored {
                    copies,
                    partition: Some(partition),
                    number,
                    sequence: None,
                },
            );
        }
    }
}
