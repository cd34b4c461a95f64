//! One peer's side of a connection: octets in, events out.
//!
//! ```text
//!               protocol header            framing broken
//!   Greeting ────────────────────▶ Frames ───────────────▶ Deaf
//!       │ refused                    │ any other breach, or close sent
//!       ▼                            ▼
//!      Deaf                       Closing: only connection.close and close-ok are reported
//! ```
//!
//! The caller keeps unread octets in a buffer of its own and calls [`Machine::step`] with all of
//! them until it says [`Step::NeedMore`]; after each step it drops the octets that were consumed.
//! Events borrow from that buffer, and content that came in several body frames from the machine,
//! until the next step.
//!
//! The machine also keeps the two silences of the protocol. After the caller has closed a channel
//! ([`Machine::discard_channel`]) only channel.close and close-ok of that channel are reported, and
//! close-ok makes the number usable again. After a violation, or [`Machine::close_sent`], the same
//! holds for the connection; the caller reads on so that a peer that is still writing can read the
//! error.

use std::collections::BTreeMap;

use crate::content::{Assembly, Pending};
use crate::error::{Malformed, Snippet, Violation};
use crate::event::{Content, Event, Limits, Step};
use crate::frame::{
    ChannelNumber, FRAME_OVERHEAD, Frame, FrameKind, FrameMax, ProtocolHeader, Split,
};
use crate::method::{Method, leading_ids};
use crate::properties::PropertiesRef;
use crate::tune::Tuning;

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A server waits for the protocol header.
    ServerGreeting,
    /// A client waits for the first frame, or for the header of a server that refuses.
    ClientGreeting,
    Frames,
    Closing,
    /// Frame boundaries are lost or do not matter any more; all octets are dropped.
    Deaf,
}

/// One frame's or one content's worth of progress.
pub(crate) enum Advance<'a> {
    Event {
        consumed: usize,
        event: Event<'a>,
    },
    /// Octets were taken in and there is nothing to tell.
    Absorbed {
        consumed: usize,
    },
    /// A content of several pieces is complete and waits in `Machine::finished`.
    Assembled {
        consumed: usize,
        channel: ChannelNumber,
    },
    Partial {
        wanted: usize,
    },
}

/// The wire of one connection, of either peer. See the module's essay.
#[derive(Debug)]
pub struct Machine {
    stage: Stage,
    pub(crate) limits: Limits,
    pub(crate) frame_max: FrameMax,
    pub(crate) channel_max: u16,
    /// Whether connection.open is behind us; until then there is channel 0 only.
    opened: bool,
    pub(crate) pending: BTreeMap<ChannelNumber, Pending>,
    /// Octets in `pending`.
    pub(crate) held: usize,
    pub(crate) finished: Assembly,
}

impl Machine {
    /// The machine of a server: the first thing to come is a protocol header.
    #[must_use]
    pub fn server(limits: Limits) -> Machine {
        Machine::new(Stage::ServerGreeting, limits)
    }

    /// The machine of a client, which has sent or will send the protocol header.
    #[must_use]
    pub fn client(limits: Limits) -> Machine {
        Machine::new(Stage::ClientGreeting, limits)
    }

    fn new(stage: Stage, limits: Limits) -> Machine {
        Machine {
            stage,
            limits,
            frame_max: FrameMax::BEFORE_TUNE,
            channel_max: 1,
            opened: false,
            pending: BTreeMap::new(),
            held: 0,
            finished: Assembly::default(),
        }
    }

    /// Takes over what tune and tune-ok agreed on. A server calls it on tune-ok, a client when
    /// sending it.
    pub fn tuned(&mut self, tuning: &Tuning) {
        self.frame_max = tuning.frame_max;
        self.channel_max = tuning.channel_max;
    }

    /// Allows frames above channel 0. A server calls it on connection.open, a client on open-ok.
    pub fn opened(&mut self) {
        self.opened = true;
    }

    /// Replaces the largest accepted body, in octets; content under way keeps the old one.
    pub fn set_message_size_max(&mut self, octets: u64) {
        self.limits.message_size_max = octets;
    }

