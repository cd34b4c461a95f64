//! What waits for the log thread, and when the thread takes it.
//!
//! Three rules. What must be durable is taken at once: while one group is being synced the next
//! gathers. What need not be durable waits for the next group, or [`LAZY_WAIT`] at most, so that
//! acknowledgements alone force no sync and no thread switch. Under dense traffic ([`Pace`])
//! syncs keep a distance, since a sync per few messages costs CPU and gains nothing.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::engine::CheckpointOrder;
use crate::frame::Frame;
use crate::ids::PageSlot;

/// A frame that need not be durable is so after this time at the latest.
pub(crate) const LAZY_WAIT: Duration = Duration::from_millis(10);
/// After this time without work the log is marked.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// On a full disk the log thread looks this often whether there is room again.
const FULL_WAIT: Duration = Duration::from_secs(1);

pub(crate) enum Job {
    Append(Frame),
    Page(PageSlot, Arc<[u8]>),
    Checkpoint(Box<CheckpointOrder>),
    /// Seal the log and end.
    Close,
}

/// How soon a job has to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Confirms wait for it; so many messages.
    Confirms(u32),
    Soon,
    Lazy,
}

#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    /// Messages that somebody waits for.
    messages: u32,
    /// Something does not bear waiting at all.
    now: bool,
    /// When the first lazy job came.
    since: Option<Instant>,
    sleeper: Sleeper,
}

/// What wakes the log thread.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Sleeper {
    #[default]
    Awake,
    UntilAny,
    UntilUrgent,
    UntilMessages(u32),
}

/// Why the log thread woke.
pub(crate) enum Wake {
    Jobs(Vec<Job>),
    Idle,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of the queue panics")
    }

    pub fn push(&self, job: Job, haste: Haste) {
        let mut waiting = self.lock();
        match haste {
            Haste::Confirms(messages) => waiting.messages += messages.max(1),
            Haste::Soon => waiting.now = true,
            Haste::Lazy => {
                if waiting.since.is_none() {
                    waiting.since = Some(Instant::now());
                }
            }
        }
        waiting.jobs.push(job);
        let wake = match waiting.sleeper {
            Sleeper::Awake => false,
            Sleeper::UntilAny => true,
            Sleeper::UntilUrgent => waiting.now || waiting.messages > 0,
            Sleeper::UntilMessages(messages) => waiting.now || waiting.messages >= messages,
        };
        if wake {
            waiting.sleeper = Sleeper::Awake;
            drop(waiting);
            self.bell.notify_one();
        }
    }

    /// The log thread has something to do.
    pub fn is_busy(&self) -> bool {
        let waiting = self.lock();
        waiting.sleeper == Sleeper::Awake || !waiting.jobs.is_empty()
    }

    /// Everything that waits, at once.
    pub fn take(&self) -> Vec<Job> {
        self.lock().take()
    }

    /// Sleeps until there is work. `marked`: nothing is to be done when idle.
    pub fn wait(&self, pace: &mut Pace, rest: Rest) -> Wake {
        let idle_at = match rest {
            Rest::Quiet => None,
            Rest::Unmarked => Some(Instant::now() + IDLE_WAIT),
            Rest::Full => Some(Instant::now() + FULL_WAIT),
        };
        let mut waiting = self.lock();
        let mut paused = false;
        loop {
            let now = Instant::now();
            let (until, sleeper) = if waiting.now {
                break;
            } else if waiting.messages > 0 {
                match pace.pause(now, waiting.messages) {
                    Some(until) => {
                        paused = true;
                        (Some(until), Sleeper::UntilMessages(Pace::DENSE_MESSAGES))
                    }
                    None => break,
                }
            } else if let Some(since) = waiting.since {
                if now >= since + LAZY_WAIT {
                    break;
                }
                (Some(since + LAZY_WAIT), Sleeper::UntilUrgent)
            } else if idle_at.is_some_and(|at| now >= at) {
                return Wake::Idle;
            } else {
                (idle_at, Sleeper::UntilAny)
            };
            waiting.sleeper = sleeper;
            waiting = match until {
                Some(until) => {
                    let wait = until.saturating_duration_since(now);
                    self.bell
                        .wait_timeout(waiting, wait)
                        .expect("no holder of the queue panics")
                        .0
                }
                None => self
                    .bell
                    .wait(waiting)
                    .expect("no holder of the queue panics"),
            };
            waiting.sleeper = Sleeper::Awake;
        }
        if paused {
            pace.paused(Instant::now(), waiting.messages);
        }
        Wake::Jobs(waiting.take())
    }
}

