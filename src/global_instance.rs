//! The allocator that every Rust program can have.

use ralloc_platform::{System, on_load};

use crate::{
    config::Defaults,
    process::{Instance, Process},
    thread,
    words::Words,
};

/// The instance behind [`Ralloc`](crate::Ralloc) and the functions at the root of the crate: the system's kernel, the default policy.
///
/// ```
/// let block = ralloc::native::alloc::<ralloc::Global>(100, 8); // As `ralloc::alloc(100, 8)`.
/// // SAFETY: allocated above with this size, freed once.
/// unsafe { ralloc::free(block, 100) };
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Global;

static PROCESS: Process<Global> = Process::new(System);

// SAFETY: the state is one static.
unsafe impl Instance for Global {
    type Platform = System;
    type Thread = Words;
    type Tuning = Defaults;

    #[inline(always)]
    fn process() -> &'static Process<Self> {
        &PROCESS
    }
}

on_load!(thread::install::<Global>);
