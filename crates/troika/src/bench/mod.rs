//! `troika bench`: a load generator for brokers that speak AMQP 0-9-1, OpenWire or RocketMQ.
//!
//! ```text
//!  Options ─ Wire (amqp, openwire, rocketmq): prepares queues, connects
//!               │ Seats: a Link (socket, buffers) and a Conversation (protocol, Source)
//!               ▼
//!  phase ── Board: stage ▶ worker threads ─ Intervals, once a second ▶ Book ─ Outcome ─ Report
//! ```
//!
//! What it is: a client of its own, on the wire crates, as lean as the broker: one thread serves all
//! connections unless told otherwise, a turn of it reads and writes whole batches, and a message
//! costs no allocation. Every message carries the moment at which it was due, so that latencies are
//! true even where the broker holds the generator up.
//!
//! What it is not: no checker of order or durability (counts must match, that is all), and no
//! measure of client libraries, which cost many times of what this costs.
//!
//! Invariants:
//!
//! - Setup blocks and is not measured; the measured part never blocks on a socket.
//! - Counts are of the whole run, rates of the measured part only; latencies of messages that were
//!   due in the measured part but answered after it count.
//! - A failed connection ends the run with its error; a refused send is counted and the run goes on.
//!
//! Caveats: the clock is the generator's own, so publishers and consumers of one latency must be of
//! one process. A rest of `--pause` microseconds per turn is part of the latencies. RocketMQ: only
//! the first broker of a route is used. No TLS.

mod amqp;
mod book;
mod churn;
mod histogram;
mod link;
mod openwire;
mod options;
mod pace;
mod payload;
mod phase;
mod report;
mod rocketmq;
mod source;
mod tally;
mod worker;

use std::fs;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use options::{Churn, Mode, Protocol, seats_of_thread};
use payload::{Clock, RunId};
use phase::{Goal, Job, Outcome, Plan, Post};
use report::Report;
use tally::Tally;
use worker::{Seat, Worker};

pub use options::Options;

/// One opening and closing of something, again and again.
type Cycle = Box<dyn FnMut() -> Result<(), String> + Send>;

/// A protocol, as far as a run needs to know it. All of this happens outside the measured part.
trait Wire {
    /// Makes sure that the queues exist.
    fn prepare(&mut self) -> Result<(), String>;

    /// Connects producers; some protocols let several share a connection.
    fn producers(&self, numbers: Range<usize>) -> Result<Vec<Seat>, String>;

    fn consumer(&self, number: usize) -> Result<Seat, String>;

    /// Removes the queues, as far as that is possible.
    fn clear(&mut self) -> Result<(), String>;

    fn cycle(&self, number: usize, churn: Churn) -> Result<Cycle, String>;
}

struct Bench {
    options: Options,
    clock: Clock,
    run: RunId,
    wire: Box<dyn Wire>,
}

/// Runs what the options ask for and tells the results.
pub fn bench(options: Options) -> Result<(), String> {
    options.check()?;
    let target = options.target()?;
    let run = run_id();
    let wire: Box<dyn Wire> = match options.protocol {
        Protocol::Amqp => Box::new(amqp::Amqp::new(options.clone(), target, run)),
        Protocol::OpenWire => Box::new(openwire::OpenWire::new(options.clone(), target, run)),
        Protocol::RocketMq => Box::new(rocketmq::RocketMq::new(options.clone(), target, run)),
    };
    let mut bench = Bench {
        options,
        clock: Clock::start(),
        run,
        wire,
    };
    let outcomes = bench.outcomes()?;
    let report = Report::new(&bench.options, target.to_string(), &outcomes, peak_rss_kb());
    report.print();
    if let Some(path) = &bench.options.json {
        report.write(path)?;
    }
    match report.errors() {
        0 => Ok(()),
        errors => Err(format!("{errors} errors, the first: {}", report.error())),
    }
}

