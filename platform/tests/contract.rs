//! The contract of [`Platform`], clause by clause, for the real kernel and for the simulated ones.
//!
//! What the clauses say about threads and `fork` is in `hooks.rs`.

mod common;
#[path = "contract/guards.rs"]
mod guards;

use common::{at, bytes, holds, map, read_faults, resident_pages, unmap};
use guards::*;
use ralloc_platform::{
    EINVAL, ENOMEM, Platform, System, errno, set_errno,
    sim::{Rules, Sim},
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// More than any process can have.
const TOO_LARGE: usize = match usize::BITS {
    64 => (u64::MAX / (1 << 12) + 1) as usize,
    _ => 0xF000_0000,
};

/// The same tests for each kernel.
macro_rules! for_each_kernel {
    (all: $($test:ident)* ; move: $($moves:ident)* ; stay: $($stays:ident)* ; alone: $($alone:ident)*) => {
        mod system {
            $(#[test] fn $test() { super::$test(&super::System) })*
            $(#[test] fn $alone() { super::$alone() })*

            #[cfg(all(target_os = "linux", not(feature = "unix")))]
            mod moves {
                $(#[test] fn $moves() { super::super::$moves(&super::super::System) })*
            }
            #[cfg(not(all(target_os = "linux", not(feature = "unix"))))]
            mod stays {
                $(#[test] fn $stays() { super::super::$stays(&super::super::System) })*
            }
        }
        mod sim_linux {
            $(#[test] fn $test() { super::$test(&super::Sim::new(super::Rules::Linux)) })*
            $(#[test] fn $moves() { super::$moves(&super::Sim::new(super::Rules::Linux)) })*
        }
        mod sim_redox {
            $(#[test] fn $test() { super::$test(&super::Sim::new(super::Rules::Redox)) })*
            $(#[test] fn $moves() { super::$moves(&super::Sim::new(super::Rules::Redox)) })*
        }
    };
}

for_each_kernel! {
    all:
    page_size_is_a_constant_power_of_two
    mapped_memory_is_aligned_zero_and_writable
    mappings_do_not_overlap
    map_refuses_what_cannot_be
    extend_adds_zero_bytes_and_keeps_the_rest
    extend_never_replaces
    unmapped_memory_faults
    unmap_takes_no_more_than_it_is_told
    purged_memory_reads_zero_and_has_no_frames
    purge_takes_no_more_than_it_is_told
    guarded_memory_faults_and_comes_back_as_zeros
    hidden_memory_faults_and_comes_back_as_it_was
    reserved_addresses_fault_and_are_nobody_elses
    many_threads_map_at_once
    entropy_does_not_repeat
    yield_now_returns
    ;
    move:
    relocate_grows
    relocate_shrinks
    relocate_moves_a_tail
    relocate_again_after_extend
    relocate_leaves_a_hole
    relocate_refused_changes_nothing
    ;
    stay:
    where_nothing_moves_relocate_changes_nothing
    ;
    alone:
    set_errno_sets_errno
    no_call_touches_errno
}

fn page_size_is_a_constant_power_of_two(kernel: &impl Platform) {
    let page = kernel.page_size();
    assert!(page.is_power_of_two() && page >= 4096);
    assert_eq!(page, kernel.page_size());
}

fn mapped_memory_is_aligned_zero_and_writable(kernel: &impl Platform) {
    let page = kernel.page_size();
    for align in [page, 64 * KIB, MIB, 4 * MIB, 64 * MIB] {
        for size in [page, 3 * page, 256 * KIB, 4 * MIB, 5 * MIB] {
            let base = map(kernel, size, align);
            assert!(
                base.addr().get().is_multiple_of(align),
                "{base:p} for {align:#x}"
            );
            // SAFETY: just mapped, known to this test alone.
            let memory = unsafe { bytes(base, size) };
            assert!(
                memory.iter().all(|&byte| byte == 0),
                "{size:#x} at {align:#x}"
            );
            memory.fill(0xA5);
            // SAFETY: mapped above, and not used below.
            unsafe { unmap(kernel, base, size) };
        }
    }
}

fn mappings_do_not_overlap(kernel: &impl Platform) {
    let page = kernel.page_size();
    let sizes = [page, 256 * KIB, 4 * MIB, 3 * page, 9 * MIB];
    let aligns = [4 * MIB, page, 4 * MIB, 2 * MIB, 64 * KIB, 4 * MIB, 8 * MIB];
    let mut ranges: Vec<_> = (0..70)
        .map(|n| {
            (
                map(kernel, sizes[n % sizes.len()], aligns[n % aligns.len()]),
                sizes[n % 5],
            )
        })
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        let [(low, size), (high, _)] = pair else {
            unreachable!()
        };
        assert!(
            low.addr().get() + size <= high.addr().get(),
            "{low:p}+{size:#x} and {high:p}"
        );
    }
    for (base, size) in ranges {
        // SAFETY: mapped above, used by nobody.
        unsafe { unmap(kernel, base, size) };
    }
}

fn map_refuses_what_cannot_be(kernel: &impl Platform) {
    let page = kernel.page_size();
    let largest = !(page - 1);
    let half = 1 << (usize::BITS - 1);
    // On 32 bits a page may well be free at 2 GiB; two of the four are never free as a whole.
    let at_half = if usize::BITS > 32 { page } else { half };
    for (size, align) in [
        (largest, page),
        (largest, 4 * MIB),
        (TOO_LARGE, 64 * KIB),
        (at_half, half),
        (largest, half),
    ] {
        assert_eq!(kernel.map(size, align), None, "{size:#x} at {align:#x}");
    }
    let base = map(kernel, 4 * MIB, 4 * MIB);
    // SAFETY: just mapped, known to nobody.
    unsafe { unmap(kernel, base, 4 * MIB) };
}

fn extend_adds_zero_bytes_and_keeps_the_rest(kernel: &impl Platform) {
    // Something of the test program may be in the way. So the next attempt is at another place.
    let mut in_the_way = Vec::new();
    let grown = (0..30).any(|_| {
        let base = map(kernel, 256 * KIB, 4 * MIB);
        // SAFETY: just mapped, known to this test alone.
        unsafe { bytes(base, 256 * KIB) }.fill(7);
        let grown = kernel.extend(at(base, 256 * KIB), 512 * KIB);
        let size = if grown { 768 * KIB } else { 256 * KIB };
        // SAFETY: mapped above, as far as `size`.
        let memory = unsafe { bytes(base, size) };
        assert!(memory[..256 * KIB].iter().all(|&byte| byte == 7));
        assert!(memory[256 * KIB..].iter().all(|&byte| byte == 0));
        memory.fill(9);
        in_the_way.push((base, size));
        grown
    });
    assert!(grown, "never");
    for (base, size) in in_the_way {
        // SAFETY: mapped above, and not used below.
        unsafe { unmap(kernel, base, size) };
    }
}

fn extend_never_replaces(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 16 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(base, 16 * page) }.fill(7);
    // SAFETY: the pages are ours, and not used below.
    unsafe { unmap(kernel, at(base, 4 * page), 2 * page) };
    assert!(
        !kernel.extend(at(base, 4 * page), 3 * page),
        "one page too long for the hole"
    );
    // SAFETY: the part behind the hole is still ours.
    assert!(unsafe { holds(at(base, 6 * page), 10 * page, 7) });
    assert!(!kernel.extend(at(base, 16 * page), TOO_LARGE));
    // SAFETY: what is left in front of the hole, used by nobody.
    unsafe { unmap(kernel, base, 4 * page) };
    // SAFETY: what is left behind the hole, used by nobody.
    unsafe { unmap(kernel, at(base, 6 * page), 10 * page) };
}

fn unmapped_memory_faults(kernel: &impl Platform) {
    for offset in [0, 17 * 4096, 4 * MIB - 1] {
        let faults = read_faults(|| {
            let base = map(kernel, 4 * MIB, 4 * MIB);
            // SAFETY: just mapped, known to this test alone.
            unsafe { bytes(base, 4 * MIB) }.fill(7);
            // SAFETY: mapped above. It is used below: that is the test.
            unsafe { unmap(kernel, base, 4 * MIB) };
            at(base, offset)
        });
        assert!(faults, "at {offset:#x}");
    }
}

fn unmap_takes_no_more_than_it_is_told(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 9 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(base, 9 * page) }.fill(7);
    // SAFETY: the middle is ours, and not used below.
    unsafe { unmap(kernel, at(base, 3 * page), 3 * page) };
    for part in [base, at(base, 6 * page)] {
        // SAFETY: three pages that are still mapped.
        assert!(unsafe { holds(part, 3 * page, 7) });
        // SAFETY: as above, and not used below.
        unsafe { unmap(kernel, part, 3 * page) };
    }
}

fn purged_memory_reads_zero_and_has_no_frames(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 4 * MIB, 4 * MIB);
    // SAFETY: just mapped, known to this test alone.
    let memory = unsafe { bytes(base, 4 * MIB) };
    memory.fill(7);
    assert_eq!(resident_pages(base, 4 * MIB, page), 4 * MIB / page);
    // SAFETY: the contents are not needed.
    assert!(unsafe { kernel.purge(base, 4 * MIB) });
    assert_eq!(resident_pages(base, 4 * MIB, page), 0);
    assert!(memory.iter().all(|&byte| byte == 0));
    memory.fill(9);
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, 4 * MIB) };
}

fn purge_takes_no_more_than_it_is_told(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 9 * page, page);
    // SAFETY: just mapped, known to this test alone.
    let memory = unsafe { bytes(base, 9 * page) };
    memory.fill(7);
    // SAFETY: the contents of the middle are not needed.
    assert!(unsafe { kernel.purge(at(base, 3 * page), 3 * page) });
    assert!(memory[..3 * page].iter().all(|&byte| byte == 7));
    assert!(memory[3 * page..6 * page].iter().all(|&byte| byte == 0));
    assert!(memory[6 * page..].iter().all(|&byte| byte == 7));
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, 9 * page) };
}

