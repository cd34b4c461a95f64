//! A guard against creeping cost that no clock is needed for: instructions per message of fixed conversations with
//! a whole node on one thread (`crates/server/examples/conversation`), held against committed figures.
//!
//! They are counted by valgrind's callgrind, which shows every machine's programs the same processor, so that the
//! figures hold wherever the same compiler is used. What a conversation costs is the difference between twice as many
//! messages and once as many: the start and the end of the process fall out.
//!
//! Caveat: system calls and waiting are no instructions here; a change that makes more of them is not seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Kept, Plan, install, report};

/// How far a figure may be from the committed one.
const TOLERANCE: f64 = 0.10;
/// The smaller of the two runs.
const MESSAGES: u64 = 4096;
const CONVERSATIONS: [&str; 3] = ["amqp", "openwire", "rocketmq"];

/// A figure and what it was when it was committed.
#[derive(Clone, PartialEq, Debug)]
struct Counted {
    name: &'static str,
    per_message: f64,
    committed: Option<f64>,
}

impl Counted {
    fn change(&self) -> Option<f64> {
        self.committed
            .map(|committed| self.per_message / committed - 1.0)
    }

    fn is_close(&self) -> bool {
        self.change()
            .is_some_and(|change| change.abs() <= TOLERANCE)
    }

    fn shown(&self) -> String {
        match self.change() {
            Some(change) => format!(
                "{} {:.0} ({:+.1} %)",
                self.name,
                self.per_message,
                change * 100.0
            ),
            None => format!(
                "{} {:.0} (no committed figure)",
                self.name, self.per_message
            ),
        }
    }
}

pub fn run(plan: &Plan) -> Result<(), String> {
    let counted = count()?;
    let mut text = String::from(
        "Counted by callgrind; a message is published, confirmed, consumed and acknowledged, 32 at a time, by doors, \
         node and the log's frames, without system calls.\n\n\
         | conversation | instructions per message | committed | change |\n|---|---:|---:|---:|\n",
    );
    for one in &counted {
        let committed = one
            .committed
            .map_or("–".into(), |committed| format!("{committed:.0}"));
        let change = one
            .change()
            .map_or("–".into(), |change| format!("{:+.1} %", change * 100.0));
        text += &format!(
            "| {} | {:.0} | {committed} | {change} |\n",
            one.name, one.per_message
        );
    }
    println!("{text}");
    if plan.kept == Kept::Documents {
        report::replace("instructions", &text)?;
    }
    verdict(&counted)
}

/// The figures on one line, for `cargo xtask test`.
pub fn line() -> Result<String, String> {
    let counted = count()?;
    verdict(&counted)?;
    Ok(told(&counted))
}

fn told(counted: &[Counted]) -> String {
    let all: Vec<String> = counted.iter().map(Counted::shown).collect();
    format!("instructions per message: {}", all.join(", "))
}

fn verdict(counted: &[Counted]) -> Result<(), String> {
    if counted.iter().all(Counted::is_close) {
        return Ok(());
    }
    let percent = TOLERANCE * 100.0;
    Err(format!(
        "{}: more than {percent} % from crates/xtask/instructions.txt; mend the path that has become dearer, or, \
         where the change is meant, write the new figures there and say why",
        told(counted)
    ))
}

fn count() -> Result<Vec<Counted>, String> {
    install::valgrind()?;
    let file = crate::root().join("crates/xtask/instructions.txt");
    let committed =
        fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let conversation = conversation()?;
    CONVERSATIONS
        .iter()
        .map(|name| {
            let once = instructions(&conversation, name, MESSAGES)?;
            let twice = instructions(&conversation, name, 2 * MESSAGES)?;
            Ok(Counted {
                name,
                per_message: (twice as f64 - once as f64) / MESSAGES as f64,
                committed: figure(&committed, name),
            })
        })
        .collect()
}

/// The release build of the conversations.
pub fn conversation() -> Result<PathBuf, String> {
    let words = [
        "build",
        "--quiet",
        "--release",
        "--package",
        "server",
        "--example",
        "conversation",
    ];
    crate::cargo(&words)?;
    Ok(crate::target()
        .join("release")
        .join("examples")
        .join("conversation"))
}

fn instructions(conversation: &Path, name: &str, messages: u64) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(conversation)
        .args([name, &messages.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match collected(&said) {
        Some(number) if output.status.success() => Ok(number),
        _ => Err(format!("valgrind with {name}: {}\n{said}", output.status)),
    }
}

/// `==123== Collected : 456`.
fn collected(said: &str) -> Option<u64> {
    let line = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

/// The figure behind a name; lines that begin with `#` are remarks.
fn figure(committed: &str, name: &str) -> Option<f64> {
    committed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_tolerated_and_no_more() {
        let counted = |per_message: f64, committed| Counted {
            name: "amqp",
            per_message,
            committed,
        };
        assert!(verdict(&[counted(1099.0, Some(1000.0)), counted(901.0, Some(1000.0))]).is_ok());
        for one in [
            counted(1101.0, Some(1000.0)),
            counted(899.0, Some(1000.0)),
            counted(1.0, None),
        ] {
            assert!(
                verdict(&[counted(1.0, Some(1.0)), one.clone()]).is_err(),
                "{one:?}"
            );
        }
        assert_eq!(counted(1050.0, Some(1000.0)).shown(), "amqp 1050 (+5.0 %)");
    }

    #[test]
    fn figures_are_read() {
        assert_eq!(collected("==1== \n==1== Collected : 4567\n"), Some(4567));
        assert_eq!(collected("no such tool"), None);
        assert_eq!(
            figure("# amqp 1\namqp 12\nopenwire 13\n", "openwire"),
            Some(13.0)
        );
        assert_eq!(figure("# amqp 1\n", "amqp"), None);
    }

    #[test]
    fn every_conversation_has_a_committed_figure() {
        let committed =
            fs::read_to_string(crate::root().join("crates/xtask/instructions.txt")).unwrap();
        for name in CONVERSATIONS {
            assert!(figure(&committed, name).is_some(), "{name}");
        }
    }
}
