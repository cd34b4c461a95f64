//! What may be said to clients: a naive model of queues that knows what clients have sent and what
//! they were told, and nothing of how a broker works.
//!
//! A message may be handed out unless it is known to be settled, refused or undecided; it must be
//! handed out in the end once its sender, or anybody else, was told of it and nobody has settled
//! it. Who settles and hears nothing leaves a *doubt*, and a crash makes doubts of everything that
//! was settled without an answer that promises durability.

use std::collections::BTreeMap;

use super::super::world::{Stop, Verdict, ensure};
use super::deals::{Deal, Fate};
use super::message::{Queue, number_of};

/// A message in a queue.
pub(super) type Key = (Queue, u64);

/// A channel or a connection, in one of its lives: what it holds comes back when it goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Holder(pub u64);

/// Something to which messages come in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Receiver(pub u64);

/// Something whose messages keep their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Sender(pub u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Stays,
    /// A settlement was said, and may be heard before this one goes.
    Asked(Holder),
    /// The settlement was heard, and dies with the process or not.
    Settled,
    /// Whether it was settled is not known.
    Doubtful,
    /// It never comes again.
    Gone,
    /// It was never taken.
    Absent,
}

/// What is known of a message in a queue.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub persistent: bool,
    pub sender: Sender,
    pub stage: Stage,
    /// It is there for good until it is settled.
    pub promised: bool,
    pub held: Option<Holder>,
    /// Some client has had it: it comes as redelivered.
    pub seen: bool,
    /// It may have been handed out to somebody who never read it.
    pub may_be_marked: bool,
    /// It may have come back to its place when later ones had gone.
    pub is_loose: bool,
    /// What brings it, and what takes it, at one moment with others.
    pub brought_by: Option<usize>,
    pub taken_by: Option<usize>,
}

/// Something that a client was handed.
pub(super) struct Handed<'a> {
    pub queue: Queue,
    pub body: &'a [u8],
    pub redelivered: bool,
    pub receiver: Receiver,
    pub holder: Holder,
}

/// A message that a client has got, and whether somebody had it before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Got {
    pub key: Key,
    pub was_seen: bool,
}

#[derive(Default)]
pub(super) struct Judge {
    pub copies: BTreeMap<Key, Copy>,
    pub deals: Vec<Deal>,
    /// The last message of each sender that came to a receiver out of a queue for the first time.
    last: BTreeMap<(Receiver, Queue, Sender), u64>,
    leaving: BTreeMap<Receiver, Vec<Queue>>,
    /// How often something was asked for that happens whole or not at all.
    pub asked: u64,
    /// How often something was answered that a crash must not undo.
    pub answered: u64,
    names: u64,
    numbers: u64,
}

impl Judge {
    /// A name that nobody has.
    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub fn holder(&mut self) -> Holder {
        Holder(self.name())
    }

    pub fn receiver(&mut self) -> Receiver {
        Receiver(self.name())
    }

    pub fn sender(&mut self) -> Sender {
        Sender(self.name())
    }

    /// The number of a new message.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Somebody has begun to send a message.
    pub fn sent(&mut self, key: Key, sender: Sender, persistent: bool) {
        // It may be given to somebody who looks no more.
        let is_missed = self.leaving.values().flatten().any(|queue| *queue == key.0);
        let copy = Copy {
            persistent,
            sender,
            stage: Stage::Stays,
            promised: false,
            held: None,
            seen: false,
            may_be_marked: is_missed,
            is_loose: is_missed,
            brought_by: None,
            taken_by: None,
        };
        self.copies.insert(key, copy);
    }

    pub fn copy(&mut self, key: Key) -> &mut Copy {
        self.copies.get_mut(&key).expect("it was sent")
    }

    fn all_of(&mut self, number: u64) -> impl Iterator<Item = (&Key, &mut Copy)> {
        let all = self.copies.iter_mut();
        all.filter(move |((_, of), copy)| *of == number && copy.taken_by.is_none())
    }

