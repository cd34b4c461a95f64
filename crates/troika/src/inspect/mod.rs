//! `troika inspect DIR`: a look at a data directory that no broker works in.
//!
//! It checks every checksum, lists checkpoints, segments, queues and partitions, and tells why a
//! broker would refuse to start, in the words of the start itself, or would stop later, with what
//! may be lost. It changes nothing, save with `--repair`: that makes the pages of the index anew
//! from what the log still holds, after it has said so and was told to go on.
//!
//! Caveat: the names of RocketMQ's cluster and broker come from the configuration; give
//! `--config` if the broker has one.

mod listing;
mod stake;
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
    listing::head(dir, &directory);
    let checked = match options.quick {
        true => verify::known(&directory),
        false => verify::verify(&directory),
    };
    listing::files(&directory, &checked);
    let contents = directory.contents(&config);
    let (contents, mut refusal) = match contents {
        Ok(contents) => (contents, None),
        Err(fault) => (None, Some(fault)),
    };
    if let Some(contents) = &contents {
        listing::contents(contents);
    }
    let lost_pages = directory.has_lost_pages();
    let damaged = directory.damaged_pages().len();
    let needed = contents.is_some_and(|contents| {
        listing::damaged_pages(&contents);
        contents.damaged.iter().any(|(owner, _)| owner.is_some())
    });
    if let Some(of_store) = directory.take_refusal() {
        refusal = Some(of_store);
    }
    match &refusal {
        Some(fault) => {
            println!("\na broker refuses to start here:\n  {fault}");
            println!("what may be lost: {}", stake::at_stake(fault, &directory));
        }
        None if needed => println!(
            "\na broker starts here without a warning and stops when it first needs a damaged page, \
             again after each start"
        ),
        None => {}
    }
    drop(directory);
    if lost_pages || damaged > 0 {
        if options.repair {
            return mend(dir, &config, options, lost_pages);
        }
        let dir = dir.display();
        println!("\nthe index can be made anew: troika inspect {dir} --repair");
    }
    match (refusal, checked.damages.max(damaged)) {
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

fn mend(dir: &Path, config: &Config, options: &Options, lost_pages: bool) -> Result<(), String> {
    let which = match lost_pages {
        true => "every page",
        false => "the damaged pages",
    };
    println!(
        "\nMade anew: {which} of the index. The page file as it is, if there is one, is kept as
pages.damaged or, if that is taken, with a number behind."
    );
    println!(
        "The messages themselves are not touched. Where the log does not hold all frames of a page
any more, every message that it still holds comes again, settled ones, too: at least once. Those
that have no room in their old places come behind all others."
    );
    if !options.yes && !goes_on()? {
        return Err("nothing was changed".into());
    }
    let repaired = offline::repair(dir, config).map_err(words)?;
    let rebuilt = repaired.pages;
    if let Some(kept) = repaired.kept {
        println!("the page file as it was is kept: {kept}");
    }
    println!(
        "pages made anew: {}, as they were: {}, messages on the others: {}",
        rebuilt.pages, rebuilt.exact, rebuilt.again
    );
    let is_exact = rebuilt.exact == rebuilt.pages;
    match repaired.passed_over {
        0 => {}
        places if is_exact => {
            println!("damaged places of the log: {places}; no page needed what stood there");
        }
        places => {
            println!("damaged places of the log: {places}; what stood there was passed over");
        }
    }
    if rebuilt.lost > 0 {
        return Err(format!(
            "at least {} messages are in the log no more",
            rebuilt.lost
        ));
    }
    if repaired.passed_over > 0 && !is_exact {
        return Err("messages in damaged places of the log may be missing".into());
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
