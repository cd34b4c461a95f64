//! A disk that forgets at a kill what was not synced, so that SIGKILL does to a log what a power failure does.
//!
//! The operating system keeps what a killed process wrote; a machine that loses power does not. This disk holds
//! every write in the memory of the process, where reads find it, and hands it to the operating system only when it
//! is synced. Files that were made, renamed or removed are so below only when their directory is synced.
//!
//! It can also be small ([`Limits::bytes`]) and can lie ([`Limits::lies`]): a sync then does nothing, which every
//! honest check of durability must notice.
//!
//! Caveat: a file that is cut and grows again before it is synced shows what was cut. The store does not do that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard};

use store::{Disk, DiskFile, FileDisk};

/// What makes the disk worse than forgetful.
#[derive(Clone, Copy, Default, Debug)]
pub struct Limits {
    /// All files together are not larger than this.
    pub bytes: Option<u64>,
    /// A sync does nothing and says that it did.
    pub lies: bool,
}

/// The disk of one data directory.
pub struct ForgetfulDisk {
    below: FileDisk,
    limits: Limits,
    names: Mutex<Names>,
    room: Arc<Room>,
}

#[derive(Default)]
struct Names {
    /// Files that were used, by the name they have now.
    open: BTreeMap<String, Arc<ForgetfulFile>>,
    /// What no sync of their directory has covered.
    unsynced: Vec<Change>,
}

enum Change {
    Create(String, Arc<ForgetfulFile>),
    Rename(String, String),
    Remove(String),
}

/// How much all files together take.
#[derive(Default)]
struct Room {
    limit: Option<u64>,
    taken: Mutex<u64>,
}

struct ForgetfulFile {
    room: Arc<Room>,
    lies: bool,
    state: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    /// `None` until the directory that names it was synced.
    below: Option<Arc<dyn DiskFile>>,
    len: u64,
    allocated: u64,
    /// Synced, but not below because the file is not.
    synced: Vec<Write>,
    synced_len: u64,
    unsynced: Vec<Write>,
    /// What it counts for in the room.
    counted: u64,
}

#[derive(Clone)]
struct Write {
    offset: u64,
    bytes: Vec<u8>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

fn dir(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(dir, _)| dir)
}

impl ForgetfulDisk {
    pub fn new(root: impl Into<std::path::PathBuf>, limits: Limits) -> ForgetfulDisk {
        ForgetfulDisk {
            below: FileDisk::new(root),
            limits,
            names: Mutex::default(),
            room: Arc::new(Room {
                limit: limits.bytes,
                taken: Mutex::new(0),
            }),
        }
    }

    fn file(&self, contents: Contents) -> io::Result<Arc<ForgetfulFile>> {
        let file = ForgetfulFile {
            room: Arc::clone(&self.room),
            lies: self.limits.lies,
            state: Mutex::new(contents),
        };
        locked(&file.state).count(&self.room)?;
        Ok(Arc::new(file))
    }
}

impl Names {
    /// Whether the file of this name was removed or renamed away, or has come to be, as far as is not synced.
    fn pending(&self, name: &str) -> Option<bool> {
        self.unsynced.iter().rev().find_map(|change| match change {
            Change::Create(made, _) if made == name => Some(true),
            Change::Rename(_, to) if to == name => Some(true),
            Change::Rename(from, _) if from == name => Some(false),
            Change::Remove(gone) if gone == name => Some(false),
            Change::Create(..) | Change::Rename(..) | Change::Remove(_) => None,
        })
    }
}

