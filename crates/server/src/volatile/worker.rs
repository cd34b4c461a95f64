//! The two threads that touch the spill's files: one writes and removes, one reads, so that no reader waits behind
//! the writes. Each does one job after the other and rings when it has done one.
//!
//! The channels have no bound of their own: who gives out the jobs counts those that are under way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::block::{find, table_bytes};
use super::files::{FileId, Spot};

/// Wanted items with no more than this between them are read together.
const GAP_BYTES_MAX: usize = 16 << 10;

pub(crate) type Ring = Arc<dyn Fn() + Send + Sync>;

pub(super) enum Job {
    /// Removes what an earlier process has left.
    Clear,
    Write {
        block: u64,
        at: Spot,
        bytes: Arc<Vec<u8>>,
    },
    Remove(FileId),
    /// Reads some items of a block.
    Items {
        at: Spot,
        count: u32,
        bytes: usize,
        keys: Vec<u64>,
    },
    /// Reads a whole block.
    Whole {
        block: u64,
        at: Spot,
        bytes: usize,
    },
}

pub(super) enum Done {
    Written {
        block: u64,
        at: Spot,
        result: io::Result<()>,
    },
    Items {
        at: Spot,
        keys: Vec<u64>,
        /// Those that were found.
        result: io::Result<Vec<(u64, Box<[u8]>)>>,
    },
    Whole {
        block: u64,
        result: io::Result<Vec<u8>>,
    },
}

/// The threads; they end, and the folder goes, when this is dropped.
pub(super) struct Workers {
    folder: PathBuf,
    writer: Option<Sender<Job>>,
    reader: Option<Sender<Job>>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub fn start(folder: PathBuf, ring: &Ring) -> io::Result<Workers> {
        let (tell, done) = channel();
        let mut workers = Workers {
            folder,
            writer: None,
            reader: None,
            done,
            threads: Vec::new(),
        };
        for (name, slot) in [
            ("spill-write", &mut workers.writer),
            ("spill-read", &mut workers.reader),
        ] {
            let (give, jobs) = channel();
            let desk = Desk {
                folder: workers.folder.clone(),
                open: None,
            };
            let (tell, ring) = (tell.clone(), Arc::clone(ring));
            let thread = Builder::new().name(name.into());
            let thread = thread.spawn(move || work(desk, &jobs, &tell, &ring))?;
            workers.threads.push(thread);
            *slot = Some(give);
        }
        Ok(workers)
    }

    pub fn give(&self, job: Job) {
        let to = match &job {
            Job::Clear | Job::Write { .. } | Job::Remove(_) => &self.writer,
            Job::Items { .. } | Job::Whole { .. } => &self.reader,
        };
        let to = to.as_ref().expect("open until this is dropped");
        to.send(job)
            .expect("a worker works until nothing more can come");
    }

    pub fn take(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.writer = None;
        self.reader = None;
        for thread in self.threads.drain(..) {
            // One that has panicked has said so.
            let _ = thread.join();
        }
        clear(&self.folder);
    }
}

/// Removes the folder and what is in it. What cannot be removed takes room and harms nobody else: files are made
/// anew before they are written.
fn clear(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(%error, folder = %folder.display(), "cannot remove what was spilled")
        }
    }
}

fn work(mut desk: Desk, jobs: &Receiver<Job>, tell: &Sender<Done>, ring: &Ring) {
    while let Ok(job) = jobs.recv() {
        let done = match job {
            Job::Clear => {
                clear(&desk.folder);
                continue;
            }
            Job::Remove(file) => {
                desk.remove(file);
                continue;
            }
            Job::Write { block, at, bytes } => {
                let result = desk.write(at, &bytes);
                Done::Written { block, at, result }
            }
            Job::Items {
                at,
                count,
                bytes,
                keys,
            } => {
                let result = desk.read_items(at, count, bytes, &keys);
                Done::Items { at, keys, result }
            }
            Job::Whole { block, at, bytes } => {
                let result = desk.read(at.file, at.offset, bytes);
                Done::Whole { block, result }
            }
        };
        if matches!(done, Done::Items { .. } | Done::Whole { .. }) {
            // An open file would keep its room when the writer removes it.
            desk.open = None;
        }
        if tell.send(done).is_err() {
            return;
        }
        ring();
    }
}

/// The files as one thread sees them.
struct Desk {
    folder: PathBuf,
    /// The one that was used last.
    open: Option<(FileId, File)>,
}

impl Desk {
    fn path(&self, file: FileId) -> PathBuf {
        self.folder.join(format!("{:08}", file.0))
    }

    fn file(
        &mut self,
        id: FileId,
        open: impl FnOnce(&Path) -> io::Result<File>,
    ) -> io::Result<&File> {
        if self.open.as_ref().is_none_or(|(last, _)| *last != id) {
            self.open = None;
            let file = open(&self.path(id))?;
            self.open = Some((id, file));
        }
        let (_, file) = self.open.as_ref().expect("opened above");
        Ok(file)
    }

    fn write(&mut self, at: Spot, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder.clone();
        let create = |path: &Path| {
            fs::create_dir_all(folder)?;
            let mut options = OpenOptions::new();
            options
                .write(true)
                .create(true)
                .truncate(at.offset == 0)
                .open(path)
        };
        let written = self.file(at.file, create)?.write_all_at(bytes, at.offset);
        if written.is_err() {
            self.open = None;
        }
        written
    }

    fn remove(&mut self, id: FileId) {
        self.open.take_if(|(open, _)| *open == id);
        let path = self.path(id);
        match fs::remove_file(&path) {
            Ok(()) => {}
            // The write that would have made it has failed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, file = %path.display(), "cannot remove a spilled file")
            }
        }
    }

    fn read(&mut self, file: FileId, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.file(file, |path| File::open(path))?
            .read_exact_at(&mut read, offset)?;
        Ok(read)
    }

    /// The items under the given keys, as far as they are in the block.
    fn read_items(
        &mut self,
        at: Spot,
        count: u32,
        bytes: usize,
        keys: &[u64],
    ) -> io::Result<Vec<(u64, Box<[u8]>)>> {
        let table = self.read(at.file, at.offset, table_bytes(count))?;
        let items_bytes = bytes - table.len();
        let mut wanted: Vec<(u64, Range<usize>)> = keys
            .iter()
            .filter_map(|key| Some((*key, find(&table, *key)?)))
            .collect();
        if wanted.iter().any(|(_, range)| range.end > items_bytes) {
            return Err(ErrorKind::InvalidData.into());
        }
        wanted.sort_unstable_by_key(|(_, range)| range.start);
        let mut found = Vec::with_capacity(wanted.len());
        for run in wanted.chunk_by(|a, b| b.1.start <= a.1.end + GAP_BYTES_MAX) {
            let [(_, first), ..] = run else { continue };
            let end = run
                .iter()
                .map(|(_, range)| range.end)
                .max()
                .unwrap_or(first.end);
            let offset = at.offset + (table.len() + first.start) as u64;
            let read = self.read(at.file, offset, end - first.start)?;
            for (key, range) in run {
                let item = &read[range.start - first.start..range.end - first.start];
                found.push((*key, item.into()));
            }
        }
        Ok(found)
    }
}
