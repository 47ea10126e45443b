//! Two threads that really run at the same time and free one another's blocks: what no order of whole operations shows.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| ralloc_fuzz::at_once(input));
