//! A data directory that somebody has written into: opening it goes well or is refused with an error that names a file,
//! and what opens can be read and goes on.
//!
//! `options u8 | repeated edits: file u8, place u24, length u8, bytes`
//!
//! Unless the options say otherwise, every checksum is made right again after the edits, so that what a checksum
//! guards is believed and has to be checked by itself. An edit with length 0 cuts the file at its place.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use store::{
    Class, Completion, Durability, FrameBuilder, Index, Loss, MessageId, Millis, NodeId, Options,
    PageSlot, Recovered, Shard, ShardMark, SimDisk, Slot, Store, StoreError, Term,
};

const SHARD: Shard = Shard::new(0);
const NODE: NodeId = NodeId(0x7201_ca00_dead_beef_0123_4567_89ab_cdef);
const LEAVE_CHECKSUMS: u8 = 1;
/// An edit beyond it would only make the file long.
const FILE_BYTES_MAX: usize = 64 << 10;

pub fn run(data: &[u8]) {
    if let Err(error) = edit_and_open(data) {
        assert!(error.to_string().contains('"'), "no file in: {error}");
    }
}

/// What opening the edited directory comes to.
pub fn edit_and_open(data: &[u8]) -> Result<(), StoreError> {
    let Some((options, mut edits)) = data.split_first() else {
        return Ok(());
    };
    let disk = lived().crash(Loss::Nothing);
    let names: Vec<_> = disk
        .names()
        .into_iter()
        .filter(|name| !name.contains("spare") && name != "lock")
        .collect();
    let mut edited = BTreeSet::new();
    while let Some(([file, a, b, c, length], rest)) = edits.split_first_chunk::<5>() {
        let name = &names[usize::from(*file) % names.len()];
        let place = u32::from_le_bytes([*a, *b, *c, 0]) as usize % FILE_BYTES_MAX;
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        edits = rest;
        let Some(mut content) = disk.bytes(name) else {
            continue;
        };
        match bytes {
            [] => content.truncate(place),
            bytes => {
                content.resize(content.len().max(place + bytes.len()), 0);
                content[place..place + bytes.len()].copy_from_slice(bytes);
            }
        }
        disk.put(name, &content);
        edited.insert(name);
    }
    if options & LEAVE_CHECKSUMS == 0 {
        for name in edited {
            if let Some(mut content) = disk.bytes(name) {
                mend(name, &mut content);
                disk.put(name, &content);
            }
        }
    }
    open(&disk)
}

fn settings() -> Options {
    let mut options = Options::new(NODE, Arc::new(|| {}));
    options.segment_bytes = 16 << 10;
    options.tail_bytes_max = 2 << 10;
    options.read_bytes_max = 2 << 10;
    options
}

/// A small directory with two checkpoints, sealed segments, pages, and a tail.
fn lived() -> &'static SimDisk {
    static DISK: OnceLock<SimDisk> = OnceLock::new();
    DISK.get_or_init(|| {
        let disk = SimDisk::new();
        let (mut store, recovered) =
            Store::open_manual(Arc::new(disk.clone()), settings()).expect("a new directory");
        recovered.frames.for_each(|frame| assert!(frame.is_ok()));
        let mut pages = Vec::new();
        for n in 1..=24u64 {
            append(&mut store, n);
            if n.is_multiple_of(6) {
                pages.push(store.write_page(&vec![n as u8; 300]));
            }
            store.step();
            if n.is_multiple_of(8) {
                let mark = ShardMark {
                    shard: SHARD,
                    applied: Index::new(n),
                    low_water: Index::new(n - 6),
                };
                store.checkpoint(
                    b"state".to_vec(),
                    &[mark],
                    pages.iter().copied(),
                    Millis(2000),
                );
                store.step();
                store.step();
            }
            store.poll();
        }
        store.idle();
        drop(store);
        disk
    })
}

fn append(store: &mut Store, n: u64) {
    let mut builder = FrameBuilder::new();
    for record in 0..n % 4 {
        let slot = builder
            .push_record(&[&vec![n as u8; 100 + record as usize * 200]])
            .expect("room");
        builder.set_meta(slot, b"queue").expect("room");
    }
    builder.push_facts(&n.to_le_bytes()).expect("room");
    let frame = builder.finish(Index::new(n), SHARD, Term(1), Millis(1000 + n));
    let taken = store.append(frame, Durability::Awaited, Class::Essential);
    assert!(taken.is_ok(), "{taken:?}");
}

