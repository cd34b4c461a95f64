//! The whole of it over a real folder, with a budget of a few messages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use broker::id::{Durability, QueueId};
use broker::pass::{Destination, Destinations, Head, Summary};

use super::*;

/// Whatever takes longer is a failure.
const DEADLINE: Duration = Duration::from_secs(20);
const SIZES: Sizes = Sizes {
    budget_bytes: 64 << 10,
    block_bytes_min: 8 << 10,
    file_bytes: 64 << 10,
};
const RECORD_BYTES: usize = 1000;
const RECORDS: u16 = 4;

/// The bytes of a record say which it is.
fn record(index: u64, slot: u16, size: usize) -> Vec<u8> {
    let seed = index * 31 + u64::from(slot) * 7 + 1;
    (0..size as u64).map(|at| (seed + at * at) as u8).collect()
}

fn frame(index: u64, sizes: &[usize]) -> Frame {
    let queue = QueueId::new(1, Durability::Volatile);
    let head = |size: &usize| Head {
        size: *size as u32,
        summary: Summary::default(),
        destinations: Destinations::One(Destination::Queue(queue)),
    };
    let records = (0..).zip(sizes);
    let records = records.flat_map(|(slot, size)| record(index, slot, *size));
    let mut records: Vec<u8> = records.collect();
    records.shrink_to_fit();
    Frame {
        shard: ShardId::VOLATILE,
        index: Index(index),
        time: Millis(0),
        records,
        heads: sizes.iter().map(head).collect(),
        facts: Vec::new(),
        must_sync: false,
        essential: false,
    }
}

fn name(index: u64, slot: u16) -> MessageRef {
    MessageRef::new(ShardId::VOLATILE, Index(index), slot)
}

/// The bodies, and the bell that their threads ring.
struct Shelf {
    bodies: VolatileBodies,
    rung: Receiver<()>,
    now: Millis,
}

impl Shelf {
    fn open(data_dir: &Path, sizes: Sizes) -> Shelf {
        let (ring, rung) = sync_channel(1);
        // A bell that has been rung already need not be rung again.
        let ring = Arc::new(move || {
            let _ = ring.try_send(());
        });
        Shelf {
            bodies: VolatileBodies::new(folder(data_dir), sizes, ring),
            rung,
            now: Millis(1),
        }
    }

    /// Frames of four records each.
    fn fill(&mut self, indexes: std::ops::RangeInclusive<u64>) {
        for index in indexes {
            let sizes = [RECORD_BYTES; RECORDS as usize];
            self.bodies.insert(frame(index, &sizes));
        }
        self.come_to_rest();
    }

    /// Waits until the disk has what it can take; what has come meanwhile is returned.
    fn come_to_rest(&mut self) -> Vec<Came> {
        self.bodies.work(self.now);
        let mut came = self.bodies.poll();
        while self.bodies.spill.is_busy() {
            self.rung.recv_timeout(DEADLINE).expect("the threads work");
            came.extend(self.bodies.poll());
        }
        came
    }

    fn is_in_memory(&self, index: u64) -> bool {
        self.bodies.record(name(index, 0)).is_some()
    }

    /// Reads as dispatch does: looks, and asks for what is not there.
    fn read(&mut self, message: MessageRef) -> Option<Vec<u8>> {
        if self.bodies.record(message).is_none() {
            self.bodies.ask(&[message]);
            for came in self.come_to_rest() {
                match came {
                    Came::Record(came) | Came::RecordGone(came) => assert_eq!(came, message),
                    Came::Page(..) | Came::PageGone(_) => panic!("{came:?} was not asked for"),
                }
            }
        }
        let read = self.bodies.record(message).map(<[u8]>::to_vec);
        self.bodies.trim();
        read
    }

