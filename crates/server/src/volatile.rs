//! The records of the volatile shard: in memory, and on the disk when they are many, until nobody holds them.
//!
//! ```text
//! newest                                                                         oldest
//! | recent: a quarter of the budget | in blocks on the disk | kept: the rest of the budget |
//! ```
//!
//! A frame is *recent* until a quarter of the budget was published behind it. A consumer that keeps up has taken its
//! messages by then and never meets the disk, whatever waits in other queues. A frame that still holds something then
//! is *kept* if there is room, and otherwise goes to the disk: the oldest stay in memory, for they are read next. What
//! went is read back by message, and at the end of the process it is gone.
//!
//! Pages of the index go the same way (`keep_page`), in blocks of their own.
//!
//! Invariants:
//! - frames grow old in the order of their index, so that the blocks divide the messages by ranges;
//! - a record that was read back stays until the step that it was read for is over;
//! - the thread that calls this never waits for the disk.
//!
//! Caveats: what waits to be written may take `limits.unsynced_bytes` beside the budget, and while the disk fails only
//! the memory alarm bounds it; a message larger than the budget is in memory when it is published and when it is read
//! back; a message that several volatile queues hold costs some 30 bytes in `broker` wherever its record lies.

mod block;
mod files;
mod frame;
mod read_back;
mod spill;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use broker::event::{Frame, PageSlot};
use broker::id::{Index, MessageRef, Millis, ShardId};

use block::Block;
use frame::{Age, Body};
use spill::{Answer, Spill};
use worker::Ring;

/// Records that go to the disk go in pieces of at least this.
const BLOCK_BYTES_MIN: usize = 256 << 10;
/// Index pages that go to the disk together.
const BLOCK_PAGES_MAX: usize = 32;
/// A file of the spill; small enough for the room to come back soon, large enough for few files.
const FILE_BYTES: u64 = 16 << 20;
/// What was read back may take this part of the budget once more.
const READ_BACK_PART: usize = 8;
/// Index pages in memory may take this part of the budget once more.
const PAGES_PART: usize = 8;
const PAGE_BYTES: usize = 8 << 10;
const PAGES_MIN: usize = 2;

/// How much of what is where.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Records in memory.
    pub budget_bytes: usize,
    pub block_bytes_min: usize,
    pub file_bytes: u64,
}

impl Sizes {
    pub fn new(budget_bytes: usize) -> Sizes {
        Sizes {
            budget_bytes,
            block_bytes_min: BLOCK_BYTES_MIN.min(budget_bytes / 8),
            file_bytes: FILE_BYTES,
        }
    }

    fn recent_bytes_max(self) -> usize {
        self.budget_bytes / 4
    }

    fn kept_bytes_max(self) -> usize {
        self.budget_bytes - self.recent_bytes_max()
    }
}

/// What has come from the disk.
#[derive(Debug)]
pub(crate) enum Came {
    Record(MessageRef),
    RecordGone(MessageRef),
    Page(PageSlot, Vec<u8>),
    PageGone(PageSlot),
}

/// What the volatile shard has of messages that somebody holds.
pub(crate) struct VolatileBodies {
    sizes: Sizes,
    frames: HashMap<Index, Body>,
    /// With what each frame took when it came, whatever is left of it.
    recent: VecDeque<(Index, usize)>,
    recent_bytes: usize,
    /// Of the frames that are kept.
    kept_bytes: usize,
    leaving: Vec<Index>,
    leaving_bytes: usize,
    /// Of all frames.
    bytes: usize,
    spill: Spill,
    next_page: u64,
    /// Under the keys of the pages; on their way into a block.
    pages: Vec<(u64, Vec<u8>)>,
}

impl VolatileBodies {
    /// Without a disk: everything stays in memory.
    pub fn in_memory() -> VolatileBodies {
        VolatileBodies::new(PathBuf::new(), Sizes::new(usize::MAX), Arc::new(|| {}))
    }

    /// How many index pages may stay in memory, if there is a disk for the others.
    pub fn pages_max(&self) -> Option<usize> {
        let budget_bytes = self.sizes.budget_bytes;
        let pages_max = (budget_bytes / PAGES_PART / PAGE_BYTES).max(PAGES_MIN);
        (budget_bytes < usize::MAX).then_some(pages_max)
    }

