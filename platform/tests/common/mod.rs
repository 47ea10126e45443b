//! What several test programs need.

#![allow(dead_code, unreachable_pub, reason = "each program uses a part of it")]

use core::ptr::NonNull;
use ralloc_platform::Platform;

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
}

/// Run `work` in a forked child, which has one thread, and tell how it ended. 0: `work` returned.
pub fn in_child(work: impl FnOnce()) -> End {
    // SAFETY: the child runs `work` on this thread and leaves; the C library keeps `malloc` usable there.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        no_core_file();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: leaves at once, without the parent's exit handlers.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        End::Exit(libc::WEXITSTATUS(status))
    }
}

/// Run one ignored test of this program in a process that runs nothing else, and tell how it ended.
pub fn in_own_process(test: &str) -> End {
    let program = std::env::current_exe().expect("a path of this program");
    let mut command = std::process::Command::new(program);
    let output = command
        .args(["--ignored", "--exact", test])
        .output()
        .expect("it starts");
    let found = String::from_utf8_lossy(&output.stdout).contains("running 1 test\n");
    assert!(found, "no test {test}: {output:?}");
    End::Exit(output.status.code().expect("no signal"))
}

fn no_core_file() {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: lowers a limit of this process.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
}

/// The bytes of a mapping.
///
/// # Safety
///
/// The range is mapped, and the caller's alone for as long as it uses the slice.
pub unsafe fn bytes<'a>(base: NonNull<u8>, size: usize) -> &'a mut [u8] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts_mut(base.as_ptr(), size) }
}

/// Map, or fail the test.
pub fn map<P: Platform>(kernel: &P, size: usize, align: usize) -> NonNull<u8> {
    kernel.map(size, align).expect("memory for a test")
}

/// Unmap, or fail the test.
///
/// # Safety
///
/// As for [`Platform::unmap`].
pub unsafe fn unmap<P: Platform>(kernel: &P, base: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    assert!(unsafe { kernel.unmap(base, size) });
}

/// The pointer `offset` bytes further on.
pub fn at(base: NonNull<u8>, offset: usize) -> NonNull<u8> {
    base.map_addr(|address| {
        address
            .checked_add(offset)
            .expect("within the address space")
    })
}

/// How many OS pages of a mapped range have frames.
pub fn resident_pages(base: NonNull<u8>, size: usize, page: usize) -> usize {
    let mut pages = vec![0_u8; size / page];
    // SAFETY: asks about a range, and writes one byte for each of its pages.
    let done = unsafe { libc::mincore(base.as_ptr().cast(), size, pages.as_mut_ptr()) };
    assert_eq!(done, 0, "all of the range is mapped");
    pages.iter().filter(|&&state| state & 1 == 1).count()
}

/// Whether each byte of a mapped range is `byte`.
///
/// # Safety
///
/// As for [`bytes`].
pub unsafe fn holds(base: NonNull<u8>, size: usize, byte: u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe { bytes(base, size) }
        .iter()
        .all(|&found| found == byte)
}
