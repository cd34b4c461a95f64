//! What happens whole or not at all: a transaction brings messages and takes others, and so does
//! the death of a message, which takes it here and brings it there.

use super::super::world::{Stop, Verdict, ensure};
use super::judge::{Holder, Judge, Key, Stage};
use super::message::Queue;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It can only be undone yet.
    Open,
    /// It was asked for.
    Asked,
    Happened,
    Never,
}

#[derive(Clone, Debug)]
pub(super) struct Deal {
    pub fate: Fate,
    pub brings: Vec<Key>,
    pub takes: Vec<Key>,
}

impl Judge {
    pub fn open_deal(&mut self) -> usize {
        self.deals.push(Deal {
            fate: Fate::Open,
            brings: Vec::new(),
            takes: Vec::new(),
        });
        self.deals.len() - 1
    }

    /// The message, just sent, comes with the deal.
    pub fn brings(&mut self, deal: usize, key: Key) {
        self.copy(key).brought_by = Some(deal);
        self.deals[deal].brings.push(key);
    }

    /// Somebody has begun to ask for it. What it takes is settled with it.
    pub fn ask_for(&mut self, deal: usize, takes: Vec<Key>, holder: Holder) {
        self.asked += 1;
        for key in &takes {
            self.ask_to_settle(*key, holder);
            self.copy(*key).taken_by = Some(deal);
        }
        self.deals[deal].takes = takes;
        self.deals[deal].fate = Fate::Asked;
    }

    /// A holder rejects a message, which is to die and go elsewhere.
    pub fn ask_to_bury(&mut self, key: Key, grave: Queue, holder: Holder) {
        let deal = self.open_deal();
        let (sender, dead) = (self.sender(), (grave, key.1));
        self.sent(dead, sender, true);
        self.brings(deal, dead);
        self.ask_for(deal, vec![key], holder);
    }

    /// Whether it can be told from others when it is buried.
    pub fn can_be_buried(&self, key: Key, grave: Queue) -> bool {
        self.copies[&key].persistent && !self.copies.contains_key(&(grave, key.1))
    }

    /// It is known, and for good, that it happened.
    pub fn happened(&mut self, deal: usize) -> Verdict {
        match self.deals[deal].fate {
            Fate::Happened => return Ok(()),
            Fate::Open | Fate::Asked => {}
            Fate::Never => {
                let words = format!("it was undone and has happened: {:?}", self.deals[deal]);
                return Err(Stop::Breach(words));
            }
        }
        self.answered += 1;
        self.deals[deal].fate = Fate::Happened;
        for key in self.deals[deal].brings.clone() {
            self.copy(key).promised = true;
        }
        for key in self.deals[deal].takes.clone() {
            self.copy(key).stage = Stage::Gone;
        }
        Ok(())
    }

    /// It is known, and for good, that it did not happen.
    pub fn came_to_nothing(&mut self, deal: usize) -> Verdict {
        match self.deals[deal].fate {
            Fate::Never => return Ok(()),
            Fate::Open | Fate::Asked => {}
            Fate::Happened => {
                let words = format!("it has happened and was undone: {:?}", self.deals[deal]);
                return Err(Stop::Breach(words));
            }
        }
        self.deals[deal].fate = Fate::Never;
        for key in self.deals[deal].brings.clone() {
            let copy = self.copy(key);
            ensure(!copy.seen, || format!("{key:?} of nothing was there"))?;
            copy.stage = Stage::Absent;
        }
        for key in self.deals[deal].takes.clone() {
            let copy = self.copy(key);
            copy.taken_by = None;
            copy.stage = Stage::Stays;
        }
        Ok(())
    }

    /// Something that it brings was handed out.
    pub fn is_there(&mut self, deal: usize, key: Key) -> Verdict {
        ensure(self.deals[deal].fate != Fate::Open, || {
            format!(
                "{key:?} is there before it was decided: {:?}",
                self.deals[deal]
            )
        })?;
        self.happened(deal)
    }
}
