//! Vectors taken apart by their users: nothing but `from_raw_parts`, `drop` and `realloc`.

use super::{child, memory};
use ralloc::{Partial, Ralloc};
use std::{
    alloc::{GlobalAlloc, Layout},
    ptr::NonNull,
    thread,
};

const RALLOC: Ralloc<Partial> = Ralloc::new();

fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size, 1).expect("a layout")
}

fn alloc(size: usize) -> NonNull<u8> {
    // SAFETY: the layout has a size.
    NonNull::new(unsafe { RALLOC.alloc(bytes(size)) }).expect("there is memory")
}

/// # Safety
///
/// As for `dealloc`, of parts.
unsafe fn free(part: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { RALLOC.dealloc(part.as_ptr(), bytes(size)) };
}

#[test]
fn halves_of_every_size_in_both_orders() {
    for size in (2..200).chain([1000, 1024, 5000, 32 << 10, 100_000, 5 << 20]) {
        for later in [0, size / 2] {
            let start = alloc(size);
            // SAFETY: the halves are disjoint and together the whole.
            unsafe {
                start.write_bytes(7, size);
                let half = |at| {
                    (
                        start.add(at),
                        if at == 0 { size / 2 } else { size - size / 2 },
                    )
                };
                let (first, bytes) = half(size / 2 - later);
                free(first, bytes);
                // Nobody gets what is left.
                let other = alloc(size);
                other.write_bytes(1, size);
                let (second, bytes) = half(later);
                assert!((0..bytes).all(|at| second.add(at).read() == 7));
                free(second, bytes);
                free(other, size);
            }
        }
    }
}

#[test]
fn a_part_is_reallocated() {
    let start = alloc(1000);
    // SAFETY: disjoint parts, each with the size it has.
    unsafe {
        memory::fill(start, 1000);
        let tail = RALLOC.realloc(start.add(600).as_ptr(), bytes(400), 4000);
        assert_eq!(tail.read(), (600 ^ 600 >> 8) as u8);
        let head = RALLOC.realloc(start.as_ptr(), bytes(600), 100);
        memory::check(NonNull::new(head).expect("there is memory"), 100);
        RALLOC.dealloc(tail, bytes(4000));
        RALLOC.dealloc(head, bytes(100));
    }
}

#[test]
fn parts_are_freed_by_many_threads() {
    for _ in 0..50 {
        let start = alloc(800).addr();
        thread::scope(|scope| {
            for part in 0..8 {
                scope.spawn(move || {
                    let at = std::ptr::with_exposed_provenance_mut(start.get() + 100 * part);
                    // SAFETY: disjoint parts.
                    unsafe { free(NonNull::new(at).expect("not null"), 100) };
                });
            }
        });
    }
}

#[test]
#[ignore = "a part of parts_that_overlap_end_the_program"]
fn part_overlap() {
    let start = alloc(100);
    // SAFETY: none: 20 bytes are freed twice, which is what is to be noticed.
    unsafe {
        free(start, 60);
        free(start.add(40), 60);
    }
}

#[test]
fn parts_that_overlap_end_the_program() {
    child::dies(
        "partial_implicit::part_overlap",
        "ralloc: parts overlap: 0x",
    );
}
