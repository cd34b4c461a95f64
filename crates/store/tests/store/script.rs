//! One scripted life of a store, and the checker that judges what a later opening finds.

use std::sync::Arc;

use store::{
    Class, Completion, Dice, Durability, Frame, FrameBuilder, Index, MessageId, Millis, NodeId,
    Options, PageSlot, Shard, ShardMark, SimDisk, Slot, Store, Term,
};

pub const SHARD: Shard = Shard::new(0);
pub const NODE: NodeId = NodeId(0x7201_ca00_dead_beef_0123_4567_89ab_cdef);

pub fn options() -> Options {
    let mut options = Options::new(NODE, Arc::new(|| {}));
    options.segment_bytes = 16 << 10;
    options.tail_bytes_max = 2 << 10;
    options.read_bytes_max = 2 << 10;
    options.merge_slice_bytes = 2 << 10;
    options
}

/// The records of a frame follow from its index, so that anybody can tell a foreign one.
pub fn records(index: u64) -> Vec<Vec<u8>> {
    let record = |n: u64| {
        let mut dice = Dice(index * 10 + n);
        let length = dice.below(if index.is_multiple_of(23) {
            20_000
        } else {
            400
        });
        (0..length).map(|_| dice.roll() as u8).collect()
    };
    (0..index % 4).map(record).collect()
}

pub fn frame(index: u64) -> Frame {
    let mut builder = FrameBuilder::new();
    for record in records(index) {
        let (front, back) = record.split_at(record.len() / 2);
        let slot = builder.push_record(&[front, back]).unwrap();
        builder
            .set_meta(slot, format!("queue {index}").as_bytes())
            .unwrap();
        builder.set_flags(slot, index as u8);
    }
    builder.push_facts(&index.to_le_bytes()).unwrap();
    builder.finish(Index::new(index), SHARD, Term(1), Millis(1000 + index))
}

fn same(found: &Frame, index: u64) -> bool {
    let wanted = frame(index);
    let slots = (0..5).map(Slot::new);
    found.index() == wanted.index()
        && found.time() == wanted.time()
        && found.facts() == wanted.facts()
        && found.heads().eq(wanted.heads())
        && slots
            .into_iter()
            .all(|slot| found.record(slot) == wanted.record(slot))
}

/// What the owner was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub appended: u64,
    pub synced: u64,
    pub checkpoints: u64,
    pub merges: u64,
    pub faulted: bool,
    /// The first of so many frames is wanted for ever; of the rest what the checkpoint calls wanted.
    pub pinned_every: Option<u64>,
}

impl Told {
    /// Nobody ever settles it.
    pub fn is_pinned(&self, index: u64) -> bool {
        self.pinned_every.is_some_and(|every| index % every == 1)
    }
}

pub fn ids(indexes: impl Iterator<Item = u64>) -> Vec<MessageId> {
    let slots = |index: u64| (0..records(index).len() as u16).map(move |slot| (index, slot));
    indexes
        .flat_map(slots)
        .map(|(index, slot)| MessageId::new(SHARD, Index::new(index), Slot::new(slot)))
        .collect()
}

/// The state in a checkpoint: applied, low water, then (slot, filling) of its pages.
fn encode_state(applied: u64, low_water: u64, pages: &[(PageSlot, u8)]) -> Vec<u8> {
    let mut state = applied.to_le_bytes().to_vec();
    state.extend_from_slice(&low_water.to_le_bytes());
    for (slot, filling) in pages {
        state.extend_from_slice(&slot.0.to_le_bytes());
        state.push(*filling);
    }
    state
}

fn decode_state(state: &[u8]) -> (u64, u64, Vec<(PageSlot, u8)>) {
    let number = |at: usize| u64::from_le_bytes(state[at..at + 8].try_into().unwrap());
    let page = |b: &[u8]| {
        (
            PageSlot(u32::from_le_bytes(b[..4].try_into().unwrap())),
            b[4],
        )
    };
    (
        number(0),
        number(8),
        state[16..].chunks(5).map(page).collect(),
    )
}

pub fn page(filling: u8) -> Vec<u8> {
    vec![filling; 100 + filling as usize * 31]
}