    /// Its sender was told that it is there.
    pub fn confirmed(&mut self, number: u64, queues: &[Queue]) -> Verdict {
        for queue in queues {
            let copy = self.copy((*queue, number));
            ensure(copy.stage != Stage::Absent, || {
                format!("{number} was refused and is confirmed")
            })?;
            copy.promised = true;
        }
        Ok(())
    }

    /// Its sender was told that it is not taken.
    pub fn refused(&mut self, number: u64) -> Verdict {
        for (key, copy) in self.all_of(number) {
            ensure(!copy.promised && !copy.seen, || {
                format!("{key:?} is refused and was there: {copy:?}")
            })?;
            copy.stage = Stage::Absent;
        }
        Ok(())
    }

    pub fn delivered(&mut self, handed: &Handed<'_>) -> Verdict<Got> {
        let Some(number) = number_of(handed.body) else {
            let shown = String::from_utf8_lossy(&handed.body[..handed.body.len().min(40)]);
            return Err(Stop::Breach(format!("other bytes were sent: {shown}")));
        };
        let key = (handed.queue, number);
        let Some(copy) = self.copies.get(&key).cloned() else {
            return Err(Stop::Breach(format!("{key:?} was never sent")));
        };
        let words = |what: &str| format!("{key:?} {what}: {copy:?}");
        ensure(copy.held.is_none(), || words("is held by another"))?;
        match copy.stage {
            Stage::Stays | Stage::Doubtful => {}
            Stage::Asked(holder) => {
                return Err(Stop::Breach(words(&format!("was settled by {holder:?}"))));
            }
            Stage::Settled => return Err(Stop::Breach(words("was settled and came again"))),
            Stage::Gone => return Err(Stop::Breach(words("is gone for good and came again"))),
            Stage::Absent => return Err(Stop::Breach(words("was refused and came"))),
        }
        ensure(handed.redelivered || !copy.seen, || {
            words("comes again without a mark")
        })?;
        let may_be_marked = copy.seen || copy.may_be_marked;
        ensure(!handed.redelivered || may_be_marked, || {
            words("is marked and was never handed out")
        })?;
        if let Some(deal) = copy.brought_by {
            self.is_there(deal, key)?;
        }
        if let Some(deal) = copy.taken_by {
            self.came_to_nothing(deal)?;
        }
        if !handed.redelivered && !copy.is_loose {
            let row = (handed.receiver, handed.queue, copy.sender);
            let last = self.last.insert(row, number);
            ensure(last.is_none_or(|last| last < number), || {
                words(&format!("comes behind {last:?}"))
            })?;
        }
        let was_seen = copy.seen;
        let copy = self.copy(key);
        copy.stage = Stage::Stays;
        copy.promised = true;
        copy.seen = true;
        copy.held = Some(handed.holder);
        Ok(Got { key, was_seen })
    }

    /// Its holder has begun to say that it is done with it.
    pub fn ask_to_settle(&mut self, key: Key, holder: Holder) {
        let copy = self.copy(key);
        copy.held = None;
        copy.stage = Stage::Asked(holder);
    }

    /// It was heard that these are settled.
    pub fn settled(&mut self, keys: &[Key]) {
        for key in keys {
            let copy = self.copy(*key);
            if let Stage::Asked(_) = copy.stage {
                copy.stage = Stage::Settled;
            }
        }
    }

    /// It was heard that these are settled for good.
    pub fn gone(&mut self, keys: &[Key]) -> Verdict {
        self.answered += u64::from(!keys.is_empty());
        for key in keys {
            let copy = self.copy(*key);
            match copy.stage {
                Stage::Asked(_) | Stage::Settled => copy.stage = Stage::Gone,
                Stage::Stays | Stage::Doubtful | Stage::Gone | Stage::Absent => continue,
            }
            if let Some(deal) = copy.taken_by {
                self.happened(deal)?;
            }
        }
        Ok(())
    }

