//! What a route costs when an address has many bindings, and what a temporary queue costs when there are many queues.
//! Both without sockets and disk, so that nothing else hides it.

use std::path::Path;
use std::process::Command;

use super::report::shown;
use super::{Kept, Plan, instructions, report};

const BINDINGS: [u64; 4] = [1, 1_000, 10_000, 100_000];
const QUEUES: [u64; 3] = [1_000, 10_000, 100_000];

pub fn run(plan: &Plan) -> Result<(), String> {
    let conversation = instructions::conversation()?;
    let mut text = format!(
        "Measured on {}: {}. One thread, no socket, no disk; the median of 2000 turns.\n\n\
         A publish of 1 KB that one binding matches, from decoding to the delivery, in microseconds:\n\n\
         | bindings of the exchange | direct | topic |\n|---:|---:|---:|\n",
        report::today(),
        report::machine()
    );
    for bindings in BINDINGS {
        let told = told(&conversation, "route", bindings)?;
        text += &format!(
            "| {} | {} | {} |\n",
            shown(bindings as f64),
            of(&told, "direct")?,
            of(&told, "topic")?
        );
    }
    text += "\nA declare and a delete of an exclusive queue, in microseconds:\n\n| other queues | |\n|---:|---:|\n";
    for queues in QUEUES {
        let told = told(&conversation, "temporary", queues)?;
        text += &format!(
            "| {} | {} |\n",
            shown(queues as f64),
            of(&told, "temporary")?
        );
    }
    println!("{text}");
    match plan.kept {
        Kept::Documents => report::replace("routing", &text),
        Kept::Printed => Ok(()),
    }
}

fn told(conversation: &Path, what: &str, number: u64) -> Result<String, String> {
    let output = Command::new(conversation)
        .args([what, &number.to_string()])
        .output()
        .map_err(|error| format!("{}: {error}", conversation.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "conversation {what} {number}: {}\n{complained}",
        output.status
    ))
}

/// The nanoseconds behind a name, as microseconds.
fn of(told: &str, name: &str) -> Result<String, String> {
    told.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
        .map(|nanoseconds| shown(nanoseconds / 1000.0))
        .ok_or_else(|| format!("nothing was measured for \"{name}\": {told}"))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn nanoseconds_are_read() {
        assert_eq!(of("direct 1500\ntopic 2500\n", "topic").unwrap(), "2.50");
        assert!(of("direct 1500\n", "topic").is_err());
    }
}
