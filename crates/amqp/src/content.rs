//! The part of the machine that joins a method with its header and body.
//!
//! Content that lies in the input as a whole is reported from there. Only when it does not, for its
//! size or because frames of other channels come between, are its pieces collected per channel.

use crate::connection::{Advance, Machine, method_event};
use crate::error::Malformed;
use crate::event::{
    BODY_RESERVE_MAX, BODY_SIZE_MAX, COLLECTED_OCTETS_MAX, Content, Event, MessageTooLarge,
};
use crate::frame::{ChannelNumber, ContentHeader, FRAME_OVERHEAD, Frame, FrameKind, Split};
use crate::method::{CLASS_BASIC, Method, leading_ids};
use crate::properties::PropertiesRef;

/// What is under way on a channel. Channels in the ordinary state, between methods, are not kept.
#[derive(Debug)]
pub(crate) enum Pending {
    /// The method has come, its header has not.
    Header(Assembly),
    /// The header has come, its body not all of it.
    Body(Assembly),
    /// The body is too large and is dropped.
    Skipping {
        class_id: u16,
        method_id: u16,
        remaining: u64,
    },
    /// The caller has closed the channel; the peer does not know yet.
    Discarding,
}

impl Pending {
    /// Octets that have come of it; the room for them is at most twice as large, or what a
    /// header announced.
    pub(crate) fn held(&self) -> usize {
        match self {
            Pending::Header(assembly) | Pending::Body(assembly) => assembly.octets.len(),
            Pending::Skipping { .. } | Pending::Discarding => 0,
        }
    }
}

/// Content in pieces: method payload, properties and body, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) octets: Vec<u8>,
    method_end: usize,
    properties_end: usize,
    body_size: u64,
}

impl Assembly {
    fn begin(method: &[u8]) -> Assembly {
        let method_end = method.len();
        Assembly {
            octets: method.to_vec(),
            method_end,
            properties_end: method_end,
            body_size: 0,
        }
    }

    fn header(&mut self, header: &ContentHeader<'_>) {
        let properties = header.properties.as_bytes();
        let reserved = header.body_size.min(BODY_RESERVE_MAX) as usize;
        self.octets.reserve(properties.len() + reserved);
        self.octets.extend_from_slice(properties);
        self.properties_end = self.octets.len();
        self.body_size = header.body_size;
    }

    pub(crate) fn ids(&self) -> (u16, u16) {
        leading_ids(self.method())
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.octets.get(..self.method_end).unwrap_or_default()
    }

    pub(crate) fn properties(&self) -> &[u8] {
        self.octets
            .get(self.method_end..self.properties_end)
            .unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.octets.get(self.properties_end..).unwrap_or_default()
    }

    fn remaining(&self) -> u64 {
        self.body_size.saturating_sub(self.body().len() as u64)
    }
}

/// What the input holds behind a content method.
enum Ahead<'a> {
    /// All of the content.
    Whole {
        consumed: usize,
        properties: PropertiesRef<'a>,
        body: &'a [u8],
    },
    /// Content that may become whole at this many octets.
    Partial { wanted: usize },
    /// Content that has to be collected, or something else, to be judged frame by frame.
    Pieces,
}

