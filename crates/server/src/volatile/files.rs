//! Which block lies in which file, and which files can go.
//!
//! Blocks are written one behind the other into the newest file until that is full. A file goes with its last block;
//! one of which little still lives is gathered: its blocks are read back and written again somewhere else.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FileId(pub u64);

/// Where a block begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    pub file: FileId,
    pub offset: u64,
}

pub(super) struct Files {
    files: BTreeMap<FileId, Holding>,
    /// Takes the next block.
    newest: Option<FileId>,
    next: u64,
    /// A file takes no more blocks when it is as large; a larger block has a file of its own.
    file_bytes: u64,
}

#[derive(Default)]
struct Holding {
    bytes: u64,
    /// Of the items that are not released.
    live_bytes: u64,
    /// The numbers of the blocks in it.
    blocks: BTreeSet<u64>,
    gathered: bool,
}

impl Files {
    pub fn new(file_bytes: u64) -> Files {
        Files {
            files: BTreeMap::new(),
            newest: None,
            next: 0,
            file_bytes,
        }
    }

    /// Finds room for a block.
    pub fn place(&mut self, block: u64, bytes: u64) -> Spot {
        let room =
            |holding: &Holding| holding.bytes == 0 || holding.bytes + bytes <= self.file_bytes;
        let newest = self
            .newest
            .filter(|file| self.files.get(file).is_some_and(room));
        let file = newest.unwrap_or_else(|| {
            self.next += 1;
            FileId(self.next)
        });
        self.newest = Some(file);
        let holding = self.files.entry(file).or_default();
        let offset = holding.bytes;
        holding.bytes += bytes;
        holding.live_bytes += bytes;
        holding.blocks.insert(block);
        Spot { file, offset }
    }

    /// Nothing more is written to a file in which a write has failed.
    pub fn seal(&mut self, file: FileId) {
        if self.newest == Some(file) {
            self.newest = None;
        }
    }

    /// Some items of a file were released; the blocks that should be written elsewhere because of it.
    pub fn wane(&mut self, file: FileId, bytes: u64) -> Vec<u64> {
        let Some(holding) = self.files.get_mut(&file) else {
            return Vec::new();
        };
        holding.live_bytes = holding.live_bytes.saturating_sub(bytes);
        let sparse = holding.live_bytes < holding.bytes / 4;
        if !sparse || holding.gathered || self.newest == Some(file) {
            return Vec::new();
        }
        holding.gathered = true;
        holding.blocks.iter().copied().collect()
    }

    /// A block is gone from its file, with so many bytes that were live; tells whether the file can go.
    #[must_use]
    pub fn leave(&mut self, file: FileId, block: u64, live_bytes: u64) -> bool {
        let Some(holding) = self.files.get_mut(&file) else {
            return false;
        };
        holding.blocks.remove(&block);
        holding.live_bytes = holding.live_bytes.saturating_sub(live_bytes);
        let empty = holding.blocks.is_empty();
        if empty {
            self.files.remove(&file);
            self.seal(file);
        }
        empty
    }

    /// How many bytes all files have.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|holding| holding.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_filled_in_turn_and_go_when_empty() {
        let mut files = Files::new(100);
        let spot = |file, offset| Spot {
            file: FileId(file),
            offset,
        };
        for (block, bytes, at) in [
            (1, 60, spot(1, 0)),
            (2, 40, spot(1, 60)),
            (3, 300, spot(2, 0)),
            (4, 99, spot(3, 0)),
            (5, 1, spot(3, 99)),
        ] {
            assert_eq!(files.place(block, bytes), at);
        }
        assert_eq!(files.bytes(), 500);
        assert!(!files.leave(FileId(1), 1, 60));
        assert!(files.leave(FileId(1), 2, 40));
        assert!(files.leave(FileId(2), 3, 300));
        assert_eq!(files.bytes(), 100);
        files.seal(FileId(3));
        assert_eq!(files.place(6, 1), spot(4, 0));
        // The newest one goes, too, and is not written to again.
        assert!(files.leave(FileId(4), 6, 1));
        assert_eq!(files.place(7, 1), spot(5, 0));
    }

    #[test]
    fn a_sparse_file_is_gathered_once() {
        let mut files = Files::new(100);
        files.place(1, 50);
        files.place(2, 50);
        assert!(
            files.wane(FileId(1), 80).is_empty(),
            "it may still be filled"
        );
        files.place(3, 10);
        assert_eq!(files.wane(FileId(1), 1), [1, 2]);
        assert!(files.wane(FileId(1), 1).is_empty());
        assert!(!files.leave(FileId(1), 1, 10));
        assert!(files.leave(FileId(1), 2, 8));
    }
}
