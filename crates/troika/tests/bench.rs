//! The load generator against the broker, both as processes: what is sent is confirmed and received,
//! on every wire and in every mode. Nothing here looks at a clock.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const MESSAGES: u64 = 2_000;

/// A server on ports of its own. Ends with the test, whatever its outcome.
struct Running {
    child: Child,
    ready: String,
}

impl Running {
    fn start(dir: &Path) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
        command
            .current_dir(dir)
            .arg("--data-dir")
            .arg(dir.join("data"));
        for port in ["amqp", "openwire", "nameserver", "remoting-vip"] {
            command.args([format!("--{port}-port"), "0".to_owned()]);
        }
        // Routes name the configured port, so that this one cannot be left to the system.
        command.args(["--remoting-port", &free_port().to_string()]);
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut running = Running {
            child: spawned.unwrap(),
            ready: String::new(),
        };
        let stdout = running.child.stdout.as_mut().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut running.ready)
            .unwrap();
        running
    }

    /// The port of a listener, from what the server says when it is ready.
    fn port(&self, listener: &str) -> &str {
        let mut words = self.ready.split_whitespace();
        let address = words.find_map(|word| word.strip_prefix(listener)?.strip_prefix('='));
        let address = address.unwrap_or_else(|| panic!("no {listener} in {:?}", self.ready));
        address.rsplit_once(':').expect("a port").1
    }

    /// Runs the generator and returns what it wrote.
    fn bench(&self, dir: &Path, listener: &str, line: &str) -> Value {
        let json = dir.join("result.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
        command.arg("bench").args(line.split_whitespace());
        command.args(["--quiet", "--port", self.port(listener), "--json"]);
        let output = command.arg(&json).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        let text = std::fs::read_to_string(&json).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// A port that nobody listens at, for now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check(listener: &str, line: &str) {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    let told = running.bench(dir.path(), listener, line);
    for (count, wanted) in [
        ("sent", MESSAGES),
        ("confirmed", MESSAGES),
        ("received", MESSAGES),
        ("redelivered", 0),
        ("strangers", 0),
        ("errors", 0),
    ] {
        assert_eq!(told[count], wanted, "{line}: {count} of {told:#}");
    }
    assert_eq!(told["format"], 1);
    assert_eq!(told["confirm_us"]["count"], MESSAGES, "{line}");
    assert_eq!(told["delivery_us"]["count"], MESSAGES, "{line}");
}

#[test]
fn amqp_counts_agree() {
    check("amqp", "amqp --messages 2000 --window 100 --prefetch 50");
    check(
        "amqp",
        "amqp --messages 2000 --producers 3 --consumers 2 --queues 4 --threads 2 --ack-every 20",
    );
}

#[test]
fn openwire_counts_agree() {
    check("openwire", "openwire --messages 2000 --window 100");
    check(
        "openwire",
        "openwire --messages 2000 --producers 4 --consumers 3 --queues 2 --window 1 --ack-every 7",
    );
}

#[test]
fn rocketmq_counts_agree() {
    check("nameserver", "rocketmq --messages 2000 --window 100");
    check(
        "nameserver",
        "rocketmq --messages 2000 --producers 8 --consumers 3 --queues 2 --window 1 --threads 2",
    );
}

#[test]
fn a_backlog_is_built_and_drained() {
    check("amqp", "amqp --fill 2000 --drain --queues 2 --producers 2");
    check("openwire", "openwire --fill 2000 --drain");
    check("nameserver", "rocketmq --fill 2000 --drain");
}

#[test]
fn a_steady_rate_sends_all_of_it() {
    check(
        "amqp",
        "amqp --messages 2000 --rate 20000 --size 16 --auto-ack",
    );
}

#[test]
fn churn_counts_whole_cycles() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    for (listener, protocol) in [
        ("amqp", "amqp"),
        ("openwire", "openwire"),
        ("nameserver", "rocketmq"),
    ] {
        for kind in ["connections", "queues"] {
            let line = format!("{protocol} --churn {kind} --messages 20 --producers 2");
            let told = running.bench(dir.path(), listener, &line);
            assert_eq!(told["churn"]["operations"], 20, "{line}: {told:#}");
            assert_eq!(told["churn"]["cycle_us"]["count"], 20, "{line}");
            assert_eq!(told["errors"], 0, "{line}");
        }
    }
}

#[test]
fn a_broker_that_is_not_there_is_an_error() {
    let port = free_port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_troika"));
    let output = command
        .args(["bench", "amqp", "--port", &port])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot connect to 127.0.0.1"), "{said}");
}
