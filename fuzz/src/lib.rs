//! What the fuzz targets do with an input.
//!
//! - `step`: an input, read as a sequence of steps. Any bytes are a sequence, and a byte more or less leaves most of it alone.
//! - `replay`: steps, made on the allocator and on the reference that the other tests have (`tests/common`).
//! - `lockstep`, `at_once`: the same by several threads.
//!
//! Every input has an allocator of its own on a simulated kernel. When it has been read, all blocks are freed, all
//! equations are checked, and the kernel's ledger is empty.

#[path = "../../tests/common/mod.rs"]
mod common;

mod at_once;
mod lockstep;
mod replay;
mod step;

use common::Kernel;
use ralloc_platform::sim::Rules;
use step::Steps;

/// One thread does what the input says.
pub fn operations(input: &[u8]) {
    on_kernel(input, |steps| {
        let mut replay = replay::Replay::new(0);
        for step in steps {
            replay.make(&step);
        }
        replay.finish();
    });
}

/// Several threads do what the input says, one step of one thread at a time.
pub fn two_threads(input: &[u8]) {
    on_kernel(input, lockstep::run);
}

/// Two threads do what the input says, each as fast as it can.
pub fn at_once(input: &[u8]) {
    on_kernel(input, at_once::run);
}

/// The first byte says which kernel; the rest is steps.
fn on_kernel(input: &[u8], work: impl FnOnce(Steps) + Send) {
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    let rules = match first & 1 {
        0 => Rules::Linux,
        _ => Rules::Redox,
    };
    common::run(Kernel::sim(rules), || work(Steps::new(rest)));
}
