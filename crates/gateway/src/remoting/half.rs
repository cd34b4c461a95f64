//! Half messages that are not decided yet. What is known of them here can be read again from the
//! log at any time: the half messages themselves and the decisions lie in two partitions.

use std::collections::{BTreeMap, VecDeque};

use broker::bytes::{Reader, Undecodable, Writer};
use broker::id::{MessageRef, Millis, Position};

use super::message::Marks;
use super::refusals::Refused;
use super::settings::Transactions;

/// The most undecided messages: each is looked at in every round of checks.
pub const UNDECIDED_MAX: usize = 100_000;
/// How many ends of the two partitions are remembered for the cursors.
const ENDS_MAX: usize = 64;

/// A half message that nobody has decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Half {
    pub producer_group: Box<str>,
    pub received: Millis,
    /// Since when its producer thinks about it, by the producer's clock.
    pub born: Millis,
    /// How old it must be before its producer is asked, and until when the producer may say it
    /// unasked; `None` leaves that to the broker.
    pub immunity_ms: Option<u64>,
    pub checks: u32,
    /// A decision is on its way into the log.
    pub is_deciding: bool,
}

impl Half {
    pub fn new(marks: &Marks<'_>, born_timestamp: i64, received: Millis) -> Half {
        let seconds = marks.immunity.and_then(|text| text.parse::<u64>().ok());
        Half {
            producer_group: marks.producer_group.unwrap_or_default().into(),
            received,
            born: Millis(u64::try_from(born_timestamp).unwrap_or(0)),
            immunity_ms: seconds.map(|seconds| seconds.saturating_mul(1000)),
            checks: 0,
            is_deciding: false,
        }
    }

    fn is_due(&self, settings: &Transactions, now: Millis) -> bool {
        let patience = self.immunity_ms.unwrap_or(settings.timeout_ms);
        !self.is_deciding && now.since(self.received) >= patience
    }
}

/// Where the door stands with the transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Nothing was done yet.
    #[default]
    Asleep,
    /// The two partitions are being read.
    Waking,
    Awake,
}

/// Both partitions at one time: what the decisions below `decisions` decide lies below `halves`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    pub decisions: Position,
    pub halves: Position,
}

/// The undecided messages by their offset in the half topic.
#[derive(Debug, Default)]
pub struct Halves {
    pub phase: Phase,
    pub undecided: BTreeMap<Position, (MessageRef, Half)>,
    /// One past the last half message that was seen.
    pub next: Position,
    pub next_round: Millis,
    ends: VecDeque<Ends>,
    /// What the stored cursors say.
    stored: Option<Ends>,
}

impl Halves {
    pub fn check_room(&self) -> Result<(), Refused> {
        if self.undecided.len() >= UNDECIDED_MAX {
            return Err(Refused::busy("transactions that nobody decides"));
        }
        Ok(())
    }

    pub fn add(&mut self, position: Position, message: MessageRef, half: Half) {
        self.next = self.next.max(position.next());
        self.undecided.insert(position, (message, half));
    }

    /// When there is something to do.
    pub fn deadline(&self) -> Option<Millis> {
        match self.phase {
            Phase::Asleep => Some(self.next_round),
            Phase::Waking => None,
            Phase::Awake if self.undecided.is_empty() && self.cursors().is_none() => None,
            Phase::Awake => Some(self.next_round),
        }
    }

    /// The messages whose producers are to be asked now.
    pub fn due(&self, settings: &Transactions, now: Millis) -> Vec<Position> {
        let due = |(_, (_, half)): &(&Position, &(MessageRef, Half))| half.is_due(settings, now);
        self.undecided
            .iter()
            .filter(due)
            .map(|(position, _)| *position)
            .collect()
    }

    /// Remembers where the partitions end.
    pub fn note_ends(&mut self, ends: Ends) {
        self.next = self.next.max(ends.halves);
        if self.ends.back().is_none_or(|last| *last != ends) {
            // The last one is the most useful, the others are steps on the way to it.
            if self.ends.len() >= ENDS_MAX {
                self.ends.pop_back();
            }
            self.ends.push_back(ends);
        }
    }

