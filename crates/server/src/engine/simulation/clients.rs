//! What random clients ask for, beside sending (which is in `publishers`).

use broker::id::{ConsumerId, Position, QueueId, SessionId};
use broker::pass::{
    Command, ConsumerOptions, Credit, DeleteCondition, Forward, Mode, Outcome, Positions, Read,
    Sharing,
};
use gateway::partition::tag_hash;

use super::message::only;
use super::partitions::PARTITIONS;
use super::queues::{Place, Queue};
use super::story::{Ask, Hope, Key, Receiver, SESSIONS, Stage, Story};

/// Whence they are taken.
const SOURCES: [Queue; 10] = super::queues::QUEUES;
const CONSUMERS_MAX: usize = 12;

impl Story {
    /// One or a few things that somebody does.
    pub fn act(&mut self) {
        // Within a pass time stands still.
        if self.world.once_in(16) {
            self.pass_time();
        }
        for _ in 0..1 + self.world.dice.below(3) {
            match self.world.dice.below(100) {
                0..22 => self.publish_some(),
                22..27 => self.transaction(),
                27..30 => self.delay(),
                30..34 => self.count_on(),
                34..42 => self.append(),
                42..50 => self.attach(),
                50..53 => self.get(),
                53..73 => self.settle_some(),
                73..78 => self.barrier(),
                78..81 => self.give_credit(),
                81..83 => self.rest_or_go_on(),
                83..85 => self.detach(),
                85 => self.end_one_session(),
                86..91 => self.read(),
                91..94 => self.move_cursor(),
                94..97 => self.purge(),
                _ => self.delete_or_declare(),
            }
        }
    }

    pub fn session(&mut self) -> SessionId {
        self.sessions[self.world.dice.below(SESSIONS as u64) as usize]
    }

    pub fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn source(&mut self) -> Option<QueueId> {
        let queue = SOURCES[self.world.dice.below(SOURCES.len() as u64) as usize];
        let there = queue != Queue::Passing || !self.deleting;
        self.ids.id(queue).filter(|_| there)
    }

    fn attach(&mut self) {
        let Some(queue) = self.source() else { return };
        if self.receivers.len() >= CONSUMERS_MAX {
            return;
        }
        let mode = match self.world.dice.below(6) {
            0 => Mode::Settled,
            1 => Mode::Browse,
            _ => Mode::Lease,
        };
        let parity = match self.world.dice.below(4) {
            0 => Some("even"),
            1 => Some("odd"),
            _ => None,
        };
        let credit = match self.world.dice.below(20) {
            0 => u64::MAX,
            _ => self.world.dice.below(30),
        };
        self.attach_to(queue, mode, parity, credit);
    }

    pub fn attach_to(
        &mut self,
        queue: QueueId,
        mode: Mode,
        parity: Option<&'static str>,
        allowance: u64,
    ) {
        let (consumer, session) = (self.consumer(), self.session());
        let credit = match allowance {
            u64::MAX => Credit::Unlimited,
            0 => Credit::None,
            some => Credit::Set(some as u32),
        };
        let options = ConsumerOptions {
            mode,
            sharing: Sharing::Shared,
            priority: self.world.dice.below(2) as i32,
            filter: parity.map(only),
            credit,
        };
        let token = self.world.token();
        let attach = Command::Attach {
            token,
            consumer,
            queue,
            options,
        };
        self.world.pass.push(session, attach);
        self.asks.insert(token, Ask::Attach);
        self.attended.insert(queue);
        let receiver = Receiver {
            session,
            queue,
            mode,
            parity,
            allowance,
            last: None,
        };
        self.receivers.insert(consumer, receiver);
    }

    fn get(&mut self) {
        let Some(queue) = self.source() else { return };
        let (session, token) = (self.session(), self.world.token());
        let mode = match self.world.once_in(3) {
            true => Mode::Settled,
            false => Mode::Lease,
        };
        let get = Command::Get {
            token,
            queue,
            holder: ConsumerId(session.0 << 32),
            mode,
        };
        self.world.pass.push(session, get);
        self.attended.insert(queue);
        self.asks.insert(token, Ask::Get { session, mode });
    }

    pub fn pick_held(&mut self, wanted: impl Fn(&Key) -> bool) -> Option<Key> {
        let held: Vec<_> = self
            .copies
            .iter()
            .filter(|(key, copy)| copy.held.is_some() && wanted(key))
            .map(|(key, _)| *key)
            .collect();
        let at = self.world.dice.below(held.len().max(1) as u64) as usize;
        held.get(at).copied()
    }

    fn settle_some(&mut self) {
        for _ in 0..1 + self.world.dice.below(12) {
            let Some(key) = self.pick_held(|_| true) else {
                return;
            };
            match self.world.dice.below(12) {
                0..6 => self.accept(key),
                6..9 => self.release(key),
                _ => self.send_on(key),
            }
        }
    }

