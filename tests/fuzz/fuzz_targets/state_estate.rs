#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s2sd_fuzz::state::state_estate(data));
