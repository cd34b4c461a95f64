//! The sending half of a connection: commands in, bytes out.

use crate::Unencodable;
use crate::cache::MarshalCache;
use crate::canonical::{CanonicalReader, MessageRef, Stamp};
use crate::command::Command;
use crate::commands::MessageDispatch;
use crate::frame::SIZE_PREFIX_BYTES;
use crate::ids::{ConsumerId, Destination};
use crate::loose::LooseWriter;
use crate::negotiate::{Negotiated, VERSION_MAX};
use crate::opened::Opened;
use crate::schema::{BaseCommand, Structure};
use crate::tight::{BitWriter, TightWriter};
use crate::writer::{WriteState, Writer};

/// Type code of MessageDispatch.
const MESSAGE_DISPATCH: u8 = 21;

/// Since this version every field of a message is the same as in the canonical version, except
/// for what its data structure may hold.
const MESSAGE_LAYOUT_VERSION: i32 = 10;

/// Type codes are below this.
const CODES: usize = 128;

/// Encodes what one peer receives.
///
/// Starts loose and uncached; [`Encoder::switch`] applies what was negotiated. Whatever is encoded
/// must be sent, in this order: the peer's cache follows along.
#[derive(Debug)]
pub struct Encoder {
    state: WriteState,
    tight: Option<Tight>,
    frame_bytes_max: usize,
    /// Reads stored records whose bytes do not fit this peer; boxed, since few peers need it.
    records: Option<Box<CanonicalReader>>,
}

#[derive(Debug)]
struct Tight {
    bits: BitWriter,
    /// Bytes the boolean stream took the last time, by type code. A frame is written behind a gap
    /// of that size, so that content is moved only when the guess was wrong.
    gaps: [u8; CODES],
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder for a new connection.
    pub fn new() -> Self {
        Self {
            state: WriteState::new(VERSION_MAX),
            tight: None,
            frame_bytes_max: usize::MAX,
            records: None,
        }
    }

    /// Applies the negotiated encoding to all frames that follow.
    pub fn switch(&mut self, negotiated: &Negotiated) {
        self.state.version = negotiated.version;
        self.state.stack_traces = negotiated.stack_traces;
        self.state.cache = negotiated.cache_slots.map(MarshalCache::new);
        self.frame_bytes_max = negotiated.frame_bytes_max;
        self.tight = negotiated.tight_encoding.then(|| Tight {
            bits: BitWriter::default(),
            gaps: [1; CODES],
        });
    }

    /// Appends the frame of `command` to `out`, or nothing if it fails.
    pub fn encode(&mut self, command: &Command<'_>, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        self.encode_structure(command, out)
    }

    /// As [`Encoder::encode`], for a dispatch that is not wrapped in a [`Command`].
    pub fn encode_dispatch(
        &mut self,
        dispatch: &MessageDispatch<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        self.encode_structure(dispatch, out)
    }

    /// Delivers a stored record to a consumer, with the fields of `stamp` overridden.
    ///
    /// Uncached loose peers get the bytes of the record; for all others the record is decoded,
    /// without copying its content, and encoded anew.
    pub fn encode_record(
        &mut self,
        consumer_id: &ConsumerId,
        destination: &Destination,
        record: &[u8],
        stamp: &Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let opened = self.open(record)?;
        self.encode_opened(consumer_id, destination, opened, stamp, out)
    }

