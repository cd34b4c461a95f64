//! The sockets of the reactor: accepting, reading, sending and ending.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};

use broker::id::SessionId;
use broker::pass::Command;
use gateway::door::{Closing, Links, Peer, Wire};

use super::{LISTENERS, Reactor, SIGNAL, WAKER, Work};
use crate::config::Limits;
use crate::connection::{Connection, Flushed, Reading};
use crate::links::Seat;

/// Connections accepted in one turn and from one listener.
const ACCEPTS_MAX: usize = 256;
/// After the system refused a connection (no more files), accepting is tried again this late.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl Reactor {
    pub(super) fn note_readiness(&mut self) {
        for event in &self.events {
            let token = event.token();
            if token == WAKER || token == SIGNAL {
                continue;
            }
            if let Some(number) = token.0.checked_sub(LISTENERS) {
                if let Some(listening) = self.listeners.get_mut(number) {
                    listening.ready = true;
                }
                continue;
            }
            let seat = Seat(token.0 as u32);
            let Some(connection) = self.core.links.at(seat) else {
                continue;
            };
            // A broken socket is told as both: whichever is tried next finds it.
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                connection.readable = true;
                connection.read_closed |= event.is_read_closed() || event.is_error();
                // Nobody is there any more to be made to rest, and its end is to be found.
                connection.resting &= !event.is_error() && !event.is_write_closed();
                queue(connection, seat, &mut self.ready);
            }
            if event.is_writable() || event.is_write_closed() || event.is_error() {
                connection.became_writable();
                if connection.unsent() > 0 {
                    self.core.links.mark_dirty(seat);
                }
            }
        }
    }

    pub(super) fn accept(&mut self) {
        if self.accept_retry.is_some_and(|at| at <= Instant::now()) {
            self.accept_retry = None;
            self.listeners
                .iter_mut()
                .for_each(|listening| listening.ready = true);
        }
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_MAX {
                let listening = &mut self.listeners[number];
                if !listening.ready {
                    break;
                }
                match listening.listener.accept() {
                    Ok((socket, remote)) => {
                        let wire = listening.entrance.wire;
                        self.welcome(wire, socket, remote);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => listening.ready = false,
                    Err(e) if is_of_the_peer(&e) => {}
                    Err(error) => {
                        tracing::error!(%error, "cannot accept connections");
                        listening.ready = false;
                        self.accept_retry = Some(Instant::now() + ACCEPT_RETRY);
                    }
                }
            }
        }
    }

    pub(super) fn welcome(&mut self, wire: Wire, socket: TcpStream, remote: SocketAddr) {
        if self.core.links.len() >= self.limits.connections {
            if let Some(untold) = self.turned_away.line(self.core.now()) {
                let max = self.limits.connections;
                let what = "connection refused: limits.connections has reached";
                tracing::warn!(%remote, untold, "{what} {max}");
            }
            return;
        }
        // Answers are small and awaited; Nagle's algorithm would hold them back.
        let local = socket.set_nodelay(true).and_then(|()| socket.local_addr());
        let Ok(local) = local else { return };
        let peer = Peer { remote, local };
        let (seat, session) = self.core.links.insert(wire, peer, socket);
        let Some(connection) = self.core.links.at(seat) else {
            return;
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        let token = Token(seat.0 as usize);
        if let Err(error) = self
            .poll
            .registry()
            .register(connection.socket_mut(), token, both)
        {
            tracing::error!(%error, "cannot watch a connection");
            self.core.links.remove(seat);
            return;
        }
        tracing::debug!(?wire, %remote, session = session.0, "connection opened");
        let door = self.doors.at(wire);
        self.core.with(|cx| door.opened(session, peer, cx));
        self.part_from_strangers();
    }

    /// Those that say nothing must not keep others out: of too many that no door knows, the one
    /// that has waited longest goes.
    fn part_from_strangers(&mut self) {
        while self.core.links.strangers() > self.limits.strangers
            && let Some(seat) = self.core.links.take_oldest_stranger()
        {
            let now = self.core.now();
            if let Some(connection) = self.core.links.at(seat)
                && let Some(untold) = self.turned_away.line(now)
            {
                let remote = connection.peer.remote;
                let max = self.limits.strangers;
                let what = "connection closed before its login: limits.strangers has reached";
                tracing::warn!(%remote, untold, "{what} {max}");
            }
            self.gone(seat);
        }
    }

    pub(super) fn read_ready(&mut self) -> Work {
        let mut work = Work::default();
        if self.disk_is_behind() {
            return work;
        }
        for seat in std::mem::take(&mut self.ready) {
            let bytes = self.read(seat);
            work.read_bytes += bytes;
            work.reads += usize::from(bytes > 0);
        }
        work
    }

    /// What waits for the disk waits in memory: nobody is read from while that is too much. The
    /// store rings when it has caught up.
    pub(super) fn disk_is_behind(&self) -> bool {
        self.core.engine.unsynced_bytes() > self.limits.unsynced_bytes
    }

    /// Reads once from a connection and gives its door what there is.
    pub(super) fn read(&mut self, seat: Seat) -> usize {
        let Some(connection) = self.core.links.at(seat) else {
            return 0;
        };
        connection.queued = false;
        if !may_read(connection, &self.limits) {
            return 0;
        }
        let session = connection.session;
        let in_front = connection.unread_is_short();
        let before = if in_front { connection.unread_len() } else { 0 };
        let bytes = match connection.read(&mut self.scratch) {
            Reading::Nothing => return 0,
            Reading::End => {
                self.peer_ended(seat);
                return 0;
            }
            Reading::Bytes(bytes) => bytes,
        };
        if in_front {
            let offered = &self.scratch[..bytes];
            let door = self.doors.of(session);
            let consumed = self.core.with(|cx| door.received(session, offered, cx));
            if let Some(connection) = self.core.links.of(session) {
                connection.copy_unread(&offered[consumed..]);
                note_crowd(connection, &self.limits);
            }
        } else {
            self.offer_unread(session);
        }
        if let Some(connection) = self.core.links.of(session) {
            queue(connection, seat, &mut self.ready);
        }
        bytes - before
    }

    /// Gives a door again what it has left over.
    pub(super) fn offer_unread(&mut self, session: SessionId) {
        let Some(connection) = self.core.links.of(session) else {
            return;
        };
        let unread = connection.take_unread();
        if unread.is_empty() {
            return;
        }
        let door = self.doors.of(session);
        let consumed = self.core.with(|cx| door.received(session, &unread, cx));
        if let Some(connection) = self.core.links.of(session) {
            connection.keep_unread(unread, consumed);
            note_crowd(connection, &self.limits);
        }
    }

    pub(super) fn peer_ended(&mut self, seat: Seat) {
        let Some(connection) = self.core.links.at(seat) else {
            return;
        };
        match &mut connection.ending {
            Some(ending) => ending.peer_done = true,
            None => self.gone(seat),
        }
    }

    /// Sends early what has grown past the limit, and holds back whoever does not take it: the
    /// next round would add to it.
    pub(super) fn relieve(&mut self) {
        for seat in self.core.links.take_dirty() {
            let Some(connection) = self.core.links.at(seat) else {
                continue;
            };
            connection.dirty = false;
            if connection.unsent() > self.limits.outbox_bytes {
                self.send(seat);
            } else {
                self.core.links.mark_dirty(seat);
            }
        }
    }

    pub(super) fn flush(&mut self) {
        for seat in self.core.links.take_dirty() {
            if let Some(connection) = self.core.links.at(seat) {
                connection.dirty = false;
                self.send(seat);
            }
        }
    }

    pub(super) fn send(&mut self, seat: Seat) {
        let Some(connection) = self.core.links.at(seat) else {
            return;
        };
        let session = connection.session;
        let flushed = connection.flush();
        let unsent = connection.unsent();
        if flushed == Flushed::Broken {
            self.gone(seat);
            return;
        }
        if !connection.held && unsent > self.limits.outbox_bytes {
            connection.held = true;
            self.core.pass.push(session, Command::Hold);
        } else if connection.held && unsent <= self.limits.outbox_bytes / 2 {
            connection.held = false;
            self.core.pass.push(session, Command::Resume);
        }
        let relieved = connection.crowded && unsent <= crowd_bytes(connection, &self.limits);
        if relieved {
            // A stranger is read from again behind what it has left over.
            connection.crowded = !connection.admitted;
            self.core.links.resume(session);
        }
        if flushed == Flushed::All {
            self.core.links.reclaim(seat);
        }
        self.read_on(session);
    }

    /// What stopped reading may have gone.
    pub(super) fn read_on(&mut self, session: SessionId) {
        let Some(seat) = self.core.links.find(session) else {
            return;
        };
        let Some(connection) = self.core.links.at(seat) else {
            return;
        };
        if may_read(connection, &self.limits) {
            queue(connection, seat, &mut self.ready);
        }
    }

    /// Ends the connections that were asked to close and are ready for it.
    pub(super) fn end(&mut self) {
        let ending = self.core.links.take_ending();
        if ending.is_empty() {
            return;
        }
        let now = Instant::now();
        for session in ending {
            let Some(seat) = self.core.links.find(session) else {
                continue;
            };
            let Some(connection) = self.core.links.at(seat) else {
                continue;
            };
            let Some(ending) = connection.ending else {
                continue;
            };
            let sent = connection.unsent() == 0;
            let over = match ending.closing {
                Closing::Now => true,
                Closing::Sent => sent,
                Closing::Grace { .. } => sent && ending.peer_done,
            };
            if over || ending.limit <= now {
                self.gone(seat);
            } else {
                self.core.links.keep_ending(session);
            }
        }
    }

    /// Takes a connection away and tells its door.
    pub(super) fn gone(&mut self, seat: Seat) {
        let Some(mut connection) = self.core.links.remove(seat) else {
            return;
        };
        let session = connection.session;
        let _ = self.poll.registry().deregister(connection.socket_mut());
        connection.part(&mut self.scratch);
        tracing::debug!(remote = %connection.peer.remote, session = session.0, "connection closed");
        drop(connection);
        let door = self.doors.of(session);
        self.core.with(|cx| door.closed(session, cx));
    }
}

