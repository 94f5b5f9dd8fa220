#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s2sd_fuzz::pki::pki_identity(data));