    /// `folder` is used, and made, when something is spilled; what an earlier process has left there is removed.
    /// `ring` is called from other threads when [`VolatileBodies::poll`] has something to tell.
    pub fn new(folder: PathBuf, sizes: Sizes, ring: Ring) -> VolatileBodies {
        let read_back_bytes_max = sizes.budget_bytes / READ_BACK_PART;
        VolatileBodies {
            sizes,
            frames: HashMap::new(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            kept_bytes: 0,
            leaving: Vec::new(),
            leaving_bytes: 0,
            bytes: 0,
            spill: Spill::new(folder, sizes.file_bytes, read_back_bytes_max, ring),
            next_page: 0,
            pages: Vec::new(),
        }
    }

    pub fn insert(&mut self, frame: Frame) {
        if frame.heads.is_empty() {
            return;
        }
        let index = frame.index;
        let body = Body::new(frame);
        let bytes = body.memory_bytes();
        self.frames.insert(index, body);
        self.bytes += bytes;
        self.recent_bytes += bytes;
        self.recent.push_back((index, bytes));
        // The newest one stays, however large.
        while self.recent_bytes > self.sizes.recent_bytes_max()
            && self.recent.len() > 1
            && let Some((index, bytes)) = self.recent.pop_front()
        {
            self.recent_bytes -= bytes;
            self.grow_old(index);
        }
    }

    fn grow_old(&mut self, index: Index) {
        let Some(body) = self.frames.get_mut(&index) else {
            return;
        };
        let bytes = body.memory_bytes();
        if self.kept_bytes + bytes <= self.sizes.kept_bytes_max() {
            body.settle_down();
            let kept_bytes = body.memory_bytes();
            self.bytes -= bytes - kept_bytes;
            self.kept_bytes += kept_bytes;
            return;
        }
        body.age = Age::Leaving;
        self.leaving.push(index);
        self.leaving_bytes += bytes;
        if self.leaving_bytes >= self.sizes.block_bytes_min {
            self.spill_leaving();
        }
    }

    /// What is left of the leaving frames becomes a block.
    fn spill_leaving(&mut self) {
        let mut gone = Vec::new();
        for index in self.leaving.drain(..) {
            if let Some(body) = self.frames.remove(&index) {
                self.bytes -= body.memory_bytes();
                gone.push((index, body));
            }
        }
        self.leaving_bytes = 0;
        let items: Vec<(u64, &[u8])> = gone
            .iter()
            .flat_map(|(index, body)| {
                let name = |slot| MessageRef::new(ShardId::VOLATILE, *index, slot).as_u64();
                body.records()
                    .map(move |(slot, record)| (name(slot), record))
            })
            .collect();
        if let Some(block) = Block::compose(&items) {
            self.spill.insert(block);
        }
    }

    pub fn record(&self, message: MessageRef) -> Option<&[u8]> {
        match self.frames.get(&message.index()) {
            Some(body) => body.record(message.slot()),
            None => self.spill.item(message.as_u64()),
        }
    }

    /// Nobody holds this message any more. To be told once of each.
    pub fn release(&mut self, message: MessageRef) {
        let Some(body) = self.frames.get_mut(&message.index()) else {
            return self.spill.release(message.as_u64());
        };
        let before = body.memory_bytes();
        body.release(message.slot());
        let (age, after) = (body.age, body.memory_bytes());
        let freed = if body.is_empty() {
            self.frames.remove(&message.index());
            before
        } else {
            before - after
        };
        self.bytes -= freed;
        match age {
            // The window is as wide as what was published in it.
            Age::Recent => {}
            Age::Kept => self.kept_bytes -= freed,
            Age::Leaving => self.leaving_bytes -= freed,
        }
    }

    /// Takes a page of the index; [`VolatileBodies::pages_kept`] follows before anything else.
    pub fn keep_page(&mut self, page: Vec<u8>) -> PageSlot {
        self.next_page += 1;
        let slot = PageSlot::volatile(self.next_page);
        self.pages.push((slot.0, page));
        slot
    }

    /// No more pages come for now.
    pub fn pages_kept(&mut self) {
        for pages in std::mem::take(&mut self.pages).chunks(BLOCK_PAGES_MAX) {
            let items: Vec<_> = pages.iter().map(|(key, page)| (*key, &**page)).collect();
            if let Some(block) = Block::compose(&items) {
                self.spill.insert(block);
            }
        }
    }

    pub fn free_page(&mut self, slot: PageSlot) {
        self.spill.release(slot.0);
    }

    /// Asks for records and pages that are not in memory; [`VolatileBodies::poll`] tells what came.
    pub fn ask(&mut self, messages: &[MessageRef]) {
        let mut unread = Vec::with_capacity(messages.len());
        for message in messages {
            let key = message.as_u64();
            match self.frames.get(&message.index()) {
                Some(_) => self.spill.ask_again(key),
                None => unread.push(key),
            }
        }
        self.spill.ask(unread);
    }

    pub fn ask_page(&mut self, slot: PageSlot) {
        self.spill.ask([slot.0]);
    }

    pub fn poll(&mut self) -> Vec<Came> {
        let mut came = Vec::new();
        for answer in self.spill.poll() {
            let (Answer::Here(key) | Answer::Gone(key)) = answer;
            let Some(message) = MessageRef::from_u64(key) else {
                let slot = PageSlot(key);
                came.push(match self.spill.item(key) {
                    Some(page) => Came::Page(slot, page.to_vec()),
                    None => Came::PageGone(slot),
                });
                continue;
            };
            came.push(match self.record(message) {
                Some(_) => Came::Record(message),
                None => Came::RecordGone(message),
            });
        }
        came
    }

    /// Whether there is something to tell that nobody rings for.
    pub fn has_answers(&self) -> bool {
        self.spill.has_answers()
    }

    /// Gives the disk what it can take. To be called in each step.
    pub fn work(&mut self, now: Millis) {
        self.spill.work(now);
    }

    /// When [`VolatileBodies::work`] wants to be called at the latest.
    pub fn deadline(&self) -> Option<Millis> {
        self.spill.deadline()
    }

    /// A step is over: what was read back may go when it is too much.
    pub fn trim(&mut self) {
        self.spill.trim();
    }

    /// How much of it waits to be written; nothing while the disk fails, for then it may stay.
    pub fn unwritten_bytes(&self) -> usize {
        self.spill.unwritten_bytes()
    }

    /// How much memory all of it takes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.spill.memory_bytes()
    }
}
