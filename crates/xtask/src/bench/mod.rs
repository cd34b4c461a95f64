//! `cargo xtask bench`: what a message costs, beside the real brokers, and what waiting costs in memory.
//!
//! A comparison starts the real broker and Troika in turn, each on an empty data directory, puts the same load on
//! both and reads the kernel's accounting of the broker's whole process tree. Rounds alternate, since a shared
//! machine drifts; what is reported is the median of each figure. The report goes into `docs/benchmarks.md` between
//! markers, each comparison with a picture in `docs/images`.
//!
//! What it is not: a test. Nothing here fails because something was slow; only `instructions` ends with an error,
//! when a committed count is missed by more than a tenth, and that figure does not depend on the machine's speed.
//!
//! Caveats:
//! - the generators run on the same cores as the broker, so messages per second compare only where the generator is
//!   not the limit; the broker's CPU time per message is what to trust;
//! - flushes and bytes written are the disk's own counts: whatever else writes to that disk meanwhile is in it;
//! - context switches of threads that end within the measured time are missing.

mod account;
mod compare;
mod foreign;
mod install;
mod instructions;
mod load;
mod memory;
mod peers;
mod picture;
mod places;
mod report;
mod routing;
mod scenarios;

use std::path::PathBuf;

pub use instructions::line as instructions_line;

pub const USAGE: &str = "       cargo xtask bench [amqp] [openwire] [rocketmq] [memory] [routing] [instructions]
                         [--seconds N] [--warmup N] [--rounds N] [--only TEXT] [--quick] [--long] [--troika FILE]";

pub const HELP: &str =
    "bench   beside the real brokers, memory, routing, instructions; all of them if none is named;
        writes docs/benchmarks.md and docs/images
        --seconds N  of each measured run (20), after --warmup N (15) of the same load
        --rounds N   runs of each broker, in turn; medians are reported (3)
        --only X     only comparisons whose name contains X; prints, leaves the documents alone
        --quick      5 s, 1 round: shows that it works; prints, leaves the documents alone
        --long       memory with 10 million messages, too
        --troika F   an existing release build instead of a new one";

/// What is to be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Amqp,
    Openwire,
    Rocketmq,
    Memory,
    Routing,
    Instructions,
}

impl Subject {
    const ALL: [Subject; 6] = [
        Subject::Amqp,
        Subject::Openwire,
        Subject::Rocketmq,
        Subject::Memory,
        Subject::Routing,
        Subject::Instructions,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Subject::Amqp => "amqp",
            Subject::Openwire => "openwire",
            Subject::Rocketmq => "rocketmq",
            Subject::Memory => "memory",
            Subject::Routing => "routing",
            Subject::Instructions => "instructions",
        }
    }
}

/// How long, how often, and where the results go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub subjects: Vec<Subject>,
    pub seconds: u64,
    pub warmup_s: u64,
    pub rounds: usize,
    pub only: Option<String>,
    pub kept: Kept,
    pub amount: Amount,
    pub troika: Option<PathBuf>,
}

/// Whether a report replaces the one in the documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    Documents,
    Printed,
}

/// How many messages the memory is measured with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Amount {
    /// A tenth: shows that it works.
    Quick,
    Million,
    /// The ten millions, too.
    Long,
}

impl Plan {
    fn parse(words: &[&str]) -> Result<Plan, String> {
        let mut plan = Plan {
            subjects: Vec::new(),
            seconds: 20,
            warmup_s: 15,
            rounds: 3,
            only: None,
            kept: Kept::Documents,
            amount: Amount::Million,
            troika: None,
        };
        let mut rest = words.iter();
        while let Some(&word) = rest.next() {
            let mut value = || {
                rest.next()
                    .copied()
                    .ok_or(format!("{word} needs a value\n{USAGE}"))
            };
            match word {
                "--seconds" => plan.seconds = number(word, value()?)?,
                "--warmup" => plan.warmup_s = number(word, value()?)?,
                "--rounds" => plan.rounds = number(word, value()?)? as usize,
                "--only" => {
                    plan.only = Some(value()?.into());
                    plan.kept = Kept::Printed;
                }
                "--quick" => {
                    plan.seconds = 5;
                    plan.warmup_s = 5;
                    plan.rounds = 1;
                    plan.kept = Kept::Printed;
                    plan.amount = Amount::Quick;
                }
                "--long" => plan.amount = Amount::Long,
                "--troika" => plan.troika = Some(value()?.into()),
                other => {
                    let subject = Subject::ALL.iter().find(|known| known.name() == other);
                    let subject =
                        subject.ok_or(format!("unknown argument \"{other}\"\n{USAGE}"))?;
                    plan.subjects.push(*subject);
                }
            }
        }
        if plan.subjects.is_empty() {
            plan.subjects = Subject::ALL.to_vec();
        }
        Ok(plan)
    }
}

fn number(word: &str, value: &str) -> Result<u64, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{word} needs a positive number, not \"{value}\"")),
    }
}

pub fn run(words: &[&str]) -> Result<(), String> {
    let plan = Plan::parse(words)?;
    for subject in plan.subjects.clone() {
        println!("bench {}", subject.name());
        match subject {
            Subject::Amqp | Subject::Openwire | Subject::Rocketmq => compare::run(subject, &plan)?,
            Subject::Memory => memory::run(&plan)?,
            Subject::Routing => routing::run(&plan)?,
            Subject::Instructions => instructions::run(&plan)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_from_words() {
        let plan = Plan::parse(&["amqp", "--seconds", "7", "--long"]).unwrap();
        assert_eq!(plan.subjects, [Subject::Amqp]);
        assert_eq!(
            (plan.seconds, plan.rounds, plan.amount),
            (7, 3, Amount::Long)
        );
        assert_eq!(plan.kept, Kept::Documents);
        assert_eq!(Plan::parse(&[]).unwrap().subjects, Subject::ALL);
        assert_eq!(Plan::parse(&["--only", "x"]).unwrap().kept, Kept::Printed);
        for wrong in [&["stomp"][..], &["--rounds", "0"], &["--seconds"]] {
            assert!(Plan::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
