//! The page file: slots for immutable index pages of at most 8 KB, opaque here.
//!
//! ```text
//! file header, 4096 bytes              slot n at 4096 + n * 8224, 8224 bytes
//!  0  8  "TroikaPg"                     0  4  CRC of the slot's bytes from 4 on
//!  8  4  version = 1                    4  4  "TrPg"
//! 12  4  zero                           8  4  slot number
//! 16 16  node id                       12  4  payload length, at most 8192
//! 32  4  slot bytes = 8224             16  8  node tag
//! 36  4  CRC of bytes 0..36            24  8  zero
//!                                      32     payload
//! ```
//!
//! A page is never overwritten while a kept checkpoint names it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::checkpoint::write_whole;
use crate::disk::{Disk, DiskFile, write_at};
use crate::error::{REMEDY_PAGES, StoreError};
use crate::format::{VERSION, crc, u32_at, u64_at};
use crate::ids::{NodeId, PageSlot};

/// What a slot can hold: 512 entries of 16 bytes.
pub const PAGE_BYTES: usize = 8192;
const SLOT_HEADER_BYTES: usize = 32;
const SLOT_BYTES: u64 = (SLOT_HEADER_BYTES + PAGE_BYTES) as u64;
const FILE_HEADER_BYTES: u64 = 4096;
/// The file grows by this many slots.
const GROWTH_SLOTS: u64 = 128;
const NAME: &str = "pages";

pub(crate) struct PageFile {
    file: Arc<dyn DiskFile>,
    node: NodeId,
}

impl PageFile {
    /// Opens the page file or makes an empty one; `referenced` are the slots that a checkpoint
    /// names, so that an absent file is not taken for a new one.
    pub fn open(
        disk: &dyn Disk,
        node: NodeId,
        referenced: &Bitmap,
    ) -> Result<PageFile, StoreError> {
        if let Some(file) = PageFile::look(disk, node, referenced)? {
            return Ok(file);
        }
        write_whole(disk, NAME, &[&encode_file_header(node)])?;
        let file = disk.open(NAME).map_err(StoreError::io(NAME, "open"))?;
        Ok(PageFile { file, node })
    }

    /// The page file as it lies there; `None` when it is absent and need not be there.
    pub fn look(
        disk: &dyn Disk,
        node: NodeId,
        referenced: &Bitmap,
    ) -> Result<Option<PageFile>, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt {
            file: NAME.to_owned(),
            offset: 0,
            what: what.to_owned(),
            remedy: REMEDY_PAGES,
        };
        let names = disk.list("").map_err(StoreError::io("", "list"))?;
        if !names.iter().any(|name| name == NAME) {
            return match referenced.is_empty() {
                true => Ok(None),
                false => Err(corrupt("the page file is missing")),
            };
        }
        let file = disk.open(NAME).map_err(StoreError::io(NAME, "open"))?;
        let mut header = vec![0; FILE_HEADER_BYTES as usize];
        let read = file
            .read_at(&mut header, 0)
            .map_err(StoreError::io(NAME, "read"))?;
        if read < header.len()
            || header[..8] != *b"TroikaPg"
            || u32_at(&header, 36) != crc(&header[..36])
        {
            return Err(corrupt("the header of the page file is damaged"));
        }
        if u32_at(&header, 8) != u32::from(VERSION) || u64::from(u32_at(&header, 32)) != SLOT_BYTES
        {
            let what = format!("pages of version {}", u32_at(&header, 8));
            return Err(StoreError::Unsupported {
                file: NAME.to_owned(),
                offset: 8,
                what,
            });
        }
        if header[16..32] != node.0.to_le_bytes() {
            return Err(corrupt("the page file belongs to another node"));
        }
        Ok(Some(PageFile { file, node }))
    }

    pub const fn slot_bytes() -> u64 {
        SLOT_BYTES
    }

    pub const fn file_name() -> &'static str {
        NAME
    }

    /// How many slots the file has room for.
    pub fn slots(&self) -> Result<u32, StoreError> {
        let bytes = self.file.len().map_err(StoreError::io(NAME, "measure"))?;
        Ok(bytes.saturating_sub(FILE_HEADER_BYTES).div_ceil(SLOT_BYTES) as u32)
    }

    /// Not durable before [`PageFile::sync`].
    pub fn write(&self, slot: PageSlot, payload: &[u8]) -> Result<(), StoreError> {
        assert!(payload.len() <= PAGE_BYTES, "a page has at most 8192 bytes");
        let end = place(slot) + SLOT_BYTES;
        let length = self.file.len().map_err(StoreError::io(NAME, "measure"))?;
        if length < end {
            let grown = place(PageSlot(slot.0)) + GROWTH_SLOTS * SLOT_BYTES;
            self.file
                .allocate(grown)
                .map_err(StoreError::io(NAME, "allocate"))?;
        }
        let bytes = encode_slot(self.node, slot, payload);
        write_at(&*self.file, &bytes, place(slot)).map_err(StoreError::io(NAME, "write"))
    }

    /// Reserves room for so many slots, durably.
    pub fn make_room(&self, slots: u64) -> Result<(), StoreError> {
        let length = FILE_HEADER_BYTES + slots * SLOT_BYTES;
        self.file
            .allocate(length)
            .map_err(StoreError::io(NAME, "allocate"))?;
        self.sync()
    }

    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io(NAME, "sync"))
    }

    pub fn read(&self, slot: PageSlot) -> Result<Arc<[u8]>, StoreError> {
        let mut bytes = vec![0; SLOT_BYTES as usize];
        let read = self
            .file
            .read_at(&mut bytes, place(slot))
            .map_err(StoreError::io(NAME, "read"))?;
        bytes.truncate(read);
        let length = if read < SLOT_HEADER_BYTES {
            usize::MAX
        } else {
            u32_at(&bytes, 12) as usize
        };
        let sound = length <= PAGE_BYTES && read >= SLOT_HEADER_BYTES + length && {
            bytes.truncate(SLOT_HEADER_BYTES + length);
            u32_at(&bytes, 0) == crc(&bytes[4..])
                && bytes[4..8] == *b"TrPg"
                && u32_at(&bytes, 8) == slot.0
                && u64_at(&bytes, 16) == self.node.tag()
        };
        if !sound {
            return Err(StoreError::Corrupt {
                file: NAME.to_owned(),
                offset: place(slot),
                what: format!("page {} is not what was written", slot.0),
                remedy: REMEDY_PAGES,
            });
        }
        Ok(Arc::from(&bytes[SLOT_HEADER_BYTES..]))
    }
}

