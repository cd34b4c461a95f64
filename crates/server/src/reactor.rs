//! The one thread of the message path: it owns the listeners, the connections, the doors, the
//! node and the store.
//!
//! A turn: wait for readiness → take what the store has finished → look
//! whether memory or disk run short → accept → read each ready
//! socket once, large, and give the bytes to its door → hand over: the pass to the node, append
//! its frames, advance, give the events to the doors, until nobody asks anything → commit, by the log
//! thread or, if that is sooner, here → send each outbox in one write → end connections → checkpoint
//! if it is time.
//!
//! Invariants:
//! - a door hears `opened` first and `closed` last, each once, for every session;
//! - an event is given to its door before the next frame is appended, so that the records it
//!   names are still in memory;
//! - no step waits for a peer: a full socket holds back its own session. None waits for the disk
//!   but the commit of a small group, while syncs are quicker than two threads wake each other; the
//!   store otherwise answers by the waker;
//! - rounds per turn are bounded, and what is left over makes the next turn begin at once.
//!
//! Caveats: one reactor; the second core is the log thread's. A sync that the reactor does itself and
//! that turns out slow holds everybody up once. A connection that has half a frame
//! in its buffer when its peer vanishes loses it, as it must; one whose door was waiting for an
//! answer then loses the commands behind it as well, none of which were answered.

mod sockets;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use broker::event::{Answer, Event};
use broker::id::{SessionId, Token as CommandToken};
use broker::pass::Command;
use broker::refusal::Refusal;
use broker::topology::Change;
use gateway::door::{Closing, Links, Wire};

use crate::alarm::Watch;
use crate::config::Limits;
use crate::connection::READ_BYTES;
use crate::core::Core;
use crate::doors::{Doors, Entrance};
use crate::fault::Fault;
use crate::links::Seat;
use crate::pace::{Pace, Turn};
use crate::throttle::Throttle;

/// What rings without saying more; connections have their seat's number.
pub(crate) const WAKER: Token = Token(usize::MAX);
/// A signal has set the stop flag.
pub(crate) const SIGNAL: Token = Token(usize::MAX - 1);
const LISTENERS: usize = usize::MAX - 64;
const EVENTS_MAX: usize = 1024;

/// Before a group is written here, the sockets are looked at so many times more, as long as they have
/// something: those who were answered by the last turn ask again just now.
const LOOKS_MAX: usize = 2;

/// Hand-overs to the node in one turn; sockets must be looked at in between.
const ROUNDS_MAX: usize = 16;
/// Whoever has not taken our last words when the process stops does not get them.
const FAREWELL: Duration = Duration::from_secs(2);

/// The session of the server itself; 0 is the node's.
const OWN: SessionId = SessionId(1);

struct Listening {
    listener: TcpListener,
    entrance: Entrance,
    /// There may be connections to accept; told once.
    ready: bool,
}

pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    listeners: Vec<Listening>,
    accept_retry: Option<Instant>,
    /// Lines about connections that were not kept.
    turned_away: Throttle,
    doors: Doors,
    core: Core,
    limits: Limits,
    watch: Watch,
    pace: Pace,
    /// Room for a left-over and a read behind it.
    scratch: Vec<u8>,
    /// Have something to read.
    ready: Vec<Seat>,
    /// The node has to be advanced although nothing is asked of it.
    stirred: bool,
    answers: Vec<(CommandToken, Result<Answer, Refusal>)>,
    stop: Arc<AtomicBool>,
}

/// What has made a turn worth while.
#[derive(Clone, Copy, Default)]
struct Work {
    read_bytes: usize,
    reads: usize,
    messages: usize,
}

impl Reactor {
    pub fn new(
        poll: Poll,
        core: Core,
        doors: Doors,
        limits: Limits,
        watch: Watch,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Reactor {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            listeners: Vec::new(),
            accept_retry: None,
            turned_away: Throttle::default(),
            doors,
            core,
            limits,
            watch,
            pace: Pace::new(Instant::now()),
            scratch: vec![0; 2 * READ_BYTES],
            ready: Vec::new(),
            stirred: true,
            answers: Vec::new(),
            stop,
        }
    }

