//! A process is killed and starts again: with many queues, with a torn tail, and not at all when
//! something that was durable is not what was written.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use server::{Fault, Server};
use store::StoreError;

use crate::line::Gauge;
use crate::{Client, Process, Running, config, doors};

const QUEUES: usize = 1000;
const MESSAGES_PER_QUEUE: usize = 100;
/// Each fills its share of the queues, so that they share syncs.
const PUBLISHERS: usize = 20;

fn stored(client: &mut Client, count: usize) {
    for _ in 0..count {
        assert_eq!(client.line(), "STORED");
    }
}

#[test]
fn many_queues_are_whole_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path());
    let mut clients: Vec<_> = (0..PUBLISHERS)
        .map(|_| Client::connect(process.address))
        .collect();
    for first in (0..QUEUES).step_by(PUBLISHERS) {
        for (queue, client) in (first..).zip(&mut clients) {
            let lines: String = (0..MESSAGES_PER_QUEUE)
                .map(|number| format!("PUB q{queue} {number}\n"))
                .collect();
            client.lines.get_mut().write_all(lines.as_bytes()).unwrap();
        }
        for client in &mut clients {
            stored(client, MESSAGES_PER_QUEUE);
        }
    }
    process.kill();

    let process = Process::start(dir.path());
    let mut client = Client::connect(process.address);
    for queue in 0..QUEUES {
        client.send(&format!("COUNT q{queue}"));
    }
    for queue in 0..QUEUES {
        let count = client.line();
        assert_eq!(count, format!("COUNT {MESSAGES_PER_QUEUE}"), "q{queue}");
    }
    for queue in [0, QUEUES / 2, QUEUES - 1] {
        assert_eq!(client.ask(&format!("HOLD q{queue}")), "OK");
        for number in 0..MESSAGES_PER_QUEUE {
            assert_eq!(client.line(), format!("MSG {number}"), "q{queue}");
        }
    }
    process.kill();
}

/// What a killed process leaves behind that had stored `needle-0` to `needle-29`, each before the
/// next was sent, so that all but the last are known to have been synced.
fn killed(dir: &Path) -> PathBuf {
    let process = Process::start(dir);
    let mut client = Client::connect(process.address);
    for number in 0..30 {
        assert_eq!(client.ask(&format!("PUB jobs needle-{number}.")), "STORED");
    }
    process.kill();
    dir.join("log/0000000001.log")
}

fn held(data_dir: &Path) -> Vec<String> {
    let server = Running::start(config(data_dir));
    let mut client = server.connect();
    let count = client.ask("COUNT jobs");
    let count: usize = count.strip_prefix("COUNT ").unwrap().parse().unwrap();
    assert_eq!(client.ask("HOLD jobs"), "OK");
    let lines = (0..count).map(|_| client.line()).collect();
    drop(client);
    server.stop();
    lines
}

#[test]
fn a_torn_tail_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let segment = killed(dir.path());
    let mut bytes = fs::read(&segment).unwrap();
    // A write that the kill cut short: the beginning of a frame, and then nothing.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let end = end.next_multiple_of(8);
    bytes.copy_within(4096..4096 + 40, end);
    fs::write(&segment, bytes).unwrap();
    for _ in 0..2 {
        let lines = held(dir.path());
        assert_eq!(lines.len(), 30);
        for (number, line) in lines.iter().enumerate() {
            assert!(line.starts_with(&format!("MSG needle-{number}.")), "{line}");
        }
    }
}

#[test]
fn a_flipped_byte_of_what_was_durable_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let segment = killed(dir.path());
    let mut bytes = fs::read(&segment).unwrap();
    let needle = b"needle-10.";
    let at = bytes
        .windows(needle.len())
        .position(|found| found == needle);
    let at = at.expect("it was stored");
    bytes[at + 3] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();

    let refused = Server::open(&config(dir.path()), |_| doors(&Gauge::default()));
    let Some(Fault::Store(StoreError::Corrupt {
        file,
        offset,
        remedy,
        ..
    })) = refused.as_ref().err()
    else {
        panic!("the start is not refused: {:?}", refused.err());
    };
    assert_eq!(file, "log/0000000001.log");
    // The frame that holds the byte begins less than a small frame before it.
    let at = at as u64;
    assert!((at - 200..at).contains(offset), "{offset} for {at}");
    let text = format!("\"log/0000000001.log\" is damaged at offset {offset}: ");
    let remedy = (*remedy).to_owned();
    assert!(remedy.contains("restore the data directory from a copy"));

    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "serve_in_a_process_of_its_own", "--nocapture"])
        .env("TROIKA_TEST_DATA_DIR", dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&text) && said.contains(&remedy), "{said}");
    // Nothing was changed by the attempts: repaired, it starts.
    bytes[at as usize + 3] ^= 0x10;
    fs::write(&segment, &bytes).unwrap();
    assert_eq!(held(dir.path()).len(), 30);
}
