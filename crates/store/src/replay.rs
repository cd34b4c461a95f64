//! The frames after the checkpoint, read once more, one after the other.

use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::Kind;
use crate::frame::Frame;
use crate::ids::{Index, NodeId, SegmentKey, Shard};
use crate::reader::refuse;
use crate::recovery::WINDOW_BYTES;
use crate::window::{Broken, SegmentAt, Window};

/// Frames of one segment, from one offset to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub number: u32,
    pub base: u64,
    pub start: u64,
    pub end: u64,
}

/// Yields every frame that the checkpoint does not contain, in the order of the log. After an
/// error it ends. It holds no more than a window and the frame it yields.
pub struct Replay {
    disk: Arc<dyn Disk>,
    node: NodeId,
    stretches: std::vec::IntoIter<Stretch>,
    applied: Vec<(Shard, Index)>,
    current: Option<(Stretch, Window)>,
}

impl Replay {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        node: NodeId,
        stretches: Vec<Stretch>,
        applied: Vec<(Shard, Index)>,
    ) -> Replay {
        Replay {
            disk,
            node,
            stretches: stretches.into_iter(),
            applied,
            current: None,
        }
    }

    fn step(&mut self) -> Result<Option<Frame>, StoreError> {
        loop {
            let Some((stretch, window)) = self
                .current
                .as_mut()
                .filter(|(stretch, _)| stretch.start < stretch.end)
            else {
                let Some(stretch) = self.stretches.next() else {
                    return Ok(None);
                };
                let at = SegmentAt {
                    node: self.node,
                    key: SegmentKey::hot(stretch.number),
                    base: stretch.base,
                };
                let name = at.file();
                let file = self
                    .disk
                    .open(&name)
                    .map_err(StoreError::io(&name, "open"))?;
                self.current = Some((stretch, Window::new(file, name, WINDOW_BYTES)));
                continue;
            };
            let at = SegmentAt {
                node: self.node,
                key: SegmentKey::hot(stretch.number),
                base: stretch.base,
            };
            let offset = stretch.start;
            let (header, kind) = at
                .header(window, offset)
                .map_err(|broken| refuse(&at, offset, broken))?;
            stretch.start += u64::from(header.length);
            let (Some(shard), Some(index)) = (header.shard(), header.index()) else {
                continue;
            };
            let applied = self.applied.iter().find(|(s, _)| *s == shard);
            let old = applied.is_some_and(|(_, applied)| index <= *applied);
            if old || shard == Shard::LOG || kind == Kind::Seal {
                continue;
            }
            let (header, kind, body) = at
                .frame(window, offset)
                .map_err(|broken| refuse(&at, offset, broken))?;
            let frame = Frame::from_disk(&header, kind, body).ok_or_else(|| {
                refuse(
                    &at,
                    offset,
                    Broken::Bad("the sections of the frame contradict its header"),
                )
            })?;
            return Ok(Some(frame));
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Frame, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_))) {
            self.stretches = Vec::new().into_iter();
            self.current = None;
        }
        step
    }
}
