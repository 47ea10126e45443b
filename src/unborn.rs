//! Requests of a thread that cannot reach its words yet, because the C library has not given it thread-local storage.
//!
//! They are served by the commons or by the kernel, and touch no word of a thread. The blocks are like all others: whoever frees them
//! later, once there are words, frees them by the ordinary verb. Slow, and for a handful of requests.
//!
//! ```
//! use ralloc::{Global, alloc, unborn};
//!
//! let block = unborn::allocate::<Global>(100, 16);
//! assert!(!block.is_null());
//! // SAFETY: allocated above, freed once.
//! unsafe { alloc::free::<Global>(block) };
//! ```

use core::ptr::{self, NonNull};

use crate::{
    config::{CHUNK, EXTENSION, GRANULE, LARGE_MAX, MEDIUM_MAX, SLICE},
    large::{Cleaner, SIZE_MAX},
    live,
    portion::Portion,
    process::{Instance, NO_HEAP},
    secure,
    size_class::SizeClass,
};

/// A block of at least `size` bytes at a multiple of `align`, or null. Its contents are undefined.
///
/// Pre: `align` is a power of two.
pub fn allocate<I: Instance>(size: usize, align: usize) -> *mut u8 {
    debug_assert!(align.is_power_of_two());
    let size = size.max(1);
    let least = if secure::is_on::<I>() {
        live::with_canary(size)
    } else {
        size
    };
    if least <= MEDIUM_MAX
        && align <= MEDIUM_MAX
        && let Some(class) = SizeClass::of_aligned(least, align.max(GRANULE))
    {
        return from_commons::<I>(class, size);
    }
    if size > SIZE_MAX {
        return ptr::null_mut();
    }
    // Whole OS pages, behind which there is no room for a canary.
    let size = size.max(LARGE_MAX + SLICE).next_multiple_of(EXTENSION);
    let huge = I::process().memory.claim_huge(size, align.max(CHUNK));
    huge.map_or(ptr::null_mut(), |(block, dirty)| {
        if secure::is_on::<I>() {
            Cleaner::First(dirty).clear(block, size);
        }
        block.as_ptr()
    })
}

/// A block of a class, of which `size` bytes are asked for, from a heap that has no thread.
fn from_commons<I: Instance>(class: SizeClass, size: usize) -> *mut u8 {
    let process = I::process();
    let Some(held) = process.heaps.borrow(NO_HEAP, &process.memory) else {
        return ptr::null_mut();
    };
    let heap = held.heap;
    // What has arrived for the heap, or arrives meanwhile, waits for its next holder: to take it home may mean to send some of
    // it on, as a thread.
    let own =
        || heap.refill::<I::Tuning>(class, Portion::ONE, || {}, |page| process.inspect(page, 1));
    let refill = own().or_else(|| heap.open_page(class, &process.memory).then(own).flatten());
    let block = refill.map(|refill| {
        if secure::is_on::<I>() {
            secure::serve::<I>(&refill, class, size)
        } else {
            refill.first.start()
        }
    });
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}
