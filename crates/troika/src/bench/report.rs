//! What a run tells: a line per second, a table at the end, and the same as JSON.
//!
//! The JSON is read by other tools; its shape is [`Report`], format [`FORMAT`]. Latencies are in
//! microseconds.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::histogram::Summary;
use super::options::{Mode, Options};
use super::phase::Outcome;
use super::tally::{Counts, Tally};

/// Grows when a reader of the JSON would have to change.
pub const FORMAT: u32 = 1;

#[derive(Debug, Serialize)]
pub struct Report {
    format: u32,
    protocol: &'static str,
    /// flow, fill, drain, fill-drain, churn-connections or churn-queues.
    mode: &'static str,
    target: String,
    options: Asked,
    elapsed_s: f64,
    sent: u64,
    confirmed: u64,
    received: u64,
    redelivered: u64,
    strangers: u64,
    errors: u64,
    error: String,
    rates: Rates,
    confirm_us: Summary,
    delivery_us: Summary,
    generator: Generator,
    phases: Vec<Phase>,
    churn: Cycles,
    seconds: Vec<Second>,
}

#[derive(Debug, Serialize)]
struct Asked {
    producers: usize,
    consumers: usize,
    queues: usize,
    size: usize,
    persistent: bool,
    window: usize,
    prefetch: u16,
    /// 0 if only the windows bounded it.
    rate: u64,
    auto_ack: bool,
    ack_every: u32,
    threads: usize,
    pause_us: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Rates {
    sent: f64,
    confirmed: f64,
    received: f64,
}

#[derive(Debug, Serialize)]
struct Generator {
    cpu_s: f64,
    cpu_us_per_message: f64,
    peak_rss_kb: u64,
}

#[derive(Debug, Serialize)]
struct Phase {
    name: &'static str,
    elapsed_s: f64,
    messages: u64,
    per_second: f64,
    cpu_s: f64,
}

#[derive(Debug, Default, Serialize)]
struct Cycles {
    operations: u64,
    per_second: f64,
    cycle_us: Summary,
}

/// One second of the progress, or what a slow second came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Second {
    at_s: f64,
    pub sent: u64,
    confirmed: u64,
    received: u64,
    confirm_p99_us: u64,
    delivery_p99_us: u64,
}

impl Second {
    pub fn of(number: usize, tally: &Tally) -> Second {
        Second {
            at_s: number as f64,
            sent: tally.counts.sent,
            confirmed: tally.counts.confirmed,
            received: tally.counts.received,
            confirm_p99_us: tally.confirm.p99(),
            delivery_p99_us: tally.delivery.p99(),
        }
    }
}

pub fn print_second(second: &Second, tally: &Tally) {
    let Second {
        at_s,
        sent,
        confirmed,
        received,
        ..
    } = second;
    let (confirm, delivery) = (tally.confirm.summary(), tally.delivery.summary());
    println!(
        "{at_s:>5.0} s  sent {sent:>8}  confirmed {confirmed:>8}  received {received:>8}  \
         confirm p50 {:>7} p99 {:>7} µs  delivery p50 {:>7} p99 {:>7} µs",
        confirm.p50, confirm.p99, delivery.p50, delivery.p99
    );
}

fn per_second(count: u64, elapsed_s: f64) -> f64 {
    if elapsed_s > 0.0 {
        count as f64 / elapsed_s
    } else {
        0.0
    }
}

