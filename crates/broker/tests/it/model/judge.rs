//! What the model makes of what it sees: whether something was lost, doubled or out of order.

use std::collections::BTreeSet;

use broker::event::{Answer, Delivery, Event};
use broker::id::{ConsumerId, SessionId, Token};
use broker::pass::{Command, ConsumerOptions, Credit, Mode, Sharing};

use super::{DELAY_MS_MAX, Key, Message, Model, QUEUES, State};
use crate::world::Sync;

impl Model {
    pub fn crash(&mut self) {
        self.world.run();
        self.look();
        self.world.crash();
        self.consumers.clear();
        self.confirms.clear();
        self.barriers.clear();
        // What was neither confirmed nor settled for good may be there or not, and what is not
        // persistent may have gone even so.
        for message in self.messages.values_mut() {
            message.held = None;
            message.marked = message.seen;
            message.may_be_marked = true;
            message.attempts = None;
        }
        self.freshest = Default::default();
        self.wait_for_kept();
        let unsure = |m: &Message| match m.state {
            State::Sent | State::Settled => true,
            State::Confirmed => !m.persistent,
            State::Gone => false,
        };
        let present = self.present();
        self.messages.retain(|key, message| {
            let there = present.contains(key);
            match message.state {
                State::Gone => {
                    assert!(!there, "{key:?} was settled for good and came again");
                    true
                }
                State::Confirmed | State::Sent | State::Settled if there => {
                    message.state = State::Confirmed;
                    true
                }
                State::Confirmed | State::Sent | State::Settled => {
                    assert!(unsure(message), "{key:?} was confirmed and is lost");
                    false
                }
            }
        });
        self.look();
    }

    /// Until everything that was kept is in its queue.
    fn wait_for_kept(&mut self) {
        let durability = std::mem::replace(&mut self.world.durability, Sync::AtOnce);
        self.world.sync();
        self.world.tick(DELAY_MS_MAX);
        self.look();
        self.world.durability = durability;
    }

    /// Everything that is there, seen by browsers.
    fn present(&mut self) -> BTreeSet<Key> {
        let session = SessionId(99);
        let mut present = BTreeSet::new();
        let durability = std::mem::replace(&mut self.world.durability, Sync::AtOnce);
        self.world.sync();
        self.world.run();
        for (queue, name) in QUEUES.iter().enumerate() {
            let consumer = ConsumerId(self.next_consumer);
            self.next_consumer += 1;
            let options = ConsumerOptions {
                mode: Mode::Browse,
                sharing: Sharing::Shared,
                priority: 0,
                filter: None,
                credit: Credit::Unlimited,
            };
            let id = self.world.queue(name);
            let command = |token| Command::Attach {
                token,
                consumer,
                queue: id,
                options,
            };
            self.world.ask(session, command);
            self.world.run();
            let (mut last, mut ended) = (None, false);
            for event in std::mem::take(&mut self.world.events) {
                match event {
                    Event::Deliver(delivery) if delivery.consumer == consumer => {
                        let number = self
                            .world
                            .message_name(delivery.message)
                            .parse()
                            .expect("a number");
                        let message = self.messages.get(&(queue, number));
                        if message.is_none_or(|message| message.due.is_none()) {
                            assert!(last < Some(number), "seed {}: out of order", self.seed);
                            last = Some(number);
                        }
                        present.insert((queue, number));
                    }
                    Event::BrowseEnded { consumer: of, .. } => ended |= of == consumer,
                    other => self.note(other),
                }
            }
            assert!(ended, "a browser ends");
        }
        self.world.pass.push(session, Command::End { token: None });
        self.world.run();
        self.world.durability = durability;
        present
    }

    pub fn look(&mut self) {
        for event in std::mem::take(&mut self.world.events) {
            self.note(event);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Stored { token, .. } => self.confirmed(token),
            Event::Done { token, result, .. } => {
                assert!(result.is_ok(), "seed {}: {result:?}", self.seed);
                self.confirmed(token);
                for key in self.barriers.remove(&token).unwrap_or_default() {
                    self.messages.get_mut(&key).expect("known").state = State::Gone;
                }
            }
            Event::Deliver(delivery) => self.delivered(delivery),
            Event::Got { .. }
            | Event::Ready { .. }
            | Event::BrowseEnded { .. }
            | Event::Cancelled { .. }
            | Event::Read { .. }
            | Event::Changed(_) => {}
        }
    }

    fn delivered(&mut self, delivery: Delivery) {
        let seed = self.seed;
        let number: u64 = self
            .world
            .message_name(delivery.message)
            .parse()
            .expect("a number");
        let (session, queue) = self.consumers[&delivery.consumer];
        assert_eq!(session, delivery.session);
        let message = self
            .messages
            .get_mut(&(queue, number))
            .expect("what was sent");
        assert!(
            message.held.is_none(),
            "seed {seed}: {number} was handed out twice"
        );
        assert!(
            matches!(message.state, State::Sent | State::Confirmed),
            "seed {seed}: {number} is {:?} and was handed out",
            message.state
        );
        assert!(
            delivery.redelivered || !message.marked,
            "seed {seed}: {number} came again without a mark"
        );
        assert!(
            !delivery.redelivered || message.marked || message.may_be_marked,
            "seed {seed}: {number} is marked and was never handed out"
        );
        if let Some(attempts) = message.attempts {
            assert_eq!(
                delivery.attempts, attempts,
                "seed {seed}: attempts of {number}"
            );
        }
        message.attempts = Some(delivery.attempts);
        let now = self.world.now;
        assert!(message.due <= Some(now), "seed {seed}: {number} is early");
        if !message.seen && !message.may_be_marked && message.due.is_none() {
            assert!(
                self.freshest[queue] < Some(number),
                "seed {seed}: {number} is out of order"
            );
            self.freshest[queue] = Some(number);
        }
        message.marked |= delivery.redelivered;
        message.seen = true;
        message.held = Some((session, delivery.queue, delivery.position));
    }

    fn confirmed(&mut self, token: Token) {
        for key in self.confirms.remove(&token).unwrap_or_default() {
            if let Some(message) = self.messages.get_mut(&key)
                && message.state == State::Sent
            {
                message.state = State::Confirmed;
            }
        }
    }

    pub fn finish(&mut self) {
        self.world.durability = Sync::AtOnce;
        self.wait_for_kept();
        let expected: BTreeSet<_> = self
            .messages
            .iter()
            .filter(|(_, m)| matches!(m.state, State::Sent | State::Confirmed))
            .map(|(key, _)| *key)
            .collect();
        assert_eq!(self.present(), expected, "seed {}", self.seed);
        for (queue, name) in QUEUES.iter().enumerate() {
            let queue_id = self.world.queue(name);
            let status = |token| Command::Status {
                token,
                queue: queue_id,
            };
            let status = self.world.done(SessionId(1), status);
            let Some(Ok(Answer::Status(status))) = status else {
                panic!("{status:?}")
            };
            let mine = self.messages.iter().filter(|((of, _), _)| *of == queue);
            let held = mine.filter(|(_, m)| m.held.is_some()).count() as u64;
            let there = expected.iter().filter(|(of, _)| *of == queue).count() as u64;
            assert_eq!(
                (status.unsettled, status.ready),
                (held, there - held),
                "seed {}",
                self.seed
            );
        }
        self.world.compare_with_replay();
    }
}
