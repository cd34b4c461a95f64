//! The properties of basic content: one word of flags, highest bit first, then the values of the
//! bits that are set.
//!
//! A broker keeps them as the octets they came in ([`PropertiesRef`]), reads single ones from
//! there, and only unpacks them ([`BasicProperties`]) to change some.

use crate::error::{FieldFault, SHORT_STRING_MAX, TooLong};
use crate::field::{write_long, write_short};
use crate::reader::Reader;
use crate::table::TableRef;

/// The low two flag bits have no property; 0-9-1 reserves bit 0 for more flag words, which no one
/// sends.
const FLAGS_USED: u16 = 0xFFFC;

/// A property, named by its flag bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Property {
    ContentType = 15,
    ContentEncoding = 14,
    Headers = 13,
    DeliveryMode = 12,
    Priority = 11,
    CorrelationId = 10,
    ReplyTo = 9,
    Expiration = 8,
    MessageId = 7,
    Timestamp = 6,
    Type = 5,
    UserId = 4,
    AppId = 3,
    ClusterId = 2,
}

impl Property {
    /// All properties in wire order.
    pub const ALL: [Property; 14] = [
        Property::ContentType,
        Property::ContentEncoding,
        Property::Headers,
        Property::DeliveryMode,
        Property::Priority,
        Property::CorrelationId,
        Property::ReplyTo,
        Property::Expiration,
        Property::MessageId,
        Property::Timestamp,
        Property::Type,
        Property::UserId,
        Property::AppId,
        Property::ClusterId,
    ];

    /// The bit of the flag word.
    #[must_use]
    pub const fn flag(self) -> u16 {
        1 << self as u8
    }

    /// Reads the octets of this property, without the length that precedes them.
    fn read<'a>(self, reader: &mut Reader<'a>) -> Result<&'a [u8], FieldFault> {
        match self {
            Property::Headers => reader.long(),
            Property::DeliveryMode | Property::Priority => reader.take(1),
            Property::Timestamp => reader.take(8),
            Property::ContentType
            | Property::ContentEncoding
            | Property::CorrelationId
            | Property::ReplyTo
            | Property::Expiration
            | Property::MessageId
            | Property::Type
            | Property::UserId
            | Property::AppId
            | Property::ClusterId => reader.short(),
        }
    }
}

/// The properties of a message as they lie on the wire: the flag word and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropertiesRef<'a> {
    raw: &'a [u8],
}

impl<'a> PropertiesRef<'a> {
    /// No properties.
    pub const EMPTY: PropertiesRef<'static> = PropertiesRef { raw: &[0, 0] };

    /// Checks the octets to the last, the header table included. Allocates nothing.
    pub fn parse(raw: &'a [u8]) -> Result<PropertiesRef<'a>, FieldFault> {
        let mut reader = Reader::new(raw);
        let flags = reader.u16()?;
        for property in present(flags) {
            let octets = property.read(&mut reader)?;
            if property == Property::Headers {
                TableRef::parse(octets)?;
            }
        }
        reader.finish()?;
        Ok(PropertiesRef { raw })
    }

    /// Takes octets that [`PropertiesRef::parse`] accepted before, say before they were stored. On
    /// other octets every reader is still safe, but properties may be missing.
    #[must_use]
    pub const fn trusted(raw: &'a [u8]) -> PropertiesRef<'a> {
        PropertiesRef { raw }
    }

    /// The octets, flag word included: what is stored and sent.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// The octets of one property without their length; only the properties before it are stepped
    /// over.
    #[must_use]
    pub fn find(&self, wanted: Property) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.raw);
        let flags = reader.u16().ok()?;
        if flags & wanted.flag() == 0 {
            return None;
        }
        for property in present(flags) {
            let octets = property.read(&mut reader).ok()?;
            if property == wanted {
                return Some(octets);
            }
        }
        None
    }

    /// 2 is persistent; 1 and absence are transient.
    #[must_use]
    pub fn delivery_mode(&self) -> Option<u8> {
        self.find(Property::DeliveryMode).and_then(octet)
    }

    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        self.find(Property::Priority).and_then(octet)
    }

    #[must_use]
    pub fn headers(&self) -> Option<TableRef<'a>> {
        self.find(Property::Headers).map(TableRef::assume_checked)
    }

    /// Milliseconds, as decimal text of the sender's.
    #[must_use]
    pub fn expiration(&self) -> Option<&'a [u8]> {
        self.find(Property::Expiration)
    }

    #[must_use]
    pub fn reply_to(&self) -> Option<&'a [u8]> {
        self.find(Property::ReplyTo)
    }

    #[must_use]
    pub fn correlation_id(&self) -> Option<&'a [u8]> {
        self.find(Property::CorrelationId)
    }

    #[must_use]
    pub fn message_id(&self) -> Option<&'a [u8]> {
        self.find(Property::MessageId)
    }

    #[must_use]
    pub fn user_id(&self) -> Option<&'a [u8]> {
        self.find(Property::UserId)
    }

    /// Seconds since 1970, the sender's clock.
    #[must_use]
    pub fn timestamp(&self) -> Option<u64> {
        self.find(Property::Timestamp).and_then(seconds)
    }

    /// All properties at once, still borrowed.
    #[must_use]
    pub fn to_properties(&self) -> BasicProperties<'a> {
        let mut properties = BasicProperties::default();
        let mut reader = Reader::new(self.raw);
        let flags = reader.u16().unwrap_or(0);
        for property in present(flags) {
            let Ok(octets) = property.read(&mut reader) else {
                break;
            };
            properties.set(property, octets);
        }
        properties
    }
}

