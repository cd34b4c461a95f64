//! The rules of the house, as a test: which crate may use which, and what the pure crates never
//! do. Each rule has a canary, a sample that breaks it and must be caught.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/xtask")
        .to_path_buf()
}

/// For each crate: the workspace crates that it may use outside its tests.
const MAY_USE: &[(&str, &[&str])] = &[
    ("amqp", &[]),
    ("openwire", &[]),
    ("remoting", &[]),
    ("broker", &[]),
    ("store", &[]),
    ("gateway", &["amqp", "broker", "openwire", "remoting"]),
    (
        "server",
        &["amqp", "broker", "gateway", "openwire", "remoting", "store"],
    ),
    // The wires are for the load generator, which is a client and no part of the server.
    ("troika", &["amqp", "openwire", "remoting", "server"]),
    // For the server on a disk that forgets; no client of its own.
    ("conformance", &["server", "store"]),
    ("xtask", &[]),
];

/// Third-party crates by those that must stay pure.
const PURE_MAY_USE: &[(&str, &[&str])] = &[
    ("amqp", &["bytes"]),
    ("openwire", &["bytes", "flate2"]),
    (
        "remoting",
        &["bytes", "flate2", "crc32fast", "serde", "serde_json"],
    ),
    ("broker", &["rpds"]),
];

/// What must not stand in the sources of the pure crates, and of everything but the server.
const CLOCKS_FILES_CHANCE: &[&str] = &[
    "std::fs",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "tokio",
    "getrandom",
    "rand::",
];
const SOCKETS: &[&str] = &[
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "mio::",
];
/// The domain speaks no protocol's language.
const PROTOCOL_WORDS: &[&str] = &[
    "amqp", "rabbit", "openwire", "activemq", "jms", "rocketmq", "remoting", "stomp", "exchange",
    "vhost", "serde",
];

fn sources(crate_name: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &root().join("crates").join(crate_name).join("src"),
        &mut found,
    );
    found
}

/// The names in the `[dependencies]` section of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
            if let Some(name) = line.strip_prefix("[dependencies.") {
                names.push(name.trim_end_matches(']').to_owned());
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let end = line.find(['=', '.', ' ']).unwrap_or(line.len());
            names.push(line[..end].to_owned());
        }
    }
    names
}

fn manifest(crate_name: &str) -> String {
    let path = root().join("crates").join(crate_name).join("Cargo.toml");
    fs::read_to_string(path).expect("a manifest")
}

/// The lines of code (not of comments) that contain one of the words, as whole words for plain
/// ones.
fn offences(text: &str, words: &[&str]) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for word in words {
            let needle = word.to_lowercase();
            let mut rest = lower.as_str();
            let mut before = None;
            while let Some(at) = rest.find(&needle) {
                let left = rest[..at].chars().next_back().or(before);
                let right = rest[at + needle.len()..].chars().next();
                if !left.is_some_and(is_word) && !right.is_some_and(is_word) {
                    found.push(format!("{}: {}", number + 1, line.trim()));
                    break;
                }
                before = rest[..at + needle.len()].chars().next_back();
                rest = &rest[at + needle.len()..];
            }
        }
    }
    found
}

fn check(crates: &[&str], words: &[&str]) {
    let mut all = Vec::new();
    for name in crates {
        for (path, text) in sources(name) {
            for offence in offences(&text, words) {
                all.push(format!("{}:{offence}", path.display()));
            }
        }
    }
    assert!(all.is_empty(), "not allowed here:\n{}", all.join("\n"));
}

#[test]
fn crates_use_only_what_they_may() {
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut found: Vec<_> = fs::read_dir(root().join("crates"))
        .expect("the crates")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    found.sort();
    let mut known: Vec<_> = allowed.keys().map(|name| name.to_string()).collect();
    known.sort();
    assert_eq!(found, known, "every crate has its rule");
    for (name, may) in &allowed {
        for dependency in dependencies(&manifest(name)) {
            let ours = allowed.contains_key(dependency.as_str());
            assert!(
                !ours || may.contains(&dependency.as_str()),
                "{name} must not use {dependency}"
            );
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    for (name, may) in PURE_MAY_USE {
        for dependency in dependencies(&manifest(name)) {
            assert!(
                may.contains(&dependency.as_str()),
                "{name} must not use {dependency}"
            );
        }
    }
    check(
        &["amqp", "openwire", "remoting", "broker", "gateway"],
        CLOCKS_FILES_CHANCE,
    );
}

#[test]
fn only_the_server_opens_sockets() {
    check(
        &["amqp", "openwire", "remoting", "broker", "gateway", "store"],
        SOCKETS,
    );
}

#[test]
fn the_domain_has_no_protocol_word() {
    check(&["broker"], PROTOCOL_WORDS);
    check(&["store"], PROTOCOL_WORDS);
}

#[test]
fn canaries_are_caught() {
    for (line, words) in [
        ("use std::fs::File;", CLOCKS_FILES_CHANCE),
        ("let now = Instant::now();", CLOCKS_FILES_CHANCE),
        ("let listener = TcpListener::bind(address)?;", SOCKETS),
        ("// the exchange of that name", PROTOCOL_WORDS),
        ("fn declare_exchange() {}", PROTOCOL_WORDS),
        ("struct AmqpQueue; // amqp", PROTOCOL_WORDS),
    ] {
        assert_eq!(offences(line, words).len(), 1, "{line}");
    }
    assert!(offences("let operand = exchanged;", PROTOCOL_WORDS).is_empty());
    assert_eq!(
        dependencies(
            "[dependencies]\nbroker.workspace = true\n# x\nmio = \"1\"\n[dev-dependencies]\nserver = {}\n"
        ),
        ["broker", "mio"]
    );
}
