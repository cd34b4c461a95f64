//! What may be said of the partitions of a topic: dense offsets, contents that never change, and
//! where groups stand.

use std::collections::{BTreeMap, BTreeSet};

use super::super::world::{Verdict, ensure};
use super::judge::Sender;

/// How many the topic has.
pub(super) const PARTITIONS: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// A half message that nobody has asked to commit.
    Open,
    Unknown,
    /// Its sender was told that it is there.
    Promised,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    sender: Sender,
    fate: Fate,
    at: Option<(u32, u64)>,
}

/// Where a group stands in a partition: everything that it has said, save what a crash took.
#[derive(Clone, Default)]
struct Cursor {
    said: Vec<Option<u64>>,
    /// An offset that holds, whatever happens, or a later one: as a place behind it in `said`.
    durable: usize,
    /// The same until the process dies.
    heard: usize,
    /// As much was said before the process died.
    said_before: usize,
}

#[derive(Default)]
pub(super) struct Partitions {
    sent: BTreeMap<u64, Sent>,
    contents: BTreeMap<(u32, u64), u64>,
    cursors: BTreeMap<(u64, u32), Cursor>,
}

impl Partitions {
    pub fn sent(&mut self, number: u64, sender: Sender) {
        let fate = Fate::Unknown;
        let at = None;
        self.sent.insert(number, Sent { sender, fate, at });
    }

    /// A half message was sent: it is nowhere before it is committed.
    pub fn sent_half(&mut self, number: u64, sender: Sender) {
        let fate = Fate::Open;
        let at = None;
        self.sent.insert(number, Sent { sender, fate, at });
    }

    /// Its sender begins to commit it.
    pub fn committing(&mut self, number: u64) {
        let sent = self.sent.get_mut(&number).expect("it was sent");
        if sent.fate == Fate::Open {
            sent.fate = Fate::Unknown;
        }
    }

    /// Its sender will never commit it.
    pub fn undone(&mut self, number: u64) {
        self.sent.get_mut(&number).expect("it was sent").fate = Fate::Refused;
    }

    /// Whoever sent it over another wire was told that it is there.
    pub fn confirmed(&mut self, number: u64) -> Verdict {
        let sent = self.sent.get_mut(&number).expect("it was sent");
        ensure(sent.fate != Fate::Refused, || {
            format!("{number} was refused")
        })?;
        sent.fate = Fate::Promised;
        Ok(())
    }

    pub fn answered(&mut self, number: u64, partition: u32, offset: u64) -> Verdict {
        self.confirmed(number)?;
        self.stands(partition, offset, number)
    }

    pub fn refused(&mut self, number: u64) -> Verdict {
        let sent = self.sent.get_mut(&number).expect("it was sent");
        ensure(sent.fate == Fate::Unknown && sent.at.is_none(), || {
            format!("{number} is refused and was there: {sent:?}")
        })?;
        sent.fate = Fate::Refused;
        Ok(())
    }

    /// Behind the last offset that anybody has heard of.
    pub fn end(&self, partition: u32) -> u64 {
        let all = self.contents.range((partition, 0)..(partition + 1, 0));
        all.last().map_or(0, |((_, offset), _)| offset + 1)
    }

    /// A message was read, or said to be stored, at an offset.
    pub fn stands(&mut self, partition: u32, offset: u64, number: u64) -> Verdict {
        let at = (partition, offset);
        let Some(sent) = self.sent.get_mut(&number) else {
            return ensure(false, || format!("{number} at {at:?} was never sent"));
        };
        ensure(!matches!(sent.fate, Fate::Refused | Fate::Open), || {
            format!("{number} at {at:?} was refused or is not committed: {sent:?}")
        })?;
        // What can be read is durable.
        sent.fate = Fate::Promised;
        let before = sent.at.replace(at);
        let sender = sent.sender;
        ensure(before.is_none_or(|before| before == at), || {
            format!("{number} stands at {before:?} and at {at:?}")
        })?;
        let other = self.contents.insert(at, number);
        ensure(other.is_none_or(|other| other == number), || {
            format!("{other:?} and {number} stand at {at:?}")
        })?;
        if other.is_some() {
            return Ok(());
        }
        let of_sender = |number: &&u64| self.sent[*number].sender == sender;
        let before = self.contents.range((partition, 0)..at).rev();
        let before = before.map(|(_, number)| number).find(of_sender);
        let behind = self
            .contents
            .range((partition, offset + 1)..(partition + 1, 0));
        let behind = behind.map(|(_, number)| number).find(of_sender);
        let sorted = before.is_none_or(|n| *n < number) && behind.is_none_or(|n| *n > number);
        ensure(sorted, || {
            format!("{number} at {at:?} stands between {before:?} and {behind:?}")
        })
    }

    /// A group has begun to say where it stands; returns the place of its words.
    pub fn said(&mut self, group: u64, partition: u32, offset: u64) -> usize {
        let cursor = self.cursors.entry((group, partition)).or_default();
        cursor.said.push(Some(offset));
        cursor.said.len()
    }

    /// It was answered.
    pub fn kept(&mut self, group: u64, partition: u32, place: usize) {
        let cursor = self.cursors.entry((group, partition)).or_default();
        cursor.durable = cursor.durable.max(place);
        cursor.heard = cursor.heard.max(place);
    }

    /// A group asks where it stands: at this place or a later one, since answers come in any order.
    pub fn stands_since(&mut self, group: u64, partition: u32) -> usize {
        self.cursors.entry((group, partition)).or_default().heard
    }

    /// It is told where it stands; nothing if it has never said.
    pub fn told(
        &mut self,
        group: u64,
        partition: u32,
        since: usize,
        offset: Option<u64>,
    ) -> Verdict {
        let cursor = self.cursors.entry((group, partition)).or_default();
        // Without a word of its own it starts at the first message.
        let fits = |place: &usize| match place.checked_sub(1).map(|at| cursor.said[at]) {
            None => offset.is_none_or(|offset| offset == 0),
            Some(said) => said.is_some() && said == offset,
        };
        let found = (since..=cursor.said.len()).find(fits);
        let Some(place) = found else {
            let rest = &cursor.said[since.saturating_sub(1)..];
            return ensure(false, || {
                format!("group {group} stands at {offset:?} of {partition} and has said {rest:?}")
            });
        };
        cursor.heard = cursor.heard.max(place);
        // The same may have been said again since.
        let is_old = !(cursor.said_before + 1..=cursor.said.len()).any(|place| fits(&place));
        if is_old {
            // What was said and did not outlive the process is gone; what did, stays.
            cursor.said[place..cursor.said_before].fill(None);
            cursor.durable = cursor.durable.max(place);
        }
        Ok(())
    }

    /// The process has died.
    pub fn crashed(&mut self) {
        for cursor in self.cursors.values_mut() {
            cursor.heard = cursor.durable;
            cursor.said_before = cursor.said.len();
        }
    }

    /// Everything was read: what was promised is there, without gaps.
    pub fn judge_end(&self) -> Verdict {
        for (number, sent) in &self.sent {
            let lost = sent.fate == Fate::Promised && sent.at.is_none();
            ensure(!lost, || {
                format!("{number} was confirmed and is in no partition")
            })?;
        }
        for partition in 0..PARTITIONS {
            let all = self.contents.range((partition, 0)..(partition + 1, 0));
            let offsets: BTreeSet<u64> = all.map(|((_, offset), _)| *offset).collect();
            let dense = (0..offsets.len() as u64).collect();
            ensure(offsets == dense, || {
                format!("partition {partition} has gaps: {offsets:?}")
            })?;
        }
        Ok(())
    }
}
