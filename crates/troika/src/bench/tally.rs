//! What a worker has counted and measured since it last reported.

use super::histogram::Latencies;
use super::payload::{Nanos, RunId, read_stamp};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub confirmed: u64,
    /// Sends that the broker did not take.
    pub refused: u64,
    pub received: u64,
    pub redelivered: u64,
    /// Received, but not of this run.
    pub strangers: u64,
    pub errors: u64,
}

impl Counts {
    pub fn add(&mut self, more: Counts) {
        self.sent += more.sent;
        self.confirmed += more.confirmed;
        self.refused += more.refused;
        self.received += more.received;
        self.redelivered += more.redelivered;
        self.strangers += more.strangers;
        self.errors += more.errors;
    }
}

#[derive(Debug)]
pub struct Tally {
    run: RunId,
    takes_strangers: bool,
    pub counts: Counts,
    /// From due to answered.
    pub confirm: Latencies,
    /// From due to received.
    pub delivery: Latencies,
    /// The first one.
    pub error: Option<String>,
}

impl Tally {
    pub fn new(run: RunId, takes_strangers: bool) -> Tally {
        Tally {
            run,
            takes_strangers,
            counts: Counts::default(),
            confirm: Latencies::new(),
            delivery: Latencies::new(),
            error: None,
        }
    }

    pub fn confirmed(&mut self, due: Nanos, now: Nanos) {
        self.counts.confirmed += 1;
        self.confirm.record(due, now);
    }

    /// Counts a send that nobody will answer.
    pub fn unanswered(&mut self) {
        self.counts.confirmed += 1;
    }

    /// Counts a send that the broker refused.
    pub fn refused(&mut self, why: impl FnOnce() -> String) {
        self.counts.refused += 1;
        self.failed(why);
    }

    pub fn failed(&mut self, why: impl FnOnce() -> String) {
        self.counts.errors += 1;
        self.error.get_or_insert_with(why);
    }

    pub fn delivered(&mut self, body: &[u8], is_redelivered: bool, now: Nanos) {
        match read_stamp(body, self.run) {
            Some(due) => self.delivery.record(due, now),
            None if self.takes_strangers => {}
            None => {
                self.counts.strangers += 1;
                return;
            }
        }
        self.counts.received += 1;
        self.counts.redelivered += u64::from(is_redelivered);
    }
}
