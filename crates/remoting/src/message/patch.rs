//! Replacing the fields of a record that belong to the broker, by position.
//!
//! A record is stored as it was ingested; where it stands is known only later, and differs per
//! delivery. Body, topic and properties do not move, so a copy is one block and a few words. What
//! would move them — another topic, more properties, a host of the other address family — needs
//! [`Record::decode`](super::Record::decode) and `encode`.

use std::net::SocketAddr;

use super::record::{self, MAGIC_V1, MAGIC_V2};
use super::{MessageError, sys_flag};

/// The positions that do not depend on a host's size.
pub const QUEUE_ID_AT: usize = 12;
pub const QUEUE_OFFSET_AT: usize = 20;
pub const PHYSICAL_OFFSET_AT: usize = 28;
pub const SYS_FLAG_AT: usize = 36;
pub const BORN_HOST_AT: usize = 48;

/// What to replace. The default replaces nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub queue_id: Option<i32>,
    pub queue_offset: Option<i64>,
    pub physical_offset: Option<i64>,
    /// The bits for IPv6 stay as they are.
    pub sys_flag: Option<i32>,
    pub store_timestamp: Option<i64>,
    /// Must be of the record's address family.
    pub store_host: Option<SocketAddr>,
    pub reconsume_times: Option<i32>,
    pub prepared_transaction_offset: Option<i64>,
}

/// Where the later fields of one record stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub store_timestamp_at: usize,
    pub store_host_at: usize,
    /// With its port: 8 or 20.
    pub store_host_bytes: usize,
    pub reconsume_times_at: usize,
    pub prepared_transaction_offset_at: usize,
    /// Where the body's length stands; the body is 4 bytes further.
    pub body_length_at: usize,
}

impl Layout {
    /// From a record's system flag.
    pub fn of(sys_flag: i32) -> Self {
        let host = |bit: i32| if sys_flag & bit != 0 { 20 } else { 8 };
        let store_timestamp_at = BORN_HOST_AT + host(sys_flag::BORN_HOST_V6);
        let store_host_at = store_timestamp_at + 8;
        let store_host_bytes = host(sys_flag::STORE_HOST_V6);
        let reconsume_times_at = store_host_at + store_host_bytes;
        Self {
            store_timestamp_at,
            store_host_at,
            store_host_bytes,
            reconsume_times_at,
            prepared_transaction_offset_at: reconsume_times_at + 4,
            body_length_at: reconsume_times_at + 12,
        }
    }
}

impl Patch {
    /// Replaces the fields in a record that is the start of `bytes`.
    pub fn apply(&self, bytes: &mut [u8]) -> Result<(), MessageError> {
        let magic = word(bytes, 4)?;
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(MessageError::BadMagic(magic));
        }
        let old_flag = word(bytes, SYS_FLAG_AT)?;
        let layout = Layout::of(old_flag);
        // Checked first, so that an error leaves the record as it was.
        let size = record::split_record(bytes)?.1;
        if size < layout.body_length_at + 4 {
            return Err(MessageError::Cut);
        }
        if self
            .store_host
            .is_some_and(|host| record::host_bytes(host) != layout.store_host_bytes)
        {
            return Err(MessageError::HostFamily);
        }

        put(bytes, QUEUE_ID_AT, self.queue_id.map(i32::to_be_bytes))?;
        put(
            bytes,
            QUEUE_OFFSET_AT,
            self.queue_offset.map(i64::to_be_bytes),
        )?;
        put(
            bytes,
            PHYSICAL_OFFSET_AT,
            self.physical_offset.map(i64::to_be_bytes),
        )?;
        let fixed = sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6;
        let new_flag = self
            .sys_flag
            .map(|flag| (flag & !fixed) | (old_flag & fixed));
        put(bytes, SYS_FLAG_AT, new_flag.map(i32::to_be_bytes))?;
        put(
            bytes,
            layout.store_timestamp_at,
            self.store_timestamp.map(i64::to_be_bytes),
        )?;
        put(
            bytes,
            layout.reconsume_times_at,
            self.reconsume_times.map(i32::to_be_bytes),
        )?;
        put(
            bytes,
            layout.prepared_transaction_offset_at,
            self.prepared_transaction_offset.map(i64::to_be_bytes),
        )?;
        match self.store_host {
            Some(SocketAddr::V4(host)) => {
                put(bytes, layout.store_host_at, Some(host.ip().octets()))?;
                let port = u32::from(host.port()).to_be_bytes();
                put(bytes, layout.store_host_at + 4, Some(port))
            }
            Some(SocketAddr::V6(host)) => {
                put(bytes, layout.store_host_at, Some(host.ip().octets()))?;
                let port = u32::from(host.port()).to_be_bytes();
                put(bytes, layout.store_host_at + 16, Some(port))
            }
            None => Ok(()),
        }
    }
}

/// Appends the record at the start of `record`, patched; returns its size. On an error nothing is
/// appended.
pub fn copy_patched(
    record: &[u8],
    patch: &Patch,
    out: &mut Vec<u8>,
) -> Result<usize, MessageError> {
    let (record, size) = record::split_record(record)?;
    let start = out.len();
    out.extend_from_slice(record);
    let result = match out.get_mut(start..) {
        Some(copy) => patch.apply(copy),
        None => Err(MessageError::Cut),
    };
    if result.is_err() {
        out.truncate(start);
    }
    result.map(|()| size)
}

fn word(bytes: &[u8], at: usize) -> Result<i32, MessageError> {
    bytes
        .get(at..)
        .and_then(|tail| tail.first_chunk::<4>())
        .map(|word| i32::from_be_bytes(*word))
        .ok_or(MessageError::Cut)
}

fn put<const N: usize>(
    bytes: &mut [u8],
    at: usize,
    value: Option<[u8; N]>,
) -> Result<(), MessageError> {
    let Some(value) = value else {
        return Ok(());
    };
    let slot = bytes
        .get_mut(at..)
        .and_then(|tail| tail.first_chunk_mut::<N>())
        .ok_or(MessageError::Cut)?;
    *slot = value;
    Ok(())
}