    /// Listens; returns where, as the system may have chosen the port.
    pub fn listen(&mut self, entrance: Entrance) -> io::Result<Entrance> {
        let mut listener = TcpListener::bind(entrance.at)?;
        let entrance = Entrance {
            at: listener.local_addr()?,
            ..entrance
        };
        let token = Token(LISTENERS + self.listeners.len());
        self.poll
            .registry()
            .register(&mut listener, token, Interest::READABLE)?;
        self.listeners.push(Listening {
            listener,
            entrance,
            ready: true,
        });
        Ok(entrance)
    }

    /// Makes changes of the server's own and waits until they hold.
    pub fn carry_out(&mut self, changes: Vec<Change>) -> Result<(), Fault> {
        let count = changes.len();
        for (number, change) in changes.into_iter().enumerate() {
            let token = CommandToken(number as u64);
            self.core.pass.push(OWN, Command::Change { token, change });
            while self.answers.len() <= number {
                self.turn()?;
            }
        }
        let answers: Vec<_> = self.answers.drain(..).collect();
        assert_eq!(answers.len(), count, "every own change is answered once");
        match answers.into_iter().find_map(|(_, result)| result.err()) {
            Some(refusal) => Err(Fault::Refused(refusal)),
            None => Ok(()),
        }
    }

    pub fn topology(&self) -> &broker::topology::Topology {
        self.core.engine.topology()
    }

    /// Turns until it is told to stop, and leaves in order.
    pub fn run(mut self) -> Result<(), Fault> {
        while !self.stop.load(Ordering::Acquire) {
            self.turn()?;
        }
        self.leave()
    }

