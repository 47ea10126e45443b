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

/// Whether a read of the place that `prepare` returns faults.
///
/// In a child, where no other thread can map something there.
#[cfg(unix)]
pub fn read_faults(prepare: impl FnOnce() -> NonNull<u8>) -> bool {
    let end = in_child(|| {
        let place = prepare();
        // SAFETY: none. The access ends the child, or it does not: that is asked.
        let _ = unsafe { place.as_ptr().read_volatile() };
    });
    assert!(matches!(end, End::Exit(0) | End::Signal(_)), "{end:?}");
    matches!(end, End::Signal(libc::SIGSEGV | libc::SIGBUS))
}

/// Whether a read of the place that `prepare` returns faults. The kernel is asked whether there is memory: there is no child to
/// try it in.
#[cfg(windows)]
pub fn read_faults(prepare: impl FnOnce() -> NonNull<u8>) -> bool {
    use core::ffi::c_void;
    const MEM_COMMIT: u32 = 0x1000;
    const PAGE_NOACCESS: u32 = 1;
    #[repr(C)]
    #[derive(Default)]
    struct MemoryBasicInformation {
        bases: [usize; 2],
        allocation_rights: u32,
        partition: u32,
        size: usize,
        state: u32,
        rights: u32,
        kind: u64,
    }
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn VirtualQuery(
            address: *const c_void,
            info: *mut MemoryBasicInformation,
            size: usize,
        ) -> usize;
    }
    let place = prepare();
    let mut info = MemoryBasicInformation::default();
    // SAFETY: asks only.
    let size = unsafe { VirtualQuery(place.as_ptr().cast(), &raw mut info, size_of_val(&info)) };
    assert!(size != 0, "the system answers");
    info.state != MEM_COMMIT || info.rights == PAGE_NOACCESS
}

/// Run `work` in a forked child, which has one thread, and tell how it ended. 0: `work` returned.
#[cfg(unix)]
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
    let found = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
    assert!(found, "no test {test}: {output:?}");
    End::Exit(output.status.code().expect("no signal"))
}

#[cfg(unix)]
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
#[cfg(unix)]
pub fn resident_pages(base: NonNull<u8>, size: usize, page: usize) -> usize {
    let has_frames = |&offset: &usize| {
        // One byte for each page: of the host where an emulator passes the question on, and its pages may be smaller.
        let mut states = vec![0_u8; page / 4096];
        let place = at(base, offset).as_ptr().cast();
        // SAFETY: asks about a page of the range, and writes no more than there is room for.
        let done = unsafe { libc::mincore(place, page, states.as_mut_ptr().cast()) };
        assert_eq!(done, 0, "all of the range is mapped");
        states.iter().any(|state| state & 1 == 1)
    };
    (0..size).step_by(page).filter(has_frames).count()
}

/// As above, as the working set has it.
#[cfg(windows)]
pub fn resident_pages(base: NonNull<u8>, size: usize, page: usize) -> usize {
    use core::ffi::c_void;
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetCurrentProcess() -> *mut c_void;
        fn K32QueryWorkingSetEx(process: *mut c_void, pages: *mut [usize; 2], size: u32) -> i32;
    }
    let pages = (0..size / page).map(|n| [at(base, n * page).addr().get(), 0]);
    let mut pages: Vec<_> = pages.collect();
    let bytes = u32::try_from(size_of_val(&pages[..])).expect("few pages");
    // SAFETY: asks only.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: asks about addresses, and writes one word for each.
    let done = unsafe { K32QueryWorkingSetEx(process, pages.as_mut_ptr(), bytes) };
    assert_ne!(done, 0, "the system answers");
    pages.iter().filter(|[_, state]| state & 1 == 1).count()
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
