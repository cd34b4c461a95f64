//! When old segments are merged, and which: the store knows what lies where, the node what is live,
//! and here the two meet.
//!
//! After a checkpoint the live bytes are estimated, a bounded look at a time ([`Node::live_spans`]).
//! While the log is larger than twice that and `limits.garbage_bytes`, the run of adjacent segments
//! that gives back the most is chosen, its live messages are named ([`Node::live_messages`]), and the
//! store makes one segment of it. Then it is estimated again.
//!
//! While the disk is full every sparse run is worth it, whatever the log's size, as long as what is
//! live in it fits into the room of a spare segment, or into half of what was too much before. After
//! each one the files that it gives back are waited for, which takes two checkpoints.
//!
//! Caveats: a page whose entries are spread over several segments counts in each of them by its
//! size, which is a guess; so a run is weighed again when its messages are known, and passed over
//! until the next round when it is not worth it. What stands in several queues counts as often.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use broker::event::PageSlot;
use broker::id::{Index, MessageRef};
use broker::ledger::{LiveStep, LiveWalk, SpanWalk};
use broker::node::Node;
use store::{Candidate, LoadError, MessageId, SegmentKey, Store, choose_run};

use super::SHARD;
use crate::fault::Fault;

/// The names of a run's live messages take 8 bytes each; a run with more is passed over.
const MESSAGES_MAX: usize = 1 << 20;
/// What a message costs beside its record, about: its head, and a part of its frame's header.
const HEAD_BYTES: u64 = 64;
/// On a full disk a run is not worth it when less than this part of a segment has to be enough.
const COPY_PARTS_MAX: u64 = 64;

/// What is being done about old segments.
pub(super) struct Cold {
    garbage_bytes: u64,
    segment_bytes: u64,
    work: Work,
    /// Not worth merging, as far as this round knows.
    dense: BTreeSet<SegmentKey>,
    /// A round ended in vain; the next one waits until the log is this large.
    rest_below: u64,
    /// What is live in a run may have so many bytes while the disk is full.
    copy_bytes_max: u64,
}

enum Work {
    Rest,
    Estimating {
        walk: SpanWalk,
        estimate: Estimate,
    },
    Naming {
        walk: LiveWalk,
        run: Vec<Candidate>,
        live: Vec<MessageId>,
        live_bytes: u64,
        /// The page that was asked for, and by which tag.
        asked: Option<(PageSlot, u64)>,
    },
    Merging {
        run: Vec<SegmentKey>,
    },
}

impl Cold {
    pub fn new(garbage_bytes: u64, segment_bytes: u64) -> Cold {
        Cold {
            garbage_bytes,
            segment_bytes,
            work: Work::Rest,
            dense: BTreeSet::new(),
            rest_below: 0,
            copy_bytes_max: segment_bytes,
        }
    }

    /// It can go on by itself.
    pub fn has_work(&self) -> bool {
        match &self.work {
            Work::Rest | Work::Merging { .. } => false,
            Work::Estimating { .. } => true,
            Work::Naming { asked, .. } => asked.is_none(),
        }
    }

    /// A checkpoint is durable: what lies below the one before may have become sparse.
    pub fn checkpointed(&mut self, store: &Store) {
        let log_bytes = store.log_bytes();
        let is_large = log_bytes > self.garbage_bytes && log_bytes >= self.rest_below;
        if !store.disk_full() {
            self.copy_bytes_max = self.segment_bytes;
        }
        if matches!(self.work, Work::Rest) && (is_large || store.disk_full()) {
            self.dense.clear();
            self.estimate(store);
        }
    }

    fn estimate(&mut self, store: &Store) {
        let candidates = store.candidates();
        if candidates.is_empty() {
            self.work = Work::Rest;
            return;
        }
        self.work = Work::Estimating {
            walk: SpanWalk::default(),
            estimate: Estimate::new(candidates),
        };
    }

    /// Does a bounded part of what can be done. A page is asked for by a new tag.
    pub fn step(&mut self, node: &Node, store: &mut Store, next_tag: &mut u64) {
        match &mut self.work {
            Work::Rest | Work::Merging { .. } => {}
            Work::Estimating { walk, estimate } => {
                let more = node.live_spans(walk, &mut |first, last, bytes| {
                    estimate.span(first, last, bytes);
                });
                if !more {
                    self.choose(store);
                }
            }
            Work::Naming {
                walk,
                live,
                live_bytes,
                asked,
                ..
            } => {
                if asked.is_some() {
                    return;
                }
                let see = &mut |message, bytes| name(message, bytes, live, live_bytes);
                match node.live_messages(walk, see) {
                    LiveStep::More => {}
                    LiveStep::Page(slot) => {
                        *next_tag += 1;
                        *asked = Some((slot, *next_tag));
                        store.load_page(super::to_store(slot), *next_tag);
                    }
                    LiveStep::Done => self.merge(store),
                }
                self.limit(store);
            }
        }
    }

