//! What a run is asked to do, and which producer or consumer has to do with which queue.

use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::payload::STAMP_BYTES;

/// Messages per second that nobody needs; above it the gap between two sends is below a nanosecond.
const RATE_MAX: u64 = 1_000_000_000;
/// The largest body, as the default of the strictest peer has it.
const SIZE_MAX: usize = 4 << 20;
/// Sends in flight per producer; each costs the generator up to 64 bytes.
const WINDOW_MAX: usize = 1 << 20;
/// Messages per pull that Apache's client asks for; its broker gives no more.
const PULL_MESSAGES: u16 = 32;
const PREFETCH: u16 = 1000;
/// Fill, drain and churn have no use for more.
const SEATS_MAX: usize = 10_000;

/// The wire that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Amqp,
    #[value(name = "openwire")]
    OpenWire,
    #[value(name = "rocketmq")]
    RocketMq,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Amqp => "amqp",
            Protocol::OpenWire => "openwire",
            Protocol::RocketMq => "rocketmq",
        }
    }

    fn port(self) -> u16 {
        match self {
            Protocol::Amqp => 5672,
            Protocol::OpenWire => 61616,
            Protocol::RocketMq => 9876,
        }
    }

    fn credentials(self) -> &'static str {
        match self {
            Protocol::Amqp => "guest",
            Protocol::OpenWire | Protocol::RocketMq => "admin",
        }
    }
}

/// What is opened and closed over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Churn {
    /// Connect, open what a client opens, close
    Connections,
    /// Declare and delete: a queue, a temporary queue, a topic
    Queues,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Flow,
    Fill(u64),
    Drain,
    FillDrain(u64),
    Churn(Churn),
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Flow => "flow",
            Mode::Fill(_) => "fill",
            Mode::Drain => "drain",
            Mode::FillDrain(_) => "fill-drain",
            Mode::Churn(Churn::Connections) => "churn-connections",
            Mode::Churn(Churn::Queues) => "churn-queues",
        }
    }
}

/// Load a broker, Troika or another, and measure throughput and latency
///
/// Latencies count from the moment at which a message was due, so that a broker that stalls cannot
/// hide it by holding up the generator (coordinated omission). Without --rate everything is sent as
/// fast as the windows allow, and a message is due when it is sent.
///
/// Producer i sends to the queues i, i + producers, ...; consumers likewise, so that every queue has
/// at least one of each. On RocketMQ a "queue" is a topic, and its consumers share its message
/// queues; a topic that does not exist is made, with 8 message queues, and removed at the end.
/// OpenWire's --window 1 is the synchronous send of JMS; a larger one sends on without waiting and
/// is answered all the same. --window 0 asks for no confirm at all.
///
/// A run ends when --messages have been sent, confirmed and received, or else after --time, when what
/// is under way has arrived. It fails (exit code 1) when something was refused or a connection lost.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// The wire to speak
    pub protocol: Protocol,
    /// The broker's address
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// [default: 5672, 61616, or 9876, the NameServer]
    #[arg(long)]
    pub port: Option<u16>,
    /// [default: guest, or admin on OpenWire]
    #[arg(long)]
    pub user: Option<String>,
    /// [default: the default user's name]
    #[arg(long)]
    pub password: Option<String>,
    /// AMQP's virtual host
    #[arg(long, default_value = "/")]
    pub vhost: String,
    #[arg(long, default_value_t = 1, value_parser = seats)]
    pub producers: usize,
    #[arg(long, default_value_t = 1, value_parser = seats)]
    pub consumers: usize,
    #[arg(long, default_value_t = 1, value_parser = seats)]
    pub queues: usize,
    /// Name of the queue; several are called NAME-0, NAME-1, ...
    #[arg(long, value_name = "NAME", default_value = "bench")]
    pub queue: String,
    /// Bytes of a body
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = size)]
    pub size: usize,
    /// Send messages that need not survive the broker (RocketMQ keeps all)
    #[arg(long)]
    pub transient: bool,
    /// AMQP: declare queues that do not survive the broker
    #[arg(long)]
    pub volatile_queues: bool,
    /// Sends of one producer that may be unanswered; 0 asks for no answers
    #[arg(long, default_value_t = 1000, value_parser = window)]
    pub window: usize,
    /// Messages per consumer that may be unacknowledged; RocketMQ: messages per pull [default: 1000,
    /// RocketMQ 32]
    #[arg(long)]
    pub prefetch: Option<u16>,
    /// Acknowledge up to so many deliveries at once, if they came together
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub ack_every: u32,
    /// AMQP: let deliveries count as acknowledged when sent
    #[arg(long)]
    pub auto_ack: bool,
    /// Messages per second of all producers, whether the broker keeps up or not
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    pub rate: Option<u64>,
    /// Seconds to send for
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub time: f64,
    /// Send so many messages instead
    #[arg(long, value_name = "N")]
    pub messages: Option<u64>,
    /// Seconds before the measured ones
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pub warmup: f64,
    /// Send N messages with nobody consuming
    #[arg(long, value_name = "N", conflicts_with_all = ["messages", "warmup"])]
    pub fill: Option<u64>,
    /// Consume until there is nothing more: what --fill has sent, or what was there
    #[arg(long, conflicts_with = "warmup")]
    pub drain: bool,
    /// Open and close instead, in as many loops as there are --producers
    #[arg(long, conflicts_with_all = ["fill", "drain", "warmup"])]
    pub churn: Option<Churn>,
    /// Threads that share the connections
    #[arg(long, default_value_t = 1, value_parser = seats)]
    pub threads: usize,
    /// Rest of the generator between two turns under load, so that it does not wake for each
    /// message; latencies grow by at most that
    #[arg(long, value_name = "MICROS", default_value_t = 100)]
    pub pause: u32,
    /// Leave the queues there at the end
    #[arg(long)]
    pub keep: bool,
    /// Write the results there
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// No line per second
    #[arg(long)]
    pub quiet: bool,
}

