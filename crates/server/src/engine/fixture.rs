//! A data directory of format v1, as it was written once by the whole stack, opens for ever.
//!
//! `tests/fixtures/v1/data` is what a process left behind that was killed: two checkpoints, and
//! frames behind them. `state` and `contents.txt` beside it are what must be found in it: the bytes
//! of the replayed state, and everything that can be read, in words.
//!
//! `TROIKA_WRITE_FIXTURE=1 cargo test -p server fixture` writes them anew, which is right only as
//! long as no release has written the format.

mod callers;
mod contents;
mod story;
mod town;

use std::fs;
use std::path::{Path, PathBuf};

use amqp::{BasicProperties, Method, Table, TableRef};
use broker::event::PageSlot;
use broker::id::Millis;
use openwire::Destination;

use super::*;
use crate::config::DataDir;
use callers::{Amqp, Openwire, Remoting};
use town::Town;

/// When the story ends, and a reader begins: what expires must not do so today.
const END: Millis = Millis(1_700_000_100_000);

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// A copy to work on. Segments are committed under another ending, since ignore lists like
/// `*.log`.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["", "log"] {
        fs::create_dir_all(dir.path().join(part)).unwrap();
        for entry in fs::read_dir(directory().join("data").join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = entry.file_name().into_string().unwrap();
                let name = name.replace(".segment", ".log");
                fs::copy(entry.path(), dir.path().join(part).join(name)).unwrap();
            }
        }
    }
    dir
}

/// Writes down what a killed process would leave behind.
fn keep(data_dir: &Path) {
    let kept = directory().join("data");
    let _ = fs::remove_dir_all(&kept);
    for part in ["", "log"] {
        fs::create_dir_all(kept.join(part)).unwrap();
        for entry in fs::read_dir(data_dir.join(part)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !entry.file_type().unwrap().is_file() || name.contains("spare") || name == "lock" {
                continue;
            }
            let mut bytes = fs::read(entry.path()).unwrap();
            // Preallocated room would only make the fixture large.
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                let end = (last + 1).next_multiple_of(4096).min(bytes.len());
                bytes.truncate(end);
            }
            let name = name.replace(".log", ".segment");
            fs::write(kept.join(part).join(name), bytes).unwrap();
        }
    }
}

/// The state that recovery arrives at, before anything new happens.
fn replayed_state(data_dir: &Path) -> Vec<u8> {
    let config = Config {
        data_dir: DataDir(data_dir.into()),
        ..Config::default()
    };
    let disk = Arc::new(store::FileDisk::new(data_dir));
    let mut engine = Engine::open(&config, disk, Arc::new(|| {}), &mut Clock::default()).unwrap();
    // Pages that were full and not spilled yet get numbers that no file has.
    let mut next = 1 << 20;
    let checkpoint = engine.node.checkpoint(&mut |_| {
        next += 1;
        PageSlot(next)
    });
    checkpoint.state
}

fn compare(told: &str, expected: &str) {
    for (number, (told, expected)) in told.lines().zip(expected.lines()).enumerate() {
        assert_eq!(told, expected, "line {} of contents.txt", number + 1);
    }
    assert_eq!(told.len(), expected.len());
}

#[test]
fn the_fixture_of_v1_opens() {
    let root = directory();
    if std::env::var_os("TROIKA_WRITE_FIXTURE").is_some() {
        let dir = tempfile::tempdir().unwrap();
        let _still_running = story::live(dir.path());
        keep(dir.path());
        fs::write(root.join("state"), replayed_state(copy().path())).unwrap();
        let told = contents::tell(&mut Town::open(copy().path(), END));
        fs::write(root.join("contents.txt"), told).unwrap();
    }
    let state = fs::read(root.join("state")).unwrap();
    assert!(
        replayed_state(copy().path()) == state,
        "the replayed state has other bytes than v1 had"
    );
    let dir = copy();
    let mut town = Town::open(dir.path(), END);
    let expected = fs::read_to_string(root.join("contents.txt")).unwrap();
    compare(&contents::tell(&mut town), &expected);
    // The older checkpoint and a longer replay, with the transaction that was prepared in parts,
    // lead to the same.
    let older = copy();
    fs::remove_file(older.path().join("checkpoint-0000000000000002")).unwrap();
    compare(
        &contents::tell(&mut Town::open(older.path(), END)),
        &expected,
    );
    // What it was made for is in it.
    for part in [
        "queue plain live=8\n",
        " redelivered ",
        " attempts=2 ",
        " died=jobs:rejected:1@routes/job",
        " died=jobs:expired:1@",
        " language=1 ",
        " language=2 ",
        " language=3 ",
        " filter=yes\n",
        "partition TopicTest/0 0..4\n",
        "cursor CG TopicTest/0 3\n",
        "partition RMQ_SYS_TRANS_HALF_TOPIC/0 0..3\n",
        "partition RMQ_SYS_TRANS_OP_HALF_TOPIC/0 0..3\n",
        "queue many live=3489\n",
    ] {
        assert!(expected.contains(part), "{part:?} is not in the fixture");
    }
    goes_on(&mut town);
    // What has happened since is kept, too, beside what was there.
    let plain = contents::queue(&mut town, "plain");
    drop(town);
    let mut town = Town::open(dir.path(), END);
    assert_eq!(contents::queue(&mut town, "plain"), plain);
    assert!(
        plain.starts_with("queue plain live=0\n"),
        "what was consumed stays consumed: {plain}"
    );
}

