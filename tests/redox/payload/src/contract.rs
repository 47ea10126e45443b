//! The contract of `Platform`, clause by clause, for the Redox platform (`platform/tests/contract.rs` for the others), and
//! what it promises beyond; the program break is in `breaks`.

use crate::{
    Tests,
    common::{KIB, MIB},
    frames,
    kernel::{Count, Counters},
    thread::{self, End},
};
use core::{ptr::NonNull, slice};
use ralloc_platform::{Platform, redox::Redox};
use std::{boxed::Box, collections::BTreeSet, vec::Vec};

const PAGE: usize = 4096;

pub const TESTS: Tests = &[
    (
        "mapped_memory_is_aligned_zero_and_writable",
        mapped_memory_is_aligned_zero_and_writable,
    ),
    ("mappings_do_not_overlap", mappings_do_not_overlap),
    ("map_refuses_what_cannot_be", map_refuses_what_cannot_be),
    (
        "extend_adds_zero_bytes_and_keeps_the_rest",
        extend_adds_zero_bytes_and_keeps_the_rest,
    ),
    ("extend_never_replaces", extend_never_replaces),
    (
        "what_is_to_grow_is_not_in_the_way_of_others",
        what_is_to_grow_is_not_in_the_way_of_others,
    ),
    (
        "unmap_takes_no_more_than_it_is_told",
        unmap_takes_no_more_than_it_is_told,
    ),
    (
        "purged_memory_reads_zero_and_has_no_frames",
        purged_memory_reads_zero_and_has_no_frames,
    ),
    (
        "purge_takes_no_more_than_it_is_told",
        purge_takes_no_more_than_it_is_told,
    ),
    (
        "purge_is_one_call_and_no_hole",
        purge_is_one_call_and_no_hole,
    ),
    ("relocate_grows", relocate_grows),
    ("relocate_shrinks", relocate_shrinks),
    ("relocate_moves_a_tail", relocate_moves_a_tail),
    ("relocate_again_after_extend", relocate_again_after_extend),
    (
        "relocate_refused_changes_nothing",
        relocate_refused_changes_nothing,
    ),
    (
        "an_aligned_mapping_is_one_call",
        an_aligned_mapping_is_one_call,
    ),
    (
        "what_another_has_mapped_is_passed",
        what_another_has_mapped_is_passed,
    ),
    ("many_threads_map_at_once", many_threads_map_at_once),
    ("entropy_does_not_repeat", entropy_does_not_repeat),
    ("the_clock_is_not_asked", the_clock_is_not_asked),
];

pub fn map(size: usize, align: usize) -> NonNull<u8> {
    let base = Redox.map(size, align);
    base.unwrap_or_else(|| panic!("no {size:#x} bytes at {align:#x}"))
}

pub fn at(base: NonNull<u8>, offset: usize) -> NonNull<u8> {
    NonNull::new(base.as_ptr().wrapping_add(offset)).expect("not null")
}

/// # Safety
///
/// The range is mapped, and known to the caller alone.
unsafe fn bytes<'a>(base: NonNull<u8>, size: usize) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts_mut(base.as_ptr(), size) }
}

/// Give back what a test has mapped.
pub fn unmap(base: NonNull<u8>, size: usize) {
    // SAFETY: the tests give it back last.
    assert!(unsafe { Redox.unmap(base, size) });
}

/// Fill what a test has just mapped.
pub fn fill(base: NonNull<u8>, size: usize, byte: u8) {
    // SAFETY: known to the test alone.
    unsafe { bytes(base, size) }.fill(byte);
}

pub fn holds(base: NonNull<u8>, size: usize, byte: u8) -> bool {
    // SAFETY: known to the test alone, and mapped.
    unsafe { bytes(base, size) }
        .iter()
        .all(|&found| found == byte)
}

fn mapped_memory_is_aligned_zero_and_writable() {
    for align in [PAGE, 64 * KIB, MIB, 4 * MIB, 64 * MIB] {
        for size in [PAGE, 3 * PAGE, 256 * KIB, 4 * MIB, 5 * MIB] {
            let base = map(size, align);
            assert!(
                base.addr().get().is_multiple_of(align),
                "{base:p} for {align:#x}"
            );
            assert!(holds(base, size, 0), "{size:#x} at {align:#x}");
            fill(base, size, 0xA5);
            unmap(base, size);
        }
    }
}

