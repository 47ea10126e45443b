//! x86, 32 bits: the thread pointer is `gs`; the distance comes from the global offset table, or is a constant.
//!
//! Which options are sound, and why: see the parent.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 4;

/// How far the block is from the thread pointer, in bytes: negative, the same for all threads.
#[cfg(not(feature = "local-exec"))]
#[inline(always)]
fn distance() -> usize {
    let distance;
    // SAFETY: reads one word of the global offset table, which the dynamic linker filled before this code ran. The
    // processor has no addresses relative to the instruction; a call leaves one on the stack, and the next
    // instruction takes it from there.
    unsafe {
        asm!(
            "call 2f",
            "2: pop {distance}",
            "3: add $_GLOBAL_OFFSET_TABLE_ + (3b - 2b), {distance}",
            concat!("mov ", symbol!(), "@GOTNTPOFF({distance}), {distance}"),
            distance = out(reg) distance,
            options(pure, nomem, att_syntax),
        );
    }
    distance
}

/// How far the block is from the thread pointer, in bytes: a constant of the executable.
#[cfg(feature = "local-exec")]
#[inline(always)]
fn distance() -> usize {
    let distance;
    // SAFETY: computes a constant.
    unsafe {
        asm!(
            concat!("mov {distance}, offset ", symbol!(), "@NTPOFF"),
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
            "mov {word}, dword ptr gs:[{distance} + {index} * {WORD}]",
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
            "mov dword ptr gs:[{distance} + {index} * {WORD}], {word}",
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
            "mov {word}, dword ptr gs:[{distance} + {offset}]",
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
            "mov dword ptr gs:[{distance} + {offset}], {word}",
            distance = in(reg) distance(),
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
