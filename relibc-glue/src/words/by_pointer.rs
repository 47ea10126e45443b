//! Processors on which the address of the control block stands in a word near the thread pointer.
//!
//! The thread pointer is read each time (its assembler is not `pure`): the loader may have given the thread another control
//! block in between.

use core::arch::asm;

/// Where the control block of the current thread is.
#[inline(always)]
fn control_block() -> *mut u8 {
    #[cfg(target_arch = "aarch64")]
    {
        let pointer: *const *mut u8;
        // SAFETY: reads a register.
        unsafe {
            asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags));
        }
        // SAFETY: there relibc keeps the address of the control block.
        unsafe { pointer.read() }
    }
    #[cfg(target_arch = "riscv64")]
    {
        let block;
        // SAFETY: reads the word in front of the thread pointer, where relibc keeps the address of the control block.
        unsafe {
            asm!("ld {}, -8(tp)", out(reg) block, options(readonly, nostack, preserves_flags));
        }
        block
    }
}

/// Where a word is.
#[inline(always)]
fn word<const DISPLACEMENT: usize>(index: usize) -> *mut usize {
    control_block()
        .wrapping_add(DISPLACEMENT + index * size_of::<usize>())
        .cast()
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn get<const DISPLACEMENT: usize>(index: usize) -> usize {
    // SAFETY: a word of this thread's control block, by the caller's promise.
    unsafe { word::<DISPLACEMENT>(index).read() }
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn set<const DISPLACEMENT: usize>(index: usize, value: usize) {
    // SAFETY: a word of this thread's control block, by the caller's promise.
    unsafe { word::<DISPLACEMENT>(index).write(value) };
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn get_fixed<const DISPLACEMENT: usize, const INDEX: usize>() -> usize {
    // SAFETY: the caller's promise.
    unsafe { get::<DISPLACEMENT>(INDEX) }
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn set_fixed<const DISPLACEMENT: usize, const INDEX: usize>(value: usize) {
    // SAFETY: the caller's promise.
    unsafe { set::<DISPLACEMENT>(INDEX, value) };
}
