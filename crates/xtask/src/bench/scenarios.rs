//! What is compared with whom, and what is to be reached.

use super::Subject;
use super::load::{Load, Measured, Shape};
use super::peers::Broker;

/// One comparison: the same load on two brokers.
pub struct Scenario {
    /// Of the picture's file.
    pub name: &'static str,
    pub title: &'static str,
    /// The load in words.
    pub load_words: &'static str,
    pub peer: Broker,
    pub work: Work,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Work {
    /// As much as goes.
    Full(Load),
    /// Half of what the real broker reached in the scenario of that name.
    HalfOf(&'static str, Shape),
}

/// A finished comparison, medians.
pub struct Compared {
    pub scenario: Scenario,
    pub peer: Measured,
    pub troika: Measured,
    /// Messages per second that were asked of both, if not as much as goes.
    pub asked: Option<f64>,
}

/// The real broker of a protocol, with the durability that we have.
fn peer(subject: Subject) -> Broker {
    match subject {
        Subject::Amqp => Broker::RabbitMq,
        Subject::Openwire => Broker::ActiveMq,
        Subject::Rocketmq => Broker::RocketMq,
        Subject::Memory | Subject::Routing | Subject::Instructions => Broker::Troika,
    }
}

pub fn of(subject: Subject) -> Vec<Scenario> {
    let shape = |pairs: u32, window: u32| Shape {
        subject,
        producers: pairs,
        consumers: pairs,
        queues: pairs,
        window,
    };
    let peer = peer(subject);
    match subject {
        Subject::Amqp => vec![
            Scenario {
                name: "amqp-perftest-1x1",
                title: "AMQP, PerfTest, 1 producer, 1 consumer, 1 queue",
                load_words: "PerfTest 2.22.1: persistent, 1 KB, confirms in a window of 1000, manual acks, \
                             prefetch 1000",
                peer,
                work: Work::Full(Load::PerfTest { pairs: 1 }),
            },
            Scenario {
                name: "amqp-perftest-8x8",
                title: "AMQP, PerfTest, 8 producers, 8 consumers, 8 queues",
                load_words: "the same on 8 queues",
                peer,
                work: Work::Full(Load::PerfTest { pairs: 8 }),
            },
            Scenario {
                name: "amqp-ours-1x1",
                title: "AMQP, lean generator, 1 producer, 1 consumer, 1 queue",
                load_words: "`troika bench amqp`: persistent, 1 KB, window and prefetch 1000, manual acks",
                peer,
                work: Work::Full(Load::Ours {
                    shape: shape(1, 1000),
                }),
            },
            Scenario {
                name: "amqp-ours-8x8",
                title: "AMQP, lean generator, 8 producers, 8 consumers, 8 queues",
                load_words: "the same on 8 queues",
                peer,
                work: Work::Full(Load::Ours {
                    shape: shape(8, 1000),
                }),
            },
            Scenario {
                name: "amqp-latency",
                title: "AMQP, confirm latency at half of RabbitMQ's maximum",
                load_words: "`troika bench amqp --rate … --pause 0`, open loop: \
                             latency counts from when a message was due",
                peer,
                work: Work::HalfOf("amqp-ours-1x1", shape(1, 1000)),
            },
        ],
        Subject::Openwire => vec![
            Scenario {
                name: "openwire-jms-8x8",
                title: "OpenWire, JMS, 8 synchronous producers, 8 consumers, 8 queues",
                load_words: "a JMS program on client 6.3.1: persistent, 1 KB, every send waits, automatic acks",
                peer,
                work: Work::Full(Load::Jms { pairs: 8 }),
            },
            Scenario {
                name: "openwire-jms-8x8-shipped",
                title: "OpenWire, the same against ActiveMQ as it is shipped",
                load_words: "the same; as shipped, a send is answered without being written if a consumer was faster",
                peer: Broker::ActiveMqShipped,
                work: Work::Full(Load::Jms { pairs: 8 }),
            },
            Scenario {
                name: "openwire-ours-8x8",
                title: "OpenWire, lean generator, 8 synchronous producers, 8 consumers, 8 queues",
                load_words: "`troika bench openwire --window 1`: persistent, 1 KB, every send waits",
                peer,
                work: Work::Full(Load::Ours { shape: shape(8, 1) }),
            },
            Scenario {
                name: "openwire-latency",
                title: "OpenWire, send latency at half of ActiveMQ's maximum",
                load_words: "`troika bench openwire --rate … --pause 0`, open loop",
                peer,
                work: Work::HalfOf("openwire-ours-8x8", shape(8, 1)),
            },
        ],
        Subject::Rocketmq => vec![
            Scenario {
                name: "rocketmq-apache-64",
                title: "RocketMQ, Apache's Producer with 64 threads, and its Consumer",
                load_words: "`benchmark.Producer -w 64 -s 1024` on 8 queues, synchronous flush, \
                             `benchmark.Consumer` at the same time",
                peer,
                work: Work::Full(Load::Apache { threads: 64 }),
            },
            Scenario {
                name: "rocketmq-ours-64",
                title: "RocketMQ, lean generator, 64 synchronous senders, 8 consumers",
                load_words: "`troika bench rocketmq --producers 64 --window 1`: 1 KB, 8 queues, synchronous flush",
                peer,
                work: Work::Full(Load::Ours {
                    shape: Shape {
                        producers: 64,
                        consumers: 8,
                        ..shape(1, 1)
                    },
                }),
            },
            Scenario {
                name: "rocketmq-latency",
                title: "RocketMQ, send latency at half of RocketMQ's maximum",
                load_words: "`troika bench rocketmq --rate … --pause 0`, open loop",
                peer,
                work: Work::HalfOf(
                    "rocketmq-ours-64",
                    Shape {
                        producers: 64,
                        consumers: 8,
                        ..shape(1, 1)
                    },
                ),
            },
        ],
        Subject::Memory | Subject::Routing | Subject::Instructions => Vec::new(),
    }
}

/// Something to be reached, and whether it was.
#[derive(PartialEq, Debug)]
pub struct Goal {
    pub text: String,
    pub reached: String,
    pub is_met: bool,
}

/// Which figure of a comparison is held against what.
enum Bar {
    /// Broker CPU in µs per message, at most.
    CpuUs(f64),
    /// Of the peer's broker CPU per message, at most one in so many.
    CpuShare(f64),
    /// Messages per second, at least.
    PerSecond(f64),
    /// Times the peer's messages per second, at least.
    Times(f64),
    /// p99 at most the peer's median.
    TailBelowMedian,
}

/// The bars for these comparisons; those that were not run are left out.
pub fn goals(compared: &[Compared]) -> Vec<Goal> {
    let bars: [(&str, Bar); 10] = [
        ("amqp-perftest-1x1", Bar::CpuUs(5.0)),
        ("amqp-perftest-1x1", Bar::CpuShare(10.0)),
        ("amqp-perftest-8x8", Bar::CpuShare(10.0)),
        ("amqp-ours-1x1", Bar::PerSecond(300_000.0)),
        ("amqp-latency", Bar::TailBelowMedian),
        ("openwire-jms-8x8", Bar::CpuShare(8.0)),
        ("openwire-jms-8x8", Bar::Times(3.0)),
        ("openwire-latency", Bar::TailBelowMedian),
        ("rocketmq-apache-64", Bar::CpuShare(4.0)),
        ("rocketmq-apache-64", Bar::Times(2.0)),
    ];
    let more = [("rocketmq-latency", Bar::TailBelowMedian)];
    bars.iter()
        .chain(&more)
        .filter_map(|(name, bar)| {
            let one = compared.iter().find(|one| one.scenario.name == *name)?;
            Some(goal(name, bar, &one.peer, &one.troika))
        })
        .collect()
}

fn goal(name: &str, bar: &Bar, peer: &Measured, troika: &Measured) -> Goal {
    let (text, reached, is_met) = match bar {
        Bar::CpuUs(most) => (
            format!("broker CPU ≤ {most} µs per message"),
            format!("{:.2} µs", troika.cpu_us),
            troika.cpu_us <= *most,
        ),
        Bar::CpuShare(share) => (
            format!("broker CPU ≤ 1/{share} of the peer's"),
            format!("1/{:.1}", peer.cpu_us / troika.cpu_us),
            troika.cpu_us * share <= peer.cpu_us,
        ),
        Bar::PerSecond(least) => (
            format!("≥ {least} messages per second"),
            format!("{:.0}", troika.per_second),
            troika.per_second >= *least,
        ),
        Bar::Times(times) => (
            format!("≥ {times} times the peer's messages per second"),
            format!("{:.1} times", troika.per_second / peer.per_second),
            troika.per_second >= times * peer.per_second,
        ),
        Bar::TailBelowMedian => (
            "p99 ≤ the peer's median".to_owned(),
            format!("{:.0} µs against {:.0} µs", troika.p99_us, peer.p50_us),
            troika.p99_us <= peer.p50_us,
        ),
    };
    Goal {
        text: format!("{name}: {text}"),
        reached,
        is_met,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_held_against_both_brokers() {
        let peer = Measured {
            per_second: 100.0,
            cpu_us: 50.0,
            p50_us: 900.0,
            ..Measured::default()
        };
        let good = Measured {
            per_second: 300.0,
            cpu_us: 5.0,
            p99_us: 900.0,
            ..Measured::default()
        };
        let bad = Measured {
            per_second: 299.0,
            cpu_us: 5.1,
            p99_us: 901.0,
            ..Measured::default()
        };
        for bar in [
            Bar::CpuUs(5.0),
            Bar::CpuShare(10.0),
            Bar::PerSecond(300.0),
            Bar::Times(3.0),
            Bar::TailBelowMedian,
        ] {
            assert!(
                goal("x", &bar, &peer, &good).is_met,
                "{}",
                goal("x", &bar, &peer, &good).text
            );
            assert!(
                !goal("x", &bar, &peer, &bad).is_met,
                "{}",
                goal("x", &bar, &peer, &bad).text
            );
        }
    }

    #[test]
    fn half_rates_come_after_their_full_rates() {
        for subject in Subject::ALL {
            let scenarios = of(subject);
            for (at, scenario) in scenarios.iter().enumerate() {
                if let Work::HalfOf(name, _) = scenario.work {
                    assert!(scenarios[..at].iter().any(|earlier| earlier.name == name));
                }
            }
        }
    }
}
