//! The block itself: a hidden symbol in `.tbss`, of which the C library gives each thread a copy that reads zero.

use crate::THREAD_WORDS;

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
