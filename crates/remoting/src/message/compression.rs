//! zlib, in and out. Message bodies are never inflated on the way through a broker; foreign doors
//! and registrations need it.

use std::fmt;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Why compressed bytes cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionError {
    NotZlib,
    TooLarge { bytes_max: usize },
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotZlib => f.write_str("compressed bytes are not zlib"),
            Self::TooLarge { bytes_max } => write!(f, "inflates to more than {bytes_max} bytes"),
        }
    }
}

impl std::error::Error for CompressionError {}

/// Inflates zlib bytes; memory grows with what comes out and stops at `bytes_max`.
pub fn inflate(bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    let ceiling = (bytes_max as u64).saturating_add(1);
    ZlibDecoder::new(bytes)
        .take(ceiling)
        .read_to_end(&mut out)
        .map_err(|_| CompressionError::NotZlib)?;
    if out.len() > bytes_max {
        return Err(CompressionError::TooLarge { bytes_max });
    }
    Ok(out)
}

/// Deflates to zlib bytes.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing into a vector cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
