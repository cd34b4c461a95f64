//! A data directory while no server works in it: what lies there, what it holds, why a server
//! refuses to start on it, and the mending of what can be mended.
//!
//! Looking changes nothing. Repairing makes the pages of the index anew, which are the only files
//! that say nothing that the log does not say, too; a damaged segment or the loss of both
//! checkpoints cannot be mended, only restored from a copy.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use broker::id::{Index, Millis};
use broker::node::{Holding, Node};
use store::{FileDisk, PageSlot, ReadOnlyDisk, StoreError, Survey};

use crate::config::Config;
use crate::engine::rebuild_pages;
use crate::fault::Fault;
use crate::founding::founding;

pub use broker::ledger::Rebuilt;

/// The file in which the pages of the index lie.
const PAGE_FILE: &str = "pages";

/// A data directory that no server works in.
pub struct Directory {
    survey: Survey,
}

/// A queue or a partition, and what it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    pub name: String,
    pub holding: Holding,
}

/// What a data directory holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    pub queues: Vec<Held>,
    pub partitions: Vec<Held>,
    /// Messages that are kept until they are due.
    pub kept: u64,
    /// Frames that a start would replay.
    pub replayed: u64,
}

impl Directory {
    /// Refuses if a server works there, or if it is no data directory.
    pub fn open(path: &Path) -> Result<Directory, Fault> {
        let survey = store::inspect(Arc::new(ReadOnlyDisk::new(path)))?;
        if survey.in_use {
            let file = path.join("lock").display().to_string();
            return Err(Fault::Store(StoreError::Locked { file }));
        }
        if survey.node.is_none() && survey.refusal.is_none() {
            return Err(Fault::NoDataDirectory { path: path.into() });
        }
        Ok(Directory { survey })
    }

    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Brings a node to where a start would, and looks at what it holds. The error is why a server
    /// would not start.
    pub fn contents(&mut self, config: &Config) -> Result<Contents, Fault> {
        if let Some(refusal) = self.survey.refusal.take() {
            return Err(refusal.into());
        }
        let mut node = match self.survey.checkpoint() {
            Some(root) => Node::restore(founding(config), &root.state).map_err(Fault::Restore)?,
            None => Node::new(founding(config)),
        };
        let mut replayed = 0;
        for frame in self.survey.replay() {
            let frame = frame?;
            let index = Index(frame.index().number());
            let mut metas = frame.heads().map(|head| (head.record_bytes, head.meta));
            node.replay(index, Millis(frame.time().0), &mut metas, frame.facts())
                .map_err(|reason| Fault::Replay {
                    index: index.0,
                    reason,
                })?;
            replayed += 1;
        }
        Ok(named(&node, replayed))
    }

    /// Pages that a start would rely on and that cannot be read.
    pub fn damaged_pages(&self) -> BTreeSet<PageSlot> {
        let Some(root) = self.survey.checkpoint() else {
            return BTreeSet::new();
        };
        let pages = root.pages.into_iter();
        pages
            .filter(|slot| self.survey.page(*slot).is_err())
            .collect()
    }

    /// Whether it is the page file as a whole that keeps a server from starting.
    pub fn has_lost_pages(&self) -> bool {
        matches!(&self.survey.refusal, Some(StoreError::Corrupt { file, .. }) if file == PAGE_FILE)
    }
}

fn named(node: &Node, replayed: u64) -> Contents {
    let topology = node.topology();
    let holdings = node.holdings();
    let queue = |(id, holding)| Held {
        name: match topology.queue_by_id(id) {
            Some(queue) => queue.spec.name.to_string(),
            None => format!("queue {id} without a name"),
        },
        holding,
    };
    let partition = |(id, holding): (broker::id::PartitionId, Holding)| Held {
        name: match topology.address_by_id(id.address) {
            Some(address) => format!("{}/{}", address.spec.name, id.number),
            None => format!("partition {id} without a name"),
        },
        holding,
    };
    let mut queues: Vec<_> = holdings.queues.into_iter().map(queue).collect();
    let mut partitions: Vec<_> = holdings.partitions.into_iter().map(partition).collect();
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    partitions.sort_by(|a, b| a.name.cmp(&b.name));
    Contents {
        queues,
        partitions,
        kept: holdings.kept,
        replayed,
    }
}

/// Makes the damaged pages of the index anew. A page file that cannot be used at all is set aside
/// as `pages.damaged` first. The error is a damage that this does not mend.
pub fn repair(path: &Path, config: &Config) -> Result<Rebuilt, Fault> {
    let mut directory = Directory::open(path)?;
    if directory.has_lost_pages() {
        drop(directory);
        store::renew_pages(&FileDisk::new(path))?;
        directory = Directory::open(path)?;
    }
    if let Some(refusal) = directory.survey.refusal.take() {
        return Err(refusal.into());
    }
    let damaged = directory.damaged_pages();
    // Its lock is let go.
    drop(directory);
    if damaged.is_empty() {
        return Ok(Rebuilt::default());
    }
    rebuild_pages(path, config, &damaged)
}