impl Report {
    pub fn new(
        options: &Options,
        target: String,
        outcomes: &[Outcome],
        peak_rss_kb: u64,
    ) -> Report {
        let mut counts = Counts::default();
        let mut rates = Rates::default();
        let (mut elapsed_s, mut cpu_s, mut messages) = (0.0, 0.0, 0);
        let mut phases = Vec::new();
        for outcome in outcomes {
            counts.add(outcome.counts);
            elapsed_s += outcome.elapsed_s;
            cpu_s += outcome.cpu_s;
            let of = |count| per_second(count, outcome.elapsed_s);
            // Only one of the phases sends, and only one receives.
            rates.sent += of(outcome.measured.sent);
            rates.confirmed += of(outcome.measured.confirmed);
            rates.received += of(outcome.measured.received);
            let done = outcome.measured.confirmed.max(outcome.measured.received);
            messages += done;
            phases.push(Phase {
                name: outcome.name,
                elapsed_s: outcome.elapsed_s,
                messages: done,
                per_second: of(done),
                cpu_s: outcome.cpu_s,
            });
        }
        let latencies = |of: fn(&Outcome) -> Summary| {
            let summaries = outcomes.iter().map(of);
            summaries.max_by_key(|s| s.count).unwrap_or_default()
        };
        let confirm = latencies(|outcome| outcome.confirm.summary());
        let is_churn = matches!(options.mode(), Mode::Churn(_));
        let churn = if is_churn {
            Cycles {
                operations: counts.confirmed,
                per_second: rates.confirmed,
                cycle_us: confirm,
            }
        } else {
            Cycles::default()
        };
        let error = outcomes.iter().find_map(|outcome| outcome.error.clone());
        Report {
            format: FORMAT,
            protocol: options.protocol.name(),
            mode: options.mode().name(),
            target,
            options: Asked {
                producers: options.producers,
                consumers: options.consumers,
                queues: options.queues,
                size: options.size,
                persistent: !options.transient,
                window: options.window,
                prefetch: options.prefetch(),
                rate: options.rate.unwrap_or(0),
                auto_ack: options.auto_ack,
                ack_every: options.ack_every,
                threads: options.threads,
                pause_us: options.pause,
            },
            elapsed_s,
            sent: counts.sent,
            confirmed: counts.confirmed,
            received: counts.received,
            redelivered: counts.redelivered,
            strangers: counts.strangers,
            errors: counts.errors,
            error: error.unwrap_or_default(),
            rates,
            confirm_us: if is_churn {
                Summary::default()
            } else {
                confirm
            },
            delivery_us: latencies(|outcome| outcome.delivery.summary()),
            generator: Generator {
                cpu_s,
                cpu_us_per_message: if messages == 0 {
                    0.0
                } else {
                    cpu_s * 1e6 / messages as f64
                },
                peak_rss_kb,
            },
            phases,
            churn,
            seconds: outcomes.iter().flat_map(|o| o.seconds.clone()).collect(),
        }
    }

    pub fn errors(&self) -> u64 {
        self.errors
    }

    pub fn error(&self) -> &str {
        &self.error
    }

    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        text.push('\n');
        fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
    }

    pub fn print(&self) {
        println!();
        println!("{} {} at {}", self.protocol, self.mode, self.target);
        if self.mode.starts_with("churn") {
            let Cycles {
                operations,
                per_second,
                cycle_us,
            } = &self.churn;
            println!("{operations} cycles, {per_second:.1} a second");
            print_latencies("cycle", cycle_us);
        } else {
            println!(
                "  {:<10} {:>12} {:>14} {:>10}",
                "", "messages", "a second", "MB/s"
            );
            for (name, count, rate) in [
                ("sent", self.sent, self.rates.sent),
                ("confirmed", self.confirmed, self.rates.confirmed),
                ("received", self.received, self.rates.received),
            ] {
                let megabytes = rate * self.options.size as f64 / 1e6;
                println!("  {name:<10} {count:>12} {rate:>14.1} {megabytes:>10.1}");
            }
            print_latencies("confirm", &self.confirm_us);
            print_latencies("delivery", &self.delivery_us);
        }
        for phase in &self.phases {
            println!(
                "  {:<10} {:>12} {:>14.1} a second in {:.3} s",
                phase.name, phase.messages, phase.per_second, phase.elapsed_s
            );
        }
        println!(
            "  generator  {:.2} µs of CPU per message, {:.0} % of a core, {:.1} MB at most",
            self.generator.cpu_us_per_message,
            100.0 * self.generator.cpu_s / self.elapsed_s.max(1e-9),
            self.generator.peak_rss_kb as f64 / 1024.0
        );
        if self.redelivered + self.strangers + self.errors > 0 {
            println!(
                "  {} redelivered, {} of other runs, {} errors",
                self.redelivered, self.strangers, self.errors
            );
        }
    }
}

fn print_latencies(name: &str, summary: &Summary) {
    if summary.count == 0 {
        return;
    }
    println!(
        "  {name:<10} µs: min {} mean {:.0} p50 {} p90 {} p99 {} p99.9 {} p99.99 {} max {}",
        summary.min,
        summary.mean,
        summary.p50,
        summary.p90,
        summary.p99,
        summary.p999,
        summary.p9999,
        summary.max
    );
}
