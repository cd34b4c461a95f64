//! The consumers of a queue, in the order in which it is their turn. Only those that could take
//! something now are looked at when something is there: one queue may have very many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::consumers::Consumer;
use crate::id::ConsumerId;
use crate::map::IdMap;
use crate::pass::Sharing;

/// Highest priority first; within one priority, who was served longest ago.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    priority: Reverse<i32>,
    turn: u64,
}

impl Place {
    pub const FIRST: Place = Place {
        priority: Reverse(i32::MAX),
        turn: 0,
    };

    /// Where to go on behind it.
    pub fn after(self) -> Place {
        Place {
            turn: self.turn + 1,
            ..self
        }
    }
}

/// On which lists of its queue a consumer is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Listed {
    open: bool,
    asking: bool,
    watching: bool,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    all: BTreeSet<ConsumerId>,
    /// Can take something, unless found otherwise.
    open: BTreeMap<Place, ConsumerId>,
    /// Those of them that must hear that there is nothing: they fetch, or they browse.
    asking: BTreeMap<Place, ConsumerId>,
    /// Want to know when a fetch would find something.
    watching: BTreeMap<Place, ConsumerId>,
    /// Those of whom only one is served.
    in_turns: BTreeMap<Place, ConsumerId>,
    /// The one of them that is.
    active: Option<ConsumerId>,
    browsers: usize,
    soles: usize,
    /// Browsers, and those with a filter.
    choosy: usize,
    last_turn: u64,
}

impl Line {
    /// How many receive, rather than browse.
    pub fn receivers(&self) -> usize {
        self.all.len() - self.browsers
    }

    /// Whether what is next for one is next for each.
    pub fn all_take_all(&self) -> bool {
        self.choosy == 0
    }

    pub fn ids(&self) -> impl Iterator<Item = ConsumerId> + '_ {
        self.all.iter().copied()
    }

    pub fn active(&self) -> Option<ConsumerId> {
        self.active
    }

    /// Whether somebody cannot be attached beside those who are here. Browsers disturb nobody.
    pub fn clashes(&self, newcomer: &Consumer) -> bool {
        match newcomer.options.sharing {
            _ if newcomer.browses() => false,
            Sharing::Sole => self.receivers() > 0,
            Sharing::Shared | Sharing::Active(_) => self.soles > 0,
        }
    }

    /// A consumer comes, behind all others of its priority.
    pub fn join(
        &mut self,
        id: ConsumerId,
        consumer: &mut Consumer,
        others: &IdMap<ConsumerId, Consumer>,
    ) {
        consumer.place = self.new_place(consumer);
        self.all.insert(id);
        self.browsers += usize::from(consumer.browses());
        self.soles += usize::from(consumer.is_sole());
        self.choosy += usize::from(!consumer.takes_all());
        if consumer.takes_turns() {
            self.in_turns.insert(consumer.place, id);
            let active = self.active.map(|active| &others[&active]);
            if active.is_none_or(|active| consumer.takes_over(active)) {
                self.active = Some(id);
            }
        }
        self.list(id, consumer);
    }

    /// A consumer goes. Tells whether it was the last one that received.
    pub fn leave(
        &mut self,
        id: ConsumerId,
        gone: &mut Consumer,
        others: &mut IdMap<ConsumerId, Consumer>,
    ) -> bool {
        self.all.remove(&id);
        self.unlist(id, gone);
        self.browsers -= usize::from(gone.browses());
        self.soles -= usize::from(gone.is_sole());
        self.choosy -= usize::from(!gone.takes_all());
        self.in_turns.remove(&gone.place);
        if self.active == Some(id) {
            self.active = self.in_turns.values().next().copied();
            // Those who were not served meanwhile.
            let heirs = match self.active {
                Some(next) => vec![next],
                None => self.ids().collect(),
            };
            for heir in heirs {
                self.list(heir, others.get_mut(&heir).expect("in this line"));
            }
        }
        self.receivers() == 0 && !gone.browses()
    }

    /// Lists a consumer by what it wants now.
    pub fn list(&mut self, id: ConsumerId, consumer: &mut Consumer) {
        let open = consumer.can_take();
        let listed = Listed {
            open,
            asking: open && (consumer.browses() || consumer.fetching > 0),
            watching: consumer.watches(),
        };
        self.set_listed(id, consumer, listed);
    }

    /// A consumer gets nothing before it is listed again.
    pub fn unlist(&mut self, id: ConsumerId, consumer: &mut Consumer) {
        self.set_listed(id, consumer, Listed::default());
    }

    fn set_listed(&mut self, id: ConsumerId, consumer: &mut Consumer, listed: Listed) {
        let was = std::mem::replace(&mut consumer.listed, listed);
        for (list, was, is) in [
            (&mut self.open, was.open, listed.open),
            (&mut self.asking, was.asking, listed.asking),
            (&mut self.watching, was.watching, listed.watching),
        ] {
            match (was, is) {
                (false, true) => list.insert(consumer.place, id),
                (true, false) => list.remove(&consumer.place),
                (false, false) | (true, true) => None,
            };
        }
    }

    /// A consumer was served: the others of its priority come first next time. Who is alone, or
    /// the only one that is served, has no turns.
    pub fn served(&mut self, id: ConsumerId, consumer: &mut Consumer) {
        if self.all.len() > 1 && self.active != Some(id) {
            self.unlist(id, consumer);
            consumer.place = self.new_place(consumer);
        }
        self.list(id, consumer);
    }

    fn new_place(&mut self, consumer: &Consumer) -> Place {
        self.last_turn += 1;
        Place {
            priority: Reverse(consumer.options.priority),
            turn: self.last_turn,
        }
    }

    /// Who can take something, from a place on.
    pub fn open_from(&self, at: Place) -> Option<ConsumerId> {
        self.open.range(at..).next().map(|(_, id)| *id)
    }

    /// Who must hear that there is nothing, from a place on.
    pub fn asking_from(&self, at: Place) -> Option<ConsumerId> {
        self.asking.range(at..).next().map(|(_, id)| *id)
    }

    /// Who wants to know of something to fetch, from a place on.
    pub fn watching_from(&self, at: Place) -> Option<ConsumerId> {
        self.watching.range(at..).next().map(|(_, id)| *id)
    }
}