    /// Whether the page with this tag was asked for here.
    pub fn has_asked(&self, tag: u64) -> bool {
        match &self.work {
            Work::Naming { asked, .. } => asked.is_some_and(|(_, of)| of == tag),
            Work::Rest | Work::Estimating { .. } | Work::Merging { .. } => false,
        }
    }

    /// Takes in the page that was asked for here.
    pub fn page_loaded(
        &mut self,
        page: Result<Arc<[u8]>, LoadError>,
        node: &Node,
        store: &Store,
    ) -> Result<(), Fault> {
        let Work::Naming {
            walk,
            run,
            live,
            live_bytes,
            asked,
        } = &mut self.work
        else {
            return Ok(());
        };
        let Some((slot, _)) = asked.take() else {
            return Ok(());
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                // Whoever waits for what it holds will hear of it; the segments stay as they are.
                tracing::error!(%error, "old segments cannot be merged");
                let keys: Vec<_> = run.iter().map(|candidate| candidate.key).collect();
                self.pass_over(&keys, store);
                return Ok(());
            }
        };
        let see = &mut |message, bytes| name(message, bytes, live, live_bytes);
        let taken = node.live_page(walk, &page, see);
        taken.map_err(|reason| Fault::Page {
            slot: slot.0,
            reason,
        })
    }

    fn choose(&mut self, store: &Store) {
        let Work::Estimating { estimate, .. } = std::mem::replace(&mut self.work, Work::Rest)
        else {
            return;
        };
        let (candidates, live_total) = (&estimate.candidates, estimate.total);
        let mut live = estimate.live_bytes();
        let (log_bytes, is_full) = (store.log_bytes(), store.disk_full());
        if !is_full && log_bytes <= (2 * live_total).saturating_add(self.garbage_bytes) {
            self.rest_below = 0;
            return;
        }
        let live_bytes_max = match is_full {
            true => self.copy_bytes_max,
            false => self.segment_bytes,
        };
        for (candidate, live) in candidates.iter().zip(&mut live) {
            let is_too_much = is_full && *live > live_bytes_max;
            if is_too_much || self.dense.contains(&candidate.key) {
                *live = candidate.bytes;
            }
        }
        let Some(run) = choose_run(candidates, &live, live_bytes_max) else {
            tracing::debug!(log_bytes, live_total, "no old segments are worth merging");
            self.rest_below = log_bytes + self.garbage_bytes / 4;
            return;
        };
        let run = candidates[run].to_vec();
        let ranges = || run.iter().flat_map(|candidate| &candidate.ranges);
        let of_shard = || ranges().filter(|(shard, ..)| *shard == SHARD);
        let first = of_shard().map(|range| range.1).min().unwrap_or_default();
        let last = of_shard().map(|range| range.2).max().unwrap_or_default();
        tracing::debug!(
            segments = run.len(),
            log_bytes,
            live_total,
            "merging old segments"
        );
        self.work = Work::Naming {
            walk: LiveWalk::new(Index(first.number())..=Index(last.number())),
            run,
            live: Vec::new(),
            live_bytes: 0,
            asked: None,
        };
    }

    /// Now it is known what is live in the run.
    fn merge(&mut self, store: &mut Store) {
        let Work::Naming {
            run,
            live,
            live_bytes,
            ..
        } = std::mem::replace(&mut self.work, Work::Rest)
        else {
            return;
        };
        let bytes: u64 = run.iter().map(|candidate| candidate.bytes).sum();
        let keys: Vec<_> = run.iter().map(|candidate| candidate.key).collect();
        if store.disk_full() && live_bytes > self.segment_bytes && self.copies_less() {
            // A shorter run may have what the guess promised.
            return self.estimate(store);
        }
        // The run was chosen by a guess, and a cold segment may well be larger than others.
        let fits = match store.disk_full() {
            true => live_bytes <= self.segment_bytes,
            false => keys.len() == 1 || live_bytes <= 2 * self.segment_bytes,
        };
        if !fits || live_bytes > bytes / 4 * 3 {
            self.pass_over(&keys, store);
            return;
        }
        store.merge(keys.clone(), live);
        self.work = Work::Merging { run: keys };
    }

    /// Halves what a run may have on a full disk; `false` if that would be next to nothing.
    fn copies_less(&mut self) -> bool {
        let half = self.copy_bytes_max / 2;
        let is_worth_it = half >= self.segment_bytes / COPY_PARTS_MAX;
        if is_worth_it {
            self.copy_bytes_max = half;
        }
        is_worth_it
    }

    fn limit(&mut self, store: &Store) {
        if let Work::Naming { run, live, .. } = &self.work
            && live.len() > MESSAGES_MAX
        {
            let keys: Vec<_> = run.iter().map(|candidate| candidate.key).collect();
            self.pass_over(&keys, store);
        }
    }

    fn pass_over(&mut self, run: &[SegmentKey], store: &Store) {
        self.dense.extend(run);
        self.estimate(store);
    }

    /// The store is done with a run.
    pub fn merged(&mut self, store: &Store) {
        let Work::Merging { run } = std::mem::replace(&mut self.work, Work::Rest) else {
            return;
        };
        if store.disk_full() {
            // There is no room for another copy before this one's run is gone.
            self.copy_bytes_max = self.segment_bytes;
            return;
        }
        // What was made of it has just been weighed.
        let number = run.first().map(|key| key.number);
        let made = store
            .candidates()
            .into_iter()
            .map(|candidate| candidate.key);
        self.dense
            .extend(made.filter(|key| key.is_cold() && Some(key.number) == number));
        self.estimate(store);
    }

    /// The store could not merge a run, which is as it was.
    pub fn failed(&mut self, store: &Store) {
        let Work::Merging { run } = std::mem::replace(&mut self.work, Work::Rest) else {
            return;
        };
        self.pass_over(&run, store);
    }

    /// The store had no room for what is live in a run, which is as it was.
    pub fn lacked_room(&mut self, store: &Store) {
        if !store.disk_full() {
            return self.failed(store);
        }
        if let Work::Merging { .. } = self.work {
            self.work = Work::Rest;
            // It will be less next time, or the same again: there may be room by then.
            self.copies_less();
        }
    }
}

