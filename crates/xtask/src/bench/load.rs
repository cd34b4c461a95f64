//! The load: our generator, and in `foreign` those that the peers' own people use. Ours tells exact counts at its
//! end, so that the account of the broker covers its whole run.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::account::Spent;
use super::peers::{Broker, Running};
use super::{Plan, Subject, foreign, places};

/// How long our generator may take beyond its time.
const GRACE_S: u64 = 60;
/// The topic of Apache's classes and ours.
pub const TOPIC: &str = "BenchT8";

/// What is put on a broker.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// RabbitMQ's PerfTest: persistent, confirms in a window of 1000, manual acks, prefetch 1000.
    PerfTest { pairs: u32 },
    /// A JMS program of ours: synchronous persistent sends, automatic acks.
    Jms { pairs: u32 },
    /// Apache's benchmark Producer with these threads, and its Consumer.
    Apache { threads: u32 },
    /// Our generator as fast as its windows allow.
    Ours { shape: Shape },
    /// Our generator at a rate per second.
    Paced { shape: Shape, rate: f64 },
}

/// What our generator opens.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    pub subject: Subject,
    pub producers: u32,
    pub consumers: u32,
    pub queues: u32,
    /// Unconfirmed messages of one producer.
    pub window: u32,
}

/// One run, or the medians of several.
#[derive(Clone, Copy, Default, Debug)]
pub struct Measured {
    pub per_second: f64,
    pub cpu_us: f64,
    pub peak_mb: f64,
    pub written_bytes: f64,
    pub switches: f64,
    /// A second; the disk's.
    pub flushes: f64,
    /// Confirm latency; zero where the generator does not tell.
    pub p50_us: f64,
    pub p99_us: f64,
    /// Of the generator, per message; zero where it does not tell.
    pub generator_us: f64,
    /// Sends that the real broker turned down because it was busy; our own may turn down none.
    pub refused: f64,
}

impl Measured {
    pub fn new(spent: &Spent, per_second: f64, messages: f64, peak_bytes: u64) -> Measured {
        let messages = messages.max(1.0);
        Measured {
            per_second,
            cpu_us: spent.cpu_s * 1e6 / messages,
            peak_mb: peak_bytes as f64 / 1e6,
            written_bytes: spent
                .disk
                .map_or(f64::NAN, |disk| disk.written_bytes as f64 / messages),
            switches: spent.switches as f64 / messages,
            flushes: spent
                .disk
                .map_or(f64::NAN, |disk| disk.flushes as f64 / spent.elapsed_s),
            ..Measured::default()
        }
    }

