//! What fuzzing has found interesting or wrong, once more: the corpus of `fuzz/`, without a fuzzer.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/targets/store_recovery.rs"]
mod store_recovery;

#[test]
fn store_recovery_corpus() {
    replay::replay("store_recovery", store_recovery::run);
}

/// Bytes inside of frames: without its checksum no edit of them is believed, and with it some are.
#[test]
fn checksums_are_mended() {
    let opens = |options, file, place: u32| {
        let [a, b, c, _] = place.to_le_bytes();
        store_recovery::edit_and_open(&[options, file, a, b, c, 1, 0x55]).is_ok()
    };
    let edits = || (0..8).flat_map(|file| (4200..4800).step_by(25).map(move |at| (file, at)));
    let believed = |options| {
        edits()
            .filter(|(file, at)| opens(options, *file, *at))
            .count()
    };
    let (mended, left) = (believed(0), believed(1));
    assert!(
        mended > left + 8,
        "{mended} mended, {left} left as they were"
    );
}
