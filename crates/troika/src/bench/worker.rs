//! A thread with its connections: it lets producers send what is due, reads what has come, and
//! reports once a second.
//!
//! A turn is: send, read, rest. All that a connection has to say in a turn is one write, so the
//! number of system calls depends on the turns, not on the messages.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::link::{Link, Scratch};
use super::pace::{Pace, Turn};
use super::payload::{Clock, Nanos};
use super::tally::{Counts, Tally};

/// A connection with more waiting than this is not asked for more.
const WAITING_BYTES_MAX: usize = 512 << 10;
/// How soon a change of the stage is noticed when nothing else happens.
const WAIT_MAX: Duration = Duration::from_millis(10);
/// Below this the poll's resolution of a millisecond would make sends late.
const POLL_NANOS_MIN: u64 = 2 * Nanos::MILLI;
/// The least sleep between two looks at the sockets while the next message is nearly due.
const NAP_MIN: Duration = Duration::from_micros(20);
/// How often a connection shows that it lives: a third of the shortest limit, OpenWire's 30 s.
const BEAT_NANOS: u64 = 10 * Nanos::SECOND;
/// Sleeps of 100 µs are to take 100 µs, not 150.
const TIMER_SLACK_NANOS: u64 = 1_000;

/// What one peer of a broker says on one connection, in its protocol.
pub trait Conversation: Send {
    /// Takes what has come and answers into `out`; tells how many bytes are done with.
    fn hear(
        &mut self,
        input: &[u8],
        now: Nanos,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<usize, String>;

    /// Sends one message that is due, if there is one; tells whether there was.
    fn speak(&mut self, now: Nanos, tally: &mut Tally, out: &mut Vec<u8>) -> Result<bool, String>;

    /// When the next message may be sent; `None` if that depends on the broker, or never.
    fn due(&mut self, now: Nanos) -> Option<Nanos>;

    /// How much may be in flight; `usize::MAX` if nothing bounds it.
    fn in_flight_max(&self) -> usize;

    /// Says that the connection lives.
    fn beat(&mut self, out: &mut Vec<u8>);

    /// Says goodbye.
    fn leave(&mut self, out: &mut Vec<u8>);
}

/// A connection and who speaks on it.
pub struct Seat {
    pub link: Link,
    pub conversation: Box<dyn Conversation>,
}

/// Where a run stands. The conductor sets it, workers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Send, but do not measure.
    Warmup,
    Measure,
    /// Send nothing more, take what is under way.
    Settle,
    Leave,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::Warmup, Stage::Measure, Stage::Settle, Stage::Leave];
}

/// What workers and conductor tell one another all the time. The counts are sums over all workers
/// and trail a worker's own by less than a turn.
#[derive(Debug)]
pub struct Board {
    stage: AtomicU8,
    pub sent: AtomicU64,
    pub confirmed: AtomicU64,
    pub refused: AtomicU64,
    pub received: AtomicU64,
    /// Workers and connections that have ended early.
    pub lost: AtomicU64,
    /// When something was last confirmed or received.
    pub last: AtomicU64,
}

impl Board {
    pub fn new() -> Board {
        Board {
            stage: AtomicU8::new(Stage::Warmup as u8),
            sent: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            received: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    pub fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Acquire))]
    }

    pub fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Adds what a worker has counted in a turn.
    pub fn post(&self, before: Counts, after: Counts, now: Nanos) {
        let add = |sum: &AtomicU64, before: u64, after: u64| {
            if after != before {
                sum.fetch_add(after - before, Ordering::Relaxed);
            }
        };
        if (after.confirmed, after.received) != (before.confirmed, before.received) {
            self.last.fetch_max(now.0, Ordering::Relaxed);
        }
        add(&self.sent, before.sent, after.sent);
        add(&self.refused, before.refused, after.refused);
        add(&self.confirmed, before.confirmed, after.confirmed);
        add(&self.received, before.received, after.received);
    }
}

/// What a worker has to tell about a stretch of time.
#[derive(Debug)]
pub struct Interval {
    /// Counted from the start of the phase.
    pub second: usize,
    /// Whether that second is over, or only a part of it, such as the end of the warm-up.
    pub is_whole: bool,
    pub is_measured: bool,
    pub tally: Tally,
}

pub struct Worker<'a> {
    pub seats: Vec<Seat>,
    pub board: &'a Board,
    pub clock: Clock,
    /// When the phase began; seconds count from here.
    pub start: Nanos,
    pub pause: Duration,
    pub tally: Tally,
    /// Makes the tally of the next interval.
    pub fresh: &'a (dyn Fn() -> Tally + Sync),
    pub reports: Sender<Interval>,
}

