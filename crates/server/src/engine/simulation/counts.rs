//! What has happened in stories: so that a story in which nothing happens is noticed.

use std::collections::BTreeMap;

#[derive(PartialEq, Eq, Default, Debug)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

/// What an ordinary run must have seen.
pub(super) const EXPECTED: [&str; 25] = [
    "cancelled",
    "checkpoint",
    "confirmed",
    "crash",
    "crash with a cold segment",
    "cursor kept",
    "dead letter",
    "deleted",
    "delivered",
    "expired",
    "fault",
    "fired",
    "forwarded",
    "got",
    "merged",
    "orderly stop",
    "page written",
    "purged",
    "read",
    "read back",
    "redelivered",
    "refused",
    "resent",
    "transaction kept",
    "transaction lost",
];

impl Counts {
    pub fn note(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Counts) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// What of this has not happened.
    pub fn missing(&self, expected: &[&'static str]) -> Vec<&'static str> {
        let absent = |what: &&&str| !self.0.contains_key(**what);
        expected.iter().filter(absent).copied().collect()
    }
}
