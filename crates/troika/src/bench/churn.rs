//! Opening and closing, again and again, one loop per thread.
//!
//! Each loop blocks, as a client that connects does; what is measured is a whole cycle.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Cycle;
use super::options::Options;
use super::payload::Nanos;
use super::phase::{Job, Post};
use super::source::Source;
use super::worker::{Interval, Stage};

/// How soon the end is noticed by a loop that waits for its next cycle to be due.
const NAP_MAX: Duration = Duration::from_millis(10);

/// Loop number `number`, which repeats `cycle`.
pub fn job<'a>(options: &Options, number: usize, mut cycle: Cycle) -> Job<'a> {
    let mut source = Source::new(options, number..number + 1, 0);
    Box::new(move |post: Post<'_>| {
        let Post {
            board,
            clock,
            start,
            fresh,
            reports,
        } = post;
        let mut tally = fresh();
        let mut second = 0;
        let mut is_lost = false;
        loop {
            let now = clock.now();
            match board.stage() {
                Stage::Warmup | Stage::Measure if !is_lost => {}
                Stage::Warmup | Stage::Measure | Stage::Settle => {
                    thread::sleep(NAP_MAX);
                    continue;
                }
                Stage::Leave => break,
            }
            let before = tally.counts;
            match source.depart(now) {
                Some(departure) => {
                    tally.counts.sent += 1;
                    match cycle() {
                        Ok(()) => {
                            source.land(departure.ticket);
                            tally.confirmed(departure.due, clock.now());
                        }
                        Err(error) => {
                            tally.refused(|| error);
                            is_lost = true;
                            board.lost.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                None => {
                    let due = source.due(now).map(|due| due.since(now));
                    let nap = due.map_or(NAP_MAX, Duration::from_nanos);
                    thread::sleep(nap.min(NAP_MAX));
                }
            }
            let now = clock.now();
            board.post(before, tally.counts, now);
            while second < (now.since(start) / Nanos::SECOND) as usize {
                let tally = std::mem::replace(&mut tally, fresh());
                // The conductor is gone only if it has panicked.
                let _ = reports.send(Interval {
                    second,
                    is_whole: true,
                    is_measured: true,
                    tally,
                });
                second += 1;
            }
        }
        let _ = reports.send(Interval {
            second,
            is_whole: false,
            is_measured: true,
            tally,
        });
    })
}