    /// Reads everything in order, each record once.
    fn drain(&mut self, indexes: std::ops::RangeInclusive<u64>) {
        for index in indexes {
            for slot in 0..RECORDS {
                let read = self.read(name(index, slot));
                assert!(
                    read == Some(record(index, slot, RECORD_BYTES)),
                    "{index}:{slot}"
                );
                self.bodies.release(name(index, slot));
                assert_eq!(self.bodies.record(name(index, slot)), None);
            }
        }
        self.come_to_rest();
    }
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("volatile")
}

fn files(data_dir: &Path) -> usize {
    fs::read_dir(folder(data_dir)).map_or(0, Iterator::count)
}

fn wait_for_no_files(data_dir: &Path) {
    let limit = Instant::now() + DEADLINE;
    while files(data_dir) > 0 {
        assert!(Instant::now() < limit, "the files go");
        std::thread::yield_now();
    }
}

#[test]
fn a_frame_goes_with_its_last_message() {
    let mut bodies = VolatileBodies::in_memory();
    bodies.insert(frame(7, &[3, 1, 2]));
    bodies.insert(frame(8, &[]));
    let whole = bodies.bytes();
    assert_eq!(bodies.record(name(7, 2)), Some(&*record(7, 2, 2)));
    bodies.release(name(7, 2));
    bodies.release(name(7, 2));
    assert_eq!((bodies.record(name(7, 2)), bodies.bytes()), (None, whole));
    assert_eq!(bodies.record(name(7, 0)), Some(&*record(7, 0, 3)));
    bodies.release(name(7, 1));
    bodies.release(name(7, 0));
    assert!(bodies.frames.is_empty() && bodies.bytes() == 0);
}

#[test]
fn a_sparse_frame_is_copied_together() {
    let mut bodies = VolatileBodies::in_memory();
    bodies.insert(frame(1, &[8000, 8000, 100, 8000]));
    let whole = bodies.bytes();
    for slot in [0, 1] {
        bodies.release(name(1, slot));
    }
    assert_eq!(bodies.bytes(), whole);
    bodies.release(name(1, 3));
    assert_eq!(bodies.bytes(), whole - 24_000);
    assert_eq!(bodies.record(name(1, 2)), Some(&*record(1, 2, 100)));
}

#[test]
fn the_oldest_and_the_newest_stay_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    shelf.fill(1..=250);
    // A million bytes came; a block may wait for its last frame, and each block has its line.
    let held = shelf.bodies.bytes();
    assert!(
        held < SIZES.budget_bytes + 2 * SIZES.block_bytes_min + (32 << 10),
        "{held}"
    );
    for (index, in_memory) in [
        (1, true),
        (11, true),
        (20, false),
        (240, false),
        (248, true),
        (250, true),
    ] {
        assert_eq!(shelf.is_in_memory(index), in_memory, "{index}");
    }
    assert!(files(dir.path()) > 10);
    shelf.drain(1..=250);
    assert_eq!(shelf.bodies.bytes(), 0);
    wait_for_no_files(dir.path());
    // And again, through files with other names.
    shelf.fill(251..=400);
    shelf.drain(251..=400);
    assert_eq!(shelf.bodies.bytes(), 0);
    wait_for_no_files(dir.path());
    drop(shelf);
    assert!(!folder(dir.path()).exists());
}

#[test]
fn who_keeps_up_never_meets_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    // Somebody's backlog fills what is kept.
    let backlog = (SIZES.kept_bytes_max() / (usize::from(RECORDS) * RECORD_BYTES + 160)) as u64;
    shelf.fill(1..=backlog);
    for index in backlog + 1..backlog + 2000 {
        shelf.fill(index..=index);
        // Three frames behind.
        if index > backlog + 3 {
            shelf.drain(index - 3..=index - 3);
        }
    }
    assert!(!folder(dir.path()).exists(), "nothing was written");
}

#[test]
fn a_message_larger_than_the_budget_is_spilled_behind_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    let size = 3 * SIZES.budget_bytes;
    for index in 1..=3 {
        shelf.bodies.insert(frame(index, &[size]));
        shelf.come_to_rest();
    }
    assert_eq!(
        [1, 2, 3].map(|index| shelf.is_in_memory(index)),
        [false, false, true]
    );
    for index in 1..=3 {
        assert!(shelf.read(name(index, 0)) == Some(record(index, 0, size)));
    }
    // What was read back does not stay when it is too much.
    assert!(shelf.bodies.bytes() < size + 2000);
}