fn mappings_do_not_overlap() {
    let sizes = [PAGE, 256 * KIB, 4 * MIB, 3 * PAGE, 9 * MIB];
    let aligns = [4 * MIB, PAGE, 4 * MIB, 2 * MIB, 64 * KIB, 4 * MIB, 8 * MIB];
    let mut ranges: Vec<_> = (0..70)
        .map(|n| (map(sizes[n % 5], aligns[n % 7]), sizes[n % 5]))
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let ((low, size), (high, _)) = (pair[0], pair[1]);
        assert!(
            low.addr().get() + size <= high.addr().get(),
            "{low:p}+{size:#x} and {high:p}"
        );
    }
    ranges
        .into_iter()
        .for_each(|(base, size)| unmap(base, size));
}

fn map_refuses_what_cannot_be() {
    let largest = !(PAGE - 1);
    for (size, align) in [
        (largest, PAGE),
        (largest, 4 * MIB),
        (1 << 52, 64 * KIB),
        (1 << 47, 4 * MIB),
        (PAGE, 1 << 63),
        (largest, 1 << 63),
    ] {
        assert!(Redox.map(size, align).is_none(), "{size:#x} at {align:#x}");
    }
    unmap(map(4 * MIB, 4 * MIB), 4 * MIB);
}

fn extend_adds_zero_bytes_and_keeps_the_rest() {
    let base = map(256 * KIB, 4 * MIB);
    fill(base, 256 * KIB, 7);
    assert!(Redox.extend(at(base, 256 * KIB), 512 * KIB));
    assert!(holds(base, 256 * KIB, 7));
    assert!(holds(at(base, 256 * KIB), 512 * KIB, 0));
    unmap(base, 768 * KIB);
}

fn extend_never_replaces() {
    let base = map(16 * PAGE, PAGE);
    fill(base, 16 * PAGE, 7);
    unmap(at(base, 4 * PAGE), 2 * PAGE);
    assert!(
        !Redox.extend(at(base, 4 * PAGE), 3 * PAGE),
        "one page too long for the hole"
    );
    assert!(holds(at(base, 6 * PAGE), 10 * PAGE, 7));
    assert!(!Redox.extend(at(base, 16 * PAGE), 1 << 50));
    unmap(base, 4 * PAGE);
    unmap(at(base, 6 * PAGE), 10 * PAGE);
}

/// The kernel puts what it places itself at the low end of a hole, and that must not be the one behind the first chunk.
fn what_is_to_grow_is_not_in_the_way_of_others() {
    let growing = map(256 * KIB, 4 * MIB);
    let packed = map(4 * MIB, 4 * MIB);
    let others: Vec<_> = [PAGE, 64 * KIB, MIB, 8 * MIB, 64 * MIB, 256 * MIB]
        .into_iter()
        .map(|size| (map(size, PAGE), size))
        .collect();
    let mut size = 256 * KIB;
    while size < 4 * MIB {
        assert!(Redox.extend(at(growing, size), size), "from {size:#x}");
        size *= 2;
    }
    unmap(growing, size);
    unmap(packed, 4 * MIB);
    others
        .into_iter()
        .for_each(|(base, size)| unmap(base, size));
}

fn unmap_takes_no_more_than_it_is_told() {
    let base = map(9 * PAGE, PAGE);
    fill(base, 9 * PAGE, 7);
    unmap(at(base, 3 * PAGE), 3 * PAGE);
    for part in [base, at(base, 6 * PAGE)] {
        assert!(holds(part, 3 * PAGE, 7));
        unmap(part, 3 * PAGE);
    }
}