impl Disk for ForgetfulDisk {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.below.create_dir(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut names = locked(&self.names);
        if let Some(file) = names.open.get(name) {
            return Ok(Arc::clone(file) as Arc<dyn DiskFile>);
        }
        if names.pending(name) == Some(false) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let below = self.below.open(name)?;
        let len = below.len()?;
        let file = self.file(Contents {
            below: Some(below),
            len,
            synced_len: len,
            ..Contents::default()
        })?;
        names.open.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut names = locked(&self.names);
        let there = match names.pending(name) {
            Some(there) => there,
            None => self.below.list(dir(name))?.iter().any(|file| {
                let folder = dir(name);
                folder.is_empty() && file == name || format!("{folder}/{file}") == name
            }),
        };
        if there {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = self.file(Contents::default())?;
        names
            .unsynced
            .push(Change::Create(name.to_owned(), Arc::clone(&file)));
        names.open.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        // It must be open here, so that what is unsynced in it goes with it.
        self.open(from)?;
        let mut names = locked(&self.names);
        let file = names.open.remove(from).ok_or(io::ErrorKind::NotFound)?;
        if let Some(replaced) = names.open.insert(to.to_owned(), file) {
            replaced.forget();
        }
        names
            .unsynced
            .push(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.open(name)?;
        let mut names = locked(&self.names);
        if let Some(file) = names.open.remove(name) {
            file.forget();
        }
        names.unsynced.push(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, folder: &str) -> io::Result<()> {
        if self.limits.lies {
            return Ok(());
        }
        let mut names = locked(&self.names);
        let (here, elsewhere): (Vec<_>, Vec<_>) = std::mem::take(&mut names.unsynced)
            .into_iter()
            .partition(|change| match change {
                Change::Create(name, _) | Change::Rename(name, _) | Change::Remove(name) => {
                    dir(name) == folder
                }
            });
        names.unsynced = elsewhere;
        for change in here {
            match change {
                Change::Create(name, file) => {
                    let below = self.below.create(&name)?;
                    locked(&file.state).comes_to_be(below)?;
                }
                Change::Rename(from, to) => self.below.rename(&from, &to)?,
                Change::Remove(name) => self.below.remove(&name)?,
            }
        }
        self.below.sync_dir(folder)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let names = locked(&self.names);
        let mut found: BTreeSet<String> = self.below.list(folder)?.into_iter().collect();
        for change in &names.unsynced {
            let mut put = |name: &str, there: bool| {
                if dir(name) == folder {
                    let last = name.rsplit('/').next().unwrap_or(name);
                    if there {
                        found.insert(last.to_owned());
                    } else {
                        found.remove(last);
                    }
                }
            };
            match change {
                Change::Create(name, _) => put(name, true),
                Change::Rename(from, to) => {
                    put(from, false);
                    put(to, true);
                }
                Change::Remove(name) => put(name, false),
            }
        }
        Ok(found.into_iter().collect())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        self.below.lock(name)
    }
}

impl Contents {
    /// Takes as much of the room as the file is large; fails when there is none.
    fn count(&mut self, room: &Room) -> io::Result<()> {
        let size = self.len.max(self.allocated);
        let mut taken = locked(&room.taken);
        let after = *taken - self.counted + size;
        if size > self.counted && room.limit.is_some_and(|limit| after > limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *taken = after;
        self.counted = size;
        Ok(())
    }

    /// Its directory names it: what was synced is handed down.
    fn comes_to_be(&mut self, below: Arc<dyn DiskFile>) -> io::Result<()> {
        for write in self.synced.drain(..) {
            below.write_vectored_at(&mut [IoSlice::new(&write.bytes)], write.offset)?;
        }
        if below.len()? < self.synced_len {
            below.set_len(self.synced_len)?;
        }
        below.sync_data()?;
        self.below = Some(below);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced_len = self.len;
        let Some(below) = &self.below else {
            self.synced.append(&mut self.unsynced);
            return Ok(());
        };
        for write in self.unsynced.drain(..) {
            below.write_vectored_at(&mut [IoSlice::new(&write.bytes)], write.offset)?;
        }
        if below.len()? != self.len {
            below.set_len(self.len)?;
        }
        below.sync_data()
    }
}

impl ForgetfulFile {
    /// It has no name any more: its room is free.
    fn forget(&self) {
        let mut state = locked(&self.state);
        *locked(&self.room.taken) -= std::mem::take(&mut state.counted);
    }
}

impl DiskFile for ForgetfulFile {
    fn len(&self) -> io::Result<u64> {
        Ok(locked(&self.state).len)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = locked(&self.state);
        let len = (state.len.saturating_sub(offset) as usize).min(buf.len());
        let buf = &mut buf[..len];
        buf.fill(0);
        if let Some(below) = &state.below {
            below.read_at(buf, offset)?;
        }
        for write in state.synced.iter().chain(&state.unsynced) {
            let start = write.offset.max(offset);
            let end = (write.offset + write.bytes.len() as u64).min(offset + len as u64);
            if start < end {
                let from =
                    &write.bytes[(start - write.offset) as usize..(end - write.offset) as usize];
                buf[(start - offset) as usize..(end - offset) as usize].copy_from_slice(from);
            }
        }
        Ok(len)
    }

    fn write_vectored_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let mut state = locked(&self.state);
        let before = state.len;
        state.len = state.len.max(offset + bytes.len() as u64);
        if let Err(full) = state.count(&self.room) {
            state.len = before;
            return Err(full);
        }
        state.unsynced.push(Write { offset, bytes });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.lies {
            return Ok(());
        }
        locked(&self.state).sync()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        let before = (state.len, state.allocated);
        state.allocated = state.allocated.max(len);
        state.len = state.len.max(len);
        let counted = state.count(&self.room);
        if counted.is_err() {
            (state.len, state.allocated) = before;
        }
        counted
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        let state = &mut *state;
        for writes in [&mut state.synced, &mut state.unsynced] {
            writes.retain_mut(|write| {
                write
                    .bytes
                    .truncate(len.saturating_sub(write.offset) as usize);
                !write.bytes.is_empty()
            });
        }
        state.len = len;
        state.allocated = state.allocated.min(len);
        state.count(&self.room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("troika-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a temporary folder");
            Folder(path)
        }

        fn disk(&self, limits: Limits) -> ForgetfulDisk {
            ForgetfulDisk::new(&self.0, limits)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn write(file: &Arc<dyn DiskFile>, text: &str, offset: u64) {
        file.write_vectored_at(&mut [IoSlice::new(text.as_bytes())], offset)
            .expect("there is room");
    }

    fn read(file: &Arc<dyn DiskFile>) -> String {
        let mut bytes = vec![0; file.len().expect("a length") as usize];
        let read = file.read_at(&mut bytes, 0).expect("it reads");
        String::from_utf8_lossy(&bytes[..read]).replace('\0', ".")
    }

    #[test]
    fn what_was_not_synced_is_gone_and_what_was_is_not() {
        let folder = Folder::new("forgets");
        let disk = folder.disk(Limits::default());
        let file = disk.create("log").expect("a new file");
        write(&file, "one", 0);
        file.sync_data().expect("synced");
        assert_eq!(read(&file), "one");
        assert!(folder.disk(Limits::default()).open("log").is_err());
        disk.sync_dir("").expect("synced");
        write(&file, "two", 3);
        assert_eq!(read(&file), "onetwo");
        let after = folder.disk(Limits::default());
        assert_eq!(read(&after.open("log").expect("a file")), "one");
        file.sync_data().expect("synced");
        let after = folder.disk(Limits::default());
        assert_eq!(read(&after.open("log").expect("a file")), "onetwo");
    }

    #[test]
    fn a_rename_counts_when_its_directory_is_synced() {
        let folder = Folder::new("renames");
        let disk = folder.disk(Limits::default());
        for (name, text) in [("old", "old"), ("new", "newer")] {
            let file = disk.create(name).expect("a new file");
            write(&file, text, 0);
            file.sync_data().expect("synced");
        }
        disk.sync_dir("").expect("synced");
        disk.rename("new", "old").expect("renamed");
        assert_eq!(disk.list("").expect("a list"), ["old"]);
        assert_eq!(read(&disk.open("old").expect("a file")), "newer");
        let after = folder.disk(Limits::default());
        assert_eq!(after.list("").expect("a list"), ["new", "old"]);
        assert_eq!(read(&after.open("old").expect("a file")), "old");
        disk.sync_dir("").expect("synced");
        let after = folder.disk(Limits::default());
        assert_eq!(after.list("").expect("a list"), ["old"]);
        assert_eq!(read(&after.open("old").expect("a file")), "newer");
        disk.remove("old").expect("removed");
        assert!(disk.open("old").is_err() && disk.create("old").is_ok());
    }

    #[test]
    fn a_small_disk_is_full_until_something_goes() {
        let folder = Folder::new("small");
        let limits = Limits {
            bytes: Some(100),
            lies: false,
        };
        let disk = folder.disk(limits);
        let file = disk.create("a").expect("a new file");
        file.allocate(80).expect("there is room");
        let other = disk.create("b").expect("a new file");
        let full = other.allocate(30).expect_err("no room");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        write(&other, "x", 19);
        assert_eq!(read(&other), "...................x");
        disk.remove("a").expect("removed");
        other.allocate(90).expect("there is room again");
    }

    #[test]
    fn a_liar_keeps_nothing() {
        let folder = Folder::new("lies");
        let limits = Limits {
            bytes: None,
            lies: true,
        };
        let disk = folder.disk(limits);
        let file = disk.create("log").expect("a new file");
        write(&file, "one", 0);
        file.sync_data().expect("it says so");
        disk.sync_dir("").expect("it says so");
        assert!(folder.disk(Limits::default()).open("log").is_err());
    }
}
