//! Blocks that went to the disk, or are on their way: found by the keys of their items, read back by item.
//!
//! A block begins in memory, where its items can be read like any other. When it is written, only this stays of it:
//! its first and last key, its file, and the keys of the items that were released. It goes with its last item.
//!
//! Invariants:
//! - the ranges of keys of two blocks never overlap, so that a key belongs to one block at most;
//! - nothing leaves memory before it is written, so that a disk that fails costs memory and no message;
//! - each item is released once: [`Spill::release`] does not look whether it is there.
//!
//! Caveats: nothing is summed: what a disk changes silently is not seen. An item that cannot be read back is not
//! answered; who wants it asks again. Released items of a block that still lives cost some 24 bytes each until their
//! file is sparse enough to be gathered. How many bytes of a file still live is reckoned as if the items of a block
//! were equally large.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use broker::id::Millis;

use super::block::{Block, find, items, table_bytes};
use super::files::{FileId, Files, Spot};
use super::read_back::ReadBack;
use super::worker::{Done, Job, Ring, Workers};

/// Blocks that are written at a time.
const WRITES_MAX: usize = 4;
/// Reads of items that are under way at a time.
const READS_MAX: usize = 16;
/// After a failed write the disk is left alone for so long.
const REST_MS: u64 = 1000;
/// What a block that lies on the disk takes in memory.
const BLOCK_MEMORY_BYTES: usize = 256;
/// What a released item of a living block takes in memory.
const RELEASED_MEMORY_BYTES: usize = 24;

/// What became of an item that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It can be read until [`Spill::trim`].
    Here(u64),
    /// It was released.
    Gone(u64),
}

pub(super) struct Spill {
    folder: PathBuf,
    ring: Ring,
    /// Started with the first block.
    workers: Option<Workers>,
    /// By their first key.
    blocks: BTreeMap<u64, Lying>,
    /// The first keys of the blocks, by their number.
    numbers: HashMap<u64, u64>,
    next_number: u64,
    files: Files,
    /// The numbers of the blocks that shall be written, in order.
    to_write: VecDeque<u64>,
    writing: usize,
    to_read: VecDeque<Job>,
    reading: usize,
    /// The numbers of the blocks that shall be read and written again.
    to_gather: VecDeque<u64>,
    gathering: bool,
    read_back: ReadBack,
    answers: Vec<Answer>,
    /// Asked for while they were in memory; looked for again when that is told.
    here: Vec<u64>,
    /// Blocks that are not written yet.
    unwritten_bytes: usize,
    /// Released items of living blocks.
    released: usize,
    now: Millis,
    /// Since a write has failed.
    rests_until: Option<Millis>,
}

struct Lying {
    number: u64,
    last: u64,
    count: u32,
    bytes: usize,
    place: Place,
    released: HashSet<u64>,
}

enum Place {
    Memory(Arc<Vec<u8>>),
    Writing(Arc<Vec<u8>>),
    File(Spot),
}

impl Spill {
    /// `ring` is called when [`Spill::poll`] has something to tell.
    pub fn new(folder: PathBuf, file_bytes: u64, read_back_bytes_max: usize, ring: Ring) -> Spill {
        let mut spill = Spill {
            workers: None,
            blocks: BTreeMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            files: Files::new(file_bytes),
            to_write: VecDeque::new(),
            writing: 0,
            to_read: VecDeque::new(),
            reading: 0,
            to_gather: VecDeque::new(),
            gathering: false,
            read_back: ReadBack::new(read_back_bytes_max),
            answers: Vec::new(),
            here: Vec::new(),
            unwritten_bytes: 0,
            released: 0,
            now: Millis(0),
            rests_until: None,
            folder,
            ring,
        };
        if spill.folder.exists()
            && let Err(error) = spill.workers().map(|workers| workers.give(Job::Clear))
        {
            tracing::warn!(%error, "cannot start the threads of the spill");
        }
        spill
    }

    fn workers(&mut self) -> io::Result<&Workers> {
        if self.workers.is_none() {
            self.workers = Some(Workers::start(self.folder.clone(), &self.ring)?);
        }
        Ok(self.workers.as_ref().expect("started above"))
    }

    /// Takes a block whose keys no other block's range overlaps.
    pub fn insert(&mut self, block: Block) {
        let Block {
            first,
            last,
            count,
            bytes,
        } = block;
        self.next_number += 1;
        let number = self.next_number;
        self.unwritten_bytes += bytes.len();
        let lying = Lying {
            number,
            last,
            count,
            bytes: bytes.len(),
            place: Place::Memory(Arc::new(bytes)),
            released: HashSet::new(),
        };
        let before = self.blocks.range(..=last).next_back();
        assert!(
            before.is_none_or(|(_, before)| before.last < first),
            "the block from {first} to {last} overlaps another"
        );
        self.blocks.insert(first, lying);
        self.numbers.insert(number, first);
        self.to_write.push_back(number);
    }

    fn block_of(&self, key: u64) -> Option<(u64, &Lying)> {
        let (first, block) = self.blocks.range(..=key).next_back()?;
        (key <= block.last && !block.released.contains(&key)).then_some((*first, block))
    }

