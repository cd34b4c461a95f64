//! The marshalling cache: one per direction, values by index.
//!
//! The sender issues indices in order and wraps; before each frame it evicts the oldest values
//! until enough slots are free. Null is a value like any other. The receiver stores at whatever
//! index it is told, and nothing at −1.

use std::collections::{HashMap, VecDeque};

use crate::reader::check_limit;
use crate::{Identity, Malformed};

/// The size that a negotiated 0 stands for, and the largest that fits the signed 16-bit index.
pub(crate) const CACHE_SLOTS_DEFAULT: usize = 16_383;

/// The sender keeps this many slots free, for the values that one frame may introduce.
const FREE_SLOTS_MIN: usize = 100;

/// "Not cached": the value is new and the receiver must not store it.
const NOT_CACHED: i16 = -1;

/// The sender's half.
#[derive(Debug)]
pub(crate) struct MarshalCache {
    slots: usize,
    indices: HashMap<Option<Identity>, i16>,
    /// Issued values, oldest first; their indices are consecutive modulo `slots`.
    issued: VecDeque<Option<Identity>>,
    next: usize,
    /// Length of `issued` when the current frame began.
    frame_mark: usize,
}

impl MarshalCache {
    pub(crate) fn new(slots: usize) -> Self {
        let slots = slots.clamp(1, CACHE_SLOTS_DEFAULT);
        let (indices, issued) = (HashMap::new(), VecDeque::new());
        Self {
            slots,
            indices,
            issued,
            next: 0,
            frame_mark: 0,
        }
    }

    /// Makes room; to be called before each frame.
    pub(crate) fn begin_frame(&mut self) {
        while self.issued.len() > self.slots.saturating_sub(FREE_SLOTS_MIN) {
            let Some(oldest) = self.issued.pop_front() else {
                break;
            };
            self.indices.remove(&oldest);
        }
        self.frame_mark = self.issued.len();
    }

    /// Forgets what the current frame introduced, since the peer will never see that frame.
    pub(crate) fn roll_back_frame(&mut self) {
        while self.issued.len() > self.frame_mark {
            let Some(newest) = self.issued.pop_back() else {
                break;
            };
            self.indices.remove(&newest);
            self.next = (self.next + self.slots - 1) % self.slots;
        }
    }

    pub(crate) fn index_of(&self, identity: &Option<Identity>) -> Option<i16> {
        self.indices.get(identity).copied()
    }

    /// The index under which the peer shall keep `identity`, or −1 if the cache is full.
    pub(crate) fn issue(&mut self, identity: Option<Identity>) -> i16 {
        let Ok(index) = i16::try_from(self.next) else {
            return NOT_CACHED;
        };
        if self.issued.len() >= self.slots {
            return NOT_CACHED;
        }
        self.next = (self.next + 1) % self.slots;
        self.issued.push_back(identity.clone());
        self.indices.insert(identity, index);
        index
    }
}

/// The receiver's half.
#[derive(Clone, Debug)]
pub(crate) struct UnmarshalCache {
    slots: usize,
    /// Grows to the highest index seen. An empty slot reads as null, as in Java: a sender that
    /// gave up on a frame has counted the values in it as sent.
    values: Vec<Option<Identity>>,
    /// Bytes of the texts in `values`.
    text_bytes: usize,
    bytes_max: usize,
}

impl UnmarshalCache {
    pub(crate) fn new(slots: usize, bytes_max: usize) -> Self {
        Self {
            slots: slots.clamp(1, CACHE_SLOTS_DEFAULT),
            values: Vec::new(),
            text_bytes: 0,
            bytes_max,
        }
    }

