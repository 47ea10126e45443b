//! Memory that a program no longer needs, or that nobody has told the kernel of, can be given to the allocator for good: it
//! serves for its tables and, where it is large and aligned enough, for blocks.

use std::{cell::UnsafeCell, ptr::NonNull};

#[global_allocator]
static GLOBAL: ralloc::Ralloc = ralloc::Ralloc::new();

/// Used while the program starts, and never again.
struct Scratch(UnsafeCell<[u8; 12 << 20]>);

// SAFETY: one thread uses it, and then gives it away.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; 12 << 20]));

fn main() {
    let start = NonNull::new(SCRATCH.0.get().cast::<u8>()).expect("a static is somewhere");
    // SAFETY: nobody uses it from here on.
    let taken = unsafe { ralloc::donate(start, 12 << 20) };
    println!("{} of {} KiB are of use", taken >> 10, 12 << 10);
    assert!(taken >= 8 << 20);

    // It holds a window of 4 MiB at least, which serves blocks as any other.
    let scratch = start.addr().get()..start.addr().get() + (12 << 20);
    let blocks: Vec<Vec<u8>> = (0..100).map(|_| Vec::with_capacity(100_000)).collect();
    let served = blocks
        .iter()
        .filter(|block| scratch.contains(&block.as_ptr().addr()));
    let served = served.count();
    println!("{served} of 100 blocks came from it");
    assert!(served > 20);
}
