//! The stored record, which is also what a pull delivers.
//!
//! ```text
//!   0 i32 total size            36 i32 system flag
//!   4 i32 magic                 40 i64 born timestamp
//!   8 i32 body CRC              48 born host: 4 or 16 bytes, i32 port
//!  12 i32 queue id               … i64 store timestamp
//!  16 i32 flag                   … store host: 4 or 16 bytes, i32 port
//!  20 i64 queue offset           … i32 reconsume times
//!  28 i64 physical offset        … i64 prepared transaction offset
//!                                … i32 length, body
//!                                … u8 (V2: u16) length, topic
//!                                … i16 length, properties
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::properties::{self, Properties};
use super::{MessageError, PROPERTIES_BYTES_MAX, TOPIC_BYTES_MAX, sys_flag};
use crate::bytes::Cursor;

/// A record whose topic has at most 127 bytes.
pub const MAGIC_V1: i32 = 0xdaa3_20a7_u32 as i32;

/// A record with a 16-bit topic length.
pub const MAGIC_V2: i32 = 0xdaa3_20ab_u32 as i32;

/// Ends a file of the reference implementation: a size and this.
pub const MAGIC_BLANK: i32 = 0xcbd4_3194_u32 as i32;

/// What a record takes beside hosts, body, topic and properties, with V1's topic length.
const FIXED_BYTES: usize = 8 * 4 + 5 * 8 + 1 + 2;

/// The sum that records carry.
pub fn body_crc(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7fff_ffff) as i32
}

