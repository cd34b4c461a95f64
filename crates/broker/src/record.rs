//! A record: what the log keeps of a message, whole. An envelope in our own words, then the
//! message as its own language wrote it, never touched again.
//!
//! ```text
//! version 1 | flags | language | priority | received | [expires] | address | key | [partition]
//! | [origin] | [strand] | [copies] | attempts | deaths… | body start | body length | native bytes to the end
//! ```

use std::ops::Range;

use crate::bytes::{Reader, Undecodable, Writer};
use crate::id::{MessageRef, Millis};
use crate::strand::Strand;

/// The language in which the native part is written. The gateway gives the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Language(pub u8);

/// What the broker knows about a message, whatever its language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    pub language: Language,
    pub persistent: bool,
    pub priority: u8,
    /// When the broker took the message, or sent it on.
    pub received: Millis,
    pub expires: Option<Millis>,
    /// The name of the address it was sent to.
    pub address: &'a str,
    pub key: &'a str,
    /// The partition its sender chose.
    pub partition: Option<u32>,
    /// The message from which this one was sent on.
    pub origin: Option<MessageRef>,
    pub strand: Option<Strand>,
    /// Further keys by which it is routed.
    pub copies: Copies<'a>,
    /// Counted releases before the message was sent on.
    pub attempts: u32,
    /// Newest first.
    pub deaths: Vec<Death>,
    /// Where the body lies within the native bytes.
    pub body: Range<u32>,
}

/// Why a message was sent on to a dead-letter address, and where it died.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Death {
    pub queue: Box<str>,
    pub reason: DeathReason,
    /// How often it died there for that reason.
    pub count: u64,
    /// The first time.
    pub time: Millis,
    /// Where it had been sent before it died there for that reason the first time, with all keys
    /// that are for everybody to see.
    pub address: Box<str>,
    pub keys: Vec<Box<str>>,
    /// Where it had been sent before the last time.
    pub last_address: Box<str>,
    /// When it would have expired, had it not died the last time.
    pub expires: Option<Millis>,
    /// The words of the consumer that rejected it the last time.
    pub cause: Option<Box<str>>,
}

/// Keys of a message beside its own: it goes where any of them leads, once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copies<'a> {
    /// Part of its history.
    pub shown: Vec<&'a str>,
    /// Nobody who receives it may see them.
    pub hidden: Vec<&'a str>,
}

impl<'a> Copies<'a> {
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.hidden.is_empty()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for keys in [&self.shown, &self.hidden] {
            out.put_number(keys.len() as u64);
            keys.iter().for_each(|key| out.put_str(key));
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Copies<'a>, Undecodable> {
        let mut keys = || (0..reader.count()?).map(|_| reader.str()).collect();
        let shown: Result<_, Undecodable> = keys();
        Ok(Copies {
            shown: shown?,
            hidden: keys()?,
        })
    }
}

/// Why a message left its queue other than by being accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DeathReason {
    Rejected,
    Expired,
    Overflow,
    AttemptsExhausted,
}

impl DeathReason {
    fn code(self) -> u8 {
        match self {
            DeathReason::Rejected => 1,
            DeathReason::Expired => 2,
            DeathReason::Overflow => 3,
            DeathReason::AttemptsExhausted => 4,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<DeathReason, Undecodable> {
        match code {
            1 => Ok(DeathReason::Rejected),
            2 => Ok(DeathReason::Expired),
            3 => Ok(DeathReason::Overflow),
            4 => Ok(DeathReason::AttemptsExhausted),
            _ => Err(Undecodable("death reason")),
        }
    }
}

const VERSION: u8 = 1;
const PERSISTENT: u8 = 1;
const EXPIRES: u8 = 2;
const PARTITION: u8 = 4;
const ORIGIN: u8 = 8;
const STRAND: u8 = 16;
const COPIES: u8 = 32;

impl<'a> Envelope<'a> {
    /// An envelope with nothing but where the message goes and when it came.
    pub fn new(language: Language, address: &'a str, key: &'a str, received: Millis) -> Self {
        Envelope {
            language,
            persistent: false,
            priority: 4,
            received,
            expires: None,
            address,
            key,
            partition: None,
            origin: None,
            strand: None,
            copies: Copies::default(),
            attempts: 0,
            deaths: Vec::new(),
            body: 0..0,
        }
    }

    /// All keys by which it is routed, its own first.
    pub fn keys(&self) -> Vec<&'a str> {
        let copies = self.copies.shown.iter().chain(&self.copies.hidden);
        std::iter::once(self.key).chain(copies.copied()).collect()
    }

    /// Writes the envelope; the native bytes follow.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        for (bit, set) in [
            (PERSISTENT, self.persistent),
            (EXPIRES, self.expires.is_some()),
            (PARTITION, self.partition.is_some()),
            (ORIGIN, self.origin.is_some()),
            (STRAND, self.strand.is_some()),
            (COPIES, !self.copies.is_empty()),
        ] {
            flags |= if set { bit } else { 0 };
        }
        out.extend_from_slice(&[VERSION, flags, self.language.0, self.priority]);
        out.put_number(self.received.0);
        if let Some(expires) = self.expires {
            out.put_number(expires.0);
        }
        out.put_str(self.address);
        out.put_str(self.key);
        if let Some(partition) = self.partition {
            out.put_number(u64::from(partition));
        }
        if let Some(origin) = self.origin {
            out.put_number(origin.as_u64());
        }
        if let Some(strand) = self.strand {
            strand.encode(out);
        }
        if !self.copies.is_empty() {
            self.copies.encode(out);
        }
        out.put_number(u64::from(self.attempts));
        out.put_number(self.deaths.len() as u64);
        for death in &self.deaths {
            death.encode(out);
        }
        out.put_number(u64::from(self.body.start));
        out.put_number(u64::from(self.body.end - self.body.start));
    }
}

