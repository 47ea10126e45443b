//! The log: a line for each thing that happens to a block, with the state of the pools to the left. It is a watcher of hooked mode:
//! `RALLOC_OPTIONS=log` with the preloaded library, `ralloc::watch` in a Rust program, or the feature `log`, with which every
//! allocator logs from its first block on. What is logged is the allocator's business (`Tuning::LOG_LEVEL`), where it goes the
//! platform's (`Platform::write_log`, by default standard error).
//!
//! What this program writes, with 52 pools cut down to a few here:
//!
//! ```text
//! ralloc: |____|__________| alloc   0x7f8f48c03090[100] at 0x55e30c5b1b0c
//! ralloc: |____x|_________| alloc   0x7f8f48c20090[200] at 0x55e30c5b1b0c
//! ralloc: |____|xx________| free    0x7f8f48c03090[100] at 0x55e30c5b1b5e
//! ```
//!
//! When the first line is written the pool that the cursor `|` points at has no page with room (`_`); the block gets the first page
//! of that pool, which has room from then on (`x` in the second line), and so does the next one. The third gives a block of 100 bytes
//! back to the pool in front of which the cursor is. `at` is the return address of the innermost call that is known.
use ralloc::{Block, Defaults, Watchers, watch};

ralloc::instance! {
    /// An allocator that is watched, beside that of the program.
    struct Logged: Defaults;
}

fn main() {
    watch::<Logged>(Watchers::LOG);
    let first = Block::<Logged>::new(100, 8);
    let second = Block::<Logged>::new(200, 8);
    drop(first);
    drop(second);
    println!("four lines are on standard error");
}