/// One message as it is stored. All parts borrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub body_crc: i32,
    pub queue_id: i32,
    /// The user's; a broker does not look at it.
    pub flag: i32,
    pub queue_offset: i64,
    pub physical_offset: i64,
    /// See [`sys_flag`]. The two bits for IPv6 are derived from the hosts when writing.
    pub sys_flag: i32,
    /// Milliseconds, the producer's clock.
    pub born_timestamp: i64,
    pub born_host: SocketAddr,
    /// Milliseconds, the broker's clock.
    pub store_timestamp: i64,
    /// The advertised address: clients dial what the message id says.
    pub store_host: SocketAddr,
    pub reconsume_times: i32,
    pub prepared_transaction_offset: i64,
    pub body: &'a [u8],
    pub topic: &'a str,
    /// See [`properties`].
    pub properties: &'a str,
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`; returns it and its size. The body's sum is not
    /// checked, see [`Record::check_body`].
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), MessageError> {
        let (record, size) = split_record(bytes)?;
        let mut cursor = Cursor::new(record);
        let total = cursor.i32().ok_or(MessageError::Cut)?;
        let magic = cursor.i32().ok_or(MessageError::Cut)?;
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(MessageError::BadMagic(magic));
        }
        let parsed = Self::fields(&mut cursor, magic)?;
        if !cursor.is_empty() {
            return Err(MessageError::BadSize { total });
        }
        Ok((parsed, size))
    }

    fn fields(cursor: &mut Cursor<'a>, magic: i32) -> Result<Self, MessageError> {
        let cut = MessageError::Cut;
        let body_crc = cursor.i32().ok_or(cut)?;
        let queue_id = cursor.i32().ok_or(cut)?;
        let flag = cursor.i32().ok_or(cut)?;
        let queue_offset = cursor.i64().ok_or(cut)?;
        let physical_offset = cursor.i64().ok_or(cut)?;
        let sys_flag = cursor.i32().ok_or(cut)?;
        let born_timestamp = cursor.i64().ok_or(cut)?;
        let born_host = read_host(cursor, sys_flag & sys_flag::BORN_HOST_V6 != 0)?;
        let store_timestamp = cursor.i64().ok_or(cut)?;
        let store_host = read_host(cursor, sys_flag & sys_flag::STORE_HOST_V6 != 0)?;
        let reconsume_times = cursor.i32().ok_or(cut)?;
        let prepared_transaction_offset = cursor.i64().ok_or(cut)?;
        let body = cursor.sized32().ok_or(cut)?;
        let topic = if magic == MAGIC_V2 {
            cursor.sized16().ok_or(cut)?
        } else {
            let length = cursor.u8().ok_or(cut)?;
            cursor.take(usize::from(length)).ok_or(cut)?
        };
        let properties = cursor.sized16().ok_or(cut)?;
        Ok(Self {
            body_crc,
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag,
            born_timestamp,
            born_host,
            store_timestamp,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body,
            topic: std::str::from_utf8(topic).map_err(|_| MessageError::BadText)?,
            properties: std::str::from_utf8(properties).map_err(|_| MessageError::BadText)?,
        })
    }

    /// Compares the body with the stored sum; 0 means that none was stored.
    pub fn check_body(&self) -> Result<(), MessageError> {
        let computed = body_crc(self.body);
        if self.body_crc != 0 && self.body_crc != computed {
            return Err(MessageError::BadCrc {
                stored: self.body_crc,
                computed,
            });
        }
        Ok(())
    }

    pub fn properties(&self) -> Properties<'a> {
        Properties::new(self.properties)
    }

    /// How many bytes [`Record::encode`] appends.
    pub fn encoded_bytes(&self) -> usize {
        self.bytes_with(self.properties.len())
    }

    fn bytes_with(&self, properties_bytes: usize) -> usize {
        FIXED_BYTES
            + host_bytes(self.born_host)
            + host_bytes(self.store_host)
            + self.body.len()
            + self.topic.len()
            + usize::from(self.is_v2())
            + properties_bytes
    }

    fn is_v2(&self) -> bool {
        self.topic.len() > TOPIC_BYTES_MAX
    }

    /// Appends the record and returns its size. V2 is chosen by the topic's length. On an error
    /// nothing is appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<usize, MessageError> {
        self.encode_appending(&[], out)
    }

    /// As [`Record::encode`], with further properties behind the record's own, separated from them
    /// even when the sender left out its last separator. The pairs are not looked up first.
    pub fn encode_appending(
        &self,
        pairs: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> Result<usize, MessageError> {
        let properties_bytes = properties::appended_bytes(self.properties, pairs);
        let properties_length =
            i16::try_from(properties_bytes).map_err(|_| MessageError::PropertiesTooLong {
                bytes: properties_bytes,
            })?;
        debug_assert!(properties_bytes <= PROPERTIES_BYTES_MAX);
        let topic_length =
            i16::try_from(self.topic.len()).map_err(|_| MessageError::TopicTooLong {
                bytes: self.topic.len(),
            })?;
        let size = self.bytes_with(properties_bytes);
        let too_long = MessageError::BodyTooLong {
            bytes: self.body.len(),
        };
        let total = i32::try_from(size).map_err(|_| too_long)?;
        let body_length = i32::try_from(self.body.len()).map_err(|_| too_long)?;

        out.reserve(size);
        let magic = if self.is_v2() { MAGIC_V2 } else { MAGIC_V1 };
        out.extend_from_slice(&total.to_be_bytes());
        out.extend_from_slice(&magic.to_be_bytes());
        out.extend_from_slice(&self.body_crc.to_be_bytes());
        out.extend_from_slice(&self.queue_id.to_be_bytes());
        out.extend_from_slice(&self.flag.to_be_bytes());
        out.extend_from_slice(&self.queue_offset.to_be_bytes());
        out.extend_from_slice(&self.physical_offset.to_be_bytes());
        out.extend_from_slice(&self.written_sys_flag().to_be_bytes());
        out.extend_from_slice(&self.born_timestamp.to_be_bytes());
        append_host(self.born_host, out);
        out.extend_from_slice(&self.store_timestamp.to_be_bytes());
        append_host(self.store_host, out);
        out.extend_from_slice(&self.reconsume_times.to_be_bytes());
        out.extend_from_slice(&self.prepared_transaction_offset.to_be_bytes());
        out.extend_from_slice(&body_length.to_be_bytes());
        out.extend_from_slice(self.body);
        if self.is_v2() {
            out.extend_from_slice(&topic_length.to_be_bytes());
        } else {
            out.push(topic_length as u8);
        }
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&properties_length.to_be_bytes());
        properties::append_all(self.properties, pairs, out);
        Ok(size)
    }

    fn written_sys_flag(&self) -> i32 {
        let born = if self.born_host.is_ipv6() {
            sys_flag::BORN_HOST_V6
        } else {
            0
        };
        let store = if self.store_host.is_ipv6() {
            sys_flag::STORE_HOST_V6
        } else {
            0
        };
        (self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6)) | born | store
    }
}

/// Cuts the first record off by its total size.
pub(super) fn split_record(bytes: &[u8]) -> Result<(&[u8], usize), MessageError> {
    let total = bytes.first_chunk::<4>().ok_or(MessageError::Cut)?;
    let total = i32::from_be_bytes(*total);
    let size = usize::try_from(total).map_err(|_| MessageError::BadSize { total })?;
    let record = bytes.get(..size).ok_or(MessageError::Cut)?;
    Ok((record, size))
}

/// The records of a pull answer, one after the other. Ends at the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Record::decode(self.rest) {
            Ok((record, size)) => {
                self.rest = self.rest.get(size..).unwrap_or_default();
                Some(Ok(record))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

pub(super) fn host_bytes(host: SocketAddr) -> usize {
    if host.is_ipv4() { 8 } else { 20 }
}

fn read_host(cursor: &mut Cursor<'_>, is_v6: bool) -> Result<SocketAddr, MessageError> {
    let ip = if is_v6 {
        cursor
            .array::<16>()
            .map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))
    } else {
        cursor
            .array::<4>()
            .map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)))
    };
    let ip = ip.ok_or(MessageError::Cut)?;
    let port = cursor.i32().ok_or(MessageError::Cut)?;
    let port = u16::try_from(port).map_err(|_| MessageError::BadPort(port))?;
    Ok(SocketAddr::new(ip, port))
}

pub(super) fn append_host(host: SocketAddr, out: &mut Vec<u8>) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}