fn relocate_grows(kernel: &impl Platform) {
    let page = kernel.page_size();
    for align in [page, 64 * KIB, 4 * MIB, 16 * MIB] {
        let old = map(kernel, 3 * page, page);
        // SAFETY: just mapped, known to this test alone.
        unsafe { bytes(old, 3 * page) }.fill(7);
        // SAFETY: a whole mapping, used by nobody else.
        let new = unsafe { kernel.relocate(old, 3 * page, 5 * MIB, align) }.expect("room");
        assert!(new.addr().get().is_multiple_of(align));
        // SAFETY: moved there by the line above.
        let memory = unsafe { bytes(new, 5 * MIB) };
        assert!(memory[..3 * page].iter().all(|&byte| byte == 7));
        assert!(memory[3 * page..].iter().all(|&byte| byte == 0));
        memory.fill(9);
        // SAFETY: mapped above, and not used below.
        unsafe { unmap(kernel, new, 5 * MIB) };
    }
}

fn relocate_shrinks(kernel: &impl Platform) {
    let page = kernel.page_size();
    let old = map(kernel, 5 * MIB, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(old, 5 * MIB) }.fill(7);
    // SAFETY: a whole mapping, used by nobody else.
    let new = unsafe { kernel.relocate(old, 5 * MIB, 2 * page, MIB) }.expect("room");
    assert!(new.addr().get().is_multiple_of(MIB));
    // SAFETY: moved there by the line above.
    assert!(unsafe { holds(new, 2 * page, 7) });
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, new, 2 * page) };
}