    /// The frame limit in force.
    #[must_use]
    pub const fn frame_max(&self) -> FrameMax {
        self.frame_max
    }

    /// The caller has sent channel.close: what comes is dropped until close-ok, save a crossing
    /// channel.close.
    pub fn discard_channel(&mut self, channel: ChannelNumber) {
        self.keep(channel, Pending::Discarding);
    }

    /// The caller has sent connection.close: what comes is dropped, save connection.close and
    /// close-ok.
    pub fn close_sent(&mut self) {
        self.pending.clear();
        self.held = 0;
        if self.stage != Stage::Deaf {
            self.stage = Stage::Closing;
        }
    }

    /// Octets kept for content that is not complete, for the caller's accounting.
    #[must_use]
    pub fn collected_octets(&self) -> usize {
        self.held + self.finished.octets.capacity()
    }

    /// Reads from `input`, all octets that came and were not consumed yet, up to the next event.
    pub fn step<'a>(&'a mut self, input: &'a [u8]) -> Step<'a> {
        self.finished = Assembly::default();
        let mut consumed = 0;
        let channel = loop {
            match self.advance(input.get(consumed..).unwrap_or_default()) {
                Advance::Event {
                    consumed: taken,
                    event,
                } => {
                    return Step::Event {
                        consumed: consumed + taken,
                        event,
                    };
                }
                Advance::Absorbed { consumed: taken } => consumed += taken,
                Advance::Partial { wanted } => return Step::NeedMore { consumed, wanted },
                Advance::Assembled {
                    consumed: taken,
                    channel,
                } => {
                    consumed += taken;
                    break channel;
                }
            }
        };
        Step::Event {
            consumed,
            event: self.assembled(channel),
        }
    }

