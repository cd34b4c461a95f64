//! Preallocated segments: the next one, and two more so that a full disk can be drained.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile};
use crate::error::{StoreError, is_full};

/// One for the next segment, two that only essential frames and checkpoints live on once the disk
/// is full.
pub(crate) const SPARES: usize = 3;

/// The files `log/spare-<n>`: zeroed, of the length of a segment.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    state: Mutex<State>,
    full: AtomicBool,
}

#[derive(Default)]
struct State {
    names: Vec<String>,
    next: u64,
}

impl Spares {
    /// Adopts what lies in `log/`; spares of another length go.
    pub fn open(disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Spares, StoreError> {
        let mut state = State::default();
        for name in disk.list("log").map_err(StoreError::io("log", "list"))? {
            let Some(number) = name.strip_prefix("spare-") else {
                continue;
            };
            let name = format!("log/{name}");
            state.next = state.next.max(number.parse().map_or(0, |n: u64| n + 1));
            let length = disk.open(&name).and_then(|file| file.len());
            if length.map_err(StoreError::io(&name, "open"))? == segment_bytes {
                state.names.push(name);
            } else {
                disk.remove(&name)
                    .map_err(StoreError::io(&name, "remove"))?;
            }
        }
        Ok(Spares {
            disk,
            segment_bytes,
            state: Mutex::new(state),
            full: AtomicBool::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the spares panics")
    }

    pub fn take(&self) -> Option<String> {
        self.lock().names.pop()
    }

    fn take_beyond(&self, kept: usize) -> Option<String> {
        let mut state = self.lock();
        match state.names.len() > kept {
            true => state.names.pop(),
            false => None,
        }
    }

    /// Gives the room of one spare back to the file system.
    pub fn release_one(&self) -> Result<bool, StoreError> {
        self.release_beyond(0)
    }

    /// The same, if so many are left then.
    pub fn release_beyond(&self, kept: usize) -> Result<bool, StoreError> {
        match self.take_beyond(kept) {
            Some(name) => {
                self.disk
                    .remove(&name)
                    .map_err(StoreError::io(&name, "remove"))?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    pub fn is_short(&self) -> bool {
        self.lock().names.len() < SPARES
    }

    /// The disk had no room for another spare when that was last tried.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Makes spares until there are enough. `Some` tells that the disk has become full (`true`)
    /// or has room again (`false`).
    pub fn refill(&self) -> Result<Option<bool>, StoreError> {
        let mut full = false;
        while self.is_short() && !full {
            match self.make(self.segment_bytes) {
                Ok((name, _)) => self.lock().names.push(name),
                Err(error) if error.is_full() => full = true,
                Err(error) => return Err(error),
            }
        }
        let was_full = self.full.swap(full, Ordering::Relaxed);
        Ok((full != was_full).then_some(full))
    }

    /// A new zeroed file of `bytes`, durable with its name.
    pub fn make(&self, bytes: u64) -> Result<(String, Arc<dyn DiskFile>), StoreError> {
        let name = {
            let mut state = self.lock();
            state.next += 1;
            format!("log/spare-{}", state.next - 1)
        };
        let file = self
            .disk
            .create(&name)
            .map_err(StoreError::io(&name, "create"))?;
        if let Err(error) = file.allocate(bytes) {
            if is_full(&error) {
                self.disk
                    .remove(&name)
                    .map_err(StoreError::io(&name, "remove"))?;
            }
            return Err(StoreError::io(&name, "allocate")(error));
        }
        file.sync_data().map_err(StoreError::io(&name, "sync"))?;
        self.disk
            .sync_dir("log")
            .map_err(StoreError::io("log", "sync"))?;
        Ok((name, file))
    }
}