fn purged_memory_reads_zero_and_has_no_frames() {
    let base = map(4 * MIB, 4 * MIB);
    let before = frames::in_use();
    fill(base, 4 * MIB, 7);
    let with = frames::in_use();
    // SAFETY: the contents are not needed.
    assert!(unsafe { Redox.purge(base, 4 * MIB) });
    let after = frames::in_use();
    assert!(with >= before + 1000, "{before} frames, then {with}");
    assert!(
        after <= before + 20,
        "{before} frames, {with}, then {after}"
    );
    assert!(holds(base, 4 * MIB, 0));
    fill(base, 4 * MIB, 9);
    unmap(base, 4 * MIB);
}

fn purge_takes_no_more_than_it_is_told() {
    let base = map(9 * PAGE, PAGE);
    fill(base, 9 * PAGE, 7);
    // SAFETY: the contents of the middle are not needed.
    assert!(unsafe { Redox.purge(at(base, 3 * PAGE), 3 * PAGE) });
    assert!(holds(base, 3 * PAGE, 7));
    assert!(holds(at(base, 3 * PAGE), 3 * PAGE, 0));
    assert!(holds(at(base, 6 * PAGE), 3 * PAGE, 7));
    unmap(base, 9 * PAGE);
}

/// While one thread purges, another maps pages where the kernel likes: never in the purged range.
fn purge_is_one_call_and_no_hole() {
    let base = map(MIB, 4 * MIB);
    if let Some(before) = Counters::now() {
        // SAFETY: the contents are not needed.
        assert!(unsafe { Redox.purge(base, MIB) });
        assert!(before.memory_calls() == 1);
    }
    let range = base.addr().get()..base.addr().get() + MIB;
    let middle = at(base, 256 * KIB).as_ptr().expose_provenance();
    let purge = move || {
        let middle = core::ptr::with_exposed_provenance_mut(middle);
        let middle = NonNull::new(middle).expect("not null");
        for _ in 0..200 {
            // SAFETY: the contents are not needed.
            assert!(unsafe { Redox.purge(middle, 128 * KIB) });
        }
    };
    let map_elsewhere = move || {
        for _ in 0..200 {
            let other = map(128 * KIB, PAGE);
            assert!(
                !range.contains(&other.addr().get()),
                "{other:p} is in a hole"
            );
            unmap(other, 128 * KIB);
        }
    };
    thread::together([
        Box::new(purge) as Box<dyn FnOnce() + Send>,
        Box::new(map_elsewhere),
    ]);
    unmap(base, MIB);
}

fn relocate_grows() {
    for align in [PAGE, 64 * KIB, 4 * MIB, 16 * MIB] {
        let old = map(3 * PAGE, PAGE);
        fill(old, 3 * PAGE, 7);
        // SAFETY: a whole mapping, used by nobody else.
        let new = unsafe { Redox.relocate(old, 3 * PAGE, 5 * MIB, align) }.expect("room");
        assert!(new.addr().get().is_multiple_of(align));
        assert!(holds(new, 3 * PAGE, 7));
        assert!(holds(at(new, 3 * PAGE), 5 * MIB - 3 * PAGE, 0));
        is_hole(old);
        fill(new, 5 * MIB, 9);
        unmap(new, 5 * MIB);
    }
}

fn relocate_shrinks() {
    let old = map(5 * MIB, PAGE);
    fill(old, 5 * MIB, 7);
    // SAFETY: a whole mapping, used by nobody else.
    let new = unsafe { Redox.relocate(old, 5 * MIB, 2 * PAGE, MIB) }.expect("room");
    assert!(new.addr().get().is_multiple_of(MIB));
    assert!(holds(new, 2 * PAGE, 7));
    is_hole(old);
    is_hole(at(old, 5 * MIB - PAGE));
    unmap(new, 2 * PAGE);
}

/// Nothing is mapped here: it can be filled without replacing anything.
fn is_hole(place: NonNull<u8>) {
    assert!(Redox.extend(place, PAGE), "{place:p} is still mapped");
    unmap(place, PAGE);
}

