//! What recovery starts from: the node id and the newest sound checkpoints.

use crate::checkpoint::{Checkpoint, write_whole};
use crate::disk::{Disk, read_all};
use crate::error::{REMEDY_ROOT, StoreError};
use crate::format::{VERSION, decode_node, encode_node};
use crate::ids::{NodeId, SegmentKey};
use crate::renewal::aside;

/// The segments that lie there, ascending.
pub(crate) fn segment_files(disk: &dyn Disk) -> Result<Vec<SegmentKey>, StoreError> {
    let names = disk.list("log").map_err(StoreError::io("log", "list"))?;
    let keys = names.iter().filter_map(|name| SegmentKey::of_file(name));
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    Ok(keys)
}

/// `None`: the directory is still to be born.
pub(crate) fn node_id(
    disk: &dyn Disk,
    names: &[String],
    segments: &[SegmentKey],
) -> Result<Option<NodeId>, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt {
        file: "node".to_owned(),
        offset: 0,
        what: what.to_owned(),
        remedy: REMEDY_ROOT,
    };
    if !names.iter().any(|name| name == "node") {
        let used = names
            .iter()
            .any(|name| Checkpoint::sequence_of(name).is_some());
        if used || !segments.is_empty() {
            return Err(corrupt("the file with the node id is missing"));
        }
        return Ok(None);
    }
    let bytes = disk
        .open("node")
        .and_then(|file| read_all(&*file))
        .map_err(StoreError::io("node", "read"))?;
    match decode_node(&bytes) {
        Some((version, node)) if version == u32::from(VERSION) => Ok(Some(node)),
        Some((version, _)) => {
            let what = format!("a data directory of version {version}");
            Err(StoreError::Unsupported {
                file: "node".to_owned(),
                offset: 8,
                what,
            })
        }
        None => Err(corrupt("the node id is not what was written")),
    }
}

/// Gives a directory its identity.
pub(crate) fn beget(disk: &dyn Disk, newborn: NodeId) -> Result<NodeId, StoreError> {
    write_whole(disk, "node", &[&encode_node(newborn)])?;
    Ok(newborn)
}

/// The checkpoints that count.
pub(crate) struct Roots {
    pub kept: Vec<Checkpoint>,
    pub next: u64,
    pub damaged: Vec<(String, String)>,
    pub outdated: Vec<String>,
    pub notes: Vec<String>,
}

impl Roots {
    pub fn read(
        disk: &dyn Disk,
        node: NodeId,
        names: &[String],
        segments: &[SegmentKey],
    ) -> Result<Roots, StoreError> {
        let mut sequences: Vec<u64> = names
            .iter()
            .filter_map(|name| Checkpoint::sequence_of(name))
            .collect();
        sequences.sort_unstable_by(|a, b| b.cmp(a));
        let next = sequences.first().map_or(1, |newest| newest + 1);
        let mut roots = Roots {
            kept: Vec::new(),
            next,
            damaged: Vec::new(),
            outdated: Vec::new(),
            notes: Vec::new(),
        };
        let mut refusal = None;
        for (age, sequence) in sequences.into_iter().enumerate() {
            let name = Checkpoint::file(sequence);
            // What two younger ones do not name may have been overwritten or deleted.
            if age >= 2 {
                roots.outdated.push(name);
                continue;
            }
            match Checkpoint::read(disk, node, sequence)? {
                Ok(checkpoint) => roots.kept.insert(0, checkpoint),
                Err(damage) => {
                    roots.notes.push(format!("{damage}; it was set aside"));
                    let kept = aside(names, &name);
                    roots.damaged.push((name, kept));
                    refusal = Some(damage);
                }
            }
        }
        match refusal {
            // The log from its first segment on is as good as a checkpoint.
            Some(damage)
                if roots.kept.is_empty() && segments.first() != Some(&SegmentKey::hot(1)) =>
            {
                Err(damage)
            }
            Some(_) | None => Ok(roots),
        }
    }
}
