//! Golden scripts: verbs, then a line of dashes, then what came of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::stage::Stage;

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .expect("scripts")
        .map(|entry| entry.expect("a file").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 20, "scripts are missing");
    let mut differing = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a script");
        let played = std::panic::catch_unwind(|| play(&text));
        let Ok(played) = played else {
            differing.push(format!("{} panics", path.display()));
            continue;
        };
        if played == text {
            continue;
        }
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, played).expect("written");
        } else {
            differing.push(format!(
                "{}\n{}",
                path.display(),
                first_difference(&text, &played)
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn first_difference(expected: &str, played: &str) -> String {
    let mut lines = expected
        .lines()
        .chain([""])
        .zip(played.lines().chain([""]))
        .enumerate();
    match lines.find(|(_, (a, b))| a != b) {
        Some((at, (a, b))) => format!("  line {}: expected `{a}`, got `{b}`", at + 1),
        None => "  one is longer".into(),
    }
}

/// Plays a script and writes it again with what really came of it.
fn play(text: &str) -> String {
    let mut stage = Stage::new();
    let mut out = String::new();
    for block in text.trim_end().split("\n\n") {
        let mut lines = String::new();
        let mut has_verbs = false;
        for line in block.lines().take_while(|line| *line != "---") {
            writeln!(out, "{line}").expect("a string");
            if !line.starts_with('#') && !line.is_empty() {
                has_verbs = true;
                stage.perform(line);
                lines.push_str(&stage.take_lines());
            }
        }
        if has_verbs {
            out.push_str("---\n");
            out.push_str(&lines);
        }
        out.push('\n');
    }
    stage.world.compare_with_replay();
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