/// What lies in the files `log/…` with this ending.
pub fn segments(disk: &SimDisk, ending: &str) -> Vec<String> {
    let names = disk.names().into_iter();
    names
        .filter(|name| name.starts_with("log/") && name.ends_with(ending))
        .collect()
}

/// A store that keeps the books.
pub struct Life {
    pub store: Store,
    pub told: Told,
    pages: Vec<(PageSlot, u8)>,
}

impl Life {
    /// On a fresh or cleanly closed disk.
    pub fn begin(disk: &SimDisk) -> Result<Life, String> {
        let (store, mut recovered) =
            Store::open_manual(Arc::new(disk.clone()), options()).map_err(|e| e.to_string())?;
        recovered
            .frames
            .try_for_each(|frame| frame.map(|_| ()))
            .map_err(|e| e.to_string())?;
        let last = store.last_index(SHARD).number();
        let told = Told {
            appended: last,
            synced: last,
            ..Told::default()
        };
        Ok(Life {
            store,
            told,
            pages: Vec::new(),
        })
    }

    pub fn append(&mut self, durability: Durability) -> bool {
        let index = self.told.appended + 1;
        let taken = self
            .store
            .append(frame(index), durability, Class::Ordinary)
            .is_ok();
        if taken {
            self.told.appended = index;
        }
        taken
    }

    pub fn step(&mut self) -> Vec<Completion> {
        self.store.step();
        let completions = self.store.poll();
        for completion in &completions {
            match completion {
                Completion::Synced { index, .. } => self.told.synced = index.number(),
                Completion::Checkpointed => self.told.checkpoints += 1,
                Completion::Merged { .. } => self.told.merges += 1,
                Completion::Fault(_) => self.told.faulted = true,
                Completion::Loaded { .. }
                | Completion::PageLoaded { .. }
                | Completion::MergeAbandoned
                | Completion::MergeFailed(_)
                | Completion::CheckpointFailed(_)
                | Completion::DiskFull
                | Completion::DiskFreed => {}
            }
        }
        completions
    }

    /// Makes everything that can become cold one segment, if that is more than one.
    pub fn merge_all(&mut self, wanted_from: u64) {
        let candidates = self.store.candidates();
        if candidates.len() < 2 || !self.store.can_merge() {
            return;
        }
        let spans = candidates.iter().flat_map(|candidate| &candidate.ranges);
        let indexes = spans.flat_map(|(_, first, last)| first.number()..=last.number());
        let told = &self.told;
        let live = ids(indexes.filter(|index| told.is_pinned(*index) || *index >= wanted_from));
        let run = candidates.iter().map(|candidate| candidate.key).collect();
        self.store.merge(run, live);
    }

    pub fn write_page(&mut self, filling: u8) {
        let slot = self.store.write_page(&page(filling));
        self.pages.push((slot, filling));
        if self.pages.len() > 3 {
            let (gone, _) = self.pages.remove(0);
            self.store.free_page(gone);
        }
    }

    pub fn checkpoint(&mut self, low_water: u64) {
        let applied = self.told.appended;
        let pinned = self.told.pinned_every.is_some();
        let mark = ShardMark {
            shard: SHARD,
            applied: Index::new(applied),
            low_water: Index::new(if pinned { 1 } else { low_water }),
        };
        let state = encode_state(applied, low_water, &self.pages);
        let slots = self.pages.iter().map(|(slot, _)| *slot);
        self.store.checkpoint(state, &[mark], slots, Millis(0));
    }
}

/// The same with a message in a while that nobody settles: cold segments are made, and made again.
pub fn live_with_cold(disk: &SimDisk) -> Told {
    let Ok(mut life) = Life::begin(disk) else {
        return Told::default();
    };
    life.told.pinned_every = Some(5);
    let mut wanted_from = 1;
    for n in 1..=90u64 {
        life.append(Durability::Awaited);
        if n.is_multiple_of(9) && life.store.can_checkpoint() {
            wanted_from = n - 4;
            life.write_page(n as u8);
            life.checkpoint(wanted_from);
        }
        if n.is_multiple_of(3) {
            life.merge_all(wanted_from);
        }
        life.step();
        if life.told.faulted {
            return life.told;
        }
    }
    life.told
}

