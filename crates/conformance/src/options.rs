//! The command line of the harness.

use std::path::PathBuf;
use std::thread;

use crate::server::{Peer, Ports};

/// What to run, and against which server.
pub struct Options {
    /// The `troika` binary; by default the newest of the release and debug builds.
    pub troika: Option<PathBuf>,
    /// A real broker that already listens, instead of Troika.
    pub peer: Option<Peer>,
    /// Only scenarios whose name contains this.
    pub filter: Option<String>,
    /// How many scenarios run side by side.
    pub jobs: usize,
    /// Kill rounds of the never-lose run.
    pub rounds: u32,
    /// The same on a disk that forgets.
    pub rounds_forgetful: u32,
    /// Rounds in which the disk or the memory runs full.
    pub rounds_full: u32,
    /// Print the scenarios and end.
    pub list: bool,
}

/// Kill rounds without `--long`.
const ROUNDS: u32 = 5;
/// The same on a disk that forgets.
const ROUNDS_FORGETFUL: u32 = 2;
/// Rounds between a disk or memory that is full and one that is not.
const ROUNDS_FULL: u32 = 1;

/// With `--long`, of each kind of kill round.
const ROUNDS_LONG: u32 = 100;
const ROUNDS_FULL_LONG: u32 = 10;

pub const USAGE: &str =
    "usage: conformance [--troika PATH] [--filter TEXT] [--jobs N] [--long] [--rounds N] [--list]
                   [--peer amqp=PORT,openwire=PORT,nameserver=PORT] [--peer-restart COMMAND]";

impl Options {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            troika: std::env::var_os("TROIKA").map(PathBuf::from),
            peer: None,
            filter: None,
            jobs: thread::available_parallelism().map_or(2, |n| n.get()) + 1,
            rounds: ROUNDS,
            rounds_forgetful: ROUNDS_FORGETFUL,
            rounds_full: ROUNDS_FULL,
            list: false,
        };
        let mut restart = None;
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                "--troika" => options.troika = Some(value()?.into()),
                "--filter" => options.filter = Some(value()?),
                "--jobs" => options.jobs = number::<usize>(&word, &value()?)?.max(1),
                "--rounds" => {
                    options.rounds = number(&word, &value()?)?;
                    options.rounds_forgetful = options.rounds;
                    options.rounds_full = options.rounds;
                }
                "--long" => {
                    options.rounds = ROUNDS_LONG;
                    options.rounds_forgetful = ROUNDS_LONG;
                    options.rounds_full = ROUNDS_FULL_LONG;
                }
                "--list" => options.list = true,
                "--peer" => options.peer = Some(Peer::new(peer_ports(&value()?)?)),
                "--peer-restart" => restart = Some(value()?),
                other => return Err(format!("unknown argument \"{other}\"\n{USAGE}")),
            }
        }
        if let (Some(peer), Some(command)) = (&mut options.peer, restart) {
            peer.restart = Some(command);
        }
        Ok(options)
    }
}

fn number<N: std::str::FromStr>(word: &str, text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| format!("{word}: \"{text}\" is not a number"))
}

/// `amqp=5672,openwire=61616,nameserver=9876`; a door that is left out keeps its well-known port.
fn peer_ports(text: &str) -> Result<Ports, String> {
    let mut ports = Ports::WELL_KNOWN;
    for pair in text.split(',') {
        let (door, port) = pair
            .split_once('=')
            .ok_or(format!("--peer: \"{pair}\" is not door=port"))?;
        let port = number("--peer", port)?;
        match door {
            "amqp" => ports.amqp = port,
            "openwire" => ports.openwire = port,
            "nameserver" => ports.nameserver = port,
            other => return Err(format!("--peer: there is no door \"{other}\"")),
        }
    }
    Ok(ports)
}
