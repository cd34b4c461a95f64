//! Frames and the protocol header: where one ends and what its first octets say.

use crate::error::{FieldFault, Malformed, Snippet};
use crate::properties::PropertiesRef;
use crate::reader::Reader;

/// Octets around a payload: type, channel, size in front, the end octet behind.
pub const FRAME_OVERHEAD: usize = 8;
/// The last octet of every frame.
pub const FRAME_END: u8 = 0xCE;
/// The frame limit before tune-ok. 3.13 had 4096.
pub const FRAME_MAX_BEFORE_TUNE: u32 = 8192;
/// The least frame limit that the specification allows; 3.13-era clients may still ask for it.
pub const FRAME_MAX_FLOOR: u32 = 4096;
/// Octets by which a frame may exceed the limit, since some clients count the payload alone.
pub const FRAME_SIZE_TOLERANCE: u32 = 8;

/// A channel of a connection. Number 0 is the connection itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChannelNumber(pub u16);

impl ChannelNumber {
    /// Channel 0, which carries the connection class and heartbeats only.
    pub const CONNECTION: ChannelNumber = ChannelNumber(0);
}

/// The negotiated frame limit: octets of a whole frame, at least [`FRAME_MAX_FLOOR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameMax(u32);

impl FrameMax {
    /// What holds until tune-ok.
    pub const BEFORE_TUNE: FrameMax = FrameMax(FRAME_MAX_BEFORE_TUNE);
    /// What a server of this project offers by default.
    pub const DEFAULT: FrameMax = FrameMax(131_072);

    /// `None` below the floor, and so for 0: this implementation never works without a limit.
    #[must_use]
    pub const fn new(octets: u32) -> Option<FrameMax> {
        if octets < FRAME_MAX_FLOOR {
            None
        } else {
            Some(FrameMax(octets))
        }
    }

    /// Octets of a whole frame.
    #[must_use]
    pub const fn octets(self) -> u32 {
        self.0
    }

    /// Octets of the largest payload to send.
    #[must_use]
    pub const fn payload_max(self) -> u32 {
        self.0 - FRAME_OVERHEAD as u32
    }

    /// Octets of the largest payload to accept: the tolerance makes up for the overhead.
    #[must_use]
    pub const fn payload_accepted(self) -> u32 {
        self.payload_max().saturating_add(FRAME_SIZE_TOLERANCE)
    }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    Method,
    Header,
    Body,
    Heartbeat,
}

impl FrameKind {
    /// The type octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            FrameKind::Method => 1,
            FrameKind::Header => 2,
            FrameKind::Body => 3,
            FrameKind::Heartbeat => 8,
        }
    }

    /// The kind with this type octet.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Option<FrameKind> {
        match octet {
            1 => Some(FrameKind::Method),
            2 => Some(FrameKind::Header),
            3 => Some(FrameKind::Body),
            8 => Some(FrameKind::Heartbeat),
            _ => None,
        }
    }
}

/// One whole frame, of a type yet to be judged, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub frame_type: u8,
    pub channel: ChannelNumber,
    pub payload: &'a [u8],
}

/// The outcome of looking for a frame at the front of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split<'a> {
    /// A frame and the octets it took.
    Whole { frame: Frame<'a>, consumed: usize },
    /// The frame is not all there. At least `wanted` octets are needed, counted from the front of
    /// the input.
    Partial { wanted: usize },
}

