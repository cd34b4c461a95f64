//! The page file before its pages are made anew: what lies there is kept under another name, for
//! nothing that was damaged is ever thrown away; one that cannot be used at all gives its place to
//! an empty one. Until the pages have been made, none that a checkpoint names can be read then.

use crate::checkpoint::Checkpoint;
use crate::disk::{Disk, write_at};
use crate::error::StoreError;
use crate::pages::{Bitmap, PageFile};
use crate::roots::{node_id, segment_files};

/// So many bytes are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// A name for a damaged file that no other has.
pub(crate) fn aside(names: &[String], file: &str) -> String {
    let numbered = (2u64..).map(|number| format!("{file}.damaged-{number}"));
    let mut free = std::iter::once(format!("{file}.damaged")).chain(numbered);
    let is_free = |name: &String| !names.contains(name);
    free.find(is_free).expect("numbers do not end")
}

/// Copies the page file, durably; tells the name of the copy. It takes as much room as the file.
pub fn copy_pages(disk: &dyn Disk) -> Result<String, StoreError> {
    let name = PageFile::file_name();
    let names = disk.list("").map_err(StoreError::io("", "list"))?;
    let to = aside(&names, name);
    // A draft that is left over is removed by the next start.
    let draft = format!("{to}.tmp");
    if names.contains(&draft) {
        disk.remove(&draft)
            .map_err(StoreError::io(&draft, "remove"))?;
    }
    let from = disk.open(name).map_err(StoreError::io(name, "open"))?;
    let copy = disk
        .create(&draft)
        .map_err(StoreError::io(&draft, "create"))?;
    let mut bytes = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let read = from.read_at(&mut bytes, offset);
        let read = read.map_err(StoreError::io(name, "read"))?;
        if read == 0 {
            break;
        }
        write_at(&*copy, &bytes[..read], offset).map_err(StoreError::io(&draft, "write"))?;
        offset += read as u64;
    }
    copy.sync_data().map_err(StoreError::io(&draft, "sync"))?;
    disk.rename(&draft, &to)
        .map_err(StoreError::io(&to, "rename a draft to"))?;
    disk.sync_dir("").map_err(StoreError::io("", "sync"))?;
    Ok(to)
}

/// Sets the page file aside, if there is one, and makes an empty one with room for all pages that any
/// checkpoint names. Tells the new name of the old one.
pub fn renew_pages(disk: &dyn Disk) -> Result<Option<String>, StoreError> {
    let file = PageFile::file_name();
    let names = disk.list("").map_err(StoreError::io("", "list"))?;
    let Some(node) = node_id(disk, &names, &segment_files(disk)?)? else {
        return Ok(None);
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
    let is_there = names.iter().any(|name| name == file);
    let kept = is_there.then(|| aside(&names, file));
    if let Some(kept) = &kept {
        disk.rename(file, kept)
            .map_err(StoreError::io(file, "rename"))?;
    }
    PageFile::open(disk, node, &Bitmap::default())?.make_room(slots)?;
    disk.sync_dir("").map_err(StoreError::io("", "sync"))?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::read_all;
    use crate::ids::NodeId;
    use crate::sim::SimDisk;

    #[test]
    fn every_damaged_file_is_kept() {
        let disk = SimDisk::new();
        PageFile::open(&disk, NodeId(7), &Bitmap::default()).unwrap();
        let contents = |name: &str| read_all(&*disk.open(name).unwrap()).unwrap();
        for name in ["pages.damaged", "pages.damaged-2", "pages.damaged-3"] {
            disk.flip("pages", 100, 1);
            assert_eq!(copy_pages(&disk).unwrap(), name);
            assert_eq!(contents(name), contents("pages"));
        }
        assert_ne!(contents("pages.damaged"), contents("pages.damaged-2"));
    }
}
