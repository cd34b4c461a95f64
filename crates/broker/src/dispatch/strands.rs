//! Who has which strand of a queue. A strand is its consumer's from the first message of it that
//! he gets until he goes, the strand is closed, or too many others were used since.
//!
//! Whoever meets a message of somebody else's strand leaves it behind his scan position; the
//! lowest such position is kept, so that all scan positions go back to it when the strand becomes
//! free. While a message of a strand is on its way back, nothing of that strand is handed out:
//! it would be overtaken.

use std::collections::BTreeMap;

use crate::id::{ConsumerId, Position};
use crate::map::IdMap;
use crate::strand::{InStrand, Strand, StrandKey, StrandStep};

/// A queue remembers the consumers of so many strands; beyond it the one that was used longest
/// ago is forgotten. It is what brokers with such groups remember by default.
pub(super) const STRANDS_MAX: usize = 1024;

/// Who asks whether a message of a strand is for him.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asker {
    /// Somebody who is not attached and cannot have strands.
    Passer,
    Consumer(ConsumerId),
    /// The only one that is served: all strands are his.
    Only(ConsumerId),
}

#[derive(Debug, Default)]
pub(super) struct Strands {
    known: IdMap<StrandKey, State>,
    /// Those that somebody has, by their last use.
    by_use: BTreeMap<u64, StrandKey>,
    uses: u64,
    /// The strands of what is handed out and not settled.
    out: IdMap<Position, StrandKey>,
    /// Scan positions beyond this one must go back to it.
    rewind: Option<Position>,
}

/// A strand that somebody has, or of which a message is on its way back.
#[derive(Debug, Default)]
struct State {
    owner: Option<Owner>,
    returning: u32,
    /// The lowest free position that somebody has left behind.
    skipped: Option<Position>,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    consumer: ConsumerId,
    used: u64,
}

impl Strands {
    /// Whether a message may be handed out; one that may not is noted as left behind.
    pub fn admits(&mut self, asker: Asker, strand: Strand, position: Position) -> bool {
        let Some(state) = self.known.get_mut(&strand.key) else {
            return true;
        };
        let mine = match (state.owner, asker) {
            (None, _) | (Some(_), Asker::Only(_)) => true,
            (Some(_), Asker::Passer) => false,
            (Some(owner), Asker::Consumer(id)) => {
                owner.consumer == id || strand.step == StrandStep::Opens
            }
        };
        let admitted = mine && state.returning == 0;
        if !admitted {
            let skipped = state.skipped.get_or_insert(position);
            *skipped = (*skipped).min(position);
        }
        admitted
    }

    /// A message is handed to a consumer.
    pub fn hand_out(&mut self, consumer: ConsumerId, strand: Strand) -> InStrand {
        let owner = self.known.get(&strand.key).and_then(|state| state.owner);
        let mine = owner.filter(|owner| owner.consumer == consumer);
        match (mine, strand.step) {
            (Some(_), StrandStep::Closes) => {
                self.release(strand.key);
                InStrand::Later
            }
            (Some(owner), StrandStep::Continues) => {
                self.by_use.remove(&owner.used);
                self.own(strand.key, consumer);
                InStrand::Later
            }
            (Some(_), StrandStep::Opens) | (None, _) => {
                self.release(strand.key);
                self.own(strand.key, consumer);
                InStrand::First
            }
        }
    }

    /// A message is held by whoever got it.
    pub fn leased(&mut self, position: Position, strand: Strand) {
        self.out.insert(position, strand.key);
    }

    fn own(&mut self, key: StrandKey, consumer: ConsumerId) {
        self.uses += 1;
        let used = self.uses;
        self.known.entry(key).or_default().owner = Some(Owner { consumer, used });
        self.by_use.insert(used, key);
        if self.by_use.len() > STRANDS_MAX
            && let Some((_, eldest)) = self.by_use.first_key_value()
        {
            self.release(*eldest);
        }
    }

    /// The strand is nobody's: what was left behind of it is looked at again.
    fn release(&mut self, key: StrandKey) {
        let Some(state) = self.known.get_mut(&key) else {
            return;
        };
        if let Some(owner) = state.owner.take() {
            self.by_use.remove(&owner.used);
        }
        self.look_again(key);
    }

    fn look_again(&mut self, key: StrandKey) {
        let Some(state) = self.known.get_mut(&key) else {
            return;
        };
        if let Some(skipped) = state.skipped.take() {
            let rewind = self.rewind.get_or_insert(skipped);
            *rewind = (*rewind).min(skipped);
        }
        if state.owner.is_none() && state.returning == 0 {
            self.known.remove(&key);
        }
    }

    /// A consumer has gone, and its strands are nobody's.
    pub fn gone(&mut self, consumer: ConsumerId) {
        let is_his = |key: &&StrandKey| {
            let owner = self.known[*key].owner;
            owner.is_some_and(|owner| owner.consumer == consumer)
        };
        let his: Vec<_> = self.by_use.values().filter(is_his).copied().collect();
        his.into_iter().for_each(|key| self.release(key));
    }

    /// A message will be free again when that is in the log.
    pub fn returning(&mut self, position: Position) {
        if let Some(key) = self.out.get(&position) {
            self.known.entry(*key).or_default().returning += 1;
        }
    }

    /// A message that was handed out is free again.
    pub fn returned(&mut self, position: Position, was_returning: bool) {
        let Some(key) = self.out.remove(&position) else {
            return;
        };
        if was_returning && let Some(state) = self.known.get_mut(&key) {
            state.returning = state.returning.saturating_sub(1);
            if state.returning == 0 {
                self.look_again(key);
            }
        }
    }

    /// A message that was handed out is settled; one that is settled is not on its way back.
    pub fn settled(&mut self, position: Position, was_returning: bool) {
        self.returned(position, was_returning);
    }

    /// Where scan positions must go back to.
    pub fn take_rewind(&mut self) -> Option<Position> {
        self.rewind.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strand(key: u64, step: StrandStep) -> Strand {
        Strand {
            key: StrandKey(key),
            step,
        }
    }

    #[test]
    fn the_strand_used_longest_ago_is_forgotten() {
        let mut strands = Strands::default();
        let (ann, bob) = (ConsumerId(1), ConsumerId(2));
        for key in 0..STRANDS_MAX as u64 {
            let first = strands.hand_out(ann, strand(key, StrandStep::Continues));
            assert_eq!(first, InStrand::First);
        }
        let again = strands.hand_out(ann, strand(0, StrandStep::Continues));
        assert_eq!(again, InStrand::Later);
        let continues = |key| strand(key, StrandStep::Continues);
        assert!(!strands.admits(Asker::Consumer(bob), continues(1), Position(7)));
        assert!(!strands.admits(Asker::Consumer(bob), continues(1), Position(9)));
        assert_eq!(strands.take_rewind(), None);
        strands.hand_out(ann, continues(5000));
        assert_eq!(strands.take_rewind(), Some(Position(7)));
        assert!(strands.admits(Asker::Consumer(bob), continues(1), Position(7)));
        assert!(!strands.admits(Asker::Consumer(bob), continues(0), Position(8)));
        assert_eq!(strands.known.len(), STRANDS_MAX);
        strands.gone(ann);
        assert!(strands.known.is_empty() && strands.by_use.is_empty());
    }
}
