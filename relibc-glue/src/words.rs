//! The words of a thread, in a field of its control block.
//!
//! relibc's thread pointer leads to the control block (`Tcb`) by a rule of its own for each processor. On x86 it *is* the address of
//! the block, so a word has a constant displacement from it, and the hit paths take one instruction to reach it. On aarch64 and
//! riscv64 the address of the block stands in a word near the thread pointer.
//!
//! A `#[thread_local]` inside of relibc would not do: before the main thread has its second control block there is none, and later its
//! access calls `__tls_get_addr`, which allocates.

use core::{cell::UnsafeCell, fmt, ptr};
use ralloc_platform::{THREAD_WORDS, ThreadBlock};

#[cfg_attr(target_arch = "x86_64", path = "words/x86_64.rs")]
#[cfg_attr(target_arch = "x86", path = "words/x86.rs")]
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "x86")),
    path = "words/by_pointer.rs"
)]
mod access;

/// The field of the control block. All zero is a thread that has not allocated, so a zeroed block is a valid one.
#[repr(C, align(64))]
pub struct Words([UnsafeCell<usize>; THREAD_WORDS]);

impl Words {
    /// The words of a thread that has not allocated.
    pub const fn new() -> Self {
        Self([const { UnsafeCell::new(0) }; THREAD_WORDS])
    }

    /// The thread goes on with the words at `to`; those at `from` become those of nobody.
    ///
    /// # Safety
    ///
    /// Both are words of control blocks, and may be written to. `from` are the current thread's. Until its thread pointer leads to
    /// `to`, the thread does not allocate and does not free.
    pub unsafe fn go(from: *mut Self, to: *mut Self) {
        // SAFETY: two fields of two control blocks, by the caller's promise.
        unsafe { ptr::copy_nonoverlapping(from, to, 1) };
        // SAFETY: the caller's promise; zero is valid.
        unsafe { ptr::write_bytes(from, 0, 1) };
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Words")
    }
}

/// The way to the [`Words`] that are `DISPLACEMENT` bytes into the control block of the current thread.
#[derive(Clone, Copy, Debug)]
pub struct TcbWords<const DISPLACEMENT: usize>;

// SAFETY: every thread has a control block of its own, and in it the words, zero at first; nobody else writes to them. That
// the displacement is that of the field is seen to by `seam!`.
unsafe impl<const DISPLACEMENT: usize> ThreadBlock for TcbWords<DISPLACEMENT> {
    #[inline(always)]
    unsafe fn get(index: usize) -> usize {
        // SAFETY: the index is within the words, by the caller's promise.
        unsafe { access::get::<DISPLACEMENT>(index) }
    }

    #[inline(always)]
    unsafe fn set(index: usize, word: usize) {
        // SAFETY: the index is within the words, by the caller's promise.
        unsafe { access::set::<DISPLACEMENT>(index, word) };
    }

    #[inline(always)]
    fn get_fixed<const INDEX: usize>() -> usize {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the words, as just asserted.
        unsafe { access::get_fixed::<DISPLACEMENT, INDEX>() }
    }

    #[inline(always)]
    fn set_fixed<const INDEX: usize>(word: usize) {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the words, as just asserted.
        unsafe { access::set_fixed::<DISPLACEMENT, INDEX>(word) };
    }
}
