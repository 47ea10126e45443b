//! x86-64, initial-exec: the distance comes from the global offset table, the thread pointer is `fs`.
//!
//! Which options are sound, and why: see the parent.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 8;

/// How far the block is from the thread pointer, in bytes: negative, the same for all threads.
#[inline(always)]
fn distance() -> usize {
    let distance;
    // SAFETY: reads one word of the global offset table, which the dynamic linker filled before this code ran.
    unsafe {
        asm!(
            concat!("mov {distance}, qword ptr [rip + ", symbol!(), "@GOTTPOFF]"),
            distance = lateout(reg) distance,
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
            "mov {word}, qword ptr fs:[{distance} + {index} * {WORD}]",
            distance = in(reg) distance(),
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
            "mov qword ptr fs:[{distance} + {index} * {WORD}], {word}",
            distance = in(reg) distance(),
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
            "mov {word}, qword ptr fs:[{distance} + {offset}]",
            distance = in(reg) distance(),
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
            "mov qword ptr fs:[{distance} + {offset}], {word}",
            distance = in(reg) distance(),
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
