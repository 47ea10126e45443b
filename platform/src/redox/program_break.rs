//! A program break, which the kernel does not have: a region of its own that grows where it stands.
//!
//! ```text
//!   base <= break <= end        [base, end) is mapped, and not empty; pages above the break read zero
//! ```
//!
//! It is never given back whole: where it was, the break of another allocator of the process would begin.
//!
//! Behind it is a hole larger than those that the kernel fills first ([`place`]): 16 GiB on a 64-bit processor, on a 32-bit one
//! all up to the stack.

use super::{is_occupied, map_raw, place, unmap_raw};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use syscall::{MapFlags, PAGE_SIZE};

/// What the region grows by: as many pages as the kernel makes accessible at once.
const STEP: usize = 16 * PAGE_SIZE;

// Whoever moves the break does it alone, by the promise of all callers of `set`: hence Relaxed.
static BASE: AtomicUsize = AtomicUsize::new(0);
static BREAK: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// The break; 0 if there is no room for one.
pub(super) fn get() -> usize {
    if BASE.load(Relaxed) == 0 {
        open();
    }
    BREAK.load(Relaxed)
}

/// Map the first pages, at the first place that is free.
fn open() {
    for base in place::BREAKS {
        match map_raw(base, STEP, MapFlags::MAP_FIXED_NOREPLACE) {
            Ok(_) => {
                END.store(base + STEP, Relaxed);
                BREAK.store(base, Relaxed);
                BASE.store(base, Relaxed);
                return;
            }
            Err(error) if is_occupied(&error) => {}
            Err(_) => return,
        }
    }
}

/// Set the break. Returns where it is then: where it was, if it cannot be there.
pub(super) fn set(to: usize) -> usize {
    let now = get();
    let base = BASE.load(Relaxed);
    if base == 0 || to < base {
        return now;
    }
    let end = END.load(Relaxed);
    if to > end && !grow(end, to) {
        return now;
    }
    if to < now {
        shrink(base, to, end);
    }
    BREAK.store(to, Relaxed);
    to
}

fn grow(end: usize, to: usize) -> bool {
    let Some(new_end) = to.checked_next_multiple_of(STEP) else {
        return false;
    };
    let grown = map_raw(end, new_end - end, MapFlags::MAP_FIXED_NOREPLACE).is_ok();
    if grown {
        END.store(new_end, Relaxed);
    }
    grown
}

/// Give back what is above the break, so that it reads zero if the break comes there again. The page that the break is
/// in stays as it is, as on other systems; the first page stays mapped.
fn shrink(base: usize, to: usize, end: usize) {
    if to == base {
        // A fixed mapping over a page that is there: fresh, and at no moment a hole. It is not refused.
        let _ = map_raw(base, PAGE_SIZE, MapFlags::MAP_FIXED);
    }
    let kept = to.next_multiple_of(PAGE_SIZE).max(base + PAGE_SIZE);
    // SAFETY: above the break nobody has anything, by the caller's promise.
    if kept < end && unsafe { unmap_raw(kept, end - kept) } {
        END.store(kept, Relaxed);
    }
}
