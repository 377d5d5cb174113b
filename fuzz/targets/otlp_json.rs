#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| devlogs_fuzz::otlp_json(data));
