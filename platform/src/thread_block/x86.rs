//! x86, 32 bits: the thread pointer is `gs`; the distance comes from the global offset table, or is a constant.
//!
//! Which options are sound, and why: see the parent.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 4;

/// How far the block is from the thread pointer, in bytes: negative, the same for all threads.
#[cfg(not(feature = "local-exec"))]
#[doc(hidden)]
#[macro_export]
macro_rules! distance_of_thread_block {
    ($id:expr; $($symbol:tt)*) => {{
        let distance: usize;
        // SAFETY: reads one word of the global offset table, which the dynamic linker filled before this code ran. The
        // processor has no addresses relative to the instruction; a call leaves one on the stack, and the next
        // instruction takes it from there.
        unsafe {
            core::arch::asm!(
                "call 2f",
                "2: pop {distance}",
                "3: add $_GLOBAL_OFFSET_TABLE_ + (3b - 2b), {distance}",
                concat!("mov ", $($symbol)*, "_{id}@GOTNTPOFF({distance}), {distance}"),
                distance = out(reg) distance,
                id = const $id,
                options(pure, nomem, att_syntax),
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
        // SAFETY: computes a constant.
        unsafe {
            core::arch::asm!(
                concat!("mov {distance}, offset ", $($symbol)*, "_{id}@NTPOFF"),
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
            "mov {word}, dword ptr gs:[{distance} + {index} * {WORD}]",
            distance = in(reg) distance,
            index = in(reg) index,
            word = lateout(reg) word,
            WORD = const WORD,
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
            "mov dword ptr gs:[{distance} + {index} * {WORD}], {word}",
            distance = in(reg) distance,
            index = in(reg) index,
            word = in(reg) word,
            WORD = const WORD,
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
            "mov {word}, dword ptr gs:[{distance} + {offset}]",
            distance = in(reg) distance,
            word = lateout(reg) word,
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
            "mov dword ptr gs:[{distance} + {offset}], {word}",
            distance = in(reg) distance,
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
