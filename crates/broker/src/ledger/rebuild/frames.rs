//! Sets of frames, kept as stretches, since frames come in long rows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::id::Index;

/// Frames by their index; neighbours are one stretch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Frames {
    /// First and last of each stretch.
    stretches: BTreeMap<u64, u64>,
}

impl Frames {
    pub fn insert(&mut self, frames: &RangeInclusive<Index>) {
        let (mut from, mut to) = (frames.start().0, frames.end().0);
        while let Some((first, last)) = self.last_begun(to.saturating_add(1)) {
            if last.saturating_add(1) < from {
                break;
            }
            self.stretches.remove(&first);
            from = from.min(first);
            to = to.max(last);
        }
        self.stretches.insert(from, to);
    }

    fn last_begun(&self, index: u64) -> Option<(u64, u64)> {
        let (first, last) = self.stretches.range(..=index).next_back()?;
        Some((*first, *last))
    }

    pub fn contains(&self, index: Index) -> bool {
        self.covers(&(index..=index))
    }

    /// Whether all of them are there.
    pub fn covers(&self, frames: &RangeInclusive<Index>) -> bool {
        let begun = self.last_begun(frames.start().0);
        begun.is_some_and(|(_, last)| last >= frames.end().0)
    }

    /// Those of some frames that are there.
    pub fn within(&self, frames: &RangeInclusive<Index>) -> Vec<RangeInclusive<Index>> {
        let (from, to) = (frames.start().0, frames.end().0);
        let begun = self.last_begun(from).map_or(from, |(first, _)| first);
        let stretches = self.stretches.range(begun..=to);
        let within = stretches.map(|(first, last)| (*first).max(from)..=(*last).min(to));
        let within = within.filter(|frames| !frames.is_empty());
        within
            .map(|f| Index(*f.start())..=Index(*f.end()))
            .collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<Index>> + '_ {
        let stretches = self.stretches.iter();
        stretches.map(|(first, last)| Index(*first)..=Index(*last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(stretches: &[(u64, u64)]) -> Frames {
        let mut frames = Frames::default();
        for (first, last) in stretches {
            frames.insert(&(Index(*first)..=Index(*last)));
        }
        frames
    }

    #[test]
    fn neighbours_become_one() {
        for (given, kept) in [
            (&[(5, 9), (1, 2)][..], &[(1, 2), (5, 9)][..]),
            (&[(5, 9), (10, 12)], &[(5, 12)]),
            (&[(5, 9), (2, 4)], &[(2, 9)]),
            (&[(1, 2), (5, 6), (9, 10), (2, 9)], &[(1, 10)]),
            (&[(1, 9), (3, 4)], &[(1, 9)]),
            (
                &[(1, 1), (u64::MAX, u64::MAX)],
                &[(1, 1), (u64::MAX, u64::MAX)],
            ),
        ] {
            let frames = set(given);
            let found: Vec<_> = frames.iter().map(|f| (f.start().0, f.end().0)).collect();
            assert_eq!(found, kept);
        }
        let frames = set(&[(3, 5), (8, 8)]);
        let inside: Vec<_> = (0..10).filter(|at| frames.contains(Index(*at))).collect();
        assert_eq!(inside, [3, 4, 5, 8]);
        for (from, to, within) in [
            (4, 8, &[(4, 5), (8, 8)][..]),
            (6, 7, &[]),
            (0, 9, &[(3, 5), (8, 8)]),
        ] {
            let found = frames.within(&(Index(from)..=Index(to)));
            let found: Vec<_> = found.iter().map(|f| (f.start().0, f.end().0)).collect();
            assert_eq!(found, within);
        }
        assert!(frames.covers(&(Index(3)..=Index(5))) && !frames.covers(&(Index(3)..=Index(6))));
    }
}
