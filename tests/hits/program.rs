//! Not a test: the program whose instructions `libralloc/tests/instructions.rs` counts.

use ralloc::Ralloc;
use std::alloc::{GlobalAlloc, Layout};

#[global_allocator]
static GLOBAL: Ralloc = Ralloc::new();

const LAYOUT: Layout = Layout::new::<[u64; 4]>();

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn hit_alloc() -> *mut u8 {
    // SAFETY: the layout has a size.
    unsafe { GLOBAL.alloc(LAYOUT) }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn hit_dealloc(block: *mut u8) {
    // SAFETY: the callers' promise.
    unsafe { GLOBAL.dealloc(block, LAYOUT) };
}

/// By way of the standard library's function, as collections and boxes go.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn hit_std_alloc() -> *mut u8 {
    // SAFETY: the layout has a size.
    unsafe { std::alloc::alloc(LAYOUT) }
}

fn main() {
    hit_dealloc(hit_alloc());
    hit_dealloc(hit_std_alloc());
}
