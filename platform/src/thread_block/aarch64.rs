//! aarch64: the thread pointer is `tpidr_el0`; the distance comes from the global offset table, or is a constant.
//!
//! Which options are sound, and why: see the parent.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 8;

/// How far the block is from the thread pointer, in bytes: the same for all threads.
#[cfg(not(feature = "local-exec"))]
#[inline(always)]
fn distance() -> usize {
    let distance;
    // SAFETY: reads one word of the global offset table, which the dynamic linker filled before this code ran.
    unsafe {
        asm!(
            concat!("adrp {distance}, :gottprel:", symbol!()),
            concat!("ldr {distance}, [{distance}, :gottprel_lo12:", symbol!(), "]"),
            distance = out(reg) distance,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    distance
}

/// How far the block is from the thread pointer, in bytes: a constant of the executable.
#[cfg(feature = "local-exec")]
#[inline(always)]
fn distance() -> usize {
    let distance;
    // SAFETY: computes a constant, of at most 24 bits.
    unsafe {
        asm!(
            concat!("movz {distance}, #:tprel_g1:", symbol!()),
            concat!("movk {distance}, #:tprel_g0_nc:", symbol!()),
            distance = out(reg) distance,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    distance
}

/// # Safety
///
/// The index is within the block.
#[inline(always)]
pub(super) unsafe fn get(index: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {word}, tpidr_el0",
            "add {word}, {word}, {distance}",
            "ldr {word}, [{word}, {index}, lsl #3]",
            distance = in(reg) distance(),
            index = in(reg) index,
            word = out(reg) word,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// # Safety
///
/// The index is within the block.
#[inline(always)]
pub(super) unsafe fn set(index: usize, word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {block}, tpidr_el0",
            "add {block}, {block}, {distance}",
            "str {word}, [{block}, {index}, lsl #3]",
            block = out(reg) _,
            distance = in(reg) distance(),
            index = in(reg) index,
            word = in(reg) word,
            options(nostack, preserves_flags),
        );
    }
}

/// # Safety
///
/// The index is within the block.
#[inline(always)]
pub(super) unsafe fn get_fixed<const INDEX: usize>() -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {word}, tpidr_el0",
            "add {word}, {word}, {distance}",
            "ldr {word}, [{word}, #{offset}]",
            distance = in(reg) distance(),
            word = out(reg) word,
            offset = const INDEX * WORD,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// # Safety
///
/// The index is within the block.
#[inline(always)]
pub(super) unsafe fn set_fixed<const INDEX: usize>(word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mrs {block}, tpidr_el0",
            "add {block}, {block}, {distance}",
            "str {word}, [{block}, #{offset}]",
            block = out(reg) _,
            distance = in(reg) distance(),
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
