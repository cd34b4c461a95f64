//! What waits for the pool: loads and checkpoints first, and one task that has time.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::checkpoint::Checkpoint;
use crate::cold::Making;
use crate::ids::{MessageId, PageSlot, SegmentKey};

/// Work that reads, or takes long.
pub(crate) enum Task {
    Load {
        tag: u64,
        wanted: Vec<(MessageId, Option<Arc<[u8]>>)>,
    },
    Page {
        tag: u64,
        slot: PageSlot,
    },
    Checkpoint(Box<Checkpoint>),
    /// Make spare segments.
    Refill,
    /// Make a cold segment, a slice at a time.
    Merge(Box<Merge>),
}

pub(crate) enum Merge {
    Ordered {
        run: Vec<SegmentKey>,
        live: Vec<MessageId>,
    },
    Begun(Making),
}

#[derive(Default)]
pub(crate) struct Tasks {
    state: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    /// What has time, and when it may go on; taken when there is nothing else.
    slow: Option<(Instant, Task)>,
    closed: bool,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().expect("no holder of the tasks panics")
    }

    pub fn push(&self, task: Task) {
        self.lock().tasks.push_back(task);
        self.bell.notify_one();
    }

    /// There is one slow task at a time.
    pub fn push_slow(&self, task: Task, not_before: Instant) {
        self.lock().slow = Some((not_before, task));
        self.bell.notify_one();
    }

    pub fn take(&self) -> Option<Task> {
        self.lock().tasks.pop_front()
    }

    /// Without threads nobody is held up.
    pub fn take_slow(&self) -> Option<Task> {
        self.lock().slow.take().map(|(_, task)| task)
    }

    /// Lets the threads end once nothing is left.
    pub fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_all();
    }

    pub fn wait(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                return Some(task);
            }
            if state.closed {
                return None;
            }
            let now = Instant::now();
            if let Some((_, task)) = state.slow.take_if(|(at, _)| *at <= now) {
                return Some(task);
            }
            state = match &state.slow {
                Some((at, _)) => {
                    let rest = at.saturating_duration_since(now);
                    let woken = self.bell.wait_timeout(state, rest);
                    woken.expect("no holder of the tasks panics").0
                }
                None => self
                    .bell
                    .wait(state)
                    .expect("no holder of the tasks panics"),
            };
        }
    }
}
