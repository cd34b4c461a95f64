//! Java, Maven and Python with what the scenarios need, installed once under `target/conformance`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use crate::paths;
use crate::scenarios::SETS;

/// The Python packages, pinned.
const PIKA: &str = "pika==1.3.2";

/// The Debian packages that provide every tool.
const DEBIAN: &str = "openjdk-17-jdk-headless maven python3 python3-pip";

/// Makes everything ready, or says the one command to type.
pub fn ready() -> Result<(), String> {
    let installed = paths::installed();
    let shown = |error: std::io::Error| format!("{}: {error}", installed.display());
    fs::create_dir_all(&installed).map_err(shown)?;
    // Two runs in one checkout must not install over each other; the second one waits.
    let lock = File::create(installed.join("lock")).map_err(shown)?;
    lock.lock().map_err(shown)?;
    tools()?;
    python()?;
    jars()?;
    classes()
}

fn tools() -> Result<(), String> {
    let missing = missing_tools();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {DEBIAN}");
    let needed = missing.join(", ");
    if !is_root() || !runs("apt-get", &["--version"]) {
        return Err(format!("missing: {needed}; type: sudo {install}"));
    }
    println!("missing: {needed}; {install}");
    let words: Vec<&str> = install.split(' ').skip(1).collect();
    quiet("apt-get", &["update"])?;
    quiet("apt-get", &words)?;
    let missing = missing_tools();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "still missing after {install}: {}",
            missing.join(", ")
        ))
    }
}

fn missing_tools() -> Vec<&'static str> {
    let checks: [(&str, &[&str], &str); 5] = [
        ("java", &["-version"], "java"),
        ("javac", &["-version"], "javac"),
        ("mvn", &["-version"], "maven"),
        ("python3", &["--version"], "python3"),
        ("python3", &["-m", "pip", "--version"], "pip"),
    ];
    checks
        .iter()
        .filter(|(tool, words, _)| !runs(tool, words))
        .map(|(_, _, name)| *name)
        .collect()
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn runs(tool: &str, words: &[&str]) -> bool {
    Command::new(tool)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command and shows what it said only if it failed.
fn quiet(tool: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(tool)
        .args(words)
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
    let stamp = paths::installed().join(format!("{name}.stamp"));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == content) {
        return Ok(());
    }
    println!("installing {name}");
    work()?;
    fs::write(&stamp, content).map_err(|error| format!("{}: {error}", stamp.display()))
}

fn python() -> Result<(), String> {
    once("python", PIKA, || {
        let target = paths::python_packages();
        let _ = fs::remove_dir_all(&target);
        let target = target.display().to_string();
        quiet(
            "python3",
            &["-m", "pip", "install", "--quiet", "--target", &target, PIKA],
        )
    })
}

fn pom() -> Result<String, String> {
    let path = paths::crate_dir().join("java").join("pom.xml");
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn maven(profile: &str, words: &[&str]) -> Result<(), String> {
    let pom = paths::crate_dir()
        .join("java")
        .join("pom.xml")
        .display()
        .to_string();
    let profile = format!("-P{profile}");
    let out = format!(
        "-Dconformance.out={}",
        paths::installed().join("java").display()
    );
    let mut all = vec!["-q", "-B", "-f", &pom, &profile, &out];
    all.extend(words);
    quiet("mvn", &all)
}

fn jars() -> Result<(), String> {
    let pom = pom()?;
    for set in SETS {
        let jars = paths::jars(set);
        once(set, &pom, || {
            let _ = fs::remove_dir_all(&jars);
            let out = format!("-DoutputDirectory={}", jars.display());
            maven(set, &["dependency:copy-dependencies", &out])
        })?;
    }
    Ok(())
}

fn classes() -> Result<(), String> {
    let source = paths::crate_dir().join("java").join("src");
    let newest = newest(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let since = newest
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or_else(|_| String::new(), |age| age.as_nanos().to_string());
    let content = format!("{since}\n{}", pom()?);
    once("java", &content, || {
        let _ = fs::remove_dir_all(paths::java_classes());
        maven("compile", &["compile"])
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