const EXAMPLES: &str = "Examples:
  troika bench amqp --producers 8 --consumers 8 --queues 8 --time 20
  troika bench amqp --rate 20000 --warmup 3 --json latency.json
  troika bench openwire --producers 8 --consumers 8 --queues 8 --window 1
  troika bench rocketmq --producers 64 --window 1 --consumers 0
  troika bench amqp --fill 1000000 --drain
  troika bench amqp --churn connections --producers 4";

fn bounded(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(format!("not a number from {least} to {most}")),
    }
}

fn seats(text: &str) -> Result<usize, String> {
    bounded(text, 0, SEATS_MAX)
}

/// A body has room for the stamp that latency and identity are read from.
fn size(text: &str) -> Result<usize, String> {
    bounded(text, STAMP_BYTES, SIZE_MAX)
}

fn window(text: &str) -> Result<usize, String> {
    bounded(text, 0, WINDOW_MAX)
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("not a number of seconds".into()),
    }
}

impl Options {
    /// What the flags cannot say one by one.
    pub fn check(&self) -> Result<(), String> {
        let amqp = self.protocol == Protocol::Amqp;
        if self.auto_ack && !amqp {
            return Err("--auto-ack is for amqp only".into());
        }
        if self.volatile_queues && !amqp {
            return Err("--volatile-queues is for amqp only".into());
        }
        if self.ack_every == 0 || self.threads == 0 || self.queues == 0 {
            return Err("--ack-every, --threads and --queues must not be 0".into());
        }
        match self.mode() {
            Mode::Churn(_) | Mode::Fill(_) if self.producers == 0 => {
                Err("--producers must not be 0".into())
            }
            Mode::Drain if self.consumers == 0 => Err("--consumers must not be 0".into()),
            Mode::FillDrain(_) if self.producers == 0 || self.consumers == 0 => {
                Err("--producers and --consumers must not be 0".into())
            }
            Mode::Flow if self.producers == 0 && self.consumers == 0 => {
                Err("neither a producer nor a consumer".into())
            }
            Mode::Flow
            | Mode::Fill(_)
            | Mode::Drain
            | Mode::FillDrain(_)
            | Mode::Churn(Churn::Connections | Churn::Queues) => Ok(()),
        }
    }

    pub fn mode(&self) -> Mode {
        match (self.churn, self.fill, self.drain) {
            (Some(churn), _, _) => Mode::Churn(churn),
            (None, Some(messages), true) => Mode::FillDrain(messages),
            (None, Some(messages), false) => Mode::Fill(messages),
            (None, None, true) => Mode::Drain,
            (None, None, false) => Mode::Flow,
        }
    }

    /// Whether all that arrives counts, not only what this run has sent.
    pub fn takes_strangers(&self) -> bool {
        self.mode() == Mode::Drain || self.producers == 0
    }

