//! One thread: all verbs, on a kernel that refuses when the input says so.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ralloc_fuzz::operations(input));
