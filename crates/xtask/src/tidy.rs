//! Rules of this repository's texts that no compiler knows. (Which crate may use which is a test of its own.)
//!
//! Caveat: sources are searched as text, not parsed; a word inside a string or a comment counts.

use std::fs;
use std::path::{Path, PathBuf};

/// Text columns; rustfmt leaves long strings and comments alone.
const COLUMNS_MAX: usize = 120;

/// Kinds of files that people write by hand here.
const WRITTEN: [&str; 6] = ["rs", "py", "java", "md", "toml", "xml"];

/// Lines of one source file; a longer file holds more than one noun.
const LINES_MAX: usize = 1000;

/// Every breach, one line each.
pub fn breaches(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for path in written(&root.join("crates"))? {
        let text = fs::read_to_string(&path).map_err(|error| shown(&path, error))?;
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        lines(&name, &text, &mut found);
    }
    Ok(found)
}

fn lines(name: &str, text: &str, found: &mut Vec<String>) {
    // Prose wraps where it is shown; golden text in tests is as long as it is.
    let prose = name.ends_with(".md") || name.contains("/tests/");
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        // A row of a table in a document comment cannot be broken.
        let row = line.trim_start().starts_with("//! |") || line.trim_start().starts_with("/// |");
        if !prose && !row && line.chars().count() > COLUMNS_MAX {
            found.push(format!("{name}:{at}: longer than {COLUMNS_MAX} columns"));
        }
        if line.ends_with([' ', '\t']) {
            found.push(format!("{name}:{at}: trailing blank"));
        }
        // Spelled in two halves, so that this file does not break its own rule.
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("/ho", "me/"),
        ] {
            if line.contains(word) {
                found.push(format!("{name}:{at}: says {word}"));
            }
        }
    }
    if name.ends_with(".rs") && text.lines().count() > LINES_MAX {
        found.push(format!("{name}: longer than {LINES_MAX} lines"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        found.push(format!("{name}: does not end with a line end"));
    }
}

fn written(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = fs::read_dir(dir).map_err(|error| shown(dir, error))?;
    let mut paths: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(written(&path)?);
        } else if path
            .extension()
            .is_some_and(|ext| WRITTEN.iter().any(|kind| ext == *kind))
        {
            found.push(path);
        }
    }
    Ok(found)
}

fn shown(path: &Path, error: std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lint that cannot fail is none: each rule has a canary that must.
    #[test]
    fn canaries() {
        let wide = format!("{}\n", "x".repeat(COLUMNS_MAX + 1));
        let tall = "x\n".repeat(LINES_MAX + 1);
        for (name, text, expected) in [
            ("a.rs", wide.as_str(), "a.rs:1: longer than 120 columns"),
            ("a.rs", tall.as_str(), "longer than 1000 lines"),
            ("a.rs", "let a = 1; \n", "trailing blank"),
            ("a.rs", "let a = 1;", "line end"),
            ("a.py", concat!("# TO", "DO\n"), "says TO"),
        ] {
            let mut found = Vec::new();
            lines(name, text, &mut found);
            let said = found.join("; ");
            assert!(said.contains(expected), "{said} lacks {expected}");
        }
        let mut found = Vec::new();
        lines("a.md", &wide, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn the_checkout_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(
            breaches(&root).expect("a readable checkout"),
            Vec::<String>::new()
        );
    }
}
