//! One connection: first as a dialogue of questions and answers that blocks, then, in the measured
//! part, as a link that never does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;

/// How long a broker may take to accept or to answer while things are set up. RabbitMQ takes
/// seconds for its first queue on a busy machine.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long the other side may take to close.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);
/// What one read takes in.
const READ_BYTES: usize = 256 << 10;
/// The largest frame that is waited for.
const INPUT_BYTES_MAX: usize = 64 << 20;

/// What is told about input that was looked at.
pub struct Taken<T> {
    /// Bytes that are done with.
    pub consumed: usize,
    /// What was waited for, if it has come.
    pub answer: Option<T>,
}

/// A connection during setup.
#[derive(Debug)]
pub struct Dialogue {
    stream: std::net::TcpStream,
    input: Vec<u8>,
    /// What goes out with the next question.
    pub out: Vec<u8>,
}

impl Dialogue {
    pub fn connect(target: SocketAddr) -> Result<Dialogue, String> {
        let open = || -> io::Result<std::net::TcpStream> {
            let stream = std::net::TcpStream::connect_timeout(&target, ANSWER_WAIT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_WAIT))?;
            stream.set_write_timeout(Some(ANSWER_WAIT))?;
            Ok(stream)
        };
        Ok(Dialogue {
            stream: open().map_err(|e| format!("cannot connect to {target}: {e}"))?,
            input: Vec::new(),
            out: Vec::new(),
        })
    }

    /// Sends what is in `out` and reads until `take` finds the answer to `what`. `take` is given all
    /// that was not consumed yet.
    pub fn ask<T>(
        &mut self,
        what: &str,
        mut take: impl FnMut(&[u8]) -> Result<Taken<T>, String>,
    ) -> Result<T, String> {
        self.send().map_err(|e| format!("{what}: {e}"))?;
        let mut chunk = [0; 16 << 10];
        loop {
            loop {
                let taken = take(&self.input).map_err(|e| format!("{what}: {e}"))?;
                self.input.drain(..taken.consumed);
                match taken.answer {
                    Some(answer) => return Ok(answer),
                    None if taken.consumed == 0 => break,
                    None => {}
                }
            }
            let read = self.stream.read(&mut chunk);
            match read {
                Ok(0) => return Err(format!("{what}: the broker closed the connection")),
                Ok(bytes) => self.input.extend_from_slice(&chunk[..bytes]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("{what}: no answer: {e}")),
            }
        }
    }

    pub fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Sends what is in `out` and closes when the other side does, or after a while.
    pub fn close(mut self) {
        // The other side may be gone already; there is nothing to do about it.
        let _ = self.send();
        drain(&mut self.stream);
    }
}

fn drain(stream: &mut std::net::TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(FAREWELL_WAIT));
    let mut chunk = [0; 16 << 10];
    while matches!(stream.read(&mut chunk), Ok(1..)) {}
}

/// The buffer that all links of a worker read into, one after the other.
#[derive(Debug)]
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            bytes: vec![0; READ_BYTES],
        }
    }
}

/// A connection in the measured part.
#[derive(Debug)]
pub struct Link {
    pub stream: TcpStream,
    /// The beginning of a frame that is not complete.
    rest: Vec<u8>,
    /// What is to be sent; the first `sent` bytes are.
    pub out: Vec<u8>,
    sent: usize,
    /// Whether a read may find something. Readiness is told at its edges only.
    pub readable: bool,
    pub writable: bool,
}

impl Link {
    pub fn new(dialogue: Dialogue) -> Result<Link, String> {
        let ready = dialogue.stream.set_nonblocking(true);
        ready.map_err(|e| format!("cannot unblock a socket: {e}"))?;
        Ok(Link {
            stream: TcpStream::from_std(dialogue.stream),
            rest: dialogue.input,
            out: dialogue.out,
            sent: 0,
            readable: true,
            writable: true,
        })
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends as much as the socket takes.
    pub fn flush(&mut self) -> Result<(), String> {
        while self.writable && self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err("the broker closed the connection".into()),
                Ok(bytes) => self.sent += bytes,
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("cannot send: {e}")),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Reads once and lets `hear` use it up; it tells how many bytes it is done with. Returns the
    /// bytes read.
    pub fn read(
        &mut self,
        scratch: &mut Scratch,
        hear: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<usize, String>,
    ) -> Result<usize, String> {
        let kept = self.rest.len();
        if scratch.bytes.len() < kept + READ_BYTES / 2 {
            if kept > INPUT_BYTES_MAX {
                return Err(format!("a frame of more than {INPUT_BYTES_MAX} bytes"));
            }
            scratch.bytes.resize(kept * 2 + READ_BYTES, 0);
        }
        let bytes = &mut scratch.bytes[..];
        bytes[..kept].copy_from_slice(&self.rest);
        let read = loop {
            match self.stream.read(&mut bytes[kept..]) {
                Ok(0) => return Err("the broker closed the connection".into()),
                Ok(read) => break read,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    // What came during setup was not looked at yet.
                    break 0;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("cannot read: {e}")),
            }
        };
        // A short read has emptied the socket; what comes later is a new edge.
        if kept + read < bytes.len() {
            self.readable = false;
        }
        let all = &bytes[..kept + read];
        let consumed = hear(all, &mut self.out)?;
        self.rest.clear();
        self.rest.extend_from_slice(&all[consumed..]);
        Ok(read)
    }

    /// Sends all that waits and closes when the other side does, or after a while.
    pub fn close(self) {
        let mut stream = std::net::TcpStream::from(self.stream);
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_write_timeout(Some(FAREWELL_WAIT));
        let _ = stream.write_all(&self.out[self.sent..]);
        drain(&mut stream);
    }
}
