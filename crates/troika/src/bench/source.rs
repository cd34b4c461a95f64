//! When a producer sends: its schedule, its window and how much it has left.
//!
//! With a rate the n-th message is due at a fixed moment, whatever became of the ones before it. A
//! window that is full holds a message up, not its due time: that is how latencies stay free of
//! coordinated omission.

use super::options::{Options, portion};
use super::payload::Nanos;

/// When messages are due.
#[derive(Clone, Debug)]
enum Schedule {
    /// As soon as the window has room.
    AtOnce,
    Steady {
        /// When the first was due; set when sending starts.
        first: Option<Nanos>,
        /// Nanoseconds before the first, so that producers do not send all at once.
        lead: f64,
        gap: f64,
        sent: u64,
    },
}

impl Schedule {
    /// When the next message is due.
    fn next(&mut self, now: Nanos) -> Nanos {
        match self {
            Schedule::AtOnce => now,
            Schedule::Steady {
                first,
                lead,
                gap,
                sent,
            } => {
                let first = first.get_or_insert(now);
                first.plus((*lead + *sent as f64 * *gap) as u64)
            }
        }
    }

    fn advance(&mut self) {
        match self {
            Schedule::AtOnce => {}
            Schedule::Steady { sent, .. } => *sent += 1,
        }
    }
}

/// The sends that are not answered yet. Tickets are consecutive.
#[derive(Debug)]
struct Flights {
    /// When each was due, by ticket modulo the length; `None` once it has been answered.
    due: Box<[Option<Nanos>]>,
    /// The oldest ticket that may be unanswered.
    first: u64,
    next: u64,
    open: usize,
    window: usize,
}

/// Answers may overtake one another by that many windows before the producer waits for the oldest.
const SPAN_WINDOWS: usize = 4;

impl Flights {
    fn new(window: usize, first: u64) -> Flights {
        let slots = (window * SPAN_WINDOWS).next_power_of_two();
        Flights {
            due: vec![None; slots].into_boxed_slice(),
            first,
            next: first,
            open: 0,
            window,
        }
    }

    fn has_room(&self) -> bool {
        self.open < self.window && self.next - self.first < self.due.len() as u64
    }

    fn slot(&mut self, ticket: u64) -> &mut Option<Nanos> {
        // The length is a power of two.
        let index = ticket as usize & (self.due.len() - 1);
        &mut self.due[index]
    }

    fn depart(&mut self, due: Nanos) -> u64 {
        let ticket = self.next;
        *self.slot(ticket) = Some(due);
        self.next += 1;
        self.open += 1;
        ticket
    }

    fn land(&mut self, ticket: u64) -> Option<Nanos> {
        if ticket < self.first || ticket >= self.next {
            return None;
        }
        let due = self.slot(ticket).take()?;
        self.open -= 1;
        while self.first < self.next && self.slot(self.first).is_none() {
            self.first += 1;
        }
        Some(due)
    }
}

/// A message that may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// What the answer will name; counts on by one.
    pub ticket: u64,
    pub due: Nanos,
}

/// Decides when one connection sends.
#[derive(Debug)]
pub struct Source {
    schedule: Schedule,
    /// `None` if no answers are asked for.
    flights: Option<Flights>,
    next_unanswered: u64,
    left: u64,
}

impl Source {
    /// For the producers `numbers` of the run, on one connection; the first answer names
    /// `first_ticket`.
    pub fn new(options: &Options, numbers: std::ops::Range<usize>, first_ticket: u64) -> Source {
        let count = options.producers;
        let left = match options.fill.or(options.messages) {
            None => u64::MAX,
            Some(total) => numbers.clone().map(|n| portion(total, n, count)).sum(),
        };
        let schedule = match options.rate {
            None => Schedule::AtOnce,
            Some(rate) => {
                let gap_of_all = Nanos::SECOND as f64 / rate as f64;
                Schedule::Steady {
                    first: None,
                    lead: numbers.start as f64 * gap_of_all,
                    gap: gap_of_all * count as f64 / numbers.len().max(1) as f64,
                    sent: 0,
                }
            }
        };
        let window = options.window * numbers.len();
        Source {
            schedule,
            flights: (window > 0).then(|| Flights::new(window, first_ticket)),
            next_unanswered: first_ticket,
            left,
        }
    }

    /// Whether sends are answered.
    pub fn is_answered(&self) -> bool {
        self.flights.is_some()
    }

    /// How many sends may be unanswered; `usize::MAX` if that does not matter.
    pub fn window(&self) -> usize {
        self.flights.as_ref().map_or(usize::MAX, |f| f.window)
    }

