//! Who does the log's work: threads beside the owner, the owner for a small group, or a simulation
//! step by step.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::Store;
use crate::engine::{Engine, Event, Next};
use crate::error::StoreError;
use crate::pool::Pool;
use crate::queue::{Haste, Job};

/// Threads that read back and write checkpoints.
const POOL_THREADS: usize = 2;

pub(super) enum Drive {
    Threads(Arc<Mutex<Engine>>, Vec<JoinHandle<()>>),
    Manual(Box<Engine>, Arc<Pool>),
}

impl Drive {
    pub fn threads(engine: Engine, pool: Pool) -> Result<Drive, StoreError> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .map_err(StoreError::io(name, "start the thread"))
        };
        let engine = Arc::new(Mutex::new(engine));
        let log = Arc::clone(&engine);
        let mut threads = vec![spawn("log", Box::new(move || Engine::run(&log)))?];
        let pool = Arc::new(pool);
        for _ in 0..POOL_THREADS {
            let pool = Arc::clone(&pool);
            threads.push(spawn("log-pool", Box::new(move || pool.run()))?);
        }
        Ok(Drive::Threads(engine, threads))
    }
}

impl Store {
    /// Sees to it that what was appended becomes durable: to be called when nothing more is
    /// appended for now. A small group is written and synced here and now, if the log thread does
    /// nothing and syncs are quick; [`Store::poll`] has what came of it, and `true` is returned.
    pub fn commit(&mut self) -> bool {
        let Drive::Threads(engine, _) = &self.drive else {
            return false;
        };
        if !self.uncommitted {
            return false;
        }
        let is_done = engine
            .try_lock()
            .is_ok_and(|mut engine| engine.commit_small());
        self.uncommitted = !is_done;
        self.commit_behind();
        is_done
    }

    /// Whether [`Store::commit`] would do it here and now, as far as can be told.
    pub fn commits_itself(&self) -> bool {
        let Drive::Threads(engine, _) = &self.drive else {
            return false;
        };
        self.uncommitted && self.queue.is_small() && engine.try_lock().is_ok()
    }

    /// The same, but all of it is left to the log thread.
    pub fn commit_behind(&mut self) {
        if std::mem::take(&mut self.uncommitted) {
            self.queue.ring();
        }
    }

    /// Without threads: does all work that waits, one group commit, every load, and a slice of
    /// making a cold segment.
    pub fn step(&mut self) {
        let Drive::Manual(engine, pool) = &mut self.drive else {
            return;
        };
        if self.poisoned {
            return;
        }
        let jobs = self.queue.take();
        if !jobs.is_empty()
            && let Err(fault) = engine.drain(jobs, &|event| self.outbox.push(event))
        {
            self.poisoned = true;
            return self.outbox.push(Event::Fault(fault));
        }
        while let Some(task) = self.tasks.take() {
            pool.perform(task);
        }
        if let Some(task) = self.tasks.take_slow() {
            pool.perform(task);
        }
    }

    /// Without threads: does what the log thread does after a pause.
    pub fn idle(&mut self) {
        let Drive::Manual(engine, _) = &mut self.drive else {
            return;
        };
        if self.poisoned {
            return;
        }
        if let Err(fault) = engine.idle() {
            self.poisoned = true;
            self.outbox.push(Event::Fault(fault));
        }
        self.step();
    }

    pub(super) fn end(&mut self) {
        self.queue.push(Job::Close, Haste::Soon);
        match &mut self.drive {
            Drive::Threads(_, threads) => {
                let mut threads = threads.drain(..);
                // The log first: it may still have a checkpoint for the pool.
                let log = threads.next().map(JoinHandle::join);
                self.tasks.close();
                let pool = threads.map(JoinHandle::join);
                for ended in log.into_iter().chain(pool) {
                    if ended.is_err() && !thread::panicking() {
                        panic!("a thread of the store panicked");
                    }
                }
            }
            Drive::Manual(engine, pool) => {
                if !self.poisoned {
                    match engine.drain(self.queue.take(), &|event| self.outbox.push(event)) {
                        Ok(Next::End | Next::GoOn) => {}
                        Err(fault) => return self.outbox.push(Event::Fault(fault)),
                    }
                    while let Some(task) = self.tasks.take() {
                        pool.perform(task);
                    }
                }
            }
        }
    }
}
