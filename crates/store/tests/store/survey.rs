//! A look at a directory from outside: it changes nothing, and what it says of a start is true.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::{Disk, Durability, Loss, SimDisk, Survey, inspect};

use crate::script::{Life, NODE, check, ids, live, live_with_cold, records};

fn look(disk: &SimDisk) -> Survey {
    let before: Vec<_> = disk.names().iter().map(|name| disk.bytes(name)).collect();
    let survey = inspect(Arc::new(disk.clone())).unwrap();
    let after: Vec<_> = disk.names().iter().map(|name| disk.bytes(name)).collect();
    assert_eq!(before, after, "a look changes nothing");
    survey
}

fn damages(survey: &Survey) -> Vec<String> {
    let verified: Vec<_> = survey.verify().collect();
    let done: Vec<_> = verified.iter().map(|step| step.bytes_done).collect();
    assert!(
        done.is_sorted()
            && verified
                .iter()
                .all(|step| step.bytes_done <= step.bytes_total)
    );
    verified
        .into_iter()
        .filter_map(|step| Some(step.damage?.to_string()))
        .collect()
}

#[test]
fn a_sound_directory_is_told_whole() {
    for live in [live, live_with_cold] {
        let disk = SimDisk::new();
        let told = live(&disk);
        let disk = disk.crash(Loss::Nothing);
        let survey = look(&disk);
        assert_eq!(survey.node, Some(NODE));
        assert!(
            survey.refusal.is_none() && !survey.in_use,
            "{:?}",
            survey.refusal
        );
        assert_eq!(survey.checkpoints.len(), 2);
        assert_eq!(damages(&survey), [""; 0]);
        let last = survey
            .replay()
            .map(|frame| frame.unwrap().index().number())
            .last();
        let state = survey.checkpoint().unwrap().applied[0].1.number();
        assert_eq!(last.unwrap_or(state), told.appended);
        let frames: BTreeSet<_> = survey
            .frames()
            .map(|frame| frame.unwrap().index().number())
            .collect();
        let wanted = ids((1..=told.appended).filter(|index| frames.contains(index)));
        let mut count = 0;
        survey.records(&wanted, |id, record| {
            count += 1;
            if let Ok(record) = record {
                let same = &records(id.index().number())[id.slot().number() as usize];
                assert_eq!(*record, same[..]);
            }
        });
        assert_eq!(count, wanted.len());
        for slot in survey.checkpoint().unwrap().pages {
            survey.page(slot).unwrap();
        }
        drop(survey);
        check(&disk, &told).unwrap();
    }
}

/// What verifying says of a flipped bit, beside what a start says of it.
#[test]
fn damage_is_found_wherever_it_is() {
    let disk = SimDisk::new();
    let told = live_with_cold(&disk);
    for name in disk.names().iter().filter(|name| !name.contains("spare")) {
        let bytes = disk.bytes(name).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let (mut found, mut tried) = (0, 0);
        for byte in (0..end).step_by(97) {
            let damaged = disk.crash(Loss::Nothing);
            damaged.flip(name, byte, 6);
            let survey = look(&damaged);
            let refusal = survey.refusal.as_ref().map(|refusal| refusal.to_string());
            let damages = damages(&survey);
            drop(survey);
            tried += 1;
            found += u32::from(refusal.is_some() || !damages.is_empty());
            // A start is refused exactly when the survey says so.
            let opened = store::Store::open_manual(Arc::new(damaged), crate::script::options());
            assert_eq!(
                opened.err().map(|error| error.to_string()),
                refusal,
                "{name} {byte}"
            );
        }
        // Unnamed pages, padding, room that nobody wrote to.
        assert!(
            name == "pages" || found * 2 >= tried,
            "{name}: {found} of {tried}"
        );
    }
    assert!(told.merges > 0);
}

#[test]
fn frames_behind_damage_are_told_and_a_torn_tail_is_no_damage() {
    let disk = SimDisk::new();
    let mut life = Life::begin(&disk).unwrap();
    for _ in 0..20 {
        life.append(Durability::Awaited);
        life.step();
    }
    const FILE: &str = "log/0000000001.log";
    let bytes = disk.bytes(FILE).unwrap();
    let second = (0..bytes.len() / 8)
        .map(|n| n * 8)
        .filter(|at| bytes[*at..].starts_with(b"TrFm"))
        .nth(1)
        .unwrap();
    let damaged = disk.crash(Loss::Nothing);
    damaged.flip(FILE, second + 30, 0);
    let survey = look(&damaged);
    let refusal = survey.refusal.as_ref().unwrap().to_string();
    assert!(
        refusal.contains(&format!("{FILE:?} is damaged at offset {second}")),
        "{refusal}"
    );
    let told: Vec<_> = survey
        .frames()
        .map(|frame| frame.map(|f| f.index().number()))
        .collect();
    let indexes: Vec<_> = told
        .iter()
        .filter_map(|frame| frame.as_ref().ok())
        .copied()
        .collect();
    assert_eq!(indexes, [1].into_iter().chain(3..=20).collect::<Vec<_>>());
    assert_eq!(told.iter().filter(|frame| frame.is_err()).count(), 1);
    assert_eq!(damages(&survey).len(), 1);

    let torn = disk.crash(Loss::Nothing);
    let last = (0..bytes.len() / 8)
        .map(|n| n * 8)
        .rfind(|at| bytes[*at..].starts_with(b"TrFm"))
        .unwrap();
    torn.flip(FILE, last + 30, 0);
    let survey = look(&torn);
    assert!(survey.refusal.is_none());
    assert!(
        survey
            .notes
            .iter()
            .any(|note| note.contains("never confirmed")),
        "{:?}",
        survey.notes
    );
    assert_eq!(damages(&survey), [""; 0]);
}

#[test]
fn a_directory_in_use_and_an_empty_one_are_told_apart() {
    let disk = SimDisk::new();
    let survey = look(&disk);
    assert!(survey.node.is_none() && survey.refusal.is_none() && survey.segments.is_empty());
    drop(survey);
    let life = Life::begin(&disk).unwrap();
    assert!(look(&disk).in_use);
    drop(life);
    assert!(!look(&disk).in_use);
    assert_eq!(disk.list("log").unwrap(), ["0000000001.log"]);
}
