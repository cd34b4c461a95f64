//! The real brokers and their own generators, installed once under `target/bench`.
//!
//! RabbitMQ comes from Debian packages in a root file system of its own, since its newest version needs a newer
//! Erlang than most machines have; the others are jars. Addresses of mirrors are the machine's own settings.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::places;

/// The Debian release that carries the RabbitMQ we compare with, and what is installed in it.
const SUITE: &str = "forky";
/// debootstrap knows that script under this name in every release.
const SCRIPT: &str = "/usr/share/debootstrap/scripts/sid";

/// A tool and the Debian package that brings it.
type Tool = (&'static str, &'static str);

const JVM: [Tool; 3] = [
    ("java", "openjdk-17-jdk-headless"),
    ("javac", "openjdk-17-jdk-headless"),
    ("mvn", "maven"),
];
const DEBOOTSTRAP: Tool = ("debootstrap", "debootstrap");
const VALGRIND: Tool = ("valgrind", "valgrind");

/// The sets of jars; profiles of `crates/xtask/java/pom.xml`.
pub const PERFTEST: &str = "perftest";
pub const ACTIVEMQ: &str = "activemq";
pub const ROCKETMQ: &str = "rocketmq";

pub fn rabbitmq() -> Result<(), String> {
    if !is_root() {
        return Err(
            "RabbitMQ is installed and run in a root file system of its own; type: sudo cargo xtask bench".into(),
        );
    }
    let _lock = lock()?;
    tools(&[&JVM[..], &[DEBOOTSTRAP]].concat())?;
    jars(PERFTEST)?;
    rabbitmq_root()
}

pub fn activemq() -> Result<(), String> {
    let _lock = lock()?;
    tools(&JVM)?;
    jars(ACTIVEMQ)?;
    classes()
}

pub fn rocketmq() -> Result<(), String> {
    let _lock = lock()?;
    tools(&JVM)?;
    jars(ROCKETMQ)
}

pub fn valgrind() -> Result<(), String> {
    let _lock = lock()?;
    tools(&[VALGRIND])
}

/// Two runs in one checkout must not install over each other; the second one waits.
fn lock() -> Result<File, String> {
    let installed = places::installed();
    let shown = |error: std::io::Error| format!("{}: {error}", installed.display());
    fs::create_dir_all(&installed).map_err(shown)?;
    let lock = File::create(installed.join("lock")).map_err(shown)?;
    lock.lock().map_err(shown)?;
    Ok(lock)
}

fn tools(needed: &[Tool]) -> Result<(), String> {
    let missing: Vec<Tool> = needed
        .iter()
        .copied()
        .filter(|(tool, _)| !is_there(tool))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let packages = packages.join(" ");
    let install = format!("apt-get install -y --no-install-recommends {packages}");
    if !is_root() || !is_there("apt-get") {
        return Err(format!("missing: {packages}; type: sudo {install}"));
    }
    println!("missing: {packages}; {install}");
    quiet("apt-get", &["update"])?;
    let words: Vec<&str> = install.split(' ').skip(1).collect();
    quiet("apt-get", &words)
}

/// Whether the search path has it.
fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Runs a command and shows what it said only if it failed.
fn quiet(tool: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(tool)
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{tool} {} failed:\n{said}{complained}",
        words.join(" ")
    ))
}

