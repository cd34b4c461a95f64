//! Making damaged pages of the index anew from what the log still holds.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use broker::id::{Index, Millis};
use broker::ledger::Rebuilt;
use store::{FileDisk, Kind, NodeId, Options, ReadOnlyDisk, Store};

use super::{Engine, from_store, to_store};
use crate::config::Config;
use crate::fault::Fault;

/// Opens a data directory that starts, makes these pages anew and writes that down.
pub(crate) fn rebuild(
    data_dir: &Path,
    config: &Config,
    damaged: &BTreeSet<store::PageSlot>,
) -> Result<Rebuilt, Fault> {
    let disk = Arc::new(FileDisk::new(data_dir));
    let options = Options::new(NodeId(0), Arc::new(|| {}));
    let mut now = Millis(0);
    let opened = Store::open_manual(disk, options)?;
    let mut engine = Engine::recover(config, opened, |floor| {
        now = floor;
        floor
    })?;
    // The store holds the lock now; what it looks at does not change meanwhile.
    let survey = store::inspect(Arc::new(ReadOnlyDisk::new(data_dir)))?;
    let node = &mut engine.node;
    let slots = damaged.iter().map(|slot| from_store(*slot)).collect();
    let mut rebuilding = node.rebuilding(&slots, &mut |slot| {
        survey.page(to_store(slot)).ok().map(|page| page.to_vec())
    });
    if !rebuilding.is_empty() {
        for frame in survey.frames() {
            let frame = frame?;
            let index = Index(frame.index().number());
            let time = Millis(frame.time().0);
            let heads = frame.heads();
            let metas = &mut heads.map(|head| (head.slot.number(), head.record_bytes, head.meta));
            let noted = match frame.kind() {
                Kind::Cold => node.note_some(&mut rebuilding, index, time, metas),
                Kind::Batch
                | Kind::Blank
                | Kind::Membership
                | Kind::Vote
                | Kind::Truncate
                | Kind::Install
                | Kind::Carry
                | Kind::Seal
                | Kind::MachineVersion => {
                    node.note_whole(&mut rebuilding, index, time, metas, frame.facts())
                }
            };
            noted.map_err(|reason| Fault::Replay {
                index: index.0,
                reason,
            })?;
        }
    }
    let rebuilt = node.rebuild(rebuilding);
    // Two checkpoints, so that neither of those that are kept names a damaged page.
    engine.checkpoint(now);
    while !engine.can_close() {
        engine.bodies.store.step();
        engine.complete()?;
    }
    engine.close(now)?;
    Ok(rebuilt)
}
