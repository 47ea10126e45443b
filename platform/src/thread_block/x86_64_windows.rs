//! x86-64 Windows: the loader keeps, for each module with static thread-local storage, a number, and each thread a table of
//! where its copies are. The table is in the thread's block, at `gs:[0x58]`; the distance is that of the block within the
//! module's copy.
//!
//! Which options are sound, and why: see the grandparent. Nothing of the table changes while the thread lives.

use core::arch::asm;

/// The distance between two words of the block, in bytes.
const WORD: usize = 8;

/// How far the block is from the start of the module's thread-local storage, in bytes.
#[doc(hidden)]
#[macro_export]
macro_rules! distance_of_thread_block {
    ($id:expr; $($symbol:tt)*) => {{
        let distance: usize;
        // SAFETY: loads a number that the linker put there.
        unsafe {
            core::arch::asm!(
                concat!("movl $", $($symbol)*, "_{id}@SECREL32, {distance:e}"),
                distance = lateout(reg) distance,
                id = const $id,
                options(att_syntax, pure, nomem, nostack, preserves_flags),
            );
        }
        distance
    }};
}

/// Where this thread's copy of the module's storage is.
#[inline(always)]
fn copy() -> usize {
    let copy;
    // SAFETY: reads the module's number, which the loader has written, and the thread's table.
    unsafe {
        asm!(
            "mov {number:e}, dword ptr [rip + _tls_index]",
            "mov {copy}, qword ptr gs:[0x58]",
            "mov {copy}, qword ptr [{copy} + {number} * 8]",
            number = out(reg) _,
            copy = out(reg) copy,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    copy
}

/// The word at an index of the block.
///
/// # Safety
///
/// A block is at this distance from the start of the module's storage, and the index is within it.
#[inline(always)]
pub unsafe fn get(distance: usize, index: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mov {word}, qword ptr [{block} + {index} * {WORD}]",
            block = in(reg) copy() + distance,
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
/// A block is at this distance from the start of the module's storage, and the index is within it.
#[inline(always)]
pub unsafe fn set(distance: usize, index: usize, word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mov qword ptr [{block} + {index} * {WORD}], {word}",
            block = in(reg) copy() + distance,
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
/// A block is at this distance from the start of the module's storage, and the index is within it.
#[inline(always)]
pub unsafe fn get_fixed<const INDEX: usize>(distance: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mov {word}, qword ptr [{copy} + {distance} + {offset}]",
            copy = in(reg) copy(),
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
/// A block is at this distance from the start of the module's storage, and the index is within it.
#[inline(always)]
pub unsafe fn set_fixed<const INDEX: usize>(distance: usize, word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            "mov qword ptr [{copy} + {distance} + {offset}], {word}",
            copy = in(reg) copy(),
            distance = in(reg) distance,
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
