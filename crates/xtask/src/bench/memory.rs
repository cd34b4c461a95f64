//! What waiting costs in memory. The measuring is `crates/troika/tests/memory.rs`, which does the same with fewer
//! messages in every `cargo test`; here it runs against a release build with as many as the bars are set for.

use std::process::{Command, Stdio};

use super::{Amount, Kept, Plan, report};

/// How the test tells a figure: this, what was measured, the figure, its bar and whether it is met.
const MARK: &str = "memory | ";

pub fn run(plan: &Plan) -> Result<(), String> {
    let amount = match plan.amount {
        Amount::Quick => "quick",
        Amount::Million => "million",
        Amount::Long => "long",
    };
    // A thousand connections are more than many shells allow at first.
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n \"$(ulimit -Hn)\"; exec cargo \"$@\"",
            "cargo",
        ])
        .args([
            "test",
            "--quiet",
            "--release",
            "--package",
            "troika",
            "--test",
            "memory",
        ])
        .args(["--", "--nocapture", "--test-threads=1"])
        .env("TROIKA_MEMORY", amount)
        .current_dir(crate::root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<String> = said.lines().filter_map(row).collect();
    if rows.is_empty() {
        return Err(format!("nothing was measured: {}\n{said}", output.status));
    }
    let text = format!(
        "Measured on {}: {}. Resident memory of the release build. LavinMQ 2.9, for comparison: 13 MB idle, 28 MB with \
         1 million waiting messages of 1 KB, 0.05 s until it listens again after SIGKILL. The bars for unsettled \
         and delayed messages and for the three consumers that do not do their part are our own.\n\n\
         | | measured | bar | |\n|---|---:|---:|---|\n{}\n",
        report::today(),
        report::machine(),
        rows.join("\n")
    );
    println!("{text}");
    if plan.kept == Kept::Documents {
        report::replace("memory", &text)?;
    }
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("the memory test failed:\n{said}"))
    }
}

/// A line of the test as a row of the table.
fn row(line: &str) -> Option<String> {
    // The runner's own words may stand before it on the line.
    let told = &line[line.find(MARK)? + MARK.len()..];
    Some(format!("| {told} |"))
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn rows_are_found_in_what_the_test_says() {
        assert_eq!(
            row("test x ... memory | idle | 9 MB | ≤ 20 MB | met").unwrap(),
            "| idle | 9 MB | ≤ 20 MB | met |"
        );
        assert_eq!(row("running 3 tests"), None);
    }
}
