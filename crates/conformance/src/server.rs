//! The server under test: a `troika` process of our own, or a peer that already listens.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::paths;

/// How long a start may take, replay of the log included.
const READY_SECONDS_MAX: u64 = 30;

/// The ports of one server, one for each listener.
#[derive(Clone, Copy)]
pub struct Ports {
    pub amqp: u16,
    pub openwire: u16,
    pub nameserver: u16,
    pub remoting: u16,
    /// The second RocketMQ port; clients derive it as `remoting - 2`.
    pub remoting_vip: u16,
}

/// Ports are taken from here, below the range from which systems take the ports of outgoing connections: a
/// restart must find its ports still free.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

impl Ports {
    pub const WELL_KNOWN: Ports = Ports {
        amqp: 5672,
        openwire: 61616,
        nameserver: 9876,
        remoting: 10911,
        remoting_vip: 10909,
    };

    /// Five free ports. Each process starts at a place of its own, so that two runs rarely meet.
    pub fn free() -> Ports {
        static START: std::sync::Once = std::sync::Once::new();
        START.call_once(|| {
            let offset = (std::process::id() % 1000) as u16 * 12;
            NEXT_PORT.store(20_000 + offset, Ordering::Relaxed);
        });
        loop {
            let base = NEXT_PORT.fetch_add(6, Ordering::Relaxed);
            if base > 32_700 {
                NEXT_PORT.store(20_000, Ordering::Relaxed);
                continue;
            }
            let block: Vec<u16> = (base..base + 6).collect();
            if block
                .iter()
                .all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            {
                return Ports {
                    amqp: base,
                    openwire: base + 1,
                    nameserver: base + 2,
                    remoting_vip: base + 3,
                    remoting: base + 5,
                };
            }
        }
    }
}

/// A real broker that already listens.
#[derive(Clone)]
pub struct Peer {
    pub ports: Ports,
    /// A shell command that kills it with SIGKILL, starts it again and returns when it listens.
    pub restart: Option<String>,
}

impl Peer {
    pub fn new(ports: Ports) -> Peer {
        Peer {
            ports,
            restart: None,
        }
    }
}

/// The server of one scenario; ends with it.
pub enum Server {
    Troika(Troika),
    Peer(Peer),
}

impl Server {
    pub fn ports(&self) -> Ports {
        match self {
            Server::Troika(troika) => troika.ports,
            Server::Peer(peer) => peer.ports,
        }
    }

    /// SIGKILL, then a start on the same data and ports.
    pub fn kill_and_restart(&mut self) -> Result<(), String> {
        match self {
            Server::Troika(troika) => {
                troika.kill();
                troika.start()
            }
            Server::Peer(peer) => {
                let command = peer
                    .restart
                    .as_ref()
                    .ok_or("this scenario needs --peer-restart COMMAND")?;
                let status = Command::new("sh")
                    .args(["-c", command])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .status();
                match status {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(format!("\"{command}\" ended with {status}")),
                    Err(error) => Err(format!("\"{command}\": {error}")),
                }
            }
        }
    }

    /// What the server wrote to its standard error.
    pub fn log(&self) -> String {
        match self {
            Server::Troika(troika) => {
                fs::read_to_string(troika.dir.join("stderr")).unwrap_or_default()
            }
            Server::Peer(_) => String::new(),
        }
    }

    /// Whether the server is still there; one that ended by itself fails its scenario.
    pub fn alive(&mut self) -> bool {
        match self {
            Server::Troika(troika) => {
                matches!(troika.child.as_mut().map(Child::try_wait), Some(Ok(None)))
            }
            Server::Peer(_) => true,
        }
    }
}

/// A `troika serve` process with a data directory of its own.
pub struct Troika {
    binary: PathBuf,
    dir: PathBuf,
    ports: Ports,
    environment: Vec<(&'static str, &'static str)>,
    child: Option<Child>,
}

impl Troika {
    /// Starts a fresh server in `dir` and waits until all its listeners are open.
    pub fn fresh(
        binary: &Path,
        dir: &Path,
        environment: Vec<(&'static str, &'static str)>,
    ) -> Result<Troika, String> {
        let mut troika = Troika {
            binary: binary.into(),
            dir: dir.into(),
            ports: Ports::free(),
            environment,
            child: None,
        };
        troika.start()?;
        Ok(troika)
    }

    fn start(&mut self) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("stderr"))
            .map_err(|error| format!("{}: {error}", self.dir.display()))?;
        let mut child = Command::new(&self.binary)
            .arg("serve")
            .arg("--data-dir")
            .arg(self.dir.join("data"))
            .args(["--amqp-port", &self.ports.amqp.to_string()])
            .args(["--openwire-port", &self.ports.openwire.to_string()])
            .args(["--nameserver-port", &self.ports.nameserver.to_string()])
            .args(["--remoting-port", &self.ports.remoting.to_string()])
            .envs(self.environment.iter().copied())
            .args(["--remoting-vip-port", &self.ports.remoting_vip.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let stdout = child
            .stdout
            .take()
            .ok_or("the server has no standard output")?;
        self.child = Some(child);
        let (ready, is_ready) = mpsc::channel();
        // The thread reads on after the line, so that the server never blocks on a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.starts_with("troika ready") {
                    let _ = ready.send(());
                }
            }
        });
        match is_ready.recv_timeout(Duration::from_secs(READY_SECONDS_MAX)) {
            Ok(()) => Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.kill();
                Err(format!(
                    "the server is not ready after {READY_SECONDS_MAX} s{}",
                    self.said()
                ))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                self.kill();
                Err(format!(
                    "the server ended before it was ready{}",
                    self.said()
                ))
            }
        }
    }

    fn said(&self) -> String {
        let text = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
        if text.is_empty() {
            String::new()
        } else {
            format!(": {}", text.trim_end())
        }
    }

    /// SIGKILL, by the process that we started.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Troika {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The binary beside this one that runs the same server on a disk that forgets.
pub fn forgetful_binary() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let path = here.with_file_name("troika-forgetful");
    if path.is_file() {
        Ok(path)
    } else {
        Err("troika-forgetful is not built: cargo build -p conformance".into())
    }
}

/// The binary to test: the given one, else the newest that cargo has built.
pub fn binary(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = given {
        return if path.is_file() {
            Ok(path.into())
        } else {
            Err(format!("there is no troika binary at {}", path.display()))
        };
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| paths::root().join("target"), PathBuf::from);
    ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join("troika"))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| "no troika binary is built: cargo build --release -p troika".into())
}
