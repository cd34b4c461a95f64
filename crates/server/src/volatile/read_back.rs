//! Items that have come back from the disk, for those who asked for them.

use std::collections::{HashMap, VecDeque};

/// Items that were released may leave so many keys behind.
const HOLES_MAX: usize = 256;

/// Items that were read back; the oldest go when they are too much.
pub(super) struct ReadBack {
    items: HashMap<u64, Box<[u8]>>,
    order: VecDeque<u64>,
    bytes: usize,
    bytes_max: usize,
}

impl ReadBack {
    pub fn new(bytes_max: usize) -> ReadBack {
        ReadBack {
            items: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub fn item(&self, key: u64) -> Option<&[u8]> {
        self.items.get(&key).map(|item| &**item)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn insert(&mut self, key: u64, item: Box<[u8]>) {
        self.bytes += item.len();
        match self.items.insert(key, item) {
            Some(before) => self.bytes -= before.len(),
            None => self.order.push_back(key),
        }
    }

    /// Nobody wants it any more.
    pub fn forget(&mut self, key: u64) {
        if let Some(item) = self.items.remove(&key) {
            self.bytes -= item.len();
        }
    }

    /// What is too much goes.
    pub fn trim(&mut self) {
        while self.bytes > self.bytes_max
            && let Some(key) = self.order.pop_front()
        {
            self.forget(key);
        }
        // Keys that were forgotten have left holes.
        if self.order.len() > 2 * self.items.len() + HOLES_MAX {
            self.order.retain(|key| self.items.contains_key(key));
        }
    }
}
