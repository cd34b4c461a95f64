//! Flipped bits: what was confirmed is there, or the start or the read is refused.

use std::sync::Arc;

use store::{Completion, Durability, Loss, SimDisk, Store};

use crate::script::{Life, check, live, options, page};

const FILE: &str = "log/0000000001.log";

#[test]
fn no_flipped_bit_of_the_log_goes_unnoticed() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    for _ in 0..3 {
        life.append(Durability::Awaited);
        life.step();
    }
    life.store.idle();
    let bytes = disk.bytes(FILE).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    let flip = |byte: usize, bit: u8| {
        let damaged = disk.crash(Loss::Nothing);
        damaged.flip(FILE, byte, bit);
        match check(&damaged, &life.told) {
            Ok(()) => false,
            Err(error) => {
                assert!(error.starts_with("refused: \"log/"), "byte {byte}: {error}");
                true
            }
        }
    };
    for byte in (0..44).chain(4096..end) {
        for bit in 0..8 {
            if flip(byte, bit) {
                refused += 1
            } else {
                harmless += 1
            }
        }
    }
    // Harmless are padding and the mark itself, whose loss loses nothing.
    assert!(
        refused > 8 * 1000 && harmless < 8 * 130,
        "{refused} refused, {harmless} harmless"
    );
}

#[test]
fn a_damaged_checkpoint_makes_way_for_the_one_before() {
    let disk = SimDisk::new();
    let told = live(&disk);
    let mut names: Vec<_> = disk
        .names()
        .into_iter()
        .filter(|name| name.starts_with("checkpoint-"))
        .collect();
    names.sort();
    let [older, newer] = &names[..] else {
        panic!("{names:?}")
    };
    let newest_bytes = disk.bytes(newer).unwrap().len();
    for bit in 0..newest_bytes * 8 {
        let damaged = disk.crash(Loss::Nothing);
        damaged.flip(newer, bit / 8, (bit % 8) as u8);
        check(&damaged, &told).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
    }
    let damaged = disk.crash(Loss::Nothing);
    damaged.flip(newer, 9, 0);
    damaged.flip(older, 200, 0);
    let refused = check(&damaged, &told).unwrap_err();
    assert!(
        refused.contains("checkpoint-") && refused.contains("restore"),
        "{refused}"
    );
}

#[test]
fn a_damaged_page_is_never_handed_out() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    let slot = life.store.write_page(&page(3));
    life.step();
    for bit in 4096 * 8..(4096 + 32 + page(3).len()) * 8 {
        let (byte, bit) = (bit / 8, (bit % 8) as u8);
        disk.flip("pages", byte, bit);
        life.store.load_page(slot, 1);
        let completions = life.step();
        assert!(
            matches!(
                &completions[..],
                [Completion::PageLoaded { page: Err(_), .. }]
            ),
            "byte {byte}: {completions:?}"
        );
        disk.flip("pages", byte, bit);
    }
    life.store.load_page(slot, 1);
    assert!(matches!(
        &life.step()[..],
        [Completion::PageLoaded { page: Ok(_), .. }]
    ));
}

#[test]
fn missing_and_foreign_files_are_named() {
    let disk = SimDisk::new();
    let told = live(&disk);
    let names: Vec<_> = disk
        .names()
        .into_iter()
        .filter(|n| n.ends_with(".log"))
        .collect();
    let refusal = |change: &dyn Fn(&SimDisk)| {
        let damaged = disk.crash(Loss::Nothing);
        change(&damaged);
        check(&damaged, &told).unwrap_err()
    };
    let remove = |name: &str| {
        let name = name.to_owned();
        move |disk: &SimDisk| store::Disk::remove(disk, &name).unwrap()
    };
    let last = names.last().unwrap();
    // The very last segment has no witness; any other has.
    let before = &names[names.len() - 2];
    assert!(refusal(&remove(before)).contains(before.as_str()));
    assert!(refusal(&remove("node")).contains("\"node\""));
    assert!(refusal(&remove("pages")).contains("\"pages\""));
    let other = SimDisk::new();
    let mut foreign = options();
    foreign.newborn.0 += 1;
    Store::open_manual(Arc::new(other.clone()), foreign)
        .map(|_| ())
        .unwrap();
    let swap = |disk: &SimDisk| disk.put(last, &other.bytes(FILE).unwrap());
    assert!(refusal(&swap).contains("another node"));
}