fn relocate_moves_a_tail() {
    let base = map(8 * PAGE, PAGE);
    fill(base, 8 * PAGE, 7);
    // SAFETY: the tail of a mapping, used by nobody else.
    let new = unsafe { Redox.relocate(at(base, 5 * PAGE), 3 * PAGE, 4 * PAGE, PAGE) };
    let new = new.expect("room");
    assert!(holds(base, 5 * PAGE, 7));
    assert!(holds(new, 3 * PAGE, 7));
    assert!(holds(at(new, 3 * PAGE), PAGE, 0));
    unmap(base, 5 * PAGE);
    unmap(new, 4 * PAGE);
}

fn relocate_again_after_extend() {
    let mut size = 4 * MIB;
    let mut base = map(size, 4 * MIB);
    fill(base, size, 7);
    let mut extended = false;
    for _ in 0..8 {
        // SAFETY: a whole mapping, used by nobody else.
        let moved = unsafe { Redox.relocate(base, size, size + MIB, 4 * MIB) };
        base = moved.expect("room");
        size += MIB;
        if Redox.extend(at(base, size), MIB) {
            extended = true;
            size += MIB;
        }
        assert!(holds(base, 4 * MIB, 7));
        assert!(holds(at(base, size - MIB), MIB, 0));
    }
    assert!(extended, "never");
    unmap(base, size);
}

fn relocate_refused_changes_nothing() {
    let old = map(4 * PAGE, PAGE);
    fill(old, 4 * PAGE, 7);
    for align in [PAGE, 4 * MIB] {
        // SAFETY: a whole mapping, used by nobody else.
        let moved = unsafe { Redox.relocate(old, 4 * PAGE, 1 << 52, align) };
        assert!(moved.is_none());
    }
    assert!(holds(old, 4 * PAGE, 7));
    unmap(old, 4 * PAGE);
}

fn an_aligned_mapping_is_one_call() {
    let Some(before) = Counters::now() else {
        return;
    };
    let bases: Vec<_> = (0..20).map(|_| map(4 * MIB, 4 * MIB)).collect();
    assert!(
        before.memory_calls() == 20,
        "{} calls",
        before.memory_calls()
    );
    bases.into_iter().for_each(|base| unmap(base, 4 * MIB));
}

/// A gigabyte in the way costs a few calls, once.
fn what_another_has_mapped_is_passed() {
    let first = map(4 * MIB, 4 * MIB);
    assert!(
        Redox.extend(at(first, 4 * MIB), 1000 * MIB),
        "somebody else, right behind"
    );
    let before = Counters::now();
    let next = map(4 * MIB, 4 * MIB);
    assert!(next.addr().get() >= first.addr().get() + 1004 * MIB || next < first);
    if let Some(before) = before {
        assert!(
            before.memory_calls() <= 12,
            "{} calls",
            before.memory_calls()
        );
    }
    let before = Counters::now();
    let after = map(4 * MIB, 4 * MIB);
    if let Some(before) = before {
        assert!(
            before.memory_calls() == 1,
            "{} calls",
            before.memory_calls()
        );
    }
    unmap(first, 1004 * MIB);
    unmap(next, 4 * MIB);
    unmap(after, 4 * MIB);
}

fn many_threads_map_at_once() {
    let work = |mark: u8| {
        move || {
            for _ in 0..30 {
                let base = map(4 * MIB, 4 * MIB);
                assert!(holds(base, 8 * KIB, 0));
                fill(base, 8 * KIB, mark);
                Redox.yield_now();
                assert!(holds(base, 8 * KIB, mark));
                unmap(base, 4 * MIB);
            }
        }
    };
    thread::together((1..=4).map(|mark| Box::new(work(mark)) as Box<dyn FnOnce() + Send>));
}

fn entropy_does_not_repeat() {
    let words: BTreeSet<_> = (0..1000).map(|_| Redox.entropy()).collect();
    assert!(words.len() == 1000);
    let ones: u32 = words.iter().map(|word| word.count_ones()).sum();
    assert!(
        (30_000..34_000).contains(&ones),
        "{ones} of 64,000 bits are ones"
    );
}

fn the_clock_is_not_asked() {
    if let Some(now) = Counters::now() {
        assert!(now.get(Count::Clock) == 0);
    }
    // That a test can fail is a test, too.
    assert!(thread::apart(|| panic!("this one is expected")) == End::Panicked);
}
