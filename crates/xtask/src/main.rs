//! The project's own commands: `cargo xtask check`, `cargo xtask test` and `cargo xtask bench`.
//!
//! `check` is fast and needs Rust only: format, lints, tidy. `test` runs every layer: the Rust tests of the
//! workspace, then the scenarios of crate `conformance` with real foreign clients against a release build. Its last
//! lines are the runners' own totals. Nothing is skipped silently: a missing toolchain is installed (as root, from
//! Debian packages) or ends the run with the command to type. `bench` measures beside the real brokers.

mod bench;
mod tidy;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str = "usage: cargo xtask check
       cargo xtask test [--long] [--filter TEXT] [--jobs N]

check   cargo fmt --check, clippy with warnings denied, tidy
test    the Rust tests, then the scenarios with foreign clients
        --long       more kill rounds, thousands of simulated nodes
        --filter X   only Rust tests and scenarios whose name contains X
        --jobs N     scenarios side by side";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let verdict = match words.split_first() {
        Some((&"check", [])) => check(),
        Some((&"test", rest)) => test(rest),
        Some((&"bench", rest)) => bench::run(rest),
        _ => Err(format!("{USAGE}\n\n{}\n{}", bench::USAGE, bench::HELP)),
    };
    match verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the checkout.
fn root() -> PathBuf {
    let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_dir
        .ancestors()
        .nth(2)
        .map_or(crate_dir.clone(), PathBuf::from)
}

fn check() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])?;
    tidy()
}

fn tidy() -> Result<(), String> {
    let breaches = tidy::breaches(&root())?;
    if breaches.is_empty() {
        println!("tidy: no breach");
        return Ok(());
    }
    Err(format!("tidy:\n{}", breaches.join("\n")))
}

fn test(words: &[&str]) -> Result<(), String> {
    let mut filter = None;
    let mut scenario_words: Vec<&str> = Vec::new();
    let mut rest = words.iter();
    while let Some(&word) = rest.next() {
        match word {
            "--long" => scenario_words.push(word),
            "--filter" | "--jobs" => {
                let value = rest
                    .next()
                    .ok_or(format!("{word} needs a value\n{USAGE}"))?;
                scenario_words.extend([word, *value]);
                if word == "--filter" {
                    filter = Some(*value);
                }
            }
            other => return Err(format!("unknown argument \"{other}\"\n{USAGE}")),
        }
    }
    tidy()?;
    cargo(&["build", "--quiet", "--release", "--package", "troika"])?;
    let mut rust = vec!["test", "--quiet", "--workspace", "--no-fail-fast"];
    if let Some(text) = filter {
        rust.extend(["--", text]);
    }
    let rust = rust_tests(&rust);
    let simulates = |text: &str| SIMULATIONS.iter().any(|name| name.contains(text));
    if scenario_words.contains(&"--long") && filter.is_none_or(simulates) {
        simulate()?;
    }
    // The harness finds the servers of its own, like the one whose disk forgets, beside itself.
    cargo(&["build", "--quiet", "--package", "conformance"])?;
    let mut scenarios = vec!["run", "--quiet", "--package", "conformance", "--"];
    let troika = target().join("release").join("troika");
    let troika = troika.display().to_string();
    scenarios.extend(["--troika", &troika]);
    scenarios.extend(scenario_words);
    if let Some(text) = filter
        && !lists(&scenarios)
    {
        println!("no scenario is named like \"{text}\"");
        println!("rust tests: {}", rust.line());
        return rust.verdict();
    }
    println!("scenarios with foreign clients:");
    let foreign = cargo(&scenarios);
    // A part of the tests says nothing of what a message costs.
    let instructions = match filter {
        None => bench::instructions_line().map(|line| println!("{line}")),
        Some(_) => Ok(()),
    };
    println!("rust tests: {}", rust.line());
    match foreign {
        Ok(()) => rust.verdict().and(instructions),
        Err(_) => Err("failed: the scenarios with foreign clients, see their total above".into()),
    }
}

/// The random stories of a whole node over a simulated disk, and of clients at its doors.
const SIMULATIONS: [&str; 2] = [
    "engine::simulation::random_stories",
    "engine::simulation::doors::random_stories",
];
/// Of which an ordinary run has told the first ones already.
const LONG_SEEDS: &str = "48..4000";

fn simulate() -> Result<(), String> {
    println!("simulated nodes, seeds {LONG_SEEDS}:");
    let status = Command::new("cargo")
        .args([
            "test",
            "--quiet",
            "--release",
            "--package",
            "server",
            "--lib",
            "--",
        ])
        .args(SIMULATIONS)
        .env("TROIKA_SIMULATION", LONG_SEEDS)
        .current_dir(root())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("failed: the simulation, see its seeds above".into()),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// Whether any scenario has such a name.
fn lists(scenarios: &[&str]) -> bool {
    let mut words = scenarios.to_vec();
    words.push("--list");
    Command::new("cargo")
        .args(&words)
        .current_dir(root())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The totals of `cargo test` over all its binaries.
struct RustTests {
    passed: u64,
    failed: u64,
    succeeded: bool,
}

impl RustTests {
    fn line(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }

    fn verdict(&self) -> Result<(), String> {
        if self.succeeded {
            Ok(())
        } else {
            Err("failed: the Rust tests".into())
        }
    }
}

/// Runs `cargo test`, shows what it says, and sums up its `test result:` lines.
fn rust_tests(words: &[&str]) -> RustTests {
    let mut totals = RustTests {
        passed: 0,
        failed: 0,
        succeeded: false,
    };
    let output = Command::new("cargo")
        .args(words)
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output();
    let Ok(output) = output else { return totals };
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        let Some(result) = line.strip_prefix("test result:") else {
            continue;
        };
        totals.passed += count(result, "passed");
        totals.failed += count(result, "failed");
    }
    print!("{text}");
    totals.succeeded = output.status.success();
    totals
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    result
        .split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(word))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

fn cargo(words: &[&str]) -> Result<(), String> {
    let status = Command::new("cargo")
        .args(words)
        .current_dir(root())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo {} ended with {status}", words.join(" "))),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn totals_are_read_from_the_runner() {
        let line = " FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s";
        assert_eq!(
            (
                count(line, "passed"),
                count(line, "failed"),
                count(line, "gone")
            ),
            (12, 3, 0)
        );
    }
}
