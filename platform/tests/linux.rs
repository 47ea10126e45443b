//! What holds for the real kernel and its C library only: `errno`, the break, standard error, the end of a process.

mod common;

use common::{End, at, bytes, holds, in_child, in_own_process, map, unmap};
use ralloc_platform::{EINVAL, ENOMEM, Platform, System, set_errno};
use std::io::Read;

const MIB: usize = 1 << 20;

fn errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .expect("errno is a number")
}

#[test]
fn set_errno_sets_errno() {
    for code in [ENOMEM, EINVAL, 0] {
        set_errno(code);
        assert_eq!(errno(), code);
    }
}

/// Success or failure, no function leaves a trace in `errno`.
#[test]
fn no_call_touches_errno() {
    let page = System.page_size();
    set_errno(77);
    let base = map(&System, 4 * MIB, 4 * MIB);
    assert_eq!(System.map(1 << 52, 4 * MIB), None);
    assert!(!System.extend(at(base, MIB), page));
    // SAFETY: a misaligned address: refused without effect.
    assert!(!unsafe { System.unmap(at(base, 1), page) });
    // SAFETY: as above.
    assert!(!unsafe { System.purge(at(base, 1), page) });
    // SAFETY: nothing is that large: refused without effect.
    let moved = unsafe { System.relocate(base, 4 * MIB, 1 << 52, page) };
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

/// In a child: the break belongs to the C library, which does not use it while this runs.
#[test]
fn the_break_moves_and_comes_back() {
    let end = in_child(|| {
        // SAFETY: asks only.
        let old = unsafe { System.program_break(None) };
        assert_ne!(old, 0);
        // SAFETY: grows, and nothing lies there.
        let grown = unsafe { System.program_break(Some(old + 3 * MIB)) };
        assert_eq!(grown, old + 3 * MIB);
        let base = core::ptr::NonNull::new(old as *mut u8).expect("not null");
        // SAFETY: the bytes between the breaks are ours.
        assert!(unsafe { holds(base, 3 * MIB, 0) });
        // SAFETY: as above.
        unsafe { bytes(base, 3 * MIB) }.fill(7);
        // SAFETY: refused without effect: below the start of the area.
        assert_eq!(unsafe { System.program_break(Some(1)) }, old + 3 * MIB);
        // SAFETY: gives back what was taken above.
        assert_eq!(unsafe { System.program_break(Some(old)) }, old);
    });
    assert_eq!(end, End::Exit(0));
}

extern "C" fn returning_handler(_signal: i32) {}

/// Have a signal interrupt whatever this process waits for, again and again.
fn interrupt_every_millisecond() {
    let handler = returning_handler as extern "C" fn(i32) as libc::sighandler_t;
    // SAFETY: a structure of integers, for which zero is a value: no `SA_RESTART` among them.
    let mut action = unsafe { core::mem::zeroed::<libc::sigaction>() };
    action.sa_sigaction = handler;
    // SAFETY: a handler that does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, core::ptr::null_mut()) };
    let pause = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: pause,
        it_value: pause,
    };
    // SAFETY: sets a timer of this process.
    let set =
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, core::ptr::null_mut()) };
    assert_eq!(set, 0);
}

/// A full pipe and a signal: writes that are cut short, and writes that come to nothing.
#[test]
fn all_of_a_long_text_arrives_on_standard_error() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let text: Vec<u8> = (0..MIB).map(|n| (n >> 10) as u8).collect();
    let collected = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .expect("the pipe can be read");
        bytes
    });
    let end = in_child(|| {
        let writer = std::os::fd::AsRawFd::as_raw_fd(&writer);
        // SAFETY: makes the pipe this child's standard error.
        let stderr = unsafe { libc::dup2(writer, libc::STDERR_FILENO) };
        assert_eq!(stderr, libc::STDERR_FILENO);
        interrupt_every_millisecond();
        System.write_stderr(&text);
    });
    drop(writer);
    assert_eq!(end, End::Exit(0));
    assert!(collected.join().expect("the reader fares well") == text);
}

#[test]
fn writing_to_a_closed_standard_error_returns() {
    let end = in_child(|| {
        // SAFETY: this child's own descriptor.
        unsafe { libc::close(libc::STDERR_FILENO) };
        System.write_stderr(b"nobody reads this");
    });
    assert_eq!(end, End::Exit(0));
}

extern "C" fn exiting_handler(_signal: i32) {
    // SAFETY: leaves at once.
    unsafe { libc::_exit(42) };
}

/// Whatever the program has done to the signal, the parent sees it.
#[test]
fn abort_ends_the_process_by_sigabrt() {
    let returning = returning_handler as extern "C" fn(i32) as libc::sighandler_t;
    for handler in [libc::SIG_DFL, libc::SIG_IGN, returning] {
        for blocked in [false, true] {
            let end = in_child(|| {
                // SAFETY: a disposition of this child.
                unsafe { libc::signal(libc::SIGABRT, handler) };
                if blocked {
                    block_sigabrt();
                }
                System.abort();
            });
            assert_eq!(
                end,
                End::Signal(libc::SIGABRT),
                "{handler:#x}, blocked: {blocked}"
            );
        }
    }
}

#[test]
fn abort_lets_the_programs_own_handler_run() {
    let exiting = exiting_handler as extern "C" fn(i32) as libc::sighandler_t;
    let end = in_child(|| {
        // SAFETY: a disposition of this child.
        unsafe { libc::signal(libc::SIGABRT, exiting) };
        System.abort();
    });
    assert_eq!(end, End::Exit(42));
}

fn block_sigabrt() {
    // SAFETY: a set of integers, for which zero is a value.
    let mut set = unsafe { core::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: the set is initialised.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGABRT) };
    // SAFETY: blocks a signal in this thread.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, core::ptr::null_mut()) };
}