fn encode_file_header(node: NodeId) -> Vec<u8> {
    let mut b = b"TroikaPg".to_vec();
    b.extend_from_slice(&u32::from(VERSION).to_le_bytes());
    b.extend_from_slice(&[0; 4]);
    b.extend_from_slice(&node.0.to_le_bytes());
    b.extend_from_slice(&(SLOT_BYTES as u32).to_le_bytes());
    let sum = crc(&b);
    b.extend_from_slice(&sum.to_le_bytes());
    b.resize(FILE_HEADER_BYTES as usize, 0);
    b
}

fn place(slot: PageSlot) -> u64 {
    FILE_HEADER_BYTES + u64::from(slot.0) * SLOT_BYTES
}

/// Header and payload.
fn encode_slot(node: NodeId, slot: PageSlot, payload: &[u8]) -> Vec<u8> {
    let mut b = Vec::with_capacity(SLOT_HEADER_BYTES + payload.len());
    b.extend_from_slice(&[0; 4]);
    b.extend_from_slice(b"TrPg");
    b.extend_from_slice(&slot.0.to_le_bytes());
    b.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    b.extend_from_slice(&node.tag().to_le_bytes());
    b.extend_from_slice(&[0; 8]);
    b.extend_from_slice(payload);
    let sum = crc(&b[4..]);
    b[..4].copy_from_slice(&sum.to_le_bytes());
    b
}

/// A set of slots, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitmap(Vec<u8>);