fn relocate_moves_a_tail(kernel: &impl Platform) {
    let page = kernel.page_size();
    let base = map(kernel, 8 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(base, 8 * page) }.fill(7);
    // SAFETY: the tail of a mapping, used by nobody else.
    let new = unsafe { kernel.relocate(at(base, 5 * page), 3 * page, 4 * page, page) };
    let new = new.expect("room");
    // SAFETY: what did not move is still mapped.
    assert!(unsafe { holds(base, 5 * page, 7) });
    // SAFETY: moved there by `relocate`.
    let moved = unsafe { bytes(new, 4 * page) };
    assert!(moved[..3 * page].iter().all(|&byte| byte == 7));
    assert!(moved[3 * page..].iter().all(|&byte| byte == 0));
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, 5 * page) };
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, new, 4 * page) };
}

/// A mapping that has moved and then grown in place is still one mapping to the kernel.
fn relocate_again_after_extend(kernel: &impl Platform) {
    let mut size = 4 * MIB;
    let mut base = map(kernel, size, 4 * MIB);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(base, size) }.fill(7);
    let mut extended = false;
    for _ in 0..8 {
        // SAFETY: a whole mapping, used by nobody else.
        let moved = unsafe { kernel.relocate(base, size, size + MIB, 4 * MIB) };
        base = moved.expect("room, and a mapping in one piece");
        size += MIB;
        if kernel.extend(at(base, size), MIB) {
            extended = true;
            size += MIB;
        }
        // SAFETY: mapped as far as `size`.
        let memory = unsafe { bytes(base, size) };
        assert!(memory[..4 * MIB].iter().all(|&byte| byte == 7));
        assert!(memory[4 * MIB..].iter().all(|&byte| byte == 0 || byte == 9));
        memory[4 * MIB..].fill(9);
    }
    assert!(extended, "never");
    // SAFETY: mapped above, and not used below.
    unsafe { unmap(kernel, base, size) };
}

