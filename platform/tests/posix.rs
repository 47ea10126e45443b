//! What holds where there is a POSIX C library: the break, standard error, the end of a process.

#![cfg(unix)]

mod common;

use common::{End, bytes, holds, in_child};
use ralloc_platform::{Platform, System};
use std::io::Read;

const MIB: usize = 1 << 20;

/// Whether the kernel says where the break is.
const HAS_BREAK: bool = cfg!(any(
    target_os = "linux",
    all(target_os = "freebsd", target_arch = "x86_64")
));

/// In a child: the break belongs to the C library, which does not use it while this runs.
#[test]
fn the_break_moves_and_comes_back() {
    let end = in_child(|| {
        // SAFETY: asks only.
        let old = unsafe { System.program_break(None) };
        assert_eq!(old != 0, HAS_BREAK);
        if !HAS_BREAK {
            // SAFETY: refused without effect: there is no break.
            assert_eq!(unsafe { System.program_break(Some(4096)) }, 0);
            return;
        }
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
