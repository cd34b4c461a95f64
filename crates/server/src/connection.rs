//! One connection: a socket, what its door has left unread, and what waits to be sent.

use std::io::{self, Read, Write};
use std::time::Instant;

use mio::net::TcpStream;

use broker::id::SessionId;
use gateway::door::{Closing, Peer, STRANGER_BYTES_MAX};

/// Bytes taken from a socket at once. Large, because reading is the dearest system call.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Bytes taken at once from a peer that is not known yet; with what its door then answers and what
/// stays unread, [`STRANGER_BYTES_MAX`] is kept.
const STRANGER_READ_BYTES: usize = 6 << 10;

/// What is discarded of a peer's bytes when it is closed, so that the kernel does not answer
/// them by a reset that overtakes our last words.
const DISCARD_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Connection {
    pub session: SessionId,
    pub peer: Peer,
    socket: TcpStream,
    /// Left over by the door: it waits for an answer, or for the rest of a frame.
    unread: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` the socket has taken.
    sent: usize,
    /// The socket may hold bytes; edge-triggered readiness is told once.
    pub readable: bool,
    writable: bool,
    /// The peer has closed its side: read on until the end, however short the reads.
    pub read_closed: bool,
    /// `Command::Hold` was given and not taken back.
    pub held: bool,
    /// Its door left bytes unread while much was unsent, perhaps for that reason.
    pub crowded: bool,
    /// Its door reads no further for now; see `Links::stop_reading`.
    pub resting: bool,
    /// Listed as having something to send.
    pub dirty: bool,
    /// Listed as having something to read.
    pub queued: bool,
    pub ending: Option<Ending>,
    /// Its door knows who it is.
    pub admitted: bool,
}

/// A connection that we are closing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ending {
    pub closing: Closing,
    /// When it is closed in any case.
    pub limit: Instant,
    /// The peer has closed its side.
    pub peer_done: bool,
}

/// What a read found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    /// This many bytes for the door, from the start of the buffer.
    Bytes(usize),
    Nothing,
    /// The peer has closed its side or is gone.
    End,
}

/// What a flush left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flushed {
    All,
    /// The peer does not take it; writable readiness will come.
    Some,
    Broken,
}

impl Connection {
    pub fn new(session: SessionId, peer: Peer, socket: TcpStream) -> Connection {
        Connection {
            session,
            peer,
            socket,
            unread: Vec::new(),
            out: Vec::new(),
            sent: 0,
            readable: false,
            writable: true,
            read_closed: false,
            held: false,
            crowded: false,
            resting: false,
            dirty: false,
            queued: false,
            ending: None,
            admitted: false,
        }
    }

    pub fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub fn out_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    pub fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    pub fn unread_len(&self) -> usize {
        self.unread.len()
    }

    /// Takes what was left over, to be offered again.
    pub fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    /// Keeps what the door left of what it was offered.
    pub fn keep_unread(&mut self, mut bytes: Vec<u8>, consumed: usize) {
        if consumed < bytes.len() {
            bytes.drain(..consumed);
            self.unread = bytes;
        }
    }

    /// Keeps a copy of what the door left.
    pub fn copy_unread(&mut self, left: &[u8]) {
        self.unread.clear();
        if left.is_empty() {
            self.unread = Vec::new();
        } else if !self.admitted {
            // A buffer that grows would be larger than what is in it.
            self.unread = left.to_vec();
        } else {
            self.unread.extend_from_slice(left);
        }
    }

    /// Whether the left-over bytes fit in front of a read in the shared buffer, which saves
    /// copying what is read.
    pub fn unread_is_short(&self) -> bool {
        self.unread.len() <= READ_BYTES
    }

    /// Reads once. A short left-over is laid in front, so that `scratch` holds what the door is
    /// to be offered; a long one stays, and the bytes are appended to it: then the count is of
    /// the new bytes only.
    pub fn read(&mut self, scratch: &mut [u8]) -> Reading {
        let front = if self.unread_is_short() {
            self.unread.len()
        } else {
            0
        };
        scratch[..front].copy_from_slice(&self.unread[..front]);
        let room = match self.admitted {
            true => READ_BYTES,
            false => STRANGER_READ_BYTES.min(STRANGER_BYTES_MAX.saturating_sub(front)),
        };
        if room == 0 {
            return Reading::Nothing;
        }
        let room = &mut scratch[front..front + room];
        loop {
            match self.socket.read(room) {
                Ok(0) => {
                    self.readable = false;
                    return Reading::End;
                }
                Ok(n) => {
                    // A short read has drained the socket, unless the end stands behind it.
                    self.readable = n == room.len() || self.read_closed;
                    if !self.unread_is_short() {
                        self.unread.extend_from_slice(&room[..n]);
                    }
                    return Reading::Bytes(front + n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Reading::Nothing;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.readable = false;
                    return Reading::End;
                }
            }
        }
    }

    pub fn became_writable(&mut self) {
        self.writable = true;
    }

    /// Sends what waits, as much as the socket takes.
    pub fn flush(&mut self) -> Flushed {
        while self.sent < self.out.len() {
            if !self.writable {
                self.compact();
                return Flushed::Some;
            }
            match self.socket.write(&self.out[self.sent..]) {
                Ok(0) => return Flushed::Broken,
                Ok(n) => {
                    self.sent += n;
                    // A short write has filled the socket.
                    self.writable = self.sent == self.out.len();
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Flushed::Broken,
            }
        }
        self.out.clear();
        self.sent = 0;
        Flushed::All
    }

    /// Forgets what was sent when that is most of the buffer: each byte is moved at most once.
    fn compact(&mut self) {
        if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// The drained buffer, for another connection to fill: an idle one holds none.
    pub fn take_drained(&mut self) -> Option<Vec<u8>> {
        (self.out.is_empty() && self.out.capacity() > 0).then(|| std::mem::take(&mut self.out))
    }

    pub fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.out = buffer;
    }

    pub fn has_buffer(&self) -> bool {
        self.out.capacity() > 0
    }

    /// The last thing before it is dropped.
    pub fn part(&mut self, scratch: &mut [u8]) {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        let mut discarded = 0;
        while discarded < DISCARD_BYTES_MAX {
            match self.socket.read(scratch) {
                Ok(0) | Err(_) => break,
                Ok(n) => discarded += n,
            }
        }
    }
}