fn queue(connection: &mut Connection, seat: Seat, ready: &mut Vec<Seat>) {
    if connection.readable && !connection.queued {
        connection.queued = true;
        ready.push(seat);
    }
}

/// A door may stop in front of a frame whose answer would add to much that is unsent; nobody but
/// the reactor knows when that has gone.
fn note_crowd(connection: &mut Connection, limits: &Limits) {
    let is_crowd = connection.unsent() > crowd_bytes(connection, limits);
    connection.crowded = connection.unread_len() > 0 && is_crowd;
}

/// Unsent bytes for which a door may stop.
fn crowd_bytes(connection: &Connection, limits: &Limits) -> usize {
    match connection.admitted {
        true => limits.outbox_bytes / 2,
        false => 0,
    }
}

/// Unsent bytes beyond which a connection is not read from.
fn patience_bytes(connection: &Connection, limits: &Limits) -> usize {
    match connection.admitted {
        true => limits.outbox_bytes.saturating_mul(2),
        false => 0,
    }
}

fn may_read(connection: &Connection, limits: &Limits) -> bool {
    let ending = match connection.ending {
        None => true,
        Some(ending) => match ending.closing {
            Closing::Grace { .. } => !ending.peer_done,
            Closing::Now | Closing::Sent => false,
        },
    };
    ending
        && !connection.resting
        && (connection.admitted || !connection.crowded)
        && connection.unread_len() < limits.unread_bytes
        && connection.unsent() <= patience_bytes(connection, limits)
}

/// A connection that failed before it was accepted says nothing about the listener.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
