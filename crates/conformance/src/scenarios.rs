//! The list of scenarios: which program, with which versions of which client.

/// The language of a program.
#[derive(Clone, Copy)]
pub enum Language {
    Java,
    Python,
}

/// One foreign program of a case.
pub struct Program {
    pub language: Language,
    /// The Java class below package `troika`, or the Python file without its extension.
    pub program: &'static str,
    /// The set of jars below `target/conformance/lib`; empty for Python.
    pub set: &'static str,
    pub arguments: Vec<String>,
}

/// What a case runs.
pub enum What {
    /// Programs started in order; each but the last says `READY` before the next one starts.
    Program(Vec<Program>),
    /// The kill rounds under load.
    NeverLose,
    /// The rounds in which something runs full under load.
    Full(Scarce),
}

/// What runs full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scarce {
    Disk,
    Memory,
}

/// What the server of a case runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    Ordinary,
    /// What was not synced is gone after a kill.
    Forgetful,
    /// The same, and syncs do nothing: whatever was confirmed is lost, and the case must find that.
    Lying,
}

/// One thing that passes or fails.
pub struct Case {
    label: String,
    pub what: What,
    pub seconds: u64,
    /// Set for the server. A peer cannot be given it, so that such a case runs with Troika only.
    pub environment: &'static [(&'static str, &'static str)],
    pub machine: Machine,
}

impl Case {
    pub fn name(&self) -> String {
        self.label.clone()
    }
}

/// Sets of jars, each a profile of the Maven project.
pub const SETS: [&str; 7] = [
    "amqp-5",
    "openwire-5.9",
    "openwire-5.15",
    "openwire-5.18",
    "openwire-spring",
    "rocketmq-4.9",
    "rocketmq-5.3",
];

const SECONDS: u64 = 60;

const PYTHON: [&str; 7] = [
    "amqp_basics",
    "amqp_queues",
    "amqp_routing",
    "amqp_errors",
    "amqp_lifetimes",
    "amqp_heartbeats",
    "amqp_refusals",
];

const AMQP: [&str; 3] = ["amqp.Basics", "amqp.Confirms", "amqp.Recovery"];

const OPENWIRE: [&str; 11] = [
    "openwire.MessageTypes",
    "openwire.AckModes",
    "openwire.Transactions",
    "openwire.TempAndAdvisories",
    "openwire.Topics",
    "openwire.QueueFeatures",
    "openwire.Groups",
    "openwire.Failover",
    "openwire.Credentials",
    "openwire.Closing",
    "openwire.Listeners",
];

/// What the oldest client that guides name passes against the original, too. The others want what
/// it does not do yet: it names no last message when a connection closes.
const OPENWIRE_OLD: [&str; 6] = [
    "openwire.TempAndAdvisories",
    "openwire.Topics",
    "openwire.QueueFeatures",
    "openwire.Listeners",
    "openwire.Failover",
    "openwire.Credentials",
];

/// Wire options with which some OpenWire scenarios run again.
const OPENWIRE_WIRES: [(&str, &str); 4] = [
    ("loose", "wireFormat.tightEncodingEnabled=false"),
    ("uncached", "wireFormat.cacheEnabled=false"),
    (
        "loose uncached",
        "wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=false",
    ),
    ("old", "wireFormat.version=9"),
];

const ROCKETMQ: [&str; 10] = [
    "rocketmq.Sending",
    "rocketmq.TagFilter",
    "rocketmq.Ordered",
    "rocketmq.Broadcasting",
    "rocketmq.Rebalance",
    "rocketmq.Retry",
    "rocketmq.Delay",
    "rocketmq.Transactions",
    "rocketmq.Offsets",
    "rocketmq.Pull",
];

/// Soon too little for what waits in volatile queues: 48 MB, of which nothing is spilled.
const SMALL_MEMORY: &[(&str, &str)] = &[
    ("TROIKA__LIMITS__MEMORY_BYTES", "50331648"),
    ("TROIKA__LIMITS__VOLATILE_BYTES", "536870912"),
];

