//! A child of the test process, with the allocator under test in it.

use std::{
    io::{Read, Write},
    os::fd::{FromRawFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
};

/// Seconds that a child may take.
const PATIENCE: u32 = 120;

/// Fork; run `work` in the child, where no other thread is; wait for it.
///
/// # Panics
///
/// If the child panics, crashes or hangs: with what it had to say.
pub fn fork(work: impl FnOnce()) {
    let (mut read, write) = pipe();
    let quiet = super::kernel().no_calls();
    let sim = super::kernel().as_sim();
    sim.fork_prepare();
    // SAFETY: the child uses what survives a fork: the allocator under test, and the C library's malloc and threads.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "there are processes enough");
    if child == 0 {
        sim.fork_child();
        drop(quiet);
        in_child(write, work);
    }
    sim.fork_parent();
    drop((quiet, write));
    let mut said = String::new();
    read.read_to_string(&mut said).expect("a pipe can be read");
    let mut status = 0;
    // SAFETY: waits for our child.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(ended, child);
    assert_eq!(status, 0, "the child's status; it said: {said}");
}

fn in_child(write: std::fs::File, work: impl FnOnce()) -> ! {
    // SAFETY: no handler is installed: a child that hangs is killed.
    unsafe { libc::alarm(PATIENCE) };
    set_hook(Box::new(move |panic| _ = write!(&write, "{panic}")));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    // SAFETY: nothing of the parent's is flushed or destroyed.
    unsafe { libc::_exit(i32::from(outcome.is_err())) }
}

fn pipe() -> (std::fs::File, std::fs::File) {
    let mut ends = [0; 2];
    // SAFETY: there is room for two numbers.
    let done = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(done, 0, "there are files enough");
    let [read, write] = ends.map(|end| {
        // SAFETY: the numbers are those of a fresh pipe.
        let owned = unsafe { OwnedFd::from_raw_fd(end) };
        owned.into()
    });
    (read, write)
}
