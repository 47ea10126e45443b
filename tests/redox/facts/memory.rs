//! What is known of the memory calls.

use crate::{Fact, kernel::*};

pub const FACTS: &[Fact] = &[
    ("a size that is no multiple of a page is refused", || {
        fmap(0, 100, BOTH) == Err(EINVAL) && fmap(0, 0, BOTH) == Err(EINVAL)
    }),
    (
        "an address that is no multiple of a page is refused",
        || fmap(FAR + 16, PAGE, BOTH | FIXED) == Err(EINVAL),
    ),
    ("fresh memory reads zero and can be written to", || {
        let at = fmap(0, 40 * PAGE, BOTH).unwrap();
        let is_zero = (0..40).all(|page| load(at + page * PAGE) == 0);
        (0..40).for_each(|page| store(at + page * PAGE, page + 1));
        let is_kept = (0..40).all(|page| load(at + page * PAGE) == page + 1);
        is_zero && is_kept && funmap(at, 40 * PAGE) == Ok(0)
    }),
    (
        "the smallest hole is taken, and the lowest of equals",
        the_smallest_hole,
    ),
    ("no hint is looked at", || {
        let free = fmap(0, PAGE, BOTH).unwrap();
        funmap(free, PAGE).unwrap();
        let at = fmap(FAR, PAGE, BOTH);
        at == Ok(free) && funmap(free, PAGE) == Ok(0)
    }),
    ("nothing is aligned beyond a page", || {
        let one = fmap(0, PAGE, BOTH).unwrap();
        let two = fmap(0, 4 << 20, BOTH).unwrap();
        let three = fmap(0, 4 << 20, BOTH).unwrap();
        let is_packed = two + (4 << 20) == three;
        is_packed
            && [(one, PAGE), (two, 8 << 20)]
                .iter()
                .all(|&(at, size)| funmap(at, size) == Ok(0))
    }),
    ("what is taken is not taken again", || {
        let first = fmap(FAR, 4 * PAGE, BOTH | NOREPLACE);
        let again = fmap(FAR + 3 * PAGE, 2 * PAGE, BOTH | NOREPLACE);
        let beside = fmap(FAR + 4 * PAGE, PAGE, BOTH | NOREPLACE);
        (first, again, beside) == (Ok(FAR), Err(EEXIST), Ok(FAR + 4 * PAGE)) && clean()
    }),
    (
        "a fixed mapping replaces, and its memory reads zero",
        || {
            fmap(FAR, 4 * PAGE, BOTH | NOREPLACE).unwrap();
            (0..4).for_each(|page| store(FAR + page * PAGE, 7));
            let replaced = fmap(FAR + PAGE, 2 * PAGE, BOTH | FIXED);
            let found = [0, 1, 2, 3].map(|page| load(FAR + page * PAGE));
            replaced == Ok(FAR + PAGE) && found == [7, 0, 0, 7] && clean()
        },
    ),
    (
        "any part can be unmapped, across mappings and holes",
        || {
            fmap(FAR, 8 * PAGE, BOTH | NOREPLACE).unwrap();
            fmap(FAR + 16 * PAGE, 4 * PAGE, BOTH | NOREPLACE).unwrap();
            store(FAR, 7);
            let across = funmap(FAR + PAGE, 16 * PAGE);
            let again = fmap(FAR + PAGE, 16 * PAGE, BOTH | NOREPLACE);
            across == Ok(0) && again == Ok(FAR + PAGE) && load(FAR) == 7 && clean()
        },
    ),
    ("a hole can be unmapped and protected", || {
        funmap(FAR, 8 * PAGE) == Ok(0) && mprotect(FAR, 8 * PAGE, NONE) == Ok(0)
    }),
    ("memory without rights can be read", || {
        fmap(FAR, PAGE, BOTH | NOREPLACE).unwrap();
        store(FAR, 7);
        let protected = mprotect(FAR, PAGE, NONE);
        let found = load(FAR);
        mprotect(FAR, PAGE, BOTH).unwrap();
        store(FAR, 8);
        protected == Ok(0) && found == 7 && load(FAR) == 8 && clean()
    }),
    (
        "more than the machine has can be reserved, but not more than there are addresses",
        || {
            let gibibyte = 1 << 30;
            let at = fmap(0, 8 * gibibyte, BOTH).unwrap();
            store(at + 7 * gibibyte, 7);
            let found = load(at + 7 * gibibyte);
            found == 7 && funmap(at, 8 * gibibyte) == Ok(0) && fmap(0, 1 << 47, BOTH) == Err(ENOMEM)
        },
    ),
    ("a fixed mapping gives frames back", frames_go_back),
    (
        "a move keeps what is there, and what is new is fresh",
        || {
            fmap(FAR, 4 * PAGE, BOTH | NOREPLACE).unwrap();
            (0..4).for_each(|page| store(FAR + page * PAGE, page + 1));
            let moved = mremap(FAR, 4 * PAGE, FAR + 32 * PAGE, 8 * PAGE, MOVE_FIXED);
            let found = [0, 1, 2, 3, 4, 7].map(|page| load(FAR + (32 + page) * PAGE));
            let is_hole = fmap(FAR, 4 * PAGE, BOTH | NOREPLACE) == Ok(FAR);
            moved == Ok(FAR + 32 * PAGE) && found == [1, 2, 3, 4, 0, 0] && is_hole && clean()
        },
    ),
    (
        "memory does not grow in place, and does not move onto itself",
        || {
            fmap(FAR, 4 * PAGE, BOTH | NOREPLACE).unwrap();
            let anywhere = mremap(FAR, 4 * PAGE, 0, 8 * PAGE, 0);
            let elsewhere = anywhere.is_ok_and(|at| at != FAR && funmap(at, 8 * PAGE) == Ok(0));
            fmap(FAR, 4 * PAGE, BOTH | NOREPLACE).unwrap();
            let onto = mremap(FAR, 4 * PAGE, FAR, 8 * PAGE, MOVE_FIXED);
            let over = mremap(FAR, 4 * PAGE, FAR + PAGE, 8 * PAGE, MOVE_REPLACING);
            elsewhere && (onto, over) == (Err(EEXIST), Err(EBUSY)) && clean()
        },
    ),
    ("one page can be shown twice, and no more", || {
        fmap(FAR, 2 * PAGE, BOTH | NOREPLACE).unwrap();
        store(FAR, 7);
        let shown = mremap(FAR, PAGE, FAR + 8 * PAGE, PAGE, MOVE_FIXED | KEEP_OLD);
        let found = load(FAR + 8 * PAGE);
        store(FAR + 8 * PAGE, 8);
        let more = mremap(
            FAR,
            2 * PAGE,
            FAR + 8 * PAGE,
            2 * PAGE,
            MOVE_REPLACING | KEEP_OLD,
        );
        shown == Ok(FAR + 8 * PAGE)
            && (found, load(FAR)) == (7, 8)
            && more == Err(EOPNOTSUPP)
            && clean()
    }),
];

