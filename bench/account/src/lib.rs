//! ralloc, and beside it a note of what is asked for: to be preloaded by `cargo xtask explain`.
//!
//! - `doors`: the C functions, which note how many bytes the program asked for, in
//! - `notes`: a table of its own, outside of the allocator.
//! - `sampler`: a thread that looks at resident memory. In a first run it says how much there was at most
//!   (`RALLOC_EXPLAIN_PEAK=FILE`); in a second it stops the others when there is nearly as much, and has it
//! - `sum`: added up, and written down (`RALLOC_EXPLAIN_AT=KIB`, `RALLOC_EXPLAIN_OUT=FILE`).
//!
//! Nothing here uses the heap: what is explained is not changed, but for the thread and the notes, which are counted apart.

pub mod doors;
mod kernel;
mod notes;
mod sampler;
mod sum;

use ralloc::{Defaults, Failure, Instance, Process, Watchers};
use ralloc_platform::{EINVAL, ENOMEM, StaticBlock, System, on_load, on_unload, set_errno};

/// The allocator as `libralloc` has it.
pub(crate) struct Libc;

static PROCESS: Process<Libc> = Process::new(System);

// SAFETY: the state is one static.
unsafe impl Instance for Libc {
    type Platform = System;
    type Thread = StaticBlock;
    type Tuning = Defaults;

    #[inline(always)]
    fn process() -> &'static Process<Self> {
        &PROCESS
    }

    #[cold]
    fn watchers(_: bool) -> Option<Watchers> {
        None
    }

    #[cold]
    fn on_failure(why: Failure) {
        set_errno(match why {
            Failure::NoMemory => ENOMEM,
            Failure::BadArgument => EINVAL,
        });
    }
}

fn load() {
    ralloc::install::<Libc>();
    sampler::start();
}

fn unload() {
    sampler::at_exit();
}

on_load!(load);
on_unload!(unload);
