//! Cold segments: what nobody settled is found for ever, the rest gives its room back.

use std::sync::Arc;

use store::{Completion, Durability, Loss, MessageId, SimDisk, Store, choose_run};

use crate::script::{Life, SHARD, check, ids, live_with_cold, options, records, segments};

#[test]
fn a_life_with_cold_segments_is_found_again() {
    let disk = SimDisk::new();
    let told = live_with_cold(&disk);
    assert!(told.merges >= 4 && !told.faulted, "{told:?}");
    // Each was made of the one before and what had come since.
    let cold = segments(&disk, ".cold");
    assert!(
        cold.len() <= 2 && cold[0].starts_with("log/0000000001-"),
        "{cold:?}"
    );
    assert_eq!(disk.bytes("log/0000000001.log"), None);
    for loss in [
        Loss::Nothing,
        Loss::Everything,
        Loss::Some(1),
        Loss::Some(2),
    ] {
        check(&disk.crash(loss), &told).unwrap();
    }
}

/// One unsettled message for each of many segments, and the files shrink to a few.
#[test]
fn one_unsettled_message_pins_no_segment() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    life.told.pinned_every = Some(5);
    while segments(&disk, ".log").len() < 100 {
        for _ in 0..4 {
            life.append(Durability::Awaited);
        }
        life.step();
    }
    for _ in 0..2 {
        life.append(Durability::Awaited);
        life.checkpoint(life.told.appended);
        life.step();
    }
    let before = life.store.log_bytes();
    loop {
        let candidates = life.store.candidates();
        // Every fifth frame is wanted.
        let live: Vec<_> = candidates
            .iter()
            .map(|candidate| candidate.bytes / 5)
            .collect();
        let Some(run) = choose_run(&candidates, &live, options().segment_bytes) else {
            break;
        };
        let run = &candidates[run];
        let spans = run.iter().flat_map(|candidate| &candidate.ranges);
        let indexes = spans.flat_map(|(_, first, last)| first.number()..=last.number());
        let live = ids(indexes.filter(|index| life.told.is_pinned(*index)));
        let merges = life.told.merges;
        life.store
            .merge(run.iter().map(|candidate| candidate.key).collect(), live);
        while life.told.merges == merges {
            assert!(!life.store.can_merge(), "one at a time, and not given up");
            life.step();
        }
        // What was merged reads from the new place at once.
        let wanted = ids((1..life.told.appended).filter(|index| life.told.is_pinned(*index)));
        life.store.load(wanted.clone(), 9);
        for completion in life.step() {
            let Completion::Loaded { records: found, .. } = completion else {
                continue;
            };
            assert_eq!(found.len(), wanted.len());
            for (id, found) in found {
                let record = &records(id.index().number())[id.slot().number() as usize];
                assert_eq!(*found.unwrap(), record[..], "{id:?}");
            }
        }
    }
    for _ in 0..2 {
        life.append(Durability::Awaited);
        life.checkpoint(life.told.appended);
        life.step();
    }
    let files = segments(&disk, ".log").len() + segments(&disk, ".cold").len();
    let after = life.store.log_bytes();
    assert!(
        files < 40 && after * 5 < before * 2,
        "{files} files, {before} bytes to {after}"
    );
    let told = life.told.clone();
    drop(life);
    check(&disk.crash(Loss::Everything), &told).unwrap();
}

#[test]
fn a_run_without_anything_live_goes_without_a_trace() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    for _ in 0..60 {
        life.append(Durability::Awaited);
    }
    life.step();
    for round in 0..4u64 {
        life.append(Durability::Awaited);
        life.checkpoint(1);
        life.step();
        if round == 1 {
            let run = life
                .store
                .candidates()
                .iter()
                .map(|candidate| candidate.key)
                .collect();
            life.store.merge(run, Vec::new());
            life.step();
            assert_eq!(life.told.merges, 1);
        }
    }
    assert_eq!(
        segments(&disk, ".cold").len() + segments(&disk, ".log").len(),
        1
    );
    assert_eq!(life.store.last_index(SHARD).number(), 64);
}

/// A cold segment of two small frames, so that every bit of it is tried.
#[test]
fn no_flipped_bit_of_a_cold_segment_is_handed_out_or_taken_for_torn() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    life.told.pinned_every = Some(24);
    while life.told.appended < 60 {
        life.append(Durability::Awaited);
        life.step();
    }
    for round in 0..4 {
        life.checkpoint(life.told.appended);
        life.step();
        if round == 1 {
            life.merge_all(u64::MAX);
            while !life.store.can_merge() {
                life.step();
            }
        }
    }
    let wanted = ids([1, 25, 49].into_iter());
    let [name] = &segments(&disk, ".cold")[..] else {
        panic!("{:?}", disk.names());
    };
    let bytes = disk.bytes(name).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for byte in (0..48).chain(4096..bytes.len()) {
        for bit in 0..8 {
            let damaged = disk.crash(Loss::Nothing);
            damaged.flip(name, byte, bit);
            match read(&damaged, &wanted) {
                // The header says again what the checkpoint knows, and padding says nothing.
                Ok(()) => harmless += 1,
                Err(error) => {
                    refused += 1;
                    let named = error.contains(&format!("{name:?} is damaged at offset"));
                    assert!(named && error.contains("restore"), "byte {byte}: {error}");
                }
            }
        }
    }
    assert!(
        refused > 8 * 500 && harmless < 8 * 80,
        "{refused} refused, {harmless} harmless"
    );
}

/// Opens the disk and reads these; what is read is what was written.
fn read(disk: &SimDisk, wanted: &[MessageId]) -> Result<(), String> {
    let opened = Store::open_manual(Arc::new(disk.clone()), options());
    let (mut store, _) = opened.map_err(|error| error.to_string())?;
    store.load(wanted.to_vec(), 0);
    store.step();
    for completion in store.poll() {
        let Completion::Loaded { records: found, .. } = completion else {
            continue;
        };
        assert_eq!(found.len(), wanted.len());
        for (id, found) in found {
            let found = found.map_err(|error| error.to_string())?;
            let record = &records(id.index().number())[id.slot().number() as usize];
            assert_eq!(*found, record[..], "{id:?}");
        }
    }
    Ok(())
}

#[test]
fn a_damaged_segment_is_not_merged_and_a_missing_cold_one_is_named() {
    let disk = SimDisk::new();
    let told = live_with_cold(&disk);
    let name = segments(&disk, ".cold").pop().unwrap();
    let gone = disk.crash(Loss::Nothing);
    store::Disk::remove(&gone, &name).unwrap();
    let refused = check(&gone, &told).unwrap_err();
    assert!(
        refused.contains(&name) && refused.contains("missing"),
        "{refused}"
    );

    let found = disk.crash(Loss::Nothing);
    let mut life = Life::begin(&found).unwrap();
    let candidates = life.store.candidates();
    let cold = candidates
        .iter()
        .find(|candidate| candidate.key.file() == name)
        .unwrap();
    found.flip(&name, 4096 + 200, 1);
    let live = ids(cold
        .ranges
        .iter()
        .flat_map(|(_, first, last)| first.number()..=last.number()))
    .into_iter()
    .filter(|id| told.is_pinned(id.index().number()))
    .collect();
    life.store.merge(vec![cold.key], live);
    let mut failed = false;
    while !life.store.can_merge() {
        let failure = |c: &Completion| matches!(c, Completion::MergeFailed(e) if e.is_corrupt());
        failed |= life.step().iter().any(failure);
    }
    assert!(failed && segments(&found, ".draft").is_empty());
    assert_eq!(life.store.candidates(), candidates);
}
