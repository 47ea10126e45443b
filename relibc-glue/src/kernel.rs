//! The kernel, without what the platform would ask of a C library: relibc *is* the C library, and calls the hooks itself.

use ralloc_platform::{Hooks, Platform, System, forward};

/// The system's kernel, as relibc sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

// SAFETY: every promise about memory is kept by the system's platform.
unsafe impl Platform for Kernel {
    /// relibc calls the exit hook for every thread.
    fn arm_thread_exit(&self) -> bool {
        true
    }

    /// relibc calls the functions of [`seam`](mod@crate::seam): nobody need be told.
    fn install(&self, _hooks: Hooks) {}

    // No debugger is told of a libc's own blocks, and it has no security build.
    forward! {
        self => System;
        page_size map extend unmap purge expect_use relocate program_break entropy write_stderr yield_now abort
    }
}
