//! The seam between ralloc and relibc: the only code that knows how relibc starts programs, threads and children.
//!
//! relibc's `src/platform/allocator/mod.rs` is one call of [`seam!`], which defines the seven names that relibc knows (`Allocator`,
//! `NEWALLOCATOR`, `alloc`, `alloc_align`, `realloc`, `free`, `alloc_usable_size`), the hooks that relibc calls ([`seam`](mod@seam)
//! names them), and what the C symbols need that relibc had not. `cargo xtask relibc` puts all of it into a checkout;
//! `README.md` says which places change and why.
//!
//! The glue calls nothing of relibc's. Three things are told to it: how far the words of a thread are from its thread
//! pointer, whether the thread pointer is real, and, by calls of the hooks, when threads and processes come and go.
//!
//! | moment | what it means here |
//! |---|---|
//! | unborn | there is no thread pointer: relibc's own Rust code is served by `ralloc::unborn`, its frees wait |
//! | the thread pointer becomes real | what has waited is freed; words of another copy of the allocator are refused |
//! | the words move | the loader makes the main thread a second control block: the words go with the thread |
//! | a thread starts | its control block begins with words that are zero: nothing to do |
//! | a thread exits | its heap is given up; what it frees later travels to the owners, and its control block may go |
//! | fork | the forking thread goes on, without a lock; the child forgets what the others were doing |
#![no_std]

mod define;
mod kernel;
pub mod seam;
mod words;

pub use kernel::Kernel;
pub use words::{TcbWords, Words};

/// The policy of relibc's allocator. What it keeps: with the default of 8 MiB the pages that a child of `fork` or an exit has to walk after a
/// freed gibibyte were 32 KiB over 16 MiB, with this they are 12 MiB. What it touches: most processes are small, and a frame that is
/// not touched is a fault that does not happen. Pages that were empty for a while are given to other classes, which touch what the last had
/// not: less often than by default, a server of 4,000 objects takes 0.95 of the memory.
#[derive(Debug)]
pub struct Policy;

impl ralloc::Tuning for Policy {
    const IDLE_FLOOR: usize = 6 << 20;
    const REFILL_BYTES: usize = 2 << 10;
    const LENDS: bool = true;
    const TICK: u32 = 512;
}

/// What [`seam!`] names.
#[doc(hidden)]
pub use ralloc;
