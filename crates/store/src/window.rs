//! Reads a segment through a moving buffer and finds frames in it.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::error::StoreError;
use crate::format::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, Kind, NoHeader};
use crate::frame::{FRAME_MESSAGES_MAX, verify};
use crate::ids::{NodeId, SegmentKey};

/// A part of a file in memory.
pub(crate) struct Window {
    file: Arc<dyn DiskFile>,
    name: String,
    buffer: Vec<u8>,
    filled: usize,
    start: u64,
    chunk_bytes: usize,
    /// How many were read so far.
    pub read_bytes: u64,
}

impl Window {
    /// Reads at least `chunk_bytes` at a time.
    pub fn new(file: Arc<dyn DiskFile>, name: String, chunk_bytes: usize) -> Window {
        Window {
            file,
            name,
            buffer: Vec::new(),
            filled: 0,
            start: 0,
            chunk_bytes,
            read_bytes: 0,
        }
    }

    /// `None` when the file ends before.
    pub fn bytes(&mut self, offset: u64, count: usize) -> Result<Option<&[u8]>, StoreError> {
        let held = self.start..self.start + self.filled as u64;
        if offset < held.start || offset + count as u64 > held.end {
            let length = self
                .file
                .len()
                .map_err(StoreError::io(&self.name, "measure"))?;
            let rest = length.saturating_sub(offset);
            if (count as u64) > rest {
                return Ok(None);
            }
            let wanted = count.max(rest.min(self.chunk_bytes as u64) as usize);
            if self.buffer.len() < wanted {
                self.buffer = vec![0; wanted];
            }
            let read = self.file.read_at(&mut self.buffer[..wanted], offset);
            self.filled = read.map_err(StoreError::io(&self.name, "read"))?;
            self.read_bytes += self.filled as u64;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.buffer[..self.filled].get(from..from + count))
    }
}

/// Which segment is being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentAt {
    pub node: NodeId,
    pub key: SegmentKey,
    pub base: u64,
}

/// Why there is no frame at an offset.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Torn or damaged; the context decides which.
    Bad(&'static str),
    /// Sound, of a version or kind from the future.
    Unknown(String),
    Failed(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Broken {
        Broken::Failed(error)
    }
}

impl SegmentAt {
    pub fn file(&self) -> String {
        self.key.file()
    }

    /// The header of the frame at `offset`, believed only when it belongs there.
    pub fn header(&self, window: &mut Window, offset: u64) -> Result<(FrameHeader, Kind), Broken> {
        let Some(bytes) = window.bytes(offset, FRAME_HEADER_BYTES)? else {
            return Err(Broken::Bad("the file ends inside a frame header"));
        };
        let header = match FrameHeader::decode(bytes) {
            Ok(header) => header,
            Err(NoHeader::Bad(what)) => return Err(Broken::Bad(what)),
            Err(NoHeader::Version(version)) => {
                return Err(Broken::Unknown(format!("a frame of version {version}")));
            }
        };
        if !header.belongs(self.node, self.key, self.base + offset) {
            return Err(Broken::Bad("a frame of another place lies here"));
        }
        let Some(kind) = Kind::from_disk(header.kind) else {
            return Err(Broken::Unknown(format!("a frame of kind {}", header.kind)));
        };
        let sound = header.sections_length() == u64::from(header.length)
            && header.messages as usize <= FRAME_MESSAGES_MAX
            && header.shard().is_some()
            && header.index().is_some();
        if !sound {
            return Err(Broken::Bad(
                "the numbers of the frame header contradict each other",
            ));
        }
        match kind {
            Kind::Seal => Ok((header, kind)),
            Kind::Cold if self.key.is_cold() => Ok((header, kind)),
            Kind::Batch | Kind::Blank | Kind::MachineVersion if !self.key.is_cold() => {
                Ok((header, kind))
            }
            Kind::Batch
            | Kind::Blank
            | Kind::MachineVersion
            | Kind::Membership
            | Kind::Vote
            | Kind::Truncate
            | Kind::Install
            | Kind::Carry
            | Kind::Cold => Err(Broken::Unknown(format!("a frame of kind {kind:?}"))),
        }
    }

    /// The whole frame at `offset`, every checksum verified: header, kind, sections.
    pub fn frame<'w>(
        &self,
        window: &'w mut Window,
        offset: u64,
    ) -> Result<(FrameHeader, Kind, &'w [u8]), Broken> {
        let (header, kind) = self.header(window, offset)?;
        let Some(bytes) = window.bytes(offset, header.length as usize)? else {
            return Err(Broken::Bad("the file ends inside a frame"));
        };
        let body = &bytes[FRAME_HEADER_BYTES..];
        verify(&header, body).map_err(Broken::Bad)?;
        Ok((header, kind, body))
    }

    /// The highest position known synced that any frame header from `offset` on tells; `None`
    /// when no header of this segment lies there. Sections are not checked: a torn frame, too,
    /// was written after what its header calls synced.
    pub fn synced_beyond(
        &self,
        window: &mut Window,
        offset: u64,
    ) -> Result<Option<u64>, StoreError> {
        let mut highest = None;
        self.headers_beyond(window, offset, &mut |_, header| {
            highest = highest.max(Some(header.synced));
            ControlFlow::Continue(())
        })?;
        Ok(highest)
    }

    /// Where the next header of this segment lies, from `offset` on.
    pub fn frame_beyond(
        &self,
        window: &mut Window,
        offset: u64,
    ) -> Result<Option<u64>, StoreError> {
        let mut next = None;
        self.headers_beyond(window, offset, &mut |at, _| {
            next = Some(at);
            ControlFlow::Break(())
        })?;
        Ok(next)
    }

    fn headers_beyond(
        &self,
        window: &mut Window,
        offset: u64,
        see: &mut dyn FnMut(u64, &FrameHeader) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut at = offset.next_multiple_of(8);
        // Magics are looked for a block at a time; a block ends with room for a whole header.
        const BLOCK_BYTES: usize = 32 << 10;
        loop {
            let mut candidates = Vec::new();
            let mut count = BLOCK_BYTES;
            let block = loop {
                match window.bytes(at, count)? {
                    Some(block) => break block,
                    None if count > FRAME_HEADER_BYTES => {
                        count = (count / 2).max(FRAME_HEADER_BYTES)
                    }
                    None => return Ok(()),
                }
            };
            for (n, word) in block.chunks_exact(8).enumerate() {
                if word[..4] == FRAME_MAGIC {
                    candidates.push(at + n as u64 * 8);
                }
            }
            let step = block.len() as u64 / 8 * 8;
            for candidate in candidates {
                if let Some(bytes) = window.bytes(candidate, FRAME_HEADER_BYTES)?
                    && let Ok(header) = FrameHeader::decode(bytes)
                    && header.belongs(self.node, self.key, self.base + candidate)
                    && see(candidate, &header).is_break()
                {
                    return Ok(());
                }
            }
            at += step;
        }
    }
}