    /// An item that can be read now.
    pub fn item(&self, key: u64) -> Option<&[u8]> {
        let (_, block) = self.block_of(key)?;
        match &block.place {
            Place::Memory(bytes) | Place::Writing(bytes) => {
                let (table, items) = bytes.split_at(table_bytes(block.count));
                items.get(find(table, key)?)
            }
            Place::File(_) => self.read_back.item(key),
        }
    }

    /// Takes the question for an item that can be read now.
    pub fn ask_again(&mut self, key: u64) {
        self.here.push(key);
    }

    /// Each is answered, in the order in which they come, unless the disk fails.
    pub fn ask(&mut self, keys: impl IntoIterator<Item = u64>) {
        let mut reads: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for key in keys {
            if self.item(key).is_some() {
                self.here.push(key);
            } else if let Some((first, _)) = self.block_of(key) {
                reads.entry(first).or_default().push(key);
            } else {
                self.answers.push(Answer::Gone(key));
            }
        }
        for (first, keys) in reads {
            let block = &self.blocks[&first];
            if let Place::File(at) = block.place {
                self.to_read.push_back(Job::Items {
                    at,
                    count: block.count,
                    bytes: block.bytes,
                    keys,
                });
            }
        }
    }

    /// Nobody wants this item any more.
    pub fn release(&mut self, key: u64) {
        self.read_back.forget(key);
        let Some((first, _)) = self.block_of(key) else {
            return;
        };
        let block = self.blocks.get_mut(&first).expect("found above");
        let before = block.live_bytes();
        block.released.insert(key);
        self.released += 1;
        let after = block.live_bytes();
        if after == 0 {
            self.remove(first, before);
        } else if let Place::File(at) = block.place {
            let sparse = self.files.wane(at.file, (before - after) as u64);
            self.to_gather.extend(sparse);
        }
    }

    /// A block goes; `live_bytes` of it counted as live in its file.
    fn remove(&mut self, first: u64, live_bytes: usize) {
        let block = self.blocks.remove(&first).expect("known by its first key");
        self.numbers.remove(&block.number);
        self.released -= block.released.len();
        match block.place {
            // One that is being written leaves its file when the write has come to its end.
            Place::Memory(_) | Place::Writing(_) => self.unwritten_bytes -= block.bytes,
            Place::File(at) => self.leave(at.file, block.number, live_bytes),
        }
    }

    fn leave(&mut self, file: FileId, number: u64, live_bytes: usize) {
        if self.files.leave(file, number, live_bytes as u64)
            && let Some(workers) = &self.workers
        {
            workers.give(Job::Remove(file));
        }
    }

    /// What is answered since this was last asked.
    pub fn poll(&mut self) -> Vec<Answer> {
        while let Some(done) = self.workers.as_ref().and_then(Workers::take) {
            match done {
                Done::Written { block, at, result } => self.written(block, at, result),
                Done::Items { at, keys, result } => {
                    self.reading -= 1;
                    self.came(at, keys, result);
                }
                Done::Whole { block, result } => {
                    self.gathering = false;
                    match result {
                        Ok(bytes) => self.gather(block, &bytes),
                        Err(error) => {
                            tracing::warn!(%error, "cannot gather what is left of a spilled file");
                        }
                    }
                }
            }
        }
        // What was in memory when it was asked for may have been written meanwhile.
        for key in std::mem::take(&mut self.here) {
            if self.item(key).is_some() {
                self.answers.push(Answer::Here(key));
            } else {
                self.ask([key]);
            }
        }
        self.give_jobs();
        std::mem::take(&mut self.answers)
    }

    pub fn has_answers(&self) -> bool {
        !self.answers.is_empty() || !self.here.is_empty()
    }

    /// Gives out what can be done now.
    pub fn work(&mut self, now: Millis) {
        self.now = now;
        if self.rests_until.is_some_and(|at| at <= now) {
            self.rests_until = None;
        }
        self.give_jobs();
    }

    /// When [`Spill::work`] wants to be called at the latest.
    pub fn deadline(&self) -> Option<Millis> {
        self.rests_until.filter(|_| !self.to_write.is_empty())
    }

    fn give_jobs(&mut self) {
        if self.rests_until.is_none()
            && !self.to_write.is_empty()
            && let Err(error) = self.workers().map(|_| ())
        {
            self.rest(&error);
        }
        let Some(workers) = &self.workers else {
            return;
        };
        while self.rests_until.is_none()
            && self.writing < WRITES_MAX
            && let Some(number) = self.to_write.pop_front()
        {
            // What has gone meanwhile needs no writing.
            let first = self.numbers.get(&number);
            let Some(block) = first.and_then(|first| self.blocks.get_mut(first)) else {
                continue;
            };
            let Place::Memory(bytes) = &block.place else {
                continue;
            };
            let bytes = Arc::clone(bytes);
            let at = self.files.place(number, block.bytes as u64);
            block.place = Place::Writing(Arc::clone(&bytes));
            self.writing += 1;
            workers.give(Job::Write {
                block: number,
                at,
                bytes,
            });
        }
        while self.reading < READS_MAX
            && let Some(job) = self.to_read.pop_front()
        {
            self.reading += 1;
            workers.give(job);
        }
        while !self.gathering
            && self.rests_until.is_none()
            && let Some(number) = self.to_gather.pop_front()
        {
            let first = self.numbers.get(&number);
            let block = first.and_then(|first| self.blocks.get(first));
            if let Some(block) = block
                && let Place::File(at) = block.place
            {
                self.gathering = true;
                workers.give(Job::Whole {
                    block: number,
                    at,
                    bytes: block.bytes,
                });
            }
        }
    }

