//! What must not be touched is a hole, for memory without access rights can still be read on Redox. Each access is made
//! by a thread that it ends.

use crate::{
    Tests, case,
    common::{Case, KIB, MIB},
    thread::{self, End},
};
use core::ptr::{self, NonNull};
use ralloc::c_abi;
use ralloc_platform::{Platform, redox::Redox};

pub const TESTS: Tests = &[
    ("unmapped_memory_faults", unmapped_memory_faults),
    (
        "behind_a_huge_block_is_a_hole",
        behind_a_huge_block_is_a_hole,
    ),
    (
        "a_freed_huge_block_that_went_back_is_a_hole",
        a_freed_huge_block_that_went_back_is_a_hole,
    ),
    ("what_moved_away_is_a_hole", what_moved_away_is_a_hole),
    ("abort_ends_the_thread", abort_ends_the_thread),
    ("a_misuse_is_fatal", a_misuse_is_fatal),
];

/// Read, and write, at an address.
fn read_faults(address: usize) -> bool {
    // SAFETY: none: if nothing is there the access ends the thread, else it reads.
    let read = move || _ = unsafe { ptr::with_exposed_provenance::<u8>(address).read_volatile() };
    thread::apart(read) == End::Faulted
}

fn write_faults(address: usize) -> bool {
    // SAFETY: none, as above.
    let write =
        move || unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
    thread::apart(write) == End::Faulted
}

fn unmapped_memory_faults() {
    let base = Redox.map(4 * MIB, 4 * MIB).expect("room");
    let address = base.as_ptr().expose_provenance();
    assert!(!write_faults(address + MIB) && !read_faults(address + 2 * MIB));
    // SAFETY: used below: that is the test.
    assert!(unsafe { Redox.unmap(base, 4 * MIB) });
    for offset in [0, 17 * 4 * KIB, MIB, 4 * MIB - 1] {
        assert!(
            read_faults(address + offset) && write_faults(address + offset),
            "{offset:#x}"
        );
    }
}

fn behind_a_huge_block_is_a_hole() {
    case::run(|| {
        let block = c_abi::malloc::<Case>(8 * MIB);
        assert!(!block.is_null());
        let address = block.expose_provenance();
        assert!(!write_faults(address) && !write_faults(address + 8 * MIB - 1));
        for behind in [address + 8 * MIB, address + 8 * MIB + 4 * KIB] {
            assert!(read_faults(behind) && write_faults(behind), "{behind:#x}");
        }
        // SAFETY: the block is live.
        unsafe { c_abi::free::<Case>(block) };
    });
}

fn a_freed_huge_block_that_went_back_is_a_hole() {
    case::run(|| {
        let block = c_abi::malloc::<Case>(9 * MIB);
        let address = block.expose_provenance();
        assert!(!write_faults(address + 8 * MIB));
        // SAFETY: the block is live.
        unsafe { c_abi::free::<Case>(block) };
        c_abi::malloc_trim::<Case>();
        assert!(read_faults(address) && read_faults(address + 8 * MIB));
    });
}

fn what_moved_away_is_a_hole() {
    let old = Redox.map(4 * MIB, 4 * MIB).expect("room");
    let address = old.as_ptr().expose_provenance();
    // SAFETY: the old place is used below: that is the test.
    let new = unsafe { Redox.relocate(old, 4 * MIB, 5 * MIB, 4 * MIB) }.expect("room");
    assert!(read_faults(address) && read_faults(address + 4 * MIB - 1));
    // SAFETY: used by nobody any more.
    assert!(unsafe { Redox.unmap(new, 5 * MIB) });
}

fn abort_ends_the_thread() {
    assert!(thread::apart(|| Redox.abort()) == End::Faulted);
}

/// The line is in the output: `ralloc: foreign pointer: 0x...`.
fn a_misuse_is_fatal() {
    case::run(|| {
        // SAFETY: the block is freed once.
        unsafe { c_abi::free::<Case>(c_abi::malloc::<Case>(100)) };
        let foreign = || {
            let mut somewhere = [0_u8; 64];
            let address = NonNull::new(somewhere.as_mut_ptr()).expect("not null");
            // SAFETY: none: it is not a block. The thread ends.
            let _ = unsafe { c_abi::malloc_usable_size::<Case>(address.as_ptr()) };
        };
        assert!(thread::apart(foreign) == End::Faulted);
    });
}
