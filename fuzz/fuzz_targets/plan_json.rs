#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qeinsum_fuzz::plan_json(bytes));
