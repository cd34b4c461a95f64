//! What every client is to the story: a machine that is given bytes, and says bytes.

use gateway::door::Wire;
use store::Dice;

use super::super::counts::Counts;
use super::super::world::{Stop, Verdict};
use super::judge::Judge;
use super::message::Queue;
use super::partitions::Partitions;

/// What a client may use while it does something.
pub(super) struct Scene<'a> {
    pub dice: &'a mut Dice,
    pub judge: &'a mut Judge,
    pub partitions: &'a mut Partitions,
    pub counts: &'a mut Counts,
    /// What it says.
    pub out: &'a mut Vec<u8>,
}

impl Scene<'_> {
    pub fn once_in(&mut self, times: u64) -> bool {
        self.dice.below(times) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let at = self.dice.below(all.len().max(1) as u64) as usize;
        all.get(at).cloned()
    }
}

/// A program that speaks one of the wires, over one connection at a time.
pub(super) trait Client {
    fn wire(&self) -> Wire;

    /// There is a new connection.
    fn connected(&mut self, scene: &mut Scene<'_>);

    /// Whether it can be asked to do something.
    fn is_open(&self) -> bool;

    /// Does something at random.
    fn act(&mut self, scene: &mut Scene<'_>);

    /// Has read some bytes.
    fn hear(&mut self, bytes: &[u8], scene: &mut Scene<'_>) -> Verdict;

    /// Has said goodbye and was answered, so that it hangs up.
    fn is_done(&self) -> bool;

    /// The connection is gone, whoever ended it.
    fn lost(&mut self, scene: &mut Scene<'_>);

    /// What it waits for; everything is answered in the end.
    fn unanswered(&self) -> Option<String>;

    /// The queues out of which it would take more.
    fn takes_from(&self) -> Vec<Queue>;

    /// Begins to take everything out of all queues.
    fn collect(&mut self, scene: &mut Scene<'_>);

    /// Settles everything that it holds; tells whether that was anything.
    fn settle_all(&mut self, scene: &mut Scene<'_>) -> bool;

    /// Makes sure that what it has settled is gone for good, and says goodbye.
    fn leave(&mut self, scene: &mut Scene<'_>);
}

/// A door has said something that it should not.
pub(super) fn unexpected(who: &str, what: impl std::fmt::Debug) -> Stop {
    Stop::Breach(format!("{who} is told {what:?}"))
}
