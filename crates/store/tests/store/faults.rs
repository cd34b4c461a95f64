//! Crashes between and within any two steps, torn writes, failed syncs.

use std::sync::Arc;

use store::{Durability, Loss, SimDisk, Store};

use crate::script::{Life, Told, check, ids, live, live_with_cold, options};

const LOSSES: [Loss; 4] = [
    Loss::Nothing,
    Loss::Everything,
    Loss::Some(1),
    Loss::Some(2),
];

/// The lives that faults are tried on.
const LIVES: [fn(&SimDisk) -> Told; 2] = [live, live_with_cold];

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
    for live in LIVES {
        let whole = SimDisk::new();
        live(&whole);
        for step in 1..=whole.steps() {
            let disk = SimDisk::new();
            disk.cut_power_at(step);
            let told = live(&disk);
            for loss in [Loss::Nothing, Loss::Everything, Loss::Some(step)] {
                let after = disk.crash(loss);
                check(&after, &told)
                    .unwrap_or_else(|error| panic!("step {step}, {loss:?}: {error}"));
            }
        }
    }
}

/// One group over several pages, none of them synced: each subset of them may be lost.
#[test]
fn whatever_pages_of_a_group_are_lost_its_beginning_is_found() {
    for life in [0, 2, 5] {
        let disk = SimDisk::new();
        let mut life = {
            let mut begun = Life::begin(&disk).unwrap();
            for _ in 0..life {
                begun.append(Durability::Awaited);
            }
            begun.step();
            begun
        };
        (0..22).for_each(|_| assert!(life.append(Durability::Awaited)));
        // The write is one step, its sync the next.
        disk.cut_power_at(disk.steps() + 2);
        life.step();
        assert!(life.told.faulted);
        let pages = disk.unsynced_pages() as u32;
        assert!((3..=10).contains(&pages), "{pages} pages");
        for lost in 0..1 << pages {
            check(&disk.crash(Loss::Pages(lost)), &life.told)
                .unwrap_or_else(|error| panic!("pages {lost:b}: {error}"));
        }
    }
}

/// What happens while a store is opened, at its step or sync with this number.
const TROUBLES: [fn(&SimDisk, u64); 3] = [
    |disk, n| disk.cut_power_at(disk.steps() + n),
    |disk, n| disk.fill_up_at(disk.steps() + n),
    |disk, n| disk.fail_sync_at(disk.syncs() + n),
];

#[test]
fn a_crash_a_full_disk_or_a_failed_sync_during_recovery_loses_nothing_either() {
    for trouble in TROUBLES {
        for (live, stride) in LIVES.into_iter().zip([17, 41]) {
            recover_in_trouble(trouble, live, stride);
        }
    }
}

fn recover_in_trouble(trouble: fn(&SimDisk, u64), live: fn(&SimDisk) -> Told, stride: usize) {
    let whole = SimDisk::new();
    live(&whole);
    for step in (1..=whole.steps()).step_by(stride) {
        let disk = SimDisk::new();
        disk.cut_power_at(step);
        let told = live(&disk);
        let found = disk.crash(Loss::Some(step));
        for more in 1.. {
            let again = found.crash(Loss::Nothing);
            trouble(&again, more);
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
    LIVES.into_iter().for_each(fail_syncs);
}

fn fail_syncs(live: fn(&SimDisk) -> Told) {
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

/// The canary of cold segments: one that leaves a wanted message out must not pass the check.
#[test]
fn a_merge_that_forgets_a_message_is_caught() {
    let disk = SimDisk::new();
    let mut told = live_with_cold(&disk);
    assert!(check(&disk.crash(Loss::Nothing), &told).is_ok());
    // The life kept one frame in five; whoever wants one in four misses some.
    told.pinned_every = Some(4);
    let missed = check(&disk.crash(Loss::Nothing), &told).unwrap_err();
    assert!(missed.contains("is not in the log"), "{missed}");
    assert!(!ids([5].into_iter()).is_empty());
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