    pub fn target(&self) -> Result<SocketAddr, String> {
        let port = self.port.unwrap_or(self.protocol.port());
        resolve(&self.host, port)
    }

    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(self.protocol.credentials())
    }

    pub fn password(&self) -> &str {
        self.password
            .as_deref()
            .unwrap_or(self.protocol.credentials())
    }

    pub fn prefetch(&self) -> u16 {
        self.prefetch.unwrap_or(match self.protocol {
            Protocol::Amqp | Protocol::OpenWire => PREFETCH,
            Protocol::RocketMq => PULL_MESSAGES,
        })
    }

    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }

    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.time)
    }

    pub fn queue_name(&self, number: usize) -> String {
        if self.queues == 1 {
            self.queue.clone()
        } else {
            format!("{}-{number}", self.queue)
        }
    }

    /// The names of the queues of one producer or consumer; see [`share`].
    pub fn queue_names(&self, number: usize, count: usize) -> Vec<String> {
        let mine = share(number, count, self.queues);
        mine.map(|queue| self.queue_name(queue)).collect()
    }
}

pub fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|e| format!("cannot resolve {host}: {e}"))?;
    found.next().ok_or_else(|| format!("{host} has no address"))
}

/// The queues of producer or consumer `number` of `count`: in turn if there are more of them than
/// queues, else every `count`th.
pub fn share(number: usize, count: usize, queues: usize) -> impl Iterator<Item = usize> {
    let step = if count < queues { count } else { queues };
    (number % queues..queues).step_by(step)
}

/// Part `number` of `total` things among `count`; the parts add up.
pub fn portion(total: u64, number: usize, count: usize) -> u64 {
    let (number, count) = (number as u64, count as u64);
    total / count + u64::from(number < total % count)
}

/// Of `count` seats, those of thread `thread` of `threads`.
pub fn seats_of_thread(count: usize, thread: usize, threads: usize) -> Range<usize> {
    count * thread / threads..count * (thread + 1) / threads
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> Result<Options, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|e| e.to_string())?;
        line.options.check()?;
        Ok(line.options)
    }

    #[test]
    fn modes_follow_from_flags() {
        for (line, mode) in [
            ("amqp", Mode::Flow),
            ("openwire --fill 5", Mode::Fill(5)),
            ("rocketmq --fill 5 --drain", Mode::FillDrain(5)),
            ("amqp --drain --producers 0", Mode::Drain),
            ("amqp --churn queues", Mode::Churn(Churn::Queues)),
        ] {
            assert_eq!(parse(line).unwrap().mode(), mode, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "stomp",
            "amqp --size 15",
            "amqp --rate 0",
            "amqp --time -1",
            "openwire --auto-ack",
            "rocketmq --volatile-queues",
            "amqp --churn queues --fill 3",
            "amqp --fill 3 --messages 3",
            "amqp --producers 0 --consumers 0",
            "amqp --drain --consumers 0",
            "amqp --threads 0",
            "amqp --ack-every 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn defaults_are_the_protocols() {
        let amqp = parse("amqp").unwrap();
        assert_eq!(amqp.target().unwrap().to_string(), "127.0.0.1:5672");
        assert_eq!((amqp.user(), amqp.prefetch()), ("guest", 1000));
        let rocketmq = parse("rocketmq --port 1 --queues 2").unwrap();
        assert_eq!(rocketmq.target().unwrap().port(), 1);
        assert_eq!(rocketmq.prefetch(), 32);
        assert_eq!(rocketmq.queue_name(1), "bench-1");
        assert_eq!(amqp.queue_name(0), "bench");
    }

    #[test]
    fn every_queue_has_someone_and_every_seat_a_queue() {
        for count in 1..9 {
            for queues in 1..9 {
                let mut seen = vec![0; queues];
                for number in 0..count {
                    let mine: Vec<_> = share(number, count, queues).collect();
                    assert!(!mine.is_empty(), "{number} of {count} at {queues}");
                    mine.into_iter().for_each(|queue| seen[queue] += 1);
                }
                let most = seen.iter().max().unwrap();
                let least = seen.iter().min().unwrap();
                assert!(
                    *least >= 1 && most - least <= 1,
                    "{count} {queues}: {seen:?}"
                );
            }
        }
    }

    #[test]
    fn portions_and_threads_add_up() {
        for (total, count) in [(0, 1), (10, 3), (2000, 7), (5, 8)] {
            let sum: u64 = (0..count).map(|n| portion(total, n, count)).sum();
            assert_eq!(sum, total);
            let seats: usize = (0..count)
                .map(|thread| seats_of_thread(total as usize, thread, count).len())
                .sum();
            assert_eq!(seats as u64, total);
        }
    }
}
