//! Retention: what partitions forget, by age and by size, a page at a time.

use std::collections::BTreeMap;

use super::Node;
use crate::id::{Millis, PartitionId, Position};
use crate::ledger::Fact;

/// How much of a partition is kept. The page that is not full yet is always kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// What is older goes.
    pub age_ms: Option<u64>,
    /// What is too much for this many bytes of records in full pages goes, the oldest first.
    pub bytes_max: Option<u64>,
}

impl Default for Retention {
    /// Three days, as the clients of partitions know it from home.
    fn default() -> Retention {
        Retention {
            age_ms: Some(72 * 3600 * 1000),
            bytes_max: None,
        }
    }
}

/// Between two looks, if there is something to do anyway.
const EVERY_MS: u64 = 1000;
/// Between two looks, if nothing else happens.
const EVERY_IDLE_MS: u64 = 60_000;
/// One look is at no more partitions than this.
const PARTITIONS_MAX: usize = 1024;
/// No more pages of one partition go at a time.
const PAGES_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Retaining {
    pub retention: Retention,
    looked: Option<Millis>,
    /// Where the next look goes on.
    after: Option<PartitionId>,
    /// Decided and not applied.
    trimming: BTreeMap<PartitionId, Position>,
}

impl Retaining {
    pub fn trimmed(&mut self, partition: PartitionId) {
        self.trimming.remove(&partition);
    }

    pub fn deadline(&self) -> Option<Millis> {
        self.looked.map(|at| at.plus(EVERY_IDLE_MS))
    }
}

impl Node {
    /// How much of each partition is kept from now on.
    pub fn retain(&mut self, retention: Retention) {
        self.retaining.retention = retention;
    }

    pub(super) fn trim(&mut self, now: Millis) {
        let retaining = &mut self.retaining;
        if retaining.looked.is_some_and(|at| now.since(at) < EVERY_MS) {
            return;
        }
        let Retention { age_ms, bytes_max } = retaining.retention;
        let stored_after = age_ms.map_or(Millis(0), |age| Millis(now.0.saturating_sub(age)));
        let bytes_max = bytes_max.unwrap_or(u64::MAX);
        let mut last = None;
        let mut looks = 0;
        for (id, pages) in self.log.ledger.partitions_after(retaining.after) {
            looks += 1;
            last = Some(id);
            if !retaining.trimming.contains_key(&id)
                && let Some(below) = pages.retained_from(stored_after, bytes_max, PAGES_MAX)
            {
                retaining.trimming.insert(id, below);
                self.moves.fact(Fact::Trimmed {
                    partition: id,
                    below,
                });
            }
            if looks == PARTITIONS_MAX {
                break;
            }
        }
        retaining.after = last.filter(|_| looks == PARTITIONS_MAX);
        let any = looks > 0 || retaining.looked.is_some();
        retaining.looked = any.then_some(now);
    }
}
