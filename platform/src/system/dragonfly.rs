//! What is DragonFly BSD's own among the systems with POSIX' C library.

use core::ffi::{c_char, c_int};

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
    /// lwp_gettid(2).
    fn lwp_gettid() -> c_int;
    /// lwp_kill(2): a signal for a thread of a process, -1 for this one.
    fn lwp_kill(process: c_int, thread: c_int, signal: c_int) -> c_int;
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

/// See [`Platform::program_break`](crate::Platform::program_break). The system call does not say where the break is.
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn program_break(_to: Option<usize>) -> usize {
    0
}

/// The C library keeps the values of thread keys in memory from an allocator of its own.
pub(crate) const KEYS_WITHOUT_ALLOCATION: usize = usize::MAX;

/// The system's number of this thread, never 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: asks only.
    let number = unsafe { lwp_gettid() };
    number.cast_unsigned() as usize
}

/// Whether there is no thread of this number.
pub(crate) fn is_gone(thread: usize) -> bool {
    let Ok(thread) = i32::try_from(thread) else {
        return true;
    };
    // SAFETY: signal 0 is not sent, only asked about.
    unsafe { lwp_kill(-1, thread, 0) != 0 }
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
    /// For a mapping that is to be at an address if nothing is there: `MAP_TRYFIXED` of mmap(2).
    pub(crate) const EXACTLY: c_int = 0x1_0000;

    /// Flags for a mapping aligned to `align`: the kernel takes no such wish.
    pub(crate) fn aligned(_align: usize) -> c_int {
        0
    }
}