/// What the log thread has left to do when nothing comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Quiet,
    /// The log does not tell yet that its last frames were synced.
    Unmarked,
    /// The disk is full.
    Full,
}

impl Waiting {
    fn take(&mut self) -> Vec<Job> {
        self.messages = 0;
        self.now = false;
        self.since = None;
        std::mem::take(&mut self.jobs)
    }
}

/// Keeps syncs [`Pace::DISTANCE`] apart while that costs nobody anything: only when messages come
/// so densely that a group of [`Pace::DENSE_MESSAGES`] gathers meanwhile. Producers that wait for
/// their confirms would starve each other; so a pause that did not fill its group ends pauses for
/// [`Pace::BAR`].
#[derive(Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    window: Option<(Instant, u32)>,
    dense: bool,
    barred_until: Option<Instant>,
}

impl Pace {
    pub const DISTANCE: Duration = Duration::from_millis(1);
    pub const DENSE_MESSAGES: u32 = 100;
    pub const BAR: Duration = Duration::from_millis(64);

    /// A group of so many awaited messages was synced.
    pub fn synced(&mut self, now: Instant, messages: u32) {
        self.last = Some(now);
        let (start, before) = self.window.unwrap_or((now, 0));
        let count = before + messages;
        let elapsed = now.saturating_duration_since(start);
        if elapsed >= Pace::DISTANCE {
            // count / elapsed >= DENSE_MESSAGES / DISTANCE, in whole numbers.
            let needed = u128::from(Pace::DENSE_MESSAGES) * elapsed.as_nanos();
            self.dense = u128::from(count) * Pace::DISTANCE.as_nanos() >= needed;
            self.window = Some((now, 0));
        } else {
            self.window = Some((start, count));
        }
    }

    /// Until when a group of so many messages should go on gathering.
    pub fn pause(&self, now: Instant, messages: u32) -> Option<Instant> {
        let until = self.last? + Pace::DISTANCE;
        let barred = self.barred_until.is_some_and(|bar| now < bar);
        let pause = self.dense && !barred && messages < Pace::DENSE_MESSAGES && now < until;
        pause.then_some(until)
    }

    /// A pause ended with so many messages.
    pub fn paused(&mut self, now: Instant, messages: u32) {
        if messages < Pace::DENSE_MESSAGES {
            self.barred_until = Some(now + Pace::BAR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_message_never_waits_and_dense_traffic_gathers() {
        let start = Instant::now();
        let at = |micros: u64| start + Duration::from_micros(micros);
        let mut pace = Pace::default();
        assert_eq!(pace.pause(at(0), 1), None);
        // One message per 200 µs.
        for n in 0..50 {
            pace.synced(at(n * 200), 1);
            assert_eq!(pace.pause(at(n * 200 + 50), 1), None);
        }
        // 40 messages per 200 µs.
        for n in 50..100 {
            pace.synced(at(n * 200), 40);
        }
        let last = 99 * 200;
        assert_eq!(pace.pause(at(last + 100), 20), Some(at(last + 1000)));
        assert_eq!(pace.pause(at(last + 100), 100), None);
        assert_eq!(pace.pause(at(last + 1000), 20), None);
        // A pause that did not pay is not repeated at once.
        pace.paused(at(last + 1000), 64);
        assert_eq!(pace.pause(at(last + 100), 20), None);
    }
}
