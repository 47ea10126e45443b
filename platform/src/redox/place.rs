//! Where mappings go. The kernel knows no alignment above the OS page, and ignores hints.
//!
//! ```text
//!   0 ........ ROOMY[0] ........ PACKED .................... BREAK ............. ROOMY[1] ...... the stack
//!     program  |1st chunk   ->   |chunk|chunk|huge|huge| ->  |break ->           |of the loader ->
//! ```
//!
//! What the kernel places itself it puts at the low end of the *smallest* hole that is large enough. So a mapping that is to grow
//! must not be in front of the smallest one: the hole below `ROOMY[0]`, where programs, thread stacks and small mappings
//! go, is smaller than every hole behind something that grows. All of it lies in addresses that every processor of this
//! width has: they end at 256 GiB on a riscv64 with three levels of page tables, and at 2 GiB on an i586. Chunks lie within 64 GiB
//! as long as they can, so that tables of the addresses in use are short.

use super::is_occupied;
use core::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use syscall::Error;

/// Where the parts of the layout begin, in order.
#[cfg(target_pointer_width = "64")]
const EDGES: [usize; 7] = {
    const GIB: usize = 1 << 30;
    [
        12 * GIB,
        28 * GIB,
        96 * GIB,
        112 * GIB,
        128 * GIB,
        144 * GIB,
        160 * GIB,
    ]
};
/// See above.
#[cfg(target_pointer_width = "32")]
const EDGES: [usize; 3] = {
    const MIB: usize = 1 << 20;
    [192 * MIB, 448 * MIB, 1024 * MIB]
};

/// Places for mappings that are to grow a lot: those smaller than their alignment, as the first chunk of a process. One for
/// each allocator that a process may have, among them the loader's own.
#[cfg(target_pointer_width = "64")]
const ROOMY: [usize; 3] = [EDGES[0], EDGES[5], EDGES[6]];
/// See above.
#[cfg(target_pointer_width = "32")]
const ROOMY: [usize; 1] = [EDGES[0]];

/// The window in which all other aligned mappings are laid one behind the other.
const PACKED: Range<usize> = EDGES[1]..EDGES[2];

/// Where program breaks begin, one for each allocator that a process may have.
#[cfg(target_pointer_width = "64")]
pub(super) const BREAKS: [usize; 3] = [EDGES[2], EDGES[3], EDGES[4]];
/// See above.
#[cfg(target_pointer_width = "32")]
pub(super) const BREAKS: [usize; 1] = [EDGES[2]];

const _: () = {
    let mut edge = 1;
    while edge < EDGES.len() {
        assert!(
            EDGES[edge] - EDGES[edge - 1] > EDGES[0],
            "the kernel fills the hole below the first edge before any other"
        );
        edge += 1;
    }
};

/// An alignment from which on a mapping that is smaller is taken for one that will grow.
const ROOMY_ALIGN: usize = 1 << 20;

/// Places tried in the window. Each time the distance is four times as long, so that another allocator's gigabytes are soon
/// passed.
const TRIES: u32 = 8;

/// A bit for each of `ROOMY`: something is there.
static ROOMY_TAKEN: AtomicUsize = AtomicUsize::new(0);

/// The end of the last mapping in the window.
///
/// A hint: whatever it holds, a mapping never replaces another. Hence Relaxed everywhere, nothing is published.
static CURSOR: AtomicUsize = AtomicUsize::new(PACKED.start);

/// An address, a multiple of `align`, at which `attempt` succeeds. `None`: the window has no room that is soon found, or
/// something else is wrong.
pub(super) fn choose(
    size: usize,
    align: usize,
    attempt: impl Fn(usize) -> Result<(), Error>,
) -> Option<usize> {
    if size < align && align >= ROOMY_ALIGN {
        if let Some(base) = choose_roomy(align, &attempt) {
            return Some(base);
        }
    }
    let stride = size.checked_next_power_of_two()?.max(align);
    let mut skip = 0;
    for attempts in 0..TRIES {
        let base = claim(skip, size, align)?;
        match attempt(base) {
            Ok(()) => return Some(base),
            Err(error) if is_occupied(&error) => skip = stride.checked_mul(1 << (2 * attempts))?,
            Err(_) => return None,
        }
    }
    None
}

fn choose_roomy(align: usize, attempt: &impl Fn(usize) -> Result<(), Error>) -> Option<usize> {
    for (number, base) in ROOMY.into_iter().enumerate() {
        let bit = 1 << number;
        if !base.is_multiple_of(align) || ROOMY_TAKEN.fetch_or(bit, Relaxed) & bit != 0 {
            continue;
        }
        match attempt(base) {
            Ok(()) => return Some(base),
            // Somebody else's: it stays taken.
            Err(error) if is_occupied(&error) => {}
            Err(_) => {
                ROOMY_TAKEN.fetch_and(!bit, Relaxed);
                return None;
            }
        }
    }
    None
}

/// The next place in the window, claimed before it is mapped, so that two threads try two places.
fn claim(skip: usize, size: usize, align: usize) -> Option<usize> {
    let fits = |base: usize| Some(base.checked_add(size)? <= PACKED.end).filter(|&fits| fits);
    let next = |cursor: usize| {
        let behind = cursor.checked_add(skip)?.checked_next_multiple_of(align)?;
        // Behind the last place comes the first: what was there may be gone.
        let first = PACKED.start.checked_next_multiple_of(align)?;
        fits(behind)
            .map(|_| behind)
            .or_else(|| fits(first).map(|_| first))
    };
    let cursor = CURSOR
        .fetch_update(Relaxed, Relaxed, |cursor| Some(next(cursor)? + size))
        .ok()?;
    next(cursor)
}

/// The range has become a hole: if it was the last in the window, or a place with room, the next goes there.
pub(super) fn retreat(base: usize, size: usize) {
    if let Some(number) = ROOMY.iter().position(|&roomy| roomy == base) {
        ROOMY_TAKEN.fetch_and(!(1 << number), Relaxed);
    }
    // A failure means that the last is another one, or has just become so.
    let _ = CURSOR.compare_exchange(base + size, base, Relaxed, Relaxed);
}
