//! What a consumer held goes back when it closes, in its order.
//!
//! What the client has seen counts as an attempt, and that must be in the log before the message
//! is free again. What it has not seen could be free at once, and would overtake it; so it follows
//! when the log has the others. Of a group the broker itself hands out nothing meanwhile.

use std::collections::BTreeMap;

use broker::id::QueueId;
use broker::pass::{Command as Ask, Outcome, Positions};

use super::connection::{Awaited, Connection};
use super::consumer::{Consumer, Dispatched};
use crate::door::Context;

/// What of a consumer's messages its client has handed to the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// Nobody knows; it may be all.
    Unknown,
    Nothing,
    /// Up to our own number.
    UpTo(i64),
    /// The last that several consumers have seen together; who holds it has seen what is before it.
    /// The others may have seen some, but to count what one was never shown would be worse: it
    /// would die of it in the end.
    LastOfAll(i64),
}

impl Seen {
    const UNKNOWN: i64 = -2;

    /// From the last sequence that a client names when it closes one consumer. −1 and 0 stand for
    /// none.
    pub fn of_consumer(last: i64) -> Seen {
        match last {
            Seen::UNKNOWN => Seen::Unknown,
            1.. => Seen::UpTo(last),
            _ => Seen::Nothing,
        }
    }

    /// The same for a session or a connection, of which only the largest is named.
    pub fn of_several(last: i64) -> Seen {
        match Seen::of_consumer(last) {
            Seen::UpTo(last) => Seen::LastOfAll(last),
            other => other,
        }
    }

    fn up_to(self, consumer: &Consumer) -> i64 {
        match self {
            Seen::Unknown => i64::MAX,
            Seen::Nothing if consumer.is_durable() => i64::MAX,
            Seen::Nothing => i64::MIN,
            Seen::UpTo(last) => last,
            Seen::LastOfAll(last) if consumer.find_sequence(last).is_some() => last,
            Seen::LastOfAll(_) => i64::MIN,
        }
    }
}

/// Neighbours of one queue.
pub(super) type Run = (QueueId, Positions);

/// What follows later, by the number of its barrier, and whether the session ends behind it.
#[derive(Default)]
pub(super) struct Returning {
    rest: BTreeMap<u64, Vec<Run>>,
    last: u64,
    then_end: bool,
}

/// How a message goes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It was seen.
    Counted,
    /// It was not, and is in a group.
    AtOnce,
    /// It was not, and would overtake those that were.
    Behind,
}

impl Way {
    fn of(one: &Dispatched, seen_up_to: i64) -> Way {
        match (one.sequence <= seen_up_to, one.in_group) {
            (true, _) => Way::Counted,
            (false, true) => Way::AtOnce,
            (false, false) => Way::Behind,
        }
    }
}

/// Returns what was seen; tells what must follow it.
pub(super) fn give_back(
    conn: &Connection,
    consumer: &Consumer,
    seen: Seen,
    cx: &mut Context<'_>,
) -> Vec<Run> {
    let up_to = seen.up_to(consumer);
    let mut held = consumer
        .dispatched
        .iter()
        .filter_map(|one| one.held.map(|(queue, at)| (queue, at, Way::of(one, up_to))))
        .peekable();
    let (mut counted, mut grouped, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((queue, position, way)) = held.next() {
        let mut positions = vec![position];
        while let Some((_, next, _)) = held.next_if(|(q, _, w)| *q == queue && *w == way) {
            positions.push(next);
        }
        let runs = match way {
            Way::Counted => &mut counted,
            Way::AtOnce => &mut grouped,
            Way::Behind => &mut rest,
        };
        runs.push((queue, Positions::Many(positions)));
    }
    let waits = !counted.is_empty();
    settle(conn, counted, &Outcome::ReleaseCounted, cx);
    settle(conn, grouped, &Outcome::ReleaseUntouched, cx);
    if waits {
        return rest;
    }
    settle(conn, rest, &Outcome::ReleaseUntouched, cx);
    Vec::new()
}

fn settle(conn: &Connection, runs: Vec<Run>, outcome: &Outcome, cx: &mut Context<'_>) {
    for (queue, positions) in runs {
        cx.settle(conn.session, queue, positions, outcome.clone());
    }
}

impl Connection {
    /// Returns the rest when what was pushed before it is in the log.
    pub fn return_later(&mut self, rest: Vec<Run>, cx: &mut Context<'_>) {
        if rest.is_empty() {
            return;
        }
        self.returning.last += 1;
        self.returning.rest.insert(self.returning.last, rest);
        let token = Awaited::Returned.token(self.returning.last);
        cx.pass.push(self.session, Ask::Barrier { token });
    }

    pub(super) fn returned(&mut self, number: u64, cx: &mut Context<'_>) {
        if let Some(rest) = self.returning.rest.remove(&number) {
            settle(self, rest, &Outcome::ReleaseUntouched, cx);
        }
        if self.returning.then_end {
            self.end(cx);
        }
    }

    /// Ends the session at the broker, behind what is still to be returned.
    pub fn end(&mut self, cx: &mut Context<'_>) {
        self.returning.then_end = !self.returning.rest.is_empty();
        if !self.returning.then_end {
            cx.pass.push(self.session, Ask::End { token: None });
        }
    }

    /// The socket is gone and no answer will come.
    pub fn return_now(&mut self, cx: &mut Context<'_>) {
        for rest in std::mem::take(&mut self.returning.rest).into_values() {
            settle(self, rest, &Outcome::ReleaseUntouched, cx);
        }
        if self.returning.then_end {
            self.end(cx);
        }
    }
}
