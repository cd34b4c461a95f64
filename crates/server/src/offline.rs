//! A data directory while no server works in it: what lies there, what it holds, why a server
//! refuses to start on it, and the mending of what can be mended.
//!
//! Looking changes nothing. Repairing makes the pages of the index anew, which are the only files
//! that say nothing that the log does not say, too; a damaged segment or the loss of both
//! checkpoints cannot be mended, only restored from a copy. Nothing that was damaged is thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use broker::id::{Durability, Index, Millis, PartitionId, QueueId};
use broker::ledger::{PageOwner, Rebuilt};
use broker::node::{Holding, Node};
use broker::topology::Topology;
use store::{Disk, FileDisk, HeldDisk, PageSlot, ReadOnlyDisk, StoreError, Survey};

use crate::config::Config;
use crate::engine::rebuild_pages;
use crate::fault::Fault;
use crate::founding::founding;

pub use store::SegmentState;

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
    /// What it was declared as; partitions always are durable.
    pub durable: bool,
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
    /// Whose pages of the index cannot be read, and how many of them; `None`: they went since the
    /// checkpoint.
    pub damaged: Vec<(Option<String>, u64)>,
}

/// What came of a repair.
#[derive(Debug, Default)]
pub struct Repaired {
    pub pages: Rebuilt,
    /// Damaged places of the log that were passed over.
    pub passed_over: u64,
    /// The name under which the damaged page file is kept, if there was one.
    pub kept: Option<String>,
}

impl Directory {
    /// Refuses if a server works there, or if it is no data directory.
    pub fn open(path: &Path) -> Result<Directory, Fault> {
        Directory::look(path, Arc::new(ReadOnlyDisk::new(path)))
    }

    fn look(path: &Path, disk: Arc<dyn Disk>) -> Result<Directory, Fault> {
        let survey = store::inspect(disk).map_err(|error| named(path, error))?;
        if survey.in_use {
            return Err(named(
                path,
                StoreError::Locked {
                    file: "lock".into(),
                },
            )
            .into());
        }
        if survey.node.is_none() && survey.refusal.is_none() {
            return Err(Fault::NoDataDirectory { path: path.into() });
        }
        Ok(Directory { survey })
    }

    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Why the store of a server would refuse to start, taken out of the survey.
    pub fn take_refusal(&mut self) -> Option<Fault> {
        self.survey.refusal.take().map(Fault::from)
    }

    /// Brings a node to where a start would, and looks at what it holds: also if only the page file
    /// keeps a server from starting. `None`: the survey has another refusal. The error is why a
    /// server would not start though the store does.
    pub fn contents(&self, config: &Config) -> Result<Option<Contents>, Fault> {
        if self.survey.refusal.is_some() && !self.has_lost_pages() {
            return Ok(None);
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
        Ok(Some(contents(&node, replayed, &self.damaged_pages())))
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

/// An error of the store names files of the data directory; this one names the directory, too.
fn named(path: &Path, error: StoreError) -> StoreError {
    let full = |file: String| match file.as_str() {
        "" => path.display().to_string(),
        file => path.join(file).display().to_string(),
    };
    match error {
        StoreError::Io { file, what, source } => StoreError::Io {
            file: full(file),
            what,
            source,
        },
        StoreError::Locked { file } => StoreError::Locked { file: full(file) },
        error @ (StoreError::Corrupt { .. } | StoreError::Unsupported { .. }) => error,
    }
}

fn queue_name(topology: &Topology, id: QueueId) -> String {
    match topology.queue_by_id(id) {
        Some(queue) => queue.spec.name.to_string(),
        None => format!("queue {id} without a name"),
    }
}

fn partition_name(topology: &Topology, id: PartitionId) -> String {
    match topology.address_by_id(id.address) {
        Some(address) => format!("{}/{}", address.spec.name, id.number),
        None => format!("partition {id} without a name"),
    }
}

fn contents(node: &Node, replayed: u64, damaged: &BTreeSet<PageSlot>) -> Contents {
    let topology = node.topology();
    let holdings = node.holdings();
    let queues = holdings.queues.into_iter().map(|(id, holding)| Held {
        name: queue_name(topology, id),
        durable: match id.durability() {
            Durability::Durable => true,
            Durability::Volatile => false,
        },
        holding,
    });
    let partitions = holdings.partitions.into_iter().map(|(id, holding)| Held {
        name: partition_name(topology, id),
        durable: true,
        holding,
    });
    let sorted = |mut held: Vec<Held>| {
        held.sort_by(|a, b| a.name.cmp(&b.name));
        held
    };
    let mut of_owners = BTreeMap::new();
    for slot in damaged {
        let owner = node.page_owner(broker::event::PageSlot(u64::from(slot.0)));
        let name = owner.map(|owner| match owner {
            PageOwner::Queue(id) => format!("queue {:?}", queue_name(topology, id)),
            PageOwner::Partition(id) => format!("partition {:?}", partition_name(topology, id)),
            PageOwner::Timer(_) => "messages that are kept until they are due".to_owned(),
        });
        *of_owners.entry(name).or_insert(0) += 1;
    }
    Contents {
        queues: sorted(queues.collect()),
        partitions: sorted(partitions.collect()),
        kept: holdings.kept,
        replayed,
        damaged: of_owners.into_iter().collect(),
    }
}

/// Makes the damaged pages of the index anew. The page file as it was is kept under another name
/// first. Nobody else comes in while it works. The error is a damage that this does not mend.
pub fn repair(path: &Path, config: &Config) -> Result<Repaired, Fault> {
    // Only then is the lock taken, which makes its file.
    drop(Directory::open(path)?);
    let disk = Arc::new(FileDisk::new(path));
    let disk = Arc::new(HeldDisk::hold(disk).map_err(|error| named(path, error))?);
    let mut directory = Directory::look(path, disk.clone())?;
    // Where a start would be refused for another reason, nothing is changed.
    directory.contents(config)?;
    let is_lost = directory.has_lost_pages();
    let mut kept = None;
    if is_lost {
        kept = store::renew_pages(&*disk)?;
        directory = Directory::look(path, disk.clone())?;
    }
    if let Some(refusal) = directory.survey.refusal.take() {
        return Err(refusal.into());
    }
    let damaged = directory.damaged_pages();
    if damaged.is_empty() {
        return Ok(Repaired {
            kept,
            ..Repaired::default()
        });
    }
    if !is_lost {
        kept = Some(store::copy_pages(&*disk)?);
    }
    drop(directory);
    let repaired = rebuild_pages(disk, config, &damaged)?;
    Ok(Repaired { kept, ..repaired })
}
