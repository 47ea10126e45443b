//! x86, 32 bits: the thread pointer `gs` is the address of the control block.
//!
//! The loads are `pure, readonly` and the stores have no option about memory, for the reasons that
//! `ralloc_platform` gives for its own thread blocks: two loads may become one unless something in between can write
//! memory, and to activate another control block is a call that can.

use core::arch::asm;

/// The distance between two words, in bytes.
const WORD: usize = 4;

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn get<const DISPLACEMENT: usize>(index: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's control block, by the caller's promise.
    unsafe {
        asm!(
            "mov {word}, dword ptr gs:[{index} * {WORD} + {DISPLACEMENT}]",
            index = in(reg) index,
            word = lateout(reg) word,
            WORD = const WORD,
            DISPLACEMENT = const DISPLACEMENT,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn set<const DISPLACEMENT: usize>(index: usize, word: usize) {
    // SAFETY: writes a word of this thread's control block, by the caller's promise.
    unsafe {
        asm!(
            "mov dword ptr gs:[{index} * {WORD} + {DISPLACEMENT}], {word}",
            index = in(reg) index,
            word = in(reg) word,
            WORD = const WORD,
            DISPLACEMENT = const DISPLACEMENT,
            options(nostack, preserves_flags),
        );
    }
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn get_fixed<const DISPLACEMENT: usize, const INDEX: usize>() -> usize {
    let word;
    // SAFETY: reads a word of this thread's control block, by the caller's promise.
    unsafe {
        asm!(
            "mov {word}, dword ptr gs:[{offset}]",
            word = lateout(reg) word,
            offset = const DISPLACEMENT + INDEX * WORD,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// # Safety
///
/// The index is within the words.
#[inline(always)]
pub(super) unsafe fn set_fixed<const DISPLACEMENT: usize, const INDEX: usize>(word: usize) {
    // SAFETY: writes a word of this thread's control block, by the caller's promise.
    unsafe {
        asm!(
            "mov dword ptr gs:[{offset}], {word}",
            word = in(reg) word,
            offset = const DISPLACEMENT + INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
