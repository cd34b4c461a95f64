//! Remembering what was met on the way of one message.

use std::collections::HashSet;
use std::hash::Hash;

/// A set that is emptied and filled again without allocating. Only asked for membership, so
/// that the order of a hash set reaches nothing.
pub(super) struct Seen<T> {
    few: Vec<T>,
    many: HashSet<T>,
}

impl<T> Default for Seen<T> {
    fn default() -> Seen<T> {
        Seen {
            few: Vec::new(),
            many: HashSet::new(),
        }
    }
}

impl<T: Copy + Eq + Hash> Seen<T> {
    /// Below this, looking through a list is faster than hashing.
    const FEW_MAX: usize = 16;

    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many.clear();
    }

    /// Whether the item is new.
    pub(super) fn insert(&mut self, item: T) -> bool {
        if self.few.contains(&item) {
            return false;
        }
        if self.few.len() < Self::FEW_MAX {
            self.few.push(item);
            return true;
        }
        self.many.insert(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_new_once() {
        let mut seen = Seen::default();
        for _ in 0..2 {
            assert!((0..100).all(|item| seen.insert(item)));
            assert!((0..100).all(|item| !seen.insert(item)));
            seen.clear();
        }
    }
}
