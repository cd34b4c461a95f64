//! What was asked from the readers and has not come yet, so that not every step asks again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::event::{Effects, Load, PageSlot};
use crate::id::{MessageRef, Millis};

/// What has not come by then is asked for again: a cache may have dropped it before its turn.
const AGAIN_MS: u64 = 1000;
/// One load names no more records than this.
pub(crate) const RECORDS_MAX: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Asked {
    records: BTreeMap<MessageRef, Millis>,
    pages: BTreeMap<PageSlot, Millis>,
    /// When the oldest of them is asked for again.
    again: Option<Millis>,
}

impl Asked {
    pub fn records(&mut self, mut wanted: Vec<MessageRef>, now: Millis, effects: &mut Effects) {
        wanted.retain(|message| is_new(self.records.entry(*message), now));
        if !wanted.is_empty() {
            self.again.get_or_insert(now.plus(AGAIN_MS));
            effects.loads.push(Load::Records(wanted));
        }
    }

    /// The same, whatever was asked for before.
    pub fn records_again(&mut self, wanted: Vec<MessageRef>, now: Millis, effects: &mut Effects) {
        wanted.iter().for_each(|message| self.record_came(*message));
        self.records(wanted, now, effects);
    }

    pub fn page(&mut self, slot: PageSlot, now: Millis, effects: &mut Effects) {
        if is_new(self.pages.entry(slot), now) {
            self.again.get_or_insert(now.plus(AGAIN_MS));
            effects.loads.push(Load::Page(slot));
        }
    }

    pub fn record_came(&mut self, message: MessageRef) {
        self.records.remove(&message);
    }

    pub fn page_came(&mut self, slot: PageSlot) {
        self.pages.remove(&slot);
    }

    pub fn waits_for_record(&self, message: MessageRef) -> bool {
        self.records.contains_key(&message)
    }

    pub fn waits_for_page(&self, slot: PageSlot) -> bool {
        self.pages.contains_key(&slot)
    }

    /// Forgets what was asked for too long ago.
    pub fn advance(&mut self, now: Millis) {
        if self.again.is_none_or(|at| at > now) {
            return;
        }
        self.records.retain(|_, asked| asked.plus(AGAIN_MS) > now);
        self.pages.retain(|_, asked| asked.plus(AGAIN_MS) > now);
        let oldest = self.records.values().chain(self.pages.values()).min();
        self.again = oldest.map(|asked| asked.plus(AGAIN_MS));
    }

    pub fn deadline(&self) -> Option<Millis> {
        let waits = !self.records.is_empty() || !self.pages.is_empty();
        self.again.filter(|_| waits)
    }
}

/// Notes when something was asked for; false if that was noted before.
fn is_new<K: Ord>(entry: Entry<'_, K, Millis>, now: Millis) -> bool {
    let is_new = matches!(entry, Entry::Vacant(_));
    entry.or_insert(now);
    is_new
}