    /// The median of every figure.
    pub fn median(runs: &[Measured]) -> Measured {
        let of = |figure: fn(&Measured) -> f64| median(runs.iter().map(figure).collect());
        Measured {
            per_second: of(|m| m.per_second),
            cpu_us: of(|m| m.cpu_us),
            peak_mb: of(|m| m.peak_mb),
            written_bytes: of(|m| m.written_bytes),
            switches: of(|m| m.switches),
            flushes: of(|m| m.flushes),
            p50_us: of(|m| m.p50_us),
            p99_us: of(|m| m.p99_us),
            generator_us: of(|m| m.generator_us),
            refused: of(|m| m.refused),
        }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

impl Load {
    /// The rate that is asked for, if there is one.
    pub fn asked(self) -> Option<f64> {
        match self {
            Load::Paced { rate, .. } => Some(rate),
            Load::PerfTest { .. } | Load::Jms { .. } | Load::Apache { .. } | Load::Ours { .. } => {
                None
            }
        }
    }

    pub fn measure(
        self,
        running: &Running,
        plan: &Plan,
        troika: &Path,
    ) -> Result<Measured, String> {
        match self {
            Load::PerfTest { pairs } => {
                foreign::perf_test(running, pairs, plan).measure(running, plan)
            }
            Load::Jms { pairs } => foreign::jms(running, pairs, plan).measure(running, plan),
            Load::Apache { threads } => {
                running.create_topic(TOPIC)?;
                foreign::apache(running, threads).measure(running, plan)
            }
            Load::Ours { shape } => ours(running, &shape, None, plan, troika),
            Load::Paced { shape, rate } => ours(running, &shape, Some(rate), plan, troika),
        }
    }
}

fn ours(
    running: &Running,
    shape: &Shape,
    rate: Option<f64>,
    plan: &Plan,
    troika: &Path,
) -> Result<Measured, String> {
    if shape.subject == Subject::Rocketmq {
        running.create_topic(TOPIC)?;
    }
    // A virtual machine compiles what it runs: its first seconds are not its measure.
    generate(running, shape, rate, plan.warmup_s, troika)?;
    running.tree.forget_peak();
    let before = running.tree.usage();
    let told = generate(running, shape, rate, plan.seconds, troika)?;
    let spent = before.until(&running.tree.usage());
    let peak = running.tree.peak_bytes();
    let number = |path: &str| {
        told.pointer(path)
            .and_then(Value::as_f64)
            .unwrap_or(f64::NAN)
    };
    let per_second = if shape.consumers == 0 {
        number("/rates/confirmed")
    } else {
        number("/rates/received").min(number("/rates/confirmed"))
    };
    Ok(Measured {
        p50_us: number("/confirm_us/p50"),
        p99_us: number("/confirm_us/p99"),
        generator_us: number("/generator/cpu_us_per_message"),
        refused: number("/errors"),
        ..Measured::new(&spent, per_second, number("/confirmed"), peak)
    })
}

/// Runs our generator and returns what it tells.
fn generate(
    running: &Running,
    shape: &Shape,
    rate: Option<f64>,
    seconds: u64,
    troika: &Path,
) -> Result<Value, String> {
    let file = places::installed().join("generator.json");
    let _ = fs::remove_file(&file);
    let (port, user, password) = match shape.subject {
        Subject::Openwire => (running.ports.openwire(), "admin", "admin"),
        Subject::Rocketmq => (running.ports.nameserver(), "", ""),
        Subject::Amqp | Subject::Memory | Subject::Routing | Subject::Instructions => {
            (running.ports.amqp(), "guest", "guest")
        }
    };
    // The real broker would wait for a disk that has become slow: the generator is ended in any case.
    let mut command = Command::new("timeout");
    command
        .arg((seconds + GRACE_S).to_string())
        .arg(troika)
        .args(["bench", shape.subject.name(), "--port", &port.to_string()])
        .args(["--time", &seconds.to_string(), "--size", "1024", "--quiet"])
        .args(["--producers", &shape.producers.to_string()])
        .args(["--consumers", &shape.consumers.to_string()])
        .args(["--window", &shape.window.to_string()])
        .arg("--json")
        .arg(&file);
    if shape.subject == Subject::Rocketmq {
        command.args(["--queue", TOPIC]);
    } else {
        command.args(["--queues", &shape.queues.to_string(), "--prefetch", "1000"]);
        command.args(["--user", user, "--password", password]);
    }
    if let Some(rate) = rate {
        // Latencies are asked for: the generator's own rests are not to be among them.
        command.args(["--rate", &format!("{rate:.0}"), "--pause", "0"]);
    }
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", troika.display()))?;
    let told = fs::read_to_string(&file).unwrap_or_default();
    let told: Value = serde_json::from_str(&told).unwrap_or(Value::Null);
    let confirmed = told
        .pointer("/confirmed")
        .and_then(Value::as_f64)
        .unwrap_or(0.0);
    let errors = told
        .pointer("/errors")
        .and_then(Value::as_f64)
        .unwrap_or(1.0);
    // RocketMQ refuses sends while it is busy; that is told, and no reason to stop.
    let is_fatal = running.broker == Broker::Troika && (errors > 0.0 || !output.status.success());
    if is_fatal || confirmed == 0.0 {
        let error = told
            .pointer("/error")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let complained = String::from_utf8_lossy(&output.stderr);
        let (name, status) = (running.broker.name(), output.status);
        return Err(format!(
            "troika bench against {name}: {status}: {error} {complained}"
        ));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
