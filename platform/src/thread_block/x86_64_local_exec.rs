//! The block that every program has, on x86-64, local-exec: the distance from the thread pointer `fs` is a constant of the executable.
//!
//! Which options are sound, and why: see the parent.

use crate::{THREAD_WORDS, ThreadBlock};
use core::arch::asm;

/// The name of the block. The version is in it so that two releases in one static link do not share a block.
macro_rules! symbol {
    () => {
        concat!(
            "ralloc_thread_block_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

crate::define_thread_storage!(0; symbol!());

/// [`THREAD_WORDS`](crate::THREAD_WORDS) words of static thread-local storage, all zero when the thread starts, gone with it.
///
/// They are there as soon as the C library has given the thread its storage, and until the thread's last
/// instruction: exit hooks and the C library's own last frees find them as they were left.
#[derive(Clone, Copy, Debug)]
pub struct StaticBlock;

// SAFETY: every thread has a copy of its own of the symbol, zero at first; the load and the store address the word
// asked for in the copy of the running thread, and nobody else knows the symbol.
unsafe impl ThreadBlock for StaticBlock {
    #[inline(always)]
    unsafe fn get(index: usize) -> usize {
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { get(index) }
    }

    #[inline(always)]
    unsafe fn set(index: usize, word: usize) {
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { set(index, word) };
    }

    #[inline(always)]
    fn get_fixed<const INDEX: usize>() -> usize {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the block, as just asserted.
        unsafe { get_fixed::<INDEX>() }
    }

    #[inline(always)]
    fn set_fixed<const INDEX: usize>(word: usize) {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the block, as just asserted.
        unsafe { set_fixed::<INDEX>(word) };
    }
}

/// The distance between two words of the block, in bytes.
const WORD: usize = 8;

/// # Safety
///
/// The index is within the block.
#[inline(always)]
unsafe fn get(index: usize) -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            concat!("mov {word}, qword ptr fs:[{index} * {WORD} + ", symbol!(), "_0@TPOFF]"),
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
unsafe fn set(index: usize, word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            concat!("mov qword ptr fs:[{index} * {WORD} + ", symbol!(), "_0@TPOFF], {word}"),
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
unsafe fn get_fixed<const INDEX: usize>() -> usize {
    let word;
    // SAFETY: reads a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            concat!("mov {word}, qword ptr fs:[", symbol!(), "_0@TPOFF + {offset}]"),
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
unsafe fn set_fixed<const INDEX: usize>(word: usize) {
    // SAFETY: writes a word of this thread's block, by the caller's promise.
    unsafe {
        asm!(
            concat!("mov qword ptr fs:[", symbol!(), "_0@TPOFF + {offset}], {word}"),
            word = in(reg) word,
            offset = const INDEX * WORD,
            options(nostack, preserves_flags),
        );
    }
}
