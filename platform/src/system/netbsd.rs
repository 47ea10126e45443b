//! What is NetBSD's own among the systems with POSIX' C library.

use core::ffi::{c_char, c_int};

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
    /// _lwp_kill(2): a signal for a thread of this process.
    fn _lwp_kill(thread: c_int, signal: c_int) -> c_int;
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
    let name = [libc::CTL_KERN, libc::KERN_ARND];
    let mut length = bytes.len();
    // SAFETY: sysctl(7), `kern.arandom`, writes so many bytes and how many they were; nothing is set.
    let failed = unsafe {
        libc::sysctl(
            name.as_ptr(),
            2,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
            core::ptr::null(),
            0,
        )
    };
    failed == 0 && length == bytes.len()
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

/// The C library keeps the values of all thread keys in the thread itself.
pub(crate) const KEYS_WITHOUT_ALLOCATION: usize = usize::MAX;

/// The system's number of this thread, never 0.
pub(crate) fn thread_number() -> usize {
    // SAFETY: asks only.
    let number = unsafe { libc::_lwp_self() };
    number.cast_unsigned() as usize
}

/// Whether there is no thread of this number.
pub(crate) fn is_gone(thread: usize) -> bool {
    let Ok(thread) = i32::try_from(thread) else {
        return true;
    };
    // SAFETY: signal 0 is not sent, only asked about.
    unsafe { _lwp_kill(thread, 0) != 0 }
}

/// Resident bytes of the whole process: only sysctl(3) with its tables would say.
pub fn resident() -> Option<usize> {
    None
}

/// What the module `unix` asks.
pub(crate) mod mapping {
    use core::ffi::c_int;

    /// For every mapping: no frames are promised.
    pub(crate) const ALWAYS: c_int = libc::MAP_NORESERVE;
    /// For a mapping that is to be at an address if nothing is there.
    pub(crate) const EXACTLY: c_int = libc::MAP_TRYFIXED;

    /// Flags for a mapping aligned to `align`: `MAP_ALIGNED(n)` of mmap(2).
    pub(crate) fn aligned(align: usize) -> c_int {
        align.trailing_zeros().cast_signed() << libc::MAP_ALIGNMENT_SHIFT
    }
}
