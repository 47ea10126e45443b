//! The block itself: a hidden symbol in `.tbss`, of which the C library gives each thread a copy that reads zero.

use super::leaf;
use crate::{THREAD_WORDS, ThreadBlock};

/// The name of the block. The version is in it so that two releases in one static link do not share a block;
/// the symbol is hidden, so two shared objects cannot.
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

const SIZE: usize = THREAD_WORDS * size_of::<usize>();

const _: () = assert!(
    SIZE <= 1024,
    "the room for thread-locals of objects loaded later is scarce"
);

core::arch::global_asm!(
    concat!(".pushsection .tbss.", symbol!(), ",\"awT\",%nobits"),
    concat!(".globl ", symbol!()),
    concat!(".hidden ", symbol!()),
    concat!(".type ", symbol!(), ",%object"),
    concat!(".size ", symbol!(), ",{size}"),
    ".p2align 6", // A cache line: the block shares none with the thread-locals of others.
    concat!(symbol!(), ":"),
    ".zero {size}",
    ".popsection",
    size = const SIZE,
);

/// [`THREAD_WORDS`] words of static thread-local storage, all zero when the thread starts, gone with it.
///
/// They are there as soon as the C library has given the thread its storage, and until the thread's last
/// instruction: exit hooks and the C library's own last frees find them as they were left.
#[derive(Clone, Copy, Debug)]
pub struct StaticBlock;

// SAFETY: every thread has a copy of its own of the symbol, zero at first; the leaf's load and store address the
// word asked for in the copy of the running thread, and nobody else knows the symbol.
unsafe impl ThreadBlock for StaticBlock {
    #[inline(always)]
    unsafe fn get(index: usize) -> usize {
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { leaf::get(index) }
    }

    #[inline(always)]
    unsafe fn set(index: usize, word: usize) {
        // SAFETY: the index is within the block, by the caller's promise.
        unsafe { leaf::set(index, word) };
    }

    #[inline(always)]
    fn get_fixed<const INDEX: usize>() -> usize {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the block, as just asserted.
        unsafe { leaf::get_fixed::<INDEX>() }
    }

    #[inline(always)]
    fn set_fixed<const INDEX: usize>(word: usize) {
        const { assert!(INDEX < THREAD_WORDS) };
        // SAFETY: the index is within the block, as just asserted.
        unsafe { leaf::set_fixed::<INDEX>(word) };
    }
}
