//! What waits to be written, and who takes it when.
//!
//! Four rules. What must be durable is taken at once: while one group is being synced the next
//! gathers. What need not be durable waits for the next group, or [`LAZY_WAIT`] at most, so that
//! acknowledgements alone force no sync and no thread switch. Under dense traffic ([`Pace`])
//! syncs keep a distance, since a sync per few messages costs CPU and gains nothing. And a group
//! that is small, on a disk that is quick, is written by the owner of the store itself
//! ([`Queue::take_small`]): to wake the log thread and to be woken by it would take longer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::engine::CheckpointOrder;
use crate::frame::Frame;
use crate::ids::PageSlot;

/// A frame that need not be durable is so after this time at the latest.
pub(crate) const LAZY_WAIT: Duration = Duration::from_millis(10);
/// After this time without work the log is marked.
const IDLE_WAIT: Duration = Duration::from_millis(10);
/// A group of at most so many messages, bytes and jobs is small.
const SMALL_MESSAGES: u32 = 64;
const SMALL_BYTES: u64 = 128 << 10;
const SMALL_JOBS: usize = 256;
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
    /// What the frames take on the disk.
    bytes: u64,
    /// The log thread does not know yet that it has to look after something.
    has_rest: bool,
    sleeper: Sleeper,
    pace: Pace,
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Jobs,
    Idle,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of the queue panics")
    }

    /// Wakes the log thread if need be, but not for [`Haste::Confirms`]: see [`Queue::ring`].
    pub fn push(&self, job: Job, haste: Haste) {
        let mut waiting = self.lock();
        if let Job::Append(frame) = &job {
            waiting.bytes += frame.disk_bytes();
        }
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
        if !matches!(haste, Haste::Confirms(_)) {
            self.wake(waiting);
        }
    }

    /// Wakes the log thread if what waits is reason enough.
    pub fn ring(&self) {
        self.wake(self.lock());
    }

    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let is_due = match waiting.sleeper {
            Sleeper::Awake => false,
            Sleeper::UntilAny => !waiting.jobs.is_empty(),
            Sleeper::UntilUrgent => waiting.now || waiting.messages > 0,
            Sleeper::UntilMessages(messages) => waiting.now || waiting.messages >= messages,
        };
        if is_due {
            waiting.sleeper = Sleeper::Awake;
            drop(waiting);
            self.bell.notify_one();
        }
    }

    /// The log has something to do, or had a moment ago.
    pub fn is_busy(&self) -> bool {
        let is_at_work = {
            let waiting = self.lock();
            waiting.sleeper == Sleeper::Awake || !waiting.jobs.is_empty()
        };
        is_at_work || self.is_running()
    }

    /// There was a sync a moment ago.
    pub fn is_running(&self) -> bool {
        let last = self.lock().pace.last;
        last.is_some_and(|last| last.elapsed() < IDLE_WAIT)
    }

    /// Has the log thread look what is left to do when nothing comes.
    pub fn look_after(&self) {
        self.lock().has_rest = true;
        self.bell.notify_one();
    }

    /// Everything that waits, at once. Only who has the log may take.
    pub fn take(&self) -> Vec<Job> {
        self.lock().take()
    }

    /// Everything that waits, if it is so little that writing and syncing it takes no longer than
    /// to wake the log thread and to be woken. `room`: what the segment still takes.
    pub fn take_small(&self, room: u64) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        let is_small = waiting.is_small() && waiting.bytes <= room;
        is_small.then(|| waiting.take())
    }

    /// Whether what waits is so little.
    pub fn is_small(&self) -> bool {
        self.lock().is_small()
    }

    /// A group of so many awaited messages was synced, which took so long.
    pub fn synced(&self, messages: u32, took: Duration) {
        self.lock().pace.synced(Instant::now(), messages, took);
    }

    /// The log thread sleeps here until there is work.
    pub fn wait(&self, rest: Rest) -> Wake {
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
                match waiting.pace.pause(now, waiting.messages) {
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
            } else if waiting.has_rest || idle_at.is_some_and(|at| now >= at) {
                waiting.has_rest = false;
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
            let messages = waiting.messages;
            waiting.pace.paused(Instant::now(), messages);
        }
        Wake::Jobs
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
    fn is_small(&self) -> bool {
        !self.now
            && (1..=SMALL_MESSAGES).contains(&self.messages)
            && self.bytes <= SMALL_BYTES
            && self.jobs.len() <= SMALL_JOBS
            && self.pace.is_quick()
    }

    fn take(&mut self) -> Vec<Job> {
        self.messages = 0;
        self.now = false;
        self.since = None;
        self.bytes = 0;
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
    /// What a sync takes, about.
    sync: Option<Duration>,
}

impl Pace {
    pub const DISTANCE: Duration = Duration::from_millis(1);
    pub const DENSE_MESSAGES: u32 = 100;
    pub const BAR: Duration = Duration::from_millis(64);
    /// A sync of less than this is over before two threads have woken each other.
    pub const QUICK: Duration = Duration::from_micros(200);

    /// A group of so many awaited messages was synced, which took so long.
    pub fn synced(&mut self, now: Instant, messages: u32, took: Duration) {
        self.sync = Some(match self.sync {
            // A disk that has become slow is so from the first sync that shows it.
            Some(before) if took < 4 * before => (7 * before + took) / 8,
            Some(_) | None => took,
        });
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

    /// Syncs are quick, and few messages at a time wait for them.
    pub fn is_quick(&self) -> bool {
        !self.dense && self.sync.is_some_and(|sync| sync < Pace::QUICK)
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
    use crate::frame::FrameBuilder;
    use crate::ids::{Index, Millis, Shard, Term};

    const QUICK: Duration = Duration::from_micros(50);

    fn frame(number: u64, bytes: usize) -> Frame {
        let mut builder = FrameBuilder::new();
        builder.push_facts(&vec![7; bytes]).expect("it is small");
        builder.finish(Index::new(number), Shard::new(1), Term(0), Millis(0))
    }

    #[test]
    fn only_a_small_group_on_a_quick_disk_is_for_the_owner() {
        let queue = Queue::default();
        let awaited = |number, bytes| {
            queue.push(Job::Append(frame(number, bytes)), Haste::Confirms(1));
        };
        awaited(1, 100);
        // Nothing is known of the disk.
        assert!(queue.take_small(u64::MAX).is_none());
        queue.synced(1, QUICK);
        assert!(queue.take_small(50).is_none(), "the segment has no room");
        assert_eq!(queue.take_small(u64::MAX).map(|jobs| jobs.len()), Some(1));
        assert!(queue.take_small(u64::MAX).is_none(), "nothing waits");
        queue.push(Job::Append(frame(2, 100)), Haste::Lazy);
        assert!(queue.take_small(u64::MAX).is_none(), "nobody waits");
        awaited(3, 200 << 10);
        assert!(queue.take_small(u64::MAX).is_none(), "it is large");
        assert_eq!(queue.take().len(), 2);
        // One slow sync, and it is the thread's until syncs are quick again.
        queue.synced(1, Duration::from_millis(5));
        awaited(4, 100);
        assert!(queue.take_small(u64::MAX).is_none(), "the disk is slow");
        (0..40).for_each(|_| queue.synced(1, QUICK));
        assert!(queue.take_small(u64::MAX).is_some());
    }

    #[test]
    fn a_lone_message_never_waits_and_dense_traffic_gathers() {
        let start = Instant::now();
        let at = |micros: u64| start + Duration::from_micros(micros);
        let mut pace = Pace::default();
        assert_eq!(pace.pause(at(0), 1), None);
        // One message per 200 µs.
        for n in 0..50 {
            pace.synced(at(n * 200), 1, QUICK);
            assert_eq!(pace.pause(at(n * 200 + 50), 1), None);
            assert!(pace.is_quick());
        }
        // 40 messages per 200 µs.
        for n in 50..100 {
            pace.synced(at(n * 200), 40, QUICK);
        }
        assert!(!pace.is_quick());
        let last = 99 * 200;
        assert_eq!(pace.pause(at(last + 100), 20), Some(at(last + 1000)));
        assert_eq!(pace.pause(at(last + 100), 100), None);
        assert_eq!(pace.pause(at(last + 1000), 20), None);
        // A pause that did not pay is not repeated at once.
        pace.paused(at(last + 1000), 64);
        assert_eq!(pace.pause(at(last + 100), 20), None);
    }
}
