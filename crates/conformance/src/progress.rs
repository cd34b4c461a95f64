//! How far the load has come: what was confirmed to each publisher, as they write it down.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Whatever takes longer has stopped for good.
pub const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(50);

/// Where each publisher writes down what was confirmed to it.
const PUBLISHED: [&str; 4] = [
    "amqp.published",
    "jms.published",
    "jmstx.published",
    "rocketmq.published",
];

/// How many sends, or commits, were answered to each publisher.
pub type Confirmed = [usize; PUBLISHED.len()];

pub fn confirmed(records: &Path) -> Result<Confirmed, String> {
    let mut counts = Confirmed::default();
    for (count, name) in counts.iter_mut().zip(PUBLISHED) {
        let path = records.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        *count = text
            .lines()
            .filter(|line| line.starts_with("c ") || line.starts_with("C "))
            .count();
    }
    Ok(counts)
}

/// Waits until every publisher is confirmed more than it was.
pub fn go_on(records: &Path, than: Confirmed) -> Result<(), String> {
    until("every publisher goes on", || {
        let now = confirmed(records)?;
        Ok(now.iter().zip(than).all(|(now, than)| *now > than))
    })
}

pub fn until(what: &str, mut holds: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let limit = Instant::now() + PATIENCE;
    while !holds()? {
        if Instant::now() > limit {
            return Err(format!("not within {} s: {what}", PATIENCE.as_secs()));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}
