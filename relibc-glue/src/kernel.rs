//! The kernel, without what the platform would ask of a C library: relibc *is* the C library, and calls the hooks itself.

use core::ptr::NonNull;
use ralloc_platform::{Hooks, Platform, System};

/// The system's kernel, as relibc sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

// SAFETY: every promise about memory is kept by the system's platform.
unsafe impl Platform for Kernel {
    fn page_size(&self) -> usize {
        System.page_size()
    }

    fn map(&self, size: usize, align: usize) -> Option<NonNull<u8>> {
        System.map(size, align)
    }

    fn extend(&self, end: NonNull<u8>, additional: usize) -> bool {
        System.extend(end, additional)
    }

    unsafe fn unmap(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { System.unmap(base, size) }
    }

    unsafe fn purge(&self, base: NonNull<u8>, size: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { System.purge(base, size) }
    }

    unsafe fn expect_use(&self, base: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise.
        unsafe { System.expect_use(base, size) };
    }

    unsafe fn relocate(
        &self,
        old: NonNull<u8>,
        old_size: usize,
        new_size: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        unsafe { System.relocate(old, old_size, new_size, align) }
    }

    unsafe fn program_break(&self, to: Option<usize>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { System.program_break(to) }
    }

    /// relibc calls the exit hook for every thread.
    fn arm_thread_exit(&self) -> bool {
        true
    }

    /// relibc calls the functions of [`seam`](mod@crate::seam): nobody need be told.
    fn install(&self, _hooks: Hooks) {}

    fn entropy(&self) -> usize {
        System.entropy()
    }

    fn write_stderr(&self, text: &[u8]) {
        System.write_stderr(text);
    }

    fn yield_now(&self) {
        System.yield_now();
    }

    fn abort(&self) -> ! {
        System.abort()
    }
}
