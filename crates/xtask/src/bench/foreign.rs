//! The generators that the peers' own people use: PerfTest, a program on JMS, Apache's benchmark classes.
//!
//! Each tells its rates once a second and is stopped when enough was heard; the account of the broker is read at the
//! first and the last of the measured lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::load::{Measured, TOPIC, median};
use super::peers::{Running, guarded};
use super::{Plan, install, places};

/// A generator that says nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// One second as a foreign generator tells it.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
struct Second {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// How a foreign generator is read.
pub struct Foreign {
    commands: Vec<Command>,
    /// Reads a line of the first command.
    read: fn(&str) -> Option<Second>,
    /// A line tells the average of so many seconds up to it.
    span: u64,
}

fn java(class_path: &str) -> Command {
    let mut command = guarded(Path::new("java"));
    command.args(["-Xms256m", "-Xmx1g", "-cp", class_path]);
    command
}

pub fn perf_test(running: &Running, pairs: u32, plan: &Plan) -> Foreign {
    let mut command = java(&places::class_path(None, install::PERFTEST));
    let uri = format!("amqp://guest:guest@127.0.0.1:{}", running.ports.amqp());
    let (pairs, seconds) = (pairs.to_string(), plan.warmup_s + plan.seconds + 20);
    command
        .args([
            "com.rabbitmq.perf.PerfTest",
            "--uri",
            &uri,
            "-x",
            &pairs,
            "-y",
            &pairs,
        ])
        .args([
            "-f",
            "persistent",
            "-c",
            "1000",
            "-q",
            "1000",
            "-s",
            "1024",
            "-mf",
            "default",
        ])
        .args(["-ad", "false", "-z", &seconds.to_string()]);
    if pairs == "1" {
        command.args(["-u", "bench"]);
    } else {
        command.args(["-qp", "bench-%d", "-qpf", "1", "-qpt", &pairs]);
    }
    Foreign {
        commands: vec![command],
        read: perf_test_line,
        span: 1,
    }
}

/// `id: …, time 3.000 s, sent: 22917 msg/s, returned: …, received: 22801 msg/s, min/median/75th/95th/99th consumer
/// latency: …/… µs, confirm latency: min/median/75th/95th/99th µs`.
fn perf_test_line(line: &str) -> Option<Second> {
    let number = |name: &str| -> Option<f64> {
        let rest = line.split_once(name)?.1;
        rest.split_whitespace().next()?.parse().ok()
    };
    line.split_once(", time ")?;
    let confirms = line
        .rsplit_once("confirm latency: ")
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .next()
        .unwrap_or("");
    let quantiles: Vec<f64> = confirms
        .split('/')
        .filter_map(|part| part.parse().ok())
        .collect();
    Some(Second {
        per_second: number("received: ")?,
        p50_us: quantiles.get(1).copied().unwrap_or(0.0),
        p99_us: quantiles.get(4).copied().unwrap_or(0.0),
    })
}

pub fn jms(running: &Running, pairs: u32, plan: &Plan) -> Foreign {
    let mut command = java(&places::class_path(
        Some(&places::classes()),
        install::ACTIVEMQ,
    ));
    let uri = format!("tcp://127.0.0.1:{}", running.ports.openwire());
    let pairs = pairs.to_string();
    let seconds = (plan.warmup_s + plan.seconds + 20).to_string();
    command.args([
        "troika.bench.Jms",
        &uri,
        &pairs,
        &pairs,
        &pairs,
        "1024",
        &seconds,
    ]);
    Foreign {
        commands: vec![command],
        read: jms_line,
        span: 1,
    }
}

fn jms_line(line: &str) -> Option<Second> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |name: &str| -> Option<f64> {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    Some(Second {
        per_second: number("received")?,
        p50_us: number("send-p50-us")?,
        p99_us: number("send-p99-us")?,
    })
}

pub fn apache(running: &Running, threads: u32) -> Foreign {
    let names = format!("127.0.0.1:{}", running.ports.nameserver());
    let class = |name: &str| {
        let mut command = java(&places::class_path(None, install::ROCKETMQ));
        command
            .arg(format!("org.apache.rocketmq.example.benchmark.{name}"))
            .args(["-n", &names, "-t", TOPIC]);
        command
    };
    let mut producer = class("Producer");
    producer.args(["-w", &threads.to_string(), "-s", "1024", "-ri", "1000"]);
    let mut consumer = class("Consumer");
    consumer.args(["-g", "benchmark_consumer", "-p", "false"]);
    Foreign {
        commands: vec![producer, consumer],
        read: apache_line,
        span: 9,
    }
}

/// `Current Time: … | Send TPS: 23456 | Max RT(ms): 50 | …`.
fn apache_line(line: &str) -> Option<Second> {
    let number = |name: &str| -> Option<f64> {
        let rest = line.split_once(name)?.1.trim_start();
        rest.split([' ', '|']).next()?.parse().ok()
    };
    Some(Second {
        per_second: number("Send TPS:")?,
        // Of latencies only an average is told, which compares with nothing else here.
        ..Second::default()
    })
}

/// Ends with its value.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Foreign {
    pub fn measure(mut self, running: &Running, plan: &Plan) -> Result<Measured, String> {
        let home = places::installed().join("generator");
        fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let mut children = Children(Vec::new());
        let mut first = None;
        for mut command in std::mem::take(&mut self.commands) {
            let is_first = first.is_none();
            command
                .current_dir(&home)
                .env("HOME", &home)
                .env(
                    "JAVA_TOOL_OPTIONS",
                    format!("-Duser.home={}", home.display()),
                )
                .stdin(Stdio::null())
                .stdout(if is_first {
                    Stdio::piped()
                } else {
                    Stdio::null()
                })
                .stderr(Stdio::null());
            let mut child = command.spawn().map_err(|error| format!("java: {error}"))?;
            if is_first {
                first = child.stdout.take();
            }
            children.0.push(child);
        }
        let seconds = self.seconds_of(first.ok_or("a generator has no standard output")?);
        let next = || {
            seconds
                .recv_timeout(SILENCE_MAX)
                .map_err(|_| format!("the generator for {} says nothing", running.broker.name()))
        };
        for _ in 0..plan.warmup_s {
            next()?;
        }
        running.tree.forget_peak();
        let before = running.tree.usage();
        let mut heard = Vec::new();
        for at in 1..=plan.seconds.next_multiple_of(self.span) {
            let second = next()?;
            if at % self.span == 0 {
                heard.push(second);
            }
        }
        let spent = before.until(&running.tree.usage());
        let peak = running.tree.peak_bytes();
        drop(children);
        let per_second = heard.iter().map(|s| s.per_second).sum::<f64>() / heard.len() as f64;
        Ok(Measured {
            p50_us: median(heard.iter().map(|s| s.p50_us).collect()),
            p99_us: median(heard.iter().map(|s| s.p99_us).collect()),
            ..Measured::new(&spent, per_second, per_second * spent.elapsed_s, peak)
        })
    }

