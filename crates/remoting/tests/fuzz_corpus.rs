//! What fuzzing has found interesting or wrong, once more: the corpus of `fuzz/`, without a fuzzer.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/targets/remoting_bodies.rs"]
mod remoting_bodies;
#[path = "../../../fuzz/targets/remoting_frames.rs"]
mod remoting_frames;
#[path = "../../../fuzz/targets/remoting_messages.rs"]
mod remoting_messages;

#[test]
fn remoting_frames_corpus() {
    replay::replay("remoting_frames", remoting_frames::run);
}

#[test]
fn remoting_bodies_corpus() {
    replay::replay("remoting_bodies", remoting_bodies::run);
}

#[test]
fn remoting_messages_corpus() {
    replay::replay("remoting_messages", remoting_messages::run);
}