impl Bench {
    fn outcomes(&mut self) -> Result<Vec<Outcome>, String> {
        let mode = self.options.mode();
        if let Mode::Churn(churn) = mode {
            return Ok(vec![self.churn(churn)?]);
        }
        self.wire.prepare()?;
        let (producers, consumers) = (self.options.producers, self.options.consumers);
        let time = self.options.time();
        let outcomes = match mode {
            Mode::Fill(messages) => vec![self.phase("fill", producers, 0, Goal::Sent(messages))?],
            Mode::Drain => vec![self.phase("drain", 0, consumers, Goal::Emptied)?],
            Mode::FillDrain(messages) => {
                let fill = self.phase("fill", producers, 0, Goal::Sent(messages))?;
                let filled = Goal::Received(fill.counts.confirmed);
                let drain = self.phase("drain", 0, consumers, filled)?;
                vec![fill, drain]
            }
            Mode::Flow | Mode::Churn(Churn::Connections | Churn::Queues) => {
                let goal = match self.options.messages {
                    None => Goal::Time(time),
                    Some(messages) if producers == 0 => Goal::Received(messages),
                    Some(messages) => Goal::Sent(messages),
                };
                vec![self.phase("flow", producers, consumers, goal)?]
            }
        };
        // A backlog that was asked for, or found, is left to whoever comes next.
        let is_ours = match mode {
            Mode::Flow | Mode::FillDrain(_) | Mode::Churn(_) => producers > 0,
            Mode::Fill(_) | Mode::Drain => false,
        };
        if is_ours && !self.options.keep {
            // The results are there; they count for more than what is left behind.
            if let Err(error) = self.wire.clear() {
                eprintln!("troika: queues are left there: {error}");
            }
        }
        Ok(outcomes)
    }

    fn phase(
        &self,
        name: &'static str,
        producers: usize,
        consumers: usize,
        goal: Goal,
    ) -> Result<Outcome, String> {
        let threads = self.options.threads;
        let mut groups = Vec::new();
        for thread in 0..threads {
            let mut seats = Vec::new();
            for number in seats_of_thread(consumers, thread, threads) {
                seats.push(self.wire.consumer(number)?);
            }
            let numbers = seats_of_thread(producers, thread, threads);
            if !numbers.is_empty() {
                seats.extend(self.wire.producers(numbers)?);
            }
            if !seats.is_empty() {
                groups.push(seats);
            }
        }
        let pause = Duration::from_micros(self.options.pause.into());
        let job = |seats: Vec<Seat>| -> Job<'_> {
            Box::new(move |post: Post<'_>| {
                let worker = Worker {
                    seats,
                    board: post.board,
                    clock: post.clock,
                    start: post.start,
                    pause,
                    tally: (post.fresh)(),
                    fresh: post.fresh,
                    reports: post.reports,
                };
                worker.run();
            })
        };
        let jobs = groups.into_iter().map(job).collect();
        Ok(self.run_phase(name, goal, consumers > 0 && producers > 0, jobs))
    }

    fn churn(&self, churn: Churn) -> Result<Outcome, String> {
        let mut jobs = Vec::new();
        for number in 0..self.options.producers {
            let cycle = self.wire.cycle(number, churn)?;
            jobs.push(churn::job(&self.options, number, cycle));
        }
        let goal = match self.options.messages {
            None => Goal::Time(self.options.time()),
            Some(cycles) => Goal::Sent(cycles),
        };
        Ok(self.run_phase("churn", goal, false, jobs))
    }

    fn run_phase(
        &self,
        name: &'static str,
        goal: Goal,
        has_consumers: bool,
        jobs: Vec<Job<'_>>,
    ) -> Outcome {
        let takes_strangers = self.options.takes_strangers();
        let run = self.run;
        let plan = Plan {
            name,
            goal,
            warmup: self.options.warmup(),
            has_consumers,
            is_quiet: self.options.quiet,
            clock: self.clock,
            fresh: &|| Tally::new(run, takes_strangers),
        };
        phase::run(&plan, jobs)
    }
}

/// Differs between runs, also of one moment on one machine.
fn run_id() -> RunId {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |elapsed| elapsed.as_nanos() as u64);
    RunId(nanos ^ (u64::from(std::process::id()) << 40))
}

/// Milliseconds since 1970, as messages carry them.
fn wall_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_millis() as i64)
}

/// What this process has used of its processors.
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// The most memory this process has held; 0 where the system does not tell.
fn peak_rss_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}