/// Addresses that are far from everything.
pub const FAR: usize = 0x2000_0000_0000;

/// Leaves nothing of what a fact needed.
pub fn clean() -> bool {
    funmap(FAR, 64 * PAGE) == Ok(0)
}

pub fn load(at: usize) -> usize {
    // SAFETY: the caller has mapped it.
    unsafe { (at as *const usize).read_volatile() }
}

pub fn store(at: usize, value: usize) {
    // SAFETY: the caller has mapped it.
    unsafe { (at as *mut usize).write_volatile(value) };
}

fn the_smallest_hole() -> bool {
    // Holes of 3, 2 and 2 pages, between pages that stay.
    fmap(FAR, 12 * PAGE, BOTH | NOREPLACE).unwrap();
    for (start, pages) in [(1, 3), (5, 2), (8, 2)] {
        funmap(FAR + start * PAGE, pages * PAGE).unwrap();
    }
    let chosen = [2, 2, 3].map(|pages| fmap(0, pages * PAGE, BOTH));
    chosen == [5, 8, 1].map(|page| Ok(FAR + page * PAGE)) && clean()
}

/// Descriptor of anonymous memory, for its numbers.
const FILE: usize = 20;

fn frames_go_back() -> bool {
    openat(root(MEMORY), "", FILE).unwrap();
    const PAGES: usize = 1024;
    fmap(FAR, PAGES * PAGE, BOTH | NOREPLACE).unwrap();
    let before = free_frames(FILE).unwrap();
    (0..PAGES).for_each(|page| store(FAR + page * PAGE, 7));
    let touched = free_frames(FILE).unwrap();
    fmap(FAR, PAGES * PAGE, BOTH | FIXED).unwrap();
    let after = free_frames(FILE).unwrap();
    let taken = before.saturating_sub(touched);
    let kept = before.saturating_sub(after);
    close(FILE).unwrap();
    (PAGES..PAGES + 64).contains(&taken) && kept < 64 && funmap(FAR, PAGES * PAGE) == Ok(0)
}
