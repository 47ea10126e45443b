//! What is macOS' own among the systems with POSIX' C library.

use core::ffi::{c_char, c_int};

/// Where this thread's `errno` is, as long as the thread.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: asks only.
    unsafe { libc::__error() }
}

/// The environment: a list of `NAME=value` that null ends, or null.
pub(crate) fn environment() -> *const *const c_char {
    // SAFETY: asks only.
    let list = unsafe { libc::_NSGetEnviron() };
    // SAFETY: the C library says where the variable is.
    unsafe { list.read().cast_const().cast() }
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

/// See [`Platform::program_break`](crate::Platform::program_break). The C library imitates one in a few MiB of its own; the
/// kernel has none.
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn program_break(_to: Option<usize>) -> usize {
    0
}

/// The C library keeps the values of all thread keys without allocating.
pub(crate) const KEYS_WITHOUT_ALLOCATION: usize = usize::MAX;

/// The system's number of this thread, never 0.
pub(crate) fn thread_number() -> usize {
    let mut number = 0_u64;
    // SAFETY: 0 is the thread that asks; writes the number.
    unsafe { libc::pthread_threadid_np(0, &raw mut number) };
    number as usize
}

/// `PROC_PIDTHREADID64INFO` of `<sys/proc_info.h>`: about the thread of a number.
const THREAD_BY_NUMBER: c_int = 15;

/// Whether there is no thread of this number.
pub(crate) fn is_gone(thread: usize) -> bool {
    // Room for a `struct proc_threadinfo`.
    let mut answer = [0_u64; 32];
    let size = size_of_val(&answer) as c_int;
    // SAFETY: asks only.
    let process = unsafe { libc::getpid() };
    let answer = answer.as_mut_ptr().cast();
    // SAFETY: writes at most `size` bytes.
    unsafe { libc::proc_pidinfo(process, THREAD_BY_NUMBER, thread as u64, answer, size) <= 0 }
}

/// Resident bytes of the whole process.
pub fn resident() -> Option<usize> {
    let mut answer = core::mem::MaybeUninit::<libc::proc_taskinfo>::zeroed();
    let size = size_of_val(&answer) as c_int;
    // SAFETY: asks only.
    let process = unsafe { libc::getpid() };
    let at = answer.as_mut_ptr().cast();
    // SAFETY: writes at most `size` bytes.
    let written = unsafe { libc::proc_pidinfo(process, libc::PROC_PIDTASKINFO, 0, at, size) };
    // SAFETY: numbers, for which zeros will do.
    let answer = unsafe { answer.assume_init() };
    (written == size).then_some(answer.pti_resident_size as usize)
}

/// What the module `unix` asks.
pub(crate) mod mapping {
    use core::ffi::c_int;

    /// For every mapping: no frames are promised.
    pub(crate) const ALWAYS: c_int = libc::MAP_NORESERVE;
    /// For a mapping that is to be at an address: the kernel takes it for a hint, and replaces nothing.
    pub(crate) const EXACTLY: c_int = 0;

    /// Flags for a mapping aligned to `align`: the kernel takes no such wish.
    pub(crate) fn aligned(_align: usize) -> c_int {
        0
    }
}
