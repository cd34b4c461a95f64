//! The simulated twin of the disk: deterministic, forgetful on purpose.
//!
//! It keeps for every 4 KB page what is durable beside what was written, and the directory
//! changes that no `sync_dir` has covered. [`SimDisk::crash`] returns the disk that a machine (or
//! only the process) would find afterwards. Every change counts as one step, and the power can be
//! cut at any step.
//!
//! Caveats: directory changes of one disk are lost in order from the end (as a journal does), and
//! a page holds what one of its writes left, never a mixture of three.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile};

const PAGE_BYTES: usize = 4096;

/// What a crash takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process died, the machine lives: nothing that was written.
    Nothing,
    /// Everything that was not synced.
    Everything,
    /// Some unsynced pages whole, some in part, some directory changes, chosen by the seed.
    Some(u64),
    /// The unsynced pages whose bits are set, counted over all files in the order of their making.
    Pages(u64),
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    files: Vec<SimFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced: Vec<Change>,
    steps: u64,
    syncs: u64,
    cut_at_step: Option<u64>,
    full_from_step: Option<u64>,
    off: bool,
    fail_sync: Option<u64>,
    capacity_bytes: Option<u64>,
    lies: bool,
    locked: bool,
}

#[derive(Clone, Default)]
struct SimFile {
    data: Vec<u8>,
    durable_len: usize,
    /// The durable content of pages written since the last sync.
    dirty: BTreeMap<usize, Vec<u8>>,
    /// The durable content of pages whose sync failed: the kernel calls them clean, and no later
    /// sync writes them unless they are written again.
    lost: BTreeMap<usize, Vec<u8>>,
    allocated: u64,
}

#[derive(Clone)]
enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Change::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Change::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Remove(name) => {
                names.remove(name);
            }
        }
    }

    fn dir(&self) -> &str {
        match self {
            Change::Create(name, _) | Change::Rename(name, _) | Change::Remove(name) => dir(name),
        }
    }
}

fn dir(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// A small deterministic generator (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

impl SimDisk {
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The disk as it is found after a crash, powered, unlocked, without planned faults.
    pub fn crash(&self, loss: Loss) -> SimDisk {
        let mut state = self.lock_state().found();
        match loss {
            Loss::Nothing => {}
            Loss::Everything => {
                state.names = state.durable_names.clone();
                state.unsynced.clear();
                state
                    .files
                    .iter_mut()
                    .for_each(|file| file.lose(&mut |_| Fate::Lost));
            }
            Loss::Some(seed) => {
                let mut dice = Dice(seed);
                let kept = dice.below(state.unsynced.len() as u64 + 1) as usize;
                for change in &state.unsynced[..kept] {
                    change.apply(&mut state.durable_names);
                }
                state.names = state.durable_names.clone();
                state.unsynced.clear();
                for file in &mut state.files {
                    file.lose(&mut |len| match dice.below(8) {
                        0..4 => Fate::Kept,
                        4..7 => Fate::Lost,
                        _ => Fate::Torn(dice.below(len as u64 + 1) as usize),
                    });
                }
            }
            Loss::Pages(lost) => {
                let mut page = 0;
                for file in &mut state.files {
                    file.lose(&mut |len| match len {
                        // The length stays.
                        0 => Fate::Kept,
                        _ => {
                            page += 1;
                            match lost >> (page - 1) & 1 {
                                0 => Fate::Kept,
                                _ => Fate::Lost,
                            }
                        }
                    });
                }
            }
        }
        state.cut_at_step = None;
        state.full_from_step = None;
        state.off = false;
        state.fail_sync = None;
        state.lies = false;
        state.locked = false;
        SimDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// How many changes were made so far.
    pub fn steps(&self) -> u64 {
        self.lock_state().steps
    }

    /// How many syncs of file contents were asked for so far.
    pub fn syncs(&self) -> u64 {
        self.lock_state().syncs
    }

    /// The step with this number (counted from 1 over the disk's life) and all after it fail; a
    /// write at that step is torn.
    pub fn cut_power_at(&self, step: u64) {
        self.lock_state().cut_at_step = Some(step);
    }

    /// From the step with this number on no file can grow.
    pub fn fill_up_at(&self, step: u64) {
        self.lock_state().full_from_step = Some(step);
    }

    /// How many pages were written and not synced.
    pub fn unsynced_pages(&self) -> usize {
        self.lock_state()
            .files
            .iter()
            .map(|file| file.dirty.len())
            .sum()
    }

    /// The sync with this number fails and loses what it should have written.
    pub fn fail_sync_at(&self, sync: u64) {
        self.lock_state().fail_sync = Some(sync);
    }

    /// Room for all files together; `None` is endless.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock_state().capacity_bytes = bytes;
    }

    /// The bytes that all files take.
    pub fn used_bytes(&self) -> u64 {
        self.lock_state().used()
    }

    /// Makes syncs succeed without effect: the canary of every durability test.
    pub fn lie_about_syncs(&self) {
        self.lock_state().lies = true;
    }

    /// Inverts one bit, durably.
    pub fn flip(&self, name: &str, byte: usize, bit: u8) {
        let mut state = self.lock_state();
        let file = state.names[name];
        state.files[file].data[byte] ^= 1 << bit;
    }

    /// The contents of a file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock_state();
        let file = *state.names.get(name)?;
        Some(state.files[file].data.clone())
    }

    /// Replaces the contents of a file, durably, or makes it.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock_state();
        let file = SimFile {
            data: bytes.to_vec(),
            durable_len: bytes.len(),
            allocated: bytes.len() as u64,
            ..SimFile::default()
        };
        state.files.push(file);
        let number = state.files.len() - 1;
        state.names.insert(name.to_owned(), number);
        state.durable_names.insert(name.to_owned(), number);
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.lock_state().names.keys().cloned().collect()
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no simulated operation panics")
    }
}