    fn written(&mut self, number: u64, at: Spot, result: io::Result<()>) {
        self.writing -= 1;
        let first = self.numbers.get(&number).copied();
        match (result, first.and_then(|first| self.blocks.get_mut(&first))) {
            (Ok(()), Some(block)) => {
                self.unwritten_bytes -= block.bytes;
                block.place = Place::File(at);
                let lost = block.bytes - block.live_bytes();
                let sparse = self.files.wane(at.file, lost as u64);
                self.to_gather.extend(sparse);
            }
            (Err(error), Some(block)) => {
                if let Place::Writing(bytes) = &block.place {
                    block.place = Place::Memory(Arc::clone(bytes));
                }
                let bytes = block.bytes;
                self.to_write.push_front(number);
                self.files.seal(at.file);
                self.leave(at.file, number, bytes);
                self.rest(&error);
            }
            (result, None) => {
                // Its bytes in the file count as live to the end; with its last block the file goes all the same.
                self.leave(at.file, number, 0);
                if let Err(error) = result {
                    self.files.seal(at.file);
                    self.rest(&error);
                }
            }
        }
    }

    fn rest(&mut self, error: &io::Error) {
        if self.rests_until.is_none() {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "cannot spill: messages of volatile queues stay in memory");
        }
        self.rests_until = Some(self.now.plus(REST_MS));
    }

    fn came(&mut self, at: Spot, keys: Vec<u64>, result: io::Result<Vec<(u64, Box<[u8]>)>>) {
        match result {
            Ok(items) => {
                for (key, item) in items {
                    if self.block_of(key).is_some() {
                        self.read_back.insert(key, item);
                    }
                }
                for key in keys {
                    self.answers.push(match self.item(key) {
                        Some(_) => Answer::Here(key),
                        None => Answer::Gone(key),
                    });
                }
            }
            Err(error) => {
                // What was gathered meanwhile lies elsewhere.
                let stays = |key: &u64| matches!(self.block_of(*key), Some((_, block)) if block.lies_at(at));
                let (lost, moved): (Vec<_>, Vec<_>) = keys.into_iter().partition(stays);
                self.ask(moved);
                if !lost.is_empty() {
                    let items = lost.len();
                    tracing::warn!(%error, items, "cannot read back what was spilled; it is tried again");
                }
            }
        }
    }

    /// What still lives of a block becomes a block of its own.
    fn gather(&mut self, number: u64, bytes: &[u8]) {
        let Some(first) = self.numbers.get(&number).copied() else {
            return;
        };
        let block = &self.blocks[&first];
        let live: Vec<_> = items(bytes, block.count)
            .filter(|(key, _)| !block.released.contains(key))
            .collect();
        let expected = block.count as usize - block.released.len();
        if live.len() != expected {
            tracing::warn!(
                expected,
                found = live.len(),
                "a spilled block has lost items"
            );
            return;
        }
        let live_bytes = block.live_bytes();
        let gathered = Block::compose(&live);
        self.remove(first, live_bytes);
        if let Some(block) = gathered {
            self.insert(block);
        }
    }

    /// What was read back may go, oldest first.
    pub fn trim(&mut self) {
        self.read_back.trim();
    }

    /// Whether something is under way.
    #[cfg(test)]
    pub fn is_busy(&self) -> bool {
        let writes = self.writing > 0 || !self.to_write.is_empty() && self.rests_until.is_none();
        let reads = self.reading > 0 || !self.to_read.is_empty();
        writes || reads || self.gathering || !self.to_gather.is_empty()
    }

    /// How much room the files take.
    #[cfg(test)]
    pub fn file_bytes(&self) -> u64 {
        self.files.bytes()
    }

    /// What waits for a disk that works.
    pub fn unwritten_bytes(&self) -> usize {
        match self.rests_until {
            None => self.unwritten_bytes,
            Some(_) => 0,
        }
    }

    /// How much memory all of it takes.
    pub fn memory_bytes(&self) -> usize {
        let lines = self.blocks.len() * BLOCK_MEMORY_BYTES + self.released * RELEASED_MEMORY_BYTES;
        self.unwritten_bytes + self.read_back.bytes() + lines
    }
}

impl Lying {
    fn lies_at(&self, spot: Spot) -> bool {
        matches!(self.place, Place::File(at) if at == spot)
    }

    fn live_bytes(&self) -> usize {
        let live = u64::from(self.count).saturating_sub(self.released.len() as u64);
        (self.bytes as u64 * live).div_ceil(u64::from(self.count)) as usize
    }
}
