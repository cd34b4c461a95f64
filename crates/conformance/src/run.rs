//! Runs the scenarios side by side, each against a server of its own, and counts.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::full;
use crate::never_lose;
use crate::options::Options;
use crate::paths;
use crate::program::{Launch, Running, Step};
use crate::scenarios::{self, Case, Machine, What};
use crate::server::{self, Server, Troika};
use crate::toolchain;

/// What came out.
#[derive(Default)]
pub struct Totals {
    pub passed: u32,
    pub failed: u32,
}

/// Lines of a failed program's output that are shown.
const SHOWN_LINES_MAX: usize = 60;

/// Runs everything that the options ask for.
pub fn all(options: &Options) -> Result<Totals, String> {
    let cases: VecDeque<Case> = scenarios::cases()
        .into_iter()
        .filter(|case| {
            options
                .filter
                .as_ref()
                .is_none_or(|text| case.name().contains(text))
        })
        .filter(|case| {
            let of_any_server = case.environment.is_empty() && case.machine == Machine::Ordinary;
            options.peer.is_none() || of_any_server
        })
        .collect();
    if cases.is_empty() {
        return Err("no scenario has such a name; --list shows them".into());
    }
    if options.list {
        for case in &cases {
            println!("{}", case.name());
        }
        return Ok(Totals {
            passed: cases.len() as u32,
            failed: 0,
        });
    }
    toolchain::ready()?;
    let binary = match &options.peer {
        Some(_) => PathBuf::new(),
        None => server::binary(options.troika.as_deref())?,
    };
    let runs = paths::installed()
        .join("run")
        .join(std::process::id().to_string());
    let total = cases.len();
    let (alone, together): (VecDeque<Case>, VecDeque<Case>) = cases
        .into_iter()
        .partition(|case| matches!(case.what, What::NeverLose | What::Full(_)));
    let state = Mutex::new((together, Totals::default()));
    let work = |case: Case| {
        let began = Instant::now();
        let name = case.name();
        let dir = runs.join(name.replace([' ', '/'], "_"));
        let verdict = one(options, &binary, &dir, &case);
        let Ok(mut state) = state.lock() else { return };
        let done = state.1.passed + state.1.failed + 1;
        let seconds = began.elapsed().as_secs_f32();
        match verdict {
            Ok(note) => {
                state.1.passed += 1;
                let _ = fs::remove_dir_all(&dir);
                println!("[{done}/{total}] ok     {name} ({seconds:.1} s){note}");
            }
            Err(reason) => {
                state.1.failed += 1;
                println!(
                    "[{done}/{total}] FAILED {name} ({seconds:.1} s), files in {}",
                    dir.display()
                );
                println!("{}", reason.replace('\n', "\n    "));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(case) = next(&state) {
                    work(case);
                }
            });
        }
    });
    for case in alone {
        work(case);
    }
    let _ = fs::remove_dir(&runs);
    state
        .into_inner()
        .map(|(_, totals)| totals)
        .map_err(|_| "a scenario panicked".into())
}

fn next(state: &Mutex<(VecDeque<Case>, Totals)>) -> Option<Case> {
    state.lock().ok()?.0.pop_front()
}

fn one(options: &Options, binary: &Path, dir: &Path, case: &Case) -> Result<String, String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut server = match &options.peer {
        Some(peer) => Server::Peer(peer.clone()),
        None => Server::Troika(troika(binary, dir, case)?),
    };
    let names = names(options);
    let verdict = match (&case.what, case.machine) {
        (What::Program(_), _) => program(&names, &mut server, dir, case).map(|()| String::new()),
        (What::NeverLose, Machine::Ordinary) => {
            never_lose::run(&mut server, dir, options.rounds, &names)
        }
        (What::NeverLose, Machine::Forgetful) => {
            never_lose::run(&mut server, dir, options.rounds_forgetful, &names)
        }
        (What::NeverLose, Machine::Lying) => never_lose::must_fail(&mut server, dir, &names),
        (What::Full(scarce), _) => full::run(&server, dir, *scarce, options.rounds_full, &names),
    };
    let verdict = match verdict {
        Ok(_) if !server.alive() => Err("the server ended by itself".into()),
        other => other,
    };
    verdict.map_err(|reason| {
        let log = server.log();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        if tail.is_empty() {
            reason
        } else {
            format!("{reason}\nserver said:\n{}", tail.join("\n"))
        }
    })
}

fn troika(binary: &Path, dir: &Path, case: &Case) -> Result<Troika, String> {
    let mut environment = case.environment.to_vec();
    match case.machine {
        Machine::Ordinary => return Troika::fresh(binary, dir, environment),
        Machine::Forgetful => {}
        Machine::Lying => environment.push(("FORGETFUL_LIES", "1")),
    }
    Troika::fresh(&server::forgetful_binary()?, dir, environment)
}

/// The suffix of the names of one case: a peer outlives its scenarios, a Troika does not.
fn names(options: &Options) -> String {
    match options.peer {
        Some(_) => {
            static CASES: AtomicU32 = AtomicU32::new(0);
            format!(
                "-{:x}-{}",
                std::process::id(),
                CASES.fetch_add(1, Ordering::Relaxed)
            )
        }
        None => String::new(),
    }
}

fn program(run: &str, server: &mut Server, dir: &Path, case: &Case) -> Result<(), String> {
    let What::Program(programs) = &case.what else {
        return Err("a case without programs".into());
    };
    let mut running: Vec<Running> = Vec::new();
    for (index, part) in programs.iter().enumerate() {
        let launch = Launch {
            language: part.language,
            program: part.program,
            set: part.set,
            arguments: part.arguments.iter().map(|word| word.to_string()).collect(),
            ports: server.ports(),
            run,
            dir,
            deadline: Duration::from_secs(case.seconds),
        };
        running.push(launch.start()?);
        // All but the last are receivers: each says READY before the next one starts.
        if index + 1 < programs.len() {
            until_ready(&mut running[index])?;
        }
    }
    for at in (0..running.len()).rev() {
        loop {
            match running[at].step() {
                Step::Said(line) if line == "KILL ME" => {
                    server.kill_and_restart()?;
                    running[at].tell("RESTARTED");
                }
                Step::Said(_) => {}
                Step::Ended { passed: true } => break,
                Step::Ended { passed: false } => return Err(tail(&running[at])),
            }
        }
    }
    Ok(())
}

fn until_ready(running: &mut Running) -> Result<(), String> {
    loop {
        match running.step() {
            Step::Said(line) if line == "READY" => return Ok(()),
            Step::Said(_) => {}
            Step::Ended { .. } => return Err(tail(running)),
        }
    }
}

pub(crate) fn tail(running: &Running) -> String {
    let from = running.output.len().saturating_sub(SHOWN_LINES_MAX);
    running.output[from..].join("\n")
}
