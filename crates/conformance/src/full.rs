//! The rounds in which the disk or the memory runs full under load from all three doors: publishers rest, consumers
//! go on, publishers go on when there is room, and at the end the account finds nothing lost.
//!
//! The disk: publishers alone fill a small one; consumers then empty it. The memory: a program of its own fills it
//! with messages that no log keeps, beside publishers and consumers that must feel it, and empties it again.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::never_lose::{self, finish, start};
use crate::program::{Launch, Running, Step};
use crate::progress::{Confirmed, PATIENCE, confirmed, go_on, until};
use crate::run;
use crate::scenarios::{Language, Scarce};
use crate::server::Server;

/// For so long nobody's publishes are confirmed.
const REST: Duration = Duration::from_secs(3);

/// What the server says, once, when its disk has no room for messages.
const FULL: &str = "the disk is full";

/// Runs the rounds and returns the account's summary.
pub fn run(
    server: &Server,
    dir: &Path,
    scarce: Scarce,
    rounds: u32,
    names: &str,
) -> Result<String, String> {
    let records = dir.join("records");
    fs::create_dir_all(&records).map_err(|error| format!("{}: {error}", records.display()))?;
    let mut publishers = start(server, dir, names, &words(scarce))?;
    for round in 1..=rounds {
        let outcome = match scarce {
            Scarce::Disk => disk(server, dir, &records, names, round),
            Scarce::Memory => memory(server, dir, &records, names),
        };
        outcome.map_err(|reason| format!("round {round}: {reason}"))?;
    }
    for program in &mut publishers {
        program.tell("stop");
    }
    // Who rests has a message on its way, and ends when there is room for it.
    consume_while(server, dir, names, || finish(&mut publishers))?;
    finish(&mut start(server, dir, names, &["mode=drain"])?)?;
    never_lose::judge(&records)
}

fn words(scarce: Scarce) -> Vec<&'static str> {
    match scarce {
        Scarce::Disk => vec!["mode=publish", "pad=16000"],
        Scarce::Memory => vec!["mode=load"],
    }
}

fn disk(
    server: &Server,
    dir: &Path,
    records: &Path,
    names: &str,
    round: u32,
) -> Result<(), String> {
    until("the disk is full", || {
        Ok(server.log().matches(FULL).count() >= round as usize)
    })?;
    let resting = rests(records)?;
    consume_while(server, dir, names, || go_on(records, resting))
}

fn consume_while(
    server: &Server,
    dir: &Path,
    names: &str,
    what: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let mut consumers = start(server, dir, names, &["mode=consume"])?;
    what()?;
    for program in &mut consumers {
        program.tell("stop");
    }
    finish(&mut consumers)
}

fn memory(server: &Server, dir: &Path, records: &Path, names: &str) -> Result<(), String> {
    go_on(records, confirmed(records)?)?;
    let mut hog = Launch {
        language: Language::Python,
        program: "hog",
        set: "",
        arguments: Vec::new(),
        ports: server.ports(),
        run: names,
        dir,
        deadline: PATIENCE * 2,
    }
    .start()?;
    ready(&mut hog)?;
    let resting = rests(records)?;
    hog.tell("drain");
    if !hog.finish() {
        return Err(run::tail(&hog));
    }
    go_on(records, resting)
}

fn ready(program: &mut Running) -> Result<(), String> {
    loop {
        match program.step() {
            Step::Said(line) if line == "READY" => return Ok(()),
            Step::Said(_) => {}
            Step::Ended { .. } => return Err(run::tail(program)),
        }
    }
}

/// Waits until every publisher rests, all of them at once; how much was confirmed to each by then. What was on its
/// way is confirmed first, and a disk that is merged has room again for a while.
fn rests(records: &Path) -> Result<Confirmed, String> {
    let mut last = confirmed(records)?;
    until("every publisher rests", || {
        thread::sleep(REST);
        let before = std::mem::replace(&mut last, confirmed(records)?);
        Ok(before == last)
    })?;
    Ok(last)
}