#[test]
fn sparse_files_are_gathered() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    shelf.fill(1..=500);
    let full = files(dir.path());
    for index in 1..=500 {
        for slot in 0..RECORDS {
            if index % 10 != 0 || slot != 1 {
                shelf.bodies.release(name(index, slot));
            }
        }
        shelf.come_to_rest();
    }
    let left = shelf.bodies.spill.file_bytes();
    assert!(left < 500 * 4000 / 8, "{left} bytes of {full} files");
    for index in (10..=500).step_by(10) {
        let read = shelf.read(name(index, 1));
        assert!(read == Some(record(index, 1, RECORD_BYTES)), "{index}");
        assert_eq!(shelf.read(name(index, 2)), None);
    }
    for index in (10..=500).step_by(10) {
        shelf.bodies.release(name(index, 1));
    }
    shelf.come_to_rest();
    assert_eq!(
        (shelf.bodies.bytes(), shelf.bodies.spill.file_bytes()),
        (0, 0)
    );
}

#[test]
fn what_cannot_be_written_stays_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    // A file stands where the folder should be.
    fs::write(folder(dir.path()), "").unwrap();
    shelf.fill(1..=100);
    assert!(shelf.bodies.bytes() > 400_000);
    assert!((1..=100).all(|index| shelf.is_in_memory(index)));
    assert_eq!(shelf.bodies.unwritten_bytes(), 0, "nobody waits for it");
    let again = shelf.bodies.deadline().expect("it is tried again");
    shelf.fill(101..=200);
    assert!(
        shelf.bodies.bytes() > 800_000,
        "the disk is left alone meanwhile"
    );
    // The disk is mended.
    fs::remove_file(folder(dir.path())).unwrap();
    shelf.now = again;
    shelf.come_to_rest();
    assert_eq!(shelf.bodies.deadline(), None);
    assert!(shelf.bodies.bytes() < 2 * SIZES.budget_bytes);
    shelf.drain(1..=200);
    assert_eq!(shelf.bodies.bytes(), 0);
}

#[test]
fn what_cannot_be_read_is_not_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    shelf.fill(1..=100);
    let hidden = dir.path().join("hidden");
    fs::rename(folder(dir.path()), &hidden).unwrap();
    shelf.bodies.ask(&[name(50, 0)]);
    assert!(shelf.come_to_rest().is_empty());
    fs::rename(&hidden, folder(dir.path())).unwrap();
    shelf.drain(1..=100);
}

#[test]
fn what_an_earlier_process_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(folder(dir.path())).unwrap();
    let left = folder(dir.path()).join("00000099");
    fs::write(&left, "left").unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    shelf.fill(1..=100);
    assert!(!left.exists() && files(dir.path()) > 0);
    drop(shelf);
    assert!(!folder(dir.path()).exists());
}

#[test]
fn pages_go_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    let page = |number: u64| record(number, 0, 8192);
    let slots: Vec<_> = (0..100)
        .map(|number| shelf.bodies.keep_page(page(number)))
        .collect();
    shelf.bodies.pages_kept();
    // One that is still in memory needs no ring.
    shelf.bodies.ask_page(slots[3]);
    assert!(shelf.bodies.has_answers());
    let came = shelf.come_to_rest();
    assert!(
        matches!(&came[..], [Came::Page(slot, bytes)] if *slot == slots[3] && *bytes == page(3))
    );
    assert!(shelf.bodies.bytes() < 2000 + 8192);
    for (number, slot) in (0..).zip(&slots) {
        shelf.bodies.ask_page(*slot);
        let came = shelf.come_to_rest();
        let expected = page(number);
        assert!(matches!(&came[..], [Came::Page(at, bytes)] if at == slot && *bytes == expected));
        shelf.bodies.free_page(*slot);
    }
    shelf.bodies.ask_page(slots[7]);
    let came = shelf.come_to_rest();
    assert!(matches!(&came[..], [Came::PageGone(slot)] if *slot == slots[7]));
    assert_eq!(
        (shelf.bodies.bytes(), shelf.bodies.spill.file_bytes()),
        (0, 0)
    );
}

