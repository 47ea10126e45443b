//! What is FreeBSD's own among the systems with POSIX' C library.

use core::ffi::{c_char, c_int, c_long};

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
    /// syscall(2), for results as wide as a register.
    fn __syscall(number: i64, ...) -> i64;
}

/// Where this thread's `errno` is, as long as the thread.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: asks only.
    unsafe { libc::__error() }
}

/// The environment: a list of `NAME=value` that null ends, or null.
pub(crate) fn environment() -> *const *const c_char {
    // SAFETY: the C library has set the variable up; it is a word.
    unsafe { environ }
}

/// Whether the program runs with more rights than its user has.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: asks only.
    unsafe { libc::issetugid() != 0 }
}

/// Fill with bytes that an attacker cannot guess.
pub(crate) fn random(bytes: &mut [u8]) -> bool {
    // SAFETY: writes so many bytes.
    unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) == 0 }
}

/// Random bits that the process was started with: none.
pub(crate) fn random_at_start() -> usize {
    0
}

/// `break` of syscalls.master, which answers with the break. Processors younger than it have none (ENOSYS).
const SYS_BREAK: i64 = 17;

/// See [`Platform::program_break`](crate::Platform::program_break).
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn program_break(to: Option<usize>) -> usize {
    let ask = |address: usize| {
        // SAFETY: moving the break harms nobody, by the caller's promise; 0 moves nothing.
        let now = unsafe { __syscall(SYS_BREAK, address) };
        usize::try_from(now).ok()
    };
    to.and_then(ask).or_else(|| ask(0)).unwrap_or(0)
}

/// The C library keeps the values of thread keys in memory from an allocator of its own.
pub(crate) const KEYS_WITHOUT_ALLOCATION: usize = usize::MAX;

/// The system's number of this thread, never 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: asks only.
    let number = unsafe { libc::pthread_getthreadid_np() };
    number.cast_unsigned() as usize
}

/// Whether there is no thread of this number.
pub(crate) fn is_gone(thread: usize) -> bool {
    // SAFETY: signal 0 is not sent, only asked about.
    unsafe { libc::thr_kill(thread.cast_signed() as c_long, 0) != 0 }
}

/// Resident bytes of the whole process: only sysctl(3) with its tables would say.
pub fn resident() -> Option<usize> {
    None
}

/// What the module `unix` asks.
pub(crate) mod mapping {
    use core::ffi::c_int;

    /// For every mapping.
    pub(crate) const ALWAYS: c_int = 0;
    /// For a mapping that is to be at an address and nowhere else, and replaces nothing.
    pub(crate) const EXACTLY: c_int = libc::MAP_FIXED | libc::MAP_EXCL;

    /// Flags for a mapping aligned to `align`: `MAP_ALIGNED(n)` of mmap(2).
    pub(crate) fn aligned(align: usize) -> c_int {
        align.trailing_zeros().cast_signed() << libc::MAP_ALIGNMENT_SHIFT
    }
}
