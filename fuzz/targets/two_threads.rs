//! Several threads, of which one moves at a time, as the input says: what crosses from heap to heap, repeatably.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ralloc_fuzz::two_threads(input));
