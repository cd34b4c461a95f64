//! All connections, and what the doors see of them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use broker::id::SessionId;
use gateway::door::{Closing, Links, Peer, Wire};

use crate::connection::{Connection, Ending};

/// A peer that does not take our last bytes is given up after so long.
const SENT_LIMIT: Duration = Duration::from_secs(10);
/// Drained outboxes kept for the next that needs one, and the largest that is kept.
const SPARE_BUFFERS_MAX: usize = 64;
const SPARE_BUFFER_BYTES_MAX: usize = 1 << 20;
const NEW_BUFFER_BYTES: usize = 4 << 10;
/// Sessions that are listed as waiting and do not wait any more, besides as many as do.
const STALE_MAX: usize = 64;

/// The place of a connection: what mio calls it by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Seat(pub u32);

/// A session's number is `life 32 | seat 24`, so that it is found without a map and a number is
/// not given twice before a seat was taken four billion times.
const SEAT_BITS: u32 = 24;

fn number(seat: Seat, life: u32) -> u64 {
    u64::from(life) << SEAT_BITS | u64::from(seat.0)
}

fn seat_of(session: SessionId) -> (Seat, u32) {
    let seat = session.0 & ((1 << SEAT_BITS) - 1);
    (Seat(seat as u32), (session.0 >> SEAT_BITS) as u32)
}

/// The connections of one reactor.
#[derive(Default)]
pub(crate) struct Connections {
    seats: Vec<Place>,
    free: Vec<Seat>,
    count: usize,
    /// Have something to send.
    dirty: Vec<Seat>,
    /// Are to be offered again what they left over.
    resumed: Vec<SessionId>,
    /// Were asked to close, or are on their way.
    ending: Vec<SessionId>,
    spare: Vec<Vec<u8>>,
    /// Those that were not admitted when they came, oldest first; some have been since, or have
    /// gone.
    waiting: VecDeque<SessionId>,
    /// How many have not been admitted.
    strangers: usize,
    /// Takes what is written for a session that has gone.
    void: Vec<u8>,
}

#[derive(Default)]
struct Place {
    life: u32,
    connection: Option<Connection>,
}

impl Connections {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn insert(&mut self, wire: Wire, peer: Peer, socket: TcpStream) -> (Seat, SessionId) {
        let seat = self.free.pop().unwrap_or_else(|| {
            self.seats.push(Place::default());
            Seat((self.seats.len() - 1) as u32)
        });
        assert!(
            seat.0 < 1 << SEAT_BITS,
            "connections are limited below 2^{SEAT_BITS}"
        );
        let place = &mut self.seats[seat.0 as usize];
        place.life = place.life.wrapping_add(1);
        let session = wire.session(number(seat, place.life));
        place.connection = Some(Connection::new(session, peer, socket));
        self.count += 1;
        self.strangers += 1;
        if self.waiting.len() > 2 * self.strangers + STALE_MAX {
            let mut waiting = std::mem::take(&mut self.waiting);
            waiting.retain(|session| self.is_stranger(*session));
            self.waiting = waiting;
        }
        self.waiting.push_back(session);
        (seat, session)
    }

    /// How many connections no door has admitted.
    pub fn strangers(&self) -> usize {
        self.strangers
    }

    /// The one that has waited longest without being admitted.
    pub fn take_oldest_stranger(&mut self) -> Option<Seat> {
        loop {
            let session = self.waiting.pop_front()?;
            if self.is_stranger(session) {
                return self.find(session);
            }
        }
    }

    fn is_stranger(&self, session: SessionId) -> bool {
        let seat = self.find(session).map(|seat| &self.seats[seat.0 as usize]);
        let connection = seat.and_then(|place| place.connection.as_ref());
        connection.is_some_and(|connection| !connection.admitted)
    }

    pub fn remove(&mut self, seat: Seat) -> Option<Connection> {
        let connection = self.seats.get_mut(seat.0 as usize)?.connection.take()?;
        self.free.push(seat);
        self.count -= 1;
        self.strangers -= usize::from(!connection.admitted);
        Some(connection)
    }

    pub fn at(&mut self, seat: Seat) -> Option<&mut Connection> {
        self.seats.get_mut(seat.0 as usize)?.connection.as_mut()
    }

    pub fn find(&self, session: SessionId) -> Option<Seat> {
        let (seat, _) = seat_of(session);
        let connection = self.seats.get(seat.0 as usize)?.connection.as_ref()?;
        (connection.session == session).then_some(seat)
    }

    pub fn of(&mut self, session: SessionId) -> Option<&mut Connection> {
        let seat = self.find(session)?;
        self.at(seat)
    }

