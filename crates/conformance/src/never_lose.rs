//! The kill rounds: load from all three doors, SIGKILL at a random moment, restart, and at the end the account.
//!
//! The load programs run through every kill and reconnect by themselves. After the last round they are told to
//! stop, drains read what is left, and [`account`] judges what was written down.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::account;
use crate::program::{Launch, Running};
use crate::progress::{Confirmed, confirmed, go_on};
use crate::random::Random;
use crate::run;
use crate::scenarios::Language;
use crate::server::Server;

/// Load runs this long before each kill.
const LOAD_MS_MIN: u64 = 1500;
const LOAD_MS_MAX: u64 = 5000;

/// A program of the rounds outlives all of them.
const DEADLINE: Duration = Duration::from_secs(1200);

const PROGRAMS: [(&str, &str); 3] = [
    ("neverlose.Amqp", "amqp-5"),
    ("neverlose.Jms", "openwire-5.18"),
    ("neverlose.RocketMq", "rocketmq-5.3"),
];

/// Runs the rounds and returns the account's summary.
pub fn run(server: &mut Server, dir: &Path, rounds: u32, names: &str) -> Result<String, String> {
    let seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    let mut random = Random::new(seed);
    let records = dir.join("records");
    fs::create_dir_all(&records).map_err(|error| format!("{}: {error}", records.display()))?;
    let mut load = start(server, dir, names, &["mode=load"])?;
    go_on(&records, Confirmed::default())?;
    for round in 1..=rounds {
        thread::sleep(Duration::from_millis(
            random.between(LOAD_MS_MIN, LOAD_MS_MAX),
        ));
        server
            .kill_and_restart()
            .map_err(|reason| format!("round {round}, seed {seed}: {reason}"))?;
    }
    go_on(&records, confirmed(&records)?)?;
    for program in &mut load {
        program.tell("stop");
    }
    finish(&mut load)?;
    finish(&mut start(server, dir, names, &["mode=drain"])?)?;
    judge(&records).map_err(|reason| format!("{reason}\nseed {seed}, {rounds} rounds"))
}

/// On a disk that lies about its syncs everything confirmed is lost, and the account must say so.
pub fn must_fail(server: &mut Server, dir: &Path, names: &str) -> Result<String, String> {
    match run(server, dir, 1, names) {
        // What is gone, or has given its place to something else.
        Err(reason) if reason.contains("lost") || reason.contains("was confirmed at") => {
            Ok("\n    the loss was found".into())
        }
        Err(reason) => Err(format!("it failed otherwise than by a loss: {reason}")),
        Ok(summary) => Err(format!("nobody noticed that everything was lost:{summary}")),
    }
}

/// Starts the programs of all three doors.
pub fn start(
    server: &Server,
    dir: &Path,
    names: &str,
    words: &[&str],
) -> Result<Vec<Running>, String> {
    PROGRAMS
        .iter()
        .map(|(program, set)| {
            let records = dir.join("records");
            Launch {
                language: Language::Java,
                program,
                set,
                arguments: words
                    .iter()
                    .map(ToString::to_string)
                    .chain([format!("records={}", records.display())])
                    .collect(),
                ports: server.ports(),
                run: names,
                dir,
                deadline: DEADLINE,
            }
            .start()
        })
        .collect()
}

/// Waits until each has ended well.
pub fn finish(programs: &mut [Running]) -> Result<(), String> {
    for program in programs {
        if !program.finish() {
            return Err(run::tail(program));
        }
    }
    Ok(())
}

/// What the account says of everything written down.
pub fn judge(records: &Path) -> Result<String, String> {
    let read = |name: &str| {
        let path = records.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let verdicts = [
        account::queue(
            "amqp queue",
            &read("amqp.published")?,
            &read("amqp.consumed")?,
        ),
        account::queue("jms queue", &read("jms.published")?, &read("jms.consumed")?),
        account::transactions(
            "jms transactions",
            &read("jmstx.published")?,
            &read("jmstx.consumed")?,
        ),
        account::partitions(
            "rocketmq topic",
            &read("rocketmq.published")?,
            &read("rocketmq.consumed")?,
            &read("rocketmq.drained")?,
        ),
    ];
    let mut summary = String::new();
    let mut breaches = String::new();
    for verdict in verdicts {
        match verdict {
            Ok(text) => summary.push_str(&format!("\n    {text}")),
            Err(lines) => breaches.push_str(&format!("{}\n", lines.join("\n"))),
        }
    }
    if breaches.is_empty() {
        Ok(summary)
    } else {
        Err(breaches)
    }
}
