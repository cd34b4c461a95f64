//! What every door is to the server: a machine that owns the conversations of one wire. Bytes
//! and events go in; bytes for the links and commands for the broker come out. It opens no
//! socket, reads no clock, and never waits.

use std::net::SocketAddr;

use broker::event::{Event, Records};
use broker::id::{ConsumerId, MessageRef, Millis, QueueId, SessionId};
use broker::pass::{Command, Outcome, Pass, Positions};
use broker::record::Record;
use broker::topology::{Topology, TopologyFact};

use crate::access::Access;

/// Which wire a session speaks; the highest byte of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wire {
    Amqp,
    Openwire,
    Remoting,
}

impl Wire {
    /// The session of the `number`th connection on this wire. One connection is one session.
    pub fn session(self, number: u64) -> SessionId {
        let wire = match self {
            Wire::Amqp => 1,
            Wire::Openwire => 2,
            Wire::Remoting => 3,
        };
        SessionId(wire << 56 | number)
    }

    /// `None` for a session that is the broker's own.
    pub fn of(session: SessionId) -> Option<Wire> {
        match session.0 >> 56 {
            1 => Some(Wire::Amqp),
            2 => Some(Wire::Openwire),
            3 => Some(Wire::Remoting),
            _ => None,
        }
    }
}

/// What the server is short of. While anything is, publishers rest and consumers go on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Alarms {
    pub memory: bool,
    pub disk: bool,
}

impl Alarms {
    pub const NONE: Alarms = Alarms {
        memory: false,
        disk: false,
    };

    pub fn any(self) -> bool {
        self != Alarms::NONE
    }
}

/// The file system of the data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

impl Disk {
    /// From 0 to 1.
    pub fn used_ratio(self) -> f64 {
        let total = self.total_bytes.max(1);
        total.saturating_sub(self.free_bytes) as f64 / total as f64
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    pub remote: SocketAddr,
    pub local: SocketAddr,
}

impl Peer {
    pub fn is_loopback(&self) -> bool {
        self.remote.ip().to_canonical().is_loopback()
    }
}

/// What a door may use while it works on something.
pub struct Context<'a> {
    pub now: Millis,
    /// What to route by; immutable, as of the last applied change.
    pub topology: &'a Topology,
    /// Where commands and messages go. Handed over when the pass ends.
    pub pass: &'a mut Pass,
    /// Stored records, for deliveries and reads: what an event names can be read while it is
    /// handled.
    pub records: &'a dyn Records,
    pub links: &'a mut dyn Links,
    pub access: &'a dyn Access,
    /// 64 random bits.
    pub entropy: &'a mut dyn FnMut() -> u64,
    /// Consumer ids are given once in the life of a process, across all doors.
    pub next_consumer: &'a mut u64,
}

impl<'a> Context<'a> {
    pub fn new_consumer(&mut self) -> ConsumerId {
        *self.next_consumer += 1;
        ConsumerId(*self.next_consumer)
    }

    /// A stored record, unless it has gone or is of a newer version than ours.
    pub fn record(&self, message: MessageRef) -> Option<Record<'a>> {
        Record::decode(self.records.record(message)?).ok()
    }

    /// Says what becomes of deliveries that a session holds.
    pub fn settle(
        &mut self,
        session: SessionId,
        queue: QueueId,
        positions: Positions,
        outcome: Outcome,
    ) {
        self.pass.push(
            session,
            Command::Settle {
                queue,
                positions,
                outcome,
            },
        );
    }
}

/// What a peer can make its link hold before its door knows who it is: bytes left unread and bytes
/// not sent. Every frame by which a peer makes itself known is smaller.
pub const STRANGER_BYTES_MAX: usize = 8 * 1024;
/// A door answers a peer that it does not know no further while more than this is not sent; with
/// the answer that goes beyond it, and what of a portion is unread, that is below
/// [`STRANGER_BYTES_MAX`].
pub const STRANGER_UNSENT_BYTES_MAX: usize = 1024;

/// The sockets as a door sees them. A session that has gone is passed over silently.
pub trait Links {
    /// The buffer of bytes to send; append to it.
    fn out(&mut self, session: SessionId) -> &mut Vec<u8>;
    /// The door knows the peer from now on. Until then the link is read in small portions, and
    /// not while anything waits to be sent: see [`STRANGER_BYTES_MAX`]. Links that are no sockets
    /// make no such difference.
    fn admit(&mut self, _session: SessionId) {}
    /// How many bytes wait to be sent.
    fn unsent(&self, session: SessionId) -> usize;
    /// Ends the connection. The door hears `closed` afterwards in any case.
    fn close(&mut self, session: SessionId, closing: Closing);
    /// `received` left bytes over because the door waited for an answer: offer them again.
    fn resume(&mut self, session: SessionId);
    /// The socket is read no further until [`Links::read_again`], so that what the peer goes on
    /// sending waits at the peer. What was read already is offered as ever.
    fn stop_reading(&mut self, session: SessionId);
    /// Ends [`Links::stop_reading`], and does what [`Links::resume`] does.
    fn read_again(&mut self, session: SessionId);
}

/// How a connection is ended by us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    Now,
    /// When everything is sent.
    Sent,
    /// When everything is sent and the peer has closed its side, or after so long: what it still
    /// sends is given to the door, which discards it.
    Grace {
        limit_ms: u64,
    },
}

/// One door. All its methods return at once.
pub trait Door {
    fn opened(&mut self, session: SessionId, peer: Peer, cx: &mut Context<'_>);

    /// Works off bytes from the front and returns how many; the rest comes again with more bytes
    /// behind it, or after [`Links::resume`]. A door that waits for an answer (a barrier) stops
    /// in front of the next frame. Bytes of an unfinished frame are left over, too.
    fn received(&mut self, session: SessionId, bytes: &[u8], cx: &mut Context<'_>) -> usize;

    /// An event for one of this door's sessions.
    fn event(&mut self, event: Event, cx: &mut Context<'_>);

    /// The topology has changed; every door hears of it, before the answer to who changed it.
    fn changed(&mut self, fact: &TopologyFact, cx: &mut Context<'_>);

    /// The connection is gone, whoever ended it. The door ends the session with
    /// [`Command::End`](broker::pass::Command::End).
    fn closed(&mut self, session: SessionId, cx: &mut Context<'_>);

    /// Time has passed: at [`Door::deadline`], or earlier.
    fn tick(&mut self, cx: &mut Context<'_>);

    fn deadline(&self) -> Option<Millis>;

    /// A pass ends: what was collected over it (confirms, credit) is written now.
    fn finish(&mut self, cx: &mut Context<'_>);

    /// What the server is short of has changed. It is told once per change, to every door; a door
    /// is made when nothing is short.
    fn alarmed(&mut self, _alarms: Alarms, _cx: &mut Context<'_>) {}

    /// How full the disk is, as was just measured; it is looked at while there is work.
    fn disk_measured(&mut self, _disk: Disk) {}

    /// The server stops: peers are told if the wire has a word for it. Every connection is closed
    /// when what was written is sent, and its door hears `closed`.
    fn stopping(&mut self, _cx: &mut Context<'_>) {}

    /// What the operator should hear of, since this was asked last.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}