/// What a server does with a directory: opens it, replays, reads, goes on, and looks again.
fn open(disk: &SimDisk) -> Result<(), StoreError> {
    let (mut store, recovered) = Store::open_manual(Arc::new(disk.clone()), settings())?;
    let Recovered {
        checkpoint, frames, ..
    } = recovered;
    for frame in frames {
        let frame = frame?;
        let _ = (frame.heads().count(), frame.facts().len());
    }
    let last = store.last_index(SHARD);
    let pages = checkpoint.map_or(Vec::new(), |checkpoint| checkpoint.pages);
    for (tag, slot) in pages.iter().take(8).enumerate() {
        store.load_page(*slot, tag as u64);
    }
    store.load_page(PageSlot(1), 8);
    let from = last.number().saturating_sub(8);
    let wanted = (from..=last.number()).flat_map(|index| {
        (0..2).map(move |slot| MessageId::new(SHARD, Index::new(index), Slot::new(slot)))
    });
    store.load(wanted.collect(), u64::MAX);
    store.step();
    fault(&mut store)?;
    if last.next() > Index::MAX {
        return Ok(());
    }
    let mut builder = FrameBuilder::new();
    builder.push_facts(b"more").expect("room");
    let (term, time) = (Term(u64::MAX), Millis(u64::MAX));
    let frame = builder.finish(last.next(), SHARD, term, time);
    let _ = store.append(frame, Durability::Awaited, Class::Essential);
    store.step();
    fault(&mut store)?;
    store.close()?;
    let (_store, recovered) =
        Store::open_manual(Arc::new(disk.crash(Loss::Everything)), settings())?;
    let ends = recovered
        .frames
        .last()
        .transpose()?
        .map(|frame| frame.index());
    assert_eq!(ends, Some(last.next()), "what was synced is there");
    Ok(())
}

fn fault(store: &mut Store) -> Result<(), StoreError> {
    for completion in store.poll() {
        if let Completion::Fault(error) = completion {
            return Err(error);
        }
    }
    Ok(())
}

/// CRC-32C, bit by bit: files here are small.
fn crc(bytes: &[u8]) -> u32 {
    static TABLE: OnceLock<[u32; 256]> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        std::array::from_fn(|byte| {
            (0..8).fold(byte as u32, |sum, _| {
                (sum >> 1) ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
            })
        })
    });
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (sum >> 8) ^ table[((sum ^ u32::from(*byte)) & 0xff) as usize]
    })
}

fn number(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..at + 4)
        .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

/// Writes the checksum of `of`, if it lies in the file, to `at`.
fn sum(bytes: &mut [u8], at: usize, of: std::ops::Range<usize>) {
    let Some(sum) = bytes.get(of).map(crc) else {
        return;
    };
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// Makes the checksums of a file right, as far as its lengths make sense; see `store::format`.
fn mend(name: &str, bytes: &mut [u8]) {
    let end = bytes.len();
    match name {
        "node" => sum(bytes, 36, 0..36),
        "pages" => {
            sum(bytes, 36, 0..36);
            let slots = (4096..end.min(FILE_BYTES_MAX).saturating_sub(8223)).step_by(8224);
            slots.for_each(|at| sum(bytes, at, at + 4..at + 8224));
        }
        name if name.starts_with("checkpoint-") => {
            sum(bytes, 76, 96..end);
            sum(bytes, 92, 0..92);
        }
        _ => {
            sum(bytes, 40, 0..40);
            let mut at = 4096;
            while at + 104 <= end && bytes[at..at + 4] == *b"TrFm" {
                let heads = at + 104;
                let facts = heads + number(bytes, at + 60);
                let records = facts + number(bytes, at + 68);
                record_sums(bytes, heads..facts, records);
                sum(bytes, at + 64, heads..facts);
                sum(bytes, at + 72, facts..records);
                sum(bytes, at + 100, at..at + 100);
                at += number(bytes, at + 12).max(104);
            }
        }
    }
}

fn record_sums(bytes: &mut [u8], heads: std::ops::Range<usize>, mut record: usize) {
    let mut head = heads.start;
    while head + 16 <= heads.end.min(bytes.len()) {
        let length = number(bytes, head + 4);
        sum(bytes, head + 8, record..record + length);
        record += length;
        head += 16 + number(bytes, head + 12);
    }
}
