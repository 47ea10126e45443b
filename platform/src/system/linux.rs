//! What is Linux' own among the systems with POSIX' C library: where things are, and what it calls them.

use core::ffi::{c_char, c_int};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    rand::GetRandomFlags,
    thread::Pid,
};

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

/// Where this thread's `errno` is, as long as the thread.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: asks only.
    unsafe { libc::__errno_location() }
}

/// The environment: a list of `NAME=value` that null ends, or null.
pub(crate) fn environment() -> *const *const c_char {
    // SAFETY: the C library has set the variable up; it is a word.
    unsafe { environ }
}

/// Whether the program runs with more rights than its user has.
pub(crate) fn is_privileged() -> bool {
    start_up_value(libc::AT_SECURE).is_some()
}

/// An entry of the vector with which the kernel starts a program.
pub(crate) fn start_up_value(entry: libc::c_ulong) -> Option<usize> {
    // SAFETY: reads a table that is complete before the program runs. It sets `errno` for entries that are not
    // there; those that this crate asks for always are.
    let value = unsafe { libc::getauxval(entry) };
    (value != 0).then_some(value as usize)
}

/// Fill with bytes that an attacker cannot guess. `false`: early in the start of a machine the kernel has none yet.
pub(crate) fn random(bytes: &mut [u8]) -> bool {
    rustix::rand::getrandom(&mut *bytes, GetRandomFlags::NONBLOCK) == Ok(bytes.len())
}

/// Random bits that the process was started with.
pub(crate) fn random_at_start() -> usize {
    let Some(random) = start_up_value(libc::AT_RANDOM) else {
        return 0;
    };
    let word: *const usize = core::ptr::with_exposed_provenance(random);
    // SAFETY: the kernel put 16 bytes there, at any alignment, for the life of the process.
    unsafe { word.read_unaligned() }
}

/// See [`Platform::program_break`](crate::Platform::program_break).
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn program_break(to: Option<usize>) -> usize {
    let address: *mut u8 = core::ptr::without_provenance_mut(to.unwrap_or(0));
    // SAFETY: moving the break harms nobody, by the caller's promise; 0 moves nothing. The system call
    // returns the break and no error, so the C library's wrapper leaves `errno` alone.
    let now = unsafe { libc::syscall(libc::SYS_brk, address) };
    now.cast_unsigned() as usize
}

/// glibc keeps the values of so many thread keys without allocating; musl of all.
pub(crate) const KEYS_WITHOUT_ALLOCATION: usize = 32;

/// The system's number of this thread, never 0.
pub(crate) fn thread_number() -> usize {
    let number = rustix::thread::gettid().as_raw_nonzero().get();
    number.cast_unsigned() as usize
}

/// Whether there is no thread of this number.
pub(crate) fn is_gone(thread: usize) -> bool {
    let Some(thread) = i32::try_from(thread).ok().and_then(Pid::from_raw) else {
        return true;
    };
    rustix::process::test_kill_process(thread) == Err(Errno::SRCH)
}

/// Resident bytes of the whole process (proc(5), `statm`), if `/proc` is there.
pub fn resident() -> Option<usize> {
    let file = rustix::fs::open(c"/proc/self/statm", OFlags::RDONLY, Mode::empty()).ok()?;
    let mut text = [0; 128];
    let length = rustix::io::read(&file, &mut text).ok()?;
    let text = core::str::from_utf8(text.get(..length)?).ok()?;
    let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * crate::Platform::page_size(&crate::System))
}

/// What is asked by way of the C library: by the module `unix`, which runs on Linux to be tested, and by others.
pub(crate) mod mapping {
    use core::ffi::c_int;

    /// For every mapping: no frames are promised.
    pub(crate) const ALWAYS: c_int = libc::MAP_NORESERVE;
    /// For a mapping that is to be at an address and nowhere else, and replaces nothing.
    pub(crate) const EXACTLY: c_int = libc::MAP_FIXED_NOREPLACE;

    /// Flags for a mapping aligned to `align`, 0 if the kernel takes no such wish.
    pub(crate) fn aligned(_align: usize) -> c_int {
        0
    }
}
