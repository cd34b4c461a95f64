//! Making damaged pages of the index anew from what the log still holds.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use broker::bytes::Undecodable;
use broker::id::{Index, Millis};
use broker::ledger::Rebuilding;
use broker::node::Node;
use store::{Disk, Frame, Kind, NodeId, Options, Store};

use super::{Engine, from_store, to_store};
use crate::config::Config;
use crate::fault::Fault;
use crate::offline::Repaired;

/// Opens a data directory that starts, makes these pages anew and writes that down. Nobody else may
/// work in it meanwhile.
pub(crate) fn rebuild(
    disk: Arc<dyn Disk>,
    config: &Config,
    damaged: &BTreeSet<store::PageSlot>,
) -> Result<Repaired, Fault> {
    let options = Options::new(NodeId(0), Arc::new(|| {}));
    let mut now = Millis(0);
    let opened = Store::open_manual(disk.clone(), options)?;
    let mut engine = Engine::recover(config, opened, |floor| {
        now = floor;
        floor
    })?;
    let survey = store::inspect(disk)?;
    let node = &mut engine.node;
    let slots = damaged.iter().map(|slot| from_store(*slot)).collect();
    let mut rebuilding = node.rebuilding(&slots, &mut |slot| {
        survey.page(to_store(slot)).ok().map(|page| page.to_vec())
    });
    let mut passed_over = 0;
    if !rebuilding.is_empty() {
        for frame in survey.frames() {
            // A start need not read it. What cannot be read is missing, and is treated so.
            let noted = frame.is_ok_and(|frame| note(node, &mut rebuilding, &frame).is_ok());
            passed_over += u64::from(!noted);
        }
    }
    let pages = node.rebuild(rebuilding);
    // Two checkpoints, so that neither of those that are kept names a damaged page.
    engine.checkpoint(now);
    while !engine.can_close() {
        engine.bodies.store.step();
        engine.complete()?;
    }
    engine.close(now)?;
    Ok(Repaired {
        pages,
        passed_over,
        kept: None,
    })
}

fn note(node: &Node, rebuilding: &mut Rebuilding, frame: &Frame) -> Result<(), Undecodable> {
    let index = Index(frame.index().number());
    let time = Millis(frame.time().0);
    let heads = frame.heads();
    let metas = &mut heads.map(|head| (head.slot.number(), head.record_bytes, head.meta));
    match frame.kind() {
        Kind::Cold => node.note_some(rebuilding, index, time, metas),
        Kind::Batch
        | Kind::Blank
        | Kind::Membership
        | Kind::Vote
        | Kind::Truncate
        | Kind::Install
        | Kind::Carry
        | Kind::Seal
        | Kind::MachineVersion => node.note_whole(rebuilding, index, time, metas, frame.facts()),
    }
}