impl Bitmap {
    pub fn from_bytes(bytes: &[u8]) -> Bitmap {
        Bitmap(bytes.to_vec())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn insert(&mut self, slot: PageSlot) {
        let byte = slot.0 as usize / 8;
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (slot.0 % 8);
    }

    pub fn contains(&self, slot: PageSlot) -> bool {
        self.0
            .get(slot.0 as usize / 8)
            .is_some_and(|byte| byte & 1 << (slot.0 % 8) != 0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = PageSlot> + '_ {
        (0..self.0.len() as u32 * 8)
            .map(PageSlot)
            .filter(|slot| self.contains(*slot))
    }
}

impl FromIterator<PageSlot> for Bitmap {
    fn from_iter<I: IntoIterator<Item = PageSlot>>(slots: I) -> Bitmap {
        let mut bitmap = Bitmap::default();
        slots.into_iter().for_each(|slot| bitmap.insert(slot));
        bitmap
    }
}

/// Which slots may be written, and what is on its way to them.
#[derive(Debug, Default)]
pub(crate) struct PageSlots {
    free: Vec<PageSlot>,
    /// Given back, but named by a checkpoint.
    held: Vec<PageSlot>,
    next: u32,
    /// The pages of the kept checkpoints, older first.
    kept: Vec<Bitmap>,
    /// The pages of the checkpoint being written.
    coming: Option<Bitmap>,
    /// Pages that the log thread has not written yet; several writes of one slot count.
    unwritten: HashMap<PageSlot, (Arc<[u8]>, u32)>,
}

impl PageSlots {
    /// After recovery: `kept` are the checkpoints' pages, older first; the last one is in force.
    pub fn recovered(slots: u32, kept: Vec<Bitmap>) -> PageSlots {
        let live = kept.last().cloned().unwrap_or_default();
        let mut pages = PageSlots {
            next: slots,
            kept,
            ..PageSlots::default()
        };
        for slot in (0..slots)
            .rev()
            .map(PageSlot)
            .filter(|slot| !live.contains(*slot))
        {
            pages.free(slot);
        }
        pages
    }

    pub fn take(&mut self, bytes: Arc<[u8]>) -> PageSlot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            PageSlot(self.next - 1)
        });
        let unwritten = self
            .unwritten
            .entry(slot)
            .or_insert_with(|| (bytes.clone(), 0));
        *unwritten = (bytes, unwritten.1 + 1);
        slot
    }

    pub fn written(&mut self, slot: PageSlot) {
        if let Some((_, writes)) = self.unwritten.get_mut(&slot) {
            *writes -= 1;
            if *writes == 0 {
                self.unwritten.remove(&slot);
            }
        }
    }

    pub fn unwritten(&self, slot: PageSlot) -> Option<&Arc<[u8]>> {
        self.unwritten.get(&slot).map(|(bytes, _)| bytes)
    }

    pub fn free(&mut self, slot: PageSlot) {
        if self.is_named(slot) {
            self.held.push(slot)
        } else {
            self.free.push(slot)
        }
    }

    fn is_named(&self, slot: PageSlot) -> bool {
        self.kept
            .iter()
            .chain(&self.coming)
            .any(|pages| pages.contains(slot))
    }

    pub fn checkpoint_begun(&mut self, pages: Bitmap) {
        self.coming = Some(pages);
    }

    /// `done`: the checkpoint is durable, and of those before it one is kept.
    pub fn checkpoint_done(&mut self) {
        self.kept.extend(self.coming.take());
        if self.kept.len() > 2 {
            self.kept.remove(0);
        }
        self.sort_out();
    }

    pub fn checkpoint_failed(&mut self) {
        self.coming = None;
        self.sort_out();
    }

    fn sort_out(&mut self) {
        for slot in std::mem::take(&mut self.held) {
            self.free(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimDisk;

    const NODE: NodeId = NodeId(77);

    fn page(byte: u8) -> Arc<[u8]> {
        Arc::from(vec![byte; 100])
    }

    #[test]
    fn every_flipped_bit_of_a_page_is_noticed() {
        let disk = SimDisk::new();
        let file = PageFile::open(&disk, NODE, &Bitmap::default()).unwrap();
        file.write(PageSlot(0), &page(1)).unwrap();
        file.write(PageSlot(1), &page(2)).unwrap();
        assert_eq!(*file.read(PageSlot(1)).unwrap(), *page(2));
        let start = place(PageSlot(1)) as usize;
        for bit in 0..(SLOT_HEADER_BYTES + 100) * 8 {
            disk.flip(NAME, start + bit / 8, (bit % 8) as u8);
            assert!(file.read(PageSlot(1)).is_err(), "bit {bit}");
            disk.flip(NAME, start + bit / 8, (bit % 8) as u8);
        }
        assert_eq!(*file.read(PageSlot(1)).unwrap(), *page(2));
    }

    #[test]
    fn a_slot_waits_until_no_kept_checkpoint_names_it() {
        let mut slots = PageSlots::default();
        let a = slots.take(page(1));
        slots.checkpoint_begun([a].into_iter().collect());
        slots.checkpoint_done();
        slots.free(a);
        let b = slots.take(page(2));
        assert_ne!(a, b);
        for _ in 0..2 {
            let c = slots.take(page(3));
            assert_ne!(a, c);
            slots.checkpoint_begun([b].into_iter().collect());
            slots.checkpoint_done();
        }
        assert_eq!(slots.take(page(4)), a);
    }

    #[test]
    fn a_page_is_in_memory_until_it_is_written() {
        let mut slots = PageSlots::default();
        let a = slots.take(page(1));
        slots.free(a);
        assert_eq!(slots.take(page(2)), a);
        slots.written(a);
        assert_eq!(slots.unwritten(a).map(|p| p[0]), Some(2));
        slots.written(a);
        assert_eq!(slots.unwritten(a), None);
    }
}
