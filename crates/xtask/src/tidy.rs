//! Rules of this repository that no compiler knows: which crate may use which, and what no file may contain.
//!
//! Caveat: sources are searched as text, not parsed; a word inside a string or a comment counts.

use std::fs;
use std::path::{Path, PathBuf};

/// Which workspace crates a crate may use (design §7); a crate that is not listed is a breach.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("amqp", &[]),
    ("openwire", &[]),
    ("remoting", &[]),
    ("broker", &[]),
    ("store", &[]),
    ("gateway", &["broker", "amqp", "openwire", "remoting"]),
    (
        "server",
        &["gateway", "broker", "store", "amqp", "openwire", "remoting"],
    ),
    (
        "troika",
        &[
            "server", "gateway", "broker", "store", "amqp", "openwire", "remoting",
        ],
    ),
    ("conformance", &[]),
    ("xtask", &[]),
];

/// Foreign crates of the domain: data structures only.
const BROKER_MAY_USE: [&str; 1] = ["rpds"];

/// Crates that are pure: no file, socket, clock, randomness, thread or runtime.
const PURE: [&str; 5] = ["amqp", "openwire", "remoting", "broker", "gateway"];

/// What a pure crate's sources may not say outside their tests.
const WORLD: [&str; 9] = [
    "TcpStream",
    "UdpSocket",
    "std::fs",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "tokio::",
    "rand::",
    "serde::",
];

/// Crates that open sockets, with the dev crate that looks for free ports.
const SOCKETS: [&str; 3] = ["server", "troika", "conformance"];

/// Text columns; rustfmt leaves long strings and comments alone.
const COLUMNS_MAX: usize = 120;

/// Every breach, one line each.
pub fn breaches(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let crates = root.join("crates");
    for dir in entries(&crates)? {
        let name = dir
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let manifest = dir.join("Cargo.toml");
        if !manifest.is_file() {
            continue;
        }
        dependencies(&name, &read(&manifest)?, &mut found);
        for source in sources(&dir.join("src"))? {
            let text = read(&source)?;
            let shown = source
                .strip_prefix(root)
                .unwrap_or(&source)
                .display()
                .to_string();
            words(&name, &shown, &text, &mut found);
        }
    }
    Ok(found)
}

fn dependencies(name: &str, manifest: &str, found: &mut Vec<String>) {
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        found.push(format!(
            "crates/{name}: add it to the dependency rules in xtask's tidy"
        ));
        return;
    };
    for used in used_crates(manifest) {
        let ours = MAY_USE.iter().any(|(known, _)| *known == used);
        if ours && !allowed.contains(&used.as_str()) {
            found.push(format!("crates/{name}: may not use {used} (design §7)"));
        }
        if name == "broker" && !ours {
            found.push(format!(
                "crates/broker: may not use {used}, it has no dependencies"
            ));
        }
    }
}

/// The names under `[dependencies]`; tests may use what they need.
fn used_crates(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut used = Vec::new();
    for line in manifest.lines() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside && let Some((key, _)) = line.split_once('=') {
            let name = key.trim().trim_end_matches(".workspace");
            if !name.is_empty() && !name.starts_with('#') {
                used.push(name.to_string());
            }
        }
    }
    used
}

fn words(name: &str, shown: &str, text: &str, found: &mut Vec<String>) {
    let production = text.split("#[cfg(test)]").next().unwrap_or(text);
    if PURE.contains(&name) {
        for word in WORLD {
            if says(production, word) {
                found.push(format!(
                    "{shown}: says {word}; crate {name} is pure (design §1)"
                ));
            }
        }
    }
    if !SOCKETS.contains(&name) && name != "xtask" && production.contains("TcpListener") {
        found.push(format!(
            "{shown}: only server and troika open sockets (design §7)"
        ));
    }
    for (at, line) in text.lines().enumerate() {
        if line.chars().count() > COLUMNS_MAX {
            found.push(format!(
                "{shown}:{}: longer than {COLUMNS_MAX} columns",
                at + 1
            ));
        }
        if line.ends_with([' ', '\t']) {
            found.push(format!("{shown}:{}: trailing blank", at + 1));
        }
    }
}

/// Whether the text says the word, and not only as the end of a longer one.
fn says(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|front| front.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut paths: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    Ok(paths)
}

fn sources(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lint that cannot fail is none: each rule has a canary that must.
    #[test]
    fn canaries() {
        let breach = |check: &dyn Fn(&mut Vec<String>)| {
            let mut found = Vec::new();
            check(&mut found);
            found.join("; ")
        };
        let manifest = |used: &str| format!("[package]\nname = \"x\"\n[dependencies]\n{used}\n");
        for (name, used, expected) in [
            ("amqp", "broker.workspace = true", "may not use broker"),
            ("broker", "tokio = \"1\"", "may not use tokio"),
            (
                "gateway",
                "store = { path = \"../store\" }",
                "may not use store",
            ),
            ("stranger", "", "add it to the dependency rules"),
        ] {
            let said = breach(&|found| dependencies(name, &manifest(used), found));
            assert!(said.contains(expected), "{said} lacks {expected}");
        }
        let long = "x".repeat(COLUMNS_MAX + 1);
        for (name, text, expected) in [
            ("broker", "let now = Instant::now();", "is pure"),
            ("store", "TcpListener::bind", "open sockets"),
            ("store", long.as_str(), "longer than"),
            ("store", "let a = 1; ", "trailing blank"),
        ] {
            let said = breach(&|found| words(name, "file", text, found));
            assert!(said.contains(expected), "{said} lacks {expected}");
        }
        let allowed =
            breach(&|found| dependencies("gateway", &manifest("broker.workspace = true"), found));
        assert_eq!(allowed, "");
        let in_tests = "fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }";
        assert_eq!(
            breach(&|found| words("broker", "file", in_tests, found)),
            ""
        );
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