    /// Sets what it may hold, in slots and texts.
    pub(crate) fn allow_bytes(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    pub(crate) fn store(&mut self, index: i16, value: Option<Identity>) -> Result<(), Malformed> {
        if index == NOT_CACHED {
            return Ok(());
        }
        let slot = usize::try_from(index)
            .ok()
            .filter(|&slot| slot < self.slots)
            .ok_or(Malformed::CacheIndex { index })?;
        let text_bytes = |value: &Option<Identity>| value.as_ref().map_or(0, Identity::text_bytes);
        let replaced = self.values.get(slot).map_or(0, text_bytes);
        let held = self.text_bytes.saturating_sub(replaced) + text_bytes(&value);
        let count = self.values.len().max(slot + 1);
        let room = count.next_power_of_two();
        let bytes = room * size_of::<Option<Identity>>() + held;
        check_limit("cache", bytes, self.bytes_max)?;
        if count > self.values.len() {
            // What is reserved is what was counted.
            self.values.reserve_exact(room - self.values.len());
            self.values.resize(count, None);
        }
        if let Some(place) = self.values.get_mut(slot) {
            *place = value;
            self.text_bytes = held;
        }
        Ok(())
    }

    /// The value at `index`.
    pub(crate) fn held(&self, index: i16) -> Result<Option<&Identity>, Malformed> {
        let slot = usize::try_from(index)
            .ok()
            .filter(|slot| *slot < self.slots);
        let slot = slot.ok_or(Malformed::CacheIndex { index })?;
        Ok(self.values.get(slot).and_then(Option::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CACHE_BYTES_MAX, ConnectionId, JavaString};

    fn identity(number: usize) -> Option<Identity> {
        let value = JavaString::from(format!("ID:{number}"));
        Some(Identity::Connection(ConnectionId { value }))
    }

    #[test]
    fn indices_wrap_and_evict_the_oldest() {
        let mut sender = MarshalCache::new(128);
        let mut receiver = UnmarshalCache::new(128, CACHE_BYTES_MAX);
        for number in 0..1000 {
            sender.begin_frame();
            let index = sender.issue(identity(number));
            assert_eq!(usize::try_from(index), Ok(number % 128));
            receiver
                .store(index, identity(number))
                .expect("index within the size");
            let oldest = number.saturating_sub(28);
            let index = sender.index_of(&identity(oldest)).expect("not evicted yet");
            assert_eq!(receiver.held(index), Ok(identity(oldest).as_ref()));
            assert_eq!(sender.index_of(&identity(number.wrapping_sub(29))), None);
        }
    }

    #[test]
    fn a_full_cache_answers_not_cached_and_a_rolled_back_frame_leaves_no_trace() {
        let mut sender = MarshalCache::new(3);
        sender.begin_frame();
        assert_eq!(
            [0, 1, 2].map(|number| sender.issue(identity(number))),
            [0, 1, 2]
        );
        assert_eq!(sender.issue(None), NOT_CACHED);
        sender.roll_back_frame();
        sender.begin_frame();
        assert_eq!(sender.index_of(&identity(0)), None);
        assert_eq!(sender.issue(None), 0);
        assert_eq!(sender.index_of(&None), Some(0));
    }

    #[test]
    fn indices_outside_the_size_are_refused() {
        let mut receiver = UnmarshalCache::new(4, CACHE_BYTES_MAX);
        assert_eq!(
            receiver.store(4, None),
            Err(Malformed::CacheIndex { index: 4 })
        );
        assert_eq!(
            receiver.store(-2, None),
            Err(Malformed::CacheIndex { index: -2 })
        );
        assert_eq!(receiver.store(NOT_CACHED, None), Ok(()));
        assert_eq!(receiver.held(0), Ok(None), "an empty slot is null");
        assert_eq!(receiver.held(4), Err(Malformed::CacheIndex { index: 4 }));
    }

    #[test]
    fn what_is_held_is_limited_in_bytes() {
        let slot = size_of::<Option<Identity>>();
        let mut receiver = UnmarshalCache::new(1024, 4 * slot + 10);
        let refused = |bytes| {
            Err(Malformed::LimitExceeded {
                what: "cache",
                size: bytes,
                limit: 4 * slot + 10,
            })
        };
        // An index alone makes room up to it.
        assert_eq!(receiver.store(4, None), refused(8 * slot));
        assert_eq!(receiver.store(3, identity(1)), Ok(()));
        assert_eq!(receiver.store(0, identity(22)), Ok(()));
        assert_eq!(receiver.store(1, identity(3)), refused(4 * slot + 13));
        // What is replaced does not count.
        assert_eq!(receiver.store(3, None), Ok(()));
        assert_eq!(receiver.store(1, identity(3)), Ok(()));
        receiver.allow_bytes(CACHE_BYTES_MAX);
        assert_eq!(receiver.store(1023, identity(1)), Ok(()));
    }
}
