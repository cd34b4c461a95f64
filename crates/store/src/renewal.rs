//! An empty page file in the place of one that cannot be used: the first step of making its pages
//! anew. Until that has been done, every page that a checkpoint names cannot be read.

use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::pages::{Bitmap, PageFile};
use crate::roots::{node_id, segment_files};

/// Sets the page file aside as `pages.damaged`, if there is one, and makes an empty one with room for
/// all pages that any checkpoint names.
pub fn renew_pages(disk: &dyn Disk) -> Result<(), StoreError> {
    let file = PageFile::file_name();
    let names = disk.list("").map_err(StoreError::io("", "list"))?;
    let Some(node) = node_id(disk, &names, &segment_files(disk)?)? else {
        return Ok(());
    };
    let mut slots = 0;
    for sequence in names
        .iter()
        .filter_map(|name| Checkpoint::sequence_of(name))
    {
        if let Ok(checkpoint) = Checkpoint::read(disk, node, sequence)? {
            let last = checkpoint.pages.iter().map(|slot| slot.0).max();
            slots = slots.max(last.map_or(0, |last| u64::from(last) + 1));
        }
    }
    if names.iter().any(|name| name == file) {
        let aside = format!("{file}.damaged");
        disk.rename(file, &aside)
            .map_err(StoreError::io(file, "rename"))?;
    }
    PageFile::open(disk, node, &Bitmap::default())?.make_room(slots)?;
    disk.sync_dir("").map_err(StoreError::io("", "sync"))
}
