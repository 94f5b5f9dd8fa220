#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s2sd_fuzz::signer::signer_questions(data));
