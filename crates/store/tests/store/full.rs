//! The disk fills up, is drained, and goes on.

use store::{AppendError, Class, Completion, Durability, Loss, SimDisk};

use crate::script::{Life, check, frame, live, live_with_cold};

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
