//! What fuzzing has found interesting or wrong, once more: the corpus of `fuzz/`, without a fuzzer.

#[path = "../../../../fuzz/targets/door_amqp.rs"]
mod door_amqp;
#[path = "../../../../fuzz/targets/door_openwire.rs"]
mod door_openwire;
#[path = "../../../../fuzz/targets/door_remoting.rs"]
mod door_remoting;
#[path = "../../../../fuzz/targets/doors.rs"]
mod doors;
#[path = "../../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../../fuzz/targets/selector.rs"]
mod selector;

#[test]
fn door_amqp_corpus() {
    replay::replay("door_amqp", door_amqp::run);
}

#[test]
fn door_openwire_corpus() {
    replay::replay("door_openwire", door_openwire::run);
}

#[test]
fn door_remoting_corpus() {
    replay::replay("door_remoting", door_remoting::run);
}

#[test]
fn selector_corpus() {
    replay::replay("selector", selector::run);
}
