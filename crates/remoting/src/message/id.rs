//! The two ids of a message.
//!
//! ```text
//! offset message id: host (4 or 16 bytes), i32 port, i64 physical offset
//! unique key:        host (4 or 16 bytes), u16 process, i32 class loader, i32 milliseconds since
//!                    the month began, i16 counter
//! ```
//!
//! Both are upper-case hexadecimal, 32 or 56 characters long. Clients dial the host inside an
//! offset message id.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::MessageError;
use super::record::append_host;
use crate::bytes::Cursor;

/// Where a message lies: what a send returns as `msgId`, and 33 looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    pub host: SocketAddr,
    pub physical_offset: i64,
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.ip() {
            IpAddr::V4(ip) => write!(f, "{:08X}", ip.to_bits())?,
            IpAddr::V6(ip) => write!(f, "{:032X}", ip.to_bits())?,
        }
        write!(f, "{:08X}{:016X}", self.host.port(), self.physical_offset)
    }
}

impl FromStr for OffsetMessageId {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        let (bytes, length) = from_hex(text).ok_or(MessageError::BadId)?;
        let mut cursor = Cursor::new(bytes.get(..length).unwrap_or_default());
        let ip = read_ip(&mut cursor, length).ok_or(MessageError::BadId)?;
        let port = cursor.i32().ok_or(MessageError::BadId)?;
        let port = u16::try_from(port).map_err(|_| MessageError::BadPort(port))?;
        let physical_offset = cursor.i64().ok_or(MessageError::BadId)?;
        Ok(Self {
            host: SocketAddr::new(ip, port),
            physical_offset,
        })
    }
}

impl OffsetMessageId {
    /// The bytes that the text spells.
    pub fn append_bytes(&self, out: &mut Vec<u8>) {
        append_host(self.host, out);
        out.extend_from_slice(&self.physical_offset.to_be_bytes());
    }
}

/// What a client makes before it sends, and shows as the message's id. A broker makes one for
/// senders without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UniqueKey {
    pub ip: IpAddr,
    pub process: u16,
    pub class_loader: i32,
    /// Milliseconds since the first of the month in the maker's zone.
    pub month_ms: i32,
    pub counter: i16,
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{:08X}", ip.to_bits())?,
            IpAddr::V6(ip) => write!(f, "{:032X}", ip.to_bits())?,
        }
        let Self {
            process,
            class_loader,
            month_ms,
            counter,
            ..
        } = self;
        write!(
            f,
            "{process:04X}{class_loader:08X}{month_ms:08X}{counter:04X}"
        )
    }
}

impl FromStr for UniqueKey {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        let (bytes, length) = from_hex(text).ok_or(MessageError::BadId)?;
        let mut cursor = Cursor::new(bytes.get(..length).unwrap_or_default());
        let mut parts = || {
            Some(Self {
                ip: read_ip(&mut cursor, length)?,
                process: cursor.i16()? as u16,
                class_loader: cursor.i32()?,
                month_ms: cursor.i32()?,
                counter: cursor.i16()?,
            })
        };
        parts().ok_or(MessageError::BadId)
    }
}

fn read_ip(cursor: &mut Cursor<'_>, length: usize) -> Option<IpAddr> {
    match length {
        16 => cursor
            .array::<4>()
            .map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        28 => cursor
            .array::<16>()
            .map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => None,
    }
}

/// The bytes of 32 or 56 hexadecimal digits, and how many they are.
fn from_hex(text: &str) -> Option<([u8; 28], usize)> {
    let length = match text.len() {
        32 => 16,
        56 => 28,
        _ => return None,
    };
    let mut bytes = [0; 28];
    for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let mut value = 0;
        for digit in pair {
            value = value * 16 + char::from(*digit).to_digit(16)? as u8;
        }
        *slot = value;
    }
    Some((bytes, length))
}
