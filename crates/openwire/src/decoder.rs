//! The receiving half of a connection: bytes in, commands out.

use crate::cache::UnmarshalCache;
use crate::command::Command;
use crate::frame::{SIZE_PREFIX_BYTES, split_frame};
use crate::input::Input;
use crate::limits::{
    CACHE_BYTES_MAX, UNAUTHENTICATED_CACHE_BYTES_MAX, UNAUTHENTICATED_FRAME_BYTES_MAX,
};
use crate::loose::LooseReader;
use crate::negotiate::{Negotiated, VERSION_MAX};
use crate::reader::ReadState;
use crate::schema::Structure;
use crate::tight::{BitReader, TightReader};
use crate::{Limits, Malformed};

/// Type code of a frame that says nothing.
const NULL: u8 = 0;

/// Type code of WireFormatInfo, the only command before the negotiation.
const WIRE_FORMAT_INFO: u8 = 1;

/// One frame taken off the front of the input.
#[derive(Debug, PartialEq)]
pub struct Received<'a> {
    /// Bytes to drop from the front of the input.
    pub consumed: usize,
    /// None for a null frame, which is to be ignored.
    pub command: Option<Command<'a>>,
}

/// Decodes what one peer sends.
///
/// Starts loose and uncached, accepting nothing but WireFormatInfo; [`Decoder::switch`] applies
/// what was negotiated. After an error the stream cannot be resynchronised: close it.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: ReadState,
    encoding: Encoding,
    frame_bytes_max: usize,
    cache_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Unnegotiated,
    Loose,
    Tight,
}

impl Decoder {
    /// A decoder for a new connection, which may send small frames only.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: ReadState::new(VERSION_MAX, limits),
            encoding: Encoding::Unnegotiated,
            frame_bytes_max: UNAUTHENTICATED_FRAME_BYTES_MAX,
            cache_bytes_max: UNAUTHENTICATED_CACHE_BYTES_MAX,
        }
    }

    /// Applies the negotiated encoding to all frames that follow. The frame limit stays; see
    /// [`Decoder::allow_frames_of`].
    pub fn switch(&mut self, negotiated: &Negotiated) {
        self.state.version = negotiated.version;
        self.state.stack_traces = negotiated.stack_traces;
        let bytes_max = self.cache_bytes_max;
        let cache = |slots| UnmarshalCache::new(slots, bytes_max);
        self.state.cache = negotiated.cache_slots.map(cache);
        self.encoding = if negotiated.tight_encoding {
            Encoding::Tight
        } else {
            Encoding::Loose
        };
    }

    /// Sets the largest frame, without its size prefix, once the peer has authenticated; it may
    /// also use the cache as it likes from now on.
    pub fn allow_frames_of(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
        self.cache_bytes_max = CACHE_BYTES_MAX;
        if let Some(cache) = &mut self.state.cache {
            cache.allow_bytes(CACHE_BYTES_MAX);
        }
    }

    /// Decodes the first frame of `bytes`; none if it is not complete yet.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Received<'a>>, Malformed> {
        let Some(frame) = split_frame(bytes, self.frame_bytes_max)? else {
            return Ok(None);
        };
        let command = self.decode_frame(frame)?;
        Ok(Some(Received {
            consumed: SIZE_PREFIX_BYTES + frame.len(),
            command,
        }))
    }

    /// Decodes one frame that has lost its size prefix; none for a null frame.
    pub fn decode_frame<'a>(&mut self, frame: &'a [u8]) -> Result<Option<Command<'a>>, Malformed> {
        let mut input = Input::new(frame);
        let code = input.u8()?;
        if code == NULL {
            return if input.remaining() == 0 {
                Ok(None)
            } else {
                Err(Malformed::Trailing {
                    bytes: input.remaining(),
                })
            };
        }
        if !Command::accepts(code) {
            return Err(Malformed::UnknownType { code });
        }
        self.state.begin_frame();
        let state = &mut self.state;
        match self.encoding {
            Encoding::Unnegotiated if code != WIRE_FORMAT_INFO => {
                Err(Malformed::BeforeNegotiation { code })
            }
            Encoding::Unnegotiated | Encoding::Loose => read_loose(code, input, state).map(Some),
            Encoding::Tight => read_tight(code, input, state).map(Some),
        }
    }
}

/// Reads the fields of a structure that fills the rest of its frame.
pub(crate) fn read_loose<'a, T: Structure<'a>>(
    code: u8,
    input: Input<'a>,
    state: &mut ReadState,
) -> Result<T, Malformed> {
    let mut reader = LooseReader { input, state };
    let structure = T::read(code, &mut reader)?;
    match reader.input.remaining() {
        0 => Ok(structure),
        bytes => Err(Malformed::Trailing { bytes }),
    }
}

fn read_tight<'a, T: Structure<'a>>(
    code: u8,
    mut input: Input<'a>,
    state: &mut ReadState,
) -> Result<T, Malformed> {
    let bits = BitReader::read(&mut input)?;
    let mut reader = TightReader { bits, input, state };
    let structure = T::read(code, &mut reader)?;
    match (reader.input.remaining(), reader.bits.unread_bytes()) {
        (0, 0) => Ok(structure),
        (0, bytes) => Err(Malformed::TrailingBits { bytes }),
        (bytes, _) => Err(Malformed::Trailing { bytes }),
    }
}
