//! aarch64: the thread pointer is `tpidr_el0`; the distance comes from the global offset table, or is a constant.
//!
//! Which options are sound, and why: see the parent.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 8;

/// How far the block is from the thread pointer, in bytes: the same for all threads.
#[cfg(not(feature = "local-exec"))]
#[doc(hidden)]
#[macro_export]
macro_rules! distance_of_thread_block {
    ($id:expr; $($symbol:tt)*) => {{
        let distance: usize;
        // SAFETY: reads one word of the global offset table, which the dynamic linker filled before this code ran.
        unsafe {
            core::arch::asm!(
                concat!("adrp {distance}, :gottprel:", $($symbol)*, "_{id}"),
                concat!("ldr {distance}, [{distance}, :gottprel_lo12:", $($symbol)*, "_{id}]"),
                distance = out(reg) distance,
                id = const $id,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        distance
    }};
}

/// How far the block is from the thread pointer, in bytes: a constant of the executable.
#[cfg(feature = "local-exec")]
#[doc(hidden)]
#[macro_export]
macro_rules! distance_of_thread_block {
    ($id:expr; $($symbol:tt)*) => {{
        let distance: usize;
        // SAFETY: computes a constant, of at most 24 bits.
        unsafe {
            core::arch::asm!(
                concat!("movz {distance}, #:tprel_g1:", $($symbol)*, "_{id}"),
                concat!("movk {distance}, #:tprel_g0_nc:", $($symbol)*, "_{id}"),
                distance = out(reg) distance,
                id = const $id,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        distance
    }};
}

/// The word at an index of the block.
///
/// # Safety
///
/// A block is at this distance from the thread pointer, and the index is within it.
#[inline(always)]
pub unsafe fn get(distance: usize, index: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {word}, tpidr_el0",
            "add {word}, {word}, {distance}",
            "ldr {word}, [{word}, {index}, lsl #3]",
            distance = in(reg) distance,
            index = in(reg) index,
            word = out(reg) word,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// Store a word at an index of the block.
///
/// # Safety
///
/// A block is at this distance from the thread pointer, and the index is within it.
#[inline(always)]
pub unsafe fn set(distance: usize, index: usize, word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {block}, tpidr_el0",
            "add {block}, {block}, {distance}",
            "str {word}, [{block}, {index}, lsl #3]",
            block = out(reg) _,
            distance = in(reg) distance,
            index = in(reg) index,
            word = in(reg) word,
            options(nostack, preserves_flags),
        );
    }
}

/// The word at an index known to the compiler.
///
/// # Safety
///
/// A block is at this distance from the thread pointer, and the index is within it.
#[inline(always)]
pub unsafe fn get_fixed<const INDEX: usize>(distance: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {word}, tpidr_el0",
            "add {word}, {word}, {distance}",
            "ldr {word}, [{word}, #{offset}]",
            distance = in(reg) distance,
            word = out(reg) word,
            offset = const INDEX * WORD,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// Store a word at an index known to the compiler.
///
/// # Safety
///
/// A block is at this distance from the thread pointer, and the index is within it.
#[inline(always)]
pub unsafe fn set_fixed<const INDEX: usize>(distance: usize, word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {block}, tpidr_el0",
            "add {block}, {block}, {distance}",
            "str {word}, [{block}, #{offset}]",
            block = out(reg) _,
            distance = in(reg) distance,
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
