//! Pages against a model.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::bytes::Reader;
use crate::entry::EntryFlags;

fn entry(number: u64) -> Entry {
    Entry::new(Index(number), 0, EntryFlags::default(), 100, 0)
}

/// Random pushes, settlements and spills against a set of numbers.
#[test]
fn pages_agree_with_a_set() {
    let mut random = 12345u64;
    let mut next = |bound: u64| {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) % bound
    };
    let mut pages = Pages::default();
    let mut model = BTreeSet::new();
    let mut freed = Vec::new();
    let mut disk: BTreeMap<PageSlot, Vec<u8>> = BTreeMap::new();
    for step in 0..20_000u64 {
        match next(10) {
            0..5 => {
                let position = pages.push(entry(pages.next().0), Millis(step));
                assert!(model.insert(position));
            }
            5..9 => {
                let position = Position(next(pages.next().0 + 2));
                assert_eq!(pages.settle(position, &mut freed), model.remove(&position));
            }
            _ if next(100) == 0 => {
                let start = next(pages.next().0 + 1);
                let range = Position(start)..Position(start + next(2000));
                let gone: Vec<_> = model.range(range.clone()).copied().collect();
                assert_eq!(pages.settle_range(range, &mut freed), gone.len() as u64);
                gone.iter()
                    .for_each(|position| assert!(model.remove(position)));
            }
            _ if next(50) == 0 => {
                // Sometimes before it is full.
                pages.close_tail_of(next(PAGE_ENTRIES as u64) as usize);
                for (first, _) in pages.spill(&mut |bytes| {
                    let slot = PageSlot(disk.len() as u64);
                    disk.insert(slot, bytes);
                    slot
                }) {
                    pages.evict(first);
                }
                let mut bytes = Vec::new();
                pages.encode(&mut bytes);
                let again = Pages::decode(&mut Reader::new(&bytes)).unwrap();
                assert_eq!(again.live(), pages.live());
                assert_eq!(again.next(), pages.next());
                pages = again;
            }
            _ => {
                let from = Position(next(pages.next().0 + 2));
                assert_eq!(pages.next_live(from), model.range(from..).next().copied());
                match pages.get(from) {
                    Lookup::Entry(found) => assert_eq!(found, entry(from.0)),
                    Lookup::Absent => assert!(!model.contains(&from)),
                    Lookup::Spilled(slot) => {
                        let first = pages.page_first(from).unwrap();
                        pages
                            .loaded(first, entries_from(&disk[&slot]).unwrap())
                            .unwrap();
                        assert_eq!(pages.get(from), Lookup::Entry(entry(from.0)));
                    }
                }
            }
        }
        assert_eq!(pages.live(), model.len() as u64);
    }
    assert!(!freed.is_empty() && !disk.is_empty());
}
