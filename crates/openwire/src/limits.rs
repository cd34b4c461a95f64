//! The ceilings a decoder applies before it allocates anything.

/// Largest frame, size prefix excluded, that a peer may send before it has authenticated. With
/// [`UNAUTHENTICATED_CACHE_BYTES_MAX`] and the 2 KB of recent names it stays below 8 KB.
pub const UNAUTHENTICATED_FRAME_BYTES_MAX: usize = 5 * 1024;

/// What the unmarshalling cache may hold before its peer has authenticated: the id of a connection
/// and little else goes through it until then.
pub const UNAUTHENTICATED_CACHE_BYTES_MAX: usize = 1024;

/// What the unmarshalling cache may hold afterwards: its slots and the texts in them. All slots
/// of a Java client, with ids of 200 bytes, take less.
pub const CACHE_BYTES_MAX: usize = 8 << 20;

/// The lengths a plain string field can carry: an unsigned 16-bit length when loose.
pub const LOOSE_STRING_BYTES_MAX: usize = 65_535;

/// Clients refuse to read tight strings of 32767 bytes and more.
pub const TIGHT_STRING_BYTES_MAX: usize = 32_766;

/// Array counts are signed 16-bit numbers.
pub const ARRAY_ELEMENTS_MAX: usize = 32_767;

/// What a peer can make a decoder hold, besides the frame itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one string field.
    pub string_bytes_max: usize,
    /// Elements of one array field.
    pub array_elements_max: usize,
    /// Depth of structures inside structures; each level takes some 30 KB of stack without
    /// optimization. A dispatch of an advisory about a message comes to five.
    pub nesting_max: usize,
    /// Depth of causes inside a throwable.
    pub causes_max: usize,
    /// Stack frames of one throwable.
    pub stack_frames_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            string_bytes_max: LOOSE_STRING_BYTES_MAX,
            array_elements_max: 8_192,
            nesting_max: 12,
            causes_max: 32,
            stack_frames_max: 2_048,
        }
    }
}
