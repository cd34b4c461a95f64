//! Crashes between and within any two steps, torn writes, failed syncs.

use std::sync::Arc;

use store::{Durability, Loss, SimDisk, Store};

use crate::script::{Life, check, live, options};

const LOSSES: [Loss; 4] = [
    Loss::Nothing,
    Loss::Everything,
    Loss::Some(1),
    Loss::Some(2),
];

#[test]
fn a_life_without_faults_is_found_again() {
    let disk = SimDisk::new();
    let told = live(&disk);
    assert_eq!((told.appended, told.synced, told.checkpoints), (60, 60, 3));
    LOSSES
        .iter()
        .for_each(|loss| check(&disk.crash(*loss), &told).unwrap());
    // The checkpoints let segments go.
    assert_eq!(disk.bytes("log/0000000001.log"), None);
}

#[test]
fn a_crash_at_any_step_loses_nothing_that_was_confirmed() {
    let whole = SimDisk::new();
    live(&whole);
    for step in 1..=whole.steps() {
        let disk = SimDisk::new();
        disk.cut_power_at(step);
        let told = live(&disk);
        for loss in [
            Loss::Nothing,
            Loss::Everything,
            Loss::Some(step),
            Loss::Some(1000 + step),
        ] {
            let after = disk.crash(loss);
            check(&after, &told).unwrap_or_else(|error| panic!("step {step}, {loss:?}: {error}"));
        }
    }
}

#[test]
fn a_crash_during_recovery_loses_nothing_either() {
    let whole = SimDisk::new();
    live(&whole);
    for step in (1..=whole.steps()).step_by(7) {
        let disk = SimDisk::new();
        disk.cut_power_at(step);
        let told = live(&disk);
        let found = disk.crash(Loss::Some(step));
        for more in 1.. {
            let again = found.crash(Loss::Nothing);
            again.cut_power_at(found.steps() + more);
            let opened = Store::open_manual(Arc::new(again.clone()), options());
            let done = opened.is_ok();
            drop(opened);
            for loss in [Loss::Nothing, Loss::Everything, Loss::Some(more)] {
                check(&again.crash(loss), &told)
                    .unwrap_or_else(|error| panic!("step {step}, then {more}, {loss:?}: {error}"));
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_stops_the_store_and_what_was_confirmed_stays() {
    let whole = SimDisk::new();
    live(&whole);
    for sync in 1..=whole.syncs() {
        let disk = SimDisk::new();
        disk.fail_sync_at(sync);
        let told = live(&disk);
        assert!(
            told.faulted || told.appended == 0,
            "sync {sync} failed unnoticed"
        );
        // The process starts again over the same kernel, which wrongly calls pages clean; what it
        // reads then must survive a later power failure.
        let restarted = disk.crash(Loss::Nothing);
        let seen = {
            let opened = Store::open_manual(Arc::new(restarted.clone()), options());
            opened.unwrap().0.last_index(crate::script::SHARD).number()
        };
        let mut strict = told.clone();
        strict.synced = seen;
        check(&restarted.crash(Loss::Everything), &strict)
            .unwrap_or_else(|error| panic!("sync {sync}: {error}"));
        check(&disk.crash(Loss::Everything), &told)
            .unwrap_or_else(|error| panic!("sync {sync}: {error}"));
    }
}

/// The canary: a disk that lies about syncs must not pass the check.
#[test]
fn a_disk_that_lies_is_caught() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    disk.lie_about_syncs();
    for _ in 0..5 {
        life.append(Durability::Awaited);
        life.step();
    }
    assert_eq!(life.told.synced, 5);
    assert!(check(&disk.crash(Loss::Nothing), &life.told).is_ok());
    assert!(check(&disk.crash(Loss::Everything), &life.told).is_err());
}

/// Where the last frame of the file begins.
fn last_frame(bytes: &[u8]) -> usize {
    let begins = |at: &usize| bytes[*at..].starts_with(b"TrFm");
    (0..bytes.len() / 8)
        .rev()
        .map(|n| n * 8)
        .find(begins)
        .unwrap()
}

#[test]
fn a_frame_torn_at_any_byte_is_cut_off() {
    const FILE: &str = "log/0000000001.log";
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    for _ in 0..7 {
        life.append(Durability::Awaited);
        life.step();
    }
    let bytes = disk.bytes(FILE).unwrap();
    let start = last_frame(&bytes);
    let mut end = bytes.len();
    while bytes[end - 1] == 0 {
        end -= 1;
    }
    let mut told = life.told.clone();
    told.synced = 6;
    for cut in start..end {
        for rest in [0, 0xa5] {
            let torn = disk.crash(Loss::Nothing);
            let mut short = bytes.clone();
            short[cut..end].fill(rest);
            torn.put(FILE, &short);
            if short[start..end] == bytes[start..end] {
                continue;
            }
            told.appended = 6;
            check(&torn, &told).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        }
    }
    // The same damage is refused once a mark tells that the frame was synced.
    life.store.idle();
    let marked = disk.bytes(FILE).unwrap();
    for cut in (start..end).step_by(5) {
        let damaged = disk.crash(Loss::Nothing);
        let mut short = marked.clone();
        short[cut] ^= 0x55;
        damaged.put(FILE, &short);
        let refused = check(&damaged, &life.told).unwrap_err();
        assert!(
            refused.contains(&format!("{FILE:?} is damaged at offset {start}")),
            "{refused}"
        );
    }
}