    fn seconds_of(&self, stdout: ChildStdout) -> Receiver<Second> {
        let (tell, seconds) = mpsc::channel();
        let read = self.read;
        // It reads on after the last line that is wanted, so that nobody blocks on a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(second) = read(&line) {
                    let _ = tell.send(second);
                }
            }
        });
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_foreign_generators_are_read() {
        let line = "id: test-1, time 3.000 s, sent: 22917 msg/s, returned: 0 msg/s, confirmed: 22917 msg/s, \
                    nacked: 0 msg/s, received: 22801 msg/s, min/median/75th/95th/99th consumer latency: \
                    1/2/3/4/5 µs, confirm latency: 6/7/8/9/10 µs";
        let second = Second {
            per_second: 22801.0,
            p50_us: 7.0,
            p99_us: 10.0,
        };
        assert_eq!(perf_test_line(line), Some(second));
        assert_eq!(
            perf_test_line("id: test-1, sending rate avg: 1 msg/s"),
            None
        );
        let second = Second {
            per_second: 11.0,
            p50_us: 3.0,
            p99_us: 4.0,
        };
        assert_eq!(
            jms_line("sent 12 received 11 send-p50-us 3 send-p99-us 4"),
            Some(second)
        );
        let line = "Current Time: 2026-11-21 | Send TPS: 23456 | Max RT(ms): 50 | Send Failed: 0";
        let second = Second {
            per_second: 23456.0,
            ..Second::default()
        };
        assert_eq!(apache_line(line), Some(second));
    }
}
