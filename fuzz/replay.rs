//! Every input of a target's corpus, once more, as a test: past findings stay found on every toolchain.

use std::fs;
use std::path::Path;

/// Runs a target on its corpus. The last line of the output names the input that fails.
pub fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let listed =
        fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display()));
    let mut inputs: Vec<_> = listed
        .map(|entry| entry.expect("an entry").path())
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", corpus.display());
    for input in inputs {
        eprintln!("{}", input.display());
        run(&fs::read(&input).expect("an input can be read"));
    }
}
