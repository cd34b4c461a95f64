//! The rules of connection.tune and tune-ok.

use std::fmt;

use crate::error::ReplyCode;
use crate::frame::{FRAME_MAX_FLOOR, FrameMax};
use crate::method::Method;

/// What a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// How many channels may be open at once; 0 means no limit.
    pub channel_max: u16,
    pub frame_max: FrameMax,
    /// The least frame limit to accept, in octets. RabbitMQ 4 refuses less than 8192, 3.13 less
    /// than 4096.
    pub frame_max_floor: u32,
    /// Suggested interval; the client's answer counts. 0 means none.
    pub heartbeat_s: u16,
}

/// What both peers keep from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// How many channels may be open at once, at least 1.
    pub channel_max: u16,
    pub frame_max: FrameMax,
    /// 0 means no heartbeats.
    pub heartbeat_s: u16,
}

/// A tune-ok outside the offer. Close with 530; `Display` is the explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneRefusal {
    TooLow {
        field: &'static str,
        value: u32,
        minimum: u32,
    },
    TooHigh {
        field: &'static str,
        value: u32,
        maximum: u32,
    },
}

impl Default for Offer {
    fn default() -> Offer {
        Offer {
            channel_max: 2047,
            frame_max: FrameMax::DEFAULT,
            frame_max_floor: FRAME_MAX_FLOOR,
            heartbeat_s: 60,
        }
    }
}

impl Offer {
    /// The connection.tune to send.
    #[must_use]
    pub const fn tune(&self) -> Method<'static> {
        Method::ConnectionTune {
            channel_max: self.channel_max,
            frame_max: self.frame_max.octets(),
            heartbeat: self.heartbeat_s,
        }
    }

    /// Judges the fields of tune-ok.
    pub fn settle(
        &self,
        channel_max: u16,
        frame_max: u32,
        heartbeat_s: u16,
    ) -> Result<Tuning, TuneRefusal> {
        let floor = self.frame_max_floor.max(FRAME_MAX_FLOOR);
        check("frame_max", frame_max, floor, self.frame_max.octets())?;
        check(
            "channel_max",
            channel_max.into(),
            1,
            self.channel_max.into(),
        )?;
        let channel_max = if channel_max == 0 {
            u16::MAX
        } else {
            channel_max
        };
        // Zero was refused above, since the offer is never zero, and so was anything below the
        // floor.
        let frame_max = FrameMax::new(frame_max).unwrap_or(self.frame_max);
        Ok(Tuning {
            channel_max,
            frame_max,
            heartbeat_s,
        })
    }
}

/// RabbitMQ's rule: nonzero values below the minimum are too low; if the offer is limited, values
/// above it are too high, and 0 as well, since it asks for no limit.
fn check(field: &'static str, value: u32, minimum: u32, offered: u32) -> Result<(), TuneRefusal> {
    if value != 0 && value < minimum {
        return Err(TuneRefusal::TooLow {
            field,
            value,
            minimum,
        });
    }
    if offered != 0 && (value == 0 || value > offered) {
        return Err(TuneRefusal::TooHigh {
            field,
            value,
            maximum: offered,
        });
    }
    Ok(())
}

impl Tuning {
    /// A client's answer to connection.tune: the lesser of both wishes, where 0 of the server's
    /// means no limit. `None` if the server offers a frame limit below the specification's floor.
    #[must_use]
    pub fn answer(
        wanted: Tuning,
        channel_max: u16,
        frame_max: u32,
        heartbeat_s: u16,
    ) -> Option<Tuning> {
        let channels = if channel_max == 0 {
            u16::MAX
        } else {
            channel_max
        };
        let frames = if frame_max == 0 {
            wanted.frame_max
        } else {
            FrameMax::new(frame_max)?
        };
        Some(Tuning {
            channel_max: wanted.channel_max.min(channels),
            frame_max: wanted.frame_max.min(frames),
            heartbeat_s: wanted.heartbeat_s.min(heartbeat_s),
        })
    }

    /// The connection.tune-ok to send.
    #[must_use]
    pub const fn tune_ok(&self) -> Method<'static> {
        Method::ConnectionTuneOk {
            channel_max: self.channel_max,
            frame_max: self.frame_max.octets(),
            heartbeat: self.heartbeat_s,
        }
    }
}

impl TuneRefusal {
    /// Always 530.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        ReplyCode::NotAllowed
    }
}

impl fmt::Display for TuneRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TuneRefusal::TooLow {
                field,
                value,
                minimum,
            } => write!(
                f,
                "negotiated {field} = {value} is lower than the minimum allowed value ({minimum})"
            ),
            TuneRefusal::TooHigh {
                field,
                value: 0,
                maximum,
            } => write!(
                f,
                "negotiated {field} = 0 (no limit) is higher than the maximum allowed value \
                 ({maximum})"
            ),
            TuneRefusal::TooHigh {
                field,
                value,
                maximum,
            } => write!(
                f,
                "negotiated {field} = {value} is higher than the maximum allowed value ({maximum})"
            ),
        }
    }
}

impl std::error::Error for TuneRefusal {}
