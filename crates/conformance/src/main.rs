//! `cargo run -p conformance -- [--filter TEXT] [--long] …`: runs the scenarios and prints the totals.

use std::process::ExitCode;

use conformance::options::Options;
use conformance::run;

fn main() -> ExitCode {
    let verdict = Options::parse(std::env::args().skip(1)).and_then(|options| run::all(&options));
    match verdict {
        Ok(totals) => {
            println!("{} passed, {} failed", totals.passed, totals.failed);
            if totals.failed == 0 && totals.passed > 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(reason) => {
            eprintln!("conformance: {reason}");
            ExitCode::FAILURE
        }
    }
}