    /// From where a restart must read, if that is further than what is stored.
    pub fn cursors(&self) -> Option<Ends> {
        let halves = self.undecided.keys().next().copied().unwrap_or(self.next);
        let passed = self.ends.iter().rev().find(|ends| ends.halves <= halves);
        let decisions = passed.map(|ends| ends.decisions).unwrap_or_default();
        let stored = self.stored.unwrap_or(Ends {
            decisions: Position(0),
            halves: Position(0),
        });
        let ends = Ends {
            decisions: decisions.max(stored.decisions),
            halves: halves.max(stored.halves),
        };
        (ends != stored).then_some(ends)
    }

    pub fn cursors_stored(&mut self, ends: Ends) {
        self.stored = Some(ends);
        let passed = self
            .ends
            .iter()
            .rposition(|known| known.decisions <= ends.decisions);
        if let Some(passed) = passed {
            self.ends.drain(..passed);
        }
    }
}

/// What the partition of decisions says about the half message at an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// It is done with.
    Decided(Position),
    /// Its producer was asked so often. Apache writes the half message again instead, with the
    /// number in a property.
    Checked(Position, u32),
}

impl Note {
    const DECIDED: u8 = 1;
    const CHECKED: u8 = 2;

    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Note::Decided(position) => {
                out.put_u8(Note::DECIDED);
                out.put_number(position.0);
            }
            Note::Checked(position, checks) => {
                out.put_u8(Note::CHECKED);
                out.put_number(position.0);
                out.put_number(u64::from(checks));
            }
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Note, Undecodable> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            Note::DECIDED => Ok(Note::Decided(Position(reader.number()?))),
            Note::CHECKED => Ok(Note::Checked(Position(reader.number()?), reader.u32()?)),
            _ => Err(Undecodable("decision version")),
        }
    }
}

#[cfg(test)]
mod tests {
    use broker::id::{Index, ShardId};

    use super::*;

    fn add(halves: &mut Halves, position: u64) {
        let half = Half::new(&Marks::of("PGROUP\u{1}g"), 5, Millis(100));
        let message = MessageRef::new(ShardId::LOG, Index(1), 0);
        halves.add(Position(position), message, half);
    }

    fn ends(decisions: u64, halves: u64) -> Ends {
        Ends {
            decisions: Position(decisions),
            halves: Position(halves),
        }
    }

    #[test]
    fn undecided_messages_have_an_end() {
        let mut halves = Halves::default();
        (1..UNDECIDED_MAX as u64).for_each(|position| add(&mut halves, position));
        assert_eq!(halves.check_room(), Ok(()));
        add(&mut halves, 0);
        let refused = Refused::busy("transactions that nobody decides");
        assert_eq!(halves.check_room(), Err(refused));
    }

    #[test]
    fn cursors_never_pass_what_is_undecided() {
        let mut halves = Halves {
            phase: Phase::Awake,
            ..Halves::default()
        };
        assert_eq!(halves.cursors(), None);
        for position in 0..10 {
            add(&mut halves, position);
        }
        halves.note_ends(ends(0, 10));
        assert_eq!(halves.cursors(), None);
        for position in 0..5 {
            halves.undecided.remove(&Position(position));
        }
        assert_eq!(halves.cursors(), Some(ends(0, 5)));
        halves.note_ends(ends(5, 10));
        halves.undecided.clear();
        assert_eq!(halves.cursors(), Some(ends(5, 10)));
        halves.cursors_stored(ends(5, 10));
        assert_eq!(halves.cursors(), None);
        add(&mut halves, 10);
        halves.note_ends(ends(5, 11));
        assert_eq!(halves.cursors(), None);
    }

    #[test]
    fn producers_are_asked_when_patience_ends() {
        let mut halves = Halves::default();
        add(&mut halves, 3);
        let settings = Transactions::default();
        assert_eq!(halves.due(&settings, Millis(6_099)), []);
        assert_eq!(halves.due(&settings, Millis(6_100)), [Position(3)]);
        for note in [Note::Decided(Position(300)), Note::Checked(Position(3), 15)] {
            let mut bytes = Vec::new();
            note.encode(&mut bytes);
            assert_eq!(Note::decode(&bytes), Ok(note));
        }
    }
}