fn relocate_leaves_a_hole(kernel: &impl Platform) {
    for new_size in [MIB, 4 * MIB, 5 * MIB] {
        for offset in [0, MIB, 4 * MIB - 1] {
            let faults = read_faults(|| {
                let old = map(kernel, 4 * MIB, 4 * MIB);
                // SAFETY: just mapped, known to this test alone.
                unsafe { bytes(old, 4 * MIB) }.fill(7);
                // SAFETY: a whole mapping. The old place is used below: that is the test.
                let new = unsafe { kernel.relocate(old, 4 * MIB, new_size, 4 * MIB) };
                assert!(new.is_some_and(|new| new != old));
                at(old, offset)
            });
            assert!(faults, "{new_size:#x}, at {offset:#x}");
        }
    }
}

/// A kernel without the call: the allocator copies instead.
#[allow(dead_code, reason = "Linux moves pages")]
fn where_nothing_moves_relocate_changes_nothing(kernel: &impl Platform) {
    let page = kernel.page_size();
    let old = map(kernel, 4 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(old, 4 * page) }.fill(7);
    for new_size in [page, 4 * page, 8 * page] {
        // SAFETY: a whole mapping, used by nobody else.
        let moved = unsafe { kernel.relocate(old, 4 * page, new_size, page) };
        assert_eq!(moved, None);
    }
    // SAFETY: still mapped, as nothing has moved.
    assert!(unsafe { holds(old, 4 * page, 7) });
    // SAFETY: as above, and not used below.
    unsafe { unmap(kernel, old, 4 * page) };
}

fn relocate_refused_changes_nothing(kernel: &impl Platform) {
    let page = kernel.page_size();
    let old = map(kernel, 4 * page, page);
    // SAFETY: just mapped, known to this test alone.
    unsafe { bytes(old, 4 * page) }.fill(7);
    for align in [page, 4 * MIB] {
        // SAFETY: a whole mapping, used by nobody else.
        let moved = unsafe { kernel.relocate(old, 4 * page, TOO_LARGE, align) };
        assert_eq!(moved, None);
    }
    // SAFETY: still mapped, as nothing has moved.
    assert!(unsafe { holds(old, 4 * page, 7) });
    // SAFETY: as above, and not used below.
    unsafe { unmap(kernel, old, 4 * page) };
}

fn many_threads_map_at_once(kernel: &impl Platform) {
    std::thread::scope(|scope| {
        for mark in 1..=8 {
            scope.spawn(move || {
                for _ in 0..50 {
                    let base = map(kernel, 4 * MIB, 4 * MIB);
                    // SAFETY: just mapped; if another thread had it too, one of the two would notice.
                    let memory = unsafe { bytes(base, 8 * KIB) };
                    assert!(memory.iter().all(|&byte| byte == 0));
                    memory.fill(mark);
                    kernel.yield_now();
                    assert!(memory.iter().all(|&byte| byte == mark));
                    // SAFETY: mapped above, and not used below.
                    unsafe { unmap(kernel, base, 4 * MIB) };
                }
            });
        }
    });
}

fn entropy_does_not_repeat(kernel: &impl Platform) {
    let words: std::collections::HashSet<_> = (0..1000).map(|_| kernel.entropy()).collect();
    assert_eq!(words.len(), 1000);
}

fn yield_now_returns(kernel: &impl Platform) {
    kernel.yield_now();
}

fn set_errno_sets_errno() {
    for code in [ENOMEM, EINVAL, 0] {
        set_errno(code);
        assert_eq!(errno(), code);
        #[cfg(unix)]
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(code));
    }
}

/// Success or failure, no function leaves a trace in `errno`.
fn no_call_touches_errno() {
    let page = System.page_size();
    set_errno(77);
    let base = map(&System, 4 * MIB, 4 * MIB);
    assert_eq!(System.map(TOO_LARGE, 4 * MIB), None);
    assert!(!System.extend(at(base, MIB), page));
    // SAFETY: a misaligned address: refused without effect.
    assert!(!unsafe { System.unmap(at(base, 1), page) });
    // SAFETY: as above.
    assert!(!unsafe { System.purge(at(base, 1), page) });
    // SAFETY: nothing is that large: refused without effect.
    let moved = unsafe { System.relocate(base, 4 * MIB, TOO_LARGE, page) };
    assert_eq!(moved, None);
    // SAFETY: asks only.
    let end = unsafe { System.program_break(None) };
    // SAFETY: refused without effect: it would take all addresses.
    assert_eq!(unsafe { System.program_break(Some(usize::MAX)) }, end);
    System.entropy();
    System.yield_now();
    System.write_stderr(b"");
    // SAFETY: mapped above, used by nobody.
    unsafe { unmap(&System, base, 4 * MIB) };
    assert_eq!(errno(), 77);
}
