//! Models of the concurrent protocols: production code, every order of events within a bound.
//!
//! What each of them checks, how far, at which cost, and which break of the code it was seen to catch stands in
//! `tests/README.md`, in the section "Models".

mod chunks;
mod fork;
mod huge;
mod inbox;
mod pages;
mod parts;
mod threads;
mod world;

use crate::{
    alloc,
    config::{KIB, SLICE, Tuning},
    primitive,
    process::Process,
    thread,
};
use std::ptr::NonNull;
use world::Case;

/// Policy for models: small steps, so that few operations reach everything.
struct Small;

impl Tuning for Small {
    const REFILL_BLOCKS: usize = 1;
    const REFILL_BYTES: usize = 4 * KIB;
    const LOOK_AHEAD: usize = 1;
    const TICK: u32 = 1;
    const DONATE_ABOVE: usize = 1;
}

/// The program writes to its block. If another thread's access is not in order with this one, loom says so.
fn scribble(block: NonNull<u8>) {
    let words: NonNull<usize> = block.cast();
    for index in 0..2 {
        // SAFETY: the smallest block has two words.
        let word = unsafe { words.add(index) };
        // SAFETY: the block is the caller's.
        unsafe { primitive::write(word.as_ptr(), usize::MAX) };
    }
}

/// A block, written to.
fn allocate(size: usize) -> NonNull<u8> {
    let block = NonNull::new(alloc::allocate::<Case<Small>>(size)).expect("memory");
    scribble(block);
    block
}

/// A block is written to once more, and given up.
fn free(block: NonNull<u8>) {
    scribble(block);
    // SAFETY: the block is live and the caller's.
    unsafe { alloc::free::<Case<Small>>(block.as_ptr()) };
}

/// All threads are gone: nothing is stranded on its way, every equation holds, everything comes home, and no slice is in
/// use but the one with the heaps.
fn check_all_home(process: &Process<Case<Small>>) {
    for heap in process.heaps.heaps() {
        assert!(
            heap.inbox.is_empty(),
            "what arrives at an orphan is taken home"
        );
    }
    // SAFETY: the other threads have been joined.
    unsafe { process.verify() };
    process.reclaim(thread::heap::<Case<Small>>());
    let claimed = process.memory.chunks.totals().claimed;
    assert!(
        claimed <= SLICE,
        "a page is left behind: {claimed:#x} bytes"
    );
}
