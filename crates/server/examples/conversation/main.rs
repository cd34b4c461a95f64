//! Fixed conversations with a whole node on one thread: doors, node and the log's frames, but no socket, no disk and
//! no second thread. Run twice it does exactly the same, so that its instructions can be counted and compared with a
//! committed figure (`cargo xtask bench instructions`), and what a route or a queue costs can be told apart from
//! what the system calls cost (`cargo xtask bench routing`).
//!
//! ```text
//! conversation amqp|openwire|rocketmq MESSAGES   a 1 KB message is published, confirmed, consumed, acknowledged
//! conversation route BINDINGS                    nanoseconds of a publish through an address with so many bindings
//! conversation temporary QUEUES                  nanoseconds of a declare and a delete among so many queues
//! ```
//!
//! Caveats: clients are byte templates with numbers patched in, so they cost next to nothing, but what they do cost is
//! counted; the frames are built and summed as for the disk and then kept for a while in memory instead of written.

mod amqp;
mod openwire;
mod rocketmq;
mod world;

use std::process::ExitCode;

/// Messages that arrive together, as in a socket read once under load.
const BATCH: u64 = 32;
/// Bytes in a body.
const BODY: usize = 1024;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (what, number) = match &words[..] {
        [what, number] => (what.as_str(), number.parse::<u64>().ok()),
        _ => ("", None),
    };
    let Some(number) = number else {
        eprintln!("usage: conversation amqp|openwire|rocketmq|route|temporary NUMBER");
        return ExitCode::FAILURE;
    };
    match what {
        "amqp" => amqp::exchange_messages(number),
        "openwire" => openwire::exchange_messages(number),
        "rocketmq" => rocketmq::exchange_messages(number),
        "route" => {
            for kind in ["direct", "topic"] {
                println!("{kind} {}", amqp::route(kind, number));
            }
        }
        "temporary" => println!("temporary {}", amqp::temporary(number)),
        other => {
            eprintln!("unknown conversation \"{other}\"");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Where a number of eight bytes stands in a template that was made with `marker` in its place.
fn places(template: &[u8], marker: u64) -> Vec<usize> {
    let marker = marker.to_be_bytes();
    let found = template.windows(8).enumerate();
    found
        .filter(|(_, bytes)| *bytes == marker)
        .map(|(at, _)| at)
        .collect()
}

fn patch(bytes: &mut [u8], places: &[usize], number: u64) {
    for at in places {
        bytes[*at..at + 8].copy_from_slice(&number.to_be_bytes());
    }
}
