//! `troika inspect DIR`: a look at a data directory that no broker works in.
//!
//! It lists checkpoints, segments, queues and partitions, checks every checksum, and tells why a
//! broker would refuse to start, in the words of the start itself, with what may be lost. It
//! changes nothing, save with `--repair`: that makes the pages of the index anew from what the log
//! still holds, after it has said so and was told to go on.
//!
//! Caveat: the names of RocketMQ's cluster and broker come from the configuration; give
//! `--config` if the broker has one.

mod listing;
mod verify;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use server::offline::{self, Directory};
use server::{Config, Fault};

/// Look into a data directory while no broker runs in it
#[derive(Args)]
pub struct Options {
    /// The data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The broker's configuration file [default: troika.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// List only; do not read everything to check its checksums
    #[arg(long)]
    quick: bool,
    /// Make damaged pages of the index anew from what the log still holds
    #[arg(long)]
    repair: bool,
    /// Do not ask before repairing
    #[arg(long, requires = "repair")]
    yes: bool,
}

pub fn inspect(options: &Options) -> Result<(), String> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(options.config.as_deref(), environment, Vec::new())
        .map_err(|error| error.to_string())?;
    let dir = options.dir.as_path();
    let mut directory = Directory::open(dir).map_err(words)?;
    listing::files(dir, &directory);
    let lost_pages = directory.has_lost_pages();
    let contents = directory.contents(&config);
    let damages = if options.quick {
        0
    } else {
        verify::verify(&directory)
    };
    let damaged = directory.damaged_pages().len();
    let refusal = match contents {
        Ok(contents) => {
            listing::contents(&contents);
            None
        }
        Err(fault) => {
            println!("\na broker refuses to start here:\n  {fault}");
            println!("what may be lost: {}", at_stake(&fault));
            Some(fault)
        }
    };
    drop(directory);
    if options.repair && (damaged > 0 || lost_pages) {
        return mend(dir, &config, options, damaged);
    }
    if damaged > 0 || lost_pages {
        let dir = dir.display();
        println!("\nthe index can be made anew: troika inspect {dir} --repair");
    }
    match (refusal, damages) {
        (Some(_), _) if options.repair => {
            Err("this cannot be repaired: only pages of the index can be made anew".into())
        }
        (Some(_), _) => Err("a broker refuses to start here".into()),
        (None, 0) => {
            if options.repair {
                println!("\nnothing needs to be repaired");
            }
            Ok(())
        }
        (None, damages) => Err(format!("{damages} damaged places")),
    }
}

fn words(fault: Fault) -> String {
    fault.to_string()
}

fn mend(dir: &Path, config: &Config, options: &Options, damaged: usize) -> Result<(), String> {
    println!();
    if damaged == 0 {
        println!(
            "every page of the index is made anew; what is there is set aside as pages.damaged"
        );
    } else {
        println!("damaged pages of the index that are made anew: {damaged}");
    }
    println!(
        "The messages themselves are not touched. Where the log does not hold all frames of a page
any more, every message that it still holds comes again, settled ones, too: at least once."
    );
    if !options.yes && !goes_on()? {
        return Err("nothing was changed".into());
    }
    let rebuilt = offline::repair(dir, config).map_err(words)?;
    println!(
        "pages made anew: {}, as they were: {}, messages on the others: {}",
        rebuilt.pages, rebuilt.exact, rebuilt.again
    );
    if rebuilt.lost > 0 {
        return Err(format!("{} messages are in the log no more", rebuilt.lost));
    }
    Ok(())
}

fn goes_on() -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Err("nobody can be asked here: say --yes".into());
    }
    print!("Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdout()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut answer))
        .map_err(|error| format!("cannot ask: {error}"))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// What an operator has to expect if the damage stays.
fn at_stake(fault: &Fault) -> &'static str {
    let Fault::Store(error) = fault else {
        return "nothing, if the version that wrote it is started";
    };
    match error.file() {
        "pages" => "no message: the log holds them all. What was settled since may come again",
        "node" => {
            "no message, if the node file comes back from any copy of this directory: it never changes"
        }
        file if file.starts_with("log/") => {
            "messages in the damaged frame and in the frames behind it, and with them the \
             settlements that are told there: what was settled may come again"
        }
        file if file.starts_with("checkpoint-") => {
            "the names of queues and topics and what was settled before the log's first segment; the \
             messages in the segments are intact"
        }
        _ => "nothing that is on the disk: mend what the error names and try again",
    }
}
