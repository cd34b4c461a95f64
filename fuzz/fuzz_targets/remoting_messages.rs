#![no_main]

#[path = "../targets/remoting_messages.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
