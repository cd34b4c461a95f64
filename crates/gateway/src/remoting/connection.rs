//! One connection: who is behind it, and what it has under way.

use broker::id::{Millis, SessionId};
use remoting::frame::{Decoder, Limits};
use remoting::header::Header;
use remoting::{FrameWriter, Opaque, Prefix, RequestCode, Version};

use crate::access::User;
use crate::door::{Context, Peer};

/// The largest frame of a peer that has not been let in.
const STRANGER_FRAME_BYTES_MAX: usize = 4 * 1024;
/// The most requests of one connection that wait for the broker.
pub const IN_FLIGHT_MAX: usize = 16_384;
/// Answers with messages are put off when so much waits to be sent.
pub const UNSENT_BYTES_MAX: usize = 32 << 20;
/// A connection on which nothing comes in for so long is closed.
pub const IDLE_MS: u64 = 120_000;

#[derive(Debug)]
pub struct Connection {
    pub peer: Peer,
    pub user: Option<User>,
    pub last_read: Millis,
    pub in_flight: usize,
    pub asides: usize,
    pub aside_bytes: usize,
    pub is_closing: bool,
    /// Our own requests have numbers of their own.
    opaque: i32,
}

impl Connection {
    pub fn new(peer: Peer, user: Option<User>, now: Millis) -> Connection {
        Connection {
            peer,
            user,
            last_read: now,
            in_flight: 0,
            asides: 0,
            aside_bytes: 0,
            is_closing: false,
            opaque: 0,
        }
    }

    pub fn decoder(&self) -> Decoder {
        match self.user {
            Some(_) => Decoder::default(),
            None => Decoder::new(Limits {
                frame_bytes_max: STRANGER_FRAME_BYTES_MAX,
                header_bytes_max: STRANGER_FRAME_BYTES_MAX,
                ..Limits::default()
            }),
        }
    }

    /// Sends a request that wants no answer.
    pub fn tell<'h>(
        &mut self,
        session: SessionId,
        code: RequestCode,
        header: &impl Header<'h>,
        body: &[u8],
        persona: Version,
        cx: &mut Context<'_>,
    ) {
        self.opaque = self.opaque.wrapping_add(1);
        let prefix = Prefix::oneway(code, Opaque(self.opaque), persona);
        // What does not fit a frame is not told; a half message is checked again later.
        let _ = FrameWriter::begin(cx.links.out(session), prefix)
            .header(header)
            .finish_with(body);
    }
}
