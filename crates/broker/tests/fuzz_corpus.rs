//! What fuzzing has found interesting or wrong, once more: the corpus of `fuzz/`, without a fuzzer.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/targets/broker_checkpoint.rs"]
mod broker_checkpoint;
#[path = "../../../fuzz/targets/broker_facts.rs"]
mod broker_facts;

#[test]
fn broker_facts_corpus() {
    replay::replay("broker_facts", broker_facts::run);
}

#[test]
fn broker_checkpoint_corpus() {
    replay::replay("broker_checkpoint", broker_checkpoint::run);
}
