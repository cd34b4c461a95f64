//! What a message says that the broker acts upon, and the record that is stored of it.

use std::ops::Range;

use broker::id::Millis;
use remoting::ResponseCode;
use remoting::message::patch::{Layout, SYS_FLAG_AT};
use remoting::message::properties::{Properties, name};

use super::refusals::Refused;
use super::settings::Settings;

/// How far ahead a message may be timed.
const TIMER_MS_MAX: u64 = 3 * 24 * 3600 * 1000;
/// The wheel of the reference implementation turns by this much.
const TIMER_PRECISION_MS: u64 = 1_000;

/// The properties that mean something to the broker, found in one walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks<'a> {
    pub tags: Option<&'a str>,
    pub unique: Option<&'a str>,
    pub sharding_key: Option<&'a str>,
    pub producer_group: Option<&'a str>,
    pub immunity: Option<&'a str>,
    pub is_half: bool,
    pub has_cluster: bool,
    pub has_region: bool,
    pub has_trace: bool,
    /// A receipt handle, which only the broker gives.
    pub has_receipt: bool,
    delay: Option<&'a str>,
    timer_sec: Option<&'a str>,
    timer_ms: Option<&'a str>,
    timer_at: Option<&'a str>,
}

/// When a message becomes visible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    Now,
    /// By a level of `DELAY`.
    Delayed(Millis),
    /// By one of the `TIMER_` properties; the second is what `TIMER_OUT_MS` shows.
    Timed(Millis),
}

impl<'a> Marks<'a> {
    pub fn of(properties: &'a str) -> Marks<'a> {
        let mut marks = Marks::default();
        for (key, value) in Properties::new(properties).iter() {
            let text = Some(value);
            match key {
                name::TAGS => marks.tags = text,
                name::UNIQ_KEY => marks.unique = text,
                name::SHARDING_KEY => marks.sharding_key = text,
                name::PRODUCER_GROUP => marks.producer_group = text,
                name::CHECK_IMMUNITY_TIME => marks.immunity = text,
                name::TRAN_MSG => marks.is_half = remoting::java::parse_boolean(value),
                name::CLUSTER => marks.has_cluster = true,
                name::MSG_REGION => marks.has_region = true,
                name::TRACE_ON => marks.has_trace = true,
                name::POP_CK => marks.has_receipt = true,
                name::DELAY => marks.delay = text,
                name::TIMER_DELAY_SEC => marks.timer_sec = text,
                name::TIMER_DELAY_MS => marks.timer_ms = text,
                name::TIMER_DELIVER_MS => marks.timer_at = text,
                _ => {}
            }
        }
        marks
    }

    pub fn key(&self) -> &'a str {
        self.tags.unwrap_or_default()
    }

    /// The level of `DELAY`; 0 is none.
    pub fn delay_level(&self) -> usize {
        self.delay.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn is_timed(&self) -> bool {
        self.timer_sec.is_some() || self.timer_ms.is_some() || self.timer_at.is_some()
    }

    /// When the message is due; `DELAY` goes before the timers.
    pub fn due(&self, settings: &Settings, now: Millis) -> Result<Due, Refused> {
        let level = self.delay_level();
        if level > 0 {
            return Ok(match delay_ms(settings, level) {
                Some(delay) => Due::Delayed(now.plus(delay)),
                None => Due::Now,
            });
        }
        let bad = || {
            let remark = "the timer property of the message is not a number of its size";
            Refused::new(ResponseCode::MessageIllegal, remark)
        };
        // What was due before it was sent is due now.
        let number = |text: &str| match text.parse::<i64>() {
            Ok(number) => Ok(u64::try_from(number).unwrap_or(0)),
            Err(_) => Err(bad()),
        };
        let at = if let Some(text) = self.timer_sec {
            now.plus(number(text)?.saturating_mul(1000))
        } else if let Some(text) = self.timer_ms {
            now.plus(number(text)?)
        } else if let Some(text) = self.timer_at {
            Millis(number(text)?)
        } else {
            return Ok(Due::Now);
        };
        if at <= now {
            return Ok(Due::Now);
        }
        if at.since(now) > TIMER_MS_MAX {
            let remark = format!(
                "timer message illegal, the delay time should not be bigger than the max delay \
                 {TIMER_MS_MAX}ms; or if set del msg, the delay time should be bigger than the \
                 current time"
            );
            return Err(Refused::new(ResponseCode::MessageIllegal, remark));
        }
        // Down to a whole turn; what stands on one comes a turn earlier.
        let turns = at.0.div_ceil(TIMER_PRECISION_MS) - 1;
        Ok(Due::Timed(Millis(turns * TIMER_PRECISION_MS)))
    }
}

/// What a delay level means; one beyond the last means the last.
pub fn delay_ms(settings: &Settings, level: usize) -> Option<u64> {
    let levels = &settings.delay_levels_ms;
    levels.get(level.min(levels.len()).checked_sub(1)?).copied()
}

/// Where the body lies in a stored record that we have written ourselves.
pub fn body_range(native: &[u8]) -> Range<u32> {
    let word = |at: usize| {
        let bytes = native.get(at..).and_then(|tail| tail.first_chunk::<4>());
        bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes))
    };
    let layout = Layout::of(word(SYS_FLAG_AT));
    let start = layout.body_length_at as u32 + 4;
    start..start + word(layout.body_length_at) as u32
}

/// The properties that the broker adds, without an allocation.
#[derive(Default)]
pub struct Added<'a> {
    pairs: [(&'a str, &'a str); 10],
    count: usize,
}

impl<'a> Added<'a> {
    pub fn push(&mut self, key: &'a str, value: &'a str) {
        // No caller adds more than there are places.
        if let Some(place) = self.pairs.get_mut(self.count) {
            *place = (key, value);
            self.count += 1;
        }
    }

    pub fn as_slice(&self) -> &[(&'a str, &'a str)] {
        self.pairs.get(..self.count).unwrap_or_default()
    }
}

/// The text with a pair set anew: for the few messages whose properties change.
pub fn with_property(text: &str, key: &str, value: &str) -> String {
    let mut changed = Properties::new(text).without(key);
    remoting::message::properties::append(&mut changed, key, value);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(properties: &str) -> Result<Due, Refused> {
        Marks::of(properties).due(&Settings::default(), Millis(10_000))
    }

    #[test]
    fn delays_and_timers() {
        assert_eq!(due("TAGS\u{1}a\u{2}"), Ok(Due::Now));
        assert_eq!(due("DELAY\u{1}0\u{2}"), Ok(Due::Now));
        assert_eq!(due("DELAY\u{1}2"), Ok(Due::Delayed(Millis(15_000))));
        assert_eq!(
            due("DELAY\u{1}99"),
            Ok(Due::Delayed(Millis(10_000 + 7_200_000)))
        );
        assert_eq!(due("TIMER_DELAY_SEC\u{1}5"), Ok(Due::Timed(Millis(14_000))));
        assert_eq!(
            due("TIMER_DELAY_MS\u{1}5001"),
            Ok(Due::Timed(Millis(15_000)))
        );
        assert_eq!(due("TIMER_DELIVER_MS\u{1}9000"), Ok(Due::Now));
        assert!(due("TIMER_DELAY_SEC\u{1}300000").is_err());
        assert!(due("TIMER_DELAY_SEC\u{1}x").is_err());
    }
}