    pub fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        (0..self.seats.len() as u32).map(Seat)
    }

    /// Those with something to send, each once.
    pub fn take_dirty(&mut self) -> Vec<Seat> {
        std::mem::take(&mut self.dirty)
    }

    pub fn mark_dirty(&mut self, seat: Seat) {
        if let Some(connection) = self.seats[seat.0 as usize].connection.as_mut()
            && !std::mem::replace(&mut connection.dirty, true)
        {
            self.dirty.push(seat);
        }
    }

    pub fn take_resumed(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.resumed)
    }

    pub fn has_resumed(&self) -> bool {
        !self.resumed.is_empty()
    }

    pub fn take_ending(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.ending)
    }

    /// Still on its way out.
    pub fn keep_ending(&mut self, session: SessionId) {
        self.ending.push(session);
    }

    /// When the next of those on their way out is given up.
    pub fn ending_deadline(&mut self) -> Option<Instant> {
        let ending = std::mem::take(&mut self.ending);
        let limits = ending
            .iter()
            .filter_map(|session| self.of(*session)?.ending);
        let deadline = limits.map(|ending| ending.limit).min();
        self.ending = ending;
        deadline
    }

    /// Takes a drained outbox back.
    pub fn reclaim(&mut self, seat: Seat) {
        let Some(buffer) = self.at(seat).and_then(Connection::take_drained) else {
            return;
        };
        let is_worth_it = (NEW_BUFFER_BYTES..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity());
        if is_worth_it && self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.push(buffer);
        }
    }
}

impl Links for Connections {
    fn out(&mut self, session: SessionId) -> &mut Vec<u8> {
        let Some(seat) = self.find(session) else {
            self.void.clear();
            return &mut self.void;
        };
        self.mark_dirty(seat);
        let connection = self.seats[seat.0 as usize]
            .connection
            .as_mut()
            .expect("it was found");
        // A stranger's grows with what it is told, which is little.
        if connection.admitted && !connection.has_buffer() {
            let spare = self.spare.pop();
            connection.give_buffer(spare.unwrap_or_else(|| Vec::with_capacity(NEW_BUFFER_BYTES)));
        }
        connection.out_mut()
    }

    fn admit(&mut self, session: SessionId) {
        if let Some(connection) = self.of(session)
            && !std::mem::replace(&mut connection.admitted, true)
        {
            self.strangers -= 1;
        }
    }

    fn unsent(&self, session: SessionId) -> usize {
        let connection = self
            .find(session)
            .and_then(|seat| self.seats[seat.0 as usize].connection.as_ref());
        connection.map_or(0, Connection::unsent)
    }

    fn close(&mut self, session: SessionId, closing: Closing) {
        let Some(connection) = self.of(session) else {
            return;
        };
        let now = Instant::now();
        let wait = match closing {
            Closing::Now => Duration::ZERO,
            Closing::Sent => SENT_LIMIT,
            Closing::Grace { limit_ms } => Duration::from_millis(limit_ms),
        };
        let limit = now.checked_add(wait).unwrap_or(now + SENT_LIMIT);
        match &mut connection.ending {
            // Asked twice: the door has learned something since, but time goes on counting.
            Some(ending) => {
                ending.closing = closing;
                ending.limit = ending.limit.min(limit);
            }
            None => {
                connection.ending = Some(Ending {
                    closing,
                    limit,
                    peer_done: false,
                });
                self.ending.push(session);
            }
        }
    }

    fn resume(&mut self, session: SessionId) {
        self.resumed.push(session);
    }

    fn stop_reading(&mut self, session: SessionId) {
        if let Some(connection) = self.of(session) {
            connection.resting = true;
        }
    }

    fn read_again(&mut self, session: SessionId) {
        if let Some(connection) = self.of(session) {
            connection.resting = false;
            self.resumed.push(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(listener: &mio::net::TcpListener) -> (TcpStream, Peer) {
        let local = listener.local_addr().unwrap();
        let stream = TcpStream::from_std(std::net::TcpStream::connect(local).unwrap());
        let remote = stream.local_addr().unwrap();
        (stream, Peer { remote, local })
    }

    #[test]
    fn a_session_that_has_gone_is_passed_over() {
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = mio::net::TcpListener::bind(any).unwrap();
        let mut links = Connections::default();
        let (socket, peer) = connect(&listener);
        let (seat, first) = links.insert(Wire::Amqp, peer, socket);
        links.out(first).extend_from_slice(b"abc");
        assert_eq!((links.unsent(first), links.take_dirty()), (3, vec![seat]));
        links.remove(seat).unwrap();
        let (socket, peer) = connect(&listener);
        let (again, second) = links.insert(Wire::Amqp, peer, socket);
        assert!(again == seat && first != second && Wire::of(second) == Some(Wire::Amqp));
        links.out(first).extend_from_slice(b"lost");
        links.close(first, Closing::Now);
        assert_eq!(
            (links.unsent(first), links.unsent(second), links.len()),
            (0, 0, 1)
        );
        assert!(links.take_ending().is_empty() && links.take_dirty().is_empty());
    }
}
