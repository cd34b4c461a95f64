//! Latencies as HDR histograms: microseconds, three significant digits, up to an hour.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::payload::Nanos;

const MICROS_MAX: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

#[derive(Clone, Debug)]
pub struct Latencies {
    micros: Histogram<u64>,
}

/// The figures that are reported; all in microseconds, zeros if nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub count: u64,
    pub min: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub p9999: u64,
    pub max: u64,
}

impl Latencies {
    pub fn new() -> Latencies {
        let micros = Histogram::new_with_bounds(1, MICROS_MAX, SIGNIFICANT_DIGITS);
        Latencies {
            micros: micros.expect("constant bounds that are valid"),
        }
    }

    /// Records how long after `due` it is `now`. What takes more than an hour counts as an hour.
    pub fn record(&mut self, due: Nanos, now: Nanos) {
        self.micros.saturating_record(now.since(due) / Nanos::MICRO);
    }

    pub fn add(&mut self, other: &Latencies) {
        let added = self.micros.add(&other.micros);
        added.expect("histograms of the same bounds");
    }

    pub fn p99(&self) -> u64 {
        self.micros.value_at_quantile(0.99)
    }

    pub fn summary(&self) -> Summary {
        if self.micros.is_empty() {
            return Summary::default();
        }
        let at = |quantile| self.micros.value_at_quantile(quantile);
        Summary {
            count: self.micros.len(),
            min: self.micros.min(),
            mean: self.micros.mean(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: self.micros.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within_a_thousandth(value: u64, wanted: u64) -> bool {
        value.abs_diff(wanted) <= wanted / 1000 + 1
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let (mut even, mut odd) = (Latencies::new(), Latencies::new());
        for micros in 1..=10_000_u64 {
            let half = if micros % 2 == 0 { &mut even } else { &mut odd };
            half.record(Nanos(5), Nanos(5 + micros * Nanos::MICRO));
        }
        even.add(&odd);
        let summary = even.summary();
        assert_eq!((summary.count, summary.min), (10_000, 1));
        for (value, wanted) in [
            (summary.p50, 5_000),
            (summary.p90, 9_000),
            (summary.p99, 9_900),
            (summary.p999, 9_990),
            (summary.max, 10_000),
            (summary.mean as u64, 5_000),
        ] {
            assert!(within_a_thousandth(value, wanted), "{value} {wanted}");
        }
        assert_eq!(Latencies::new().summary(), Summary::default());
    }

    #[test]
    fn a_message_that_came_before_it_was_due_took_no_time() {
        let mut latencies = Latencies::new();
        latencies.record(Nanos(9_000_000), Nanos(5));
        assert_eq!(latencies.summary().max, 0);
    }
}