impl Machine {
    pub(crate) fn idle_channel<'a>(
        &mut self,
        kind: FrameKind,
        frame: &Frame<'a>,
        consumed: usize,
        input: &'a [u8],
    ) -> Advance<'a> {
        match kind {
            FrameKind::Method => {}
            FrameKind::Header | FrameKind::Body | FrameKind::Heartbeat => {
                let cause = Malformed::MethodExpected;
                return self.violation(consumed, frame.channel, (0, 0), cause);
            }
        }
        let channel = frame.channel;
        let method = match Method::decode(frame.payload) {
            Ok(method) => method,
            Err(cause) => return self.bad_method(frame, consumed, cause),
        };
        if !method.carries_content() {
            return method_event(consumed, channel, method);
        }
        match self.look_ahead(channel, consumed, input) {
            Ahead::Whole {
                consumed,
                properties,
                body,
            } => {
                let content = Content {
                    channel,
                    method,
                    properties,
                    body,
                };
                Advance::Event {
                    consumed,
                    event: Event::Content(content),
                }
            }
            Ahead::Partial { wanted } => Advance::Partial { wanted },
            Ahead::Pieces => self.begin_assembly(frame, consumed),
        }
    }

    /// Looks whether all content of the method that ends at `at` lies in the input. Whatever is not
    /// plain and whole is left to be judged frame by frame.
    fn look_ahead<'a>(&self, channel: ChannelNumber, at: usize, input: &'a [u8]) -> Ahead<'a> {
        let (frame, at) = match self.frame_ahead(channel, FrameKind::Header, at, input) {
            Ok(found) => found,
            Err(Some(wanted)) => return self.wait_or_collect(wanted),
            Err(None) => return Ahead::Pieces,
        };
        let Ok(header) = ContentHeader::decode(frame.payload) else {
            return Ahead::Pieces;
        };
        let properties = header.properties;
        let size_max = self
            .limits
            .message_size_max
            .min(self.frame_max.payload_accepted().into());
        if header.class_id != CLASS_BASIC || header.body_size > size_max {
            return Ahead::Pieces;
        }
        if header.body_size == 0 {
            return Ahead::Whole {
                consumed: at,
                properties,
                body: &[],
            };
        }
        let body_size = header.body_size as usize;
        match self.frame_ahead(channel, FrameKind::Body, at, input) {
            Ok((body, consumed)) if body.payload.len() == body_size => Ahead::Whole {
                consumed,
                properties,
                body: body.payload,
            },
            // Even in several frames the body takes this many octets, so waiting for them cannot
            // stall.
            Err(Some(wanted)) => self.wait_or_collect(wanted.max(at + body_size + FRAME_OVERHEAD)),
            Ok(_) | Err(None) => Ahead::Pieces,
        }
    }

    /// The frame at `at`, if it is of this kind and channel; else the octets it wants, or `None` if
    /// it is another one.
    fn frame_ahead<'a>(
        &self,
        channel: ChannelNumber,
        kind: FrameKind,
        at: usize,
        input: &'a [u8],
    ) -> Result<(Frame<'a>, usize), Option<usize>> {
        let rest = input.get(at..).unwrap_or_default();
        match Frame::split(rest, self.frame_max) {
            Ok(Split::Partial { wanted }) => Err(Some(at + wanted)),
            Ok(Split::Whole { frame, consumed })
                if frame.channel == channel && frame.frame_type == kind.octet() =>
            {
                Ok((frame, at + consumed))
            }
            Ok(Split::Whole { .. }) | Err(_) => Err(None),
        }
    }

    fn wait_or_collect<'a>(&self, wanted: usize) -> Ahead<'a> {
        if wanted <= self.limits.lookahead_max {
            Ahead::Partial { wanted }
        } else {
            Ahead::Pieces
        }
    }

    fn begin_assembly<'a>(&mut self, frame: &Frame<'a>, consumed: usize) -> Advance<'a> {
        if self.pending.len() >= usize::from(self.channel_max) {
            let ids = leading_ids(frame.payload);
            return self.violation(consumed, frame.channel, ids, Malformed::ChannelNotOpen);
        }
        let assembly = Assembly::begin(frame.payload);
        if let Err(cause) = self.room_for(&assembly) {
            return self.violation(consumed, frame.channel, assembly.ids(), cause);
        }
        self.keep(frame.channel, Pending::Header(assembly));
        Advance::Absorbed { consumed }
    }

    /// Whether the unfinished content of all channels may grow by this.
    fn room_for(&self, assembly: &Assembly) -> Result<(), Malformed> {
        let message_size_max = usize::try_from(self.limits.message_size_max).unwrap_or(usize::MAX);
        let octets_max = COLLECTED_OCTETS_MAX.max(message_size_max.saturating_mul(2));
        if self.held.saturating_add(assembly.octets.len()) > octets_max {
            return Err(Malformed::TooMuchUnfinished { octets_max });
        }
        Ok(())
    }

    /// Puts down what is under way on a channel, and counts it.
    pub(crate) fn keep(&mut self, channel: ChannelNumber, pending: Pending) {
        self.held += pending.held();
        if let Some(before) = self.pending.insert(channel, pending) {
            self.held -= before.held();
        }
    }

    /// Takes up what is under way on a channel.
    fn lift(&mut self, channel: ChannelNumber) -> Option<Pending> {
        let pending = self.pending.remove(&channel)?;
        self.held -= pending.held();
        Some(pending)
    }

    /// Takes the channel's state out, and puts the next one back if there is one.
    pub(crate) fn busy_channel<'a>(
        &mut self,
        kind: FrameKind,
        frame: &Frame<'a>,
        consumed: usize,
    ) -> Advance<'a> {
        let channel = frame.channel;
        match self.lift(channel) {
            Some(Pending::Header(assembly)) => self.header(assembly, kind, frame, consumed),
            Some(Pending::Body(assembly)) => self.body(assembly, kind, frame, consumed),
            Some(Pending::Skipping {
                class_id,
                method_id,
                remaining,
            }) => {
                let ids = (class_id, method_id);
                let remaining = match body_remaining(remaining, kind, frame) {
                    Ok(remaining) => remaining,
                    Err(cause) => return self.violation(consumed, channel, ids, cause),
                };
                if remaining > 0 {
                    let skipping = Pending::Skipping {
                        class_id,
                        method_id,
                        remaining,
                    };
                    self.keep(channel, skipping);
                }
                Advance::Absorbed { consumed }
            }
            Some(Pending::Discarding) => self.discard(kind, frame, consumed),
            None => Advance::Absorbed { consumed },
        }
    }

    fn header<'a>(
        &mut self,
        mut assembly: Assembly,
        kind: FrameKind,
        frame: &Frame<'a>,
        consumed: usize,
    ) -> Advance<'a> {
        let channel = frame.channel;
        let ids @ (class_id, method_id) = assembly.ids();
        let header = match judge_header(class_id, kind, frame) {
            Ok(header) => header,
            Err(cause) => return self.violation(consumed, channel, ids, cause),
        };
        let ContentHeader { body_size, .. } = header;
        let message_size_max = self.limits.message_size_max;
        if body_size > message_size_max {
            let skipping = Pending::Skipping {
                class_id,
                method_id,
                remaining: body_size,
            };
            self.keep(channel, skipping);
            let refused = MessageTooLarge {
                channel,
                class_id,
                method_id,
                body_size,
                message_size_max,
            };
            return Advance::Event {
                consumed,
                event: Event::MessageTooLarge(refused),
            };
        }
        assembly.header(&header);
        self.collected(assembly, channel, consumed)
    }

    fn body<'a>(
        &mut self,
        mut assembly: Assembly,
        kind: FrameKind,
        frame: &Frame<'a>,
        consumed: usize,
    ) -> Advance<'a> {
        if let Err(cause) = body_remaining(assembly.remaining(), kind, frame) {
            return self.violation(consumed, frame.channel, assembly.ids(), cause);
        }
        assembly.octets.extend_from_slice(frame.payload);
        self.collected(assembly, frame.channel, consumed)
    }

    fn collected<'a>(
        &mut self,
        assembly: Assembly,
        channel: ChannelNumber,
        consumed: usize,
    ) -> Advance<'a> {
        if assembly.remaining() == 0 {
            self.finished = assembly;
            return Advance::Assembled { consumed, channel };
        }
        if let Err(cause) = self.room_for(&assembly) {
            return self.violation(consumed, channel, assembly.ids(), cause);
        }
        self.keep(channel, Pending::Body(assembly));
        Advance::Absorbed { consumed }
    }

    /// A crossing channel.close leaves the silence in place: close-ok to our own close is still to
    /// come.
    fn discard<'a>(&mut self, kind: FrameKind, frame: &Frame<'a>, consumed: usize) -> Advance<'a> {
        let method = match kind {
            FrameKind::Method => Method::decode(frame.payload).ok(),
            FrameKind::Header | FrameKind::Body | FrameKind::Heartbeat => None,
        };
        if let Some(method @ Method::ChannelCloseOk) = method {
            return method_event(consumed, frame.channel, method);
        }
        self.keep(frame.channel, Pending::Discarding);
        match method {
            Some(method @ Method::ChannelClose { .. }) => {
                method_event(consumed, frame.channel, method)
            }
            Some(_) | None => Advance::Absorbed { consumed },
        }
    }
}

fn judge_header<'a>(
    class_id: u16,
    kind: FrameKind,
    frame: &Frame<'a>,
) -> Result<ContentHeader<'a>, Malformed> {
    if kind != FrameKind::Header {
        return Err(Malformed::HeaderExpected { class_id });
    }
    let header = ContentHeader::decode(frame.payload).map_err(Malformed::HeaderFields)?;
    if header.class_id != class_id {
        return Err(Malformed::HeaderClass {
            expected: class_id,
            found: header.class_id,
        });
    }
    if header.body_size > BODY_SIZE_MAX {
        return Err(Malformed::BodySize {
            declared: header.body_size,
        });
    }
    Ok(header)
}

/// What is left of a body after this frame.
fn body_remaining(remaining: u64, kind: FrameKind, frame: &Frame<'_>) -> Result<u64, Malformed> {
    if kind != FrameKind::Body {
        return Err(Malformed::BodyExpected);
    }
    remaining
        .checked_sub(frame.payload.len() as u64)
        .ok_or(Malformed::BodyTooLong)
}