    fn assembled(&self, channel: ChannelNumber) -> Event<'_> {
        let properties = PropertiesRef::trusted(self.finished.properties());
        // The method was read once when it came, so this cannot fail; if it did, the peer is told.
        match Method::decode(self.finished.method()) {
            Ok(method) => {
                let body = self.finished.body();
                Event::Content(Content {
                    channel,
                    method,
                    properties,
                    body,
                })
            }
            Err(cause) => {
                let (class_id, method_id) = self.finished.ids();
                Event::Malformed(Violation {
                    channel,
                    class_id,
                    method_id,
                    cause,
                })
            }
        }
    }

    fn advance<'a>(&mut self, input: &'a [u8]) -> Advance<'a> {
        match self.stage {
            Stage::ServerGreeting => self.protocol_header(input),
            Stage::ClientGreeting => match input.first() {
                None => Advance::Partial {
                    wanted: FRAME_OVERHEAD,
                },
                // No frame type has this octet.
                Some(b'A') => self.protocol_header(input),
                Some(_) => {
                    self.stage = Stage::Frames;
                    self.frame(input)
                }
            },
            Stage::Frames => self.frame(input),
            Stage::Closing => self.closing_frame(input),
            Stage::Deaf => swallow(input),
        }
    }

    fn protocol_header<'a>(&mut self, input: &'a [u8]) -> Advance<'a> {
        let Some(octets) = input.first_chunk::<{ ProtocolHeader::OCTETS }>() else {
            return Advance::Partial {
                wanted: ProtocolHeader::OCTETS,
            };
        };
        let header = ProtocolHeader::recognise(*octets);
        let accepted = self.stage == Stage::ServerGreeting && header.refusal().is_none();
        self.stage = if accepted { Stage::Frames } else { Stage::Deaf };
        Advance::Event {
            consumed: octets.len(),
            event: Event::ProtocolHeader(header),
        }
    }

    /// After the end only the farewell counts; a peer that breaks the wire now has nothing more to
    /// be told.
    fn closing_frame<'a>(&mut self, input: &'a [u8]) -> Advance<'a> {
        let (frame, consumed) = match Frame::split(input, self.frame_max) {
            Ok(Split::Whole { frame, consumed }) => (frame, consumed),
            Ok(Split::Partial { wanted }) => return Advance::Partial { wanted },
            Err(_) => {
                self.stage = Stage::Deaf;
                return swallow(input);
            }
        };
        let is_method = frame.frame_type == FrameKind::Method.octet();
        if is_method && frame.channel == ChannelNumber::CONNECTION {
            let farewell = Method::decode(frame.payload).ok().filter(|method| {
                matches!(
                    method,
                    Method::ConnectionClose { .. } | Method::ConnectionCloseOk
                )
            });
            if let Some(method) = farewell {
                return method_event(consumed, frame.channel, method);
            }
        }
        Advance::Absorbed { consumed }
    }

    fn frame<'a>(&mut self, input: &'a [u8]) -> Advance<'a> {
        let (frame, consumed) = match Frame::split(input, self.frame_max) {
            Ok(Split::Whole { frame, consumed }) => (frame, consumed),
            Ok(Split::Partial { wanted }) => return Advance::Partial { wanted },
            Err(cause) => return self.lose_framing(input, cause),
        };
        let kind = match frame.kind() {
            Ok(kind) => kind,
            Err(cause) => return self.violation(consumed, frame.channel, (0, 0), cause),
        };
        if frame.channel == ChannelNumber::CONNECTION {
            return self.connection_frame(kind, &frame, consumed);
        }
        if !self.opened || kind == FrameKind::Heartbeat {
            return self.misplaced(&frame, consumed);
        }
        if self.pending.is_empty() || !self.pending.contains_key(&frame.channel) {
            return self.idle_channel(kind, &frame, consumed, input);
        }
        self.busy_channel(kind, &frame, consumed)
    }

    fn connection_frame<'a>(
        &mut self,
        kind: FrameKind,
        frame: &Frame<'a>,
        consumed: usize,
    ) -> Advance<'a> {
        match kind {
            FrameKind::Heartbeat => Advance::Event {
                consumed,
                event: Event::Heartbeat,
            },
            FrameKind::Header | FrameKind::Body => self.misplaced(frame, consumed),
            FrameKind::Method => match Method::decode(frame.payload) {
                Ok(method) => method_event(consumed, frame.channel, method),
                Err(cause) => self.bad_method(frame, consumed, cause),
            },
        }
    }

    fn misplaced<'a>(&mut self, frame: &Frame<'a>, consumed: usize) -> Advance<'a> {
        let payload = Snippet::of(frame.payload);
        let cause = Malformed::MisplacedFrame {
            frame_type: frame.frame_type,
            payload,
        };
        self.violation(consumed, frame.channel, (0, 0), cause)
    }

    pub(crate) fn bad_method<'a>(
        &mut self,
        frame: &Frame<'a>,
        consumed: usize,
        cause: Malformed,
    ) -> Advance<'a> {
        self.violation(consumed, frame.channel, leading_ids(frame.payload), cause)
    }

    /// The next frame's start cannot be known any more.
    fn lose_framing<'a>(&mut self, input: &'a [u8], cause: Malformed) -> Advance<'a> {
        let channel = match input {
            [_, high, low, ..] => ChannelNumber(u16::from_be_bytes([*high, *low])),
            [] | [_] | [_, _] => ChannelNumber::CONNECTION,
        };
        self.stage = Stage::Deaf;
        self.violation(input.len(), channel, (0, 0), cause)
    }

    pub(crate) fn violation<'a>(
        &mut self,
        consumed: usize,
        channel: ChannelNumber,
        (class_id, method_id): (u16, u16),
        cause: Malformed,
    ) -> Advance<'a> {
        self.close_sent();
        let violation = Violation {
            channel,
            class_id,
            method_id,
            cause,
        };
        Advance::Event {
            consumed,
            event: Event::Malformed(violation),
        }
    }
}

pub(crate) fn method_event<'a>(
    consumed: usize,
    channel: ChannelNumber,
    method: Method<'a>,
) -> Advance<'a> {
    Advance::Event {
        consumed,
        event: Event::Method { channel, method },
    }
}

fn swallow<'a>(input: &[u8]) -> Advance<'a> {
    if input.is_empty() {
        Advance::Partial { wanted: 1 }
    } else {
        Advance::Absorbed {
            consumed: input.len(),
        }
    }
}