    /// It goes back, and whoever gets it next sees that.
    pub fn released(&mut self, key: Key) {
        self.copy(key).held = None;
    }

    /// It goes back as if it had never been handed out, if it was not before.
    pub fn released_unseen(&mut self, got: Got) {
        let copy = self.copy(got.key);
        copy.held = None;
        copy.seen = got.was_seen;
        copy.may_be_marked = true;
        copy.is_loose = true;
    }

    /// Who takes from these queues begins to go, and looks at nothing any more.
    pub fn leaving(&mut self, receiver: Receiver, queues: &[Queue]) {
        self.leaving.insert(receiver, queues.to_vec());
        self.loosen(queues);
    }

    /// It has gone, from there and perhaps from others: what it was given and has not looked at
    /// has come back.
    pub fn left(&mut self, receiver: Receiver, queues: &[Queue]) {
        self.leaving.remove(&receiver);
        self.loosen(queues);
    }

    fn loosen(&mut self, queues: &[Queue]) {
        for ((queue, _), copy) in &mut self.copies {
            if queues.contains(queue) && copy.stage != Stage::Gone {
                copy.may_be_marked = true;
                copy.is_loose = true;
            }
        }
    }

    /// A holder goes: what it holds comes back, and what it has said may not have been heard.
    pub fn lost(&mut self, holder: Holder) {
        for copy in self.copies.values_mut() {
            if copy.held == Some(holder) {
                copy.held = None;
            }
            if copy.stage == Stage::Asked(holder) {
                copy.stage = Stage::Doubtful;
            }
        }
    }

    /// The process is dead, and everybody is gone.
    pub fn crashed(&mut self) {
        self.last.clear();
        self.leaving.clear();
        for copy in self.copies.values_mut() {
            copy.held = None;
            copy.may_be_marked = true;
            copy.promised &= copy.persistent;
            match copy.stage {
                Stage::Asked(_) | Stage::Settled => copy.stage = Stage::Doubtful,
                Stage::Stays | Stage::Doubtful | Stage::Gone | Stage::Absent => {}
            }
        }
    }

    /// The process has stopped in order, and everybody is gone: what it heard is durable.
    pub fn stopped(&mut self) -> Verdict {
        self.last.clear();
        self.leaving.clear();
        let mut settled = Vec::new();
        for (key, copy) in &mut self.copies {
            copy.held = None;
            copy.may_be_marked = true;
            match copy.stage {
                Stage::Asked(_) => copy.stage = Stage::Doubtful,
                // What dies may have to be read first, and a stop does not wait for that.
                Stage::Settled if copy.taken_by.is_some() => copy.stage = Stage::Doubtful,
                Stage::Settled => settled.push(*key),
                Stage::Stays | Stage::Doubtful | Stage::Gone | Stage::Absent => {}
            }
        }
        self.gone(&settled)
    }

    /// Nobody moves any more, and somebody would take more from these queues: nothing waits there.
    pub fn judge_rest(&self, queues: &[Queue]) -> Verdict {
        for (key, copy) in &self.copies {
            let waits = copy.promised && copy.stage == Stage::Stays && copy.held.is_none();
            ensure(!waits || !queues.contains(&key.0), || {
                format!("{key:?} waits, and somebody has room: {copy:?}")
            })?;
        }
        Ok(())
    }

    /// Everything that is there was handed out and settled.
    pub fn judge_end(&mut self) -> Verdict {
        for (key, copy) in &self.copies {
            ensure(!copy.promised || copy.stage != Stage::Stays, || {
                format!("{key:?} was promised and is lost: {copy:?}")
            })?;
        }
        for deal in &self.deals {
            if deal.fate != Fate::Asked {
                continue;
            }
            // Had it happened, what it brings would have come; had it not, what it takes.
            let takes = deal.takes.iter().any(|key| self.copies[key].persistent);
            ensure(deal.brings.is_empty() || !takes, || {
                format!("a deal is neither done nor undone: {deal:?}")
            })?;
        }
        Ok(())
    }
}