enum Fate {
    Kept,
    Lost,
    /// Only this many bytes of the page arrived.
    Torn(usize),
}

impl SimFile {
    fn lose(&mut self, fate: &mut dyn FnMut(usize) -> Fate) {
        let mut pages = std::mem::take(&mut self.dirty);
        let lost = std::mem::take(&mut self.lost);
        for (page, old) in &lost {
            self.restore(*page, old, 0);
        }
        if self.data.len() != self.durable_len && matches!(fate(0), Fate::Lost) {
            self.data.resize(self.durable_len, 0);
        }
        for (page, old) in std::mem::take(&mut pages) {
            match fate(PAGE_BYTES) {
                Fate::Kept => {}
                Fate::Lost => self.restore(page, &old, 0),
                Fate::Torn(bytes) => self.restore(page, &old, bytes),
            }
        }
        self.durable_len = self.data.len();
    }

    /// Puts the durable content of a page back, save its first `kept` bytes.
    fn restore(&mut self, page: usize, old: &[u8], kept: usize) {
        let start = page * PAGE_BYTES;
        let end = (start + PAGE_BYTES).min(self.data.len());
        for at in (start + kept).min(end)..end {
            self.data[at] = old.get(at - start).copied().unwrap_or(0);
        }
    }

    /// Remembers what is durable of the pages in a range before they change.
    fn soil(&mut self, start: usize, end: usize) {
        for page in start / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            if self.dirty.contains_key(&page) {
                continue;
            }
            let old = self.lost.remove(&page).unwrap_or_else(|| {
                let from = (page * PAGE_BYTES).min(self.data.len());
                let to = (from + PAGE_BYTES).min(self.data.len());
                self.data[from..to].to_vec()
            });
            self.dirty.insert(page, old);
        }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.soil(offset, end);
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[offset..end].copy_from_slice(bytes);
        self.allocated = self.allocated.max(end as u64);
    }
}

impl State {
    /// A copy without the contents of files that no name leads to.
    fn found(&self) -> State {
        let mut named = vec![false; self.files.len()];
        let coming = self.unsynced.iter().filter_map(|change| match change {
            Change::Create(_, file) => Some(file),
            Change::Rename(..) | Change::Remove(_) => None,
        });
        let all = self.names.values().chain(self.durable_names.values());
        all.chain(coming).for_each(|file| named[*file] = true);
        let files = self
            .files
            .iter()
            .zip(named)
            .map(|(file, named)| match named {
                true => file.clone(),
                false => SimFile::default(),
            });
        State {
            files: files.collect(),
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            unsynced: self.unsynced.clone(),
            ..*self
        }
    }