    /// Lets go of what is held.
    fn settle(&mut self, key: Key, outcome: Outcome) {
        let copy = self.copies.get_mut(&key).expect("held");
        let holder = copy.held.take().expect("held");
        let settle = Command::Settle {
            queue: holder.queue,
            positions: Positions::One(holder.position),
            outcome,
        };
        self.world.pass.push(holder.session, settle);
    }

    pub fn accept(&mut self, key: Key) {
        self.settle(key, Outcome::Accept);
        let copy = self.copies.get_mut(&key).expect("held");
        copy.stage = Stage::Asked;
        copy.settling = true;
    }

    fn release(&mut self, key: Key) {
        let which = self.world.dice.below(3);
        let outcome = [
            Outcome::Release,
            Outcome::ReleaseCounted,
            Outcome::ReleaseUntouched,
        ][which as usize]
            .clone();
        self.settle(key, outcome);
        let copy = self.copies.get_mut(&key).expect("held");
        copy.marked |= which < 2;
        if which == 1 {
            copy.returning = true;
            copy.attempts.0 = copy.attempts.0.saturating_add(1);
            copy.attempts.1 = copy.attempts.1.saturating_add(1);
        }
    }

    /// Rejects, finds expired, or forwards; what that means depends on the queue.
    fn send_on(&mut self, key: Key) {
        let (root, place) = (key.0, self.copies[&key].place);
        let reject = Outcome::Reject {
            fallback: None,
            cause: None,
        };
        let outcome = match (root, place) {
            (Queue::Plain, Place::Root) => {
                let token = self.world.token();
                self.asks.insert(token, Ask::Forward(key));
                Outcome::Forward(Forward {
                    address: "".into(),
                    key: Queue::Archive.name().into(),
                    partition: None,
                    due: None,
                    token: Some(token),
                    attempts: 0,
                })
            }
            (Queue::Mortal, Place::Root) if self.world.once_in(2) => Outcome::Expired,
            _ => reject,
        };
        self.settle(key, outcome);
        let copy = self.copies.get_mut(&key).expect("held");
        copy.settling = true;
        if place == Place::Root && (root.buries() || root == Queue::Plain) {
            copy.place = Place::Either;
        } else {
            copy.stage = Stage::Asked;
        }
    }

    /// Everything that was asked for before is durable when it is answered.
    pub fn barrier(&mut self) {
        let mut hopes = Vec::new();
        for (key, copy) in &mut self.copies {
            let hope = match (copy.stage, copy.place) {
                (Stage::Gone, _) => continue,
                (Stage::Asked, place) => Hope::Ends(place),
                (Stage::Stays, Place::Either) if copy.settling => Hope::Moved,
                (Stage::Stays, Place::Either) => continue,
                (Stage::Stays, Place::Sink) => Hope::Moved,
                (Stage::Stays, Place::Root) if copy.attempts.0 == copy.attempts.1 => {
                    Hope::Counted(copy.attempts.0)
                }
                (Stage::Stays, Place::Root) => continue,
            };
            hopes.push((*key, hope));
            let durable = Story::is_durable(key.0) && copy.place == Place::Root;
            if copy.told && !copy.doubtful && copy.stage == Stage::Stays && durable {
                hopes.push((*key, Hope::Kept));
            }
        }
        let cursors = self.partitions.said();
        let (session, token) = (self.session(), self.world.token());
        self.world.pass.push(session, Command::Barrier { token });
        self.asks.insert(token, Ask::Barrier { hopes, cursors });
    }

    fn give_credit(&mut self) {
        let known: Vec<_> = self.receivers.keys().copied().collect();
        for consumer in known {
            let count = self.world.dice.below(40) as u32;
            let receiver = self.receivers.get_mut(&consumer).expect("known");
            let fetches = receiver.allowance == 0 && self.world.dice.below(2) == 0;
            let command = if fetches {
                Command::Fetch { consumer, count }
            } else {
                let credit = Credit::Add(count);
                Command::Credit { consumer, credit }
            };
            receiver.allowance = receiver.allowance.saturating_add(u64::from(count));
            self.world.pass.push(receiver.session, command);
        }
    }

    fn rest_or_go_on(&mut self) {
        let session = self.session();
        let command = if self.held_back.remove(&session) {
            Command::Resume
        } else {
            self.held_back.insert(session);
            Command::Hold
        };
        self.world.pass.push(session, command);
    }

    fn detach(&mut self) {
        let known: Vec<_> = self
            .receivers
            .iter()
            .map(|(id, r)| (*id, r.session))
            .collect();
        let at = self.world.dice.below(known.len().max(1) as u64) as usize;
        let Some((consumer, session)) = known.get(at).copied() else {
            return;
        };
        let token = self.world.token();
        self.world
            .pass
            .push(session, Command::Detach { token, consumer });
        self.asks.insert(token, Ask::Detach(consumer));
    }