fn name(message: MessageRef, bytes: u32, live: &mut Vec<MessageId>, live_bytes: &mut u64) {
    live.extend(MessageId::from_number(message.as_u64()));
    *live_bytes += u64::from(bytes) + HEAD_BYTES;
}

/// How much is live in each of the candidates, by spans that each give their bytes to the segments
/// that they touch, in proportion to theirs. A span costs two searches, however many it touches.
struct Estimate {
    candidates: Vec<Candidate>,
    /// Bytes of all candidates before each, and of all.
    before: Vec<u64>,
    /// By how much the live part of a byte changes from the candidate before to each.
    steps: Vec<f64>,
    total: u64,
}

impl Estimate {
    fn new(candidates: Vec<Candidate>) -> Estimate {
        let mut before = vec![0];
        for candidate in &candidates {
            before.push(before[before.len() - 1] + candidate.bytes);
        }
        Estimate {
            steps: vec![0.0; before.len()],
            candidates,
            before,
            total: 0,
        }
    }

    fn span(&mut self, first: Index, last: Index, bytes: u64) {
        self.total += bytes;
        let range = |candidate: &Candidate| {
            let range = candidate
                .ranges
                .iter()
                .find(|(shard, ..)| *shard == SHARD)?;
            Some((range.1.number(), range.2.number()))
        };
        // Segments ascend, and so do their ranges.
        let of = &self.candidates;
        let from = of.partition_point(|c| range(c).is_none_or(|(_, end)| end < first.0));
        let to = of.partition_point(|c| range(c).is_none_or(|(start, _)| start <= last.0));
        if from < to {
            let part = bytes as f64 / (self.before[to] - self.before[from]) as f64;
            self.steps[from] += part;
            self.steps[to] -= part;
        }
    }

    fn live_bytes(&self) -> Vec<u64> {
        let mut part = 0.0;
        let live = self
            .candidates
            .iter()
            .zip(&self.steps)
            .map(|(candidate, step)| {
                part += step;
                (candidate.bytes as f64 * part.max(0.0)) as u64
            });
        live.collect()
    }
}
