//! x86-64, local-exec: the distance from the thread pointer `fs` is a constant of the executable.
//!
//! Which options are sound, and why: see the parent.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 8;

/// # Safety
///
/// The index is within the block.
#[inline(always)]
pub(super) unsafe fn get(index: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            concat!("mov {word}, qword ptr fs:[{index} * {WORD} + ", symbol!(), "@TPOFF]"),
            index = in(reg) index,
            word = lateout(reg) word,
            WORD = const WORD,
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
            concat!("mov qword ptr fs:[{index} * {WORD} + ", symbol!(), "@TPOFF], {word}"),
            index = in(reg) index,
            word = in(reg) word,
            WORD = const WORD,
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
            concat!("mov {word}, qword ptr fs:[", symbol!(), "@TPOFF + {offset}]"),
            word = lateout(reg) word,
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
            concat!("mov qword ptr fs:[", symbol!(), "@TPOFF + {offset}], {word}"),
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