#[test]
fn what_is_written_between_question_and_answer_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut shelf = Shelf::open(dir.path(), SIZES);
    let page = record(1, 0, 8192);
    let slot = shelf.bodies.keep_page(page.clone());
    shelf.bodies.pages_kept();
    shelf.bodies.work(shelf.now);
    shelf.bodies.ask_page(slot);
    shelf.rung.recv_timeout(DEADLINE).expect("it is written");
    let came = shelf.come_to_rest();
    assert!(matches!(&came[..], [Came::Page(at, bytes)] if *at == slot && *bytes == page));
    // A frame that leaves after somebody has asked for its record.
    let message = name(1, 0);
    shelf.bodies.insert(frame(1, &[100_000]));
    shelf.bodies.ask(&[message]);
    shelf.bodies.insert(frame(2, &[100_000]));
    shelf.bodies.work(shelf.now);
    shelf.rung.recv_timeout(DEADLINE).expect("it is written");
    let came = shelf.come_to_rest();
    assert!(matches!(&came[..], [Came::Record(came)] if *came == message));
    // And one that was released is gone, although it lies between others.
    shelf.fill(3..=100);
    shelf.bodies.release(name(50, 1));
    shelf.bodies.ask(&[name(50, 1), name(50, 2)]);
    let came = shelf.come_to_rest();
    let (gone, read) = (name(50, 1), name(50, 2));
    assert!(
        came.iter()
            .any(|came| matches!(came, Came::RecordGone(message) if *message == gone))
    );
    assert!(
        came.iter()
            .any(|came| matches!(came, Came::Record(message) if *message == read))
    );
    assert_eq!(came.len(), 2);
}

/// Random commands against a plain map.
#[test]
fn it_does_as_a_map_does() {
    for seed in 1..=12u64 {
        let dir = tempfile::tempdir().unwrap();
        let mut shelf = Shelf::open(dir.path(), SIZES);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut chance = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut known = BTreeMap::new();
        let mut index = 0;
        for _ in 0..600 {
            let at = chance(known.len().max(1) as u64) as usize;
            match chance(10) {
                0..4 => {
                    index += 1 + chance(3);
                    let sizes: Vec<_> = (0..1 + chance(6))
                        .map(|_| 1 + chance(3000) as usize)
                        .collect();
                    for (slot, size) in (0..).zip(&sizes) {
                        known.insert(name(index, slot), record(index, slot, *size));
                    }
                    shelf.bodies.insert(frame(index, &sizes));
                }
                4..8 => {
                    let from = known.keys().nth(at).copied();
                    let count = 1 + chance(4) as usize;
                    let from = from
                        .into_iter()
                        .flat_map(|from| known.range(from..))
                        .take(count);
                    let gone: Vec<_> = from.map(|(message, _)| *message).collect();
                    for message in gone {
                        known.remove(&message);
                        shelf.bodies.release(message);
                    }
                }
                8 => {
                    if let Some((message, expected)) = known.iter().nth(at) {
                        assert!(
                            shelf.read(*message).as_ref() == Some(expected),
                            "seed {seed}: {message}"
                        );
                    }
                }
                _ => shelf.bodies.work(shelf.now),
            }
        }
        for (message, expected) in &known {
            assert!(
                shelf.read(*message).as_ref() == Some(expected),
                "seed {seed}: {message}"
            );
        }
        for message in known.keys() {
            shelf.bodies.release(*message);
        }
        shelf.come_to_rest();
        let left = (shelf.bodies.bytes(), shelf.bodies.spill.file_bytes());
        assert_eq!(left, (0, 0), "seed {seed}");
    }
}