#[test]
fn the_fixture_is_mended() {
    let dir = copy();
    let file = dir.path().join("pages");
    let mut bytes = fs::read(&file).unwrap();
    bytes[3] ^= 1;
    fs::write(&file, bytes).unwrap();
    let rebuilt = crate::offline::repair(dir.path(), &Config::default())
        .unwrap()
        .pages;
    assert!(rebuilt.pages > 0);
    assert_eq!((rebuilt.exact, rebuilt.lost), (rebuilt.pages, 0));
    let expected = fs::read_to_string(directory().join("contents.txt")).unwrap();
    compare(&contents::tell(&mut Town::open(dir.path(), END)), &expected);
}

/// Every door works with what it finds, and what was kept for later comes.
fn goes_on(town: &mut Town) {
    let mut amqp = Amqp::open(town);
    let consume = Method::BasicConsume {
        queue: "plain",
        consumer_tag: "t",
        no_local: false,
        no_ack: true,
        exclusive: false,
        nowait: false,
        arguments: TableRef::EMPTY,
    };
    let mut plain = amqp.say(town, &[consume]);
    contents::wait_for_live(town, "plain", 0);
    plain.extend(amqp.say(town, &[]));
    assert_eq!(
        plain,
        ["p0", "p1", "p3", "p6", "p7", "p8", "p9", "late"],
        "over AMQP"
    );
    let before = contents::live(town, "eu");
    for region in ["eu", "us"] {
        let headers = Table::new().with("region", region).to_bytes();
        let properties = BasicProperties {
            headers: Some(TableRef::parse(&headers).unwrap()),
            ..story::PLAIN
        };
        amqp.publish(town, "heads", "", &properties, region);
    }
    assert_eq!(contents::live(town, "eu"), before + 1, "the filter");

    let mut openwire = Openwire::open(town, "ID:later");
    let subscription = "amq.sub.client-ID%3Afixture.forecasts";
    let before = contents::live(town, subscription);
    for kind in ["news", "noise"] {
        openwire.send(town, Destination::topic("weather.south"), kind, kind);
    }
    assert_eq!(
        contents::live(town, subscription),
        before + 1,
        "the selector"
    );
    openwire.consume(town, 1, Destination::queue("jms.orders"), None);
    assert_eq!(openwire.given.len(), 4, "over OpenWire");
    // A message that the producer sends again is known.
    let mut again = Openwire::open(town, "ID:fixture");
    again.send(town, Destination::queue("jms.orders"), "plain", "o0");
    assert_eq!(openwire.given.len(), 4);
    assert_eq!(contents::live(town, "jms.orders"), 4);

    let mut remoting = Remoting::open(town);
    let next = remoting.send(town, 0, "0", "TAGS\u{1}a\u{2}", "next");
    assert_eq!(next["queueOffset"], "4");
    // Two hours pass: the delayed messages come, and the job expires to where jobs go then.
    let dead = contents::live(town, "dead");
    town.pass_time(2 * 3600 * 1000 + 1);
    contents::wait_for_live(town, "dead", dead + 1);
    contents::wait_for_live(town, "jobs", 0);
    for (topic, number, bounds) in [
        ("TopicTest", 0, "0..5"),
        ("TopicTest", 1, "0..3"),
        ("%RETRY%CG", 0, "0..1"),
    ] {
        let told = contents::partition(town, topic, number);
        let expected = format!("partition {topic}/{number} {bounds}\n");
        assert!(told.starts_with(&expected), "{told}");
    }
}
