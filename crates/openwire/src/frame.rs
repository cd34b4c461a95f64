//! Frames: `i32 size | u8 type | body`, where the size does not count itself.

use crate::Malformed;

/// Bytes of the size prefix.
pub const SIZE_PREFIX_BYTES: usize = 4;

/// The first frame in `bytes`, without its size prefix, or none if it is not complete yet.
///
/// An oversized frame is refused as soon as its prefix is there.
pub fn split_frame(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<&[u8]>, Malformed> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<SIZE_PREFIX_BYTES>() else {
        return Ok(None);
    };
    let size = i32::from_be_bytes(*prefix);
    let frame_bytes = usize::try_from(size)
        .ok()
        .filter(|&bytes| bytes > 0)
        .ok_or(Malformed::FrameSize { size })?;
    if frame_bytes > frame_bytes_max {
        return Err(Malformed::FrameTooLarge {
            size: frame_bytes,
            limit: frame_bytes_max,
        });
    }
    Ok(rest.get(..frame_bytes))
}
