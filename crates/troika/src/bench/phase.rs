//! One stretch of a run from its first message to its last: stages, ends and sums.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::book::Book;
use super::histogram::Latencies;
use super::payload::{Clock, Nanos};
use super::report::Second;
use super::tally::{Counts, Tally};
use super::worker::{Board, Interval, Stage};

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(5);
/// When nothing has moved for so long, what is still under way is given up.
pub const STILL_NANOS_MAX: u64 = 10 * Nanos::SECOND;
/// Queues that have given nothing for so long are empty.
const EMPTY_NANOS: u64 = Nanos::SECOND;
/// How long the first message of a drain may take.
const FIRST_NANOS_MAX: u64 = 5 * Nanos::SECOND;

/// When a phase is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// When all that was sent in that time is answered, and received if there are consumers.
    Time(Duration),
    /// When so many are answered, and received if there are consumers.
    Sent(u64),
    /// When so many are received.
    Received(u64),
    /// When nothing more comes.
    Emptied,
}

pub struct Plan<'a> {
    pub name: &'static str,
    pub goal: Goal,
    pub warmup: Duration,
    /// Whether what is confirmed is also received.
    pub has_consumers: bool,
    pub is_quiet: bool,
    pub clock: Clock,
    pub fresh: &'a (dyn Fn() -> Tally + Sync),
}

/// What a worker needs of its phase.
pub struct Post<'a> {
    pub board: &'a Board,
    pub clock: Clock,
    pub start: Nanos,
    pub fresh: &'a (dyn Fn() -> Tally + Sync),
    pub reports: Sender<Interval>,
}

/// A worker that is ready to run in a thread of its own.
pub type Job<'a> = Box<dyn FnOnce(Post<'_>) + Send + 'a>;

/// What a phase came to.
#[derive(Debug)]
pub struct Outcome {
    pub name: &'static str,
    pub elapsed_s: f64,
    pub cpu_s: f64,
    /// Of the whole phase.
    pub counts: Counts,
    /// Of its measured part: sent, confirmed, received.
    pub measured: Progress,
    pub confirm: Latencies,
    pub delivery: Latencies,
    pub seconds: Vec<Second>,
    pub error: Option<String>,
}

/// The sums of the board at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub sent: u64,
    pub confirmed: u64,
    pub refused: u64,
    pub received: u64,
}

impl Progress {
    fn of(board: &Board) -> Progress {
        Progress {
            sent: board.sent.load(Ordering::Relaxed),
            confirmed: board.confirmed.load(Ordering::Relaxed),
            refused: board.refused.load(Ordering::Relaxed),
            received: board.received.load(Ordering::Relaxed),
        }
    }

    pub fn since(self, earlier: Progress) -> Progress {
        Progress {
            sent: self.sent - earlier.sent,
            confirmed: self.confirmed - earlier.confirmed,
            refused: self.refused - earlier.refused,
            received: self.received - earlier.received,
        }
    }

    /// Whether all that was sent, at least `sent`, has arrived.
    fn is_complete(self, sent: u64, has_consumers: bool) -> bool {
        self.confirmed + self.refused >= sent.max(self.sent)
            && (!has_consumers || self.received >= self.confirmed)
    }
}

/// A moment and what had been done until then.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub at: Nanos,
    pub cpu_s: f64,
    pub progress: Progress,
}

/// Runs the jobs until the goal is reached.
pub fn run(plan: &Plan<'_>, jobs: Vec<Job<'_>>) -> Outcome {
    let board = Board::new();
    let start = plan.clock.now();
    if plan.warmup.is_zero() {
        board.set_stage(Stage::Measure);
    }
    let (reports, received) = channel();
    let workers = jobs.len();
    thread::scope(|scope| {
        for job in jobs {
            let post = Post {
                board: &board,
                clock: plan.clock,
                start,
                fresh: plan.fresh,
                reports: reports.clone(),
            };
            scope.spawn(move || job(post));
        }
        // The channel ends with the last worker.
        drop(reports);
        let book = Book::new(plan, workers);
        conduct(plan, &board, start, &received, book)
    })
}

fn mark(plan: &Plan<'_>, board: &Board) -> Mark {
    Mark {
        at: plan.clock.now(),
        cpu_s: super::cpu_seconds(),
        progress: Progress::of(board),
    }
}

