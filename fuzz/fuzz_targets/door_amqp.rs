#![no_main]

#[allow(dead_code)]
#[path = "../../crates/gateway/tests/it/amqp_client.rs"]
mod amqp_client;
#[allow(dead_code)]
#[path = "../targets/doors.rs"]
mod doors;
#[path = "../targets/door_amqp.rs"]
mod target;
#[allow(dead_code)]
#[path = "../../crates/gateway/tests/it/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