/// The life that every fault is tried on: several segments, pages, three checkpoints.
pub fn live(disk: &SimDisk) -> Told {
    let Ok(mut life) = Life::begin(disk) else {
        return Told::default();
    };
    for n in 1..=60u64 {
        life.append(if n.is_multiple_of(2) {
            Durability::Awaited
        } else {
            Durability::Lazy
        });
        if n.is_multiple_of(5) {
            life.write_page(n as u8);
        }
        if n.is_multiple_of(16) && life.store.can_checkpoint() {
            life.checkpoint(n.saturating_sub(12));
        }
        if n.is_multiple_of(3) {
            life.step();
        }
        if n.is_multiple_of(20) {
            life.store.idle();
        }
        if life.told.faulted {
            return life.told;
        }
    }
    life.step();
    life.told
}

/// Opens the disk and compares with what the owner was told; then goes on, closes, and looks again.
pub fn check(disk: &SimDisk, told: &Told) -> Result<(), String> {
    let last = check_once(disk, told)?;
    let again = Told {
        appended: last + 1,
        synced: last + 1,
        pinned_every: told.pinned_every,
        ..Told::default()
    };
    check_once(&disk.crash(store::Loss::Everything), &again).map(|_| ())
}

fn check_once(disk: &SimDisk, told: &Told) -> Result<u64, String> {
    let opened = Store::open_manual(Arc::new(disk.clone()), options());
    let (mut store, recovered) = opened.map_err(|error| format!("refused: {error}"))?;
    let (mut last, mut low_water, mut pages) = (0, 0, Vec::new());
    if let Some(checkpoint) = recovered.checkpoint {
        (last, low_water, pages) = decode_state(&checkpoint.state);
        let named: Vec<_> = pages.iter().map(|(slot, _)| *slot).collect();
        let mut found = checkpoint.pages.clone();
        found.sort_by_key(|slot| named.iter().position(|n| n == slot));
        if checkpoint.applied != [(SHARD, Index::new(last))] || found != named {
            return Err(format!(
                "the checkpoint says {:?}, not {last}",
                checkpoint.applied
            ));
        }
    }
    for found in recovered.frames {
        let found = found.map_err(|error| error.to_string())?;
        last += 1;
        if !same(&found, last) {
            return Err(format!("{found:?} is not what was appended as {last}"));
        }
    }
    if last < told.synced || last > told.appended {
        return Err(format!("the log ends with {last}, but {told:?}"));
    }
    if store.last_index(SHARD).number() != last {
        return Err(format!(
            "the store ends with {:?}, not {last}",
            store.last_index(SHARD)
        ));
    }
    for (tag, (slot, _)) in pages.iter().enumerate() {
        store.load_page(*slot, tag as u64);
    }
    let is_pinning = told.pinned_every.is_some();
    let first = if is_pinning { 1 } else { low_water.max(1) };
    let is_wanted = |index: u64| index >= low_water || told.is_pinned(index);
    store.load(
        ids((first..=last).filter(|index| is_wanted(*index))),
        u64::MAX,
    );
    store.step();
    for completion in store.poll() {
        match completion {
            Completion::PageLoaded {
                tag, page: found, ..
            } => {
                let found = found.map_err(|error| error.to_string())?;
                if *found != page(pages[tag as usize].1) {
                    return Err(format!("page {tag} is another one"));
                }
            }
            Completion::Loaded { records: found, .. } => {
                for (id, found) in found {
                    let found = found.map_err(|error| error.to_string())?;
                    let index = id.index().number();
                    if *found != records(index)[id.slot().number() as usize][..] {
                        return Err(format!("record {id:?} is another one"));
                    }
                }
            }
            Completion::Fault(error) => return Err(error.to_string()),
            Completion::Synced { .. }
            | Completion::Checkpointed
            | Completion::CheckpointFailed(_)
            | Completion::Merged { .. }
            | Completion::MergeAbandoned
            | Completion::MergeFailed(_)
            | Completion::DiskFull
            | Completion::DiskFreed => {}
        }
    }
    // The log goes on.
    store
        .append(frame(last + 1), Durability::Awaited, Class::Essential)
        .unwrap();
    store.close().map_err(|error| error.to_string())?;
    Ok(last)
}
