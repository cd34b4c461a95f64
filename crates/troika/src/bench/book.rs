//! Adds up what the workers of a phase report, second by second.

use super::histogram::Latencies;
use super::payload::Nanos;
use super::phase::{Mark, Outcome, Plan, Progress, STILL_NANOS_MAX};
use super::report::{Second, print_second};
use super::tally::{Counts, Tally};
use super::worker::Interval;

/// Adds up what the workers report.
pub struct Book<'a> {
    plan: &'a Plan<'a>,
    workers: usize,
    counts: Counts,
    confirm: Latencies,
    delivery: Latencies,
    error: Option<String>,
    /// The seconds that not all workers have reported yet, from `seconds.len()` on.
    open: Vec<(usize, Tally)>,
    seconds: Vec<Second>,
}

impl<'a> Book<'a> {
    pub fn new(plan: &'a Plan<'a>, workers: usize) -> Book<'a> {
        Book {
            plan,
            workers,
            counts: Counts::default(),
            confirm: Latencies::new(),
            delivery: Latencies::new(),
            error: None,
            open: Vec::new(),
            seconds: Vec::new(),
        }
    }

    pub fn take(&mut self, interval: Interval) {
        let Interval {
            second,
            is_whole,
            is_measured,
            tally,
        } = interval;
        self.counts.add(tally.counts);
        if is_measured {
            self.confirm.add(&tally.confirm);
            self.delivery.add(&tally.delivery);
        }
        if self.error.is_none() {
            self.error = tally.error;
        }
        let Some(place) = second.checked_sub(self.seconds.len()) else {
            return;
        };
        while self.open.len() <= place {
            self.open.push((0, (self.plan.fresh)()));
        }
        let (reported, sum) = &mut self.open[place];
        sum.counts.add(tally.counts);
        sum.confirm.add(&tally.confirm);
        sum.delivery.add(&tally.delivery);
        *reported += usize::from(is_whole);
        while self.open.first().is_some_and(|(n, _)| *n == self.workers) {
            let (_, tally) = self.open.remove(0);
            let line = Second::of(self.seconds.len() + 1, &tally);
            if !self.plan.is_quiet {
                print_second(&line, &tally);
            }
            self.seconds.push(line);
        }
    }

    pub fn stuck(&mut self, progress: Progress) {
        let unanswered = progress.sent - progress.confirmed - progress.refused;
        let missing = if self.plan.has_consumers {
            progress.confirmed.saturating_sub(progress.received)
        } else {
            0
        };
        self.counts.errors += 1;
        self.error.get_or_insert_with(|| {
            format!(
                "nothing moved for {} s: {unanswered} sends are unanswered, \
                 {missing} confirmed messages were not received",
                STILL_NANOS_MAX / Nanos::SECOND
            )
        });
    }

    pub fn close(self, from: Mark, end: Mark) -> Outcome {
        Outcome {
            name: self.plan.name,
            elapsed_s: end.at.since(from.at) as f64 / Nanos::SECOND as f64,
            cpu_s: end.cpu_s - from.cpu_s,
            counts: self.counts,
            measured: end.progress.since(from.progress),
            confirm: self.confirm,
            delivery: self.delivery,
            seconds: self.seconds,
            error: self.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::payload::{Clock, RunId};
    use super::super::phase::Goal;
    use super::*;

    #[test]
    fn a_second_is_over_when_every_worker_says_so() {
        let fresh = || Tally::new(RunId(1), false);
        let plan = Plan {
            name: "test",
            goal: Goal::Emptied,
            warmup: Duration::ZERO,
            has_consumers: false,
            is_quiet: true,
            clock: Clock::start(),
            fresh: &fresh,
        };
        let mut book = Book::new(&plan, 2);
        for (second, is_whole, is_measured, sent) in [
            (0, false, false, 1),
            (0, true, true, 2),
            (1, true, true, 4),
            (0, true, true, 8),
            (1, false, true, 16),
        ] {
            let mut tally = fresh();
            tally.counts.sent = sent;
            tally.confirmed(Nanos(0), Nanos(5_000));
            book.take(Interval {
                second,
                is_whole,
                is_measured,
                tally,
            });
        }
        assert_eq!(book.counts.sent, 31);
        assert_eq!(
            book.confirm.summary().count,
            4,
            "the warm-up is not measured"
        );
        let seconds: Vec<_> = book.seconds.iter().map(|second| second.sent).collect();
        assert_eq!(seconds, [11]);
    }
}