    fn poll(&mut self, timeout: Option<Duration>) -> Result<(), Fault> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            Err(e) => Err(Fault::Poll(e)),
        }
    }

    fn turn(&mut self) -> Result<(), Fault> {
        let timeout = self.timeout();
        self.poll(timeout)?;
        let start = Instant::now();
        self.core.look_at_the_clock();
        self.note_readiness();
        self.stirred |= self.core.engine.complete()?;
        self.look_around(start);
        self.accept();
        self.tick();
        let mut work = self.read_ready();
        work.messages = self.hand_over()?;
        self.gather(&mut work)?;
        work.messages += self.commit()?;
        self.flush();
        self.end();
        self.core.engine.checkpoint_if_due(self.core.now());
        let gathered = work.messages.max(work.reads);
        let turn = Turn {
            gathered,
            read_bytes: work.read_bytes,
        };
        if let Some(rest) = self.pace.rest(start, Instant::now(), turn) {
            std::thread::sleep(rest);
        }
        Ok(())
    }

    /// How long nothing needs to be done unless something happens.
    fn timeout(&mut self) -> Option<Duration> {
        let core = &self.core;
        if self.stirred
            || !(self.ready.is_empty() || self.disk_is_behind())
            || !core.pass.is_empty()
            || core.links.has_resumed()
            || core.engine.has_work()
            || self.listeners.iter().any(|listening| listening.ready)
        {
            return Some(Duration::ZERO);
        }
        let clocked = core
            .engine
            .deadline()
            .into_iter()
            .chain(self.doors.deadline())
            .min();
        let clocked = clocked.map(|at| Duration::from_millis(at.since(core.now())));
        let timed = self
            .core
            .links
            .ending_deadline()
            .into_iter()
            .chain(self.accept_retry)
            .chain(self.watch.deadline())
            .min();
        let timed = timed.map(|at| at.saturating_duration_since(Instant::now()));
        clocked.into_iter().chain(timed).min()
    }

    /// Tells the doors when memory or disk run short, and when they do no more.
    fn look_around(&mut self, now: Instant) {
        self.watch.store_is_full(self.core.engine.disk_full());
        let held = self.core.engine.held_bytes() as u64;
        if let Some(alarms) = self.watch.look(now, held) {
            for door in self.doors.each() {
                self.core.with(|cx| door.alarmed(alarms, cx));
            }
        }
        if let Some(disk) = self.watch.take_disk() {
            self.doors.each().for_each(|door| door.disk_measured(disk));
        }
    }

    fn tick(&mut self) {
        let now = self.core.now();
        for door in self.doors.each() {
            if door.deadline().is_some_and(|at| at <= now) {
                self.core.with(|cx| door.tick(cx));
            }
        }
        self.stirred |= self.core.engine.deadline().is_some_and(|at| at <= now);
    }

    /// Looks for more to go with a group of several messages that is to be written here.
    fn gather(&mut self, work: &mut Work) -> Result<(), Fault> {
        for _ in 0..LOOKS_MAX {
            if work.messages < 2 || !self.core.engine.commits_itself() {
                return Ok(());
            }
            self.poll(Some(Duration::ZERO))?;
            if self.events.is_empty() {
                return Ok(());
            }
            self.note_readiness();
            self.stirred |= self.core.engine.complete()?;
            let more = self.read_ready();
            work.reads += more.reads;
            work.read_bytes += more.read_bytes;
            work.messages += self.hand_over()?;
        }
        Ok(())
    }

    /// Commits what the doors asked for; what is durable by then is answered in the same turn.
    /// Returns how many messages were stored in consequence.
    fn commit(&mut self) -> Result<usize, Fault> {
        if !self.core.engine.commit() {
            return Ok(0);
        }
        self.stirred |= self.core.engine.complete()?;
        let messages = self.hand_over()?;
        self.core.engine.commit_behind();
        Ok(messages)
    }

    /// Hands over what the doors ask and gives them what comes of it, until nobody asks anything
    /// or the turn is long enough. Returns how many messages were stored.
    fn hand_over(&mut self) -> Result<usize, Fault> {
        let mut messages = 0;
        for _ in 0..ROUNDS_MAX {
            for session in self.core.links.take_resumed() {
                self.offer_unread(session);
                self.read_on(session);
            }
            self.finish();
            if self.core.pass.is_empty() && !self.core.engine.has_work() && !self.stirred {
                return Ok(messages);
            }
            self.stirred = false;
            let pass = std::mem::take(&mut self.core.pass);
            let now = self.core.now();
            messages += self.core.engine.step(pass, now)?;
            self.dispatch();
            self.relieve();
        }
        self.finish();
        Ok(messages)
    }

    fn finish(&mut self) {
        for door in self.doors.each() {
            self.core.with(|cx| door.finish(cx));
            for note in door.take_notes() {
                tracing::warn!("{note}");
            }
        }
    }

    fn dispatch(&mut self) {
        let mut events = self.core.engine.take_events();
        for event in events.drain(..) {
            let session = match &event {
                Event::Changed(fact) => {
                    for door in self.doors.each() {
                        self.core.with(|cx| door.changed(fact, cx));
                    }
                    continue;
                }
                Event::Deliver(delivery) => delivery.session,
                Event::Done { session, .. }
                | Event::Stored { session, .. }
                | Event::Got { session, .. }
                | Event::Ready { session, .. }
                | Event::BrowseEnded { session, .. }
                | Event::Cancelled { session, .. }
                | Event::Read { session, .. } => *session,
            };
            match Wire::of(session) {
                Some(wire) => {
                    let door = self.doors.at(wire);
                    self.core.with(|cx| door.event(event, cx));
                }
                None => {
                    if let Event::Done { token, result, .. } = event {
                        self.answers.push((token, result));
                    }
                }
            }
        }
        self.core.engine.told(events);
    }

    /// The orderly end: the doors say goodbye, everybody is sent what waits, everything appended
    /// becomes durable, and the next start finds a checkpoint.
    fn leave(mut self) -> Result<(), Fault> {
        self.listeners.clear();
        self.core.engine.hurry();
        self.stirred = true;
        for door in self.doors.each() {
            self.core.with(|cx| door.stopping(cx));
        }
        self.hand_over()?;
        self.commit()?;
        self.flush();
        let limit = Instant::now() + FAREWELL;
        let seats: Vec<Seat> = self.core.links.seats().collect();
        for seat in &seats {
            let session = self
                .core
                .links
                .at(*seat)
                .map(|connection| connection.session);
            if let Some(session) = session {
                self.core.links.close(session, Closing::Sent);
            }
        }
        while self.core.links.len() > 0 && Instant::now() < limit {
            self.end();
            let wait = limit.saturating_duration_since(Instant::now());
            if self.core.links.len() > 0 {
                self.poll(Some(wait))?;
                self.note_readiness();
                self.flush();
            }
        }
        for seat in seats {
            self.gone(seat);
        }
        self.core.look_at_the_clock();
        self.hand_over()?;
        self.commit()?;
        while !self.core.engine.can_close() {
            self.poll(None)?;
            self.core.engine.complete()?;
        }
        let now = self.core.now();
        let Core { engine, .. } = self.core;
        engine.close(now)
    }
}

/// The waker that the store rings when it has finished something.
pub(crate) fn waker(poll: &Poll) -> io::Result<Arc<Waker>> {
    Ok(Arc::new(Waker::new(poll.registry(), WAKER)?))
}
