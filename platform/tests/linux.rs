//! What holds for Linux' own module only: packed mappings, and the pages that it moves.

#![cfg(all(target_os = "linux", not(feature = "unix")))]

mod common;

use common::{End, at, bytes, holds, in_child, in_own_process, map, unmap};
use ralloc_platform::{Platform, System};

const MIB: usize = 1 << 20;

/// In a process of its own: the mappings of other tests would be in the way.
#[test]
fn neighbours_are_packed_downwards_and_the_place_is_used_again() {
    assert_eq!(in_own_process("pack_neighbours"), End::Exit(0));
}

#[test]
#[ignore = "a part of neighbours_are_packed_downwards_and_the_place_is_used_again"]
fn pack_neighbours() {
    let chunks: Vec<_> = (0..32).map(|_| map(&System, 4 * MIB, 4 * MIB)).collect();
    // A library, a stack or a heap of the C library may be in the way now and then.
    let packed = chunks
        .windows(2)
        .filter(|pair| at(pair[1], 4 * MIB) == pair[0])
        .count();
    assert!(packed > 26, "{chunks:?}");
    let lowest = *chunks.last().expect("many");
    // SAFETY: mapped above, used by nobody.
    unsafe { unmap(&System, lowest, 4 * MIB) };
    // A first chunk is small, and has the room to grow that its alignment leaves.
    assert_eq!(map(&System, MIB, 4 * MIB), lowest);
    let next = map(&System, MIB, 4 * MIB);
    assert!(System.extend(at(lowest, MIB), 3 * MIB));
    assert!(!System.extend(at(lowest, 4 * MIB), 64 * MIB));
    assert_ne!(next, lowest);
}

/// In a process of its own, where nobody else maps anything.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_refused_mapping_does_not_move_the_place_of_the_next() {
    assert_eq!(in_own_process("refuse_and_map"), End::Exit(0));
}

#[test]
#[cfg(target_pointer_width = "64")]
#[ignore = "a part of a_refused_mapping_does_not_move_the_place_of_the_next"]
fn refuse_and_map() {
    let before = map(&System, 4 * MIB, 4 * MIB);
    // Almost all that is below: whatever else is there is in the way.
    let refused = before.addr().get() - (1 << 40);
    for _ in 0..3 {
        assert_eq!(System.map(refused & !(4 * MIB - 1), 4 * MIB), None);
    }
    let after = map(&System, 4 * MIB, 4 * MIB);
    let apart = before.addr().get().abs_diff(after.addr().get());
    assert!(apart < 1 << 30, "{before:?}, then {after:?}");
}

/// Bytes of this process' address space.
fn address_space() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("proc is there");
    let pages: usize = status
        .split(' ')
        .next()
        .unwrap_or("")
        .parse()
        .expect("a number");
    pages * System.page_size()
}

/// In a process of its own, where nobody else maps anything.
#[test]
fn what_is_given_back_is_all_that_was_taken() {
    assert_eq!(in_own_process("compare_address_space"), End::Exit(0));
}

#[test]
#[ignore = "a part of what_is_given_back_is_all_that_was_taken"]
fn compare_address_space() {
    let cycle = |size: usize, align: usize| {
        let base = map(&System, size, align);
        // SAFETY: a whole mapping, used by nobody else.
        let grown = unsafe { System.relocate(base, size, 2 * size, align) }.expect("room");
        // SAFETY: as above.
        let shrunk = unsafe { System.relocate(grown, 2 * size, size, align) }.expect("room");
        // SAFETY: mapped above, used by nobody.
        unsafe { unmap(&System, shrunk, size) };
    };
    let before = address_space();
    for align in [4096, 64 << 10, 4 * MIB, 64 * MIB] {
        // All that the place which the kernel chooses can be off by.
        (0..16).for_each(|n| cycle(MIB + n * 4096, align));
    }
    assert_eq!(address_space(), before);
}

#[test]
fn an_obstacle_below_the_cursor_is_left_alone() {
    let end = in_child(|| {
        let first = map(&System, 4 * MIB, 4 * MIB);
        let obstacle: *mut libc::c_void = first.as_ptr().wrapping_sub(4096).cast();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: replaces nothing.
        let mapped = unsafe { libc::mmap(obstacle, 4096, rights, flags, -1, 0) };
        assert_eq!(mapped, obstacle);
        let obstacle = core::ptr::NonNull::new(obstacle.cast()).expect("mapped");
        // SAFETY: mapped above.
        unsafe { bytes(obstacle, 4096) }.fill(7);
        for _ in 0..8 {
            let next = map(&System, 4 * MIB, 4 * MIB);
            // SAFETY: just mapped.
            unsafe { bytes(next, 4 * MIB) }.fill(9);
        }
        // SAFETY: mapped above.
        assert!(unsafe { holds(obstacle, 4096, 7) });
    });
    assert_eq!(end, End::Exit(0));
}

/// The user of a block has changed the rights of a part, so to the kernel it is several mappings.
#[test]
fn relocate_of_a_mapping_in_pieces_moves_all_or_nothing() {
    let end = in_child(|| {
        let page = System.page_size();
        let old = map(&System, 4 * MIB, 4 * MIB);
        // SAFETY: just mapped.
        unsafe { bytes(old, 4 * MIB) }.fill(7);
        let middle = at(old, MIB).as_ptr().cast();
        // SAFETY: a page of ours, which nobody writes from here on.
        assert_eq!(unsafe { libc::mprotect(middle, page, libc::PROT_READ) }, 0);
        for new_size in [4 * MIB, 8 * MIB, MIB] {
            // SAFETY: used by nobody else.
            let new = unsafe { System.relocate(old, 4 * MIB, new_size, 4 * MIB) };
            let kept = if new.is_some() {
                new_size.min(4 * MIB)
            } else {
                4 * MIB
            };
            // SAFETY: where the contents are now.
            assert!(unsafe { holds(new.unwrap_or(old), kept, 7) });
            if new.is_some() {
                return;
            }
        }
    });
    assert_eq!(end, End::Exit(0));
}
