//! The seam between the log and the world: every byte that the crate reads or writes passes here.
//!
//! Names are relative to the data directory, with `/` between a directory and a file. The twin of
//! [`FileDisk`] is [`crate::SimDisk`].

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A directory of files with explicit durability.
pub trait Disk: Send + Sync {
    /// Makes the directory `name` (`""` is the data directory) unless it is there.
    fn create_dir(&self, name: &str) -> io::Result<()>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file that must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Replaces `to` when it exists.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// The names of the files in `dir`, without the directory, sorted.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Holds `name` until the guard drops; `WouldBlock` when another process does.
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>>;
}

/// An open file; all positions are absolute.
pub trait DiskFile: Send + Sync {
    /// The length in bytes, preallocated bytes included.
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buf` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bufs` in order from `offset` on. The slices are used up.
    fn write_vectored_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes the contents, and the length that reading them needs, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves zeroed room, so that writes below `len` cannot lack space.
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// The operating system's files below one directory.
pub struct FileDisk {
    root: PathBuf,
}

impl FileDisk {
    /// The directory itself is made when the store is opened.
    pub fn new(root: impl Into<PathBuf>) -> FileDisk {
        FileDisk { root: root.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.root.clone()
        } else {
            self.root.join(name)
        }
    }
}

impl Disk for FileDisk {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.path(name))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(name))?;
        Ok(Arc::new(OsFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(name))?;
        Ok(Arc::new(OsFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(dir))? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(name))?;
        try_lock(file)
    }
}

fn try_lock(file: File) -> io::Result<Box<dyn Send>> {
    match file.try_lock() {
        Ok(()) => Ok(Box::new(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The same files, of which nothing can be changed: for looking at a directory that may be damaged,
/// or lie on a medium that takes no writes.
pub struct ReadOnlyDisk(FileDisk);

impl ReadOnlyDisk {
    pub fn new(root: impl Into<PathBuf>) -> ReadOnlyDisk {
        ReadOnlyDisk(FileDisk::new(root))
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnlyDisk {
    fn create_dir(&self, _name: &str) -> io::Result<()> {
        read_only()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile(File::open(self.0.path(name))?)))
    }

    fn create(&self, _name: &str) -> io::Result<Arc<dyn DiskFile>> {
        read_only()
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _name: &str) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        read_only()
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        try_lock(File::open(self.0.path(name))?)
    }
}

struct OsFile(File);

/// Linux takes at most 1024 slices in one `pwritev`.
const SLICES_MAX: usize = 1024;

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_vectored_at(&self, bufs: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut rest = bufs;
        let mut offset = offset;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let group = &rest[..rest.len().min(SLICES_MAX)];
            match rustix::io::pwritev(&self.0, group, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    offset += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // A file system without fallocate still works; it only reports a full disk later.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                if self.0.metadata()?.len() < len {
                    self.0.set_len(len)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// Writes one buffer whole.
pub(crate) fn write_at(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_vectored_at(&mut [IoSlice::new(bytes)], offset)
}

/// Pieces of a file that is removed; a file system that gives back 64 MB at once lets everybody
/// wait for some 40 ms meanwhile.
const PIECES: u64 = 32;
/// The least piece.
const PIECE_BYTES_MIN: u64 = 4096;
/// After a piece as large as this others come to their turn.
const PAUSED_BYTES: u64 = 1 << 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Removes a large file from its end, piece by piece, so that no sync waits long for it. Whoever
/// finds what a crash has left of it must not need it.
pub(crate) fn remove_in_pieces(disk: &dyn Disk, name: &str) -> io::Result<()> {
    let file = disk.open(name)?;
    let mut len = file.len()?;
    let piece = (len / PIECES).max(PIECE_BYTES_MIN);
    while len > piece {
        len -= piece;
        file.set_len(len)?;
        if piece >= PAUSED_BYTES {
            thread::sleep(PAUSE);
        }
    }
    drop(file);
    disk.remove(name)
}

/// Reads a whole file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.len()? as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}
