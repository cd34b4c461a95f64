//! What a channel has handed out and not heard of: delivery tags in the order in which they were
//! given.

use std::collections::VecDeque;

use broker::id::{ConsumerId, Position, QueueId};

/// A delivery that waits for its settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub queue: QueueId,
    pub position: Position,
    /// `None` if basic.get fetched it.
    pub consumer: Option<ConsumerId>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: u64,
    held: Held,
    settled: bool,
}

/// A ring sorted by tag. Settling in order pops its front; settling out of order marks a slot,
/// and the marks are swept when they are the larger half, so that one delivery kept for ever does
/// not keep all later ones.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    slots: VecDeque<Slot>,
    settled: usize,
}

/// The tag was never given or is settled already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct UnknownTag;

impl Unsettled {
    /// Below this many slots sweeping does not pay.
    const SWEEP_MIN: usize = 64;

    pub fn len(&self) -> usize {
        self.slots.len() - self.settled
    }

    /// How many were delivered to consumers rather than fetched.
    pub fn delivered(&self) -> u32 {
        let counts = |slot: &&Slot| !slot.settled && slot.held.consumer.is_some();
        u32::try_from(self.slots.iter().filter(counts).count()).unwrap_or(u32::MAX)
    }

    /// Tags must grow.
    pub fn push(&mut self, tag: u64, held: Held) {
        debug_assert!(self.slots.back().is_none_or(|last| last.tag < tag));
        self.slots.push_back(Slot {
            tag,
            held,
            settled: false,
        });
    }

    pub fn take(&mut self, tag: u64) -> Result<Held, UnknownTag> {
        if let Some(first) = self.slots.front().copied()
            && first.tag == tag
        {
            self.slots.pop_front();
            self.trim();
            return Ok(first.held);
        }
        let at = self
            .slots
            .binary_search_by_key(&tag, |slot| slot.tag)
            .map_err(|_| UnknownTag)?;
        let slot = self
            .slots
            .get_mut(at)
            .filter(|slot| !slot.settled)
            .ok_or(UnknownTag)?;
        slot.settled = true;
        let held = slot.held;
        self.settled += 1;
        if self.slots.len() > Self::SWEEP_MIN && self.settled * 2 > self.slots.len() {
            self.slots.retain(|slot| !slot.settled);
            self.settled = 0;
        }
        Ok(held)
    }

    /// Takes everything up to and including a tag. The tag itself must be there.
    pub fn take_up_to(&mut self, tag: u64, mut taken: impl FnMut(Held)) -> Result<(), UnknownTag> {
        let at = self
            .slots
            .binary_search_by_key(&tag, |slot| slot.tag)
            .map_err(|_| UnknownTag)?;
        if self.slots.get(at).is_none_or(|slot| slot.settled) {
            return Err(UnknownTag);
        }
        for slot in self.slots.drain(..=at) {
            if slot.settled {
                self.settled -= 1;
            } else {
                taken(slot.held);
            }
        }
        self.trim();
        Ok(())
    }

    pub fn take_all(&mut self, mut taken: impl FnMut(Held)) {
        self.settled = 0;
        self.slots
            .drain(..)
            .filter(|slot| !slot.settled)
            .for_each(|slot| taken(slot.held));
    }

    /// Keeps a live slot in front.
    fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.settled) {
            self.slots.pop_front();
            self.settled -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use broker::id::Durability;

    use super::*;

    fn held(number: u64) -> Held {
        let queue = QueueId::new(1, Durability::Durable);
        Held {
            queue,
            position: Position(number),
            consumer: None,
        }
    }

    /// Random settling against the plainest model.
    #[test]
    fn it_equals_a_map() {
        let mut ring = Unsettled::default();
        let mut model = BTreeMap::new();
        let mut random = 7_u64;
        let mut next = 1;
        for _ in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let tag = (random >> 33) % next;
            match random >> 60 {
                0..8 => {
                    ring.push(next, held(next));
                    model.insert(next, held(next));
                    next += 1 + (random >> 20) % 2;
                }
                8..15 => assert_eq!(ring.take(tag), model.remove(&tag).ok_or(UnknownTag)),
                _ => {
                    let mut taken = Vec::new();
                    let result = ring.take_up_to(tag, |held| taken.push(held));
                    if model.contains_key(&tag) {
                        let rest = model.split_off(&(tag + 1));
                        let expected: Vec<_> =
                            std::mem::replace(&mut model, rest).into_values().collect();
                        assert_eq!((result, taken), (Ok(()), expected));
                    } else {
                        assert_eq!(result, Err(UnknownTag));
                    }
                }
            }
            assert_eq!(ring.len(), model.len());
            assert!(ring.slots.len() <= (2 * model.len()).max(Unsettled::SWEEP_MIN) + 1);
        }
        let mut all = Vec::new();
        ring.take_all(|held| all.push(held));
        assert_eq!(all, model.into_values().collect::<Vec<_>>());
    }
}