fn conduct(
    plan: &Plan<'_>,
    board: &Board,
    start: Nanos,
    received: &Receiver<Interval>,
    mut book: Book<'_>,
) -> Outcome {
    let mut from = mark(plan, board);
    let mut end = None;
    let mut watch = Watch::new(start);
    loop {
        match received.recv_timeout(LOOK) {
            Ok(interval) => {
                book.take(interval);
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let now = plan.clock.now();
        let progress = Progress::of(board);
        let still = watch.still(now, progress);
        let is_lost = board.lost.load(Ordering::Relaxed) > 0;
        match board.stage() {
            Stage::Warmup | Stage::Measure | Stage::Settle if is_lost => {
                end.get_or_insert_with(|| mark(plan, board));
                board.set_stage(Stage::Leave);
            }
            Stage::Warmup => {
                if now.since(start) >= plan.warmup.as_nanos() as u64 {
                    from = mark(plan, board);
                    board.set_stage(Stage::Measure);
                }
            }
            Stage::Measure => match plan.verdict(progress, now.since(from.at), still, &watch) {
                Verdict::GoOn => {}
                Verdict::Settle => {
                    end = Some(mark(plan, board));
                    board.set_stage(Stage::Settle);
                }
                Verdict::Done => {
                    // The look came a little later than the end.
                    let last = Nanos(board.last.load(Ordering::Relaxed));
                    let mark = mark(plan, board);
                    end = Some(Mark {
                        at: last.max(from.at),
                        ..mark
                    });
                    board.set_stage(Stage::Leave);
                }
                Verdict::Stuck => {
                    end = Some(mark(plan, board));
                    book.stuck(progress);
                    board.set_stage(Stage::Leave);
                }
            },
            Stage::Settle => {
                let is_complete = progress.is_complete(0, plan.has_consumers);
                if !is_complete && still >= STILL_NANOS_MAX {
                    book.stuck(progress);
                }
                if is_complete || still >= STILL_NANOS_MAX {
                    board.set_stage(Stage::Leave);
                }
            }
            Stage::Leave => {}
        }
    }
    let end = end.unwrap_or_else(|| mark(plan, board));
    book.close(from, end)
}

/// Since when nothing has moved.
#[derive(Debug)]
struct Watch {
    last: Progress,
    moved_at: Nanos,
    has_received: bool,
}

impl Watch {
    fn new(start: Nanos) -> Watch {
        Watch {
            last: Progress::default(),
            moved_at: start,
            has_received: false,
        }
    }

    /// For how many nanoseconds nothing has moved.
    fn still(&mut self, now: Nanos, progress: Progress) -> u64 {
        if progress != self.last {
            self.last = progress;
            self.moved_at = now;
        }
        self.has_received |= progress.received > 0;
        now.since(self.moved_at)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    Settle,
    Done,
    Stuck,
}

impl Plan<'_> {
    fn verdict(&self, progress: Progress, elapsed: u64, still: u64, watch: &Watch) -> Verdict {
        let is_done = match self.goal {
            Goal::Time(time) => {
                return if elapsed >= time.as_nanos() as u64 {
                    Verdict::Settle
                } else {
                    Verdict::GoOn
                };
            }
            Goal::Sent(messages) => progress.is_complete(messages, self.has_consumers),
            Goal::Received(messages) => progress.received >= messages,
            Goal::Emptied => {
                let patience = if watch.has_received {
                    EMPTY_NANOS
                } else {
                    FIRST_NANOS_MAX
                };
                still >= patience
            }
        };
        match is_done {
            true => Verdict::Done,
            false if still >= STILL_NANOS_MAX => Verdict::Stuck,
            false => Verdict::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload::RunId;
    use super::*;

    fn progress(sent: u64, confirmed: u64, refused: u64, received: u64) -> Progress {
        Progress {
            sent,
            confirmed,
            refused,
            received,
        }
    }

    #[test]
    fn a_phase_ends_when_its_goal_is_reached() {
        const STILL: u64 = STILL_NANOS_MAX;
        let second = Duration::from_secs(1);
        let done = progress(10, 10, 0, 10);
        for (goal, has_consumers, progress, elapsed, still, verdict) in [
            (Goal::Time(second), true, done, 5, 0, Verdict::GoOn),
            (
                Goal::Time(second),
                true,
                done,
                Nanos::SECOND,
                0,
                Verdict::Settle,
            ),
            (Goal::Sent(10), true, done, 5, 0, Verdict::Done),
            (
                Goal::Sent(10),
                true,
                progress(10, 10, 0, 9),
                5,
                0,
                Verdict::GoOn,
            ),
            (
                Goal::Sent(10),
                false,
                progress(10, 10, 0, 0),
                5,
                0,
                Verdict::Done,
            ),
            (
                Goal::Sent(10),
                true,
                progress(10, 9, 1, 9),
                5,
                0,
                Verdict::Done,
            ),
            (
                Goal::Sent(10),
                true,
                progress(9, 9, 0, 9),
                5,
                0,
                Verdict::GoOn,
            ),
            (
                Goal::Sent(10),
                true,
                progress(9, 9, 0, 9),
                5,
                STILL,
                Verdict::Stuck,
            ),
            (
                Goal::Received(3),
                true,
                progress(0, 0, 0, 3),
                5,
                0,
                Verdict::Done,
            ),
            (
                Goal::Received(3),
                true,
                progress(0, 0, 0, 2),
                5,
                EMPTY_NANOS,
                Verdict::GoOn,
            ),
            (
                Goal::Emptied,
                true,
                progress(0, 0, 0, 2),
                5,
                EMPTY_NANOS,
                Verdict::Done,
            ),
            (
                Goal::Emptied,
                true,
                progress(0, 0, 0, 0),
                5,
                EMPTY_NANOS,
                Verdict::GoOn,
            ),
            (
                Goal::Emptied,
                true,
                progress(0, 0, 0, 0),
                5,
                FIRST_NANOS_MAX,
                Verdict::Done,
            ),
        ] {
            let plan = Plan {
                name: "test",
                goal,
                warmup: Duration::ZERO,
                has_consumers,
                is_quiet: true,
                clock: Clock::start(),
                fresh: &|| Tally::new(RunId(1), false),
            };
            let mut watch = Watch::new(Nanos(0));
            watch.still(Nanos(1), progress);
            let told = plan.verdict(progress, elapsed, still, &watch);
            assert_eq!(told, verdict, "{goal:?} {progress:?}");
        }
    }
}