impl Worker<'_> {
    /// Works until the board says that it is over.
    pub fn run(mut self) {
        if let Err(error) = self.work() {
            self.tally.failed(|| error);
            self.board.lost.fetch_add(1, Ordering::Relaxed);
        }
        // A worker that has ended early still owes its last numbers.
        let second = (self.clock.now().since(self.start) / Nanos::SECOND) as usize;
        let is_measured = self.board.stage() != Stage::Warmup;
        self.report(second, false, is_measured);
        let Worker { seats, .. } = self;
        for mut seat in seats {
            seat.conversation.leave(&mut seat.link.out);
            seat.link.close();
        }
    }

    fn work(&mut self) -> Result<(), String> {
        // Without it sleeps are a little longer; that is all.
        let _ = rustix::thread::set_current_timer_slack(TIMER_SLACK_NANOS.try_into().ok());
        let mut poll = Poll::new().map_err(|e| format!("cannot poll: {e}"))?;
        let mut events = Events::with_capacity(self.seats.len().clamp(16, 1024));
        for (number, seat) in self.seats.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            let registered = poll
                .registry()
                .register(&mut seat.link.stream, Token(number), both);
            registered.map_err(|e| format!("cannot poll: {e}"))?;
        }
        let in_flight = self.seats.iter().map(|s| s.conversation.in_flight_max());
        let pace = Pace::new(self.pause, in_flight.fold(0, usize::saturating_add));
        let mut scratch = Scratch::new();
        let (mut stage, mut second) = (self.board.stage(), 0);
        let mut beat_at = self.clock.now().plus(BEAT_NANOS);
        loop {
            let start = self.clock.now();
            let stage_now = self.board.stage();
            if stage_now != stage {
                self.report(second, false, stage != Stage::Warmup);
                stage = stage_now;
            }
            // Reports start the counts anew, so that a turn is counted between two of them.
            let before = self.tally.counts;
            let mut next_due = None;
            match stage {
                Stage::Warmup | Stage::Measure => next_due = self.speak(start)?,
                Stage::Settle => {}
                Stage::Leave => return Ok(()),
            }
            if start >= beat_at {
                beat_at = start.plus(BEAT_NANOS);
                self.seats
                    .iter_mut()
                    .for_each(|seat| seat.conversation.beat(&mut seat.link.out));
            }
            self.flush()?;
            self.wait(&mut poll, &mut events, next_due)?;
            let read_bytes = self.hear(&mut scratch)?;
            self.flush()?;
            let now = self.clock.now();
            let after = self.tally.counts;
            self.board.post(before, after, now);
            let elapsed_seconds = (now.since(self.start) / Nanos::SECOND) as usize;
            while second < elapsed_seconds {
                self.report(second, true, stage != Stage::Warmup);
                second += 1;
            }
            let moved = (after.sent - before.sent)
                + (after.confirmed - before.confirmed)
                + (after.received - before.received);
            if let Some(rest) = pace.rest(start, now, Turn { moved, read_bytes }) {
                thread::sleep(rest);
            }
        }
    }

    /// Lets everyone send what is due; tells when the next message is.
    fn speak(&mut self, now: Nanos) -> Result<Option<Nanos>, String> {
        let mut next_due = None;
        for seat in &mut self.seats {
            let mut has_room = true;
            while has_room
                && seat
                    .conversation
                    .speak(now, &mut self.tally, &mut seat.link.out)?
            {
                has_room = seat.link.waiting() < WAITING_BYTES_MAX;
            }
            // If there is no room, it is the socket that is waited for.
            if has_room && let Some(due) = seat.conversation.due(now) {
                next_due = Some(next_due.map_or(due, |next: Nanos| next.min(due)));
            }
        }
        Ok(next_due)
    }

    fn flush(&mut self) -> Result<(), String> {
        self.seats
            .iter_mut()
            .filter(|seat| seat.link.waiting() > 0)
            .try_for_each(|seat| seat.link.flush())
    }

    /// Waits for a socket, or for the next message to be due.
    fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        next_due: Option<Nanos>,
    ) -> Result<(), String> {
        let can_go_on = self
            .seats
            .iter()
            .any(|seat| seat.link.readable || (seat.link.waiting() > 0 && seat.link.writable));
        let left = next_due.map(|due| due.since(self.clock.now()));
        let wait = match left {
            _ if can_go_on => Duration::ZERO,
            None => WAIT_MAX,
            Some(nanos) if nanos >= POLL_NANOS_MIN => {
                // Rounded up by the poll, so that it is late by less than it could sleep exactly.
                WAIT_MAX.min(Duration::from_millis(nanos / Nanos::MILLI - 1))
            }
            Some(_) => Duration::ZERO,
        };
        match poll.poll(events, Some(wait)) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(format!("cannot poll: {e}")),
        }
        if let Some(nanos) = left
            && events.is_empty()
            && !can_go_on
            && (1..POLL_NANOS_MIN).contains(&nanos)
        {
            let nap = self.pause.max(NAP_MIN);
            thread::sleep(nap.min(Duration::from_nanos(nanos)));
        }
        for event in events.iter() {
            let link = &mut self.seats[event.token().0].link;
            link.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            link.writable |= event.is_writable();
        }
        Ok(())
    }

    /// Reads from everyone who may have something; returns the bytes.
    fn hear(&mut self, scratch: &mut Scratch) -> Result<usize, String> {
        let mut read_bytes = 0;
        for seat in self.seats.iter_mut().filter(|seat| seat.link.readable) {
            let Seat { link, conversation } = seat;
            let (tally, clock) = (&mut self.tally, self.clock);
            read_bytes += link.read(scratch, |input, out| {
                conversation.hear(input, clock.now(), tally, out)
            })?;
        }
        Ok(read_bytes)
    }

    fn report(&mut self, second: usize, is_whole: bool, is_measured: bool) {
        let tally = std::mem::replace(&mut self.tally, (self.fresh)());
        // The conductor is gone only if it has panicked.
        let _ = self.reports.send(Interval {
            second,
            is_whole,
            is_measured,
            tally,
        });
    }
}
