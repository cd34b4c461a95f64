//! Scenarios driven by real foreign clients.
//!
//! What it is: the machinery that starts the real `troika` process, runs an unmodified foreign client against
//! it (Python `pika`, Java `amqp-client`, `activemq-client`, `rocketmq-client`), kills and restarts the server
//! when a scenario asks for it, and tells passed from failed. The scenarios themselves are programs under
//! `python/` and `java/`; [`scenarios`] is the one list of them.
//!
//! What it is not: no client of its own. Nothing here encodes or decodes a frame of any protocol.
//!
//! Invariants:
//! - Every scenario has a fresh server with a data directory and ports of its own, so scenarios run side by side.
//! - Every wait has a deadline; a program that hangs is killed and counts as failed.
//! - Nothing is skipped silently: a missing toolchain is installed or ends the run with the command to type.
//! - Whatever is installed lands under `target/conformance`.
//!
//! The dialogue of a scenario program: its arguments are `key=value` words; it prints `ok …` lines; it exits with
//! 0 when it passed; it prints `KILL ME` to have the server killed with SIGKILL and started again, and then reads
//! one line, `RESTARTED`.
//!
//! `troika-forgetful` is the same server on a [`forgetful`] disk, so that a kill loses what a power failure would.
//!
//! With `--peer` the same scenarios run against a real broker that already listens. That is how they were
//! proven. Caveat: a peer's restart is a command of the caller's.

pub mod account;
pub mod forgetful;
pub mod full;
pub mod never_lose;
pub mod options;
pub mod paths;
pub mod program;
pub mod progress;
pub mod random;
pub mod run;
pub mod scenarios;
pub mod server;
pub mod toolchain;
