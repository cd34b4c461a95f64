#![no_main]

#[allow(dead_code)]
#[path = "../targets/doors.rs"]
mod doors;
#[allow(dead_code)]
#[path = "../../crates/gateway/tests/it/openwire_client.rs"]
mod openwire_client;
#[path = "../targets/door_openwire.rs"]
mod target;
#[allow(dead_code)]
#[path = "../../crates/gateway/tests/it/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
