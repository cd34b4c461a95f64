//! The figures in words: tables, and their places in `docs/benchmarks.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::load::Measured;
use super::scenarios::{Compared, goals};
use super::{Plan, places};

/// One run on one line.
pub fn short(m: &Measured) -> String {
    let latency = match m.p99_us > 0.0 {
        true => format!(", confirm p50 {:.0} µs, p99 {:.0} µs", m.p50_us, m.p99_us),
        false => String::new(),
    };
    format!(
        "{:>9.0} msg/s, {:>7.2} µs CPU/msg, {:.0} MB, {:.0} B written, {:.3} switches/msg, {:.0} flushes/s{latency}",
        m.per_second, m.cpu_us, m.peak_mb, m.written_bytes, m.switches, m.flushes
    )
}

/// The section of one protocol.
pub fn comparison(compared: &[Compared], plan: &Plan) -> String {
    let mut text = conditions(plan);
    for one in compared {
        let name = one.scenario.name;
        text += &format!("\n### {}\n\n", one.scenario.title);
        text += &format!("Load: {}.", one.scenario.load_words);
        if let Some(asked) = one.asked {
            text += &format!(" {} messages per second are asked of both.", shown(asked));
        }
        text += &format!("\n\n![{}](images/bench-{name}.svg)\n\n", one.scenario.title);
        text += &format!(
            "| | {} | Troika | ratio |\n|---|---:|---:|---:|\n",
            one.scenario.peer.name()
        );
        for (figure, of) in FIGURES {
            let (theirs, ours) = (of(&one.peer), of(&one.troika));
            if theirs > 0.0 || ours > 0.0 {
                text += &format!(
                    "| {figure} | {} | {} | {} |\n",
                    shown(theirs),
                    shown(ours),
                    ratio(theirs, ours)
                );
            }
        }
    }
    let goals = goals(compared);
    if !goals.is_empty() {
        text += "\n### To reach\n\n| goal | reached | |\n|---|---|---|\n";
        for goal in goals {
            let verdict = if goal.is_met { "met" } else { "**missed**" };
            text += &format!("| {} | {} | {verdict} |\n", goal.text, goal.reached);
        }
    }
    text
}

type Figure = (&'static str, fn(&Measured) -> f64);

const FIGURES: [Figure; 10] = [
    ("messages per second", |m| m.per_second),
    ("broker CPU, µs per message", |m| m.cpu_us),
    ("peak memory, MB", |m| m.peak_mb),
    ("bytes the disk wrote per message", |m| m.written_bytes),
    ("context switches per message", |m| m.switches),
    ("flushes of the disk per second", |m| m.flushes),
    ("confirm latency, median, µs", |m| m.p50_us),
    ("confirm latency, p99, µs", |m| m.p99_us),
    ("generator CPU, µs per message", |m| m.generator_us),
    ("refused sends", |m| m.refused),
];

/// Enough digits to compare by, no more.
pub fn shown(value: f64) -> String {
    if value.is_nan() {
        "–".into()
    } else if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        grouped
    } else if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn ratio(theirs: f64, ours: f64) -> String {
    if theirs > 0.0 && ours > 0.0 {
        let ratio = ours / theirs;
        if ratio >= 1.0 {
            format!("× {ratio:.1}")
        } else {
            format!("÷ {:.1}", 1.0 / ratio)
        }
    } else {
        "–".into()
    }
}

/// Machine and settings, so that a reader knows what the figures are of.
pub fn conditions(plan: &Plan) -> String {
    format!(
        "Measured on {}: {}. {} rounds of {} s after {} s of warming up, in turn; medians.\n",
        today(),
        machine(),
        plan.rounds,
        plan.seconds,
        plan.warmup_s
    )
}

pub fn today() -> String {
    told("date", &["-u", "+%Y-%m-%d"])
}

/// Processor, cores, memory, kernel.
pub fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gigabytes = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kilobytes| kilobytes.parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes * 1024.0 / 1e9);
    let kernel = told("uname", &["-r"]);
    let kernel = kernel.split('-').next().unwrap_or_default();
    format!("{cores} cores ({model}), {gigabytes:.0} GB, Linux {kernel}")
}

fn told(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Puts a generated section into `docs/benchmarks.md`.
pub fn replace(section: &str, text: &str) -> Result<(), String> {
    let file = places::docs().join("benchmarks.md");
    let page = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let page = between(&page, section, text)
        .ok_or_else(|| format!("{} has no place for \"{section}\"", file.display()))?;
    write(&file, &page)
}

/// The page with `text` between the markers of a section.
fn between(page: &str, section: &str, text: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- {section} -->\n"),
        format!("<!-- /{section} -->"),
    );
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&end)?;
    Some(format!(
        "{}\n{}\n{}",
        &page[..from],
        text.trim(),
        &page[to..]
    ))
}

pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let shown = |error: std::io::Error| format!("{}: {error}", file.display());
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir).map_err(shown)?;
    }
    fs::write(file, text).map_err(shown)?;
    println!("wrote {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Subject;

    #[test]
    fn a_section_is_replaced_and_nothing_else() {
        let page = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\n";
        let once = between(page, "x", "new\n").unwrap();
        assert_eq!(
            once,
            "a\n<!-- x -->\n\nnew\n<!-- /x -->\nb\n<!-- y -->\n<!-- /y -->\n"
        );
        assert_eq!(between(&once, "x", "new").unwrap(), once, "again");
        assert_eq!(between(page, "z", "new"), None);
    }

    #[test]
    fn the_page_has_a_place_for_every_section() {
        let page = fs::read_to_string(places::docs().join("benchmarks.md")).unwrap();
        for subject in Subject::ALL {
            assert!(
                between(&page, subject.name(), "x").is_some(),
                "{}",
                subject.name()
            );
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (1_234_567.0, "1 234 567"),
            (999.6, "1000"),
            (42.31, "42.3"),
            (4.567, "4.57"),
            (1.0, "1"),
        ] {
            assert_eq!(shown(value), expected);
        }
        assert_eq!(
            (ratio(50.0, 5.0), ratio(5.0, 50.0)),
            ("÷ 10.0".into(), "× 10.0".into())
        );
    }
}
