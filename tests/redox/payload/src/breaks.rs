//! The program break, which the kernel does not have.

use crate::{
    Tests,
    common::{KIB, MIB},
    contract::{at, fill, holds, map, unmap},
    other_copy,
};
use core::ptr::NonNull;
use ralloc_platform::{Platform, redox::Redox};

const PAGE: usize = 4096;

pub const TESTS: Tests = &[
    (
        "the_break_grows_to_a_gibibyte_in_place",
        the_break_grows_to_a_gibibyte_in_place,
    ),
    (
        "the_break_comes_down_and_reads_zero_again",
        the_break_comes_down_and_reads_zero_again,
    ),
    (
        "two_copies_of_the_platform_have_a_break_each",
        two_copies_of_the_platform_have_a_break_each,
    ),
];

/// # Panics
///
/// If the break is not there then.
fn set_break(to: usize) {
    // SAFETY: nobody else uses the break.
    let now = unsafe { Redox.program_break(Some(to)) };
    assert!(now == to, "the break is at {now:#x}, not at {to:#x}");
}

fn the_break() -> NonNull<u8> {
    // SAFETY: asking changes nothing.
    let now = unsafe { Redox.program_break(None) };
    NonNull::new(core::ptr::with_exposed_provenance_mut(now)).expect("there is a break")
}

fn the_break_grows_to_a_gibibyte_in_place() {
    let start = the_break();
    let base = start.addr().get();
    for size in [1, 100, 4096, 70_000, 100 * MIB, 1024 * MIB] {
        set_break(base + size);
        assert!(holds(at(start, size - 1), 1, 0));
        fill(at(start, size - 1), 1, 7);
    }
    // Others find their places elsewhere.
    let other = map(PAGE, PAGE);
    set_break(base + 1025 * MIB);
    unmap(other, PAGE);
    for (size, byte) in [
        (1, 7),
        (70_000, 7),
        (100 * MIB, 7),
        (1024 * MIB, 7),
        (1025 * MIB, 0),
    ] {
        assert!(holds(at(start, size - 1), 1, byte), "at {size:#x}");
    }
    set_break(base);
    // SAFETY: as above.
    let refused = unsafe { Redox.program_break(Some(base + (1 << 46))) };
    assert!(refused == base);
    // SAFETY: as above.
    let refused = unsafe { Redox.program_break(Some(base - PAGE)) };
    assert!(refused == base);
}

fn the_break_comes_down_and_reads_zero_again() {
    let start = the_break();
    let base = start.addr().get();
    set_break(base + 3 * MIB);
    fill(start, 3 * MIB, 7);
    set_break(base + MIB);
    assert!(holds(start, MIB, 7));
    set_break(base + 4 * MIB);
    assert!(holds(start, MIB, 7));
    assert!(holds(at(start, MIB), 3 * MIB, 0));
    set_break(base);
    set_break(base + MIB);
    assert!(holds(start, MIB, 0));
    set_break(base);
}

/// The loader's allocator and the C library's are two copies of one code, each with variables of its own.
fn two_copies_of_the_platform_have_a_break_each() {
    let (ours, theirs) = (the_break().addr().get(), other_copy::get());
    assert!(theirs != 0 && ours.abs_diff(theirs) >= 1024 * MIB);
    set_break(ours + 3 * MIB);
    assert!(other_copy::set(theirs + 5 * MIB) == theirs + 5 * MIB);
    assert!(the_break().addr().get() == ours + 3 * MIB && other_copy::get() == theirs + 5 * MIB);
    for (start, size, mark) in [(ours, 3 * MIB, 1), (theirs, 5 * MIB, 2)] {
        let start = core::ptr::with_exposed_provenance_mut(start);
        fill(NonNull::new(start).expect("not null"), size, mark);
    }
    let start = core::ptr::with_exposed_provenance_mut(ours);
    assert!(holds(NonNull::new(start).expect("not null"), 3 * MIB, 1));
    set_break(ours);
    assert!(other_copy::set(theirs) == theirs);
    // The first chunk of each grows where it stands.
    let (first, second) = (map(256 * KIB, 4 * MIB), other_copy::map_first_chunk());
    for base in [first, second] {
        assert!(Redox.extend(at(base, 256 * KIB), 3840 * KIB));
    }
    unmap(first, 4 * MIB);
    unmap(second, 4 * MIB);
}
