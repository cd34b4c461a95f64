//! What fuzzing has found interesting or wrong, once more: the corpus of `fuzz/`, without a fuzzer.

#[path = "../../../fuzz/replay.rs"]
mod replay;

#[path = "../../../fuzz/targets/openwire_commands.rs"]
mod openwire_commands;
#[path = "../../../fuzz/targets/openwire_connection.rs"]
mod openwire_connection;
#[path = "../../../fuzz/targets/openwire_records.rs"]
mod openwire_records;

#[test]
fn openwire_connection_corpus() {
    replay::replay("openwire_connection", openwire_connection::run);
}

#[test]
fn openwire_commands_corpus() {
    replay::replay("openwire_commands", openwire_commands::run);
}

#[test]
fn openwire_records_corpus() {
    replay::replay("openwire_records", openwire_records::run);
}
