//! A `troika` process, with what the kernel says of its memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::REST_MAX;
use crate::amqp_client::Amqp;

/// Ends with its value, and its data with it.
pub struct Server {
    child: Child,
    ports: Vec<(String, u16)>,
    dir: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Server {
        // Not in a directory that may lie in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (child, ports) = spawn(&dir);
        Server { child, ports, dir }
    }

    pub fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.ports) = spawn(&self.dir);
    }

    fn port(&self, name: &str) -> u16 {
        let found = self.ports.iter().find(|(known, _)| known == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.ports))
            .1
    }

    pub fn amqp_port(&self) -> u16 {
        self.port("amqp")
    }

    pub fn openwire_port(&self) -> u16 {
        self.port("openwire")
    }

    pub fn remoting_port(&self) -> u16 {
        self.port("remoting")
    }

    /// Resident bytes, once they are no more than wanted, or when the server had long enough to get there.
    pub fn resident(&self, wanted: u64) -> u64 {
        let deadline = Instant::now() + REST_MAX;
        // Each look costs a round trip, so that the server has had a turn.
        let mut visitor = Amqp::open(self.amqp_port());
        loop {
            visitor.round_trip();
            let resident = self.resident_now();
            if resident <= wanted || Instant::now() > deadline {
                return resident;
            }
        }
    }

    fn resident_now(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: u64 = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap();
        kilobytes * 1024
    }
}

fn spawn(dir: &tempfile::TempDir) -> (Child, Vec<(String, u16)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
    command
        .current_dir(dir.path())
        .arg("--data-dir")
        .arg(dir.path().join("data"));
    for port in ["amqp", "openwire", "nameserver", "remoting", "remoting-vip"] {
        command.args([format!("--{port}-port"), "0".to_owned()]);
    }
    let mut child = command
        .args(["--log-level", "error"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped"))
        .read_line(&mut line)
        .unwrap();
    // `troika ready amqp=127.0.0.1:5672 openwire=…`
    let port = |word: &str| -> Option<(String, u16)> {
        let (name, address) = word.split_once('=')?;
        Some((name.to_owned(), address.rsplit_once(':')?.1.parse().ok()?))
    };
    (child, line.split_whitespace().filter_map(port).collect())
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