impl Default for PropertiesRef<'_> {
    fn default() -> Self {
        PropertiesRef::EMPTY
    }
}

fn present(flags: u16) -> impl Iterator<Item = Property> {
    Property::ALL
        .into_iter()
        .filter(move |property| flags & property.flag() != 0)
}

fn octet(octets: &[u8]) -> Option<u8> {
    octets.first().copied()
}

fn seconds(octets: &[u8]) -> Option<u64> {
    octets.first_chunk().copied().map(u64::from_be_bytes)
}

/// The properties of a message one by one. Strings are octets: RabbitMQ does not check them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BasicProperties<'a> {
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    pub headers: Option<TableRef<'a>>,
    /// 1 transient, 2 persistent.
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<&'a [u8]>,
    pub reply_to: Option<&'a [u8]>,
    /// Milliseconds, as decimal text.
    pub expiration: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// The property `type`.
    pub kind: Option<&'a [u8]>,
    pub user_id: Option<&'a [u8]>,
    pub app_id: Option<&'a [u8]>,
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> BasicProperties<'a> {
    /// Checks and unpacks flag word and values.
    pub fn decode(raw: &'a [u8]) -> Result<BasicProperties<'a>, FieldFault> {
        PropertiesRef::parse(raw).map(|properties| properties.to_properties())
    }

    /// Appends flag word and values: the octets of a [`PropertiesRef`]. On refusal `out` is left as
    /// it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let texts = self.short_strings();
        let is_long = |text: &&(&'static str, Option<&[u8]>)| {
            text.1.is_some_and(|octets| octets.len() > SHORT_STRING_MAX)
        };
        if let Some((what, Some(octets))) = texts.iter().find(is_long) {
            return Err(TooLong {
                what,
                octets: octets.len(),
            });
        }
        let present = Property::ALL
            .into_iter()
            .filter(|property| self.has(*property));
        let flags = present.fold(0, |flags, property| flags | property.flag());
        out.extend_from_slice(&flags.to_be_bytes());
        put_short(out, self.content_type);
        put_short(out, self.content_encoding);
        if let Some(table) = self.headers {
            write_long(out, |out| out.extend_from_slice(table.as_bytes()));
        }
        out.extend(self.delivery_mode);
        out.extend(self.priority);
        put_short(out, self.correlation_id);
        put_short(out, self.reply_to);
        put_short(out, self.expiration);
        put_short(out, self.message_id);
        if let Some(seconds) = self.timestamp {
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        put_short(out, self.kind);
        put_short(out, self.user_id);
        put_short(out, self.app_id);
        put_short(out, self.cluster_id);
        Ok(())
    }

    /// Flag word and values as fresh octets.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TooLong> {
        let mut out = Vec::new();
        self.encode(&mut out)?;
        Ok(out)
    }

    fn set(&mut self, property: Property, octets: &'a [u8]) {
        match property {
            Property::ContentType => self.content_type = Some(octets),
            Property::ContentEncoding => self.content_encoding = Some(octets),
            Property::Headers => self.headers = Some(TableRef::assume_checked(octets)),
            Property::DeliveryMode => self.delivery_mode = octet(octets),
            Property::Priority => self.priority = octet(octets),
            Property::CorrelationId => self.correlation_id = Some(octets),
            Property::ReplyTo => self.reply_to = Some(octets),
            Property::Expiration => self.expiration = Some(octets),
            Property::MessageId => self.message_id = Some(octets),
            Property::Timestamp => self.timestamp = seconds(octets),
            Property::Type => self.kind = Some(octets),
            Property::UserId => self.user_id = Some(octets),
            Property::AppId => self.app_id = Some(octets),
            Property::ClusterId => self.cluster_id = Some(octets),
        }
    }

    fn has(&self, property: Property) -> bool {
        match property {
            Property::ContentType => self.content_type.is_some(),
            Property::ContentEncoding => self.content_encoding.is_some(),
            Property::Headers => self.headers.is_some(),
            Property::DeliveryMode => self.delivery_mode.is_some(),
            Property::Priority => self.priority.is_some(),
            Property::CorrelationId => self.correlation_id.is_some(),
            Property::ReplyTo => self.reply_to.is_some(),
            Property::Expiration => self.expiration.is_some(),
            Property::MessageId => self.message_id.is_some(),
            Property::Timestamp => self.timestamp.is_some(),
            Property::Type => self.kind.is_some(),
            Property::UserId => self.user_id.is_some(),
            Property::AppId => self.app_id.is_some(),
            Property::ClusterId => self.cluster_id.is_some(),
        }
    }

    fn short_strings(&self) -> [(&'static str, Option<&'a [u8]>); 10] {
        [
            ("content-type", self.content_type),
            ("content-encoding", self.content_encoding),
            ("correlation-id", self.correlation_id),
            ("reply-to", self.reply_to),
            ("expiration", self.expiration),
            ("message-id", self.message_id),
            ("type", self.kind),
            ("user-id", self.user_id),
            ("app-id", self.app_id),
            ("cluster-id", self.cluster_id),
        ]
    }
}

fn put_short(out: &mut Vec<u8>, text: Option<&[u8]>) {
    if let Some(octets) = text {
        write_short(out, octets);
    }
}

/// The flag word as it may be sent on: without the low bits, which a receiver could take for a
/// second word.
pub(crate) fn flags_sent(raw: &[u8]) -> [u8; 2] {
    let flags = raw.first_chunk().copied().map_or(0, u16::from_be_bytes);
    (flags & FLAGS_USED).to_be_bytes()
}
