//! A block: items under ascending keys in one piece, as it is written to a file and read back.
//!
//! ```text
//! table, 16 bytes for each item:   0  8  key    8  4  start, counted from the first item    12  4  length
//! then the items, back to back
//! ```
//!
//! The table lies in the file with the items, so that what stays in memory of a block on the disk does not
//! grow with the number of its items.

use std::ops::Range;

/// A line of the table.
pub(super) const LINE_BYTES: usize = 16;

/// Items that lie together. There is at least one.
pub(super) struct Block {
    pub first: u64,
    pub last: u64,
    pub count: u32,
    pub bytes: Vec<u8>,
}

impl Block {
    /// Lays out items whose keys ascend; `None` if there are none.
    pub fn compose(items: &[(u64, &[u8])]) -> Option<Block> {
        let ((first, _), (last, _)) = (items.first()?, items.last()?);
        let items_bytes: usize = items.iter().map(|(_, item)| item.len()).sum();
        let mut bytes = Vec::with_capacity(items.len() * LINE_BYTES + items_bytes);
        let number = |n: usize| u32::try_from(n).expect("a block is smaller than 4 GB");
        let mut start = 0;
        for (key, item) in items {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&number(start).to_le_bytes());
            bytes.extend_from_slice(&number(item.len()).to_le_bytes());
            start += item.len();
        }
        items
            .iter()
            .for_each(|(_, item)| bytes.extend_from_slice(item));
        Some(Block {
            first: *first,
            last: *last,
            count: number(items.len()),
            bytes,
        })
    }
}

/// Where the table of so many items ends.
pub(super) fn table_bytes(count: u32) -> usize {
    count as usize * LINE_BYTES
}

/// Where an item lies, counted from the first one.
pub(super) fn find(table: &[u8], key: u64) -> Option<Range<usize>> {
    let (lines, _) = table.as_chunks::<LINE_BYTES>();
    let at = lines.binary_search_by_key(&key, key_of).ok()?;
    Some(range_of(&lines[at]))
}

/// The items of a block, with their keys.
pub(super) fn items(block: &[u8], count: u32) -> impl Iterator<Item = (u64, &[u8])> {
    let (table, items) = block.split_at(table_bytes(count).min(block.len()));
    let (lines, _) = table.as_chunks::<LINE_BYTES>();
    lines
        .iter()
        .filter_map(|line| Some((key_of(line), items.get(range_of(line))?)))
}

fn key_of(line: &[u8; LINE_BYTES]) -> u64 {
    u128::from_le_bytes(*line) as u64
}

fn range_of(line: &[u8; LINE_BYTES]) -> Range<usize> {
    let line = u128::from_le_bytes(*line);
    let (start, length) = ((line >> 64) as u32 as usize, (line >> 96) as u32 as usize);
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_where_they_were_laid() {
        assert!(Block::compose(&[]).is_none());
        let long = [7; 300];
        let laid: [(u64, &[u8]); 4] = [
            (3, b"abc"),
            (4, b""),
            (u64::MAX - 1, &long),
            (u64::MAX, b"z"),
        ];
        let block = Block::compose(&laid).unwrap();
        assert_eq!((block.first, block.last, block.count), (3, u64::MAX, 4));
        let (table, rest) = block.bytes.split_at(table_bytes(block.count));
        for (key, item) in laid {
            assert_eq!(&rest[find(table, key).unwrap()], item, "{key}");
        }
        assert_eq!((find(table, 2), find(table, 5)), (None, None));
        assert!(items(&block.bytes, block.count).eq(laid));
        // One that is cut gives what it has.
        let cut = &block.bytes[..block.bytes.len() - 1];
        assert!(items(cut, block.count).eq(laid[..3].iter().copied()));
    }
}