impl Death {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_str(&self.queue);
        out.put_u8(self.reason.code());
        out.put_number(self.count);
        out.put_number(self.time.0);
        out.put_str(&self.address);
        out.put_number(self.keys.len() as u64);
        for key in &self.keys {
            out.put_str(key);
        }
        out.put_str(&self.last_address);
        out.put_option(self.expires, |out, at| out.put_number(at.0));
        out.put_option(self.cause.as_deref(), |out, cause| out.put_str(cause));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Death, Undecodable> {
        let queue = reader.str()?.into();
        let reason = DeathReason::from_code(reader.u8()?)?;
        let count = reader.number()?;
        let time = Millis(reader.number()?);
        let address = reader.str()?.into();
        let keys = (0..reader.count()?)
            .map(|_| reader.str().map(Box::from))
            .collect::<Result<Vec<_>, _>>()?;
        let last_address = reader.str()?.into();
        let expires = reader.option(|r| r.number().map(Millis))?;
        let cause = reader.option(|r| r.str().map(Box::from))?;
        Ok(Death {
            queue,
            reason,
            count,
            time,
            address,
            keys,
            last_address,
            expires,
            cause,
        })
    }
}

/// A record taken apart, borrowing from where it lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub envelope: Envelope<'a>,
    /// The whole message in its own language.
    pub native: &'a [u8],
}

impl<'a> Record<'a> {
    /// Takes a stored record apart. Allocates only for deaths, which few messages have.
    pub fn decode(bytes: &'a [u8]) -> Result<Record<'a>, Undecodable> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Undecodable("record version"));
        }
        let flags = reader.u8()?;
        let language = Language(reader.u8()?);
        let priority = reader.u8()?;
        let received = Millis(reader.number()?);
        let has = |bit: u8| flags & bit != 0;
        let expires = if has(EXPIRES) {
            Some(Millis(reader.number()?))
        } else {
            None
        };
        let address = reader.str()?;
        let key = reader.str()?;
        let partition = if has(PARTITION) {
            Some(reader.u32()?)
        } else {
            None
        };
        let origin = if has(ORIGIN) {
            let raw = reader.number()?;
            Some(MessageRef::from_u64(raw).ok_or(Undecodable("origin"))?)
        } else {
            None
        };
        let strand = if has(STRAND) {
            Some(Strand::decode(&mut reader)?)
        } else {
            None
        };
        let copies = if has(COPIES) {
            Copies::decode(&mut reader)?
        } else {
            Copies::default()
        };
        let attempts = reader.u32()?;
        let deaths = (0..reader.count()?)
            .map(|_| Death::decode(&mut reader))
            .collect::<Result<_, _>>()?;
        let start = reader.u32()?;
        let length = reader.u32()?;
        let native = reader.rest();
        let end = start.checked_add(length).ok_or(Undecodable("body"))?;
        if end as usize > native.len() {
            return Err(Undecodable("body"));
        }
        let envelope = Envelope {
            language,
            persistent: has(PERSISTENT),
            priority,
            received,
            expires,
            address,
            key,
            partition,
            origin,
            strand,
            copies,
            attempts,
            deaths,
            body: start..end,
        };
        Ok(Record { envelope, native })
    }

    pub fn body(&self) -> &'a [u8] {
        &self.native[self.envelope.body.start as usize..self.envelope.body.end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Index, ShardId};
    use crate::strand::{StrandKey, StrandStep};

    fn full() -> Envelope<'static> {
        Envelope {
            persistent: true,
            priority: 9,
            expires: Some(Millis(99)),
            partition: Some(3),
            origin: Some(MessageRef::new(ShardId::LOG, Index(7), 3)),
            copies: Copies {
                shown: vec!["c1", "c2"],
                hidden: vec!["h"],
            },
            strand: Some(Strand {
                key: StrandKey(u64::MAX),
                step: StrandStep::Closes,
            }),
            attempts: 2,
            deaths: vec![Death {
                queue: "jobs".into(),
                reason: DeathReason::Expired,
                count: 2,
                time: Millis(5),
                address: "a".into(),
                keys: vec!["k".into(), "".into()],
                last_address: "b".into(),
                expires: Some(Millis(6)),
                cause: Some("why".into()),
            }],
            body: 1..3,
            ..Envelope::new(Language(1), "orders", "k.1", Millis(12))
        }
    }

    #[test]
    fn an_envelope_comes_back() {
        for envelope in [
            full(),
            Envelope {
                body: 0..4,
                ..Envelope::new(Language(2), "", "q", Millis(1))
            },
        ] {
            let mut bytes = Vec::new();
            envelope.encode(&mut bytes);
            bytes.extend_from_slice(b"abcd");
            let record = Record::decode(&bytes).unwrap();
            assert_eq!(record.envelope, envelope);
            assert_eq!(record.native, b"abcd");
            assert_eq!(record.body().len(), envelope.body.len());
        }
    }

    #[test]
    fn a_cut_record_is_undecodable() {
        let mut bytes = Vec::new();
        full().encode(&mut bytes);
        let whole = bytes.len();
        bytes.extend_from_slice(b"abc");
        for end in 0..whole + 3 {
            assert!(Record::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(Record::decode(&bytes).is_ok());
    }
}
