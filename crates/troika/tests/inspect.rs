//! `troika inspect` over the data directory that the server's own test knows: as it is, damaged in
//! each kind of file, mended, and while a broker runs in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A segment that only a replay reads, and a byte of its first frame.
const SEGMENT: &str = "log/0000000003.log";
const FIRST_FRAME: usize = 4096;
const CHECKPOINT: &str = "checkpoint-0000000000000002";

/// A copy of the fixture.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixture =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures/v1/data");
    for part in ["", "log"] {
        fs::create_dir_all(dir.path().join(part)).unwrap();
        for entry in fs::read_dir(fixture.join(part)).unwrap() {
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

fn inspect(data_dir: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
    command.current_dir(data_dir).arg("inspect").arg(data_dir);
    command.args(flags).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    let words = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    words.concat()
}

fn flip(file: &Path, byte: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[byte] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn broker(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
    command.current_dir(data_dir);
    command.arg("--data-dir").arg(data_dir);
    for port in ["amqp", "openwire", "nameserver", "remoting", "remoting-vip"] {
        command.args([format!("--{port}-port"), "0".to_owned()]);
    }
    command
}

/// A broker that ends with the test.
struct Running(Child);

impl Running {
    fn start(data_dir: &Path) -> Running {
        let mut command = broker(data_dir);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        let stdout = running.0.stdout.as_mut().expect("piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("troika ready "), "{line:?}");
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a broker says that does not start.
fn refusal(data_dir: &Path) -> String {
    let output = broker(data_dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = words.lines().last().expect("it says why");
    let reason = last.strip_prefix("troika: ");
    reason.unwrap_or_else(|| panic!("{words}")).to_owned()
}

#[test]
fn a_sound_directory_is_listed() {
    let dir = copy();
    let output = inspect(dir.path(), &[]);
    let words = said(&output);
    assert!(output.status.success(), "{words}");
    let line = |name: &str| {
        let mut lines = words
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines
            .find(|cells| cells.first() == Some(&name))
            .unwrap_or_else(|| panic!("{name}: {words}"))
    };
    // As `contents.txt` beside the fixture has it.
    assert_eq!(line("plain")[1], "8");
    assert_eq!(line("many")[1], "3489");
    assert_eq!(line("TopicTest/0")[1..4], ["4", "0", "4"]);
    assert_eq!(line("plain")[5], "yes");
    let segment = line(SEGMENT);
    assert_eq!(
        (segment.len(), segment[1], segment[5]),
        (12, "ordinary", "no")
    );
    let [frames, messages] = [6, 7].map(|column: usize| segment[column].parse::<u64>().unwrap());
    assert!(
        frames > 0 && messages > 0 && segment[8] <= segment[9],
        "{segment:?}"
    );
    assert!(segment[8].ends_with('Z'), "{segment:?}");
    assert_eq!(line(CHECKPOINT)[2], "0");
    let [_, needed, contained, last] = line("0")[..] else {
        panic!("{words}");
    };
    let [needed, contained, last] = [needed, contained, last].map(|n| n.parse::<u64>().unwrap());
    assert!(needed <= contained && contained < last, "{words}");
    assert!(words.contains("synced up to position "), "{words}");
    assert!(words.contains("damaged places: 0"), "{words}");
    // Nothing was changed, and nothing of it needs to be.
    assert!(said(&inspect(dir.path(), &["--repair"])).contains("nothing needs to be repaired"));
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_start() {
    for (file, byte) in [(SEGMENT, FIRST_FRAME + 70), ("node", 20), ("pages", 3)] {
        let dir = copy();
        flip(&dir.path().join(file), byte);
        let output = inspect(dir.path(), &[]);
        let words = said(&output);
        assert_eq!(output.status.code(), Some(1), "{words}");
        let reason = refusal(dir.path());
        assert!(
            reason.starts_with(&format!("{file:?} is damaged at offset ")),
            "{reason}"
        );
        assert!(
            words.contains(&format!("\n  {reason}\n")),
            "{reason}\n{words}"
        );
        assert!(words.contains("what may be lost: "), "{words}");
        // What was never looked at is not judged; what needs no page is known without them.
        let segment = words.lines().find(|line| line.starts_with("log/"));
        let segment = segment.expect("listed").split_whitespace().nth(5);
        assert_eq!(segment == Some("-"), file != "pages", "{words}");
        assert_eq!(words.contains("\nplain "), file == "pages", "{words}");
    }
}

#[test]
fn without_a_sound_checkpoint_the_names_may_be_lost() {
    let dir = copy();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("checkpoint-") {
            flip(&path, 200);
        }
    }
    // The log is there from its first segment on, which is as good.
    let words = said(&inspect(dir.path(), &[]));
    assert!(!words.contains("what may be lost: "), "{words}");
    flip(&dir.path().join(SEGMENT), FIRST_FRAME + 70);
    let words = said(&inspect(dir.path(), &[]));
    assert!(words.contains("what may be lost: messages in"), "{words}");
    assert!(words.contains("No checkpoint is sound"), "{words}");
}

#[test]
fn a_damaged_checkpoint_is_told_and_not_missed() {
    let dir = copy();
    flip(&dir.path().join(CHECKPOINT), 200);
    let output = inspect(dir.path(), &[]);
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains(&format!("damage: {CHECKPOINT:?} ")),
        "{words}"
    );
    assert_eq!(words.matches("is damaged at offset").count(), 1, "{words}");
    let note = format!("at a start: {CHECKPOINT:?} is set aside as ");
    assert!(words.contains(&note), "{words}");
    let output = inspect(dir.path(), &["--quick"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("damage: "), "{}", said(&output));
    Running::start(dir.path());
}

#[test]
fn damaged_pages_are_repaired_after_a_question() {
    for byte in [3, 4096 + 100] {
        let dir = copy();
        let pages = dir.path().join("pages");
        flip(&pages, byte);
        let damaged = fs::read(&pages).unwrap();
        let words = said(&inspect(dir.path(), &[]));
        assert!(words.contains("the index can be made anew"), "{words}");
        assert!(words.contains(" of queue "), "{words}");
        let starts = byte != 3;
        assert_eq!(
            words.contains("stops when it first needs"),
            starts,
            "{words}"
        );
        // Nobody can be asked.
        let output = inspect(dir.path(), &["--repair"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("say --yes"), "{}", said(&output));
        assert_eq!(fs::read(&pages).unwrap(), damaged);
        let output = inspect(dir.path(), &["--repair", "--yes"]);
        assert!(output.status.success(), "{}", said(&output));
        let exact = said(&output).contains("messages on the others: 0\n");
        assert!(exact, "{}", said(&output));
        assert_eq!(fs::read(dir.path().join("pages.damaged")).unwrap(), damaged);
        let output = inspect(dir.path(), &[]);
        let words = said(&output);
        assert!(output.status.success(), "{words}");
        assert!(words.contains("damaged places: 0"), "{words}");
        Running::start(dir.path());
        // The next damage does not take the place of the first.
        fs::remove_file(&pages).unwrap();
        fs::write(&pages, "nonsense").unwrap();
        let output = inspect(dir.path(), &["--repair", "--yes"]);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(fs::read(dir.path().join("pages.damaged")).unwrap(), damaged);
        let second = fs::read(dir.path().join("pages.damaged-2")).unwrap();
        assert_eq!(second, b"nonsense");
    }
}

#[test]
fn nobody_looks_while_a_broker_works() {
    let dir = copy();
    let running = Running::start(dir.path());
    for flags in [&[][..], &["--repair", "--yes"]] {
        let output = inspect(dir.path(), flags);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("is locked"), "{}", said(&output));
    }
    drop(running);
}

#[test]
fn what_is_no_data_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = inspect(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("is no data directory"),
        "{}",
        said(&output)
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let missing = dir.path().join("missing");
    let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
    command.current_dir(dir.path()).arg("inspect").arg(&missing);
    let words = said(&command.output().unwrap());
    assert!(
        words.contains(&format!("cannot list {missing:?}: ")),
        "{words}"
    );
}