    fn end_one_session(&mut self) {
        let session = self.session();
        self.end_session(session);
    }

    pub fn end_sessions(&mut self) {
        for session in self.sessions {
            self.end_session(session);
        }
    }

    /// A session ends, and another one takes its place.
    fn end_session(&mut self, session: SessionId) {
        self.world.pass.push(session, Command::End { token: None });
        self.last_session += 1;
        for place in &mut self.sessions {
            if *place == session {
                *place = SessionId(self.last_session);
            }
        }
        self.receivers.retain(|_, r| r.session != session);
        self.held_back.remove(&session);
        self.asks.retain(|_, ask| match ask {
            Ask::Get { session: of, .. } | Ask::Read { session: of, .. } => *of != session,
            _ => true,
        });
        for copy in self.copies.values_mut() {
            if copy.held.is_some_and(|holder| holder.session == session) {
                copy.held = None;
                copy.marked = true;
            }
        }
    }

    fn read(&mut self) {
        let partition = self.world.dice.below(PARTITIONS as u64) as usize;
        let offset = self.world.dice.below(self.partitions.end(partition) + 2);
        let wanted = ["work", "home"][self.world.dice.below(2) as usize];
        let tag = self.world.once_in(2).then_some(wanted);
        let (session, token) = (self.session(), self.world.token());
        let wait = self.world.dice.below(3_000);
        let read = Read {
            partition: self.partitions.id(partition),
            offset: Position(offset),
            messages_max: 1 + self.world.dice.below(40) as u32,
            bytes_max: 1 + self.world.dice.below(60_000) as u32,
            tags: tag.map(|tag| [tag_hash(tag)].into()),
            filter: None,
            wait_until: self.world.once_in(2).then(|| self.world.now.plus(wait)),
        };
        self.world.pass.push(session, Command::Read { token, read });
        let ask = Ask::Read {
            session,
            partition,
            offset,
            tag,
        };
        self.asks.insert(token, ask);
    }

    fn move_cursor(&mut self) {
        let partition = self.world.dice.below(PARTITIONS as u64) as usize;
        let group = self.world.dice.below(self.partitions.groups.len() as u64) as usize;
        let (id, of) = (self.partitions.groups[group], self.partitions.id(partition));
        let session = self.session();
        if self.world.once_in(3) {
            let token = self.world.token();
            let expected = self.partitions.cursor(group, partition);
            let cursor = Command::Cursor {
                token,
                group: id,
                partition: of,
            };
            self.world.pass.push(session, cursor);
            self.asks.insert(token, Ask::Cursor(expected));
            return;
        }
        let offset = self.world.dice.below(self.partitions.end(partition) + 1);
        self.partitions.set_cursor(group, partition, offset);
        let cursor = Command::SetCursor {
            group: id,
            partition: of,
            offset: Position(offset),
        };
        self.world.pass.push(session, cursor);
    }

    fn purge(&mut self) {
        let queue =
            [Queue::Plain, Queue::Passing, Queue::Fleeting][self.world.dice.below(3) as usize];
        let there = queue != Queue::Passing || !self.deleting;
        let Some(id) = self.ids.id(queue).filter(|_| there) else {
            return;
        };
        let mut is_exact = true;
        let mut keys = Vec::new();
        for (key, copy) in &mut self.copies {
            let here = key.0 == queue && copy.place == Place::Root;
            if !here || copy.stage != Stage::Stays || copy.held.is_some() {
                continue;
            }
            // Whether it has come back is not known; nor whether it has come, if it lives in
            // memory and a part of it waits for the disk.
            is_exact &= !copy.returning && (copy.told || Story::is_durable(queue));
            if !copy.told {
                continue;
            }
            keys.push(*key);
        }
        if !is_exact {
            return;
        }
        for key in &keys {
            let copy = self.copies.get_mut(key).expect("known");
            copy.stage = Stage::Asked;
            copy.settling = true;
        }
        let (session, token) = (self.session(), self.world.token());
        self.world
            .pass
            .push(session, Command::Purge { token, queue: id });
        self.asks.insert(token, Ask::Purge { keys, is_exact });
    }

    fn delete_or_declare(&mut self) {
        let session = self.session();
        if self.deleting || self.ids.id(Queue::Passing).is_none() {
            return;
        }
        let condition = DeleteCondition {
            if_unused: self.world.once_in(3),
            if_empty: self.world.once_in(3),
        };
        let token = self.world.token();
        let delete = Command::DeleteQueue {
            token,
            name: Queue::Passing.name().into(),
            condition,
        };
        self.world.pass.push(session, delete);
        self.asks.insert(token, Ask::Delete);
        self.deleting = true;
    }

    fn pass_time(&mut self) {
        let ms = match self.world.dice.below(4) {
            0 => 3_000,
            _ => self.world.dice.below(300),
        };
        self.world.now = self.world.now.plus(ms);
    }
}
