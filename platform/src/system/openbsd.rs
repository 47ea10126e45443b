//! What is OpenBSD's own among the systems with POSIX' C library.

use core::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
    /// thrkill(2): a signal for a thread of this process.
    fn thrkill(thread: c_int, signal: c_int, block: *mut c_void) -> c_int;
}

/// Where this thread's `errno` is, as long as the thread.
pub(crate) fn errno_location() -> *mut c_int {
    // SAFETY: asks only.
    unsafe { libc::__errno() }
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

/// See [`Platform::program_break`](crate::Platform::program_break). The system has none.
///
/// # Safety
///
/// As there.
pub(crate) unsafe fn program_break(_to: Option<usize>) -> usize {
    0
}

/// The C library keeps the values of thread keys in memory from its own allocator.
pub(crate) const KEYS_WITHOUT_ALLOCATION: usize = usize::MAX;

/// The system's number of this thread, never 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: asks only.
    let number = unsafe { libc::getthrid() };
    number.cast_unsigned() as usize
}

/// Whether there is no thread of this number.
pub(crate) fn is_gone(thread: usize) -> bool {
    let Ok(thread) = i32::try_from(thread) else {
        return true;
    };
    // SAFETY: signal 0 is not sent, only asked about.
    unsafe { thrkill(thread, 0, core::ptr::null_mut()) != 0 }
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
    /// For a mapping that is to be at an address and nowhere else, and replaces nothing: `__MAP_NOREPLACE` of
    /// `<sys/mman.h>`.
    pub(crate) const EXACTLY: c_int = libc::MAP_FIXED | 0x0800;

    /// Flags for a mapping aligned to `align`: the kernel takes no such wish.
    pub(crate) fn aligned(_align: usize) -> c_int {
        0
    }
}