    /// Takes a stored record apart as far as delivering it to this peer needs.
    pub fn open<'a>(&mut self, record: &'a [u8]) -> Result<Opened<'a>, Unencodable> {
        let is_plain = self.tight.is_none()
            && self.state.cache.is_none()
            && self.state.version >= MESSAGE_LAYOUT_VERSION;
        if is_plain {
            let message = MessageRef::parse(record).map_err(Unencodable::Record)?;
            let is_same_structure = self.state.version == VERSION_MAX && !self.state.stack_traces;
            if is_same_structure || !message.has_data_structure() {
                return Ok(Opened::InPlace(message));
            }
        }
        let records = self.records.get_or_insert_default();
        let message = records.decode(record).map_err(Unencodable::Record)?;
        Ok(Opened::Whole(message))
    }

    /// As [`Encoder::encode_record`], for a record that this encoder has opened.
    pub fn encode_opened(
        &mut self,
        consumer_id: &ConsumerId,
        destination: &Destination,
        opened: Opened<'_>,
        stamp: &Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let mut message = match opened {
            Opened::InPlace(message) => {
                return self.copy_record(consumer_id, destination, &message, stamp, out);
            }
            Opened::Whole(message) => message,
        };
        stamp.apply(&mut message);
        let dispatch = MessageDispatch {
            base: BaseCommand::default(),
            consumer_id: Some(consumer_id.clone()),
            destination: Some(destination.clone()),
            message: Some(message),
            redelivery_counter: stamp.redelivery_counter,
        };
        self.encode_structure(&dispatch, out)
    }

    fn copy_record(
        &mut self,
        consumer_id: &ConsumerId,
        destination: &Destination,
        message: &MessageRef<'_>,
        stamp: &Stamp,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let start = out.len();
        out.extend([0; SIZE_PREFIX_BYTES]);
        out.push(MESSAGE_DISPATCH);
        let mut writer = LooseWriter::new(out, &mut self.state);
        let written = writer
            .base(&BaseCommand::default())
            .and_then(|()| writer.nested_ref(Some(consumer_id)))
            .and_then(|()| writer.nested_ref(Some(destination)))
            .and_then(|()| {
                writer.flag(true);
                message.copy_stamped(stamp, writer.out);
                writer.int(&stamp.redelivery_counter)
            });
        self.finish(start, written, out)
    }

    fn encode_structure<'a, T: Structure<'a>>(
        &mut self,
        structure: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        if let Some(cache) = &mut self.state.cache {
            cache.begin_frame();
        }
        let start = out.len();
        let code = structure.code();
        out.extend([0; SIZE_PREFIX_BYTES]);
        out.push(code);
        let written = match &mut self.tight {
            None => structure.write(&mut LooseWriter::new(out, &mut self.state)),
            Some(tight) => tight.write(structure, &mut self.state, out),
        };
        self.finish(start, written, out)
    }

    /// Fills in the size prefix, or takes everything back.
    fn finish(
        &mut self,
        start: usize,
        written: Result<(), Unencodable>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let size = out.len() - start - SIZE_PREFIX_BYTES;
        let limit = self.frame_bytes_max.min(i32::MAX as usize);
        let finished = match written {
            Ok(()) if size > limit => Err(Unencodable::FrameTooLarge { size, limit }),
            written => written,
        };
        if let Err(unencodable) = finished {
            out.truncate(start);
            if let Some(cache) = &mut self.state.cache {
                cache.roll_back_frame();
            }
            return Err(unencodable);
        }
        out[start..start + SIZE_PREFIX_BYTES].copy_from_slice(&(size as u32).to_be_bytes());
        Ok(())
    }
}

impl Tight {
    /// Writes the boolean stream and the data behind the head that ends `out`.
    fn write<'a, T: Structure<'a>>(
        &mut self,
        structure: &T,
        state: &mut WriteState,
        out: &mut Vec<u8>,
    ) -> Result<(), Unencodable> {
        let code = usize::from(structure.code()) % CODES;
        let gap_at = out.len();
        let data_at = gap_at + usize::from(self.gaps[code]);
        out.resize(data_at, 0);
        self.bits.clear();
        structure.write(&mut TightWriter {
            bits: &mut self.bits,
            out,
            state,
        })?;
        let needed = self.bits.encoded_bytes()?;
        if gap_at + needed != data_at {
            let data_end = out.len();
            let moved_end = data_end - data_at + gap_at + needed;
            out.resize(data_end.max(moved_end), 0);
            out.copy_within(data_at..data_end, gap_at + needed);
            out.truncate(moved_end);
            self.gaps[code] = u8::try_from(needed).unwrap_or(1);
        }
        self.bits.write_into(&mut out[gap_at..gap_at + needed]);
        Ok(())
    }
}
