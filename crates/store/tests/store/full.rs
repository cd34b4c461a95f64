//! The disk fills up, is drained, and goes on.

use store::{AppendError, Class, Completion, Durability, Loss, SimDisk};

use crate::script::{Life, Told, check, frame, live, live_with_cold, options, segments};

#[test]
fn a_full_disk_is_drained_and_goes_on() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    life.step();
    disk.set_capacity(Some(disk.used_bytes() + 100_000));
    let full = (0..1000).find(|_| {
        life.append(Durability::Awaited);
        life.step()
            .iter()
            .any(|completion| matches!(completion, Completion::DiskFull))
    });
    assert!(full.is_some() && !life.told.faulted);
    assert!(
        !life.append(Durability::Awaited),
        "ordinary frames are refused"
    );
    let next = life.told.appended + 1;
    let refused = life
        .store
        .append(frame(next), Durability::Awaited, Class::Ordinary);
    assert_eq!(refused, Err(AppendError::DiskFull));
    // Settlements go on.
    for _ in 0..10 {
        let next = life.told.appended + 1;
        life.store
            .append(frame(next), Durability::Awaited, Class::Essential)
            .unwrap();
        life.told.appended = next;
        life.step();
    }
    assert_eq!(life.told.synced, life.told.appended);
    // Two checkpoints later the room is back.
    let mut freed = false;
    for _ in 0..2 {
        let low_water = life.told.appended;
        life.checkpoint(low_water);
        freed |= life
            .step()
            .iter()
            .any(|c| matches!(c, Completion::DiskFreed));
        let next = life.told.appended + 1;
        life.store
            .append(frame(next), Durability::Awaited, Class::Essential)
            .unwrap();
        life.told.appended = next;
        life.step();
    }
    assert!(freed && !life.told.faulted);
    assert!(life.append(Durability::Awaited));
    life.step();
    check(&disk.crash(Loss::Everything), &life.told).unwrap();
}

#[test]
fn whatever_room_there_is_nothing_confirmed_is_lost() {
    let whole = SimDisk::new();
    live(&whole);
    for capacity in (0..whole.used_bytes() + 200_000).step_by(2048) {
        let disk = SimDisk::new();
        disk.set_capacity(Some(capacity));
        let told = live(&disk);
        let after = disk.crash(Loss::Everything);
        after.set_capacity(None);
        check(&after, &told).unwrap_or_else(|error| panic!("{capacity} bytes: {error}"));
    }
}

#[test]
fn a_disk_that_fills_up_at_any_step_loses_nothing_and_goes_on_when_it_has_room() {
    for live in [live, live_with_cold] {
        let whole = SimDisk::new();
        live(&whole);
        for step in 1..=whole.steps() {
            let disk = SimDisk::new();
            disk.fill_up_at(step);
            let told = live(&disk);
            check(&disk.crash(Loss::Everything), &told)
                .unwrap_or_else(|error| panic!("full from step {step}: {error}"));
        }
    }
}

/// One frame in so many is never settled: a few in each segment.
const PINNED_EVERY: u64 = 25;

/// Fills a small disk with frames of which few are wanted.
fn fill(disk: &SimDisk) -> Result<Life, Told> {
    let mut life = Life::begin(disk).map_err(|_| Told::default())?;
    life.told.pinned_every = Some(PINNED_EVERY);
    life.step();
    disk.set_capacity(Some(disk.used_bytes() + 104_000));
    while !life.store.disk_full() {
        life.append(Durability::Awaited);
        life.step();
        if life.told.faulted {
            return Err(life.told);
        }
    }
    Ok(life)
}

/// A full disk whose segments are sparse: they are merged, and room comes back. Tells what the
/// owner was told, and whether the disk has room again.
fn drain_sparse(disk: &SimDisk) -> (Told, bool) {
    let mut life = match fill(disk) {
        Ok(life) => life,
        Err(told) => return (told, false),
    };
    let wanted_from = life.told.appended;
    let mut freed = false;
    for round in 0..12 {
        // A checkpoint, and in the next round what may be merged now.
        if round % 2 == 0 && life.store.can_checkpoint() {
            life.checkpoint(wanted_from);
        }
        if round % 2 == 1 {
            if round == 3 {
                // The copy finds no room but that of a spare.
                disk.set_capacity(Some(disk.used_bytes()));
            }
            life.merge_all(wanted_from);
        }
        for _ in 0..20 {
            let told = life.step();
            freed |= told.iter().any(|c| matches!(c, Completion::DiskFreed));
            if life.told.faulted {
                return (life.told, freed);
            }
        }
    }
    if freed {
        life.append(Durability::Awaited);
        life.step();
    }
    (life.told, freed)
}

