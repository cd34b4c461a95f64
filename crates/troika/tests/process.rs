//! The binary as an operator meets it: how much memory it takes when nobody comes, and what it says
//! when it cannot start.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What an idle server may take, however it is built. Built for debugging it took 12 MB when this
/// was written, so that half of it is margin for what other systems' allocators and loaders add.
const RESIDENT_BYTES_MAX: u64 = 25 << 20;
/// A segment of the server's fixture that only a replay reads, and a byte of its first frame.
const SEGMENT: &str = "log/0000000003.log";
const FIRST_FRAME: usize = 4096;
const DAMAGED_BYTE: usize = FIRST_FRAME + 70;

fn troika(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
    command.current_dir(data_dir.parent().expect("a directory of the test"));
    command.arg("--data-dir").arg(data_dir);
    for port in ["amqp", "openwire", "nameserver", "remoting", "remoting-vip"] {
        command.args([format!("--{port}-port"), "0".to_owned()]);
    }
    command
}

/// Ends with the test, whatever its outcome.
struct Running(Child);

impl Running {
    /// Started, and waited for until it says that it is ready.
    fn start(data_dir: &Path) -> Running {
        let child = troika(data_dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Running(child);
        let stdout = running.0.stdout.as_mut().expect("piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert!(line.starts_with("troika ready amqp=127.0.0.1:"), "{line:?}");
        running
    }

    #[cfg(target_os = "linux")]
    fn resident_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.0.id())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        let page_bytes = Command::new("getconf").arg("PAGESIZE").output().unwrap();
        let page_bytes = String::from_utf8(page_bytes.stdout).unwrap();
        pages * page_bytes.trim().parse::<u64>().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_server_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&dir.path().join("data"));
    let resident = running.resident_bytes();
    assert!(resident <= RESIDENT_BYTES_MAX, "{resident} bytes");
}

/// The data directory that another build of this program has left, as the server's own test knows
/// it.
fn copy_fixture(data_dir: &Path) {
    let fixture =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures/v1/data");
    for part in ["", "log"] {
        fs::create_dir_all(data_dir.join(part)).unwrap();
        for entry in fs::read_dir(fixture.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = entry.file_name().into_string().unwrap();
                let name = name.replace(".segment", ".log");
                fs::copy(entry.path(), data_dir.join(part).join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_damaged_log_is_refused_with_file_offset_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    copy_fixture(&data_dir);
    let segment = data_dir.join(SEGMENT);
    let sound = fs::read(&segment).unwrap();
    let mut bytes = sound.clone();
    bytes[DAMAGED_BYTE] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let output = troika(&data_dir).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it never says that it is ready");
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        format!("troika: \"{SEGMENT}\" is damaged at offset {FIRST_FRAME}: "),
        "; restore the data directory from a copy".to_owned(),
    ] {
        assert!(said.contains(&part), "{said}");
    }
    // It was left as it was: mended, it starts.
    fs::write(&segment, sound).unwrap();
    Running::start(&data_dir);
}
