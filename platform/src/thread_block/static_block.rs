//! The block that every program has.

/// [`THREAD_WORDS`](crate::THREAD_WORDS) words of static thread-local storage, all zero when the thread starts, gone with it.
///
/// They are there as soon as the C library has given the thread its storage, and until the thread's last
/// instruction: exit hooks and the C library's own last frees find them as they were left.
#[derive(Clone, Copy, Debug)]
pub struct StaticBlock;

// The version is in the symbol so that two releases in one static link do not share a block; it is hidden, so two
// shared objects cannot.
crate::define_thread_block!(
    StaticBlock, 0;
    "ralloc_thread_block_",
    env!("CARGO_PKG_VERSION_MAJOR"),
    "_",
    env!("CARGO_PKG_VERSION_MINOR"),
    "_",
    env!("CARGO_PKG_VERSION_PATCH")
);