    /// When the next message may be sent; `None` if that depends on an answer, or never.
    pub fn due(&mut self, now: Nanos) -> Option<Nanos> {
        let has_room = self.flights.as_ref().is_none_or(Flights::has_room);
        (has_room && self.left > 0).then(|| self.schedule.next(now))
    }

    /// The next message, if it is due and the window has room.
    pub fn depart(&mut self, now: Nanos) -> Option<Departure> {
        let due = self.due(now).filter(|due| *due <= now)?;
        self.schedule.advance();
        self.left -= 1;
        let ticket = match &mut self.flights {
            Some(flights) => flights.depart(due),
            None => {
                self.next_unanswered += 1;
                self.next_unanswered - 1
            }
        };
        Some(Departure { ticket, due })
    }

    /// An answer to `ticket` has come: when it was due, if it was not answered before.
    pub fn land(&mut self, ticket: u64) -> Option<Nanos> {
        self.flights.as_mut()?.land(ticket)
    }

    /// An answer to all tickets up to `ticket` has come.
    pub fn land_up_to(&mut self, ticket: u64, mut landed: impl FnMut(Nanos)) {
        let Some(flights) = &mut self.flights else {
            return;
        };
        let end = ticket.saturating_add(1).min(flights.next);
        for ticket in flights.first..end {
            if let Some(due) = flights.land(ticket) {
                landed(due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn source(line: &str, numbers: std::ops::Range<usize>) -> Source {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Source::new(&Line::parse_from(words).options, numbers, 1)
    }

    fn departures(source: &mut Source, now: Nanos) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| source.depart(now))
            .map(|departure| (departure.ticket, departure.due.0))
            .collect()
    }

    #[test]
    fn a_window_holds_up_the_message_but_not_its_due_time() {
        let mut source = source("amqp --rate 1000 --window 2", 0..1);
        assert_eq!(departures(&mut source, Nanos(500)), [(1, 500)]);
        let late = Nanos(500 + 3_500_000);
        assert_eq!(departures(&mut source, late), [(2, 1_000_500)]);
        assert_eq!(source.due(late), None, "the window is full");
        assert_eq!(source.land(1), Some(Nanos(500)));
        assert_eq!(departures(&mut source, late), [(3, 2_000_500)]);
        source.land(2);
        source.land(3);
        assert_eq!(departures(&mut source, late), [(4, 3_000_500)]);
        assert_eq!(source.due(late), Some(Nanos(4_000_500)));
    }

    #[test]
    fn producers_of_one_rate_take_turns() {
        let mut all = Vec::new();
        for number in 0..4 {
            let mut source = source("amqp --rate 1000 --producers 4", number..number + 1);
            source.due(Nanos(0));
            all.extend(departures(&mut source, Nanos(7_999_999)));
        }
        let mut due: Vec<_> = all.into_iter().map(|(_, due)| due).collect();
        due.sort_unstable();
        assert_eq!(due, (0..8).map(|n| n * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn one_connection_sends_for_several_producers() {
        let mut source = source(
            "rocketmq --producers 4 --window 1 --messages 11 --rate 1000",
            0..2,
        );
        assert_eq!(source.window(), 2);
        source.due(Nanos(0));
        let far = Nanos(Nanos::SECOND);
        let mut due = Vec::new();
        while let Some(departure) = source.depart(far) {
            due.push(departure.due.0 / Nanos::MILLI);
            source.land(departure.ticket);
        }
        assert_eq!(due, [0, 2, 4, 6, 8, 10], "3 + 3 of 11");
    }

    #[test]
    fn answers_may_come_out_of_order_twice_and_for_many() {
        let mut source = source("amqp --window 4 --messages 100", 0..1);
        assert_eq!(departures(&mut source, Nanos(9)).len(), 4);
        assert_eq!(source.land(3), Some(Nanos(9)));
        assert_eq!(source.land(3), None);
        assert_eq!(source.land(77), None);
        let mut landed = 0;
        source.land_up_to(4, |_| landed += 1);
        assert_eq!(landed, 3);
        assert_eq!(departures(&mut source, Nanos(10)).len(), 4);
    }

    #[test]
    fn the_oldest_unanswered_send_bounds_the_tickets() {
        let mut source = source("amqp --window 2 --messages 100", 0..1);
        source.depart(Nanos(0));
        let mut sent = 1;
        while let Some(departure) = source.depart(Nanos(0)) {
            source.land(departure.ticket);
            sent += 1;
        }
        assert_eq!(sent, 2 * SPAN_WINDOWS);
        source.land(1);
        assert!(source.depart(Nanos(0)).is_some());
    }

    #[test]
    fn without_answers_only_the_number_ends_it() {
        let mut source = source("amqp --window 0 --messages 5000", 0..1);
        assert!(!source.is_answered());
        assert_eq!(departures(&mut source, Nanos(0)).len(), 5000);
    }
}