#[test]
fn a_full_disk_of_sparse_segments_gets_room_by_a_merge() {
    let disk = SimDisk::new();
    let life = fill(&disk).map_err(|told| format!("{told:?}")).unwrap();
    let filled = life.told.appended;
    drop(life);
    let disk = SimDisk::new();
    let (told, freed) = drain_sparse(&disk);
    assert!(freed && told.merges >= 1 && !told.faulted, "{told:?}");
    assert_eq!(told.appended, filled + 1, "publishes go on");
    assert!(segments(&disk, ".log").len() + segments(&disk, ".cold").len() <= 4);
    for loss in [Loss::Nothing, Loss::Everything, Loss::Some(1)] {
        check(&disk.crash(loss), &told).unwrap();
    }
}

#[test]
fn a_crash_or_a_failed_sync_while_a_full_disk_is_merged_loses_nothing() {
    let filled = SimDisk::new();
    drop(fill(&filled));
    let (steps, syncs) = (filled.steps(), filled.syncs());
    let whole = SimDisk::new();
    drain_sparse(&whole);
    for step in steps..=whole.steps() {
        let disk = SimDisk::new();
        disk.cut_power_at(step);
        let (told, _) = drain_sparse(&disk);
        for loss in [Loss::Nothing, Loss::Everything, Loss::Some(step)] {
            let after = disk.crash(loss);
            if loss != Loss::Nothing {
                // What was removed may be there again, and with it more than fits.
                after.set_capacity(None);
            }
            check(&after, &told).unwrap_or_else(|error| panic!("step {step}, {loss:?}: {error}"));
        }
    }
    for sync in syncs..=whole.syncs() {
        let disk = SimDisk::new();
        disk.fail_sync_at(sync);
        let (told, _) = drain_sparse(&disk);
        let after = disk.crash(Loss::Everything);
        after.set_capacity(None);
        check(&after, &told).unwrap_or_else(|error| panic!("sync {sync}: {error}"));
    }
}

/// A node that is started again and again on a full disk goes on in the segment that it has.
#[test]
fn twenty_starts_on_a_full_disk_cost_no_room() {
    let mut disk = SimDisk::new();
    let mut life = fill(&disk).map_err(|told| format!("{told:?}")).unwrap();
    let mut last = life.told.appended;
    let mut files = None;
    for start in 0..20 {
        drop(life);
        let loss = match start % 2 {
            0 => Loss::Nothing,
            _ => Loss::Everything,
        };
        disk = disk.crash(loss);
        life = Life::begin(&disk).unwrap_or_else(|error| panic!("start {start}: {error}"));
        life.step();
        life.store.idle();
        assert_eq!(life.told.appended, last, "start {start}");
        assert!(life.store.disk_full() && !life.told.faulted);
        // The first one ends the segment that was written to.
        let now = segments(&disk, "");
        let before = files.replace(now.clone());
        assert!(
            before.is_none_or(|before| before == now),
            "start {start}: {now:?}"
        );
    }
    // It is drained.
    for _ in 0..3 {
        last += 1;
        life.store
            .append(frame(last), Durability::Awaited, Class::Essential)
            .unwrap();
        life.told.appended = last;
        life.checkpoint(last);
        life.step();
    }
    assert!(!life.store.disk_full() && life.append(Durability::Awaited));
    life.step();
    check(&disk.crash(Loss::Everything), &life.told).unwrap();
}

#[test]
fn a_start_without_room_for_a_whole_segment_makes_a_smaller_one() {
    let disk = SimDisk::new();
    let life = fill(&disk).map_err(|told| format!("{told:?}")).unwrap();
    let told = life.told.clone();
    drop(life);
    let disk = disk.crash(Loss::Nothing);
    for spare in disk.names().iter().filter(|name| name.contains("spare")) {
        store::Disk::remove(&disk, spare).unwrap();
    }
    // Some more than a header and a seal, and less than a segment.
    let used = disk.used_bytes();
    let opened = (0..16).find_map(|extra| {
        let disk = disk.crash(Loss::Nothing);
        disk.set_capacity(Some(used + extra * 1024));
        Some((Life::begin(&disk).ok()?, disk))
    });
    let (mut life, disk) = opened.unwrap();
    let newest = segments(&disk, ".log").pop().unwrap();
    let length = disk.bytes(&newest).unwrap().len() as u64;
    assert!(
        length < options().segment_bytes,
        "{newest} has {length} bytes"
    );
    // What does not fit there makes another one, no larger than it must be.
    disk.set_capacity(Some(disk.used_bytes() + 14 * 1024));
    let next = told.appended + 1;
    life.store
        .append(frame(next), Durability::Awaited, Class::Essential)
        .unwrap();
    life.told.appended = next;
    life.step();
    assert_eq!((life.told.synced, life.told.faulted), (next, false));
    check_again(&disk, &told, next);
}

/// With room again, all of it is found.
fn check_again(disk: &SimDisk, told: &Told, last: u64) {
    let after = disk.crash(Loss::Everything);
    after.set_capacity(None);
    let told = Told {
        appended: last,
        synced: last,
        ..told.clone()
    };
    check(&after, &told).unwrap();
}