/// Room for a handful of segments: 448 MB.
const SMALL_DISK: &[(&str, &str)] = &[("FORGETFUL_BYTES", "469762048")];

/// Who sends and who receives; the names of worlds in [`matrix`].
const WORLDS: [&str; 4] = ["pika", "amqp", "jms", "rocketmq"];

/// Every case of the run.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // The slow ones first, so that the run does not end with one job busy.
    for set in ["rocketmq-4.9", "rocketmq-5.3"] {
        for class in ROCKETMQ.iter().rev() {
            cases.push(java(class, set, SECONDS + 30));
        }
    }
    for set in ["openwire-5.15", "openwire-5.18"] {
        for class in OPENWIRE {
            cases.push(java(class, set, SECONDS));
        }
        for (label, options) in OPENWIRE_WIRES {
            for class in ["openwire.MessageTypes", "openwire.Topics"] {
                let program = Program {
                    language: Language::Java,
                    program: class,
                    set,
                    arguments: vec![format!("options={options}")],
                };
                cases.push(Case {
                    label: format!("{class} {set} {label}"),
                    what: What::Program(vec![program]),
                    seconds: SECONDS,
                    environment: &[],
                    machine: Machine::Ordinary,
                });
            }
        }
    }
    for class in OPENWIRE_OLD {
        cases.push(java(class, "openwire-5.9", SECONDS));
    }
    cases.push(java("openwire.Spring", "openwire-spring", SECONDS));
    for class in AMQP {
        cases.push(java(class, "amqp-5", SECONDS));
    }
    for file in PYTHON {
        cases.push(Case {
            label: file.into(),
            what: What::Program(vec![Program {
                language: Language::Python,
                program: file,
                set: "",
                arguments: Vec::new(),
            }]),
            seconds: SECONDS,
            environment: &[],
            machine: Machine::Ordinary,
        });
    }
    cases.push(Case {
        label: "amqp_blocked".into(),
        what: What::Program(vec![Program {
            language: Language::Python,
            program: "amqp_blocked",
            set: "",
            arguments: Vec::new(),
        }]),
        seconds: SECONDS,
        environment: SMALL_MEMORY,
        machine: Machine::Ordinary,
    });
    matrix(&mut cases);
    for (label, what, machine, environment) in [
        ("never_lose", What::NeverLose, Machine::Ordinary, &[][..]),
        (
            "never_lose forgetful",
            What::NeverLose,
            Machine::Forgetful,
            &[],
        ),
        ("never_lose lying", What::NeverLose, Machine::Lying, &[]),
        (
            "full disk",
            What::Full(Scarce::Disk),
            Machine::Forgetful,
            SMALL_DISK,
        ),
        (
            "full memory",
            What::Full(Scarce::Memory),
            Machine::Ordinary,
            SMALL_MEMORY,
        ),
    ] {
        cases.push(Case {
            label: label.into(),
            what,
            seconds: SECONDS,
            environment,
            machine,
        });
    }
    cases
}

fn java(class: &'static str, set: &'static str, seconds: u64) -> Case {
    Case {
        label: format!("{class} {set}"),
        what: What::Program(vec![Program {
            language: Language::Java,
            program: class,
            set,
            arguments: Vec::new(),
        }]),
        seconds,
        environment: &[],
        machine: Machine::Ordinary,
    }
}