impl<'a> Frame<'a> {
    /// Looks for one frame. A size beyond the limit is refused as soon as its octets are there.
    pub fn split(input: &'a [u8], frame_max: FrameMax) -> Result<Split<'a>, Malformed> {
        let mut reader = Reader::new(input);
        let Ok((frame_type, channel, size)) = read_start(&mut reader) else {
            return Ok(Split::Partial {
                wanted: FRAME_OVERHEAD,
            });
        };
        if size > frame_max.payload_accepted() {
            let payload_max = frame_max.payload_max();
            return Err(Malformed::FrameTooLarge {
                frame_type,
                size,
                payload_max,
            });
        }
        let consumed = size as usize + FRAME_OVERHEAD;
        let (Ok(payload), Ok(end)) = (reader.take(size as usize), reader.u8()) else {
            return Ok(Split::Partial { wanted: consumed });
        };
        if end != FRAME_END {
            let payload = Snippet::of(payload);
            return Err(Malformed::FrameEnd {
                frame_type,
                found: end,
                payload,
            });
        }
        Ok(Split::Whole {
            frame: Frame {
                frame_type,
                channel,
                payload,
            },
            consumed,
        })
    }

    /// The kind, if the type octet has one and the payload suits it: a heartbeat is empty.
    pub fn kind(&self) -> Result<FrameKind, Malformed> {
        let kind = FrameKind::from_octet(self.frame_type)
            .filter(|kind| *kind != FrameKind::Heartbeat || self.payload.is_empty());
        kind.ok_or_else(|| Malformed::UnknownFrame {
            frame_type: self.frame_type,
            payload: Snippet::of(self.payload),
        })
    }
}

fn read_start(reader: &mut Reader<'_>) -> Result<(u8, ChannelNumber, u32), FieldFault> {
    Ok((reader.u8()?, ChannelNumber(reader.u16()?), reader.u32()?))
}

/// The payload of a content header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    pub class_id: u16,
    /// Octets of body that follow in body frames.
    pub body_size: u64,
    pub properties: PropertiesRef<'a>,
}

impl<'a> ContentHeader<'a> {
    /// Reads and checks the payload, the properties included.
    pub fn decode(payload: &'a [u8]) -> Result<ContentHeader<'a>, FieldFault> {
        let mut reader = Reader::new(payload);
        let class_id = reader.u16()?;
        let weight = reader.u16()?;
        if weight != 0 {
            return Err(FieldFault::Weight(weight));
        }
        let body_size = reader.u64()?;
        // Another class has other properties; the caller refuses it by its id.
        let properties = if class_id == crate::method::CLASS_BASIC {
            PropertiesRef::parse(reader.rest())?
        } else {
            PropertiesRef::EMPTY
        };
        Ok(ContentHeader {
            class_id,
            body_size,
            properties,
        })
    }
}

/// The first eight octets of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// `AMQP 0 0 9 1`, or `AMQP 1 1 0 9` as 0-9 clients send it. Answer with connection.start.
    Amqp091,
    /// `AMQP 3 1 0 0`, AMQP 1.0 behind SASL.
    Amqp10,
    /// Anything else: an older or newer AMQP, HTTP, TLS on a plain port.
    Other([u8; ProtocolHeader::OCTETS]),
}

impl ProtocolHeader {
    /// Octets of a protocol header.
    pub const OCTETS: usize = 8;
    /// What a client of 0-9-1 sends.
    pub const AMQP_0_9_1: [u8; ProtocolHeader::OCTETS] = *b"AMQP\x00\x00\x09\x01";
    /// What 0-9 clients send.
    pub const AMQP_0_9: [u8; ProtocolHeader::OCTETS] = *b"AMQP\x01\x01\x00\x09";
    /// AMQP 1.0 with SASL.
    pub const AMQP_1_0_SASL: [u8; ProtocolHeader::OCTETS] = *b"AMQP\x03\x01\x00\x00";

    /// Tells what the octets ask for.
    #[must_use]
    pub fn recognise(octets: [u8; ProtocolHeader::OCTETS]) -> ProtocolHeader {
        match octets {
            ProtocolHeader::AMQP_0_9_1 | ProtocolHeader::AMQP_0_9 => ProtocolHeader::Amqp091,
            ProtocolHeader::AMQP_1_0_SASL => ProtocolHeader::Amqp10,
            other => ProtocolHeader::Other(other),
        }
    }

    /// The octets to send before closing; `None` if the header is accepted.
    ///
    /// To others RabbitMQ names the protocol nearest to the one asked for. To a client of AMQP 1.0
    /// this names 0-9-1, since an echo would mean that 1.0 is spoken here.
    #[must_use]
    pub const fn refusal(&self) -> Option<[u8; ProtocolHeader::OCTETS]> {
        match self {
            ProtocolHeader::Amqp091 => None,
            ProtocolHeader::Amqp10
            | ProtocolHeader::Other([b'A', b'M', b'Q', b'P', 0, 0, 9..=255, _]) => {
                Some(ProtocolHeader::AMQP_0_9_1)
            }
            ProtocolHeader::Other(_) => Some(ProtocolHeader::AMQP_1_0_SASL),
        }
    }
}
