//! What fuzzing has found interesting or wrong, once more: the corpus of `fuzz/`, without a fuzzer.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/targets/amqp_connection.rs"]
mod amqp_connection;
#[path = "../../../fuzz/targets/amqp_fields.rs"]
mod amqp_fields;

#[test]
fn amqp_connection_corpus() {
    replay::replay("amqp_connection", amqp_connection::run);
}

#[test]
fn amqp_fields_corpus() {
    replay::replay("amqp_fields", amqp_fields::run);
}