    fn used(&self) -> u64 {
        let mut seen = vec![false; self.files.len()];
        self.names.values().for_each(|file| seen[*file] = true);
        self.files
            .iter()
            .zip(seen)
            .filter(|(_, seen)| *seen)
            .map(|(file, _)| file.allocated)
            .sum()
    }

    /// Counts a step; an error means that it does not happen.
    fn step(&mut self) -> io::Result<()> {
        if self.off {
            return Err(power_is_off());
        }
        self.steps += 1;
        if self.cut_at_step == Some(self.steps) {
            self.off = true;
            return Err(power_is_off());
        }
        Ok(())
    }

    fn room(&self, file: usize, len: u64) -> io::Result<()> {
        let growth = len.saturating_sub(self.files[file].allocated);
        if growth > 0
            && self
                .full_from_step
                .is_some_and(|step| self.steps + 1 >= step)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match self.capacity_bytes {
            Some(capacity) if growth > 0 && self.used() + growth > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, name.to_owned())
}

impl Disk for SimDisk {
    fn create_dir(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = *self
            .lock_state()
            .names
            .get(name)
            .ok_or_else(|| not_found(name))?;
        Ok(Arc::new(SimHandle {
            disk: self.clone(),
            file,
        }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.step()?;
        state.files.push(SimFile::default());
        let file = state.files.len() - 1;
        state.change(Change::Create(name.to_owned(), file));
        Ok(Arc::new(SimHandle {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        if !state.names.contains_key(from) {
            return Err(not_found(from));
        }
        state.step()?;
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        if !state.names.contains_key(name) {
            return Err(not_found(name));
        }
        state.step()?;
        state.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock_state();
        state.step()?;
        if state.lies {
            return Ok(());
        }
        let (here, elsewhere): (Vec<_>, Vec<_>) = std::mem::take(&mut state.unsynced)
            .into_iter()
            .partition(|c| c.dir() == name);
        state.unsynced = elsewhere;
        here.iter()
            .for_each(|change| change.apply(&mut state.durable_names));
        Ok(())
    }

    fn list(&self, name: &str) -> io::Result<Vec<String>> {
        let state = self.lock_state();
        let inside = state.names.keys().filter(|file| dir(file) == name);
        Ok(inside
            .map(|file| file.rsplit('/').next().unwrap_or(file).to_owned())
            .collect())
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Send>> {
        let mut state = self.lock_state();
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Box::new(SimLock(self.clone())))
    }
}

struct SimLock(SimDisk);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.lock_state().locked = false;
    }
}

struct SimHandle {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimHandle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock_state().files[self.file].data.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock_state();
        let data = &state.files[self.file].data;
        let from = (offset as usize).min(data.len());
        let count = buf.len().min(data.len() - from);
        buf[..count].copy_from_slice(&data[from..from + count]);
        Ok(count)
    }

    fn write_vectored_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        state.room(self.file, offset + bytes.len() as u64)?;
        let was_on = !state.off;
        if let Err(error) = state.step() {
            if was_on {
                let arrived = Dice(state.steps).below(bytes.len() as u64 + 1) as usize;
                state.files[self.file].write(&bytes[..arrived], offset as usize);
            }
            return Err(error);
        }
        state.files[self.file].write(&bytes, offset as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.step()?;
        state.syncs += 1;
        let fails = state.fail_sync == Some(state.syncs);
        let lies = state.lies;
        let file = &mut state.files[self.file];
        if fails {
            let dirty = std::mem::take(&mut file.dirty);
            file.lost.extend(dirty);
            return Err(io::Error::other("the simulated sync failed"));
        }
        if !lies {
            file.dirty.clear();
            file.durable_len = file.data.len();
        }
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.room(self.file, len)?;
        state.step()?;
        let file = &mut state.files[self.file];
        file.allocated = file.allocated.max(len);
        if (file.data.len() as u64) < len {
            file.data.resize(len as usize, 0);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.step()?;
        let file = &mut state.files[self.file];
        let (shorter, longer) = (file.data.len().min(len as usize), file.data.len());
        file.soil(shorter, longer);
        file.data.resize(len as usize, 0);
        file.allocated = len;
        Ok(())
    }
}