/// Each world's sender to each world's receiver, by queue (one shared name), by topic (a key of `amq.topic`) and
/// by a RocketMQ topic (an exchange of that name). RocketMQ has no queues; a binding that an AMQP program makes
/// joins it to the others.
fn matrix(cases: &mut Vec<Case>) {
    for sender in WORLDS {
        for receiver in WORLDS {
            let kinds: &[&str] = match (sender, receiver) {
                ("rocketmq", _) | (_, "rocketmq") => &["rocketmq-topic"],
                _ => &["queue", "topic"],
            };
            for kind in kinds {
                let versions: &[(&str, &str)] = if sender == "rocketmq" || receiver == "rocketmq" {
                    &[
                        ("openwire-5.15", "rocketmq-4.9"),
                        ("openwire-5.18", "rocketmq-5.3"),
                    ]
                } else if sender == "jms" || receiver == "jms" {
                    &[("openwire-5.15", ""), ("openwire-5.18", "")]
                } else {
                    &[("", "")]
                };
                for (openwire, rocketmq) in versions {
                    let set = |world: &str| match world {
                        "jms" => *openwire,
                        "rocketmq" => *rocketmq,
                        "amqp" => "amqp-5",
                        _ => "",
                    };
                    let label =
                        format!("matrix {kind} {sender} to {receiver} {openwire} {rocketmq}");
                    let mut programs = Vec::new();
                    if *kind == "rocketmq-topic" {
                        programs.push(part("rocketmq", rocketmq, "create", kind, sender, receiver));
                        if sender != receiver {
                            programs.push(part("pika", "", "bind", kind, sender, receiver));
                        }
                    }
                    programs.push(part(
                        receiver,
                        set(receiver),
                        "receive",
                        kind,
                        sender,
                        receiver,
                    ));
                    programs.push(part(sender, set(sender), "send", kind, sender, receiver));
                    cases.push(Case {
                        label: label.trim_end().into(),
                        what: What::Program(programs),
                        seconds: SECONDS,
                        environment: &[],
                        machine: Machine::Ordinary,
                    });
                }
            }
        }
    }
}

fn part(
    world: &str,
    set: &'static str,
    role: &str,
    kind: &str,
    sender: &str,
    receiver: &str,
) -> Program {
    let (language, program) = match world {
        "pika" => (Language::Python, "matrix"),
        "amqp" => (Language::Java, "matrix.Amqp"),
        "jms" => (Language::Java, "matrix.Jms"),
        _ => (Language::Java, "matrix.RocketMq"),
    };
    let arguments = vec![
        format!("role={role}"),
        format!("kind={kind}"),
        format!("sender={sender}"),
        format!("receiver={receiver}"),
    ];
    Program {
        language,
        program,
        set,
        arguments,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::paths;

    /// A scenario that nobody runs proves nothing.
    #[test]
    fn every_program_on_disk_is_run() {
        let mut run = BTreeSet::from([
            "scenario".to_string(),
            "Scenario".into(),
            "openwire.Jms".into(),
            "rocketmq.Rocket".into(),
            "matrix.Texts".into(),
            "neverlose.Record".into(),
            "neverlose.Amqp".into(),
            "neverlose.Jms".into(),
            "neverlose.RocketMq".into(),
            "hog".into(),
        ]);
        for case in cases() {
            if let What::Program(programs) = case.what {
                run.extend(programs.iter().map(|part| part.program.to_string()));
            }
        }
        let mut found = BTreeSet::new();
        let java = paths::crate_dir().join("java/src/main/java/troika");
        for entry in files(&java) {
            let inner = entry
                .strip_prefix(&java)
                .expect("inside the folder")
                .with_extension("");
            found.insert(inner.to_string_lossy().replace('/', "."));
        }
        for entry in files(&paths::crate_dir().join("python")) {
            if entry.extension().is_some_and(|ext| ext == "py") {
                found.insert(
                    entry
                        .file_stem()
                        .expect("a file")
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
        assert_eq!(found, run);
    }

    #[test]
    fn names_are_unique() {
        let names: Vec<String> = cases().iter().map(Case::name).collect();
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }

    fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).expect("a folder of programs") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if !path.ends_with("__pycache__") {
                    found.extend(files(&path));
                }
            } else {
                found.push(path);
            }
        }
        found
    }
}