/// Does `work` unless the stamp of `name` already says `content`.
fn once(
    name: &str,
    content: &str,
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let stamp = places::installed().join(format!("{name}.stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == content) {
        return Ok(());
    }
    println!("installing {name}");
    work()?;
    fs::write(&stamp, content).map_err(|error| format!("{}: {error}", stamp.display()))
}

fn pom() -> Result<String, String> {
    let path = places::java().join("pom.xml");
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn maven(profile: &str, words: &[&str]) -> Result<(), String> {
    let pom = places::java().join("pom.xml").display().to_string();
    let profile = format!("-P{profile}");
    let out = format!("-Dbench.out={}", places::installed().join("java").display());
    let mut all = vec!["-q", "-B", "-f", &pom, &profile, &out];
    all.extend(words);
    quiet("mvn", &all)
}

fn jars(set: &str) -> Result<(), String> {
    once(set, &pom()?, || {
        let jars = places::jars(set);
        let _ = fs::remove_dir_all(&jars);
        let out = format!("-DoutputDirectory={}", jars.display());
        maven(set, &["dependency:copy-dependencies", &out])
    })
}

fn classes() -> Result<(), String> {
    let source = places::java().join("src");
    let newest = newest(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let since = newest
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |age| age.as_nanos());
    once("classes", &format!("{since}\n{}", pom()?), || {
        let _ = fs::remove_dir_all(places::classes());
        maven(ACTIVEMQ, &["compile"])
    })
}

fn newest(dir: &Path) -> std::io::Result<SystemTime> {
    let mut latest = fs::metadata(dir)?.modified()?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let time = if entry.file_type()?.is_dir() {
            newest(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        };
        latest = latest.max(time);
    }
    Ok(latest)
}

fn rabbitmq_root() -> Result<(), String> {
    once("rabbitmq", SUITE, || {
        let root = places::rabbitmq_root();
        let _ = fs::remove_dir_all(&root);
        let shown = root.display().to_string();
        let mirror = mirror()?;
        quiet(
            "debootstrap",
            &["--variant=minbase", SUITE, &shown, &mirror, SCRIPT],
        )?;
        // RabbitMQ 4.3 does not start without a name for the local host.
        copy("/etc/hosts", &root)?;
        copy("/etc/resolv.conf", &root)?;
        // What is mounted here is gone with the process, so that nothing is left over to be deleted by accident.
        // A mirror may be older than its index allows; signatures are checked all the same.
        let steps = format!(
            "set -e; R='{shown}'; mount --bind /proc \"$R/proc\"; mount --bind /dev \"$R/dev\"; \
             printf '#!/bin/sh\\nexit 101\\n' > \"$R/usr/sbin/policy-rc.d\"; chmod 755 \"$R/usr/sbin/policy-rc.d\"; \
             chroot \"$R\" apt-get -o Acquire::Check-Valid-Until=false update; \
             chroot \"$R\" apt-get install -y --no-install-recommends rabbitmq-server"
        );
        quiet("unshare", &["--mount", "sh", "-c", &steps])
    })
}

/// Debian's release moves on, so its version is read from what is there.
pub fn rabbitmq_version() -> String {
    let lib = places::rabbitmq_root().join("usr/lib/rabbitmq/lib");
    fs::read_dir(lib)
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_prefix("rabbitmq_server-")?.to_owned())
        })
        .unwrap_or_else(|| "of unknown version".into())
}

fn copy(file: &str, root: &Path) -> Result<(), String> {
    let to = root.join(file.trim_start_matches('/'));
    fs::copy(file, &to)
        .map(|_| ())
        .map_err(|error| format!("{}: {error}", to.display()))
}

/// The first archive that the machine itself installs from.
fn mirror() -> Result<String, String> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(listed) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut more: Vec<_> = listed
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        more.sort();
        files.extend(more);
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| archive(&text))
        .ok_or_else(|| "no Debian archive is named in /etc/apt".into())
}

/// The first archive of Debian itself in a sources file of either form.
fn archive(sources: &str) -> Option<String> {
    sources.lines().find_map(|line| {
        let address = match line.strip_prefix("URIs:") {
            Some(addresses) => addresses.split_whitespace().next()?,
            None => line
                .strip_prefix("deb ")?
                .split_whitespace()
                .find(|word| word.contains("://"))?,
        };
        let address = address.trim_end_matches('/');
        address.ends_with("/debian").then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::archive;

    #[test]
    fn the_archive_is_found_in_both_forms() {
        for (text, expected) in [
            (
                "Types: deb\nURIs: http://a.example/debian\n",
                Some("http://a.example/debian"),
            ),
            (
                "deb [signed-by=/k] http://b.example/debian/ sid main",
                Some("http://b.example/debian"),
            ),
            ("URIs: http://c.example/debian-security\n", None),
            ("# deb http://d.example/debian sid main", None),
        ] {
            assert_eq!(archive(text).as_deref(), expected, "{text}");
        }
    }
}
