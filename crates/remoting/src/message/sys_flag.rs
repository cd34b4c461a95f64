//! The bits of a message's system flag.

/// The body is compressed; how is in [`COMPRESSION_MASK`].
pub const COMPRESSED: i32 = 1;
pub const MULTI_TAGS: i32 = 1 << 1;
/// The two bits of a transaction; both zero means none.
pub const TRANSACTION_MASK: i32 = 3 << 2;
pub const PREPARED: i32 = 1 << 2;
pub const COMMIT: i32 = 2 << 2;
pub const ROLLBACK: i32 = 3 << 2;
/// The born host is an IPv6 address.
pub const BORN_HOST_V6: i32 = 1 << 4;
/// The store host is an IPv6 address.
pub const STORE_HOST_V6: i32 = 1 << 5;
/// The message wraps others, which a reader has to take out.
pub const NEED_UNWRAP: i32 = 1 << 6;
pub const INNER_BATCH: i32 = 1 << 7;
/// 0 and 3 zlib, 1 LZ4, 2 ZSTD, in bits 8 to 10.
pub const COMPRESSION_MASK: i32 = 7 << 8;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Zlib,
    Lz4,
    Zstd,
    /// A number that no release has given a meaning.
    Unknown,
}

/// What the flag says of the body.
pub fn compression(sys_flag: i32) -> Compression {
    if sys_flag & COMPRESSED == 0 {
        return Compression::None;
    }
    match (sys_flag & COMPRESSION_MASK) >> 8 {
        0 | 3 => Compression::Zlib,
        1 => Compression::Lz4,
        2 => Compression::Zstd,
        _ => Compression::Unknown,
    }
}

/// The flag with other transaction bits; `bits` is one of the constants above, or 0.
pub fn with_transaction(sys_flag: i32, bits: i32) -> i32 {
    (sys_flag & !TRANSACTION_MASK) | (bits & TRANSACTION_MASK)
}
