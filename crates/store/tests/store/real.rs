//! Threads and the real disk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use store::{
    Class, Completion, Durability, FileDisk, FrameBuilder, Index, Loss, MessageId, Millis, NodeId,
    Options, PageSlot, Shard, ShardMark, SimDisk, Slot, Store, StoreError, Term,
};

const SHARD: Shard = Shard::new(3);
const DEADLINE: Duration = Duration::from_secs(20);

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("troika-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }

    fn disk(&self) -> Arc<FileDisk> {
        Arc::new(FileDisk::new(&self.0))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Options whose waker rings a bell.
fn options() -> (Options, Receiver<()>) {
    let (bell, heard) = channel();
    let bell = Mutex::new(bell);
    let ring = move || {
        let _ = bell.lock().unwrap().send(());
    };
    let mut options = Options::new(NodeId(9), Arc::new(ring));
    options.segment_bytes = 1 << 20;
    options.checkpoint_bytes = 1 << 20;
    options.tail_bytes_max = 64 << 10;
    (options, heard)
}

struct Owner {
    store: Store,
    heard: Receiver<()>,
    seen: VecDeque<Completion>,
}

impl Owner {
    fn wait<T>(&mut self, mut wanted: impl FnMut(&Completion) -> Option<T>) -> T {
        loop {
            while let Some(completion) = self.seen.pop_front() {
                assert!(
                    !matches!(completion, Completion::Fault(_)),
                    "{completion:?}"
                );
                if let Some(found) = wanted(&completion) {
                    return found;
                }
            }
            self.heard
                .recv_timeout(DEADLINE)
                .expect("the store answers in time");
            self.seen.extend(self.store.poll());
        }
    }

    fn append(&mut self, durability: Durability) -> Index {
        let index = self.store.last_index(SHARD).next();
        let mut builder = FrameBuilder::new();
        for n in 0..10u64 {
            builder
                .push_record(&[&index.number().to_le_bytes(), &[n as u8; 500]])
                .unwrap();
        }
        let frame = builder.finish(index, SHARD, Term(0), Millis(index.number()));
        self.store
            .append(frame, durability, Class::Ordinary)
            .unwrap();
        index
    }

    fn wait_synced(&mut self, wanted: Index) {
        if self.store.commit() {
            self.seen.extend(self.store.poll());
        }
        self.wait(|completion| match completion {
            Completion::Synced { index, .. } if *index >= wanted => Some(()),
            _ => None,
        });
    }
}

fn open(directory: &Directory) -> (Owner, store::Recovered) {
    let (options, heard) = options();
    let (store, recovered) = Store::open(directory.disk(), options).unwrap();
    (
        Owner {
            store,
            heard,
            seen: VecDeque::new(),
        },
        recovered,
    )
}

#[test]
fn threads_write_load_and_checkpoint_on_a_real_disk() {
    let directory = Directory::new("life");
    let (mut owner, recovered) = open(&directory);
    assert!(recovered.checkpoint.is_none());
    let locked = Store::open(directory.disk(), options().0);
    assert!(matches!(locked, Err(StoreError::Locked { .. })));

    for _ in 0..600 {
        owner.append(Durability::Awaited);
    }
    owner.wait_synced(Index::new(600));
    assert_eq!(owner.store.ready(SHARD), Index::new(600));
    let lazy = owner.append(Durability::Lazy);
    assert_eq!(owner.store.ready(SHARD), lazy);
    owner.wait_synced(lazy);
    assert!(owner.store.cached_bytes().0 <= 64 << 10);

    let ids: Vec<_> = (1..=600)
        .map(|n| MessageId::new(SHARD, Index::new(n), Slot::new(n as u16 % 10)))
        .collect();
    assert_eq!(owner.store.record(ids[0]), None);
    owner.store.load(ids, 77);
    let loaded = owner.wait(|completion| match completion {
        Completion::Loaded { tag: 77, records } => Some(
            records
                .iter()
                .filter(|(id, record)| {
                    let record = record.as_ref().unwrap();
                    record[..8] == id.index().number().to_le_bytes()
                        && record[8..] == [id.slot().number() as u8; 500]
                })
                .count(),
        ),
        _ => None,
    });
    assert_eq!(loaded, 600);

    let slot = owner.store.write_page(&[7; 8192]);
    assert!(owner.store.needs_checkpoint(Millis(0)));
    assert_eq!(owner.store.checkpoint_due(), Some(Millis(0)));
    let mark = ShardMark {
        shard: SHARD,
        applied: lazy,
        low_water: lazy.next(),
    };
    owner
        .store
        .checkpoint(b"state".to_vec(), &[mark], [slot], Millis(0));
    assert!(!owner.store.needs_checkpoint(Millis(10_000)));
    assert_eq!(owner.store.checkpoint_due(), None);
    owner.wait(|completion| matches!(completion, Completion::Checkpointed).then_some(()));
    owner.store.load_page(slot, 5);
    let page = owner.wait(|completion| match completion {
        Completion::PageLoaded { tag: 5, page, .. } => Some(page.as_ref().unwrap().len()),
        _ => None,
    });
    assert_eq!(page, 8192);
    let last = owner.append(Durability::Awaited);
    owner.store.close().unwrap();

    let (owner, recovered) = open(&directory);
    let checkpoint = recovered.checkpoint.unwrap();
    assert_eq!(checkpoint.state, b"state");
    assert_eq!(checkpoint.applied, [(SHARD, lazy)]);
    assert_eq!(checkpoint.pages, [PageSlot(0)]);
    let frames: Vec<_> = recovered
        .frames
        .map(|frame| frame.unwrap().index())
        .collect();
    assert_eq!(frames, [last]);
    assert_eq!(recovered.notes, [""; 0]);
    drop(owner);
}

/// Each frame's first record is wanted for ever.
fn wanted() -> Vec<MessageId> {
    (1..=600)
        .map(|n| MessageId::new(SHARD, Index::new(n), Slot::new(0)))
        .collect()
}

impl Owner {
    fn checkpoint(&mut self) {
        let applied = self.append(Durability::Awaited);
        self.wait_synced(applied);
        let mark = ShardMark {
            shard: SHARD,
            applied,
            low_water: Index::new(1),
        };
        self.store
            .checkpoint(Vec::new(), &[mark], [], Millis(applied.number()));
        self.wait(|completion| matches!(completion, Completion::Checkpointed).then_some(()));
    }

    fn merge(&mut self) {
        let candidates = self.store.candidates();
        let run: Vec<_> = candidates.iter().map(|candidate| candidate.key).collect();
        assert!(run.len() >= 2, "{run:?}");
        let last = candidates
            .iter()
            .flat_map(|c| &c.ranges)
            .map(|range| range.2)
            .max();
        let live = wanted().into_iter().filter(|id| Some(id.index()) <= last);
        self.store.merge(run, live.collect());
    }
}

/// A merge that would take ten minutes keeps nobody waiting: neither the log, nor a read, nor the end.
#[test]
fn a_merge_is_slow_and_nobody_waits_for_it() {
    let directory = Directory::new("merge");
    let files = |ending: &str| {
        let names = store::Disk::list(&*directory.disk(), "log").unwrap();
        names.iter().filter(|name| name.ends_with(ending)).count()
    };
    let (mut slow, heard) = options();
    slow.merge_bytes_per_second = 4 << 10;
    slow.merge_slice_bytes = 64 << 10;
    let (store, _) = Store::open(directory.disk(), slow).unwrap();
    let mut owner = Owner {
        store,
        heard,
        seen: VecDeque::new(),
    };
    for _ in 0..600 {
        owner.append(Durability::Awaited);
    }
    (0..2).for_each(|_| owner.checkpoint());
    owner.merge();
    for tag in 0..20 {
        let last = owner.append(Durability::Awaited);
        owner.wait_synced(last);
        owner
            .store
            .load(wanted()[tag as usize * 10..][..10].to_vec(), tag);
        owner.wait(|c| matches!(c, Completion::Loaded { tag: of, .. } if *of == tag).then_some(()));
        assert!(!owner.store.can_merge(), "it is still at work");
    }
    owner.store.close().unwrap();
    assert_eq!(files(".cold"), 0);

    // What was begun is gone, and is begun again.
    let (mut owner, recovered) = open(&directory);
    recovered.frames.for_each(|frame| assert!(frame.is_ok()));
    assert_eq!(files(".draft"), 0);
    owner.merge();
    let (before, after) = owner.wait(|completion| match completion {
        Completion::Merged {
            bytes_before,
            bytes_after,
        } => Some((*bytes_before, *bytes_after)),
        Completion::MergeAbandoned | Completion::MergeFailed(_) => panic!("{completion:?}"),
        _ => None,
    });
    assert!(after * 5 < before, "{before} bytes became {after}");
    let segments = files(".log");
    (0..2).for_each(|_| owner.checkpoint());
    assert!(files(".log") < segments && files(".cold") == 1);
    owner.store.close().unwrap();

    let (mut owner, recovered) = open(&directory);
    recovered.frames.for_each(|frame| assert!(frame.is_ok()));
    owner.store.load(wanted(), 7);
    let same = owner.wait(|completion| match completion {
        Completion::Loaded { records, .. } => Some(records.iter().all(|(id, record)| {
            record.as_ref().unwrap()[..8] == id.index().number().to_le_bytes()
        })),
        _ => None,
    });
    assert!(same);
}

/// Small groups are soon written by the owner itself, and are as durable as any.
#[test]
fn an_owner_commits_small_groups_itself() {
    let disk = SimDisk::new();
    let (options, heard) = options();
    let (store, _) = Store::open(Arc::new(disk.clone()), options.clone()).unwrap();
    let mut owner = Owner {
        store,
        heard,
        seen: VecDeque::new(),
    };
    // The first group shows how quick the disk is; after it the log thread may be at work for a moment.
    let first = owner.append(Durability::Awaited);
    assert!(!owner.store.commit());
    owner.wait_synced(first);
    let deadline = Instant::now() + DEADLINE;
    let last = loop {
        let last = owner.append(Durability::Awaited);
        if owner.store.commit() {
            break last;
        }
        assert!(Instant::now() < deadline, "the owner is never let");
        owner.wait_synced(last);
    };
    let polled = owner.store.poll();
    let is_synced =
        |c: &Completion| matches!(c, Completion::Synced { index, .. } if *index == last);
    assert!(polled.iter().any(is_synced), "{polled:?}");

    let crashed = disk.crash(Loss::Everything);
    // The log thread marks the log once it pauses, whoever wrote last; the mark is not synced.
    while disk.unsynced_pages() == 0 {
        assert!(Instant::now() < deadline, "the log is never marked");
        std::thread::sleep(Duration::from_millis(1));
    }
    let (_, recovered) = Store::open_manual(Arc::new(crashed), options).unwrap();
    let frames: Vec<_> = recovered.frames.map(|f| f.unwrap().index()).collect();
    assert_eq!(frames.last(), Some(&last));
}
